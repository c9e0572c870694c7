// Random programs over random histories, against a world that knows what there really is: whatever fails, and
// wherever the process dies, the state names all that exists and nothing else, or says that it does not know.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <random>
#include <set>

#include "iac/deployment.h"
#include "iac/helpers.h"
#include "iac/journal.h"

namespace pf::iac {
namespace {

const StackId kId{"demo", "dev"};
constexpr uint32_t kSeeds = 250;

/// What there is, and the journal of what is done with it.
class World final : public Providers, public Journal {
 public:
  explicit World(uint32_t seed) : random_(seed) {}
  std::set<std::string> alive;      // ids
  std::set<std::string> uncertain;  // of operations of which nobody knows the end
  KeptJournal kept;
  std::function<void()> after_each;
  int trouble = 0;  // in a hundred operations

  bool has(const std::string& type) const override { return type == "x:y:Z"; }
  void call(ProviderCall call, Answer answer) override {
    using Kind = ProviderCall::Kind;
    ProviderAnswer out;
    if (call.kind == Kind::check) {
      out.inputs = call.inputs;
      return later([answer, out] { answer(out); });
    }
    if (call.kind == Kind::diff) {
      out.changed = call.old_inputs != call.inputs;
      if (call.old_inputs["zone"] != call.inputs["zone"]) out.replaces = {"zone"};
      out.delete_before_replace = call.inputs["first"] == true;
      return later([answer, out] { answer(out); });
    }
    later([this, call = std::move(call), answer = std::move(answer)] {
      const bool troubled = static_cast<int>(random_() % 100) < trouble;
      const auto how = troubled ? random_() % 3 : 3;  // refused, lost before or after it was done, done
      const std::string id = call.kind == Kind::create ? "id-" + std::to_string(++made_) : call.id;
      if (how >= 2) {
        if (call.kind == Kind::create) alive.insert(id);
        if (call.kind == Kind::remove) alive.erase(id);
      }
      if (how == 1 || how == 2) {
        uncertain.insert(id);
        return answer(refuse("worker.crashed", "it died", ""));
      }
      if (how == 0) return answer(refuse("x.failed", "no", ""));
      ProviderAnswer done;
      if (call.kind == Kind::create) done.id = id;
      done.outputs = call.inputs;
      answer(std::move(done));
    });
  }

  void begin(const PendingOperation& intent, std::function<void(Result<void>)> go) override {
    note(KeptJournal::Entry::Kind::begin, intent, &intent.resource);
    after_each();
    later([go = std::move(go)] { go({}); });
  }
  void end(const PendingOperation& intent, const Resource* now) override {
    note(KeptJournal::Entry::Kind::end, intent, now);
    after_each();
  }
  void note(const Resource& resource) override {
    note(KeptJournal::Entry::Kind::note, {{}, resource}, &resource);
  }

  // Answers come in any order.
  bool step() {
    if (queue_.empty()) return false;
    std::swap(queue_[random_() % queue_.size()], queue_.back());
    const auto one = std::move(queue_.back());
    queue_.pop_back();
    one();
    return true;
  }
  std::mt19937& random() { return random_; }

 private:
  void note(KeptJournal::Entry::Kind kind, const PendingOperation& intent, const Resource* now) {
    KeptJournal::Entry entry{kind, intent.type, intent.resource.urn, intent.resource.id, {}};
    if (now != nullptr) entry.resource = *now;
    kept.entries.push_back(std::move(entry));
  }
  void later(std::function<void()> what) { queue_.push_back(std::move(what)); }

  std::mt19937 random_;
  std::vector<std::function<void()>> queue_;
  int made_ = 0;
};

std::multiset<std::string> as_set(const Snapshot& snapshot) {
  std::multiset<std::string> out;
  for (const Resource& resource : snapshot.resources) {
    std::string text;
    append_resource(text, resource);
    out.insert(std::move(text));
  }
  for (const PendingOperation& pending : snapshot.pending)
    out.insert("pending " + std::string(to_text(pending.type)) + " " + pending.resource.urn);
  return out;
}

// What only one of two has.
std::string difference(const Snapshot& replayed, const Snapshot& known) {
  const auto a = as_set(replayed);
  const auto b = as_set(known);
  std::vector<std::string> only;
  std::set_symmetric_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(only));
  std::string out;
  for (const std::string& one : only) out += (a.contains(one) ? "replayed: " : "known: ") + one + "\n";
  return out;
}

/// One history: some runs of programs that change, with or without trouble, the last without.
class History {
 public:
  explicit History(uint32_t seed) : world_(seed) {}

  void play() {
    const auto runs = 2 + world_.random()() % 4;
    for (uint32_t i = 0; i < runs && !testing::Test::HasFailure(); ++i) {
      const bool last = i + 1 == runs;
      world_.trouble = last || world_.random()() % 3 == 0 ? 0 : static_cast<int>(world_.random()() % 40);
      run(last);
    }
    if (!testing::Test::HasFailure() && world_.random()() % 2 == 0) destroy();
  }

 private:
  std::unique_ptr<Deployment> open() {
    Deployment::Options options;
    options.clock = &clock_;
    options.new_id = [this] { return "uuid-" + std::to_string(++ids_); };
    auto deployment = std::make_unique<Deployment>(kId, state_, world_, world_, std::move(options));
    world_.kept = {};
    // Where the process dies after any entry of the journal, as much is known as it knew itself.
    world_.after_each = [this, known = deployment.get()] {
      EXPECT_EQ(difference(replay(state_, world_.kept), known->snapshot()), "");
    };
    return deployment;
  }

  void run(bool last) {
    if (testing::Test::HasFailure()) return;
    auto deployment = open();
    auto& random = world_.random();
    const auto count = random() % 7;
    std::map<std::string, Urn> made;
    std::vector<std::string> names;
    bool ended = false;
    Result<void> outcome;
    for (uint32_t i = 0; i < count; ++i) {
      Registration wanted;
      wanted.type = "x:y:Z";
      wanted.name = std::string(1, static_cast<char>('a' + random() % 8));
      wanted.inputs = {{"size", random() % 3}, {"zone", random() % 2}, {"first", random() % 2 == 0}};
      for (const auto& [name, urn] : made) {
        if (random() % 3 == 0) wanted.dependencies.push_back(urn);
      }
      if (std::find(names.begin(), names.end(), wanted.name) != names.end()) continue;
      names.push_back(wanted.name);
      const std::string name = wanted.name;
      deployment->register_resource(std::move(wanted), [&made, name](Result<Registered> done) {
        if (done) made[name] = done->urn;
      });
      while (random() % 4 != 0 && world_.step()) {
      }
    }
    while (world_.step()) {
    }
    deployment->finish([&](Result<void> done) {
      ended = true;
      outcome = std::move(done);
    });
    while (world_.step()) {
    }
    ASSERT_TRUE(ended);
    take(*deployment);
    if (world_.trouble == 0 && last) {
      EXPECT_TRUE(outcome) << outcome.error().message;
      std::set<std::string> wanted(names.begin(), names.end());
      EXPECT_EQ(present(), wanted);
    }
  }

  void destroy() {
    world_.trouble = 0;
    auto deployment = open();
    bool ended = false;
    deployment->destroy([&](Result<void> done) {
      ended = true;
      EXPECT_TRUE(done) << done.error().message;
    });
    while (world_.step()) {
    }
    ASSERT_TRUE(ended);
    take(*deployment);
    EXPECT_TRUE(state_.resources.empty());
  }

  std::set<std::string> present() const {
    std::set<std::string> out;
    for (const Resource& resource : state_.resources) {
      if (resource.type == "x:y:Z") out.insert(std::string(urn_name(resource.urn)));
    }
    return out;
  }

  void take(const Deployment& deployment) {
    state_ = deployment.snapshot();
    const auto whole = check_integrity(state_, "dev.json");
    EXPECT_TRUE(whole) << whole.error().message;
    std::set<std::string> named;
    for (const Resource& resource : state_.resources) {
      if (resource.type == "x:y:Z" && !resource.pending_replacement) named.insert(resource.id);
    }
    for (const std::string& id : world_.alive) {
      EXPECT_TRUE(named.contains(id) || world_.uncertain.contains(id)) << id << " is lost";
    }
    for (const std::string& id : named) {
      EXPECT_TRUE(world_.alive.contains(id) || world_.uncertain.contains(id)) << id << " is not there";
    }
  }

  StandingClock clock_;
  World world_;
  Snapshot state_;
  int ids_ = 0;
};

TEST(DeploymentSimulation, LosesNothingWhateverHappens) {
  for (uint32_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    History(seed).play();
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace pf::iac
