// Frames between the core and a worker: a little-endian u32 length, then one CBOR array whose first item is
// the kind. Frames are positional; every frame that concerns a job carries the job's epoch, which grows with
// every job that is sent to a worker. A frame of a past or unknown epoch, a malformed one, one over kMaxFrame
// bytes or over cbor::kMaxDepth levels kills the worker that sent it. No state; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/cbor.h"
#include "base/error.h"

namespace pf::frames {

inline constexpr uint32_t kMaxFrame = 16U << 20;  // payload bytes
inline constexpr size_t kHeader = 4;

/// core -> worker: below 16; worker -> core: 16 and up.
enum class Kind : uint8_t {
  /// [1, {name, version, modules {name: source}, memory}], once, before any job; `memory` bounds the loading.
  load = 1,
  /// [2, epoch, JobKind, soft_ms, cpu_ms, memory, output, calls, …]: what follows depends on the job kind.
  /// The
  /// times may be 0 = no bound; memory and output are bytes, calls how many may wait for replies at once.
  run = 2,
  /// [3, epoch, request, true, value] or [3, epoch, request, false, error]
  reply = 3,
  /// [4, epoch]: give that job back if it has not been started.
  revoke = 4,

  /// [16, {…}]: loaded and confined; the map is what the OS sandbox reports (see worker/sandbox.h).
  ready = 16,
  /// [17, epoch, request, call, [arguments…]]: a host call; request 0 expects no reply.
  call = 17,
  /// [18, epoch, true, outputs | value, state | null, cpu_us, peak_bytes] or [18, epoch, false, error,
  /// cpu_us, peak_bytes]
  done = 18,
  /// [19, epoch]: the job of a revoke, untouched.
  returned = 19,
  /// [20, error]: the load failed; the worker exits.
  load_failed = 20,
  /// [21, epoch, request]: nobody wants the reply of that call any more. It comes none the less, once what
  /// the call
  /// began is ended.
  cancel = 21,
};

/// What a run frame asks for, and the items that follow in it.
enum class JobKind : uint8_t {
  /// name, type, stack, config, state | null, runtime | null, attempt: initialize, execute, get_output_data,
  /// cleanup.
  /// Done's value is the outputs (a map), its state what self.state held at cleanup (null when it was empty).
  instance = 0,
  /// nothing more: runs the function that bootstrap.lua returns; Done's value is what it returned.
  bootstrap = 1,
  /// nothing more: evaluates models.lua; Done's value is {model name: description} (see stdlib/schema.lua).
  models = 2,
  /// script (the module's name), event | null: calls the function that a hook's script returns; Done's value
  /// is what it
  /// returned. Without an event the script is only run up to its function.
  hook = 3,
  /// as instance: initialize, destroy, cleanup. Done has neither value nor state.
  destroy = 4,
  /// as instance: initialize, refresh, cleanup. Done's state is what self.state held at cleanup.
  refresh = 5,
};
/// Whether the items that follow are those of an instance.
inline bool is_of_instance(JobKind kind) {
  return kind == JobKind::instance || kind == JobKind::destroy || kind == JobKind::refresh;
}

/// Starts a frame in `out`: leaves room for the length. finish() fills it in. Several frames may follow each
/// other.
size_t begin(std::string& out);
void finish(std::string& out, size_t start);

/// error as [code, message, hint, retryable, traceback].
void write_error(cbor::Writer& w, const Error& error);
/// The same back; fails the reader on another shape.
Error read_error(cbor::Reader& in);

/// A frame's payload found at the front of a buffer.
struct Split {
  enum class Status : uint8_t { incomplete, complete, oversized } status = Status::incomplete;
  std::string_view payload;  // when complete
  size_t consumed = 0;       // header and payload, when complete
};
Split split(std::string_view buffer);

}  // namespace pf::frames
