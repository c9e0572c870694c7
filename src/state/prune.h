// Removing old runs: their rows, and their folders of logs. The caller holds the state folder's Lock; nothing
// else writes meanwhile. What a later run may need stays: the last success of each address, and what an ended
// or unfinished run reuses.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace pf::state {

/// Which runs of a pipeline go; where both are set, those that both allow.
struct PruneOptions {
  std::string pipeline;
  std::optional<size_t> keep;            // the newest so many stay
  std::optional<WallTime> begun_before;  // those begun later stay
};

/// What was removed.
struct Pruned {
  std::vector<std::string> runs;  // ids, newest first
  uint64_t bytes = 0;             // that the state folder is smaller by
};

/// The ids that prune() would remove, newest first: never a run without an end, nor the last run. Writes
/// nothing. Errors as of Reader.
Result<std::vector<std::string>> prunable(const std::filesystem::path& state_folder,
                                          const PruneOptions& options);
/// Removes these runs and gives the space back. Errors as of Writer::open; where a folder cannot be removed,
/// `state.read_only` or `os.*`, and the run is gone from the list all the same.
Result<Pruned> prune(const std::filesystem::path& state_folder, const std::vector<std::string>& runs);

}  // namespace pf::state
