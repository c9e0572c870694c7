// Deadlines of a job: wall time and CPU time of the VM's thread. When one passes, a hook makes every further
// Lua instruction raise, so that neither pcall nor a coroutine can swallow it. Code that goes on all the
// same, inside a C function, ends the process with SIGXCPU two seconds of CPU time later. Owned by the VM;
// used and destroyed on the thread that called start().
//
// Cost: two kernel timers are made once. They stay armed from job to job: a signal that comes before the
// deadline of the job that is running sets its timer again, so a job with a later deadline than the last
// one's arms nothing. There is no standing hook (but under TSan, which delivers no signals to code that it
// did not build).
#pragma once

#include <signal.h>
#include <time.h>

#include <atomic>
#include <chrono>
#include <cstdint>

#include "base/error.h"

struct lua_State;

namespace pf::vm {

/// Which deadline has passed.
enum class Expiry : uint8_t { none, wall, cpu };

/// The two timers of a VM's thread.
class Deadlines {
 public:
  Deadlines() = default;
  ~Deadlines();
  Deadlines(const Deadlines&) = delete;
  Deadlines& operator=(const Deadlines&) = delete;

  /// Makes the timers for the calling thread and takes the signal SIGRTMIN for the process. `L` is any state
  /// of the VM and stays valid. Error `os.*`.
  Result<void> start(lua_State* L);
  /// A job begins; zero means no bound.
  void begin(std::chrono::milliseconds wall, std::chrono::milliseconds cpu);
  /// It has ended: from here on no hook is set.
  void end();
  /// What passed since begin().
  Expiry expired() const { return expired_.load(std::memory_order_relaxed); }
  /// CPU time of the calling thread, nanoseconds.
  static int64_t cpu_now();

 private:
  struct Timer {
    Deadlines* owner = nullptr;
    clockid_t clock = 0;
    Expiry meaning = Expiry::none;
    bool made = false;
    timer_t id{};
    std::atomic<int64_t> deadline{0};  // ns on its clock; 0 = none
    std::atomic<int64_t> armed{0};     // when the kernel will signal; 0 = not at all
  };

  static void on_signal(int signal, siginfo_t* info, void* context);
  static void set(Timer& timer, int64_t at);
  static int64_t now(clockid_t clock);
  void check(Timer& timer);
  void begin(Timer& timer, std::chrono::milliseconds bound);
#if defined(__SANITIZE_THREAD__)
  friend struct Poll;
#endif

  lua_State* L_ = nullptr;
  Timer wall_;
  Timer cpu_;
  std::atomic<Expiry> expired_{Expiry::none};
};

}  // namespace pf::vm
