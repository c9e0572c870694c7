#include "registry/lua_api.h"

#include <vector>

#include "registry/calls.h"

namespace pf::registry {
namespace {

/// `fs` of `fs.read`; empty for what stands in `forge` itself.
std::string_view space_of(std::string_view name) {
  const size_t dot = name.find('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(0, dot);
}

/// Namespaces in the order of the table, those without one first.
std::vector<std::string> spaces() {
  std::vector<std::string> out{""};
  for (const Call& call : calls()) {
    const std::string space(space_of(call.name));
    bool known = false;
    for (const auto& there : out) known = known || there == space;
    if (!known) out.push_back(space);
  }
  return out;
}

/// A type in the annotations' words.
std::string_view lua_type(Type type) {
  switch (type) {
    case Type::nothing: return "nil";
    case Type::any: return "any";
    case Type::boolean: return "boolean";
    case Type::integer: return "integer";
    case Type::number: return "number";
    case Type::string: return "string";
    case Type::table: return "table";
    case Type::list: return "any[]";
    case Type::function: return "function";
  }
  return "any";
}

std::string signature(const Call& call) {
  std::string out = "forge." + std::string(call.name) + "(";
  bool first = true;
  for (const Argument& argument : call.arguments) {
    out += first ? "" : ", ";
    first = false;
    out += argument.optional ? "[" + std::string(argument.name) + "]" : std::string(argument.name);
  }
  return out + ")";
}

// In a table of Markdown.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '|' ? "\\|" : std::string(1, c);
  return out;
}

void fields_table(std::string& out, std::span<const Field> fields) {
  out += "\n| name | type | means |\n|---|---|---|\n";
  for (const Field& field : fields) {
    out += "| `" + std::string(field.name) + "` | " + std::string(describe(field.type)) +
           (field.optional ? ", optional" : "") + " | " + cell(field.doc) + " |\n";
  }
}

void describe_call(std::string& out, const Call& call) {
  out += "### " + signature(call) + "\n\n" + std::string(call.doc) + "\n";
  if (!call.arguments.empty()) out += '\n';
  for (const Argument& argument : call.arguments) {
    out += "- `" + std::string(argument.name) + "` (" + std::string(describe(argument.type)) +
           (argument.optional ? ", optional" : "") + "): " + std::string(argument.doc) + "\n";
  }
  for (const Argument& argument : call.arguments) {
    if (argument.fields.empty()) continue;
    out += "\nIn `" + std::string(argument.name) + "`:\n";
    fields_table(out, argument.fields);
  }
  if (call.returns.type == Type::nothing) {
    out += "\nReturns nothing.";
  } else {
    out +=
        "\nReturns " + std::string(describe(call.returns.type)) + ": " + std::string(call.returns.doc) + ".";
  }
  switch (call.place) {
    case Place::worker:
    case Place::prelude: break;
    case Place::core:
      if (call.permission != Permission::none)
        out += " Needs an entry in `" + std::string(key(call.permission)) + "`.";
      break;
  }
  if (!call.errors.empty()) {
    out += " Errors of its own: ";
    bool first = true;
    for (const auto code : call.errors) {
      out += (first ? "`" : ", `") + std::string(code) + "`";
      first = false;
    }
    out += ".";
  }
  out += '\n';
  if (!call.returns.fields.empty()) fields_table(out, call.returns.fields);
  out += '\n';
}

std::string class_name(const Call& call, std::string_view what) {
  return "forge." + std::string(call.name) + "." + std::string(what);
}

void stub_class(std::string& out, const std::string& name, std::span<const Field> fields) {
  out += "---@class " + name + "\n";
  for (const Field& field : fields) {
    out += "---@field " + std::string(field.name) + (field.optional ? "?" : "") + " " +
           std::string(lua_type(field.type)) + " " + std::string(field.doc) + "\n";
  }
  out += '\n';
}

void stub(std::string& out, const Call& call) {
  for (const Argument& argument : call.arguments) {
    if (!argument.fields.empty()) stub_class(out, class_name(call, argument.name), argument.fields);
  }
  if (!call.returns.fields.empty()) stub_class(out, class_name(call, "result"), call.returns.fields);
  out += "---" + std::string(call.doc) + "\n";
  std::string names;
  for (const Argument& argument : call.arguments) {
    names += (names.empty() ? "" : ", ") + std::string(argument.name);
    out +=
        "---@param " + std::string(argument.name) + (argument.optional && argument.name != "..." ? "?" : "") +
        " " +
        (argument.fields.empty() ? std::string(lua_type(argument.type)) : class_name(call, argument.name)) +
        " " + std::string(argument.doc) + "\n";
  }
  if (call.returns.type != Type::nothing) {
    out += "---@return " +
           (call.returns.fields.empty() ? std::string(lua_type(call.returns.type))
                                        : class_name(call, "result")) +
           " # " + std::string(call.returns.doc) + "\n";
  }
  out += "function forge." + std::string(call.name) + "(" + names + ") end\n\n";
}

}  // namespace

std::string lua_api_page() {
  std::string out =
      "# The Lua API\n\n"
      "`local forge = require \"forge\"`. This page is made from the table of host calls (`src/registry/`); "
      "editors that "
      "know\nlua-language-server find the same in `lua/meta/`.\n\n"
      "A call that fails raises an error {code, message, hint, retryable}; `forge.try` catches it. Besides "
      "the errors that a "
      "call\nlists, any may raise `call.argument`; one that needs an entry in a list of extension.yaml's "
      "`permissions` raises\n"
      "`permission.LIST` without it, and its hint is the line to add; `os.*` stands for the system's own "
      "errors, such as\n"
      "`os.enoent`. [errors.md](errors.md) explains all codes. Times are in seconds, sizes in bytes. Paths "
      "are absolute, or\n"
      "relative to the instance's work folder, which needs no entry.\n\n"
      "`forge.null` is the null of JSON and YAML.\n";
  for (const std::string& space : spaces()) {
    out += "\n## forge" + (space.empty() ? "" : "." + space) + "\n\n";
    for (const Call& call : calls()) {
      if (space_of(call.name) == space) describe_call(out, call);
    }
    out.pop_back();
  }
  return out;
}

std::map<std::string, std::string> lua_stubs() {
  std::map<std::string, std::string> out;
  std::string all =
      "---@meta forge\n\n-- Made from the table of host calls, src/registry: not to be edited.\n\n---@class "
      "forge\nlocal forge = {}\n\n"
      "---The null of JSON and YAML.\n---@type lightuserdata\nforge.null = nil\n\n";
  for (const std::string& space : spaces()) {
    if (!space.empty()) all += "forge." + space + " = {}\n\n";
    for (const Call& call : calls()) {
      if (space_of(call.name) == space) stub(all, call);
    }
  }
  all += "return forge\n";
  out.emplace("forge.lua", std::move(all));
  return out;
}

}  // namespace pf::registry
