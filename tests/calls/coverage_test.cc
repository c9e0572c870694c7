// What the tests of this program are about, against the registry; and the errors that every call has.
#include <algorithm>
#include <set>

#include "calls/calls.h"
#include "calls/lua.h"
#include "registry/calls.h"

namespace pf::calls {

Covered& covered() {
  static Covered all;
  return all;
}

namespace {

bool is(const std::string& outcome, const std::string& expected) {
  if (expected.ends_with(".*")) return outcome.starts_with(expected.substr(0, expected.size() - 1));
  return outcome == expected;
}

/// One outcome, of several calls.
class OutcomeTest : public testing::Test {
 public:
  OutcomeTest(std::string outcome, std::vector<std::string> names, Make make)
      : outcome_(std::move(outcome)), names_(std::move(names)), make_(make) {}

 private:
  void TestBody() override {
    for (const std::string& name : names_) {
      SCOPED_TRACE("forge." + name);
      const auto trial = make_();
      trial->name = name;
      trial->run();
      if (HasFatalFailure() || IsSkipped()) return;
      EXPECT_TRUE(is(trial->outcome, outcome_))
          << "it ended with '" << trial->outcome << "', expected '" << outcome_ << "'";
      trial->after();
      if (HasFatalFailure()) return;
    }
  }

  std::string outcome_;
  std::vector<std::string> names_;
  Make make_;
};

}  // namespace

bool add(const char* outcome, std::vector<std::string> names, const char* file, int line, Make make) {
  std::string title = std::string(outcome) + "_of_" + names.front();
  for (char& c : title) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  for (const std::string& name : names) ++covered()[{name, outcome}];
  testing::RegisterTest("Outcome", title.c_str(), nullptr, nullptr, file, line,
                        [text = std::string(outcome), names = std::move(names), make]() -> testing::Test* {
                          return new OutcomeTest(text, names, make);
                        });
  return true;
}

namespace {

// Every call of the registry has a test of its success, its refusal without permission, and each of its
// errors; and no test is about what the registry does not list.
TEST(Coverage, EveryOutcomeOfEveryCallHasItsTest) {
  std::set<std::pair<std::string, std::string>> due;
  for (const registry::Call& call : registry::calls()) {
    const std::string name(call.name);
    due.emplace(name, kSuccess);
    if (call.permission != registry::Permission::none)
      due.emplace(name, "permission." + std::string(registry::key(call.permission)));
    for (const auto code : call.errors) {
      EXPECT_TRUE(due.emplace(name, code).second) << name << " lists " << code << " twice";
    }
  }
  for (const auto& [name, outcome] : due) {
    EXPECT_TRUE(covered().contains({name, outcome})) << "forge." << name << ": nothing tests " << outcome;
  }
  for (const auto& [pair, tests] : covered()) {
    EXPECT_TRUE(due.contains(pair)) << "forge." << pair.first << ": the registry does not list "
                                    << pair.second;
    EXPECT_EQ(tests, 1) << "forge." << pair.first << ": several tests of " << pair.second;
  }
}

// `call.argument`, which any call may raise, is in no list: here for all of them.
class Arguments : public api::DoorTest {};

TEST_F(Arguments, EveryCallOfTheCoreRefusesWrongOnes) {
  for (const registry::Call& call : registry::calls()) {
    if (call.place != registry::Place::core) continue;
    Json many = Json::array();
    for (int i = 0; i < 20; ++i) many.push_back(i);
    const size_t logged = sink_.logs.size();
    const std::string name(call.name);
    if (!call.replies) {
      tell(name, many);
      EXPECT_EQ(sink_.logs.size(), logged + 1) << name;
      continue;
    }
    EXPECT_EQ(error(name, many).code, "call.argument") << name;
    for (const registry::Argument& argument : call.arguments) {
      if (argument.optional) continue;
      EXPECT_EQ(error(name, Json::array()).code, "call.argument") << name;
      break;
    }
  }
}

TEST(LuaArguments, EveryCallOfTheWorkerRefusesWrongOnes) {
  for (const registry::Call& call : registry::calls()) {
    if (call.place == registry::Place::core || call.name == "try") continue;
    const std::string name(call.name);
    // forge.map has a table as its only argument, forge.fail too; a thread is nothing that any of them takes.
    const std::string wrong = call.arguments.empty() ? "1" : "coroutine.create(print), 1, 1, 1, 1, 1, 1, 1";
    EXPECT_EQ(lua_outcome("forge." + name + "(" + wrong + ")"), "call.argument") << name;
  }
  EXPECT_EQ(lua_outcome("forge.try(1)"), "call.argument");
}

}  // namespace
}  // namespace pf::calls
