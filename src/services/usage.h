// What is used on behalf of one attempt, counted where it is used: by the door's calls, by HTTP and
// downloads, by programs. Shared by all of these; any thread may add, and read.
#pragma once

#include <atomic>
#include <cstdint>

namespace pf::services {

/// Bytes, time and memory that were used for one attempt, outside of its VM.
///
/// `read` is content that came in: of files, of bodies of answers as they are after decompression, of
/// downloads; `written` content that went out: into files, as bodies of requests. What goes from one place to
/// another (a copy, an upload of a file, a download) counts as both. A move counts as nothing, names,
/// metadata, headers and what the program itself writes about the attempt neither.
///
/// Of programs it is what the kernel counted of their read and write calls (rchar and wchar of proc(5)),
/// theirs and their ended children's, once they have ended: files, whether or not the disk was asked, and
/// pipes. send, recv and memory that is mapped are not in it.
class Usage {
 public:
  void read(uint64_t bytes) { read_.fetch_add(bytes, std::memory_order_relaxed); }
  void write(uint64_t bytes) { written_.fetch_add(bytes, std::memory_order_relaxed); }
  /// What a program used: its time on CPUs, and the most memory that one of its processes had.
  void program(uint64_t cpu_us, uint64_t peak_bytes) {
    cpu_us_.fetch_add(cpu_us, std::memory_order_relaxed);
    uint64_t before = peak_bytes_.load(std::memory_order_relaxed);
    while (before < peak_bytes && !peak_bytes_.compare_exchange_weak(before, peak_bytes)) {
    }
  }

  uint64_t read_bytes() const { return read_.load(std::memory_order_relaxed); }
  uint64_t write_bytes() const { return written_.load(std::memory_order_relaxed); }
  uint64_t cpu_us() const { return cpu_us_.load(std::memory_order_relaxed); }
  uint64_t peak_bytes() const { return peak_bytes_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> read_{0}, written_{0}, cpu_us_{0}, peak_bytes_{0};
};

}  // namespace pf::services
