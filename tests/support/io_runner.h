// Runs the io helper as a plain child process: what the program does in a confined one.
#pragma once

#include <asio/io_context.hpp>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "services/io_protocol.h"
#include "services/io_runner.h"

namespace pf::test {

/// What is different from the real helper on a machine without faults.
struct IoFault {
  std::string program;                 // run in its place; empty: none
  std::optional<uint64_t> file_bytes;  // files cannot grow beyond: writing fails as on a full disk
};

/// Runs the helper to its end, the request on its stdin; no sandbox.
Result<std::string> run_io_helper(const std::string& request, Milliseconds timeout,
                                  const services::IoRunner::Progress& progress = {},
                                  const IoFault& fault = {});
/// The same for one that encodes it.
Result<std::string> run_io_helper(const services::io::Request& request);

/// The place of a file or folder of a test.
services::io::Place place_of(const std::filesystem::path& path);

/// Runs each job in the loop's thread, at the next turn of the loop, and waits for its end there.
class PlainIoRunner final : public services::IoRunner {
 public:
  explicit PlainIoRunner(asio::io_context& loop) : loop_(loop) {}
  uint64_t run(services::IoJob job, Progress progress, Done done) override;
  void cancel(uint64_t id) override { cancelled_.push_back(id); }

  std::vector<services::IoJob> jobs;  // without their descriptors' owners being needed
  IoFault fault;
  std::function<void(const services::IoJob&)> before;  // what happens between the check and the use

 private:
  asio::io_context& loop_;
  std::vector<uint64_t> cancelled_;
  uint64_t next_ = 1;
};

}  // namespace pf::test
