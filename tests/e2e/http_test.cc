// forge.http from a real extension to a real server on loopback: granted where a person wrote the host
// literally.
#include <gtest/gtest.h>

#include <condition_variable>

#include "support/http_peers.h"
#include "support/pipelines.h"

namespace pf::test {
namespace {

constexpr char kModels[] = "local s = require 'schema' return {Config = s.object {url = s.string {}}}";
constexpr char kGet[] = R"(
  local answer = forge.http.get(config.url, {headers = {Accept = 'application/json'}})
  outputs.status = answer.status
  outputs.value = answer:json().value
)";

std::string pipeline_for(const std::string& url) { return "p:\n  get: [{name: a, url: \"" + url + "\"}]\n"; }

TEST(Http, AnInstanceReadsFromAHostThatItsConfigNames) {
  PF_START_NGINX(nginx, {});
  nginx->folder().write("root/data.json", R"({"value": 42})");
  Project project;
  project.extension("get", execute(kGet), "permissions: {http: ['${config.url}']}\n", kModels);
  const auto run = run_pipeline(project, pipeline_for(nginx->url("/data.json")));
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_EQ(run.outputs("get.a"), Json({{"status", 200}, {"value", 42}}));
}

TEST(Http, APrivateAddressBehindAWildcardIsRefused) {
  PF_START_NGINX(nginx, {});
  Project project;
  project.extension("get", execute(kGet), "permissions: {http: ['*.localhost', '*.0.0.1']}\n", kModels);
  const auto run = run_pipeline(project, pipeline_for(nginx->url("/data.json")));
  EXPECT_EQ(run.result("get.a"), "failed");
  EXPECT_EQ(run.error_code("get.a"), "permission.http") << run.output.out;
}

TEST(Http, AnUrlThatCameFromAnotherInstanceGrantsNothing) {
  PF_START_NGINX(nginx, {});
  Project project;
  project.extension("liar", execute("outputs.url = '" + nginx->url("/data.json") + "'"));
  project.extension("get", execute(kGet), "permissions: {http: ['${config.url}']}\n", kModels);
  const auto run =
      run_pipeline(project, "p:\n  liar: [{name: x}]\n  get: [{name: a, url: \"${liar.x.outputs.url}\"}]\n");
  EXPECT_EQ(run.error_code("get.a"), "permission.http") << run.output.out;
}

TEST(Http, RequestsOfAsyncTasksAreUnderWayTogether) {
  // The server answers nobody before the third connection is there: one after the other would never end.
  std::mutex mutex;
  std::condition_variable all;
  int waiting = 0;
  RawServer server([&](const std::string&) {
    std::unique_lock lock(mutex);
    ++waiting;
    all.notify_all();
    all.wait_for(lock, std::chrono::seconds(20), [&] { return waiting >= 3; });
    return RawServer::Reply{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
                            RawServer::Reply::Then::close, ""};
  });
  Project project;
  project.extension("get", execute(R"(
    local answers = forge.async.map({1, 2, 3}, function() return forge.http.get(config.url).body end)
    outputs.all = table.concat(answers, ' ')
  )"),
                    "permissions: {http: ['${config.url}']}\n", kModels);
  const auto run = run_pipeline(project, pipeline_for(server.url("/")));
  EXPECT_EQ(run.outputs("get.a"), Json({{"all", "ok ok ok"}})) << run.output.out;
}

TEST(Http, ATimeoutEndsAHangingRequestAndSaysSo) {
  RawServer server([](const std::string&) { return RawServer::Reply{"", RawServer::Reply::Then::hang, ""}; });
  Project project;
  project.extension("get", execute("forge.http.get(config.url, {timeout = 0.2})"),
                    "permissions: {http: ['${config.url}']}\n", kModels);
  const auto run = run_pipeline(project, pipeline_for(server.url("/")));
  EXPECT_EQ(run.error_code("get.a"), "http.timeout") << run.output.out;
}

}  // namespace
}  // namespace pf::test
