// The examples of docs/stdlib.md, run as they stand there; and whether the page names what there is.
#include <fstream>
#include <sstream>

#include "stdlib/support.h"
#include "vm/embedded.h"

namespace pf::vm::testing {
namespace {

using ::testing::HasSubstr;

std::string page() {
  std::ifstream in(PF_SOURCE_DIR "/docs/stdlib.md");
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// The blocks of Lua, each with the number of the line before its first.
std::vector<std::pair<int, std::string>> examples(const std::string& text) {
  std::vector<std::pair<int, std::string>> out;
  std::istringstream in(text);
  std::string line;
  bool inside = false;
  for (int number = 1; std::getline(in, line); ++number) {
    if (line == "```lua") {
      out.emplace_back(number, "");
      inside = true;
    } else if (line == "```") {
      inside = false;
    } else if (inside) {
      out.back().second += line + "\n";
    }
  }
  return out;
}

TEST(StdlibPage, ItsExamplesHold) {
  const auto blocks = examples(page());
  EXPECT_EQ(blocks.size(), 9U);
  for (const auto& [line, code] : blocks) {
    const Outcome out = execute(code);
    EXPECT_TRUE(out.ok) << "docs/stdlib.md, the block at line " << line << ": " << out.error.message << "\n"
                        << out.error.traceback;
  }
}

TEST(StdlibPage, AnExampleThatIsWrongFails) {
  const auto blocks = examples("text\n```lua\nassert(forge.hex.encode('a') == '62')\n```\n");
  ASSERT_EQ(blocks.size(), 1U);
  EXPECT_EQ(blocks[0].first, 2);
  EXPECT_FALSE(execute(blocks[0].second).ok);
}

TEST(StdlibPage, NamesEveryModule) {
  const std::string text = page();
  for (const EmbeddedModule& module : embedded_stdlib()) {
    EXPECT_THAT(text, HasSubstr("\n## " + std::string(module.name) + "\n"));
  }
}

TEST(Stdlib, IsCompiledOnlyWhenRequired) {
  // A package that names no module has a smaller snapshot than one that does: the same job, another peak.
  Case plain;
  Case with_template;
  with_template.modules["extra"] = "return 'template semver retry tables venv'";  // names, but not in quotes
  Case naming;
  naming.modules["extra"] = "return { 'template', 'semver', 'retry', 'tables', 'venv' }";
  const uint64_t base = execute("self.outputs.n = 1", plain).peak_bytes;
  EXPECT_LT(execute("self.outputs.n = 1", with_template).peak_bytes, base + 4096);
  EXPECT_GT(execute("self.outputs.n = 1", naming).peak_bytes, base + 8192);
}

}  // namespace
}  // namespace pf::vm::testing
