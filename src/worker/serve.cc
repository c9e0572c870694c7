#include "worker/serve.h"

#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <deque>
#include <memory>
#include <new>
#include <string>

#include "base/cbor.h"
#include "registry/calls.h"
#include "registry/frames.h"
#include "vm/vm.h"
#include "worker/confine.h"
#include "worker/patience.h"
#include "worker/protocol.h"
#include "worker/tuning.h"

namespace pf::worker {
namespace {

using frames::Kind;

// _exit: nothing of a worker is worth a destructor, and static ones are the guardian's.
[[noreturn]] void leave(int code) { _exit(code); }

/// The socket to the core: whole frames in, whole frames out.
class Socket {
 public:
  /// Reads what there is, with `wait` at least something. Leaves when the core is gone.
  void receive(bool wait) {
    make_room();
    while (true) {
      const ssize_t n =
          recv(kSocketFd, buffer_.data() + end_, buffer_.size() - end_, wait ? 0 : MSG_DONTWAIT);
      if (n > 0) {
        end_ += static_cast<size_t>(n);
        return;
      }
      if (n == 0) leave(0);
      if (errno == EAGAIN) return;
      if (errno != EINTR) leave(0);
    }
  }

  /// Reads at least something, staying awake for a moment where that pays.
  void receive_soon() {
    if (patience_.pays()) {
      const auto until = std::chrono::steady_clock::now() + kAnswer;
      const size_t before = end_ - begin_;
      bool came = false;
      while (!came && std::chrono::steady_clock::now() < until) {
        receive(false);
        came = end_ - begin_ != before;
      }
      patience_.went(came);
      if (came) return;
    }
    receive(true);
  }

  /// The next whole frame, or an empty view; valid until receive().
  std::string_view next() {
    const auto split = frames::split({buffer_.data() + begin_, end_ - begin_});
    if (split.status == frames::Split::Status::oversized) leave(kExitProtocol);
    if (split.status == frames::Split::Status::incomplete) return {};
    if (split.payload.empty()) leave(kExitProtocol);
    begin_ += split.consumed;
    return split.payload;
  }

  /// Sends all of it at once. The core always reads, so that waiting here ends.
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(kSocketFd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n > 0)
        bytes.remove_prefix(static_cast<size_t>(n));
      else if (errno != EINTR)
        leave(0);
    }
  }

 private:
  static constexpr size_t kRead = 64 << 10;

  /// Room for the rest of the frame that has begun to come, and no more than that: address space is short.
  void make_room() {
    if (begin_ == end_) begin_ = end_ = 0;
    size_t want = kRead;
    if (end_ - begin_ >= frames::kHeader) {
      uint32_t size = 0;
      std::memcpy(&size, buffer_.data() + begin_, frames::kHeader);
      want = std::max<size_t>(want, frames::kHeader + size_t{size});
    }
    if (end_ == 0 && buffer_.size() > (1U << 20)) buffer_ = std::string();
    if (buffer_.size() - begin_ >= want && end_ < buffer_.size()) return;
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    if (buffer_.size() < want || end_ == buffer_.size()) buffer_.resize(std::max(want, end_ + kRead));
  }

  std::string buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  Patience patience_;
};

vm::Load read_load(cbor::Reader& in) {
  vm::Load out;
  for (uint64_t left = in.map(); left > 0 && in.ok(); --left) {
    const std::string_view key = in.text();
    if (key == "name")
      out.name = in.text();
    else if (key == "version")
      out.version = in.text();
    else if (key == "memory")
      out.memory = in.unsigned_int();
    else if (key == "modules") {
      for (uint64_t n = in.map(); n > 0 && in.ok(); --n) {
        const std::string_view name = in.text();
        out.modules[std::string(name)] = std::string(in.text());
      }
    } else {
      in.fail();
    }
  }
  return out;
}

/// Runs jobs, one after the other, and is the VM's way out while it runs one.
class Server final : public vm::Host {
 public:
  explicit Server(std::string sandbox) : sandbox_(std::move(sandbox)) {}

  [[noreturn]] void run() {
    load();
    take_frames();  // jobs may have come together with the load frame
    while (true) {
      // What has come since the last look: a revoke of a job that waits, above all.
      socket_.receive(waiting_.empty());
      take_frames();
      if (waiting_.empty()) continue;
      Waiting job = std::move(waiting_.front());
      waiting_.pop_front();
      run_job(job);
    }
  }

  void call(uint32_t request, int call, std::string_view arguments) override {
    out_.clear();
    const size_t start = frames::begin(out_);
    cbor::Writer w(out_);
    w.array(5);
    w.unsigned_integer(static_cast<uint64_t>(Kind::call));
    w.unsigned_integer(epoch_);
    w.unsigned_integer(request);
    w.integer(call);
    w.raw(arguments);
    soon_ = registry::is_quick(registry::calls()[static_cast<size_t>(call)]);
    if (auto sendable = check(out_); !sendable) {
      if (request != 0)
        replies_.push_back({request, tl::unexpected(std::move(sendable.error()))});
      else if (!lost_call_)
        lost_call_ = std::make_unique<Error>(std::move(sendable.error()));
      return;
    }
    frames::finish(out_, start);
    socket_.send(out_);
  }

  void cancel(uint32_t request) override {
    out_.clear();
    const size_t start = frames::begin(out_);
    cbor::Writer w(out_);
    w.array(3);
    w.unsigned_integer(static_cast<uint64_t>(Kind::cancel));
    w.unsigned_integer(epoch_);
    w.unsigned_integer(request);
    frames::finish(out_, start);
    socket_.send(out_);
  }

  vm::Reply wait() override {
    while (replies_.empty()) {
      if (soon_)
        socket_.receive_soon();
      else
        socket_.receive(true);
      soon_ = false;
      take_frames();
    }
    vm::Reply reply = std::move(replies_.front());
    replies_.pop_front();
    return reply;
  }

 private:
  /// A job that came while another one ran.
  struct Waiting {
    uint64_t epoch = 0;
    std::string payload;
  };

  /// The core kills whoever sends it a frame that is too big or too deep: what an extension made of that kind
  /// is an error of its job instead.
  static Result<void> check(std::string_view frame) {
    const std::string_view payload = frame.substr(frames::kHeader);
    if (payload.size() > frames::kMaxFrame) {
      return refuse("limit.frame",
                    "a message of " + std::to_string(payload.size()) + " bytes; at most " +
                        std::to_string(frames::kMaxFrame) + " can leave the sandbox at once",
                    "pass big data through files of the work folder");
    }
    if (auto scanned = cbor::scan(payload); !scanned) {
      Error error = std::move(scanned.error());
      error.code = "limit.frame";
      error.message = "a message that cannot leave the sandbox: " + error.message;
      error.hint = "pass values of fewer levels; outputs and arguments may be nested " +
                   std::to_string(cbor::kMaxDepth - 2) + " levels deep";
      return tl::unexpected(std::move(error));
    }
    return {};
  }

  void load() {
    std::string_view frame;
    while ((frame = socket_.next()).empty()) socket_.receive(true);
    cbor::Reader in(frame);
    const bool shape = in.array() == 2 && in.unsigned_int() == static_cast<uint64_t>(Kind::load);
    vm::Load parsed = read_load(in);
    if (!shape || !in.ok() || !in.at_end()) leave(kExitProtocol);
    auto loaded = vm::Vm::load(std::move(parsed));
    const size_t start = frames::begin(out_);
    cbor::Writer w(out_);
    w.array(2);
    if (!loaded) {
      w.unsigned_integer(static_cast<uint64_t>(Kind::load_failed));
      frames::write_error(w, loaded.error());
      frames::finish(out_, start);
      socket_.send(out_);
      leave(kExitLoadFailed);
    }
    vm_ = std::move(*loaded);
    w.unsigned_integer(static_cast<uint64_t>(Kind::ready));
    w.raw(sandbox_);
    frames::finish(out_, start);
    socket_.send(out_);
  }

  void take_frames() {
    while (true) {
      const std::string_view frame = socket_.next();
      if (frame.empty()) return;
      cbor::Reader in(frame);
      const uint64_t items = in.array();
      const uint64_t kind = in.unsigned_int();
      const uint64_t epoch = in.unsigned_int();
      if (!in.ok()) leave(kExitProtocol);
      switch (static_cast<Kind>(kind)) {
        case Kind::run: waiting_.push_back({epoch, std::string(frame)}); break;
        case Kind::reply: take_reply(in, items, epoch); break;
        case Kind::revoke: give_back(epoch); break;
        default: leave(kExitProtocol);
      }
    }
  }

  void take_reply(cbor::Reader& in, uint64_t items, uint64_t epoch) {
    if (items != 5) leave(kExitProtocol);
    const auto request = static_cast<uint32_t>(in.unsigned_int());
    if (in.boolean()) {
      const std::string_view value = in.next_raw();
      if (!in.ok()) leave(kExitProtocol);
      // A reply to a job that has ended was under way: nobody waits for it.
      if (epoch == epoch_ && running_) replies_.push_back({request, std::string(value)});
    } else {
      Error error = frames::read_error(in);
      if (!in.ok()) leave(kExitProtocol);
      if (epoch == epoch_ && running_) replies_.push_back({request, tl::unexpected(std::move(error))});
    }
  }

  void give_back(uint64_t epoch) {
    const auto found =
        std::find_if(waiting_.begin(), waiting_.end(), [&](const Waiting& w) { return w.epoch == epoch; });
    if (found == waiting_.end()) return;  // begun or ended: the core sees which
    waiting_.erase(found);
    std::string bytes;
    const size_t start = frames::begin(bytes);
    cbor::Writer w(bytes);
    w.array(2);
    w.unsigned_integer(static_cast<uint64_t>(Kind::returned));
    w.unsigned_integer(epoch);
    frames::finish(bytes, start);
    socket_.send(bytes);
  }

  vm::Job read_job(const Waiting& waiting) {
    cbor::Reader in(waiting.payload);
    const uint64_t items = in.array();
    in.next();  // kind and epoch were read when the frame came
    in.next();
    vm::Job job;
    const uint64_t kind = in.unsigned_int();
    if (kind > static_cast<uint64_t>(frames::JobKind::refresh)) leave(kExitProtocol);
    job.kind = static_cast<frames::JobKind>(kind);
    job.soft = std::chrono::milliseconds(in.unsigned_int());
    job.cpu = std::chrono::milliseconds(in.unsigned_int());
    job.memory = in.unsigned_int();
    job.output = in.unsigned_int();
    job.calls = static_cast<uint32_t>(in.unsigned_int());
    if (frames::is_of_instance(job.kind)) {
      job.name = in.text();
      job.type = in.text();
      job.stack = in.text();
      job.config = in.next_raw();
      job.state = in.next_raw();
      job.runtime = in.next_raw();
      job.attempt = static_cast<uint32_t>(in.unsigned_int());
    }
    uint64_t expected = frames::is_of_instance(job.kind) ? 15 : 8;
    if (job.kind == frames::JobKind::hook) {
      job.name = in.text();
      job.config = in.next_raw();
      expected = 10;
    }
    if (!in.ok() || !in.at_end() || items != expected) leave(kExitProtocol);
    return job;
  }

  void run_job(const Waiting& waiting) {
    const vm::Job job = read_job(waiting);
    epoch_ = waiting.epoch;
    running_ = true;
    vm::Outcome outcome = vm_->run(job, *this);
    running_ = false;
    replies_.clear();
    if (lost_call_) {
      if (outcome.ok) {
        outcome.ok = false;
        outcome.error = std::move(*lost_call_);
      }
      lost_call_.reset();
    }
    // Sent before the next job starts, never held back: a crash must be told of the job that it happened in,
    // and the core measures deadlines from here.
    write_done(outcome);
    if (auto sendable = check(out_); !sendable) {
      outcome.ok = false;
      outcome.error = std::move(sendable.error());
      write_done(outcome);
    }
    frames::finish(out_, 0);
    socket_.send(out_);
  }

  void write_done(const vm::Outcome& outcome) {
    out_.clear();
    frames::begin(out_);
    cbor::Writer w(out_);
    w.array(outcome.ok ? 7 : 6);
    w.unsigned_integer(static_cast<uint64_t>(Kind::done));
    w.unsigned_integer(epoch_);
    w.boolean(outcome.ok);
    if (outcome.ok) {
      if (outcome.value.empty())
        w.null();
      else
        w.raw(outcome.value);
      if (outcome.state.empty())
        w.null();
      else
        w.raw(outcome.state);
    } else {
      frames::write_error(w, outcome.error);
    }
    w.unsigned_integer(outcome.cpu_us);
    w.unsigned_integer(outcome.peak_bytes);
  }

  Socket socket_;
  std::string sandbox_;
  std::unique_ptr<vm::Vm> vm_;
  std::deque<Waiting> waiting_;
  std::deque<vm::Reply> replies_;
  std::unique_ptr<Error> lost_call_;  // a call without reply that could not be sent: the job fails with it
  std::string out_;
  uint64_t epoch_ = 0;
  bool running_ = false;
  bool soon_ = false;  // the call that was sent last is a quick one
};

[[noreturn]] void refuse_to_run(const Error& error) {
  std::string bytes;
  const size_t start = frames::begin(bytes);
  cbor::Writer w(bytes);
  w.array(2);
  w.unsigned_integer(static_cast<uint64_t>(Kind::load_failed));
  frames::write_error(w, error);
  frames::finish(bytes, start);
  Socket().send(bytes);
  leave(kExitLoadFailed);
}

[[noreturn]] void report(const std::string& sandbox) {
  std::string bytes;
  const size_t start = frames::begin(bytes);
  cbor::Writer w(bytes);
  w.array(2);
  w.unsigned_integer(static_cast<uint64_t>(Kind::ready));
  w.raw(sandbox);
  frames::finish(bytes, start);
  Socket().send(bytes);
  leave(0);
}

struct ThreadStart {
  const SeccompFilter& filter;
  Confinement confinement;
  bool probe;
};

void* vm_thread(void* argument) {
  auto& start = *static_cast<ThreadStart*>(argument);
  if (auto confined = confine_threads(start.filter, start.confinement); !confined) {
    refuse_to_run(confined.error());
  }
  if (start.probe) report(start.confinement.encode());
  try {
    Server(start.confinement.encode()).run();
  } catch (const std::bad_alloc&) {
    leave(kExitOutOfMemory);
  } catch (const std::exception&) {
    leave(kExitInternal);
  }
}

/// A thread with a stack of kStackBytes: deep recursion through C functions of Lua ends in Lua's own error
/// there, and in the guard page below it if nothing else stops it.
bool start_thread(pthread_t& thread, ThreadStart& start) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED || mprotect(stack, page, PROT_NONE) != 0) return false;
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  const bool made =
      pthread_attr_setstack(&attributes, static_cast<char*>(stack) + page, kStackBytes - page) == 0 &&
      pthread_create(&thread, &attributes, vm_thread, &start) == 0;
  pthread_attr_destroy(&attributes);
  return made;
}

}  // namespace

void serve(const ServeOptions& options, const Result<SeccompFilter>& filter) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) leave(kExitSetup);
  if (getppid() != options.parent) leave(0);  // it died before we asked to die with it
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  if (sigprocmask(SIG_SETMASK, &none, nullptr) != 0 || !keep_only(options.socket)) leave(kExitSetup);
  if (!filter) refuse_to_run(filter.error());
  // One heap for all threads: a second one would reserve 128 MiB of the address space and open a file to
  // shrink.
  mallopt(M_ARENA_MAX, 1);

  ThreadStart start{*filter, {}, options.probe};
  if (auto confined = confine_process(options.memory, start.confinement); !confined)
    refuse_to_run(confined.error());
  pthread_t thread{};
  if (!start_thread(thread, start)) leave(kExitSetup);
  pthread_join(thread, nullptr);
  leave(kExitInternal);  // the thread never returns
}

}  // namespace pf::worker
