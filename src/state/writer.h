// What the Writer is made of, for tests that inject faults or wait for nothing but drain. Inside the floor
// only.
#pragma once

#include <string>

#include "state/store.h"

namespace pf::state {

struct WriterOptions {
  enum class Journal { automatic, wal, rollback };
  Journal journal = Journal::automatic;  // by the kind of file system
  Milliseconds window{5};                // how long a write may wait for company in its commit
  Milliseconds patience{10000};          // how long to wait for another process's lock on the database
  std::string vfs;                       // SQLite's, by name; empty: the default
  int64_t fold_after = 16384;            // rows after which `latest` is brought up to date
};

Result<std::unique_ptr<Writer>> open_writer(const std::filesystem::path& state_folder, Writer::Post post,
                                            std::function<void(Error)> on_error,
                                            const WriterOptions& options);

}  // namespace pf::state
