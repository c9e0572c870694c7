// A few threads for what downloads do beside the transfer: hashing, looking at files, putting them in place.
// Started with the first task. post() may be called from any thread; close() by the owner alone.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace pf::services {

/// The threads.
class DownloadPool {
 public:
  /// `threads`: 0 for one less than there are processors, at least one and at most four.
  explicit DownloadPool(unsigned threads = 0);
  ~DownloadPool() { close(); }
  DownloadPool(const DownloadPool&) = delete;
  DownloadPool& operator=(const DownloadPool&) = delete;

  /// Tasks must not throw.
  void post(std::function<void()> task);
  /// Drops what waits, and waits for what runs; nothing is done afterwards.
  void close();

 private:
  void run();

  unsigned most_;
  std::mutex mutex_;  // guards the rest
  std::condition_variable ready_;
  std::deque<std::function<void()>> tasks_;
  std::vector<std::thread> threads_;
  unsigned idle_ = 0;
  bool stop_ = false;
};

}  // namespace pf::services
