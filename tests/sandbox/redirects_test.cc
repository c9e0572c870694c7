// Answers of a granted server that lead elsewhere.
#include <gmock/gmock.h>

#include "support/attack.h"
#include "support/http_peers.h"

namespace pf::test {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string redirect(const std::string& to) {
  return "HTTP/1.1 302 Found\r\nLocation: " + to + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
}
constexpr const char* kOk = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nHERE";

TEST(Redirects, ToAnUndeclaredHostAreRefusedInEverySpelling) {
  RawServer inside([](const std::string&) { return RawServer::Reply{kOk}; });
  const std::string port = std::to_string(inside.port());
  std::map<std::string, std::string> cases;
  int number = 0;
  RawServer granted([&](const std::string& request) {
    const std::string path = request.substr(5, request.find(' ', 5) - 5);
    return RawServer::Reply{redirect(cases[path])};
  });
  const std::string us = "127.0.0.1:" + std::to_string(granted.port());
  const std::vector<std::string> targets = {"http://127.0.0.1:" + port + "/",
                                            "http://localhost:" + port + "/",
                                            "http://[::1]:" + port + "/",
                                            "http://[::ffff:127.0.0.1]:" + port + "/",
                                            "http://[::ffff:7f00:1]:" + port + "/",
                                            "http://127.1:" + port + "/",
                                            "http://2130706433:" + port + "/",
                                            "http://0x7f000001:" + port + "/",
                                            "http://0x7f.0.0.1:" + port + "/",
                                            "http://017700000001:" + port + "/",
                                            "http://0:" + port + "/",
                                            "http://0.0.0.0:" + port + "/",
                                            "http://127.0.0.1.:" + port + "/",
                                            "http://169.254.169.254/latest/meta-data/",
                                            "http://[fe80::1]/",
                                            "http://10.0.0.1/",
                                            "http://example.org/",
                                            "//127.0.0.1:" + port + "/",
                                            "///127.0.0.1:" + port + "/",
                                            "http:\\\\127.0.0.1:" + port + "\\",
                                            "http://" + us + "@127.0.0.1:" + port + "/",
                                            "http://" + us + "\\@127.0.0.1:" + port + "/",
                                            "http://127.0.0.1:" + port + "#@" + us + "/",
                                            "http://127.0.0.1:" + port + "?@" + us + "/",
                                            "http://%31%32%37.0.0.1:" + port + "/",
                                            "HTTP://LOCALHOST:" + port + "/",
                                            "http://127。0。0。1:" + port + "/",
                                            "file:///etc/hostname",
                                            std::string("ftp://") + us + "/",
                                            std::string("gopher://") + us + "/x",
                                            "dict://" + us + "/x",
                                            "unix:///run/x.sock",
                                            "javascript:alert(1)",
                                            "http://" + us + ":" + port + "/",
                                            "http://",
                                            "http://127.0.0.1:" + port + "\t/",
                                            "http://127.0.0.1:00" + port + "/"};
  for (const std::string& to : targets) {
    cases["c" + std::to_string(++number)] = to;
  }
  Project project;
  std::string body =
      "local function code(f, ...) local value, e = forge.try(f, ...) return e and e.code or "
      "('reached ' .. (value.body or value.path)) end\n";
  for (const auto& [name, to] : cases) {
    const std::string url = "'" + granted.url("/" + name) + "'";
    body += "outputs." + name + " = code(forge.http.get, " + url + ")\n";
    body += "outputs.d" + name + " = code(forge.download.file, " + url + ", 'f')\n";
  }
  const auto run = run_attack(project, body, "permissions: {http: ['" + us + "']}\n");
  for (const auto& [name, to] : cases) {
    const auto outputs = run.outputs("attack.bad");
    ASSERT_TRUE(outputs.contains(name)) << run.output.out.substr(0, 3000);
    EXPECT_THAT(outputs[name], testing::AnyOf("permission.http", "http.url", "http.redirects")) << to;
    EXPECT_THAT(outputs["d" + name], testing::AnyOf("permission.http", "http.url", "http.redirects",
                                                    "permission.read", "download.scheme"))
        << to;
  }
  EXPECT_EQ(inside.connections(), 0U);
}

TEST(Redirects, ToAnotherGrantedHostDropCredentials) {
  RawServer other([](const std::string&) { return RawServer::Reply{kOk}; });
  RawServer first([&](const std::string&) { return RawServer::Reply{redirect(other.url("/"))}; });
  Attack attack;
  attack.manifest = "permissions: {http: ['127.0.0.1:" + std::to_string(first.port()) +
                    "', '127.0.0.1:" + std::to_string(other.port()) + "'], secrets: [TOKEN]}\n";
  attack.environment = {{"PANGEO_FORGE_SECRET_TOKEN", "tigerlily7"}};
  attack.bodies["bad"] =
      "local t = forge.secret.get('TOKEN')\n"
      "for _, options in ipairs {{token = t}, {user = 'me', password = t}, {headers = {Authorization = 'x ' "
      ".. t, "
      "Cookie = t}}} do\n  outputs.body = forge.http.get('" +
      first.url("/") + "', options).body\n  forge.download.file('" + first.url("/") +
      "', 'f', options)\nend\nforge.http.get('http://me:' .. t .. '@127.0.0.1:" +
      std::to_string(first.port()) + "/')\n";
  Project project;
  const auto with = run_attack(project, attack);
  EXPECT_EQ(with.outputs("attack.bad"), Json({{"body", "HERE"}})) << with.output.out;
  ASSERT_EQ(other.requests().size(), 7U);
  for (const auto& request : other.requests()) {
    EXPECT_THAT(request, Not(HasSubstr("tigerlily7")));
    EXPECT_THAT(request, Not(HasSubstr("uthorization:")));
    EXPECT_THAT(request, Not(HasSubstr("ookie:")));
  }
}

TEST(Redirects, WithoutEndEnd) {
  RawServer server([](const std::string&) { return RawServer::Reply{redirect("/again")}; });
  Project project;
  const auto run = run_attack(project, "forge.http.get('" + server.url("/") + "')",
                              "permissions: {http: ['127.0.0.1:" + std::to_string(server.port()) + "']}\n");
  EXPECT_EQ(run.error_code("attack.bad"), "http.redirects");
  EXPECT_EQ(server.requests().size(), 11U);
}

TEST(UndeclaredHost, IsRefusedBeforeAnyRequest) {
  RawServer server([](const std::string&) { return RawServer::Reply{kOk}; });
  Project project;
  const auto run = run_attack(project, "forge.http.get('" + server.url("/") + "')",
                              "permissions: {http: [example.org, '127.0.0.1:1']}\n");
  EXPECT_EQ(run.error_code("attack.bad"), "permission.http");
  EXPECT_THAT(run.finished.dump(), HasSubstr("http: [\\\"127.0.0.1:" + std::to_string(server.port())));
  EXPECT_EQ(server.connections(), 0U);
}

}  // namespace
}  // namespace pf::test
