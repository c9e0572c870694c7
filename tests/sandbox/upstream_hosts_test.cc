// An upstream whose outputs name hosts, in the hope that the next one's grant follows.
#include <gmock/gmock.h>

#include "support/attack.h"
#include "support/http_peers.h"

namespace pf::test {
namespace {

constexpr const char* kModels = "local s = require 'schema'\nreturn {Config = s.object {url = s.any {}}}";

TEST(UpstreamHosts, GrantNothingHoweverTheyArePassedOn) {
  RawServer server([](const std::string&) {
    return RawServer::Reply{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nHERE"};
  });
  Project project;
  project.extension("up", execute("outputs.url = '" + server.url("/") + "' outputs.host = '127.0.0.1:" +
                                  std::to_string(server.port()) + "' outputs.list = {'" + server.url("/") +
                                  "'} outputs.map = {url = '" + server.url("/") + "'}"));
  project.extension("down",
                    execute("local url = config.url\n"
                            "while type(url) == 'table' do url = url.url or url[1] end\n"
                            "outputs.code = select(2, forge.try(forge.http.get, url)).code"),
                    "permissions: {http: ['${config.url}', '${config.url[0]}', '${config.url.url}'], git: "
                    "['${config.url}']}\n",
                    kModels);
  const auto run = run_pipeline(project, R"(p:
  up: [{name: a}]
  down:
    - {name: whole, url: "${up.a.outputs.url}"}
    - {name: within, url: "http://${up.a.outputs.host}/"}
    - {name: list, url: "${up.a.outputs.list}"}
    - {name: item, url: ["${up.a.outputs.url}"]}
    - {name: map, url: "${up.a.outputs.map}"}
    - {name: inner, url: {url: "${up.a.outputs.url}"}}
    - {name: fallback, url: "${up.a.outputs.missing ?? up.a.outputs.url}"}
)");
  for (const char* name : {"whole", "within", "list", "item", "map", "inner", "fallback"}) {
    EXPECT_EQ(run.outputs(std::string("down.") + name), Json({{"code", "permission.http"}}))
        << name << run.output.out;
  }
  EXPECT_EQ(server.connections(), 0U);
  EXPECT_THAT(run.left, testing::IsEmpty());
}

TEST(UpstreamHosts, NorProgramsVariablesAndSecrets) {
  // The operator may write such a name into the configuration; another instance may not.
  const std::map<std::string, std::pair<std::string, std::string>> cases = {
      {"programs", {"cat", "forge.process.run, {config.url}"}},
      {"env", {"HOME", "forge.env.get, config.url"}},
      {"secrets", {"TOKEN", "forge.secret.get, config.url"}}};
  for (const auto& [list, said] : cases) {
    Project project;
    project.extension("up", execute("outputs.name = '" + said.first + "'"));
    project.extension("down", execute("outputs.code = select(2, forge.try(" + said.second + ")).code"),
                      "permissions: {" + list + ": ['${config.url}']}\n", kModels);
    const auto run =
        run_pipeline(project, "p:\n  up: [{name: a}]\n  down: [{name: b, url: \"${up.a.outputs.name}\"}]\n",
                     {}, {{"PANGEO_FORGE_SECRET_TOKEN", "tigerlily7"}});
    EXPECT_EQ(run.outputs("down.b"), Json({{"code", "permission." + list}})) << run.output.out;
  }
}

}  // namespace
}  // namespace pf::test
