// Landlock's numbers, from the kernel's include/uapi/linux/landlock.h (v6.15): distributions' headers know
// only the ABI of their day. Constants and plain structs only.
#pragma once

#include <cstdint>

namespace pf::worker::landlock_abi_detail {

struct RulesetAttributes {
  uint64_t handled_access_fs;
  uint64_t handled_access_net;  // ABI 4
  uint64_t scoped;              // ABI 6
};
struct [[gnu::packed]] PathBeneath {
  uint64_t allowed_access;
  int32_t parent_fd;
};
inline constexpr int kRulePathBeneath = 1;
inline constexpr uint32_t kCreateRulesetVersion = 1U << 0;

inline constexpr uint64_t kExecute = 1ULL << 0;
inline constexpr uint64_t kWriteFile = 1ULL << 1;
inline constexpr uint64_t kReadFile = 1ULL << 2;
inline constexpr uint64_t kReadDir = 1ULL << 3;
inline constexpr uint64_t kMakeChar = 1ULL << 6;
inline constexpr uint64_t kMakeBlock = 1ULL << 11;
inline constexpr uint64_t kFilesAbi1 = (1ULL << 13) - 1;  // EXECUTE (bit 0) to MAKE_SYM (bit 12)
inline constexpr uint64_t kRefer = 1ULL << 13;            // ABI 2
inline constexpr uint64_t kTruncate = 1ULL << 14;         // ABI 3
inline constexpr uint64_t kIoctlDev = 1ULL << 15;         // ABI 5

inline constexpr uint64_t kBindTcp = 1ULL << 0;            // ABI 4
inline constexpr uint64_t kConnectTcp = 1ULL << 1;         // ABI 4
inline constexpr uint64_t kScopeAbstractUnix = 1ULL << 0;  // ABI 6
inline constexpr uint64_t kScopeSignal = 1ULL << 1;        // ABI 6

// One number on every architecture (the table was unified before Landlock came).
inline constexpr long kSysCreateRuleset = 444;
inline constexpr long kSysAddRule = 445;
inline constexpr long kSysRestrictSelf = 446;

}  // namespace pf::worker::landlock_abi_detail
