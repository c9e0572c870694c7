// What files.cc and file_trees.cc share: thin wrappers over system calls. Thread-safe.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"

namespace pf::services {

/// openat2 with O_CLOEXEC; -1 and errno on failure. Repeats what the kernel gives up because of a concurrent
/// rename.
int open_at2(int folder, const char* path, uint64_t flags, uint64_t mode, uint64_t resolve);

/// A name in a folder.
struct Entry {
  std::string name;
  unsigned char type = 0;  // DT_*, never DT_UNKNOWN
};
/// What is in an opened folder, without `.` and `..`, in no order. The offset of `fd` is not used. errno, or
/// 0.
int read_entries(int fd, std::vector<Entry>& out);

/// A name for a file or folder that is in the making; unique in this process and unlikely elsewhere.
std::string temporary_name();

/// Removes `name` in `parent` with all that is in it. errno, or 0; ECANCELED when stopped.
int remove_tree(int parent, const std::string& name, const std::atomic<bool>* stop);

}  // namespace pf::services
