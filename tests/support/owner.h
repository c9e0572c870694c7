// The thread that owns a service, for tests: runs what is posted, until something is done. Waits are recorded
// and over at once.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

#include "base/clock.h"

namespace pf::test {

/// The owner's thread is the test's own.
class Owner {
 public:
  std::function<void(std::function<void()>)> post() {
    return [this](std::function<void()> f) {
      std::lock_guard lock(mutex_);
      posted_.push_back(std::move(f));
      ready_.notify_one();
    };
  }
  /// Posts at once, and remembers how long the wait would have been.
  std::function<std::function<void()>(Milliseconds, std::function<void()>)> after() {
    return [this](Milliseconds wait, std::function<void()> f) {
      waits.push_back(wait);
      auto live = std::make_shared<bool>(true);
      post()([live, f = std::move(f)] {
        if (*live) f();
      });
      return [live] { *live = false; };
    };
  }
  void run_until(const bool& done) {
    while (!done && !testing::Test::HasFatalFailure()) step();
  }
  void step() {
    std::function<void()> next;
    {
      std::unique_lock lock(mutex_);
      ASSERT_TRUE(ready_.wait_for(lock, std::chrono::seconds(60), [&] { return !posted_.empty(); }));
      next = std::move(posted_.front());
      posted_.pop_front();
    }
    next();
  }

  std::vector<Milliseconds> waits;

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::function<void()>> posted_;
};

}  // namespace pf::test
