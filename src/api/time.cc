// forge.time.now and forge.time.sleep.
#include <asio/steady_timer.hpp>
#include <chrono>

#include "api/attempt.h"
#include "base/clock.h"

namespace pf::api {
namespace {

constexpr double kLongestSleep = 86400;  // seconds

void now(Request request) {
  const auto since = Clock::system().wall().time_since_epoch();
  std::string out;
  cbor::Writer(out).number(std::chrono::duration<double>(since).count());
  request.answer(std::move(out));
}

void sleep(Request request) {
  const double seconds = request.arguments.number(0);
  if (seconds < 0 || seconds > kLongestSleep) {
    request.answer(bad_argument(request.call, "`seconds` must be from 0 to 86400"));
    return;
  }
  auto timer = std::make_shared<asio::steady_timer>(request.attempt->hall.loop);
  timer->expires_after(
      std::chrono::duration_cast<asio::steady_timer::duration>(std::chrono::duration<double>(seconds)));
  const uint64_t id = request.attempt->on_close([timer] { timer->cancel(); }, request.number);
  timer->async_wait(
      [timer, id, attempt = request.attempt, answer = std::move(request.answer)](std::error_code code) {
        if (code || !attempt->open) return;
        attempt->forget(id);
        answer(nothing());
      });
}

constexpr Handled kCalls[] = {{"time.now", now}, {"time.sleep", sleep}};

}  // namespace

std::span<const Handled> time_calls() { return kCalls; }

}  // namespace pf::api
