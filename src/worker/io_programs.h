// The io helper (services/io_runner.h) run as a confined program: it sees the folders of its one operation,
// and the network only where the operation needs it. Belongs to the loop's thread, like the Programs that it
// runs on, which outlive it.
#pragma once

#include <filesystem>
#include <memory>
#include <unordered_map>

#include "services/io_runner.h"
#include "worker/programs.h"

namespace pf::worker {

class IoPrograms final : public services::IoRunner {
 public:
  /// `helper` is pangeo-forge-io.
  IoPrograms(Programs& programs, std::filesystem::path helper)
      : programs_(programs), helper_(std::move(helper)) {}
  ~IoPrograms() override;
  uint64_t run(services::IoJob job, Progress progress, Done done) override;
  void cancel(uint64_t id) override;

 private:
  struct Job;
  void ended(uint64_t id, ProgramEnd end);

  Programs& programs_;
  const std::filesystem::path helper_;
  std::unordered_map<uint64_t, std::shared_ptr<Job>> jobs_;
  uint64_t last_ = 0;
};

}  // namespace pf::worker
