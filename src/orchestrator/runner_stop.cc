// How a run is stopped: by signals, and by the pipeline's deadline; and how programs end whose attempt has
// run out of time.
#include <asio/steady_timer.hpp>
#include <csignal>

#include "orchestrator/errors.h"
#include "orchestrator/runner.h"

namespace pf::orchestrator {
namespace {

// How long running attempts may take to end by themselves when the run is stopped.
constexpr Milliseconds kCancelGrace{2000};
// Those with programs, which may hold locks and have to write down what they did. A CI runner takes some 10 s
// from SIGINT to SIGKILL.
constexpr Milliseconds kProgramGrace{8000};
// From SIGTERM to SIGKILL after a second signal: a CI runner gives 2.5 s then.
constexpr Milliseconds kSecondGrace{1000};
// From SIGTERM to SIGKILL where an attempt has timed out, as with the `timeout` of forge.process.run.
constexpr Milliseconds kTimeoutGrace{2000};
// How often it is seen whether programs have ended, once kCancelGrace is over.
constexpr Milliseconds kLook{20};

}  // namespace

struct Runner::Ending {
  explicit Ending(asio::io_context& loop) : timer(loop) {}
  worker::Done done;
  asio::steady_timer timer;
};

bool Runner::spared(uint32_t instance) const {
  return !abandoned_ && pipeline_.settings[pipeline_.instances[instance].settings].finally;
}

void Runner::stop(int signal) {
  backoff_.clear();
  scheduler_.stop(expired_ ? Scheduler::Stop::deadline : Scheduler::Stop::cancelled);
  signal_ = signal;
  for (auto& [instance, attempt] : attempts_) {
    if (!spared(instance) && attempt.session) attempt.session->interrupt(signal);
  }
  for (auto& [instance, undoing] : undoings_) {
    if (undoing.attempt.session) undoing.attempt.session->interrupt(signal);
  }
  for (auto& section : sections_) {
    if (section.bootstrap_session && !spared(section.bootstrap_for))
      section.bootstrap_session->interrupt(signal);
  }
  if (hooks_) hooks_->interrupt(signal);
  hard_end_ = Clock::system().steady() + kProgramGrace;
  grace_timer_.expires_after(kCancelGrace);
  grace_timer_.async_wait([this](std::error_code code) {
    if (code) return;
    if (hooks_) hooks_->cancel();
    end_running();
  });
}

// Ends what runs, but for cleanups unless they were given up, too. Whoever has programs that run has until
// hard_end_, and once they have ended a moment for what it makes of that.
void Runner::end_running() {
  const SteadyTime now = Clock::system().steady();
  bool left = false;
  const auto lenient = [&](api::Session* session, SteadyTime& since) {
    if (now >= hard_end_) return false;
    if (session != nullptr && session->interrupt(signal_))
      since = now;
    else if (abandoned_ || since == SteadyTime{} || now - since >= kCancelGrace)
      return false;
    return left = true;
  };
  // Lists, since cancelling may end an attempt that was only queued.
  std::vector<uint32_t> ids;
  for (auto& [instance, attempt] : attempts_) {
    if (!spared(instance) && !lenient(attempt.session.get(), attempt.lenient)) ids.push_back(instance);
  }
  for (uint32_t instance : ids) section_of(instance).pool->cancel(instance);
  ids.clear();
  for (auto& [instance, undoing] : undoings_) {
    if (undoing.offered && !lenient(undoing.attempt.session.get(), undoing.attempt.lenient))
      ids.push_back(instance);
  }
  for (uint32_t instance : ids) section_of(instance).pool->cancel(instance | kDestroyJob);
  for (auto& section : sections_) {
    if (section.bootstrap == Section::Bootstrap::running && section.bootstrap_offered &&
        !spared(section.bootstrap_for) &&
        !lenient(section.bootstrap_session.get(), section.bootstrap_lenient)) {
      section.pool->cancel(section.bootstrap_job.id);
    }
  }
  if (!left) return;
  grace_timer_.expires_after(kLook);
  grace_timer_.async_wait([this](std::error_code code) {
    if (!code) end_running();
  });
}

void Runner::cancel(int signal) {
  if (!cancelled_) {
    cancelled_ = true;
    stop(signal);
  } else {
    abandoned_ = true;
    grace_timer_.cancel();
    signal_ = SIGTERM;
    hard_end_ = Clock::system().steady() + kSecondGrace;
    scheduler_.abandon();
    if (hooks_) hooks_->cancel();
    end_running();
  }
  finish_if_done();
}

void Runner::expire() {
  if (cancelled_ || expired_) return;
  expired_ = true;
  stop(SIGTERM);
  finish_if_done();
}

// Programs of an attempt that has run out of time are asked to end before they are killed. True: job_over()
// comes when they have.
bool Runner::programs_may_end(uint64_t job, worker::Done& done) {
  if (done.status != worker::Done::Status::timed_out && done.error.code != "deadline.attempt") return false;
  Attempt& attempt = attempt_of(job);
  if (!attempt.session || attempt.ending) return false;
  auto ending = std::make_shared<Ending>(parts_.loop);
  const auto end = [this, job, weak = std::weak_ptr<Ending>(ending)] {
    const auto over = weak.lock();
    if (!over) return;
    attempt_of(job).ending.reset();
    job_over(job, std::move(over->done));
  };
  if (!attempt.session->interrupt(SIGTERM, end)) return false;
  ending->done = std::move(done);
  ending->timer.expires_after(kTimeoutGrace);
  ending->timer.async_wait([end](std::error_code code) {
    if (!code) end();
  });
  attempt.ending = std::move(ending);
  return true;
}

void Runner::job_over(uint64_t job, worker::Done done) {
  const auto instance = static_cast<uint32_t>(job);
  if ((job & kDestroyJob) != 0) return undone(instance, std::move(done));
  attempt_done(instance, std::move(done));
}

}  // namespace pf::orchestrator
