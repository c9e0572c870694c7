// What the tests of the scheduler share: a pipeline written down instance by instance, and a world in which
// attempts end when the test says so.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "orchestrator/scheduler.h"
#include "orchestrator/simulation_plan.h"

namespace pf::orchestrator {

using Offer = Scheduler::Offer;
using Expansion = Scheduler::Expansion;
using Known = Scheduler::Known;
using Stop = Scheduler::Stop;
using R = InstanceResult;
using pipeline::EdgeWhen;
using Names = std::vector<std::string>;

/// A pipeline written down instance by instance, and a world without workers: attempts end when the test says
/// so.
class Bench : public Scheduler::Actions {
 public:
  using Edges = std::vector<std::pair<std::string, EdgeWhen>>;

  explicit Bench(uint32_t sections = 1) {
    plan.sections.resize(sections);
    plan.workers.resize(sections);
  }

  simulation::Item& add(const std::string& name, const Names& needs = {}, uint32_t section = 0) {
    Edges edges;
    for (const auto& upstream : needs) edges.emplace_back(upstream, EdgeWhen::succeeded);
    return add_with(name, edges, section);
  }
  simulation::Item& add_with(const std::string& name, const Edges& needs, uint32_t section = 0) {
    simulation::Item item;
    item.section = section;
    for (const auto& [upstream, when] : needs) item.edges.push_back({index(upstream), when});
    names.push_back(name);
    known.emplace_back();
    return plan.items.emplace_back(std::move(item));
  }
  Known& know(const std::string& name) { return known[index(name)]; }

  Scheduler& make(Scheduler::Options options = {}) {
    if (options.known.empty()) options.known = known;
    pipeline = plan.build();
    scheduler = std::make_unique<Scheduler>(*pipeline, std::move(options), *this);
    return *scheduler;
  }
  Scheduler& start(Scheduler::Options options = {}) {
    make(std::move(options)).start();
    return *scheduler;
  }

  uint32_t index(const std::string& name) const {
    const auto at = std::find(names.begin(), names.end(), name);
    EXPECT_NE(at, names.end()) << name;
    return static_cast<uint32_t>(at - names.begin());
  }
  void end(const std::string& name, R result, const std::string& code = "extension.error",
           bool retryable = true, bool again = false) {
    ASSERT_EQ(running_now.erase(index(name)), 1U) << name << " does not run";
    AttemptEnd end;
    end.result = result;
    end.error.code = code;
    end.error.message = "connection reset";
    end.error.retryable = retryable;
    end.again = again;
    scheduler->attempt_ended(index(name), std::move(end));
  }
  void again(const std::string& name) { scheduler->ready_again(index(name)); }
  R result(const std::string& name) { return scheduler->result(index(name)); }
  std::string cause(const std::string& name) {
    return causes[index(name)] < 0 ? "" : names[static_cast<size_t>(causes[index(name)])];
  }
  uint32_t attempts(const std::string& name) { return attempts_of[index(name)]; }
  Names runs() const {
    Names out;
    for (const uint32_t i : running_now) out.push_back(names[i]);
    return out;
  }
  /// In the order in which they were taken.
  Names order() const {
    Names out;
    for (const auto& [i, attempt] : starts) out.push_back(names[i]);
    return out;
  }

  Offer offer(uint32_t i, uint32_t attempt, bool may_start, Scheduler::Answer& answer) override {
    if (const auto said = answers.find(i); said != answers.end() && said->second != Offer::taken) {
      answer = given;
      if (answer.error.code.empty() && said->second != Offer::reuse) answer.error.code = "config.type";
      offered.push_back(attempt);
      return said->second;
    }
    if (!may_start || closed.contains(plan.items[i < plan.items.size() ? i : 0].section))
      return Offer::no_room;
    running_now.insert(i);
    starts.emplace_back(i, attempt);
    return Offer::taken;
  }
  uint32_t running() const override { return static_cast<uint32_t>(running_now.size()); }
  void conclude(uint32_t i, R result, uint32_t attempts, const Error* error, int64_t cause) override {
    EXPECT_FALSE(results.contains(i)) << names[i] << " ended twice";
    results[i] = result;
    attempts_of[i] = attempts;
    causes[i] = cause;
    codes[i] = error == nullptr ? "" : error->code;
    ends.push_back(names[i]);
  }
  void retry(uint32_t i, uint32_t, const Error&, Milliseconds delay) override {
    backing_off.push_back(names[i]);
    delays.push_back(delay);
  }
  double random() override { return dice; }
  Expansion expand(uint32_t group, Scheduler::Children& children) override {
    if (const auto said = expansions.find(group);
        said != expansions.end() && said->second != Expansion::done) {
      children.error = given.error;
      return said->second;
    }
    children.first = static_cast<uint32_t>(names.size());
    children.count = simulation::append_children(plan, group, *pipeline);
    children.known = child_known;
    for (uint32_t k = 0; k < children.count; ++k) names.push_back(names[group] + std::to_string(k));
    return Expansion::done;
  }
  void group_ended(uint32_t group, R result, int64_t cause) override {
    EXPECT_FALSE(results.contains(group));
    results[group] = result;
    causes[group] = cause;
    ends.push_back("(" + names[group] + ")");
  }

  simulation::Plan plan;
  Names names;
  std::vector<Known> known, child_known;
  std::unique_ptr<pipeline::Pipeline> pipeline;
  std::unique_ptr<Scheduler> scheduler;
  std::map<uint32_t, Offer> answers;
  std::map<uint32_t, Expansion> expansions;
  Scheduler::Answer given;
  std::set<uint32_t> closed;  // sections without room
  double dice = 1;
  std::set<uint32_t> running_now;
  std::vector<std::pair<uint32_t, uint32_t>> starts;
  std::vector<uint32_t> offered;  // attempts, of those that were not taken
  std::map<uint32_t, R> results;
  std::map<uint32_t, uint32_t> attempts_of;
  std::map<uint32_t, int64_t> causes;
  std::map<uint32_t, std::string> codes;
  Names ends, backing_off;
  std::vector<Milliseconds> delays;
};

inline Bench diamond() {
  Bench b;
  b.add("a");
  b.add("b", {"a"});
  b.add("c", {"a"});
  b.add("d", {"b", "c"});
  return b;
}

}  // namespace pf::orchestrator
