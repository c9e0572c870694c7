// Proves that every call of the registry is tested: its success, its refusal without permission, each of its
// errors. A test says which outcome of which calls it is about, makes each of these calls, and fails where
// the outcome is another; coverage_test.cc compares what all tests of this program are about with the
// registry.
//
//   using Scene = HttpScene;
//   CALLS("http.connect", "http.get", "http.head") { ask({"http://127.0.0.1:1/"}); }
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/fixture.h"

namespace pf::calls {

/// What a call that did what it should is about.
inline constexpr const char* kSuccess = "success";

/// One call on its way to one outcome.
class Trial {
 public:
  virtual ~Trial() = default;
  /// The test's own text.
  virtual void run() = 0;
  /// What must hold after it, besides the outcome.
  virtual void after() {}

  std::string name;     // of the call, as in the registry
  std::string outcome;  // how it ended when it was made last: kSuccess, or the error's code
};

/// A trial of a call that runs in the core: made through the door.
class Stage : public api::DoorTest, public Trial {
 public:
  void after() override {
    // A refusal is told to the people who watch, and counted.
    if (!outcome.starts_with("permission.")) return;
    ASSERT_FALSE(sink_.refusals.empty());
    EXPECT_EQ(sink_.refusals.back(), "7 " + name + " " + outcome);
    EXPECT_EQ(door_->refused(), sink_.refusals.size());
  }

 protected:
  /// Makes the call, and keeps how it ended.
  Result<Json> ask(const Json& arguments) {
    auto answer = call(name, arguments);
    outcome = answer ? kSuccess : answer.error().code;
    why_ = answer ? "" : answer.error().text();
    return answer;
  }
  /// The work folder, and a file in it.
  std::filesystem::path work() const { return folder_.path() / "state/work/example/first"; }
  void put(const std::string& file, const std::string& text) const {
    folder_.write("state/work/example/first/" + file, text);
  }
  std::string got(const std::string& file) const { return folder_.read("state/work/example/first/" + file); }

  std::string why_;

 private:
  void TestBody() override {}
};

using Make = std::unique_ptr<Trial> (*)();

/// Outcomes of a call that tests are about, and how many tests.
using Covered = std::map<std::pair<std::string, std::string>, int>;
Covered& covered();
/// Makes one test of the trials of all these calls. Returns true.
bool add(const char* outcome, std::vector<std::string> names, const char* file, int line, Make make);

#define CALLS(outcome, ...) PF_CALLS_(outcome, __LINE__, __VA_ARGS__)
#define PF_CALLS_(outcome, line, ...) PF_CALLS_AT_(outcome, line, __VA_ARGS__)
#define PF_CALLS_AT_(outcome, line, ...)                                                                     \
  class Trial##line final : public Scene {                                                                   \
    void run() override;                                                                                     \
  };                                                                                                         \
  const bool added##line =                                                                                   \
      ::pf::calls::add(outcome, std::vector<std::string>{__VA_ARGS__}, __FILE__, line,                       \
                       [] { return std::unique_ptr<::pf::calls::Trial>(std::make_unique<Trial##line>()); }); \
  void Trial##line::run()

}  // namespace pf::calls
