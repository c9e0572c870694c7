// What attempts read, wrote and used, as the events, the history and the page of a run tell it.
#include <gtest/gtest.h>

#include "support/http_peers.h"
#include "support/steps.h"

namespace pf::test {
namespace {

using std::string;

// read_bytes and write_bytes of instance_finished; 0 where it has none.
std::pair<int64_t, int64_t> moved(const RunResult& run, const string& instance) {
  for (const Json& event : run.all) {
    if (event.value("event", "") != "instance_finished" || event.value("instance", "") != instance) continue;
    return {event.value("read_bytes", int64_t{0}), event.value("write_bytes", int64_t{0})};
  }
  return {-1, -1};
}

using Moved = std::pair<int64_t, int64_t>;

TEST(Usage, OfFilesIsTheirContent) {
  Project project;
  project.write("in.txt", string(1000, 'x'));
  project.extension("t", execute(R"(
local file = config.file
forge.fs.write("a", ("y"):rep(70))
forge.fs.append("a", "1234567")
outputs.size = #forge.fs.read(file)
forge.fs.exists("a") forge.fs.list(".") forge.fs.stat("a")
forge.fs.move("a", "b")
forge.fs.copy("b", "c")
)"),
                    "permissions: {read: ['${config.file}']}\n",
                    "local s = require 'schema'\nreturn { Config = s.object { file = s.path {} } }\n");
  const auto run = run_pipeline(project, "p:\n  t: [{name: a, file: in.txt}]\n");
  ASSERT_EQ(run.result("t.a"), "succeeded") << run.output.out;
  // Read: the file, and the copy's source. Written: 70, 7, and the copy.
  EXPECT_EQ(moved(run, "t.a"), Moved(1000 + 77, 70 + 7 + 77));
  const auto shown = project.forge({"runs", "show", "p.yaml"});
  EXPECT_NE(shown.out.find("read 1.1 KiB, wrote 154 B)"), string::npos) << shown.out;
  const auto exported = parse_json(project.forge({"runs", "export", "p.yaml"}).out);
  ASSERT_TRUE(exported);
  ASSERT_EQ((*exported)["attempts"].size(), 1U);
  EXPECT_EQ((*exported)["attempts"][0]["read_bytes"], 1077);
  EXPECT_EQ((*exported)["attempts"][0]["write_bytes"], 154);
}

TEST(Usage, OfWhatTouchesNothingIsNothing) {
  Project project;
  project.extension("t", execute("outputs.digest = forge.digest.sha256('x')"));
  const auto run = run_pipeline(project, "p:\n  t: [{name: a}]\n");
  EXPECT_EQ(moved(run, "t.a"), Moved(0, 0));
  const auto exported = parse_json(project.forge({"runs", "export", "p.yaml"}).out);
  ASSERT_TRUE(exported);
  EXPECT_EQ((*exported)["attempts"][0]["read_bytes"], 0);
}

TEST(Usage, IsOfEachAttempt) {
  Project project;
  project.extension("t", execute(R"(
local n = forge.fs.exists("n") and #forge.fs.read("n") or 0
forge.fs.append("n", "x")
if n < 2 then error("not yet") end
)"));
  const auto run = run_pipeline(project, "p:\n  t: [{name: a, max_attempts: 3}]\n");
  EXPECT_EQ(moved(run, "t.a"), Moved(0 + 1 + 2, 3));
  const auto exported = parse_json(project.forge({"runs", "export", "p.yaml"}).out);
  ASSERT_TRUE(exported);
  std::vector<Moved> all;
  for (const Json& attempt : (*exported)["attempts"])
    all.emplace_back(attempt["read_bytes"].get<int64_t>(), attempt["write_bytes"].get<int64_t>());
  EXPECT_EQ(all, (std::vector<Moved>{{0, 1}, {1, 1}, {2, 1}}));
}

TEST(Usage, OfHttpIsTheBodies) {
  RawServer server([](const string& request) -> RawServer::Reply {
    if (request.starts_with("GET /moved ")) {
      return {"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngone"};
    }
    return {"HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: close\r\n\r\n" + string(500, 'b')};
  });
  Project project;
  project.extension(
      "t", execute(R"(
local url = config.url
if config.what == "get" then forge.http.get(url .. "/there")
elseif config.what == "redirect" then forge.http.get(url .. "/moved")
elseif config.what == "post" then forge.http.post(url .. "/there", { body = ("z"):rep(60) })
elseif config.what == "file" then forge.http.get(url .. "/there", { to_file = "f" })
else forge.download.file(url .. "/there", "f") end
)"),
      "permissions: {http: ['${config.url}']}\n",
      "local s = require 'schema'\nreturn { Config = s.object { url = s.string {}, what = s.string {} } "
      "}\n");
  const string url = "http://127.0.0.1:" + std::to_string(server.port());
  string yaml = "p:\n  t:\n";
  for (const char* what : {"get", "redirect", "post", "file", "download"}) {
    yaml += string("    - {name: ") + what + ", what: " + what + ", url: '" + url + "'}\n";
  }
  const auto run = run_pipeline(project, yaml);
  EXPECT_EQ(run.output.code, 0) << run.output.out << run.output.err;
  EXPECT_EQ(moved(run, "t.get"), Moved(500, 0));
  EXPECT_EQ(moved(run, "t.redirect"), Moved(504, 0));
  EXPECT_EQ(moved(run, "t.post"), Moved(500, 60));
  EXPECT_EQ(moved(run, "t.file"), Moved(500, 500));
  EXPECT_EQ(moved(run, "t.download"), Moved(500, 500));
}

TEST(Usage, OfProgramsIsWhatTheKernelCounted) {
  Project project;
  project.extension("t", execute(R"(
forge.process.run({"dd", "if=/dev/zero", "of=big", "bs=100000", "count=10"}, { check = true })
forge.process.run({"sh", "-c", "cat big > copy; cat copy > /dev/null"}, { check = true })
)"),
                    "permissions: {programs: [dd, sh]}\n");
  const auto run = run_pipeline(project, "p:\n  t: [{name: a}]\n");
  ASSERT_EQ(run.result("t.a"), "succeeded") << run.output.out << run.output.err;
  const auto [read, written] = moved(run, "t.a");
  // dd reads and writes a million bytes, the first cat too (by read and write, or by copy_file_range, which
  // counts the same), the second as well; beside them there is what a loader reads.
  EXPECT_GE(read, 3'000'000);
  EXPECT_LT(read, 3'100'000);
  EXPECT_GE(written, 3'000'000);
  EXPECT_LT(written, 3'010'000);
  // The memory of the programs counts, too: no VM has had a megabyte here.
  for (const Json& event : run.all) {
    if (event.value("event", "") == "instance_finished") {
      EXPECT_GT(event.value("peak_bytes", 0), 1 << 20);
    }
  }
}

}  // namespace
}  // namespace pf::test
