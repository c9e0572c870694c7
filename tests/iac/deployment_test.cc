// What is done with what a program registers, against a world of providers that do as they are told.
#include "iac/deployment.h"

#include <gmock/gmock.h>

#include "iac/helpers.h"
#include "iac/property.h"

namespace pf::iac {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

const StackId kId{"demo", "dev"};
const Urn kStack = "urn:pulumi:dev::demo::pulumi:pulumi:Stack::demo-dev";

Urn urn(const std::string& name) { return "urn:pulumi:dev::demo::x:y:Z::" + name; }

/// Providers of `x:y:Z`: what is done is written down; inputs tell how it ends (`fail`, `lost`, `half`),
/// which properties replace (`replaces`), and outputs are the inputs with `made`, the id.
class World final : public Providers, public Journal {
 public:
  std::vector<std::string> calls;
  std::vector<std::string> journal;
  bool journal_fails = false;
  bool holds = false;  // answers to create and remove wait for release()

  bool has(const std::string& type) const override { return type == "x:y:Z"; }
  void call(ProviderCall call, Answer answer) override {
    const std::string name(urn_name(call.urn));
    ProviderAnswer out;
    using Kind = ProviderCall::Kind;
    switch (call.kind) {
      case Kind::check:
        out.inputs = call.inputs;
        if (call.inputs.contains("bad")) out.failures.push_back({"bad", "must not be"});
        return answer(std::move(out));
      case Kind::diff: {
        out.changed = call.old_inputs != call.inputs;
        const auto key = call.inputs.value("replaced_by", "");
        if (!key.empty() && call.old_inputs.value(key, Json()) != call.inputs.value(key, Json()))
          out.replaces.push_back(key);
        out.delete_before_replace = call.inputs.value("first", false);
        return answer(std::move(out));
      }
      case Kind::create: calls.push_back("create " + name); break;
      case Kind::update: calls.push_back("update " + name); break;
      case Kind::read: calls.push_back("read " + name); break;
      case Kind::remove: calls.push_back("delete " + name + " " + call.id); break;
    }
    const Json& inputs = call.kind == Kind::remove ? call.old_inputs : call.inputs;
    Result<ProviderAnswer> result = std::move(out);
    if (inputs.value("fail", "") == calls.back().substr(0, 6)) {
      result = refuse("x.failed", "it does not work", "");
    } else if (inputs.value("lost", "") == calls.back().substr(0, 6)) {
      result = refuse("worker.crashed", "the worker was killed", "");
    } else if (call.kind == Kind::create || call.kind == Kind::update) {
      result->id = call.kind == Kind::create ? name + "-" + std::to_string(++made_) : "";
      result->outputs = inputs;
      result->outputs["made"] = made_;
      if (inputs.contains("half")) result->init_errors = {"not ready"};
    }
    if (!holds) return answer(std::move(result));
    held_.push_back([answer = std::move(answer), result = std::move(result)] { answer(result); });
  }
  void release() {
    for (const auto& one : std::exchange(held_, {})) one();
  }

  void begin(const PendingOperation& intent, std::function<void(Result<void>)> go) override {
    journal.push_back("begin " + std::string(to_text(intent.type)) + " " +
                      std::string(urn_name(intent.resource.urn)));
    if (journal_fails) return go(refuse("state.full", "the disk is full", ""));
    go({});
  }
  void end(const PendingOperation& intent, const Resource* now) override {
    journal.push_back(std::string(now == nullptr ? "gone " : "is ") +
                      std::string(urn_name(intent.resource.urn)));
  }
  void note(const Resource& resource) override {
    journal.push_back("note " + std::string(urn_name(resource.urn)));
  }

 private:
  int made_ = 0;
  std::vector<std::function<void()>> held_;
};

class DeploymentTest : public testing::Test {
 protected:
  struct Want {
    std::string name;
    Json inputs = Json::object();
    std::function<void(Registration&)> more = {};
  };

  std::unique_ptr<Deployment> open(bool preview = false) {
    Deployment::Options options;
    options.preview = preview;
    options.clock = &clock_;
    options.new_id = [this] { return "uuid-" + std::to_string(++ids_); };
    return std::make_unique<Deployment>(kId, state_, world_, world_, std::move(options));
  }
  // One run of a program that registers these, and what became of it. The state is kept unless it is a
  // preview.
  std::string run(const std::vector<Want>& wants, bool preview = false) {
    world_.calls.clear();
    world_.journal.clear();
    outcomes_.clear();
    auto deployment = open(preview);
    for (const Want& want : wants) {
      Registration registration;
      registration.type = "x:y:Z";
      registration.name = want.name;
      registration.inputs = want.inputs;
      if (want.more) want.more(registration);
      deployment->register_resource(std::move(registration), [&](Result<Registered> done) {
        outcomes_.push_back(done ? "ok" : done.error().code);
        if (done) registered_[want.name] = *done;
      });
    }
    return end(*deployment, preview);
  }
  std::string end(Deployment& deployment, bool preview = false) {
    std::string out = "unfinished";
    deployment.finish([&](Result<void> done) { out = done ? "ok" : done.error().code; });
    counts_.clear();
    for (const auto& [step, count] : deployment.counts()) counts_[std::string(to_text(step))] = count;
    if (!preview) take(deployment);
    return out;
  }
  void take(const Deployment& deployment) {
    state_ = deployment.snapshot();
    const auto whole = check_integrity(state_, "dev.json");
    EXPECT_TRUE(whole) << whole.error().message;
    // It is what a file can hold.
    const auto again = parse_snapshot(print_snapshot(state_, kId, clock_.now), "dev.json");
    EXPECT_TRUE(again) << again.error().message;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const Resource& resource : state_.resources) {
      if (resource.type != "x:y:Z") continue;
      out.push_back(std::string(urn_name(resource.urn)) + " " + resource.id +
                    (resource.condemned             ? " condemned"
                     : resource.pending_replacement ? " replaced"
                                                    : ""));
    }
    return out;
  }
  const Resource& resource(const std::string& name) const {
    for (const Resource& one : state_.resources) {
      if (one.urn == urn(name)) return one;
    }
    throw std::runtime_error("no " + name);
  }

  StandingClock clock_;
  World world_;
  Snapshot state_;
  int ids_ = 0;
  std::vector<std::string> outcomes_;
  std::map<std::string, Registered> registered_;
  std::map<std::string, uint32_t> counts_;
};

TEST_F(DeploymentTest, CreatesWithStackAndProviderAndThenLeavesAlone) {
  EXPECT_EQ(run({{"a", {{"size", 1}}}}), "ok");
  EXPECT_THAT(world_.calls, ElementsAre("create a"));
  EXPECT_THAT(world_.journal, ElementsAre("note demo-dev", "note default", "begin creating a", "is a"));
  EXPECT_EQ(counts_, (std::map<std::string, uint32_t>{{"create", 2}}));
  ASSERT_EQ(state_.resources.size(), 3U);
  EXPECT_EQ(state_.resources[0].urn, kStack);
  EXPECT_EQ(state_.resources[1].urn, "urn:pulumi:dev::demo::pulumi:providers:x::default");
  EXPECT_EQ(state_.resources[2].provider, state_.resources[1].urn + "::uuid-1");
  EXPECT_EQ(state_.resources[2].parent, kStack);
  EXPECT_EQ(state_.resources[2].outputs, Json({{"size", 1}, {"made", 1}}));
  EXPECT_EQ(registered_["a"].id, "a-1");
  const std::string before = print_snapshot(state_, kId, clock_.now);
  clock_.now += std::chrono::hours(1);
  EXPECT_EQ(run({{"a", {{"size", 1}}}}), "ok");
  EXPECT_THAT(world_.calls, IsEmpty());
  EXPECT_THAT(world_.journal, IsEmpty());
  EXPECT_EQ(counts_, (std::map<std::string, uint32_t>{{"same", 2}}));
  clock_.now -= std::chrono::hours(1);
  EXPECT_EQ(print_snapshot(state_, kId, clock_.now), before);
}

TEST_F(DeploymentTest, UpdatesWhatChanged) {
  run({{"a", {{"size", 1}}}});
  clock_.now += std::chrono::seconds(1);
  EXPECT_EQ(run({{"a", {{"size", 2}}}}), "ok");
  EXPECT_THAT(world_.calls, ElementsAre("update a"));
  EXPECT_THAT(world_.journal, ElementsAre("begin updating a", "is a"));
  EXPECT_EQ(resource("a").id, "a-1");
  EXPECT_EQ(resource("a").outputs["size"], 2);
  EXPECT_EQ(resource("a").created, "2026-01-02T03:04:05.6Z");
  EXPECT_EQ(resource("a").modified, "2026-01-02T03:04:06.6Z");
}

TEST_F(DeploymentTest, ReplacesByCreatingFirst) {
  run({{"a", {{"zone", "x"}}}});
  EXPECT_EQ(run({{"a", {{"zone", "y"}, {"replaced_by", "zone"}}}}), "ok");
  EXPECT_THAT(world_.calls, ElementsAre("create a", "delete a a-1"));
  EXPECT_THAT(world_.journal, ElementsAre("begin creating a", "is a", "begin deleting a", "gone a"));
  EXPECT_THAT(names(), ElementsAre("a a-2"));
}

TEST_F(DeploymentTest, KeepsTheOldOneWhereItsDeletionFailsAndDeletesItNextTime) {
  run({{"a", {{"zone", "x"}, {"fail", "delete"}}}});
  EXPECT_EQ(run({{"a", {{"zone", "y"}, {"replaced_by", "zone"}}}}), "x.failed");
  EXPECT_THAT(names(), ElementsAre("a a-2", "a a-1 condemned"));
  state_.resources.back().inputs.erase("fail");
  EXPECT_EQ(run({{"a", {{"zone", "y"}, {"replaced_by", "zone"}}}}), "ok");
  EXPECT_THAT(world_.calls, ElementsAre("delete a a-1"));
  EXPECT_THAT(names(), ElementsAre("a a-2"));
}

TEST_F(DeploymentTest, ReplacesByDeletingFirstWhereTheProviderOrTheProgramSaysSo) {
  run({{"a", {{"zone", "x"}}}});
  EXPECT_EQ(run({{"a", {{"zone", "y"}, {"replaced_by", "zone"}, {"first", true}}}}), "ok");
  EXPECT_THAT(world_.calls, ElementsAre("delete a a-1", "create a"));
  EXPECT_THAT(names(), ElementsAre("a a-2"));
  const auto first = [](Registration& r) { r.delete_before_replace = true; };
  EXPECT_EQ(run({{"a", {{"zone", "z"}, {"replaced_by", "zone"}}, first}}), "ok");
  EXPECT_THAT(world_.calls, ElementsAre("delete a a-2", "create a"));
}

TEST_F(DeploymentTest, WhatWasDeletedToBeReplacedIsCreatedNextTime) {
  run({{"a", {{"zone", "x"}}}});
  EXPECT_EQ(run({{"a", {{"zone", "y"}, {"replaced_by", "zone"}, {"first", true}, {"fail", "create"}}}}),
            "x.failed");
  EXPECT_THAT(names(), ElementsAre("a a-1 replaced"));
  EXPECT_EQ(run({{"a", {{"zone", "y"}, {"replaced_by", "zone"}}}}), "ok");
  EXPECT_THAT(world_.calls, ElementsAre("create a"));
  EXPECT_THAT(names(), ElementsAre("a a-2"));
}

TEST_F(DeploymentTest, WhatWasDeletedToBeReplacedIsNotDeletedAgain) {
  run({{"a", {{"zone", "x"}}}});
  run({{"a", {{"zone", "y"}, {"replaced_by", "zone"}, {"first", true}, {"fail", "create"}}}});
  EXPECT_EQ(run({}), "ok");
  EXPECT_THAT(world_.calls, IsEmpty());
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(DeploymentTest, AFailedDeletionEndsNothingWhileOthersAreUnderWay) {
  run({{"a"}, {"b", {{"fail", "delete"}}}, {"c"}});
  auto deployment = open();
  std::vector<std::string> ends;
  world_.calls.clear();
  deployment->finish([&](Result<void> done) { ends.push_back(done ? "ok" : done.error().code); });
  EXPECT_THAT(world_.calls, UnorderedElementsAre("delete a a-1", "delete b b-2", "delete c c-3"));
  EXPECT_THAT(ends, ElementsAre("x.failed"));
  take(*deployment);
  EXPECT_THAT(names(), ElementsAre("b b-2"));
}

TEST_F(DeploymentTest, DeletesWhatIsNotRegisteredTheDependentsFirst) {
  const auto needs = [](const std::string& name) {
    return [name](Registration& r) { r.dependencies = {urn(name)}; };
  };
  run({{"a"}, {"b", {}, needs("a")}, {"c", {}, needs("b")}, {"d"}});
  EXPECT_EQ(run({{"d"}}), "ok");
  EXPECT_THAT(world_.calls, ElementsAre("delete c c-3", "delete b b-2", "delete a a-1"));
  EXPECT_THAT(names(), ElementsAre("d d-4"));
}

TEST_F(DeploymentTest, DeletesSideBySideWhatDoesNotNeedEachOther) {
  run({{"a"}, {"b"}, {"c", {}, [](Registration& r) { r.dependencies = {urn("a")}; }}});
  auto deployment = open();
  world_.calls.clear();
  world_.holds = true;
  std::string out = "unfinished";
  deployment->finish([&](Result<void> done) { out = done ? "ok" : done.error().code; });
  EXPECT_THAT(world_.calls, UnorderedElementsAre("delete c c-3", "delete b b-2"));
  world_.release();
  EXPECT_EQ(world_.calls.back(), "delete a a-1");
  EXPECT_EQ(out, "unfinished");
  world_.release();
  EXPECT_EQ(out, "ok");
}

TEST_F(DeploymentTest, AfterAFailureNothingIsDeletedButWhatWasReplaced) {
  run({{"a", {{"zone", "x"}}}, {"b"}});
  EXPECT_EQ(run({{"a", {{"zone", "y"}, {"replaced_by", "zone"}}}, {"c", {{"fail", "create"}}}}), "x.failed");
  EXPECT_THAT(outcomes_, ElementsAre("ok", "x.failed"));
  EXPECT_THAT(world_.calls, ElementsAre("create a", "create c", "delete a a-1"));
  EXPECT_THAT(names(), ElementsAre("a a-3", "b b-2"));
  EXPECT_THAT(state_.pending, IsEmpty());
}

TEST_F(DeploymentTest, AFailedUpdateKeepsTheOldState) {
  run({{"a", {{"size", 1}}}});
  EXPECT_EQ(run({{"a", {{"size", 2}, {"fail", "update"}}}}), "x.failed");
  EXPECT_EQ(resource("a").inputs, Json({{"size", 1}}));
  EXPECT_EQ(world_.journal.back(), "is a");
}

TEST_F(DeploymentTest, WhatNobodyKnowsTheEndOfStaysPending) {
  EXPECT_EQ(run({{"a", {{"lost", "create"}}}}), "worker.crashed");
  ASSERT_EQ(state_.pending.size(), 1U);
  EXPECT_EQ(state_.pending[0].type, PendingOperation::Type::creating);
  EXPECT_EQ(state_.pending[0].resource.urn, urn("a"));
  EXPECT_THAT(names(), IsEmpty());
  // It is carried on, also by the run that creates it.
  EXPECT_EQ(run({{"a"}}), "ok");
  EXPECT_EQ(state_.pending.size(), 1U);
  EXPECT_EQ(run({{"a", {{"lost", "update"}}}}), "worker.crashed");
  EXPECT_EQ(state_.pending.size(), 2U);
  EXPECT_THAT(names(), ElementsAre("a a-1"));
}

TEST_F(DeploymentTest, WhatIsNotWellIsKeptAndUpdatedNextTime) {
  EXPECT_EQ(run({{"a", {{"half", 1}}}}), "resource.partial");
  EXPECT_THAT(resource("a").init_errors, ElementsAre("not ready"));
  EXPECT_EQ(run({{"a", {{"half", 1}}}}), "resource.partial");
  EXPECT_THAT(world_.calls, ElementsAre("update a"));
  EXPECT_EQ(run({{"a"}}), "ok");
  EXPECT_THAT(resource("a").init_errors, IsEmpty());
}

TEST_F(DeploymentTest, WhatIsProtectedIsNeitherReplacedNorDeleted) {
  const auto protect = [](Registration& r) { r.protect = true; };
  run({{"a", {{"zone", "x"}}, protect}, {"b"}});
  EXPECT_EQ(run({{"a", {{"zone", "y"}, {"replaced_by", "zone"}}, protect}, {"b"}}), "resource.protected");
  EXPECT_THAT(names(), ElementsAre("b b-2", "a a-1"));
  EXPECT_EQ(run({}), "resource.protected");
  EXPECT_THAT(world_.calls, IsEmpty());
  EXPECT_EQ(names().size(), 2U);
  EXPECT_EQ(run({{"a", {{"zone", "x"}}}, {"b"}}), "ok");
  EXPECT_FALSE(resource("a").protect);
  EXPECT_EQ(run({}), "ok");
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(DeploymentTest, WhatIsRetainedIsForgottenOnly) {
  run({{"a", {}, [](Registration& r) { r.retain_on_delete = true; }}});
  EXPECT_EQ(run({}), "ok");
  EXPECT_THAT(world_.calls, IsEmpty());
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(DeploymentTest, AliasesRenameWithoutTouching) {
  const auto child_of = [](const std::string& name) {
    return [name](Registration& r) { r.parent = urn(name); };
  };
  run({{"old"}, {"child", {}, child_of("old")}});
  EXPECT_EQ(
      run({{"new", {}, [](Registration& r) { r.aliases = {urn("old")}; }}, {"child", {}, child_of("new")}}),
      "ok");
  EXPECT_THAT(world_.calls, IsEmpty());
  EXPECT_THAT(names(), ElementsAre("new old-1", "child child-2"));
  EXPECT_EQ(state_.resources.back().parent, urn("new"));
}

TEST_F(DeploymentTest, IgnoresChangesAndReplacesOnOthers) {
  const auto options = [](Registration& r) {
    r.ignore_changes = {"tags.owner"};
    r.replace_on_changes = {"zone"};
  };
  run({{"a", {{"tags", {{"owner", "x"}}}, {"zone", 1}}, options}});
  EXPECT_EQ(run({{"a", {{"tags", {{"owner", "y"}}}, {"zone", 1}}, options}}), "ok");
  EXPECT_THAT(world_.calls, IsEmpty());
  EXPECT_EQ(resource("a").inputs["tags"]["owner"], "x");
  EXPECT_EQ(run({{"a", {{"tags", {{"owner", "x"}}}, {"zone", 2}}, options}}), "ok");
  EXPECT_THAT(world_.calls, ElementsAre("create a", "delete a a-1"));
}

TEST_F(DeploymentTest, SecretsStaySecretInOutputs) {
  run({{"a", {{"token", make_secret("t")}, {"size", 1}}, [](Registration& r) {
          r.additional_secret_outputs = {"made"};
        }}});
  EXPECT_EQ(resource("a").outputs["token"], make_secret("t"));
  EXPECT_EQ(resource("a").outputs["made"], make_secret(1));
  EXPECT_EQ(resource("a").outputs["size"], 1);
}

TEST_F(DeploymentTest, BadRegistrationsAreRefused) {
  EXPECT_EQ(run({{"a"}, {"a"}}), "resource.duplicate");
  EXPECT_EQ(run({{"a", {}, [](Registration& r) { r.parent = urn("none"); }}}), "resource.parent");
  EXPECT_EQ(run({{"a", {}, [](Registration& r) { r.type = "q:r:S"; }}}), "resource.type");
  EXPECT_EQ(run({{"a", {{"bad", 1}}}}), "resource.refused");
  EXPECT_EQ(run({{"a", {{"size", 1}}}}), "ok");
  EXPECT_EQ(run({{"a", {{"size", 2}}, [](Registration& r) { r.ignore_changes = {"a["}; }}}), "resource.path");
}

TEST_F(DeploymentTest, NothingIsDoneWhoseIntentIsNotDurable) {
  world_.journal_fails = true;
  EXPECT_EQ(run({{"a"}}), "state.full");
  EXPECT_THAT(world_.calls, IsEmpty());
  EXPECT_THAT(state_.pending, IsEmpty());
}

TEST_F(DeploymentTest, APreviewTellsAndDoesNothing) {
  run({{"a", {{"zone", "x"}}}, {"b"}, {"c", {{"size", 1}}}});
  const std::string before = print_snapshot(state_, kId, clock_.now);
  EXPECT_EQ(run({{"a", {{"zone", "y"}, {"replaced_by", "zone"}}}, {"c", {{"size", 2}}}, {"d"}}, true), "ok");
  EXPECT_THAT(world_.calls, IsEmpty());
  EXPECT_THAT(world_.journal, IsEmpty());
  EXPECT_EQ(counts_["replace"], 1U);
  EXPECT_EQ(counts_["update"], 1U);
  EXPECT_EQ(counts_["create"], 1U);
  EXPECT_EQ(registered_["d"].id, "");
  EXPECT_TRUE(holds_unknown(registered_["d"].outputs));
  EXPECT_EQ(print_snapshot(state_, kId, clock_.now), before);
}

TEST_F(DeploymentTest, DestroyLeavesNothing) {
  run({{"a"}, {"b", {}, [](Registration& r) { r.parent = urn("a"); }}});
  auto deployment = open();
  world_.calls.clear();
  std::string out = "unfinished";
  deployment->destroy([&](Result<void> done) { out = done ? "ok" : done.error().code; });
  EXPECT_EQ(out, "ok");
  EXPECT_THAT(world_.calls, ElementsAre("delete b b-2", "delete a a-1"));
  take(*deployment);
  EXPECT_THAT(state_.resources, IsEmpty());
}

TEST_F(DeploymentTest, WhatAFailedDeletionNeedsStays) {
  run({{"a"}, {"b", {{"fail", "delete"}}, [](Registration& r) { r.dependencies = {urn("a")}; }}, {"c"}});
  EXPECT_EQ(run({}), "x.failed");
  EXPECT_THAT(names(), ElementsAre("a a-1", "b b-2"));
}

TEST_F(DeploymentTest, ComponentsHoldOthers) {
  const auto component = [](Registration& r) { r.custom = false; };
  const std::vector<Want> both = {{"box", {}, component},
                                  {"a", {}, [](Registration& r) { r.parent = urn("box"); }}};
  EXPECT_EQ(run(both), "ok");
  EXPECT_EQ(registered_["a"].urn, "urn:pulumi:dev::demo::x:y:Z$x:y:Z::a");
  EXPECT_EQ(run(both), "ok");
  EXPECT_EQ(counts_, (std::map<std::string, uint32_t>{{"same", 3}}));
  EXPECT_EQ(run({}), "ok");
  EXPECT_THAT(world_.calls, ElementsAre("delete a a-1"));
  EXPECT_EQ(state_.resources.size(), 1U);
}

}  // namespace
}  // namespace pf::iac
