// The table of host calls against what is made of it. PF_UPDATE=1 writes the files anew.
#include "registry/lua_api.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/file.h"
#include "registry/calls.h"

namespace pf::registry {
namespace {

void expect_file(const std::string& name, const std::string& content) {
  const auto path = std::filesystem::path(PF_SOURCE_DIR) / name;
  if (std::getenv("PF_UPDATE") != nullptr) {
    ASSERT_TRUE(make_folders(path.parent_path()));
    ASSERT_TRUE(write_file(path, content));
  }
  const auto found = read_file(path);
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_TRUE(*found == content)
      << name << " is not what the table of host calls says: scripts/update-lua-api writes it";
}

TEST(LuaApi, ThePageIsOfThisTable) { expect_file("docs/lua-api.md", lua_api_page()); }

TEST(LuaApi, TheStubsAreOfThisTable) {
  for (const auto& [name, content] : lua_stubs()) expect_file("lua/meta/" + name, content);
}

TEST(Calls, HaveNamesAndSentences) {
  std::set<std::string_view> names;
  int index = 0;
  for (const Call& call : calls()) {
    EXPECT_TRUE(names.insert(call.name).second) << call.name << " stands there twice";
    EXPECT_EQ(find(call.name), index++);
    EXPECT_TRUE(call.doc.ends_with('.')) << call.name;
    EXPECT_LE(call.arguments.size(), 8U) << call.name;
    EXPECT_EQ(call.place == Place::core || call.permission == Permission::none, true) << call.name;
    EXPECT_EQ(call.returns.type == Type::nothing, call.returns.doc.empty()) << call.name;
    for (const Argument& argument : call.arguments) {
      EXPECT_FALSE(argument.doc.empty()) << call.name << " " << argument.name;
      std::set<std::string_view> fields;
      for (const Field& field : argument.fields) {
        EXPECT_TRUE(fields.insert(field.name).second) << call.name << " " << field.name;
        EXPECT_FALSE(field.doc.empty()) << call.name << " " << field.name;
      }
    }
  }
  EXPECT_EQ(find("fs.raed"), -1);
}

// Whatever a call says it raises is explained.
TEST(Calls, ErrorsAreListed) {
  const auto page = read_file(std::filesystem::path(PF_SOURCE_DIR) / "docs/errors.md");
  ASSERT_TRUE(page);
  for (const Call& call : calls()) {
    for (const auto code : call.errors) {
      const bool family = code.ends_with(".*");
      const std::string text = "`" + std::string(family ? code.substr(0, code.size() - 1) : code);
      EXPECT_NE(page->find(family ? text : text + "`"), std::string::npos) << call.name << ": " << code;
    }
  }
}

}  // namespace
}  // namespace pf::registry
