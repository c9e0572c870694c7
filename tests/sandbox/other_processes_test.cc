// Programs that reach for other processes: the core, its guardian and workers, programs of other instances.
#include <gtest/gtest.h>

#include "support/attack.h"

namespace pf::test {
namespace {

// Waits for the victim, then tries every process of its user that does not descend from it.
constexpr const char* kScript = R"(
import ctypes, os, signal, time
libc = ctypes.CDLL(None, use_errno=True)
def processes():
  out = {}
  for name in os.listdir('/proc'):
    try:
      if name.isdigit() and os.stat('/proc/' + name).st_uid == os.getuid():
        out[int(name)] = open('/proc/' + name + '/cmdline', 'rb').read()
    except OSError: pass
  return out
end = time.time() + 30
while b'sleep\x00600.25\x00' not in processes().values() and time.time() < end: time.sleep(0.02)
seen = processes()
victims = [p for p in seen if p != os.getpid()]
names = b' '.join(seen.values())
print('saw', b'pangeo-forge\x00run' in names, b'sleep\x00600.25' in names)
reached = set()
def attempt(what, f, *a):
  try:
    f(*a)
    reached.add(what)
  except (OSError, ProcessLookupError): pass
def call(what, *a):
  if libc.syscall(*a) >= 0: reached.add(what)
def read(path):
  with open(path, 'rb') as file:
    if not file.read(1): raise OSError()
buffer = ctypes.create_string_buffer(64)
class Part(ctypes.Structure): _fields_ = [('at', ctypes.c_void_p), ('size', ctypes.c_size_t)]
for pid in victims:
  for number in (0, signal.SIGCONT, signal.SIGTERM, signal.SIGKILL): attempt('kill', os.kill, pid, number)
  attempt('group', os.killpg, pid, signal.SIGKILL)
  for what in ('environ', 'mem', 'maps', 'auxv', 'stack', 'syscall'):
    attempt(what, read, '/proc/%d/%s' % (pid, what))
  attempt('fd', os.readlink, '/proc/%d/fd/0' % pid)
  attempt('exe', os.readlink, '/proc/%d/exe' % pid)
  attempt('root', os.listdir, '/proc/%d/root' % pid)
  attempt('cwd', os.listdir, '/proc/%d/cwd/' % pid)
  attempt('oom', lambda: open('/proc/%d/oom_score_adj' % pid, 'w').write('1000'))
  attempt('comm', lambda: open('/proc/%d/comm' % pid, 'w').write('x'))
  call('attach', 101, 16, pid, 0, 0)
  call('seize', 101, 0x4206, pid, 0, 0)
  call('vm_readv', 310, pid, ctypes.byref(Part(ctypes.addressof(buffer), 64)), 1,
       ctypes.byref(Part(ctypes.addressof(buffer), 64)), 1, 0)
  call('prlimit', 302, pid, 7, ctypes.byref(ctypes.create_string_buffer(b'\x05' + b'\x00' * 15, 16)), 0)
  fd = libc.syscall(434, pid, 0)
  if fd >= 0:
    call('pidfd_signal', 424, fd, 9, 0, 0)
    call('pidfd_getfd', 438, fd, 0, 0)
    call('setns', 308, fd, 0x10000000)
  call('sigqueue', 129, pid, 9, ctypes.byref(ctypes.create_string_buffer(128)))
print('reached', sorted(reached))
)";

TEST(OtherProcesses, AreOutOfReach) {
#if !defined(__x86_64__)
  GTEST_SKIP() << "the script has this machine's numbers of system calls";
#endif
  Project project(unprivileged_user());
  Attack attack;
  attack.manifest = "permissions: {programs: [python3, sleep]}\n";
  attack.bodies["bad"] = "outputs.out = " + python(kScript) + ".stdout";
  attack.bodies["victim"] =
      "local _, e = forge.try(forge.process.run, {'sleep', '600.25'}, {timeout = 8})\n"
      "outputs.ended_by = e.code";
  const auto run = run_attack(project, attack);
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"out", "saw True True\nreached []\n"}})) << run.output.out;
  EXPECT_EQ(run.outputs("attack.victim"), Json({{"ended_by", "process.timeout"}})) << run.output.out;
}

TEST(OtherProcesses, ShareNoMemoryOrQueuesBesideFiles) {
#if !defined(__x86_64__)
  GTEST_SKIP() << "the script has this machine's numbers of system calls";
#endif
  constexpr const char* script = R"(
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def call(*a):
  return os.strerror(ctypes.get_errno()) if libc.syscall(*a) < 0 else 'made'
print('shm', call(29, 4711, 4096, 0o1666))
print('shmat', call(30, 0, 0, 0))
print('msg', call(68, 4711, 0o1666))
print('sem', call(64, 4711, 1, 0o1666))
print('mq', call(240, b'pangeo', 0o102, 0o666, 0))
try: open('/dev/shm/pangeo', 'w'); print('file made')
except OSError as e: print('file', e.strerror)
)";
  Project project(unprivileged_user());
  const auto run = run_attack(project, "outputs.out = " + python(script) + ".stdout",
                              "permissions: {programs: [python3]}\n");
  const std::string no = " Function not implemented\n";
  EXPECT_EQ(run.outputs("attack.bad").value("out", ""),
            "shm" + no + "shmat" + no + "msg" + no + "sem" + no + "mq" + no + "file Permission denied\n")
      << run.output.out;
}

}  // namespace
}  // namespace pf::test
