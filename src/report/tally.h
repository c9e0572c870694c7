// What a run has come to so far, for the views that people read: counts, what runs, what failed and why. Fed
// by one observer on the loop's thread.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "orchestrator/events.h"

namespace pf::report {

using state::InstanceResult;

/// An instance that ended as failed, timed_out or crashed.
struct Failure {
  std::string address;
  InstanceResult result = InstanceResult::failed;
  uint32_t attempts = 1;
  Milliseconds duration{0};
  Error error;
  std::string work_folder;  // where its files were kept; empty when nowhere
};

/// An instance between its first attempt's start and its end.
struct Running {
  uint32_t index = 0;
  uint32_t attempt = 1;
  SteadyTime since{};     // start of the first attempt
  SteadyTime retry_at{};  // while it waits for its next attempt; else the epoch
  std::string progress;   // `3/10 applying`; empty when it told none
};

/// Counts by result.
struct Counts {
  std::array<uint32_t, 16> of{};
  uint32_t& operator[](InstanceResult result) { return of[static_cast<size_t>(result)]; }
  uint32_t operator[](InstanceResult result) const { return of[static_cast<size_t>(result)]; }
  uint32_t failed() const {
    return (*this)[InstanceResult::failed] + (*this)[InstanceResult::timed_out] +
           (*this)[InstanceResult::crashed];
  }
};

/// The running account of one run.
class Tally {
 public:
  void begin(const orchestrator::RunStarted& event, SteadyTime now);
  void started(const orchestrator::InstanceStarted& event, SteadyTime now);
  void attempt_failed(const orchestrator::AttemptFailed& event, SteadyTime now);
  void progress(const orchestrator::Progress& event);
  void run_failed(const Error& error) { run_errors_.push_back(error); }
  /// Returns the failure where it was one (valid until the next), else null.
  const Failure* finished(const orchestrator::InstanceFinished& event);

  /// `the pipeline` for what is no instance: the index that the pipeline's own hooks have.
  const std::string& address(uint32_t index) const {
    static const std::string pipeline = "the pipeline";
    return index < total() ? (*instances_)[index].address : pipeline;
  }
  uint32_t total() const { return instances_ == nullptr ? 0 : static_cast<uint32_t>(instances_->size()); }
  uint32_t done() const { return done_; }
  SteadyTime since() const { return since_; }
  const Counts& counts() const { return counts_; }
  /// In order of their start: the longest first.
  const std::list<Running>& running() const { return running_; }
  const std::vector<Failure>& failures() const { return failures_; }
  /// Errors of the run itself, such as a full disk.
  const Errors& run_errors() const { return run_errors_; }
  const std::string& pipeline() const { return pipeline_; }
  const std::string& run() const { return run_; }
  const std::string& log_file() const { return log_file_; }
  /// `Running climate of prod.yaml: 3 instances`, with the profile where there is one; visible().
  std::string heading(const orchestrator::RunStarted& event, bool verbose) const;

 private:
  Running* find(uint32_t index);

  const std::vector<orchestrator::InstanceInfo>* instances_ = nullptr;
  std::string pipeline_, run_, log_file_;
  SteadyTime since_{};
  uint32_t done_ = 0;
  Counts counts_;
  // An end is told when it is durable: with a slow disk there are many more here than run at once.
  std::list<Running> running_;
  std::unordered_map<uint32_t, std::list<Running>::iterator> places_;
  std::vector<Failure> failures_;
  Errors run_errors_;
};

/// One line of what a hook did: `before_instance of example.a: skip: closed on Sundays (hooks/window.lua)`.
std::string hook_text(const Tally& tally, const orchestrator::HookRan& event);
/// `timed out` for timed_out; else the result's own word.
std::string_view word_for(InstanceResult result);
/// `10 succeeded, 1 failed, 1 blocked`: what there is of each, in the order of the vocabulary.
std::string counts_text(const Counts& counts);
/// `3/10 applying`, `3 files`: how far an instance says it is, on one line.
std::string progress_text(double done, double total, std::string_view text);

}  // namespace pf::report
