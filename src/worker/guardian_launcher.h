// The core's end of the guardian: starts it with posix_spawn, passes it workers' sockets, hears how workers
// end. A guardian that died is replaced at the next launch. Owned by the Hub; everything on the loop's
// thread.
#pragma once

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <deque>
#include <filesystem>
#include <memory>

#include "base/clock.h"
#include "base/json_fwd.h"
#include "worker/launcher.h"
#include "worker/protocol.h"

namespace pf::worker {

/// The real Launcher.
class GuardianLauncher final : public Launcher {
 public:
  GuardianLauncher(asio::io_context& loop, std::filesystem::path program);
  /// Ends the guardian and with it all that it started; waits until it is reaped (milliseconds; after two
  /// seconds it is killed).
  ~GuardianLauncher() override;

  /// Starts a throw-away worker and waits (about 2 ms) for what it reports of its sandbox. Only before the
  /// first listen(). Errors: `worker.start`, `sandbox.unavailable`.
  Result<Json> probe();

  void listen(Events& events) override;
  Result<void> launch(uint32_t worker, UniqueFd socket, uint64_t memory) override;
  Result<void> launch_shim(uint32_t number, UniqueFd socket, bool confined, bool degraded) override;
  void kill(uint32_t worker) override;

 private:
  struct Connection;
  struct Request {
    GuardianRequest data;
    UniqueFd socket;
  };

  Result<void> ensure();
  void send(Request request);
  static bool send_now(Connection& connection, const Request& request);
  void wait_to_read();
  void wait_to_write();
  void read();
  /// Reaps the guardian and returns how it ended.
  std::string end(Milliseconds patience);
  std::string end_of_probe();
  void lost();

  asio::io_context& loop_;
  std::filesystem::path program_;
  Events* events_ = nullptr;
  std::shared_ptr<Connection> connection_;
  int pid_ = -1;
};

}  // namespace pf::worker
