// Build-time program: compiles Lua files to bytecode without debug information and writes them as a C++
// source. Usage: pf_embed OUT.cc GROUP FILE.lua … GROUP FILE.lua …; an argument that ends in a dot stands
// before the names of the files that follow it in its group.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <lua.hpp>
#include <string>
#include <vector>

namespace {

struct Module {
  std::string name;
  std::string code;
};

struct Group {
  std::string name;
  std::vector<Module> modules;
};

/// Through string.dump, which lua_dump cannot do: without debug information.
bool compile(lua_State* L, const std::string& path, std::string& code) {
  const std::string chunk_name = "@" + std::filesystem::path(path).filename().string();
  std::ifstream in(path, std::ios::binary);
  const std::string source((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  lua_getglobal(L, "string");
  lua_getfield(L, -1, "dump");
  bool ok = in.good() && luaL_loadbuffer(L, source.data(), source.size(), chunk_name.c_str()) == 0;
  if (ok) {
    lua_pushboolean(L, 1);
    ok = lua_pcall(L, 2, 1, 0) == 0;
  }
  if (!ok) {
    std::fprintf(stderr, "%s: %s\n", path.c_str(), in.good() ? lua_tostring(L, -1) : "cannot be read");
    return false;
  }
  size_t size = 0;
  const char* bytes = lua_tolstring(L, -1, &size);
  code.assign(bytes, size);
  lua_settop(L, 0);
  return true;
}

void write(std::ofstream& out, const Group& group) {
  for (size_t i = 0; i < group.modules.size(); ++i) {
    out << "constexpr unsigned char k_" << group.name << "_" << i << "[] = {";
    const std::string& code = group.modules[i].code;
    for (size_t at = 0; at < code.size(); ++at) {
      out << (at % 24 == 0 ? "\n" : "") << static_cast<int>(static_cast<unsigned char>(code[at])) << ',';
    }
    out << "};\n";
  }
  out << "const EmbeddedModule k_" << group.name << "[] = {\n";
  for (size_t i = 0; i < group.modules.size(); ++i) {
    out << "    {\"" << group.modules[i].name << "\", {reinterpret_cast<const char*>(k_" << group.name << "_"
        << i << "), sizeof k_" << group.name << "_" << i << "}},\n";
  }
  out << "    {}};\n";
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<Group> groups;
  lua_State* L = luaL_newstate();
  luaL_openlibs(L);
  bool ok = argc > 2;
  std::string folder;
  for (int i = 2; ok && i < argc; ++i) {
    const std::filesystem::path path = argv[i];
    if (path.extension() == ".") {
      folder = argv[i];
      continue;
    }
    if (path.extension() != ".lua") {
      groups.push_back({argv[i], {}});
      folder.clear();
      continue;
    }
    Module module{folder + path.stem().string(), {}};
    ok = !groups.empty() && compile(L, argv[i], module.code);
    if (ok) groups.back().modules.push_back(std::move(module));
  }
  lua_close(L);
  if (!ok) return 1;
  std::ofstream out(argv[1], std::ios::binary);
  out << "#include \"vm/embedded.h\"\n\nnamespace pf::vm {\nnamespace {\n\n";
  for (Group& group : groups) {
    std::sort(group.modules.begin(), group.modules.end(),
              [](const Module& a, const Module& b) { return a.name < b.name; });
    write(out, group);
  }
  out << "\n}  // namespace\n\n";
  for (const Group& group : groups) {
    out << "std::span<const EmbeddedModule> embedded_" << group.name << "() { return std::span(k_"
        << group.name << ").first(" << group.modules.size() << "); }\n";
  }
  out << "\n}  // namespace pf::vm\n";
  out.close();
  return out.good() ? 0 : 1;
}
