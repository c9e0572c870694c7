// What a VM could be in which an attacker has won: it stands in the real one's place in a real worker, has
// the worker's socket, and sends on it what its job's name says.
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>

#include "base/cbor.h"
#include "registry/calls.h"
#include "vm/vm.h"
#include "worker/protocol.h"

namespace pf::vm {
namespace {

std::string framed(std::string_view payload) {
  std::string out;
  const size_t start = frames::begin(out);
  out += payload;
  frames::finish(out, start);
  return out;
}

void send_raw(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(worker::kSocketFd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) _exit(0);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

std::string call(uint64_t epoch, uint64_t request, int64_t number, std::string_view argument = "x") {
  std::string out;
  cbor::Writer w(out);
  w.array(5);
  w.unsigned_integer(17);
  w.unsigned_integer(epoch);
  w.unsigned_integer(request);
  w.integer(number);
  w.array(1);
  w.text(argument);
  return out;
}

/// A call that nobody answers for a thousand seconds.
std::string sleep(uint64_t epoch, uint64_t request) {
  std::string out;
  cbor::Writer w(out);
  w.array(5);
  w.unsigned_integer(17);
  w.unsigned_integer(epoch);
  w.unsigned_integer(request);
  w.integer(registry::find("time.sleep"));
  w.array(1);
  w.unsigned_integer(1000);
  return out;
}

std::string done(uint64_t epoch) {
  std::string out;
  cbor::Writer w(out);
  w.array(7);
  w.unsigned_integer(18);
  w.unsigned_integer(epoch);
  w.boolean(true);
  w.map(0);
  w.null();
  w.unsigned_integer(5);
  w.unsigned_integer(6);
  return out;
}

class OutOfControl final : public Vm {
 public:
  Outcome run(const Job& job, Host& host) override {
    Outcome out;
    out.ok = true;
    out.value = "\xa0";
    const std::string_view name = job.name;
    const int read = registry::find("fs.read");
    if (name == "garbage") send_raw(framed("\xde\xad\xbe\xef"));
    if (name == "length") send_raw("\xff\xff\xff\xff");
    if (name == "deep") send_raw(framed(std::string(100000, '\x81')));
    if (name == "kind") send_raw(framed(std::string("\x82\x04\x01")));
    if (name == "ready") send_raw(framed(std::string("\x82\x10\xa0")));
    if (name == "past") send_raw(framed(done(0)));
    if (name == "future") send_raw(framed(call(99999, 1, read)));
    if (name == "unknown") send_raw(framed(call(1, 1, 100000)));
    if (name == "inside") send_raw(framed(call(1, 1, registry::find("json.encode"))));
    if (name == "returned") send_raw(framed(std::string("\x82\x13\x01")));
    if (name == "twice") send_raw(framed(call(1, 3, read)) + framed(call(1, 3, read)));
    if (name == "flood") {
      for (uint64_t i = 1; i <= 200; ++i) send_raw(framed(sleep(1, i)));
    }
    if (name == "cut") {
      send_raw(std::string("\x64\x00\x00\x00\x85\x11", 6));
      _exit(0);
    }
    if (name == "silent") {
      send_raw(std::string("\x64\x00\x00\x00\x85\x11", 6));
      while (true) sched_yield();
    }
    // In one packet, so that the core meets both before it can give this worker anything else.
    if (name == "twofold") send_raw(framed(done(1)) + framed(done(1)));
    // What the registry does not ask of it either: arguments that no Lua code could have sent, and no
    // permission.
    if (name == "forbidden") {
      std::string arguments = "\x81";
      cbor::Writer(arguments).text("/etc/hostname");
      host.call(1, read, arguments);
      auto reply = host.wait().value;
      out.ok = false;
      out.error = reply ? Error{"attack.reached", *reply, "", {}, false, ""} : reply.error();
    }
    return out;
  }
};

}  // namespace

Result<std::unique_ptr<Vm>> Vm::load(Load /*load*/) { return std::make_unique<OutOfControl>(); }

}  // namespace pf::vm
