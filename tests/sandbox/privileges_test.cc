// Programs that try to become more than they are.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/attack.h"

namespace pf::test {
namespace {

constexpr const char* kScript = R"(
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
gained = []
def call(what, *a):
  if libc.syscall(*a) >= 0: gained.append(what)
def attempt(what, f, *a):
  try:
    f(*a)
    gained.append(what)
  except OSError: pass
if os.getuid() != 0:
  attempt('setuid', os.setuid, 0)
  attempt('setgroups', os.setgroups, [0])
attempt('chroot', os.chroot, '.')
attempt('device', os.mknod, 'device', 0o20600, os.makedev(1, 3))
for name, flag in [('user', 0x10000000), ('mount', 0x20000), ('pid', 0x20000000), ('net', 0x40000000)]:
  call('unshare ' + name, 272, flag)
  call('clone ' + name, 56, flag | 17, 0, 0, 0, 0)
call('clone3', 435, 0, 0)
call('mount', 165, b'none', b'.', b'tmpfs', 0, 0)
call('open_tree', 428, -100, b'/', 1)
call('fsopen', 430, b'tmpfs', 0)
call('pivot_root', 155, b'.', b'.')
call('bpf', 321, 0, 0, 0)
call('perf', 298, 0, 0, -1, -1, 0)
call('userfaultfd', 323, 0)
call('ring', 425, 8, 0)
call('add_key', 248, b'user', b'x', b'y', 1, -3)
call('module', 175, 0, 0, b'')
call('kexec', 246, 0, 0, 0, 0)
call('handle', 304, -100, 0, 0)
call('iopl', 172, 3)
call('swapon', 167, b'own', 0)
call('reboot', 169, 0xfee1dead, 672274793, 0, 0)
call('hostname', 170, b'x', 1)
call('settime', 227, 0, 0)
status = dict(line.split(':', 1) for line in open('/proc/self/status') if ':' in line)
print(gained, [int(status[k], 16) for k in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb')],
      status['NoNewPrivs'].strip(), status['Seccomp'].strip())
)";
constexpr const char* kNone = "[] [0, 0, 0, 0, 0] 1 2\n";

TEST(Privileges, AreNotGained) {
#if !defined(__x86_64__)
  GTEST_SKIP() << "the script has this machine's numbers of system calls";
#endif
  for (const uid_t user : {unprivileged_user(), uid_t{0}}) {
    Project project(user);
    const auto run = run_attack(project, "outputs.out = " + python(kScript) + ".stdout",
                                "permissions: {programs: [python3]}\n");
    // What an unprivileged user has of the bounding set is worth nothing without a way to gain it.
    const std::string out = run.outputs("attack.bad").value("out", "");
    if (user == 0 && geteuid() == 0) {
      EXPECT_EQ(out, kNone) << run.output.out;
    } else {
      EXPECT_TRUE(out.starts_with("[] [0, 0, 0, ") && out.ends_with(", 0] 1 2\n")) << out << run.output.out;
    }
  }
}

TEST(Privileges, ProgramsWithTheSetuidBitRunAsTheUser) {
  const uid_t user = unprivileged_user();
  if (user == 0) GTEST_SKIP() << "needs root, to make such a program";
  Folder tools;
  std::filesystem::permissions(tools.path(), std::filesystem::perms(0755));
  const auto file = tools.path() / "id";
  std::filesystem::copy_file("/usr/bin/id", file);
  ASSERT_EQ(chmod(file.c_str(), 04755), 0);
  Process::Options plain;
  plain.argv = {file, "-u"};
  plain.uid = user;
  if (run(plain).out != "0\n") GTEST_SKIP() << "the file system knows no setuid bit";
  Project project(user);
  const auto run =
      run_attack(project, "outputs.out = forge.process.run({'" + file.string() + "', '-u'}).stdout",
                 "permissions: {programs: [id], read: ['" + tools.path().string() + "']}\n");
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"out", std::to_string(user) + "\n"}})) << run.output.out;
}

}  // namespace
}  // namespace pf::test
