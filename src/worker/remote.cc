#include "worker/remote.h"

#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "base/cbor.h"
#include "base/text.h"
#include "registry/calls.h"
#include "registry/frames.h"
#include "worker/hub.h"
#include "worker/pool.h"
#include "worker/protocol.h"
#include "worker/tuning.h"

namespace pf::worker {

using frames::Kind;

Remote::Remote(Hub& hub, PoolCore& pool, uint32_t number, UniqueFd socket)
    : hub_(hub),
      pool_(&pool),
      number_(number),
      link_(std::make_shared<Link>(hub, std::move(socket), static_cast<Link::Events&>(*this))),
      launched_(hub.now()) {}

void Remote::start(const Package& package) {
  std::string& out = link_->out();
  const size_t start = frames::begin(out);
  cbor::Writer w(out);
  w.array(2);
  w.unsigned_integer(static_cast<uint64_t>(Kind::load));
  w.raw(package.load);
  frames::finish(out, start);
  link_->touched();
  link_->start();
  hub_.check_by(launched_ + kLoadLimit);
}

void Remote::send(Sent sent) {
  sent.epoch = ++last_epoch_;
  sent.revoked = sent.heard = false;
  std::string& out = link_->out();
  const size_t start = frames::begin(out);
  cbor::Writer w(out);
  w.array(2 + size_t{sent.job.items});
  w.unsigned_integer(static_cast<uint64_t>(Kind::run));
  w.unsigned_integer(sent.epoch);
  w.raw(sent.job.body);
  frames::finish(out, start);
  link_->touched();
  queue_.push_back(std::move(sent));
  if (queue_.size() == 1) {
    if (state_ != State::ready) return;
    start_head();
    hub_.announce_later(shared_from_this());  // not from inside the client's own call
  } else if (state_ == State::ready) {
    hub_.check_by(queue_.front().start + kRevoke);
  }
}

void Remote::start_head() {
  Sent& head = queue_.front();
  head.start = hub_.now();
  if (head.job.hard.count() > 0) hub_.check_by(head.start + head.job.hard);
  if (queue_.size() > 1) hub_.check_by(head.start + kRevoke);
  if (head.revoked) hub_.check_by(head.start + kSettle);
}

void Remote::announce() {
  if (state_ != State::ready || queue_.empty() || pool_ == nullptr) return;
  Sent& head = queue_.front();
  if (head.cancelled) return die(Done::Status::cancelled, cancelled_error());
  if (head.announced) return;
  head.announced = true;
  pool_->job_started(head.job.id);
}

bool Remote::reply(uint64_t job, uint32_t request, const Result<std::string>& value) {
  if (state_ != State::ready || queue_.empty() || queue_.front().job.id != job) return false;
  const auto found = std::find(outstanding_.begin(), outstanding_.end(), request);
  if (found == outstanding_.end()) return false;
  *found = outstanding_.back();
  outstanding_.pop_back();
  std::string& out = link_->out();
  const size_t start = frames::begin(out);
  cbor::Writer w(out);
  const auto head = [&](bool ok) {
    w.array(5);
    w.unsigned_integer(static_cast<uint64_t>(Kind::reply));
    w.unsigned_integer(queue_.front().epoch);
    w.unsigned_integer(request);
    w.boolean(ok);
  };
  head(value.has_value());
  if (value)
    w.raw(*value);
  else
    frames::write_error(w, value.error());
  const size_t size = out.size() - start - frames::kHeader;
  if (size > frames::kMaxFrame) {
    out.resize(start + frames::kHeader);
    head(false);
    frames::write_error(w, frame_error("the answer of a host call", size));
  }
  frames::finish(out, start);
  link_->touched();
  // What a worker leaves lying takes the core's memory, not its own.
  const uint64_t most = std::max<uint64_t>(queue_.front().job.memory, 2 * uint64_t{frames::kMaxFrame});
  if (out.size() > most) {
    Error error;
    error.code = "limit.memory";
    error.message = "answers of host calls that the extension has not taken fill more than its " +
                    format_bytes(most) + " of memory";
    error.hint = "take what a call returns before the next ones are made: forge.async.map with a small limit";
    error.retryable = false;
    die(Done::Status::failed, std::move(error));
  }
  return true;
}

bool Remote::cancel(uint64_t job) {
  const auto found =
      std::find_if(queue_.begin(), queue_.end(), [&](const Sent& sent) { return sent.job.id == job; });
  if (found == queue_.end()) return false;
  found->cancelled = true;
  if (!alive()) return true;  // pool_->gone() sees it
  const bool may_return = found != queue_.begin() || (found->revoked && !found->heard && !found->announced);
  if (!may_return)
    die(Done::Status::cancelled, cancelled_error());
  else
    revoke(*found);
  return true;
}

void Remote::revoke(Sent& sent) {
  if (sent.revoked) return;
  sent.revoked = true;
  std::string& out = link_->out();
  const size_t start = frames::begin(out);
  cbor::Writer w(out);
  w.array(2);
  w.unsigned_integer(static_cast<uint64_t>(Kind::revoke));
  w.unsigned_integer(sent.epoch);
  frames::finish(out, start);
  link_->touched();
}

void Remote::die(Done::Status status, Error error) {
  if (!alive()) return;
  state_ = State::dying;
  fate_.emplace();
  fate_->status = status;
  fate_->error = std::move(error);
  hub_.kill(number_);
}

void Remote::lose(Error error) {
  if (state_ == State::gone) return;
  state_ = State::dying;
  if (fate_) return;
  fate_.emplace();
  fate_->status = Done::Status::crashed;
  fate_->error = std::move(error);
}

void Remote::orphan() {
  pool_ = nullptr;
  link_->close();
  if (alive()) hub_.kill(number_);
  state_ = State::dying;
  queue_.clear();
}

void Remote::exited(const Exit& exit) {
  if (state_ == State::gone) return;
  const auto self = shared_from_this();
  // All that it said in time counts: the job it died in is the first that it had not ended.
  if (alive()) link_->drain();
  state_ = State::gone;
  link_->close();
  if (pool_ == nullptr) return;
  Done done = fate_ ? std::move(*fate_) : how_it_died(exit);
  done.cpu_us = exit.cpu_us > reported_cpu_us_ ? exit.cpu_us - reported_cpu_us_ : 0;
  pool_->gone(*this, std::move(queue_), std::move(done));
}

Done Remote::how_it_died(const Exit& exit) const {
  Done done;
  done.status = Done::Status::crashed;
  Error& error = done.error;
  error.code = "worker.crashed";
  const std::string memory = format_bytes(pool_->package().memory);
  if (WIFSIGNALED(exit.status)) {
    const int number = WTERMSIG(exit.status);
    const char* abbreviation = sigabbrev_np(number);
    const std::string name =
        abbreviation != nullptr ? std::string("SIG") + abbreviation : std::to_string(number);
    error.message = "the worker was killed by " + name;
    switch (number) {
      case SIGSYS:
        error.message += ": it made a forbidden system call";
        error.hint =
            "no Lua code can do that by what is granted to it; do not trust this extension before you know "
            "why";
        break;
      case SIGSEGV:
      case SIGBUS:
        error.message += ": a fault in memory, or a C stack deeper than " + format_bytes(kStackBytes);
        error.hint = "look for recursion through callbacks (gsub, sort) in the extension";
        break;
      case SIGKILL:
        error.message += " from outside of pangeo-forge, as the kernel does when memory runs out";
        error.hint = "look into the kernel's log; lower max_parallel or limits.memory";
        break;
      case SIGXCPU:  // by the VM's own timer
        done.status = Done::Status::failed;
        error.code = "limit.cpu";
        error.message =
            "the attempt used more than its CPU time in a single call of a library function, which cannot be "
            "stopped; its worker was killed";
        error.hint =
            "raise limits.cpu, or look for a call of string.find, string.rep or "
            "table.concat that takes this long";
        error.retryable = false;
        break;
      case SIGABRT:
        error.message += ": it gave up, as when the memory of its process is used up";
        error.hint = "limits.memory of the extension is " + memory;
        break;
      default: break;
    }
  } else if (WEXITSTATUS(exit.status) == kExitOutOfMemory) {
    error.message = "the worker ran out of memory";
    error.hint = "limits.memory of the extension is " + memory + "; raise it, or keep less in memory at once";
  } else {
    error.message = "the worker ended with exit status " + std::to_string(WEXITSTATUS(exit.status)) +
                    " before its job was done";
  }
  return done;
}

// ---- what it says

void Remote::protest(const std::string& what) {
  Error error;
  error.code = "worker.protocol";
  error.message = "the worker sent " + what + ", which no worker of this program does; it was killed";
  error.hint = "the VM of extension '" + pool_->package().name +
               "' is out of control; do not trust it before you know why";
  die(Done::Status::crashed, std::move(error));
}

void Remote::oversized(uint32_t size) {
  if (!alive() || pool_ == nullptr) return;
  protest("a frame of " + std::to_string(size) + " bytes (at most " + std::to_string(frames::kMaxFrame) +
          ")");
}

void Remote::ended() {
  // Its process is on its way out, or pretends: killing it settles that, and changes nothing of how it had
  // ended.
  if (!alive()) return;
  state_ = State::dying;
  hub_.kill(number_);
}

void Remote::frame(std::string_view payload) {
  if (!alive() || pool_ == nullptr) return;
  const auto self = shared_from_this();
  if (auto scanned = cbor::scan(payload); !scanned) {
    return protest("a frame of " + std::to_string(payload.size()) +
                   " bytes that is none: " + scanned.error().message);
  }
  cbor::Reader in(payload);
  const uint64_t items = in.array();
  const uint64_t kind = in.unsigned_int();
  if (!in.ok()) return protest("a frame that does not begin with its kind");
  if (state_ == State::starting) {
    if (kind == static_cast<uint64_t>(Kind::ready)) return take_ready(in, items);
    if (kind == static_cast<uint64_t>(Kind::load_failed)) return take_load_failed(in, items);
    return protest("a frame of kind " + std::to_string(kind) + " before it was loaded");
  }
  switch (static_cast<Kind>(std::min<uint64_t>(kind, 255))) {
    case Kind::call: return take_call(in, items);
    case Kind::done: return take_done(in, items);
    case Kind::returned: return take_returned(in, items);
    case Kind::cancel: return take_cancel(in, items);
    default: return protest("a frame of kind " + std::to_string(kind));
  }
}

void Remote::take_ready(cbor::Reader& in, uint64_t items) {
  if (items != 2 || in.next().type != cbor::Type::map) return protest("a ready frame of another shape");
  state_ = State::ready;
  idle_since_ = hub_.now();
  if (!queue_.empty()) start_head();
  pool_->ready(*this);
  announce();
}

void Remote::take_load_failed(cbor::Reader& in, uint64_t items) {
  Error error = frames::read_error(in);
  if (items != 2 || !in.ok()) return protest("a load_failed frame of another shape");
  pool_->load_failed(error);
  die(Done::Status::failed, std::move(error));
}

void Remote::take_call(cbor::Reader& in, uint64_t items) {
  const uint64_t epoch = in.unsigned_int();
  const uint64_t request = in.unsigned_int();
  const uint64_t call = in.unsigned_int();
  const std::string_view arguments = in.next_raw();
  if (items != 5 || !in.ok() || request > UINT32_MAX ||
      cbor::Reader(arguments).next().type != cbor::Type::array) {
    return protest("a host call of another shape");
  }
  if (queue_.empty() || queue_.front().epoch != epoch) {
    return protest("a host call of epoch " + std::to_string(epoch) + " while " +
                   (queue_.empty() ? std::string("no job") : std::to_string(queue_.front().epoch)) + " runs");
  }
  const auto calls = registry::calls();
  if (call >= calls.size() || calls[call].place != registry::Place::core) {
    return protest("host call number " + std::to_string(call));
  }
  if (request != 0) {
    if (std::find(outstanding_.begin(), outstanding_.end(), request) != outstanding_.end()) {
      return protest("request " + std::to_string(request) + " twice");
    }
    if (const uint32_t most = queue_.front().job.calls; outstanding_.size() >= most) {
      return protest("more than " + std::to_string(most) + " requests without waiting for a reply");
    }
    outstanding_.push_back(static_cast<uint32_t>(request));
  }
  queue_.front().heard = true;
  if (registry::is_quick(calls[call])) hub_.stay_awake();
  announce();
  if (state_ != State::ready || pool_ == nullptr) return;
  pool_->host_call(queue_.front().job.id, static_cast<uint32_t>(request), static_cast<int>(call), arguments);
}

void Remote::take_done(cbor::Reader& in, uint64_t items) {
  const uint64_t epoch = in.unsigned_int();
  const bool ok = in.boolean();
  Done done;
  if (ok) {
    done.status = Done::Status::succeeded;
    done.value = in.next_raw();
    const std::string_view state = in.next_raw();
    if (cbor::Reader(state).next().type != cbor::Type::null) done.state = state;
  } else {
    done.status = Done::Status::failed;
    done.error = frames::read_error(in);
  }
  done.cpu_us = in.unsigned_int();
  done.peak_bytes = in.unsigned_int();
  if (!in.ok() || items != (ok ? 7U : 6U)) return protest("a done frame of another shape");
  if (queue_.empty() || queue_.front().epoch != epoch) {
    return protest("the end of epoch " + std::to_string(epoch) + " while " +
                   (queue_.empty() ? std::string("no job") : std::to_string(queue_.front().epoch)) + " runs");
  }
  queue_.front().heard = true;
  announce();
  if (state_ != State::ready || pool_ == nullptr) return;
  reported_cpu_us_ += done.cpu_us;
  Sent ended = std::move(queue_.front());
  queue_.pop_front();
  outstanding_.clear();
  if (queue_.empty())
    idle_since_ = hub_.now();
  else
    start_head();
  pool_->done(*this, std::move(ended), std::move(done));
  // A head that was asked back may be on its way back: wait for what the worker says (see kSettle).
  if (!queue_.empty() && !queue_.front().revoked) announce();
}

void Remote::take_cancel(cbor::Reader& in, uint64_t items) {
  const uint64_t epoch = in.unsigned_int();
  const uint64_t request = in.unsigned_int();
  if (items != 3 || !in.ok() || request > UINT32_MAX) return protest("a cancel frame of another shape");
  if (queue_.empty() || queue_.front().epoch != epoch) {
    return protest("a cancel of epoch " + std::to_string(epoch) + " while " +
                   (queue_.empty() ? std::string("no job") : std::to_string(queue_.front().epoch)) + " runs");
  }
  // The reply may have crossed it.
  const auto number = static_cast<uint32_t>(request);
  if (std::find(outstanding_.begin(), outstanding_.end(), number) == outstanding_.end()) return;
  pool_->cancel_call(queue_.front().job.id, number);
}

void Remote::take_returned(cbor::Reader& in, uint64_t items) {
  const uint64_t epoch = in.unsigned_int();
  if (items != 2 || !in.ok()) return protest("a returned frame of another shape");
  const auto found =
      std::find_if(queue_.begin(), queue_.end(), [&](const Sent& sent) { return sent.epoch == epoch; });
  if (found == queue_.end() || !found->revoked || found->heard) {
    return protest("epoch " + std::to_string(epoch) + " back, which was not asked back");
  }
  const bool was_head = found == queue_.begin();
  Sent back = std::move(*found);
  queue_.erase(found);
  if (queue_.empty())
    idle_since_ = hub_.now();
  else if (was_head)
    start_head();
  pool_->returned(*this, std::move(back));
  if (was_head && !queue_.empty() && !queue_.front().revoked) announce();
}

// ---- time

void Remote::check(SteadyTime now) {
  if (state_ == State::starting && now - launched_ >= kLoadLimit) {
    Error error;
    error.code = "worker.load_timeout";
    error.message = "the extension could not be loaded within " + format_duration(kLoadLimit);
    error.hint = "make its modules smaller; loading only parses them";
    return die(Done::Status::crashed, std::move(error));
  }
  if (state_ != State::ready || queue_.empty()) return;
  const Sent& head = queue_.front();
  if (head.job.hard.count() > 0 && now - head.start >= head.job.hard) {
    Error error;
    error.code = "deadline.hard";
    error.message = "killed after " + format_duration(head.job.hard) +
                    ": it did not stop at its deadline, as Lua code does";
    error.hint =
        "raise `timeout`; a single call of a library function (string.find, string.rep) that takes this long "
        "cannot be stopped otherwise";
    return die(Done::Status::timed_out, std::move(error));
  }
  if (now - head.start >= kSettle) announce();
  if (!alive() || queue_.empty() || now - queue_.front().start < kRevoke) return;
  for (size_t i = 1; i < queue_.size(); ++i) revoke(queue_[i]);
}

SteadyTime Remote::next_check() const {
  if (state_ == State::starting) return launched_ + kLoadLimit;
  if (state_ != State::ready || queue_.empty()) return SteadyTime::max();
  const Sent& head = queue_.front();
  SteadyTime next = SteadyTime::max();
  if (head.job.hard.count() > 0) next = head.start + head.job.hard;
  if (!head.announced) next = std::min(next, head.start + kSettle);
  for (size_t i = 1; i < queue_.size(); ++i) {
    if (!queue_[i].revoked) {
      next = std::min(next, head.start + kRevoke);
      break;
    }
  }
  return next;
}

}  // namespace pf::worker
