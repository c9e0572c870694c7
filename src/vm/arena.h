// The memory of one VM: a lua_Alloc whose whole state can be put back to a snapshot by a few memcpy.
// Owned by the VM; one thread. Nothing here throws except make() and seal(), which report failure as a
// Result.
//
// Layout: chunks of 1 MiB, aligned to their size, each with a header page and 255 pages. Blocks up to 8 KiB
// live in spans (runs of pages that hold one size class), up to 256 KiB in runs of their own, larger ones in
// mappings of their own. All state is in the chunks; what is outside of them (the list of chunks and of large
// mappings) only says what to give back to the kernel at the next restore.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"

namespace pf::vm {

/// The allocator of one VM, with a cap, and a snapshot to go back to.
class Arena {
 public:
  /// Error `os.*` when there is no address space for the first chunk.
  static Result<std::unique_ptr<Arena>> make();
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// The lua_Alloc; `arena` is the Arena. Returns null beyond the cap or when the kernel has no more.
  static void* allocate(void* arena, void* block, size_t old_size, size_t new_size) noexcept;

  /// From now on live() may not grow beyond `bytes`. Not to be set before lua_newstate is through, which does
  /// not survive a refusal. What is mapped may exceed it by kSlack (free space in spans and chunks).
  void set_cap(uint64_t bytes) noexcept;
  /// Takes the snapshot. Error `limit.memory` when there is no memory for it.
  Result<void> seal();
  /// Puts the content back as it was at seal(), and gives back what was mapped since (but a few chunks).
  void restore() noexcept;

  /// Bytes in blocks, each counted as its class or its pages.
  uint64_t live() const noexcept;
  /// The highest live() since restore().
  uint64_t peak() const noexcept { return peak_; }
  /// Whether anything was refused since restore().
  bool refused() const noexcept { return refused_; }
  /// Bytes mapped.
  uint64_t held() const noexcept { return held_; }
  /// Bytes that a restore copies.
  size_t snapshot_bytes() const noexcept { return snapshot_.size(); }

  /// Whoever owns the VM; not used here.
  void* owner = nullptr;

 private:
  struct Span;
  struct Chunk;
  struct Root;
  struct Large;
  /// A piece of the snapshot and where it belongs.
  struct Segment {
    char* at;
    size_t size;
    size_t offset;  // in snapshot_
  };

  Arena() = default;
  Root& root() const noexcept;
  void* take(size_t size, bool bounded) noexcept;
  void give(void* block, size_t size) noexcept;
  void* resize(void* block, size_t old_size, size_t new_size) noexcept;
  void* take_small(size_t size, bool bounded) noexcept;
  void give_small(Chunk* chunk, void* block) noexcept;
  Span* new_span(unsigned size_class) noexcept;
  void release_span(Span* span) noexcept;
  char* take_pages(unsigned count) noexcept;
  void give_pages(char* at, unsigned count) noexcept;
  Chunk* new_chunk() noexcept;
  void* take_large(size_t size, bool bounded) noexcept;
  void give_large(void* block) noexcept;
  void* resize_large(void* block, size_t size) noexcept;
  bool fits(uint64_t more, bool bounded) const noexcept;
  bool may_hold(uint64_t more) const noexcept;
  void count(uint64_t more) noexcept;
  void add_segment(char* at, size_t size);

  std::vector<Chunk*> chunks_;  // capacity is fixed before Lua runs: allocate() must not throw
  size_t sealed_chunks_ = 0;
  Large* large_ = nullptr;  // all large mappings, newest first
  uint64_t cap_ = UINT64_MAX;
  uint64_t held_ = 0;
  uint64_t peak_ = 0;
  bool refused_ = false;
  std::vector<Segment> segments_;
  std::string snapshot_;
};

}  // namespace pf::vm
