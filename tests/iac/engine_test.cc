// What every engine has to do. A new engine is one more line at the end.
#include "iac/engine.h"

#include <gmock/gmock.h>

#include <thread>

#include "iac/helpers.h"

namespace pf::iac {
namespace {

struct Case {
  const char* name;
  std::unique_ptr<Engine> (*make)(const std::filesystem::path& folder);
};

class EngineTest : public testing::TestWithParam<Case> {
 protected:
  // A new engine each time: what it tells, it has from where it keeps it.
  std::unique_ptr<Engine> engine() { return GetParam().make(temp_.path()); }

  void keep(const StackId& id, const std::string& state, const std::string& outputs) {
    auto done = engine()->export_content(
        id, {state.empty() ? "" : cbor(state), outputs.empty() ? "" : cbor(outputs)});
    ASSERT_TRUE(done) << done.error().text();
  }
  // "STATE OUTPUTS", or why not.
  std::string kept(const StackId& id) {
    auto content = engine()->read(id);
    if (!content) return content.error().text();
    if (!*content) return "no stack";
    return json((*content)->state) + " " + json((*content)->outputs);
  }

  TempFolder temp_;
};

TEST_P(EngineTest, HasAName) { EXPECT_EQ(engine()->name(), GetParam().name); }

TEST_P(EngineTest, KnowsThatThereIsNoStack) {
  EXPECT_EQ(kept({"p", "dev-a"}), "no stack");
  EXPECT_EQ(kept({"p", "dev-a"}), "no stack");
}

TEST_P(EngineTest, KeepsStateAndOutputs) {
  keep({"p", "dev-a"}, R"({"words":3})", R"({"url":"x"})");
  EXPECT_EQ(kept({"p", "dev-a"}), R"({"words":3} {"url":"x"})");
  keep({"p", "dev-a"}, R"({"words":4})", R"({"url":"x"})");
  EXPECT_EQ(kept({"p", "dev-a"}), R"({"words":4} {"url":"x"})");
}

TEST_P(EngineTest, KeepsOneWithoutTheOther) {
  keep({"p", "s"}, R"({"a":1})", "");
  EXPECT_EQ(kept({"p", "s"}), R"({"a":1} none)");
  keep({"p", "s"}, "", R"({"b":2})");
  EXPECT_EQ(kept({"p", "s"}), R"(none {"b":2})");
  keep({"p", "s"}, "", "");
  EXPECT_EQ(kept({"p", "s"}), "none none");
  keep({"p", "s"}, R"({"a":2})", "");
  EXPECT_EQ(kept({"p", "s"}), R"({"a":2} none)");
  keep({"p", "s"}, "{}", "{}");
  EXPECT_EQ(kept({"p", "s"}), "none none");
}

TEST_P(EngineTest, MakesAStackThatHoldsNothing) {
  keep({"p", "s"}, "", "");
  EXPECT_EQ(kept({"p", "s"}), "none none");
}

TEST_P(EngineTest, TellsStacksApart) {
  keep({"p", "a"}, R"({"n":1})", "");
  keep({"p", "b"}, R"({"n":2})", "");
  keep({"q", "a"}, R"({"n":3})", "");
  keep({"p", "a.json"}, R"({"n":4})", "");
  EXPECT_EQ(kept({"p", "a"}), R"({"n":1} none)");
  EXPECT_EQ(kept({"p", "b"}), R"({"n":2} none)");
  EXPECT_EQ(kept({"q", "a"}), R"({"n":3} none)");
  EXPECT_EQ(kept({"p", "a.json"}), R"({"n":4} none)");
  EXPECT_EQ(kept({"q", "b"}), "no stack");
}

TEST_P(EngineTest, KeepsEveryKindOfValue) {
  const std::string value =
      R"({"":0,"a":[],"b":{},"c":[null,true,false],"d":-0,"e":1e+21,"f":1e-7,"g":9007199254740991,"h":-9007199254740992,)"
      R"("i":0.1,"j":1.7976931348623157e+308,"k":5e-324,"l":"é😀\u2028\u0001\"\\/<>&","m":100000000000000000000})";
  keep({"p", "s"}, value, value);
  EXPECT_EQ(kept({"p", "s"}), value + " " + value);
}

TEST_P(EngineTest, KeepsDoublesAndIntegersExactly) {
  std::string state;
  cbor::Writer out(state);
  out.map(3);
  out.text("big");
  out.number(1152921504606846976.0);  // 2^60
  out.text("integer");
  out.integer(int64_t{1} << 53);
  out.text("third");
  out.number(1.0 / 3);
  ASSERT_TRUE(engine()->export_content({"p", "s"}, {state, ""}));
  auto content = engine()->read({"p", "s"});
  ASSERT_TRUE(content && *content);
  EXPECT_EQ((*content)->state, state);
}

TEST_P(EngineTest, KeepsTheDeepestValueThatThereCanBe) {
  std::string deepest = std::string(cbor::kMaxDepth - 1, '[') + std::string(cbor::kMaxDepth - 1, ']');
  const std::string value = R"({"a":)" + deepest + "}";
  keep({"p", "s"}, value, "");
  EXPECT_EQ(kept({"p", "s"}), value + " none");
}

TEST_P(EngineTest, KeepsALargeState) {
  const std::string value = R"({"a":")" + std::string(4 << 20, 'x') + "\"}";
  keep({"p", "s"}, value, "");
  EXPECT_TRUE(kept({"p", "s"}) == value + " none");
}

TEST_P(EngineTest, RefusesWhatAStackCannotHoldAndKeepsWhatItHeld) {
  keep({"p", "s"}, R"({"a":1})", R"({"b":2})");
  struct Bad {
    std::string state, code, path;
  };
  std::string bytes("\xa1\x61k\x81\x42\xff\xfe", 7);  // {"k": [h'fffe']}
  std::string text("\xa1\x61k\x62\xff\xfe", 6);       // text that is no UTF-8
  std::string infinite("\xa1\x61k\xfb\x7f\xf0\0\0\0\0\0\0", 12);
  std::string odd("\xa1\x61k\x1b\x00\x20\0\0\0\0\0\x01", 12);  // 2^53 + 1
  for (const Bad& bad : std::initializer_list<Bad>{
           {bytes, "stack.bytes", "state.k[0]"},
           {text, "stack.bytes", "state.k"},
           {infinite, "stack.number", "state.k"},
           {odd, "stack.number", "state.k"},
           {cbor(R"({"x y":{"4dabf18193072939515e22adb298388d":1}})"), "stack.reserved", R"(state["x y"])"},
           {cbor(R"({"k":"04da6b54-80e4-46f7-96ec-b56ff0331ba9"})"), "stack.reserved", "state.k"},
           {"\x81\x01", "stack.value", "state"},
           {"\x61", "cbor.malformed", ""}}) {
    auto done = engine()->export_content({"p", "s"}, {bad.state, ""});
    ASSERT_FALSE(done) << bad.code;
    EXPECT_EQ(done.error().code, bad.code);
    EXPECT_EQ(done.error().where.path, bad.path);
    EXPECT_FALSE(done.error().retryable);
  }
  EXPECT_EQ(kept({"p", "s"}), R"({"a":1} {"b":2})");
}

TEST_P(EngineTest, KeepsBytesThatAreText) {
  ASSERT_TRUE(engine()->export_content({"p", "s"}, {std::string("\xa1\x61k\x42hi", 6), ""}));
  EXPECT_EQ(kept({"p", "s"}), R"({"k":"hi"} none)");
}

TEST_P(EngineTest, RefusesNamesThatLeaveItsPlace) {
  for (const std::string& name : {std::string(), std::string(".."), std::string("."), std::string("a/b"),
                                  std::string("a\0b", 3), std::string("é"), std::string(101, 'x')}) {
    for (const StackId& id : {StackId{name, "s"}, StackId{"p", name}}) {
      auto read = engine()->read(id);
      ASSERT_FALSE(read) << name;
      EXPECT_EQ(read.error().code, "stack.name");
      auto done = engine()->export_content(id, {});
      ASSERT_FALSE(done) << name;
      EXPECT_EQ(done.error().code, "stack.name");
    }
  }
}

TEST_P(EngineTest, ServesSeveralThreads) {
  const auto shared = engine();
  std::vector<std::thread> threads;
  std::atomic<int> failed{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const StackId id{"p", "s" + std::to_string(t)};
      for (int i = 0; i < 10; ++i) {
        const std::string state = to_cbor(Json{{"i", i}});
        if (!shared->export_content(id, {state, ""})) ++failed;
        auto content = shared->read(id);
        if (!content || !*content || (*content)->state != state) ++failed;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
}

INSTANTIATE_TEST_SUITE_P(Engines, EngineTest,
                         testing::Values(Case{"embedded",
                                              [](const std::filesystem::path& folder) {
                                                return make_embedded_engine(folder / "pulumi");
                                              }}),
                         [](const auto& which) { return which.param.name; });

}  // namespace
}  // namespace pf::iac
