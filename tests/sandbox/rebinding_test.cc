// A host name that resolves elsewhere on the second look. The program's own look-ups are answered by
// tests/sandbox/rebind.cc.
#include <gmock/gmock.h>

#include "support/attack.h"
#include "support/http_peers.h"

namespace pf::test {
namespace {

using testing::HasSubstr;

constexpr const char* kPublic = "93.184.216.34";

class Rebinding : public testing::Test {
 protected:
  RunResult run_with(const std::string& answers, const std::string& body) {
    Attack attack;
    attack.manifest = "permissions: {http: ['*.rebind.test:" + std::to_string(server.port()) + "']}\n";
    attack.environment = {{"LD_PRELOAD", PF_REBIND},
                          {"ASAN_OPTIONS", "verify_asan_link_order=0"},
                          {"PF_REBIND", answers},
                          {"PF_REBIND_LOG", project.path() / "looks"}};
    attack.bodies["bad"] =
        "local url = 'http://a.rebind.test:" + std::to_string(server.port()) +
        "/'\nlocal function code(f, ...) local value, e = forge.try(f, ...) return e and e.code or "
        "(value.body or value.path) end\n" +
        body;
    return run_attack(project, attack);
  }
  Project project;
  RawServer server{[this](const std::string& request) {
    const std::string to = "http://b.rebind.test:" + std::to_string(server.port()) + "/";
    return RawServer::Reply{request.starts_with("GET /again")
                                ? "HTTP/1.1 302 Found\r\nLocation: " + to +
                                      "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                                : "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nHERE"};
  }};
};

TEST_F(Rebinding, TheAddressThatWasCheckedIsTheOneConnectedTo) {
  // Who looked once to check and once more to connect would come to loopback.
  const auto run = run_with(std::string(kPublic) + ";127.0.0.1", "outputs.first = code(forge.http.get, url)");
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"first", "HERE"}})) << run.output.out;
  EXPECT_EQ(project.read("looks"), "a.rebind.test 93.184.216.34\n");
}

TEST_F(Rebinding, ANameThatMovedToAPrivateAddressIsRefused) {
  for (const std::string moved : {"127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "10.1.2.3",
                                  "169.254.169.254", "192.168.0.1", "fd00::1", "fe80::1", "100.64.0.1"}) {
    // Downloads have connections and looks of their own.
    const auto run = run_with(kPublic + (";" + moved),
                              "outputs.first = code(forge.http.get, url)\n"
                              "outputs.file = code(forge.download.file, url, 'f')");
    EXPECT_EQ(run.outputs("attack.bad"), Json({{"first", "HERE"}, {"file", "permission.http"}}))
        << moved << run.output.out;
  }
  EXPECT_EQ(server.connections(), 10U);
}

TEST_F(Rebinding, AlsoBetweenTheHopsOfARedirect) {
  const auto run = run_with(std::string(kPublic) + ";127.0.0.1", "forge.http.get(url .. 'again')");
  EXPECT_EQ(run.error_code("attack.bad"), "permission.http") << run.output.out;
  EXPECT_THAT(run.error_message("attack.bad"),
              HasSubstr("b.rebind.test resolves to the private address 127.0.0.1"));
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST_F(Rebinding, AndWhereTheFirstOfTwoAddressesDoesNotAnswer) {
  const auto run = run_with("93.184.216.35+127.0.0.1", "forge.http.get(url)");
  EXPECT_EQ(run.error_code("attack.bad"), "permission.http") << run.output.out;
  EXPECT_EQ(server.connections(), 0U);
}

}  // namespace
}  // namespace pf::test
