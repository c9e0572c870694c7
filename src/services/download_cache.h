// Downloaded files by their SHA-256, shared by all runs of a state folder: `<folder>/sha256/<hex>`.
//
// A file is put in under another name and renamed when it is whole, so that two processes that put in or take
// out the same one do not disturb each other. What is taken out is a copy (a reflink where the file system
// has them), never a hard link: who got it may write to it, and must not write to what others will get.
//
// A file's modification time is set to a number made from its digest and size when it was verified. A file
// with that time is used as it is: whoever writes to it changes the time, and a file that lost its end in a
// power cut has another size. Any other is hashed before it is used, and goes if it is wrong. That is not
// meant against someone who can write to the state folder, nor against a disk that changes bits.
//
// Stateless; thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/file.h"

namespace pf::services {

/// The cache; without a folder it has nothing and keeps nothing.
class DownloadCache {
 public:
  explicit DownloadCache(std::filesystem::path folder) : folder_(std::move(folder)) {}
  bool enabled() const { return !folder_.empty(); }

  struct Hit {
    UniqueFd fd;  // for reading
    uint64_t size = 0;
  };
  /// `sha256`: 64 lower-case hexadecimal digits.
  std::optional<Hit> find(const std::string& sha256) const;

  /// A file in the making; taken away again unless it is kept.
  class Entry {
   public:
    Entry() = default;
    Entry(Entry&&) = default;
    Entry& operator=(Entry&& other) noexcept;
    ~Entry();
    int fd() const { return fd_.get(); }
    explicit operator bool() const { return static_cast<bool>(fd_); }

   private:
    friend class DownloadCache;
    UniqueFd fd_;
    std::filesystem::path path_;
  };
  /// Empty where that cannot be: then nothing is cached.
  Entry make() const;
  /// Its content is known to have this digest.
  void keep(Entry entry, const std::string& sha256, uint64_t size) const;

 private:
  std::filesystem::path path(const std::string& sha256) const { return folder_ / "sha256" / sha256; }

  std::filesystem::path folder_;
};

/// Copies `size` bytes from the start of one file to the start of an empty other: by reflink, in the kernel,
/// or by hand. errno, or 0.
int copy_content(int from, int to, uint64_t size);

}  // namespace pf::services
