// What trials of forge.http and forge.download share: servers, and the faults of the HTTP module.
#pragma once

#include <functional>
#include <string>

#include "base/places.h"
#include "calls/calls.h"
#include "support/faults.h"
#include "support/http_peers.h"

namespace pf::calls {

using Then = test::RawServer::Reply::Then;

inline test::RawServer::Reply reply(const std::string& body, const std::string& headers = "",
                                    const std::string& status = "200 OK") {
  return {"HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + headers +
              "\r\n" + body,
          Then::keep,
          {}};
}

/// A server whose path says what it answers.
class Served : public Stage {
 protected:
  Served() { allow({place_, "127.0.0.1:1", "no-such-host.invalid"}); }

  void allow(const std::vector<std::string>& places, std::vector<api::Grants::Entry> read = {}) {
    api::Grants grants;
    for (const std::string& place : places) grants.http.push_back({place, true});
    grants.read = std::move(read);
    open(grants);
  }

  /// Makes the call where the HTTP module is not installed: in a copy of this program elsewhere, which runs
  /// this test for all its calls.
  void without_module(const std::function<void()>& make) {
    if (!std::filesystem::exists(places::module("net"))) return make();
    const auto copy = folder_.path() / "bin/test_calls";
    std::filesystem::create_directories(copy.parent_path());
    std::filesystem::copy_file("/proc/self/exe", copy);
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    const auto output = test::run(
        {{copy, std::string("--gtest_filter=") + test->test_suite_name() + "." + test->name()}, ".", {}, 0});
    ASSERT_EQ(output.code, 0) << output.out;
    outcome = "http.module";
  }

  test::RawServer server_{[](const std::string& request) {
    const std::string path =
        request.substr(request.find('/'), request.find(' ', request.find('/')) - request.find('/'));
    if (path == "/hang") return test::RawServer::Reply{"", Then::hang, {}};
    if (path == "/loop") return reply("", "Location: /loop\r\n", "302 Found");
    if (path == "/none") return reply("", "", "404 Not Found");
    if (path == "/noise") return test::RawServer::Reply{"SSH-2.0-OpenSSH\r\n", Then::close, {}};
    std::string headers;
    for (int i = 0; path == "/headers" && i < 300; ++i)
      headers += "X-" + std::to_string(i) + ": " + std::string(1024, 'x') + "\r\n";
    return reply(request.starts_with("HEAD") ? "" : "hello\n", headers);
  }};
  std::string place_ = "127.0.0.1:" + std::to_string(server_.port());
};

}  // namespace pf::calls
