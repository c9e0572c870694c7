// What the writer's queue holds, and how it becomes rows: one transaction for each batch. Inside the floor
// only; a Recorder is the writer thread's alone.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "state/database.h"
#include "state/pairs.h"
#include "state/store.h"

namespace pf::state {

struct Begin {
  RunRecord run;
};
struct Resume {
  std::string id, details;
};
struct Start {
  AttemptRecord attempt;
  WallTime at;
};
struct AttemptEnded {
  AttemptEnd end;
};
struct Finish {
  InstanceRecord record;
};
/// Many at once: they come in thousands.
struct Reuse {
  struct One {
    uint32_t instance;
    int64_t row;
    std::string address;
  };
  std::vector<One> all;
  std::vector<Writer::Callback> on_durable;
};
struct Expansion {
  std::string group, text;
};
struct Hooked {
  HookRecord hook;
};
struct Move {
  std::string pipeline, from, to;
};
struct CleanupsDone {
  std::string id;
};
struct End {
  std::string id;
  RunResult result;
  WallTime at;
  std::string details;
};

/// One queued write.
struct Write {
  std::variant<Begin, Resume, Start, AttemptEnded, Finish, Reuse, Expansion, Hooked, Move, CleanupsDone, End>
      what;
  Writer::Callback on_durable;
};

/// Writes batches through prepared statements, one for each kind.
class Recorder {
 public:
  static Result<Recorder> make(Connection connection);
  /// All of it or nothing.
  Result<void> write(const std::vector<Write>& batch);
  /// Brings `latest` up to all rows, once there are at least `after` new ones: so much a reader may have to
  /// scan. A transaction of its own.
  Result<void> fold(int64_t after);

 private:
  struct Statements {
    Statement begin, commit, last_rows;
    Statement begin_run, resume_run, find_run, end_run, cleaned;
    Statement start, end_attempt, finish, reads, sealed, reused, expansion, hook;
    Statement add_context, find_context;
    Statement fold, forget, folded, move, renamed;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  Recorder() = default;
  void mark_finished(const std::vector<Write>& batch);
  int apply(const Begin& begin, Error& order);
  int apply(const Resume& resume, Error& order);
  int apply(const Start& start, Error& order);
  int apply(const AttemptEnded& ended, Error& order);
  int apply(const Finish& finish, Error& order);
  int apply(const Reuse& reuse, Error& order);
  int apply(const Expansion& expansion, Error& order);
  int apply(const Hooked& hooked, Error& order);
  int apply(const Move& move, Error& order);
  int apply(const CleanupsDone& done, Error& order);
  int apply(const End& end, Error& order);
  int context_of(const std::string& text, int64_t& id);
  int read_last_rows();
  int fold_rows();
  int write_pairs();
  int out_of_order(Error& order, const std::string& what) const;

  Connection connection_;
  Statements sql_;
  int64_t run_ = 0;                      // row of the run that goes on; 0: none
  int64_t last_row_ = 0;                 // of `instances`
  int64_t last_attempt_ = 0;             // row of `attempts`
  PairWriter pairs_;                     // of this batch, not written yet
  std::unordered_set<int64_t> renamed_;  // rows whose address in `latest` is another
  std::unordered_map<std::string, int64_t, Hash, std::equal_to<>> contexts_;  // those seen by now
  std::string last_context_;                                                  // most often the next one too
  int64_t last_context_id_ = 0;
  std::vector<uint64_t> marks_;  // by instance: in which run of which batch it ends
  uint64_t mark_ = 0, applying_ = 0;
};

}  // namespace pf::state
