#include "worker/programs.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "worker/programs_impl.h"

namespace pf::worker {
namespace {

constexpr size_t kReadAtOnce = 64 << 10;
constexpr int kReadsInATurn = 4;  // then others of the loop have their turn
constexpr size_t kKeptShims = 32;
// Its pipes are held by somebody whom killing all its descendants did not reach: a process that it passed
// them to.
constexpr Milliseconds kLinger{2000};

tl::unexpected<Error> not_started(std::string what, std::string hint = {}) {
  if (hint.empty())
    hint = "raise the limits of open files and processes (ulimit -n, -u), or lower max_parallel";
  return pf::fail("process.start", std::move(what), std::move(hint));
}

Error start_error(const ShimReport& report, const ProgramSpec& spec) {
  const std::string why = strerror(report.error);
  switch (report.step) {
    case ShimReport::Step::folder:
      return not_started("cannot start " + spec.file + ": its working folder " + spec.folder + ": " + why,
                         "make the folder first")
          .value();
    case ShimReport::Step::grant: {
      const size_t at = report.grant;
      const std::string path = at < spec.read.size() ? spec.read[at].path
                               : at - spec.read.size() < spec.write.size()
                                   ? spec.write[at - spec.read.size()].path
                                   : "?";
      return refuse("process.grant", "cannot grant " + spec.file + " the path " + path + ": " + why,
                    "the path must be one that the user who runs pangeo-forge can look at")
          .value();
    }
    case ShimReport::Step::confine:
      return refuse("sandbox.unavailable", "cannot confine " + spec.file + ": " + why,
                    "programs need Landlock (Linux 5.13) and seccomp; run `pangeo-forge doctor`")
          .value();
    case ShimReport::Step::exec:
      return refuse("process.start", "cannot execute " + spec.file + ": " + why,
                    "it must be a program for this machine, executable by its user; a script's first line "
                    "must name "
                    "an interpreter that is there and granted")
          .value();
    case ShimReport::Step::request:
    case ShimReport::Step::fork: break;
  }
  return not_started("cannot start " + spec.file + ": " + why).value();
}

Result<UniqueFd> memory_file(std::string_view content) {
  UniqueFd file(memfd_create("program", MFD_CLOEXEC));
  if (!file) return not_started(std::string("no memory file: ") + strerror(errno));
  if (auto written = write_all(file.get(), content); !written) return tl::unexpected(written.error());
  return file;
}

}  // namespace

/// One shim, idle or with a program.
struct ShimPrograms::Shim {
  Shim(asio::io_context& loop, int fd, const Program& first)
      : socket(loop, fd), confined(first.confined), network(first.spec.network) {}
  /// A shim confines itself as far as its programs have in common: it serves one kind of them.
  bool serves(const Program& program) const {
    return confined == program.confined && (!confined || network == program.spec.network);
  }
  asio::posix::stream_descriptor socket;
  bool confined, network;
  std::weak_ptr<Run> run;

  bool send(ShimRequest::Kind kind, const int* fds = nullptr) {
    ShimRequest request{kind};
    iovec part{&request, sizeof request};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kProgramFds)] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (fds != nullptr) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int) * kProgramFds);
      std::memcpy(CMSG_DATA(header), fds, sizeof(int) * kProgramFds);
    }
    // Never more than a few small packets are under way.
    ssize_t n = 0;
    while ((n = sendmsg(socket.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL)) < 0 &&
           errno == EINTR) {
    }
    return n >= 0;
  }
};

/// One program, from start() until it is told to have ended.
struct ShimPrograms::Run {
  Run(asio::io_context& loop, uint64_t number, Program what)
      : id(number), program(std::move(what)), input(loop), outputs{Pipe(loop), Pipe(loop)}, timer(loop) {}
  uint64_t id;
  Program program;
  Output output;
  Ended ended;
  std::shared_ptr<Shim> shim;
  asio::posix::stream_descriptor input;
  size_t written = 0;
  struct Pipe {
    explicit Pipe(asio::io_context& loop) : fd(loop) {}
    asio::posix::stream_descriptor fd;
    bool waiting = false;
  } outputs[2];
  asio::steady_timer timer;
  ProgramEnd end;
  bool exited = false;
  bool paused = false;
  bool dropped = false;
};

ShimPrograms::ShimPrograms(asio::io_context& loop, Launch launch) : loop_(loop), launch_(std::move(launch)) {}

ShimPrograms::~ShimPrograms() { close(); }

void ShimPrograms::close() {
  launch_ = nullptr;
  auto runs = std::move(runs_);
  runs_.clear();
  runs.merge(dropped_);
  dropped_.clear();
  for (const auto& [id, run] : runs) {
    run->dropped = true;
    run->timer.cancel();
    run->input.close();
    for (auto& pipe : run->outputs) pipe.fd.close();
    if (run->shim) run->shim->socket.close();
  }
  for (const auto& shim : idle_) shim->socket.close();
  idle_.clear();
}

// ---- shims

Result<std::shared_ptr<ShimPrograms::Shim>> ShimPrograms::shim(const Program& program) {
  for (size_t i = idle_.size(); i-- > 0;) {
    if (!idle_[i]->serves(program)) continue;
    auto found = std::move(idle_[i]);
    idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(i));
    return found;
  }
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
    return not_started(std::string("no sockets for a program: ") + strerror(errno));
  }
  auto made = std::make_shared<Shim>(loop_, fds[0], program);
  UniqueFd theirs(fds[1]);
  if (!launch_) return not_started("the run has ended");
  if (auto launched = launch_(std::move(theirs), program.confined); !launched)
    return tl::unexpected(launched.error());
  read_reports(made);
  return made;
}

void ShimPrograms::read_reports(const std::shared_ptr<Shim>& shim) {
  shim->socket.async_wait(asio::posix::stream_descriptor::wait_read,
                          [weak = weak_from_this(), shim](std::error_code code) {
                            const auto self = weak.lock();
                            if (self && !code && shim->socket.is_open()) self->take(shim);
                          });
}

void ShimPrograms::take(const std::shared_ptr<Shim>& shim) {
  while (shim->socket.is_open()) {
    ShimReport report;
    const ssize_t n = recv(shim->socket.native_handle(), &report, sizeof report, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return read_reports(shim);
    if (n != static_cast<ssize_t>(sizeof report)) return lost(shim);
    const auto run = shim->run.lock();
    if (!run) continue;
    if (report.kind == ShimReport::Kind::failed) {
      run->end.error = start_error(report, run->program.spec);
    } else {
      run->end.status = report.status;
      run->end.left = report.left;
      run->end.cpu_us = report.cpu_us;
      run->end.max_rss = report.max_rss;
      run->end.read_bytes = report.read_bytes;
      run->end.write_bytes = report.write_bytes;
    }
    release(shim);
    ended(run);
  }
}

void ShimPrograms::release(const std::shared_ptr<Shim>& shim) {
  if (const auto run = shim->run.lock()) run->shim.reset();
  shim->run.reset();
  if (idle_.size() < kKeptShims)
    idle_.push_back(shim);
  else
    shim->socket.close();
}

void ShimPrograms::lost(const std::shared_ptr<Shim>& shim) {
  const auto run = shim->run.lock();
  shim->socket.close();
  std::erase(idle_, shim);
  if (!run) return;
  run->shim.reset();
  Error error;
  error.code = "process.lost";
  error.message =
      "the process that watched over " + run->program.spec.file + " is gone, and the program with it";
  error.hint = "look into the kernel's log for what killed it, such as the end of memory";
  run->end.error = std::move(error);
  ended(run);
}

// ---- programs

uint64_t ShimPrograms::start(Program program, Output output, Ended on_end) {
  auto run = std::make_shared<Run>(loop_, ++last_, std::move(program));
  run->output = std::move(output);
  run->ended = std::move(on_end);
  runs_.emplace(run->id, run);
  if (auto begun = begin(*run); !begun) {
    run->end.error = std::move(begun.error());
    asio::post(loop_, [weak = weak_from_this(), run] {
      if (const auto self = weak.lock()) self->ended(run);
    });
    return run->id;
  }
  for (int stream : {1, 2}) read_output(run, stream);
  if (run->input.is_open()) write_input(run);
  if (run->program.timeout.count() > 0) {
    run->timer.expires_after(run->program.timeout);
    run->timer.async_wait([weak = weak_from_this(), run](std::error_code code) {
      if (const auto self = weak.lock(); self && !code) self->at_timeout(run);
    });
  }
  return run->id;
}

Result<void> ShimPrograms::begin(Run& run) {
  auto content = memory_file(encode(run.program.spec));
  if (!content) return tl::unexpected(std::move(content.error()));
  UniqueFd theirs[3];
  UniqueFd ours[3];
  for (int i = 0; i < 3; ++i) {
    if (i == 0 && run.program.input.empty()) {
      theirs[0].reset(open("/dev/null", O_RDONLY | O_CLOEXEC));
      if (!theirs[0]) return not_started(std::string("/dev/null: ") + strerror(errno));
      continue;
    }
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
      return not_started(std::string("no pipes for a program: ") + strerror(errno));
    const int mine = i == 0 ? 1 : 0;
    ours[i].reset(fds[mine]);
    theirs[i].reset(fds[1 - mine]);
    if (fcntl(ours[i].get(), F_SETFL, O_NONBLOCK) != 0)
      return not_started(std::string("fcntl: ") + strerror(errno));
  }
  auto with = shim(run.program);
  if (!with) return tl::unexpected(std::move(with.error()));
  const int fds[kProgramFds] = {content->get(), theirs[0].get(), theirs[1].get(), theirs[2].get()};
  if (!(*with)->send(ShimRequest::Kind::run, fds)) {
    (*with)->socket.close();
    return not_started(std::string("the program's shim does not answer: ") + strerror(errno));
  }
  run.shim = *with;
  (*with)->run = runs_.at(run.id);
  if (ours[0]) run.input.assign(ours[0].release());
  for (int i : {1, 2}) run.outputs[i - 1].fd.assign(ours[i].release());
  return {};
}

void ShimPrograms::read_output(const std::shared_ptr<Run>& run, int stream) {
  auto& pipe = run->outputs[stream - 1];
  if (pipe.waiting || run->paused || !pipe.fd.is_open()) return;
  pipe.waiting = true;
  pipe.fd.async_wait(asio::posix::stream_descriptor::wait_read,
                     [weak = weak_from_this(), run, stream](std::error_code code) {
                       auto& from = run->outputs[stream - 1];
                       from.waiting = false;
                       const auto self = weak.lock();
                       if (!self || code || run->dropped) return;
                       // Of this thread, which is the loop's: it need not be zeroed for every read.
                       static thread_local std::unique_ptr<char[]> buffer(new char[kReadAtOnce]);
                       for (int i = 0; i < kReadsInATurn && !run->paused; ++i) {
                         const ssize_t n = read(from.fd.native_handle(), buffer.get(), kReadAtOnce);
                         if (n > 0) {
                           run->output(stream, {buffer.get(), static_cast<size_t>(n)});
                           if (run->dropped) return;
                           if (static_cast<size_t>(n) < kReadAtOnce) break;
                           continue;
                         }
                         if (n < 0 && errno == EINTR) continue;
                         if (n < 0 && errno == EAGAIN) break;
                         from.fd.close();
                         return self->maybe_end(run);
                       }
                       self->read_output(run, stream);
                     });
}

void ShimPrograms::write_input(const std::shared_ptr<Run>& run) {
  const std::string& text = run->program.input;
  while (run->written < text.size()) {
    const ssize_t n =
        write(run->input.native_handle(), text.data() + run->written, text.size() - run->written);
    if (n > 0) {
      run->written += static_cast<size_t>(n);
    } else if (errno == EAGAIN) {
      run->input.async_wait(asio::posix::stream_descriptor::wait_write,
                            [weak = weak_from_this(), run](std::error_code code) {
                              const auto self = weak.lock();
                              if (self && !code && run->input.is_open()) self->write_input(run);
                            });
      return;
    } else if (errno != EINTR) {
      break;  // EPIPE: it does not want to read more
    }
  }
  run->input.close();
}

void ShimPrograms::at_timeout(const std::shared_ptr<Run>& run) {
  if (!run->shim || run->exited) return;
  if (run->end.timed_out || run->program.grace.count() == 0) {
    run->end.timed_out = true;
    run->shim->send(ShimRequest::Kind::kill);
    return;
  }
  run->end.timed_out = true;
  run->shim->send(ShimRequest::Kind::terminate);
  run->timer.expires_after(run->program.grace);
  run->timer.async_wait([weak = weak_from_this(), run](std::error_code code) {
    if (const auto self = weak.lock(); self && !code) self->at_timeout(run);
  });
}

void ShimPrograms::signal(uint64_t program, int number) {
  const auto found = runs_.find(program);
  if (found == runs_.end() || !found->second->shim || found->second->exited) return;
  found->second->shim->send(number == SIGINT ? ShimRequest::Kind::interrupt : ShimRequest::Kind::terminate);
}

void ShimPrograms::kill(uint64_t program) {
  const auto found = runs_.find(program);
  if (found == runs_.end() || !found->second->shim) return;
  found->second->end.killed = true;
  found->second->shim->send(ShimRequest::Kind::kill);
}

void ShimPrograms::drop(uint64_t program) {
  const auto found = runs_.find(program);
  if (found == runs_.end()) return;
  const auto run = found->second;
  kill(program);
  run->dropped = true;
  runs_.erase(program);
  run->output = nullptr;
  run->ended = nullptr;
  // The shim is used again once it has said that all is gone; the run lives until then.
  if (run->shim) dropped_.emplace(program, run);
  run->timer.cancel();
  run->input.close();
  for (auto& pipe : run->outputs) pipe.fd.close();
}

void ShimPrograms::pause(uint64_t program, bool paused) {
  const auto found = runs_.find(program);
  if (found == runs_.end() || found->second->paused == paused) return;
  found->second->paused = paused;
  if (paused) return;
  for (int stream : {1, 2}) read_output(found->second, stream);
}

/// The process has ended, or never was; its output may still be in the pipes.
void ShimPrograms::ended(const std::shared_ptr<Run>& run) {
  if (run->dropped) {
    dropped_.erase(run->id);
    return;
  }
  run->exited = true;
  run->timer.cancel();
  run->input.close();
  if (run->end.error) {
    for (auto& pipe : run->outputs) pipe.fd.close();
  } else {
    run->timer.expires_after(kLinger);
    run->timer.async_wait([weak = weak_from_this(), run](std::error_code code) {
      const auto self = weak.lock();
      if (!self || code || run->paused) return;
      for (auto& pipe : run->outputs) pipe.fd.close();
      self->maybe_end(run);
    });
  }
  maybe_end(run);
}

void ShimPrograms::maybe_end(const std::shared_ptr<Run>& run) {
  if (!run->exited || run->dropped || run->outputs[0].fd.is_open() || run->outputs[1].fd.is_open()) return;
  run->timer.cancel();
  run->dropped = true;
  runs_.erase(run->id);
  const auto tell = std::move(run->ended);
  tell(std::move(run->end));
}

}  // namespace pf::worker
