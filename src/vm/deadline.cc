#include "vm/deadline.h"

#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <lua.hpp>

namespace pf::vm {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
// Once a deadline has passed the signal comes again and again: a hook that was set while LuaJIT was changing
// its own dispatch tables may be lost.
constexpr int64_t kAgain = 10'000'000;
// So long after the end of its CPU time code that no hook has reached is inside a C function for good.
constexpr int64_t kStuck = 2 * kSecond;

void raise_hook(lua_State* L, lua_Debug*) {
  lua_pushliteral(L, "the deadline has passed");
  lua_error(L);
}

}  // namespace

#if defined(__SANITIZE_THREAD__)
/// COMPAT: TSan delivers a signal only at calls that it intercepts, and a Lua loop makes none: poll.
struct Poll {
  static thread_local Deadlines* current;
  static void hook(lua_State*, lua_Debug*) {
    if (current == nullptr) return;
    current->check(current->wall_);
    current->check(current->cpu_);
  }
};
thread_local Deadlines* Poll::current = nullptr;
#endif

int64_t Deadlines::now(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return time.tv_sec * kSecond + time.tv_nsec;
}

int64_t Deadlines::cpu_now() { return now(CLOCK_THREAD_CPUTIME_ID); }

Result<void> Deadlines::start(lua_State* L) {
  L_ = L;
  struct sigaction action {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigemptyset(&action.sa_mask);
  if (sigaction(SIGRTMIN, &action, nullptr) != 0) return tl::unexpected(system_error("sigaction", errno));
  sigset_t mine;
  sigemptyset(&mine);
  sigaddset(&mine, SIGRTMIN);
  pthread_sigmask(SIG_UNBLOCK, &mine, nullptr);
  for (Timer* timer : {&wall_, &cpu_}) {
    timer->owner = this;
    timer->clock = timer == &wall_ ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID;
    timer->meaning = timer == &wall_ ? Expiry::wall : Expiry::cpu;
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGRTMIN;
    event.sigev_value.sival_ptr = timer;
    event._sigev_un._tid = gettid();  // COMPAT: glibc 2.36 has no name for this field
    if (timer_create(timer->clock, &event, &timer->id) != 0) {
      return tl::unexpected(system_error("timer_create", errno));
    }
    timer->made = true;
  }
  return {};
}

Deadlines::~Deadlines() {
  end();
  // A signal that is under way reaches this thread before timer_delete returns to it.
  if (wall_.made) timer_delete(wall_.id);
  if (cpu_.made) timer_delete(cpu_.id);
}

void Deadlines::set(Timer& timer, int64_t at) {
  itimerspec spec{};
  spec.it_value.tv_sec = at / kSecond;
  spec.it_value.tv_nsec = at % kSecond;
  timer.armed.store(at, std::memory_order_relaxed);
  timer_settime(timer.id, TIMER_ABSTIME, &spec, nullptr);
}

void Deadlines::begin(Timer& timer, std::chrono::milliseconds bound) {
  if (bound.count() <= 0) return;
  const int64_t deadline = now(timer.clock) + std::chrono::nanoseconds(bound).count();
  timer.deadline.store(deadline, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  const int64_t armed = timer.armed.load(std::memory_order_relaxed);
  if (armed == 0 || armed > deadline) set(timer, deadline);
}

void Deadlines::begin(std::chrono::milliseconds wall, std::chrono::milliseconds cpu) {
  expired_.store(Expiry::none, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
#if defined(__SANITIZE_THREAD__)
  Poll::current = this;
  lua_sethook(L_, Poll::hook, LUA_MASKCOUNT, 1000);
#endif
  begin(wall_, wall);
  begin(cpu_, cpu);
}

void Deadlines::end() {
  wall_.deadline.store(0, std::memory_order_relaxed);
  cpu_.deadline.store(0, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
#if defined(__SANITIZE_THREAD__)
  Poll::current = nullptr;
#endif
}

void Deadlines::check(Timer& timer) {
  const int64_t deadline = timer.deadline.load(std::memory_order_relaxed);
  if (deadline == 0) {
    timer.armed.store(0, std::memory_order_relaxed);
    return;
  }
  const int64_t time = now(timer.clock);
  if (time < deadline) {
    set(timer, deadline);
    return;
  }
  // Nothing but the end of the process bounds a C function. For wall time the core sees to that.
  if (timer.meaning == Expiry::cpu && time - deadline > kStuck) raise(SIGXCPU);
  Expiry none = Expiry::none;
  expired_.compare_exchange_strong(none, timer.meaning, std::memory_order_relaxed);
  // LuaJIT's hooks are of the whole VM: this reaches every coroutine. Count 1, and never taken away: a pcall
  // that catches the error runs into the next one at once.
  lua_sethook(L_, raise_hook, LUA_MASKCOUNT, 1);
  set(timer, time + kAgain);
}

void Deadlines::on_signal(int, siginfo_t* info, void*) {
  if (info->si_code != SI_TIMER) return;
  const int saved = errno;
  auto* timer = static_cast<Timer*>(info->si_value.sival_ptr);
  timer->owner->check(*timer);
  errno = saved;
}

}  // namespace pf::vm
