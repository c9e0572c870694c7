// The numbers by which pools decide. Constants only.
#pragma once

#include "base/clock.h"

namespace pf::worker {

/// Jobs are short when they take less than this on a moving average, known after kKnown jobs. Only short ones
/// are queued ahead: it hides the way between the processes, which is of the same size as they are.
inline constexpr std::chrono::microseconds kShort{1000};
inline constexpr int kKnown = 16;
/// Jobs in a worker's queue, the running one included. Measured: 3 to 8 saves a third of the time, 16 nothing
/// more.
inline constexpr size_t kDepth = 8;
/// When every running job has taken this long, short or not on average, one more worker is worth its start.
/// Nothing is queued behind a job that has.
inline constexpr Milliseconds kLong{2};
/// Jobs that wait behind one that has run so long are asked back.
inline constexpr Milliseconds kRevoke{10};
/// A job that was asked back just as it got its turn is taken for started when nothing was heard for this
/// long.
inline constexpr Milliseconds kSettle{5};
/// How often jobs that came back ask anew for a place.
inline constexpr Milliseconds kBacklog{10};
/// How long the core stays awake after a quick call for the next one: longer than it takes to wake a worker.
/// On an idle machine being woken takes some 10 µs, on a virtual one 80 µs and more: many times what such a
/// call takes.
inline constexpr std::chrono::microseconds kAwake{150};
/// How long a worker waits awake for the answer of a quick call, from a core that is awake.
inline constexpr std::chrono::microseconds kAnswer{30};
/// Staying awake pays where something comes as soon as this.
inline constexpr std::chrono::microseconds kSoon{50};
/// Loading an extension: parsing its modules, nothing of it runs.
inline constexpr Milliseconds kLoadLimit{60000};

}  // namespace pf::worker
