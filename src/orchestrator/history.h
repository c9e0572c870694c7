// What earlier runs of a pipeline left, and the question whether an instance is still what it was when it
// last succeeded (docs/pipelines.md, "What counts as unchanged"). Belongs to the loop's thread, but for
// judge(), which may be called from any thread while nothing else is.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/versions.h"
#include "base/clock.h"
#include "base/error.h"
#include "orchestrator/changes.h"
#include "pipeline/pipeline.h"
#include "state/store.h"

namespace pf::orchestrator {

/// What an instance is made of, before an attempt: an encoded configuration and what counts beside it.
struct Making {
  std::string config;               // CBOR, as the extension gets it
  std::string kept;                 // CBOR, secrets concealed; empty: the same as `config`
  std::vector<std::string> inputs;  // absolute paths that the configuration names
  std::vector<pipeline::Evaluated::FromOutputs> from_outputs;
  bool complete = true;  // false: something in it waits for outputs that nobody knows yet
  // For positions. `written` points into the pipeline's document or `scratch`.
  std::shared_ptr<pipeline::Document> scratch;
  pipeline::Node written;

  const std::string& to_keep() const { return kept.empty() ? config : kept; }
};

/// Whether the last success may be taken for a new one, and if not, why.
struct Verdict {
  bool same = false;
  std::vector<Change> changes;
  std::string reason;  // where `changes` does not say it all: `it has never succeeded`

  /// The reason and the changes, one a line.
  std::string text() const;
};

class History {
 public:
  /// Nothing is known: no run was made yet.
  explicit History(const pipeline::Pipeline& pipeline) : pipeline_(pipeline) {}
  /// Reads the last successes; a state folder without runs is an empty history. Errors as of state::Reader.
  Result<void> load(const std::filesystem::path& state_folder);

  /// The pipeline has grown by instances that earlier runs made.
  void index_again();

  /// What core.moved says, as far as it applies: `from` succeeded, and `to` never has. Here `to` has its
  /// success then.
  struct Moved {
    std::string from, to;
    std::string stack;  // that `from` had
  };
  const std::vector<Moved>& moved() const { return moved_; }

  /// The last success of an instance; null: there is none, or it was destroyed since.
  const state::InstanceRecord* last(uint32_t instance) const;
  /// Last successes of addresses that the pipeline does not hold, by address.
  std::vector<const state::InstanceRecord*> others() const;
  /// Whether some success has outputs that only a passphrase opens.
  bool has_sealed() const;
  bool empty() const { return records_.empty(); }

  /// Whether `last`, a success (null: there was none), may be taken for a new one. `context` is what counts
  /// beside the configuration (Preparation::context). Reads files where the attempt did. `cache` is what
  /// holds for the instance; `now` counts for max_age.
  Verdict judge(const state::InstanceRecord* last, const Making& making, std::string_view context,
                const pipeline::CachePolicy& cache, api::Versions& versions, WallTime now) const;
  /// The files and folders that judge() and a new attempt have to read, where that is too much for the loop's
  /// thread; else none.
  std::vector<std::string> to_read(uint32_t instance, const Making& making, api::Versions& versions) const;

 private:
  void follow_moves();
  void compare_reads(const state::InstanceRecord& last, const Making& making, bool need_versions,
                     api::Versions& versions, Verdict& verdict) const;

  const pipeline::Pipeline& pipeline_;
  std::vector<state::InstanceRecord> records_;
  std::vector<Moved> moved_;
  std::vector<int64_t> by_instance_;                   // index into records_, or -1
  std::map<std::string, size_t, std::less<>> others_;  // by address; an expanded for_each finds itself here
};

}  // namespace pf::orchestrator
