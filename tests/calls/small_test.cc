// forge.log, progress, env, secret, time: calls that have few errors.
#include <cstdlib>

#include "calls/calls.h"

namespace pf::calls {
namespace {

class SmallScene : public Stage {
 protected:
  /// A call that has no answer.
  void say(const Json& arguments) {
    tell(name, arguments);
    outcome = kSuccess;
  }
  void allow() {
    api::Grants grants;
    grants.env = {"PF_TEST_VARIABLE"};
    grants.secrets = {"PF_TEST"};
    open(grants);
  }
};
using Scene = SmallScene;

CALLS(kSuccess, "log.debug", "log.info", "log.warn", "log.error") {
  say({"text", {{"n", 1}}});
  const std::string level = name == "log.debug"  ? "0"
                            : name == "log.info" ? "1"
                            : name == "log.warn" ? "2"
                                                 : "3";
  EXPECT_EQ(sink_.logs, std::vector<std::string>{"7 " + level + R"( text {"n":1})"});
}
CALLS(kSuccess, "progress") {
  say({1, 2, "half"});
  EXPECT_EQ(sink_.progresses, std::vector<std::string>{"7 1.0/2.0 half"});
}

CALLS(kSuccess, "env.get") {
  allow();
  ::setenv("PF_TEST_VARIABLE", "here", 1);
  EXPECT_EQ(*ask({"PF_TEST_VARIABLE"}), "here");
  ::unsetenv("PF_TEST_VARIABLE");
}
CALLS("permission.env", "env.get") { ask({"PATH"}); }

CALLS(kSuccess, "secret.get") {
  allow();
  ::setenv("PANGEO_FORGE_SECRET_PF_TEST", "long enough", 1);
  EXPECT_EQ(*ask({"PF_TEST"}), "long enough");
  ::unsetenv("PANGEO_FORGE_SECRET_PF_TEST");
}
CALLS("permission.secrets", "secret.get") { ask({"PF_TEST"}); }
CALLS("secret.missing", "secret.get") {
  allow();
  ask({"PF_TEST"});
}
CALLS("secret.short", "secret.get") {
  allow();
  ::setenv("PANGEO_FORGE_SECRET_PF_TEST", "short", 1);
  ask({"PF_TEST"});
  ::unsetenv("PANGEO_FORGE_SECRET_PF_TEST");
}
CALLS(kSuccess, "secret.mark") {
  ask({"long enough"});
  EXPECT_EQ(secrets_.mask().apply("so long enough it is").find("long enough"), std::string::npos);
}
CALLS("secret.short", "secret.mark") { ask({"short"}); }

CALLS(kSuccess, "time.now") { EXPECT_GT(ask(Json::array())->get<double>(), 1.7e9); }
CALLS(kSuccess, "time.sleep") { EXPECT_EQ(*ask({0.001}), Json()); }

}  // namespace
}  // namespace pf::calls
