// A double of the VM that does what a job's name says, so that everything around the VM can be tested. The
// real one is tests/vm's business.
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/cbor.h"
#include "registry/calls.h"
#include "vm/vm.h"

namespace pf::vm {
namespace {

std::string encoded(std::string_view text) {
  std::string out;
  cbor::Writer(out).text_or_bytes(text);
  return out;
}

/// A system call's outcome as text: its errno's name, or "allowed".
Outcome attempt(long result) {
  Outcome out;
  out.ok = true;
  out.value = encoded(result < 0 ? strerrorname_np(errno) : "allowed");
  return out;
}

class Double final : public Vm {
 public:
  explicit Double(Load load) : load_(std::move(load)) {}

  Outcome run(const Job& job, Host& host) override {
    Outcome out;
    out.ok = true;
    out.cpu_us = 7;
    out.peak_bytes = 4096;
    out.value = "\xa0";
    const std::string_view name = job.name;
    if (job.kind != frames::JobKind::instance) {
      out.value = encoded(job.kind == frames::JobKind::models ? "models" : "bootstrap");
    } else if (name == "noop") {
    } else if (name == "echo") {
      out.value = job.config;
      out.state = job.state;
    } else if (name == "describe") {
      std::string text = load_.name + " " + load_.version + " " + load_.modules.at("extension");
      text +=
          " | " + std::string(job.type) + " " + std::string(job.stack) + " " + std::to_string(job.attempt);
      text += " | soft " + std::to_string(job.soft.count()) + " cpu " + std::to_string(job.cpu.count());
      out.value = encoded(text);
    } else if (name == "fail") {
      out.ok = false;
      out.error.code = "lua.error";
      out.error.message = "as asked";
      out.error.traceback = "in double";
    } else if (name == "ask") {  // one host call with the config as its argument; the reply is the output
      ask(host, 1, job.config);
      auto reply = host.wait().value;
      if (reply)
        out.value = *reply;
      else {
        out.ok = false;
        out.error = reply.error();
      }
    } else if (name == "ask-all") {  // 64 at once
      for (uint32_t i = 1; i <= 64; ++i) ask(host, i, job.config);
      for (uint32_t i = 1; i <= 64; ++i) host.wait();
    } else if (name == "flood") {
      for (uint32_t i = 1; i <= 65; ++i) ask(host, i, job.config);
      host.wait();
    } else if (name == "log") {
      std::string arguments = "\x81";
      arguments += encoded("hello");
      host.call(0, registry::find("log.info"), arguments);
    } else if (name == "loop") {
      for (volatile bool on = true; on;) {
      }
    } else if (name == "deep") {
      out.value = std::string(64, '\x81') + "\x01";
    } else if (name == "big") {
      out.value = encoded(std::string(frames::kMaxFrame, 'x'));
    } else if (name == "big-call") {
      std::string arguments = "\x81";
      arguments += encoded(std::string(frames::kMaxFrame, 'x'));
      host.call(0, registry::find("log.info"), arguments);
    } else if (name == "eat") {  // until the process may have no more
      std::vector<std::vector<char>> held;
      while (true) held.emplace_back(16 << 20, 'x');
    } else if (name == "pid") {
      out.value.clear();
      cbor::Writer(out.value).integer(getpid());
    } else if (name == "segv") {
      raise(SIGSEGV);
    } else if (name == "abort") {
      std::abort();
    } else if (name == "exit") {
      _exit(9);
    } else if (name == "open") {
      return attempt(syscall(SYS_openat, AT_FDCWD_, "/etc/passwd", 0));
    } else if (name == "socket") {
      return attempt(socket(AF_INET, SOCK_STREAM, 0));
    } else if (name == "exec") {
      char* none[] = {nullptr};
      return attempt(execve("/bin/true", none, none));
    } else if (name == "stderr") {
      return attempt(write(2, "from a worker\n", 14) == 14 ? 0 : -1);
    } else if (name == "stack") {
      return attempt(use_stack(200) ? 0 : -1);
    } else {
      out.ok = false;
      out.error.code = "double.unknown";
      out.error.message = "the double knows no job '" + std::string(name) + "'";
    }
    return out;
  }

 private:
  static constexpr int AT_FDCWD_ = -100;

  static void ask(Host& host, uint32_t request, std::string_view config) {
    std::string arguments = "\x81";
    arguments += config;
    host.call(request, registry::find("fs.read"), arguments);
  }

  /// Recurses through so many MiB of stack.
  static bool use_stack(int mebibytes) {
    volatile char frame[1 << 20];
    frame[0] = static_cast<char>(mebibytes);
    frame[sizeof frame - 1] = static_cast<char>(mebibytes);
    return mebibytes == 0 ||
           (use_stack(mebibytes - 1) && frame[sizeof frame - 1] == static_cast<char>(mebibytes));
  }

  Load load_;
};

}  // namespace

Result<std::unique_ptr<Vm>> Vm::load(Load load) {
  if (load.modules.contains("broken")) {
    return refuse("lua.syntax", "broken.lua:1: '=' expected near 'x'", {}, {"broken.lua", 1, 0, {}});
  }
  if (load.modules.contains("kill")) raise(SIGKILL);
  return std::make_unique<Double>(std::move(load));
}

}  // namespace pf::vm
