// forge.download and the files of forge.http from a real extension to a real server on loopback.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "base/digest.h"
#include "support/http_peers.h"
#include "support/pipelines.h"

namespace pf::test {
namespace {

constexpr char kModels[] =
    "local s = require 'schema' return {Config = s.object {url = s.string {}, sha256 = s.string {default = "
    "''}}}";
constexpr char kManifest[] = "permissions: {http: ['${config.url}']}\ncache: never\n";

std::string pipeline_for(const std::string& url, const std::string& more = "") {
  return "p:\n  get: [{name: a, url: \"" + url + "\"" + more + "}]\n";
}

TEST(Download, AFileIsFetchedOnceForAllRuns) {
  PF_START_NGINX(nginx, {});
  const std::string data(3'000'000, 'd');
  nginx->folder().write("root/data", data);
  Project project;
  project.extension("get", execute(R"(
    local got = forge.download.file(config.url, "data", {sha256 = config.sha256})
    outputs.size, outputs.sha256, outputs.from_cache = got.size, got.sha256, got.from_cache
    outputs.length = forge.fs.stat("data").size
  )"),
                    kManifest, kModels);
  const std::string yaml = pipeline_for(nginx->url("/data"), ", sha256: " + sha256_hex(data));
  auto run = run_pipeline(project, yaml);
  EXPECT_EQ(
      run.outputs("get.a"),
      Json({{"size", 3'000'000}, {"sha256", sha256_hex(data)}, {"from_cache", false}, {"length", 3'000'000}}))
      << run.output.out;
  nginx.reset();
  run = run_pipeline(project, yaml);
  EXPECT_EQ(run.outputs("get.a")["from_cache"], true) << run.output.out;
  EXPECT_TRUE(project.read(".pangeo-forge/cache/downloads/sha256/" + sha256_hex(data)) == data);
}

TEST(Download, AnotherAttemptGoesOnWhereOneBroke) {
  const std::string whole(2'500'000, 'w');
  std::atomic<int> requests = 0;
  RawServer server([&](const std::string& request) {
    const size_t at = request.find("Range: bytes=");
    const size_t from = at == std::string::npos ? 0 : std::stoul(request.substr(at + 13));
    if (++requests == 1) {
      return RawServer::Reply{
          "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 2500000\r\n\r\n" + whole.substr(0, 1'500'000),
          RawServer::Reply::Then::close, ""};
    }
    if (requests < 5) return RawServer::Reply{"", RawServer::Reply::Then::close, ""};
    return RawServer::Reply{"HTTP/1.1 206 Partial Content\r\nETag: \"1\"\r\nContent-Length: " +
                                std::to_string(2'500'000 - from) + "\r\nContent-Range: bytes " +
                                std::to_string(from) + "-2499999/2500000\r\n\r\n" + whole.substr(from),
                            RawServer::Reply::Then::close, ""};
  });
  Project project;
  project.extension("get", execute(R"(
    outputs.sha256 = forge.download.file(config.url, "data").sha256
  )"),
                    kManifest, kModels);
  const auto run =
      run_pipeline(project, pipeline_for(server.url("/data"), ", max_attempts: 3, retry: {delay: 1ms}"));
  EXPECT_EQ(run.outputs("get.a"), Json({{"sha256", sha256_hex(whole)}})) << run.output.out;
  EXPECT_THAT(server.requests().back(), testing::HasSubstr("If-Range: \"1\""));
}

TEST(Download, ManyWithOptionsInOneTable) {
  PF_START_NGINX(nginx, {});
  for (int i = 1; i <= 50; ++i) nginx->folder().write("root/" + std::to_string(i), std::to_string(i));
  Project project;
  project.extension("get", execute(R"(
    local files = {parallel = 8}
    for i = 1, 50 do files[i] = {url = config.url .. i, path = "f" .. i} end
    local got = forge.download.all(files)
    outputs.count, outputs.last = #got, got[50].path .. " " .. forge.fs.read("f50")
    local _, problem = forge.try(forge.download.all, {{url = config.url .. "none", path = "x"}})
    outputs.problem = problem.code
    outputs.none = #forge.download.all {}
  )"),
                    kManifest, kModels);
  const auto run = run_pipeline(project, pipeline_for(nginx->url("/")));
  EXPECT_EQ(run.outputs("get.a"),
            Json({{"count", 50}, {"last", "f50 50"}, {"problem", "download.status"}, {"none", 0}}))
      << run.output.out;
}

TEST(Download, AWrongDigestFailsTheInstanceAndLeavesNothing) {
  PF_START_NGINX(nginx, {});
  Project project;
  project.extension("get", execute("forge.download.file(config.url, 'f', {sha256 = config.sha256})"),
                    kManifest, kModels);
  const auto run =
      run_pipeline(project, pipeline_for(nginx->url("/hello.txt"), ", sha256: " + std::string(64, 'a')));
  EXPECT_EQ(run.error_code("get.a"), "download.digest") << run.output.out;
  EXPECT_THAT(run.error_message("get.a"),
              testing::HasSubstr("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"));
  EXPECT_FALSE(std::filesystem::exists(project.path() / ".pangeo-forge/work/get/a/f"));
}

TEST(Download, HttpBodiesFromAndToFiles) {
  PF_START_NGINX(nginx,
                 {"location /up { dav_methods PUT; create_full_put_path on; client_max_body_size 50m; }"});
  Project project;
  project.extension("get", execute(R"(
    forge.fs.write("big", string.rep("x", 5000000))
    outputs.put = forge.http.put(config.url .. "up/big", {body_file = "big"}).status
    local got = forge.http.get(config.url .. "up/big", {to_file = "back", retry = 2})
    outputs.size, outputs.body = got.size, got.body == nil
    outputs.back = forge.fs.stat(got.path).size
  )"),
                    kManifest, kModels);
  const auto run = run_pipeline(project, pipeline_for(nginx->url("/")));
  EXPECT_EQ(run.outputs("get.a"), Json({{"put", 201}, {"size", 5000000}, {"body", true}, {"back", 5000000}}))
      << run.output.out;
}

}  // namespace
}  // namespace pf::test
