// Several observers of one run. Belongs to the thread of the run's loop.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "orchestrator/events.h"

namespace pf::report {

/// Passes each event to its observers in the order in which they were added: those that write files come
/// before the view, so that it can tell of a file that could not be written.
class Tee final : public orchestrator::Observer {
 public:
  void add(std::unique_ptr<orchestrator::Observer> observer) { observers_.push_back(std::move(observer)); }

  void on(const orchestrator::RunStarted& event) override { pass(event); }
  void on(const orchestrator::InstanceStarted& event) override { pass(event); }
  void on(const orchestrator::AttemptFailed& event) override { pass(event); }
  void on(const orchestrator::InstanceFinished& event) override { pass(event); }
  void on(const orchestrator::LogLine& event) override { pass(event); }
  void on(const orchestrator::Progress& event) override { pass(event); }
  void on(const orchestrator::Refused& event) override { pass(event); }
  void on(const orchestrator::Expanded& event) override { pass(event); }
  void on(const orchestrator::HookRan& event) override { pass(event); }
  void on(const orchestrator::RunFailure& event) override { pass(event); }
  void on(const orchestrator::RunFinished& event) override { pass(event); }
  void tick(SteadyTime now) override {
    for (auto& observer : observers_) observer->tick(now);
  }
  void leaving() override {
    for (auto& observer : observers_) observer->leaving();
  }

 private:
  template <class Event>
  void pass(const Event& event) {
    for (auto& observer : observers_) observer->on(event);
  }
  std::vector<std::unique_ptr<orchestrator::Observer>> observers_;
};

}  // namespace pf::report
