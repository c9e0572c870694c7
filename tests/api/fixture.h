// A door with a recording sink, on a loop that the test runs; one session that a test calls through.
#pragma once

#include <gtest/gtest.h>

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/door.h"
#include "api/secrets.h"
#include "base/json.h"
#include "registry/calls.h"
#include "support/program.h"

namespace pf::api {

/// Keeps what it was told.
class Recorder : public Sink {
 public:
  void log(uint32_t index, int level, std::string_view text, const Json* fields) override {
    logs.push_back(std::to_string(index) + " " + std::to_string(level) + " " + std::string(text) +
                   (fields != nullptr ? " " + to_json_text(*fields) : ""));
  }
  void progress(uint32_t index, double done, double total, std::string_view text) override {
    progresses.push_back(std::to_string(index) + " " + to_json_text(Json(done)) + "/" +
                         to_json_text(Json(total)) + " " + std::string(text));
    if (on_progress) on_progress();
  }
  void refused(uint32_t index, std::string_view call, const Error& error) override {
    refusals.push_back(std::to_string(index) + " " + std::string(call) + " " + error.code);
  }
  std::vector<std::string> logs, progresses, refusals;
  std::function<void()> on_progress;
};

class DoorTest : public testing::Test {
 protected:
  DoorTest() { open({}); }

  Caller caller(Grants grants) const {
    Caller out;
    out.index = 7;
    out.address = "example.first";
    out.extension = "example";
    out.manifest = "/x/extension.yaml";
    out.work_folder = folder_.path() / "state/work/example/first";
    out.grants = std::move(grants);
    return out;
  }
  void open(Grants grants) { session_ = door_->open(caller(std::move(grants))); }

  /// Calls with encoded arguments and runs the loop until the answer is there.
  Result<std::string> call_raw(int number, const std::string& arguments) {
    bool done = false;
    Result<std::string> out;
    session_->call(number, arguments, [&](Result<std::string> result) {
      EXPECT_FALSE(done) << "answered twice";
      out = std::move(result);
      done = true;
    });
    while (!done) {
      loop_.restart();
      if (loop_.run_one_for(std::chrono::seconds(60)) == 0) {
        ADD_FAILURE() << "no answer";
        break;
      }
    }
    return out;
  }
  Result<Json> call(const std::string& name, const Json& arguments) {
    const int number = registry::find(name);
    EXPECT_GE(number, 0) << name;
    auto answer = call_raw(number, to_cbor(arguments));
    if (!answer) return tl::unexpected(answer.error());
    return from_cbor(*answer);
  }
  /// The value, or the error's code.
  std::string value(const std::string& name, const Json& arguments) {
    auto answer = call(name, arguments);
    return answer ? to_json_text(*answer) : answer.error().code;
  }
  Error error(const std::string& name, const Json& arguments) {
    auto answer = call(name, arguments);
    EXPECT_FALSE(answer) << name << " " << to_json_text(arguments);
    return answer ? Error{} : answer.error();
  }
  /// A call that has no answer.
  void tell(const std::string& name, const Json& arguments) {
    session_->call(registry::find(name), to_cbor(arguments), [](Result<std::string>) { FAIL(); });
  }
  /// The lines of the audit file, without their times; the door is closed first.
  std::vector<Json> audit() {
    session_.reset();
    door_.reset();
    std::vector<Json> out;
    std::string text =
        std::filesystem::exists(folder_.path() / "run/audit.jsonl") ? folder_.read("run/audit.jsonl") : "";
    for (size_t at = 0; at < text.size();) {
      const size_t end = text.find('\n', at);
      auto line = parse_json(text.substr(at, end - at));
      EXPECT_TRUE(line);
      EXPECT_TRUE(line && line->contains("time"));
      line->erase("time");
      out.push_back(*line);
      at = end + 1;
    }
    return out;
  }

  test::Folder folder_;
  asio::io_context loop_;
  Recorder sink_;
  Secrets secrets_;
  std::unique_ptr<Door> door_ = Door::make(loop_, sink_, folder_.path() / "run/audit.jsonl", secrets_);
  std::unique_ptr<Session> session_;
};

}  // namespace pf::api
