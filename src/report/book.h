// All that a run told, kept for a report that is written at its end. Belongs to one observer and the loop's
// thread. What is kept is bounded; what was left out is counted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "orchestrator/events.h"
#include "report/tally.h"

namespace pf::report {

/// From one attempt's start to its end, in milliseconds since the run's start.
struct Span {
  int64_t begin = 0;
  int64_t end = -1;  // -1: it has not ended
  bool failed = false;
};

/// One instance's story.
struct Story {
  InstanceResult result = InstanceResult::none;
  uint32_t attempts = 0;
  Milliseconds duration{0};
  std::vector<Span> spans;
  uint64_t cpu_us = 0;
  uint64_t peak_bytes = 0;
  uint64_t read_bytes = 0;
  uint64_t write_bytes = 0;
  WallTime cached_at{};
  std::string why;
  std::string blocked_by;
  std::string work_folder;
  std::string outputs;                // CBOR map
  std::string log;                    // lines: `10:12:05 warning text`
  uint64_t log_cut = 0;               // lines that are not kept
  std::vector<std::string> refused;   // `http.get: no permission [permission.http]`
  std::vector<Error> attempt_errors;  // of attempts that were followed by another
  std::optional<Error> error;
};

/// What a hook did.
struct HookStory {
  int64_t begin = 0;  // milliseconds since the run's start
  int64_t index = -1;
  std::string stage, script, decision, text;
  Milliseconds duration{0};
};

/// The whole run.
struct Book {
  std::string run, pipeline, file, profile, log_file, sandbox;  // sandbox: JSON text
  bool resumed = false;
  uint32_t max_parallel = 0;
  WallTime started{};
  const std::vector<orchestrator::InstanceInfo>* instances = nullptr;
  const std::vector<std::vector<uint32_t>>* upstream = nullptr;
  std::vector<Story> stories;  // by index
  std::vector<HookStory> hooks;
  uint64_t hooks_cut = 0;
  Errors errors;              // of the run itself
  uint64_t logs_dropped = 0;  // instances whose log is not kept
  uint64_t outputs_dropped = 0;

  const std::string& address(size_t index) const { return (*instances)[index].address; }
};

/// Fills a book from events.
class Bookkeeper {
 public:
  void on(const orchestrator::RunStarted& event);
  void on(const orchestrator::InstanceStarted& event);
  void on(const orchestrator::AttemptFailed& event);
  void on(const orchestrator::InstanceFinished& event);
  void on(const orchestrator::LogLine& event);
  void on(const orchestrator::Refused& event);
  void on(const orchestrator::Expanded& event);
  void on(const orchestrator::HookRan& event);
  void on(const orchestrator::RunFailure& event) { book_.errors.push_back(*event.error); }
  const Book& book() const { return book_; }

 private:
  Story& story(uint32_t index);
  int64_t since_start(WallTime time) const;

  Book book_;
  uint64_t log_bytes_ = 0;  // of instances that have ended
  uint64_t output_bytes_ = 0;
};

}  // namespace pf::report
