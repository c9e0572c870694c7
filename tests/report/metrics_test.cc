#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>

#include "report/metrics.h"
#include "report/watched_run.h"
#include "support/program.h"

namespace pf::report {
namespace {

using pf::test::Folder;
using state::InstanceResult;
using state::RunResult;
using test::an_error;
using test::Told;
using test::WatchedRun;

/// The rules of OpenMetrics 1.0 that a text can break: the empty list where it keeps them.
std::vector<std::string> offences(const std::string& text) {
  std::vector<std::string> out;
  if (text.size() < 6 || text.substr(text.size() - 6) != "# EOF\n") out.push_back("does not end in # EOF");
  std::istringstream lines(text);
  std::string family, type, unit;
  std::set<std::string> families, samples;
  bool ended = false;
  std::map<std::string, double> bucket;  // the last of a series
  for (std::string line; std::getline(lines, line);) {
    if (ended) out.push_back("text after # EOF");
    if (line == "# EOF") {
      ended = true;
      continue;
    }
    if (line.rfind("# ", 0) == 0) {
      std::istringstream words(line.substr(2));
      std::string kind, name, value;
      words >> kind >> name >> value;
      if (kind == "TYPE") {
        family = name;
        type = value;
        unit.clear();
        if (!families.insert(name).second) out.push_back("family twice: " + name);
      } else if (kind == "UNIT") {
        if (name.size() <= value.size() || name.substr(name.size() - value.size() - 1) != "_" + value)
          out.push_back("unit is no suffix: " + line);
      } else if (kind != "HELP") {
        out.push_back("unknown comment: " + line);
      }
      if (name != family) out.push_back("metadata of another family: " + line);
      continue;
    }
    const size_t open = line.find('{'), close = line.rfind("} ");
    if (open == std::string::npos || close == std::string::npos) {
      out.push_back("no sample: " + line);
      continue;
    }
    const std::string name = line.substr(0, open);
    std::set<std::string> allowed = {family};
    if (type == "info") allowed = {family + "_info"};
    if (type == "histogram") allowed = {family + "_bucket", family + "_count", family + "_sum"};
    if (allowed.count(name) == 0) out.push_back("sample of another family: " + line);
    if (!samples.insert(line.substr(0, close)).second) out.push_back("sample twice: " + line);
    const double value = std::stod(line.substr(close + 2));
    if ((type == "info" || type == "histogram") && value < 0) out.push_back("negative: " + line);
    if (type == "stateset" && line.find("," + family + "=\"") == std::string::npos)
      out.push_back("state set without its label: " + line);
    if (name == family + "_bucket") {
      const std::string series = line.substr(open, line.find(",le=") - open);
      if (bucket.count(series) != 0 && value < bucket[series]) out.push_back("bucket decreases: " + line);
      bucket[series] = value;
    }
  }
  return out;
}

TEST(Metrics, tell_what_a_run_came_to) {
  Folder folder;
  const std::string file = (folder.path() / "run.prom").string();
  Told told;
  WatchedRun run({"x.a", "x.b", "y.c", "y.d"}, make_metrics(file, told));
  run.begin();
  run.start(0);
  run.resources(0, 1'500'000, 4096, 1000, 30);
  run.finish(0, InstanceResult::succeeded, Milliseconds(1500), {{"n", 1}});
  run.attempt_failed(1, 1, an_error(), Milliseconds(10));
  run.fail(1, an_error(), 2);
  run.cached(2, std::chrono::hours(2));
  run.block(3, "x.b");
  run.refuse(1, "http.get", an_error());
  run.hook("on_error", 1, "none", "");
  run.clock.advance(Milliseconds(2500));
  run.end(RunResult::failed, Milliseconds(2500), {}, 1, std::chrono::hours(2));
  EXPECT_TRUE(told.errors.empty());
  const std::string text = folder.read("run.prom");
  EXPECT_EQ(offences(text), std::vector<std::string>());
  const auto has = [&](const std::string& line) { return text.find(line + "\n") != std::string::npos; };
  EXPECT_TRUE(has(R"(pangeo_forge_run_info{pipeline="climate",run="20261121-100000-7f3a",profile=""} 1)"))
      << text;
  EXPECT_TRUE(has(R"(pangeo_forge_run_result{pipeline="climate",pangeo_forge_run_result="failed"} 1)"));
  EXPECT_TRUE(has(R"(pangeo_forge_run_result{pipeline="climate",pangeo_forge_run_result="succeeded"} 0)"));
  EXPECT_TRUE(has(R"(pangeo_forge_run_duration_seconds{pipeline="climate"} 2.5)"));
  EXPECT_TRUE(has(R"(pangeo_forge_oldest_result_age_seconds{pipeline="climate"} 7200)"));
  EXPECT_TRUE(has(R"(pangeo_forge_instances{pipeline="climate",section="x",result="failed"} 1)"));
  EXPECT_TRUE(has(R"(pangeo_forge_instances{pipeline="climate",section="y",result="cached"} 1)"));
  EXPECT_TRUE(has(R"(pangeo_forge_instances{pipeline="climate",section="y",result="blocked"} 1)"));
  EXPECT_TRUE(has(R"(pangeo_forge_attempts{pipeline="climate",section="x"} 3)"));
  EXPECT_TRUE(has(R"(pangeo_forge_retries{pipeline="climate",section="x"} 1)"));
  EXPECT_TRUE(has(R"(pangeo_forge_refused_calls{pipeline="climate",section="x"} 1)"));
  EXPECT_TRUE(has(R"(pangeo_forge_cpu_seconds{pipeline="climate",section="x"} 1.5)"));
  EXPECT_TRUE(has(R"(pangeo_forge_memory_peak_bytes{pipeline="climate",section="x"} 4096)"));
  EXPECT_TRUE(has(R"(pangeo_forge_read_bytes{pipeline="climate",section="x"} 1000)"));
  EXPECT_TRUE(has(R"(pangeo_forge_written_bytes{pipeline="climate",section="x"} 30)"));
  EXPECT_TRUE(has(R"(pangeo_forge_read_bytes{pipeline="climate",section="y"} 0)"));
  EXPECT_TRUE(has(R"(pangeo_forge_hooks{pipeline="climate",stage="on_error",decision="none"} 1)"));
  EXPECT_TRUE(
      has(R"(pangeo_forge_instance_duration_seconds_bucket{pipeline="climate",section="x",le="0.5"} 1)"));
  EXPECT_TRUE(
      has(R"(pangeo_forge_instance_duration_seconds_bucket{pipeline="climate",section="x",le="5.0"} 2)"));
  EXPECT_TRUE(
      has(R"(pangeo_forge_instance_duration_seconds_bucket{pipeline="climate",section="x",le="+Inf"} 2)"));
  EXPECT_TRUE(has(R"(pangeo_forge_instance_duration_seconds_sum{pipeline="climate",section="x"} 1.8)"));
  EXPECT_TRUE(has(R"(pangeo_forge_instance_duration_seconds_count{pipeline="climate",section="y"} 0)"));
}

TEST(Metrics, names_cannot_break_the_format) {
  Folder folder;
  Told told;
  WatchedRun run({"x\"\\\n{} 1.a"}, make_metrics((folder.path() / "m").string(), told));
  run.change = [](orchestrator::RunStarted& event) { event.pipeline = "p\"\n# EOF\n\x1b[2J\\"; };
  run.begin();
  run.finish(0, InstanceResult::succeeded, Milliseconds(1));
  run.end(RunResult::succeeded, Milliseconds(1));
  const std::string text = folder.read("m");
  EXPECT_EQ(offences(text), std::vector<std::string>()) << text;
  EXPECT_NE(text.find(R"({pipeline="p\" # EOF \\",section="x\"\\ {} 1"})"), std::string::npos) << text;
}

TEST(Metrics, an_offence_is_found) {
  EXPECT_EQ(offences("# TYPE a gauge\n# UNIT a seconds\nb{} 1\n").size(), 3U);
  EXPECT_EQ(offences("# TYPE a gauge\na{x=\"1\"} 1\na{x=\"1\"} 2\n# EOF\n"),
            std::vector<std::string>{"sample twice: a{x=\"1\"} 2"});
}

TEST(Metrics, a_file_that_cannot_be_written_is_told) {
  Folder folder;
  Told told;
  WatchedRun run({"x.a"}, make_metrics((folder.path() / "gone/m").string(), told));
  run.begin();
  run.finish(0, InstanceResult::succeeded, Milliseconds(1));
  run.end(RunResult::succeeded, Milliseconds(1));
  ASSERT_EQ(told.errors.size(), 1U);
  EXPECT_EQ(told.errors[0].code, "report.write");
  EXPECT_EQ(told.errors[0].message.rfind("the metrics could not be written: ", 0), 0U);
}

}  // namespace
}  // namespace pf::report
