// Programs over the Hub's launcher. See programs.h.
#pragma once

#include <asio/io_context.hpp>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/file.h"
#include "worker/programs.h"

namespace pf::worker {

/// The real one.
class ShimPrograms final : public Programs, public std::enable_shared_from_this<ShimPrograms> {
 public:
  /// Starts a shim with `socket` as its end. Errors: `worker.start`.
  using Launch = std::function<Result<void>(UniqueFd socket, bool confined)>;

  ShimPrograms(asio::io_context& loop, Launch launch);
  ~ShimPrograms() override;

  uint64_t start(Program program, Output output, Ended ended) override;
  void signal(uint64_t program, int number) override;
  void kill(uint64_t program) override;
  void drop(uint64_t program) override;
  void pause(uint64_t program, bool paused) override;
  /// Lets go of all shims, which ends their programs; nothing is told any more.
  void close();

 private:
  struct Shim;
  struct Run;

  Result<std::shared_ptr<Shim>> shim(const Program& program);
  Result<void> begin(Run& run);
  void read_reports(const std::shared_ptr<Shim>& shim);
  void take(const std::shared_ptr<Shim>& shim);
  void release(const std::shared_ptr<Shim>& shim);
  void lost(const std::shared_ptr<Shim>& shim);
  void read_output(const std::shared_ptr<Run>& run, int stream);
  void write_input(const std::shared_ptr<Run>& run);
  void at_timeout(const std::shared_ptr<Run>& run);
  void ended(const std::shared_ptr<Run>& run);
  void maybe_end(const std::shared_ptr<Run>& run);

  asio::io_context& loop_;
  Launch launch_;
  std::unordered_map<uint64_t, std::shared_ptr<Run>> runs_;
  std::unordered_map<uint64_t, std::shared_ptr<Run>>
      dropped_;  // whose shims have not said yet that all is gone
  std::vector<std::shared_ptr<Shim>> idle_;
  uint64_t last_ = 0;
};

}  // namespace pf::worker
