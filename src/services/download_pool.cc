#include "services/download_pool.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>

namespace pf::services {

DownloadPool::DownloadPool(unsigned threads)
    : most_(threads != 0 ? threads : std::clamp(std::thread::hardware_concurrency(), 2U, 5U) - 1) {}

void DownloadPool::close() {
  std::vector<std::thread> threads;
  std::deque<std::function<void()>> dropped;
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    dropped.swap(tasks_);
    threads.swap(threads_);
  }
  ready_.notify_all();
  for (std::thread& thread : threads) thread.join();
}

void DownloadPool::post(std::function<void()> task) {
  std::lock_guard lock(mutex_);
  if (stop_) return;
  tasks_.push_back(std::move(task));
  if (idle_ >= tasks_.size() || threads_.size() == most_) {
    ready_.notify_one();
    return;
  }
  // The program's signals are for its own thread.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    threads_.emplace_back([this] { run(); });
  } catch (const std::exception&) {
    // Without another thread those that run must do; without any, the task would never be done.
    if (threads_.empty()) {
      pthread_sigmask(SIG_SETMASK, &before, nullptr);
      throw;
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void DownloadPool::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    ready_.wait(lock, [&] { return stop_ || !tasks_.empty(); });
    --idle_;
    if (stop_) return;
    std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
  }
}

}  // namespace pf::services
