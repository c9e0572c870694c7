// Versions in what tools print.
#include "orchestrator/tools.h"

#include <gtest/gtest.h>

namespace pf::orchestrator {
namespace {

TEST(VersionIn, FindsTheFirstThreeNumbers) {
  EXPECT_EQ(version_in("OpenTofu v1.6.2\non linux_amd64"), "1.6.2");
  EXPECT_EQ(version_in("{\"terraform_version\": \"1.9.0-rc1\"}"), "1.9.0-rc1");
  EXPECT_EQ(version_in("helm version.BuildInfo{Version:\"v3.14.0\", GitCommit:\"3fc9\"}"), "3.14.0");
  EXPECT_EQ(version_in("Python 3.11"), "3.11.0");
  EXPECT_EQ(version_in("git version 2.39.5 (Debian)"), "2.39.5");
  EXPECT_EQ(version_in("curl 7.88.1 (x86_64-pc-linux-gnu) libcurl/7.88.1"), "7.88.1");
  EXPECT_EQ(version_in("kubectl 2024.10.01"), "2024.10.1");
  EXPECT_EQ(version_in("tool 1.2.3.4"), "1.2.3");
  EXPECT_EQ(version_in("on 2 cores: version 10.20.30"), "10.20.30");
}

TEST(VersionIn, TakesNothingElseForOne) {
  EXPECT_EQ(version_in(""), "");
  EXPECT_EQ(version_in("no version, 42 of them"), "");
  EXPECT_EQ(version_in("x86.64"), "");
  EXPECT_EQ(version_in("libfoo1.2"), "");
  EXPECT_EQ(version_in("1."), "");
  EXPECT_EQ(version_in("v"), "");
}

TEST(ToolKey, TellsApartWhatIsAskedDifferently) {
  extension::Tool tool;
  tool.name = "tofu";
  tool.probe = {"tofu", "--version"};
  EXPECT_EQ(tool_key(tool), "tofu");
  tool.probe = {"tofu", "version", "-json"};
  EXPECT_EQ(tool_key(tool), "tofu (tofu version -json)");
  tool.probe = {"terraform", "--version"};
  EXPECT_EQ(tool_key(tool), "tofu (terraform --version)");
}

}  // namespace
}  // namespace pf::orchestrator
