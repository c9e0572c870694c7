#include "vm/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>

namespace pf::vm {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kChunkBytes = 1U << 20;
constexpr unsigned kChunkPages = kChunkBytes / kPage;
constexpr size_t kSmall = 8192;
constexpr size_t kMedium = 256U << 10;
constexpr uint64_t kSlack = 16U << 20;
constexpr size_t kKeptChunks = 4;     // beyond the snapshot's, kept over restores
constexpr size_t kMaxChunks = 65536;  // 64 GiB
constexpr size_t kLargeHeader = 64;
constexpr size_t kMergeGap = 256;  // copying a small gap costs less than another memcpy

constexpr std::array<uint16_t, 36> kClassSizes = {
    16,  32,  48,  64,  80,  96,   112,  128,  144,  160,  176,  192,  208,  224,  240,  256,  320,  384,
    448, 512, 640, 768, 896, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 5120, 6144, 7168, 8192};
constexpr unsigned kClasses = kClassSizes.size();

constexpr auto kClassOf = [] {
  std::array<uint8_t, kSmall / 16 + 1> out{};
  unsigned at = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    while (kClassSizes[at] < i * 16) ++at;
    out[i] = static_cast<uint8_t>(at);
  }
  return out;
}();

unsigned class_of(size_t size) { return kClassOf[(size + 15) / 16]; }
unsigned pages_for(size_t size) { return static_cast<unsigned>((size + kPage - 1) / kPage); }
size_t large_bytes(size_t size) { return (size + kLargeHeader + kPage - 1) / kPage * kPage; }

/// What a page of a chunk is part of.
enum class Use : uint8_t { none, header, span, run };

}  // namespace

/// The head of a run of pages that holds blocks of one size class.
struct alignas(16) Arena::Span {
  Span* next;  // in the list of spans of this class that have room
  Span* previous;
  void* free;     // blocks given back, linked through their first word
  uint32_t bump;  // offset of the first byte never used
  uint32_t end;   // offset behind the last whole block
  uint16_t used;  // blocks in use
  uint8_t size_class;
  uint8_t pages;

  size_t block() const { return kClassSizes[size_class]; }
  bool full() const { return free == nullptr && bump == end; }
};

/// What the VM's memory is counted by and found with; lives in the first chunk.
struct Arena::Root {
  uint64_t live;
  size_t first_open;  // no chunk before this one has a free page
  std::array<Span*, kClasses> open;
};

/// The header page of a chunk.
struct Arena::Chunk {
  uint32_t free_pages;
  uint32_t index;
  std::array<uint64_t, kChunkPages / 64> taken;  // a bit per page
  std::array<Use, kChunkPages> use;
  std::array<uint8_t, kChunkPages> first;  // of a span's page: the page it starts at
  Root root;                               // used in chunk 0 only

  char* page(unsigned index_of_page) { return reinterpret_cast<char*>(this) + index_of_page * kPage; }
  static Chunk* of(const void* block) {
    return reinterpret_cast<Chunk*>(reinterpret_cast<uintptr_t>(block) & ~(uintptr_t{kChunkBytes} - 1));
  }
  unsigned page_of(const void* block) const {
    return static_cast<unsigned>((reinterpret_cast<uintptr_t>(block) & (kChunkBytes - 1)) / kPage);
  }
  void mark(unsigned start, unsigned count, bool set) {
    for (unsigned i = start; i < start + count; ++i) {
      if (set)
        taken[i / 64] |= uint64_t{1} << (i % 64);
      else
        taken[i / 64] &= ~(uint64_t{1} << (i % 64));
    }
    free_pages = set ? free_pages - count : free_pages + count;
  }
  bool is_taken(unsigned i) const { return (taken[i / 64] >> (i % 64) & 1) != 0; }
  void clear(uint32_t own_index) {
    free_pages = kChunkPages;
    index = own_index;
    taken.fill(0);
    use.fill(Use::none);
    use[0] = Use::header;
    mark(0, 1, true);
  }
  /// First page of `count` free ones in a row, or 0 (which is the header).
  unsigned find(unsigned count) const {
    unsigned start = 1;
    while (start + count <= kChunkPages) {
      const uint64_t rest = taken[start / 64] >> (start % 64);
      if ((rest & 1) != 0) {  // skip the taken ones
        start += static_cast<unsigned>(std::countr_one(rest));
        continue;
      }
      unsigned length = 0;
      while (length < count && !is_taken(start + length)) ++length;
      if (length == count) return start;
      start += length;
    }
    return 0;
  }
};

/// The header of a mapping of its own.
struct Arena::Large {
  Large* next;
  Large* previous;
  size_t mapped;  // bytes, with this header
  bool sealed;    // part of the snapshot: never unmapped nor moved before the arena ends
};

Result<std::unique_ptr<Arena>> Arena::make() {
  static_assert(sizeof(Chunk) <= kPage && sizeof(Large) <= kLargeHeader && sizeof(Span) % 16 == 0);
  std::unique_ptr<Arena> arena(new Arena);
  arena->chunks_.reserve(kMaxChunks);
  if (arena->new_chunk() == nullptr) return tl::unexpected(system_error("no memory for a Lua VM", errno));
  Root& root = arena->root();
  root.live = 0;
  root.first_open = 0;
  root.open.fill(nullptr);
  return arena;
}

Arena::~Arena() {
  while (large_ != nullptr) {
    Large* next = large_->next;
    munmap(large_, large_->mapped);
    large_ = next;
  }
  for (Chunk* chunk : chunks_) munmap(chunk, kChunkBytes);
}

Arena::Root& Arena::root() const noexcept { return chunks_.front()->root; }
uint64_t Arena::live() const noexcept { return root().live; }
void Arena::set_cap(uint64_t bytes) noexcept { cap_ = bytes; }

bool Arena::fits(uint64_t more, bool bounded) const noexcept {
  const uint64_t live = root().live;
  return !bounded || (live <= cap_ && more <= cap_ - live);
}

bool Arena::may_hold(uint64_t more) const noexcept {
  return cap_ > UINT64_MAX - kSlack || held_ + more <= cap_ + kSlack;
}

void Arena::count(uint64_t more) noexcept {
  Root& r = root();
  r.live += more;
  peak_ = std::max(peak_, r.live);
}

void* Arena::allocate(void* arena, void* block, size_t old_size, size_t new_size) noexcept {
  auto* self = static_cast<Arena*>(arena);
  if (new_size == 0) {
    if (block != nullptr) self->give(block, old_size);
    return nullptr;
  }
  void* out = block == nullptr ? self->take(new_size, true) : self->resize(block, old_size, new_size);
  if (out == nullptr) self->refused_ = true;
  return out;
}

void* Arena::take(size_t size, bool bounded) noexcept {
  if (size <= kSmall) return take_small(size, bounded);
  if (size > kMedium) return take_large(size, bounded);
  const unsigned pages = pages_for(size);
  if (!fits(pages * kPage, bounded)) return nullptr;
  char* at = take_pages(pages);
  if (at == nullptr) return nullptr;
  Chunk* chunk = Chunk::of(at);
  std::fill_n(&chunk->use[chunk->page_of(at)], pages, Use::run);
  count(pages * kPage);
  return at;
}

void Arena::give(void* block, size_t size) noexcept {
  if (size > kMedium) {
    give_large(block);
    return;
  }
  Chunk* chunk = Chunk::of(block);
  if (chunk->use[chunk->page_of(block)] == Use::span) {
    give_small(chunk, block);
    return;
  }
  const unsigned pages = pages_for(size);
  give_pages(static_cast<char*>(block), pages);
  root().live -= pages * kPage;
}

void* Arena::resize(void* block, size_t old_size, size_t new_size) noexcept {
  const bool grows = new_size > old_size;
  if (old_size <= kSmall && new_size <= kSmall) {
    if (class_of(old_size) == class_of(new_size)) return block;
  } else if (old_size > kMedium && new_size > kMedium) {
    return resize_large(block, new_size);
  } else if (old_size > kSmall && old_size <= kMedium && new_size > kSmall && new_size <= kMedium) {
    const unsigned before = pages_for(old_size);
    const unsigned after = pages_for(new_size);
    if (after <= before) {
      if (after < before) {
        give_pages(static_cast<char*>(block) + after * kPage, before - after);
        root().live -= (before - after) * kPage;
      }
      return block;
    }
    Chunk* chunk = Chunk::of(block);
    const unsigned end = chunk->page_of(block) + before;
    const unsigned more = after - before;
    bool room = end + more <= kChunkPages && fits(more * kPage, true);
    for (unsigned i = end; room && i < end + more; ++i) room = !chunk->is_taken(i);
    if (room) {
      chunk->mark(end, more, true);
      std::fill_n(&chunk->use[end], more, Use::run);
      count(more * kPage);
      return block;
    }
  }
  // A block that shrinks must not fail because of the cap: it is about to lower what is counted.
  void* moved = take(new_size, grows);
  if (moved == nullptr) return nullptr;
  std::memcpy(moved, block, std::min(old_size, new_size));
  give(block, old_size);
  return moved;
}

void* Arena::take_small(size_t size, bool bounded) noexcept {
  const unsigned size_class = class_of(size);
  const size_t bytes = kClassSizes[size_class];
  if (!fits(bytes, bounded)) return nullptr;
  Root& r = root();
  Span* span = r.open[size_class];
  if (span == nullptr) {
    span = new_span(size_class);
    if (span == nullptr) return nullptr;
  }
  void* block = span->free;
  if (block != nullptr) {
    std::memcpy(&span->free, block, sizeof(void*));
  } else {
    block = reinterpret_cast<char*>(span) + span->bump;
    span->bump += static_cast<uint32_t>(bytes);
  }
  ++span->used;
  if (span->full()) {  // the first of its list, always
    r.open[size_class] = span->next;
    if (span->next != nullptr) span->next->previous = nullptr;
  }
  count(bytes);
  return block;
}

void Arena::give_small(Chunk* chunk, void* block) noexcept {
  auto* span = reinterpret_cast<Span*>(chunk->page(chunk->first[chunk->page_of(block)]));
  Root& r = root();
  const bool was_full = span->full();
  std::memcpy(block, &span->free, sizeof(void*));
  span->free = block;
  --span->used;
  r.live -= span->block();
  if (was_full) {
    span->previous = nullptr;
    span->next = r.open[span->size_class];
    if (span->next != nullptr) span->next->previous = span;
    r.open[span->size_class] = span;
  }
  if (span->used == 0) {
    if (span->next != nullptr || span->previous != nullptr) {
      release_span(span);
    } else {  // the last one of its class stays, empty
      span->free = nullptr;
      span->bump = sizeof(Span);
    }
  }
}

Arena::Span* Arena::new_span(unsigned size_class) noexcept {
  const size_t bytes = kClassSizes[size_class];
  const unsigned pages = std::max(4U, pages_for(8 * bytes + sizeof(Span)));
  char* at = take_pages(pages);
  if (at == nullptr) return nullptr;
  Chunk* chunk = Chunk::of(at);
  const unsigned page = chunk->page_of(at);
  std::fill_n(&chunk->use[page], pages, Use::span);
  std::fill_n(&chunk->first[page], pages, static_cast<uint8_t>(page));
  auto* span = reinterpret_cast<Span*>(at);
  const size_t blocks = (pages * kPage - sizeof(Span)) / bytes;
  span->free = nullptr;
  span->bump = sizeof(Span);
  span->end = static_cast<uint32_t>(sizeof(Span) + blocks * bytes);
  span->used = 0;
  span->size_class = static_cast<uint8_t>(size_class);
  span->pages = static_cast<uint8_t>(pages);
  span->previous = nullptr;
  span->next = root().open[size_class];
  if (span->next != nullptr) span->next->previous = span;
  root().open[size_class] = span;
  return span;
}

void Arena::release_span(Span* span) noexcept {
  if (span->previous != nullptr)
    span->previous->next = span->next;
  else
    root().open[span->size_class] = span->next;
  if (span->next != nullptr) span->next->previous = span->previous;
  give_pages(reinterpret_cast<char*>(span), span->pages);
}

char* Arena::take_pages(unsigned count) noexcept {
  Root& r = root();
  for (size_t i = r.first_open; i < chunks_.size(); ++i) {
    Chunk* chunk = chunks_[i];
    if (chunk->free_pages == 0 && i == r.first_open) ++r.first_open;
    if (chunk->free_pages < count) continue;
    if (const unsigned page = chunk->find(count); page != 0) {
      chunk->mark(page, count, true);
      return chunk->page(page);
    }
  }
  Chunk* chunk = new_chunk();
  if (chunk == nullptr) return nullptr;
  chunk->mark(1, count, true);
  return chunk->page(1);
}

void Arena::give_pages(char* at, unsigned count) noexcept {
  Chunk* chunk = Chunk::of(at);
  const unsigned page = chunk->page_of(at);
  chunk->mark(page, count, false);
  std::fill_n(&chunk->use[page], count, Use::none);
  root().first_open = std::min<size_t>(root().first_open, chunk->index);
}

Arena::Chunk* Arena::new_chunk() noexcept {
  if (chunks_.size() == chunks_.capacity() || !may_hold(kChunkBytes)) return nullptr;
  void* at = MAP_FAILED;
  if (!chunks_.empty()) {  // beside the last one, it is aligned already
    void* wish = reinterpret_cast<char*>(chunks_.back()) - kChunkBytes;
    at = mmap(wish, kChunkBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at != MAP_FAILED && reinterpret_cast<uintptr_t>(at) % kChunkBytes != 0) {
      munmap(at, kChunkBytes);
      at = MAP_FAILED;
    }
  }
  if (at == MAP_FAILED) {
    void* wide = mmap(nullptr, 2 * kChunkBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (wide == MAP_FAILED) return nullptr;
    char* start = static_cast<char*>(wide);
    const size_t before = (kChunkBytes - reinterpret_cast<uintptr_t>(start) % kChunkBytes) % kChunkBytes;
    if (before != 0) munmap(start, before);
    munmap(start + before + kChunkBytes, kChunkBytes - before);
    at = start + before;
  }
  // Whole huge pages would make every worker 2 MiB heavier for the sake of its first few blocks.
  madvise(at, kChunkBytes, MADV_NOHUGEPAGE);
  auto* chunk = static_cast<Chunk*>(at);
  chunk->clear(static_cast<uint32_t>(chunks_.size()));
  chunks_.push_back(chunk);
  held_ += kChunkBytes;
  return chunk;
}

void* Arena::take_large(size_t size, bool bounded) noexcept {
  if (size > SIZE_MAX - kLargeHeader - kPage) return nullptr;
  const size_t bytes = large_bytes(size);
  if (!fits(bytes, bounded) || !may_hold(bytes)) return nullptr;
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  auto* large = static_cast<Large*>(at);
  large->mapped = bytes;
  large->sealed = false;
  large->previous = nullptr;
  large->next = large_;
  if (large_ != nullptr) large_->previous = large;
  large_ = large;
  held_ += bytes;
  count(bytes);
  return static_cast<char*>(at) + kLargeHeader;
}

void Arena::give_large(void* block) noexcept {
  auto* large = reinterpret_cast<Large*>(static_cast<char*>(block) - kLargeHeader);
  root().live -= large->mapped;
  if (large->sealed) return;  // the next restore needs it
  if (large->previous != nullptr)
    large->previous->next = large->next;
  else
    large_ = large->next;
  if (large->next != nullptr) large->next->previous = large->previous;
  held_ -= large->mapped;
  munmap(large, large->mapped);
}

void* Arena::resize_large(void* block, size_t size) noexcept {
  if (size > SIZE_MAX - kLargeHeader - kPage) return nullptr;
  auto* large = reinterpret_cast<Large*>(static_cast<char*>(block) - kLargeHeader);
  const size_t before = large->mapped;
  const size_t after = large_bytes(size);
  if (after == before) return block;
  if (large->sealed) {
    void* moved = take_large(size, after > before);
    if (moved == nullptr) return nullptr;
    std::memcpy(moved, block, std::min(before - kLargeHeader, size));
    give_large(block);
    return moved;
  }
  if (after > before && (!fits(after - before, true) || !may_hold(after - before))) return nullptr;
  void* at = mremap(large, before, after, MREMAP_MAYMOVE);
  if (at == MAP_FAILED) return nullptr;
  large = static_cast<Large*>(at);
  large->mapped = after;
  if (large->previous != nullptr)
    large->previous->next = large;
  else
    large_ = large;
  if (large->next != nullptr) large->next->previous = large;
  held_ = held_ - before + after;
  root().live -= before;
  count(after);
  return static_cast<char*>(at) + kLargeHeader;
}

void Arena::add_segment(char* at, size_t size) {
  if (!segments_.empty()) {
    Segment& last = segments_.back();
    char* end = last.at + last.size;
    if (at >= end && static_cast<size_t>(at - end) <= kMergeGap) {
      last.size = static_cast<size_t>(at - last.at) + size;
      return;
    }
  }
  segments_.push_back({at, size, 0});
}

Result<void> Arena::seal() {
  try {
    segments_.clear();
    for (Chunk* chunk : chunks_) {
      add_segment(reinterpret_cast<char*>(chunk), sizeof(Chunk));
      for (unsigned page = 1; page < kChunkPages; ++page) {
        if (chunk->use[page] == Use::run) {
          add_segment(chunk->page(page), kPage);
        } else if (chunk->use[page] == Use::span && chunk->first[page] == page) {
          auto* span = reinterpret_cast<Span*>(chunk->page(page));
          add_segment(chunk->page(page), span->bump);
        }
      }
    }
    for (Large* large = large_; large != nullptr; large = large->next) {
      large->sealed = true;
      segments_.push_back({reinterpret_cast<char*>(large) + kLargeHeader, large->mapped - kLargeHeader, 0});
    }
    size_t size = 0;
    for (Segment& segment : segments_) {
      segment.offset = size;
      size += segment.size;
    }
    snapshot_.resize(size);
  } catch (const std::bad_alloc&) {
    return refuse("limit.memory", "no memory for the snapshot of a Lua VM");
  }
  for (const Segment& segment : segments_) std::memcpy(&snapshot_[segment.offset], segment.at, segment.size);
  sealed_chunks_ = chunks_.size();
  peak_ = live();
  return {};
}

void Arena::restore() noexcept {
  for (Large* large = large_; large != nullptr;) {
    Large* next = large->next;
    if (!large->sealed) {
      if (large->previous != nullptr)
        large->previous->next = next;
      else
        large_ = next;
      if (next != nullptr) next->previous = large->previous;
      held_ -= large->mapped;
      munmap(large, large->mapped);
    }
    large = next;
  }
  while (chunks_.size() > sealed_chunks_ + kKeptChunks) {
    munmap(chunks_.back(), kChunkBytes);
    chunks_.pop_back();
    held_ -= kChunkBytes;
  }
  for (size_t i = sealed_chunks_; i < chunks_.size(); ++i) chunks_[i]->clear(static_cast<uint32_t>(i));
  for (const Segment& segment : segments_) std::memcpy(segment.at, &snapshot_[segment.offset], segment.size);
  peak_ = live();
  refused_ = false;
}

}  // namespace pf::vm
