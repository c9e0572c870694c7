// A SQLite VFS that does what the default one does until it is told to fail: the error injection of the
// store's tests.
#pragma once

#include <sqlite3.h>
#include <unistd.h>

#include <atomic>
#include <string_view>

namespace pf::state {

/// Faults of the VFS named `pf-fault`, which is registered while this lives. One at a time.
class FaultVfs {
 public:
  /// `by_default`: for all connections that name no other one.
  explicit FaultVfs(bool by_default = false) {
    root_ = sqlite3_vfs_find(nullptr);
    self_ = this;
    vfs_ = {};
    vfs_.iVersion = 2;
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + root_->szOsFile;
    vfs_.mxPathname = root_->mxPathname;
    vfs_.zName = "pf-fault";
    vfs_.xOpen = open;
    vfs_.xDelete = [](sqlite3_vfs*, const char* name, int sync) { return root_->xDelete(root_, name, sync); };
    vfs_.xAccess = [](sqlite3_vfs*, const char* name, int flags, int* out) {
      return root_->xAccess(root_, name, flags, out);
    };
    vfs_.xFullPathname = [](sqlite3_vfs*, const char* name, int size, char* out) {
      return root_->xFullPathname(root_, name, size, out);
    };
    vfs_.xRandomness = [](sqlite3_vfs*, int size, char* out) { return root_->xRandomness(root_, size, out); };
    vfs_.xSleep = [](sqlite3_vfs*, int micros) { return root_->xSleep(root_, micros); };
    vfs_.xCurrentTime = [](sqlite3_vfs*, double* out) { return root_->xCurrentTime(root_, out); };
    vfs_.xGetLastError = [](sqlite3_vfs*, int, char*) { return 0; };
    vfs_.xCurrentTimeInt64 = [](sqlite3_vfs*, sqlite3_int64* out) {
      return root_->xCurrentTimeInt64(root_, out);
    };
    sqlite3_vfs_register(&vfs_, by_default ? 1 : 0);
  }
  FaultVfs(const FaultVfs&) = delete;
  ~FaultVfs() { sqlite3_vfs_unregister(&vfs_); }
  static constexpr const char* name() { return "pf-fault"; }

  std::atomic<int> write_code{SQLITE_OK};  // what writes answer
  std::atomic<int> sync_code{SQLITE_OK};   // what fsync answers
  static constexpr int kUnlimited = 1 << 30;
  std::atomic<int> writes_left{kUnlimited};  // then they answer full_code; below 0 they did
  std::atomic<int> full_code{SQLITE_FULL};
  std::atomic<int> syncs_left{kUnlimited};  // then fsync answers SQLITE_IOERR_FSYNC
  std::atomic<bool> die_after_write{
      false};  // the process ends after its next write to the database file itself

 private:
  struct File {
    sqlite3_file base;
    bool main;
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };
  static File* of(sqlite3_file* file) { return reinterpret_cast<File*>(file); }
  static sqlite3_file* real(sqlite3_file* file) { return of(file)->real(); }

  static int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
    static const sqlite3_io_methods methods = {
        2,
        [](sqlite3_file* f) { return real(f)->pMethods->xClose(real(f)); },
        [](sqlite3_file* f, void* out, int size, sqlite3_int64 at) {
          return real(f)->pMethods->xRead(real(f), out, size, at);
        },
        write,
        [](sqlite3_file* f, sqlite3_int64 size) { return real(f)->pMethods->xTruncate(real(f), size); },
        [](sqlite3_file* f, int how) {
          if (self_->syncs_left < kUnlimited && --self_->syncs_left < 0) return SQLITE_IOERR_FSYNC;
          const int code = self_->sync_code;
          return code != SQLITE_OK ? code : real(f)->pMethods->xSync(real(f), how);
        },
        [](sqlite3_file* f, sqlite3_int64* out) { return real(f)->pMethods->xFileSize(real(f), out); },
        [](sqlite3_file* f, int level) { return real(f)->pMethods->xLock(real(f), level); },
        [](sqlite3_file* f, int level) { return real(f)->pMethods->xUnlock(real(f), level); },
        [](sqlite3_file* f, int* out) { return real(f)->pMethods->xCheckReservedLock(real(f), out); },
        [](sqlite3_file* f, int op, void* arg) { return real(f)->pMethods->xFileControl(real(f), op, arg); },
        [](sqlite3_file* f) { return real(f)->pMethods->xSectorSize(real(f)); },
        [](sqlite3_file* f) { return real(f)->pMethods->xDeviceCharacteristics(real(f)); },
        [](sqlite3_file* f, int page, int size, int extend, void volatile** out) {
          return real(f)->pMethods->xShmMap(real(f), page, size, extend, out);
        },
        [](sqlite3_file* f, int at, int n, int flags_) {
          return real(f)->pMethods->xShmLock(real(f), at, n, flags_);
        },
        [](sqlite3_file* f) { real(f)->pMethods->xShmBarrier(real(f)); },
        [](sqlite3_file* f, int remove) { return real(f)->pMethods->xShmUnmap(real(f), remove); },
        nullptr,
        nullptr,
    };
    of(file)->main = (flags & SQLITE_OPEN_MAIN_DB) != 0;
    const int code = root_->xOpen(root_, name, real(file), flags, out_flags);
    file->pMethods = real(file)->pMethods != nullptr ? &methods : nullptr;
    return code;
  }

  static int write(sqlite3_file* file, const void* data, int size, sqlite3_int64 at) {
    if (const int code = self_->write_code; code != SQLITE_OK) return code;
    if (self_->writes_left < kUnlimited && --self_->writes_left < 0) return self_->full_code;
    const int code = real(file)->pMethods->xWrite(real(file), data, size, at);
    if (of(file)->main && self_->die_after_write) ::_exit(77);
    return code;
  }

  static inline sqlite3_vfs* root_ = nullptr;
  static inline FaultVfs* self_ = nullptr;
  sqlite3_vfs vfs_{};
};

}  // namespace pf::state
