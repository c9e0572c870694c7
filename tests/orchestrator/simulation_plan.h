// A random pipeline and all that will happen to it, as a pure function of a seed: its shape, its settings,
// how each attempt ends, when signals come. Nothing here knows the scheduler.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "pipeline/pipeline.h"
#include "state/store.h"

namespace pf::orchestrator::simulation {

using R = state::InstanceResult;
using pipeline::EdgeWhen;

/// Random numbers that are the same with every standard library (splitmix64).
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}
  uint64_t next();
  uint32_t below(uint32_t end) { return static_cast<uint32_t>(next() % end); }
  bool one_in(uint32_t n) { return below(n) == 0; }

 private:
  uint64_t state_;
};

/// What an instance does when it is offered.
enum class Kind : uint8_t { runs, skip, refuse, cached };

struct Item {
  uint32_t section = 0;
  pipeline::Settings settings;
  std::vector<pipeline::Edge> edges;
  Kind kind = Kind::runs;
  bool excluded = false;
  bool group = false;
  uint32_t children = 0;  // of a group
  bool expand_fails = false;
  int64_t prepare_ms = 0;  // its first offer has to wait so long; 0: it need not
  int64_t expected_ms = 0;
};

/// How one attempt ends, left alone.
struct Outcome {
  int64_t ms = 0;
  R result = R::succeeded;
  std::string code;
  bool retryable = true;
  bool again = false;  // a hook asks for one more
};

struct Plan {
  uint64_t seed = 0;
  std::vector<Item> items;
  std::vector<pipeline::Section> sections;
  std::vector<pipeline::Pool> pools;
  std::vector<uint32_t> workers;   // by section: how many attempts find room
  std::vector<int64_t> closed_ms;  // by section: it has no room before (a bootstrap runs)
  bool queues = false;             // a section takes one attempt ahead of the running ones
  uint32_t max_parallel = 1;
  bool fail_fast = false;
  // When they come, or -1.
  int64_t first_signal_ms = -1;
  int64_t grace_ms = 0;
  int64_t second_signal_ms = -1;
  int64_t deadline_ms = -1;

  static Plan make(uint64_t seed);
  std::string text() const;
  std::unique_ptr<pipeline::Pipeline> build() const;
  /// Whether results depend on nothing but the graph and the outcomes while no signal comes.
  bool timeless() const;
  bool interrupted() const { return first_signal_ms >= 0 || second_signal_ms >= 0 || deadline_ms >= 0; }
};

/// What an instance is called in journals: indices of a group's instances differ from run to run.
using Key = uint32_t;
constexpr Key kChildren = 1000;
inline Key child_key(uint32_t group, uint32_t k) { return kChildren * (group + 1) + k; }
inline bool is_child(Key key) { return key >= kChildren; }
/// The item whose settings it has.
inline uint32_t item_of(Key key) { return is_child(key) ? key / kChildren - 1 : key; }

Outcome outcome(const Plan& plan, Key key, uint32_t attempt);
Kind kind_of(const Plan& plan, Key key);
bool excluded(const Plan& plan, Key key);
int64_t prepare_ms(const Plan& plan, Key key);
int64_t expected_ms(const Plan& plan, Key key);

/// Appends a group's instances, as pipeline::expand does: they have no edges.
uint32_t append_children(const Plan& plan, uint32_t group, pipeline::Pipeline& pipeline);

}  // namespace pf::orchestrator::simulation
