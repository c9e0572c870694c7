// Makes the program that it is linked into one whose store meets a broken disk: PF_TEST_FAULT is KIND:N, and
// after N writes (`write`, `full`) or syncs (`sync`) all others fail with EIO, or with ENOSPC (`full`).
#include <cstdlib>
#include <string>

#include "state/fault_vfs.h"

namespace {

pf::state::FaultVfs* broken_disk() {
  const char* fault = std::getenv("PF_TEST_FAULT");
  if (fault == nullptr) return nullptr;
  const std::string text = fault;
  const size_t colon = text.find(':');
  if (colon == std::string::npos) std::abort();
  const std::string kind = text.substr(0, colon);
  const int left = std::atoi(text.c_str() + colon + 1);
  static pf::state::FaultVfs disk(true);
  if (kind == "write") disk.full_code = SQLITE_IOERR_WRITE;
  if (kind == "sync")
    disk.syncs_left = left;
  else
    disk.writes_left = left;
  return &disk;
}

[[maybe_unused]] const pf::state::FaultVfs* const disk = broken_disk();

}  // namespace
