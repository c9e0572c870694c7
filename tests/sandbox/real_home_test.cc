// What the invoking user has: home folder, keys, environment.
#include <gtest/gtest.h>

#include "support/attack.h"

namespace pf::test {
namespace {

constexpr const char* kScript = R"(
import os, sys
home = sys.argv[1]
def attempt(f, *a):
  try:
    f(*a)
    return 'done'
  except OSError as e: return e.strerror
print(attempt(open, home + '/.ssh/id_ed25519'), attempt(os.listdir, home), attempt(os.listdir, home + '/.aws'),
      attempt(open, home + '/.bashrc', 'a'), attempt(os.symlink, '/', home + '/link'))
os.symlink(home + '/.ssh/id_ed25519', 'key')
print(attempt(open, 'key'), attempt(os.link, home + '/.ssh/id_ed25519', 'hard'))
print(os.path.expanduser('~').endswith('/work/attack/bad/home'))
print(sorted(name for name in os.environ if name not in ('LC_CTYPE', 'TZ', 'SSL_CERT_FILE', 'SSL_CERT_DIR')))
)";

TEST(RealHome, IsOutOfReachOfPrograms) {
  Project project(unprivileged_user());
  const std::string home = (project.path() / "home").string();
  project.write("home/.ssh/id_ed25519", "PRIVATE");
  project.write("home/.aws/credentials", "PRIVATE");
  project.write("home/.bashrc", "mine\n");
  Attack attack;
  attack.manifest = "permissions: {programs: [python3]}\n";
  attack.bodies["bad"] = "outputs.out = " + python(kScript, "{}", "'" + home + "'") + ".stdout";
  attack.environment = {{"HOME", home},
                        {"AWS_SECRET_ACCESS_KEY", "PRIVATE"},
                        {"SSH_AUTH_SOCK", home + "/agent"},
                        {"PANGEO_FORGE_SECRET_TOKEN", "PRIVATE-TOKEN"},
                        {"LD_PRELOAD_OF_OURS", "x"}};
  const auto run = run_attack(project, attack);
  const std::string no = "Permission denied";
  EXPECT_EQ(
      run.outputs("attack.bad").value("out", ""),
      no + " " + no + " " + no + " " + no + " " + no + "\n" + no +
          " Invalid cross-device link\nTrue\n"
          "['HOME', 'LANG', 'PATH', 'TERM', 'TMPDIR', 'XDG_CACHE_HOME', 'XDG_CONFIG_HOME', 'XDG_DATA_HOME', "
          "'XDG_RUNTIME_DIR', 'XDG_STATE_HOME']\n")
      << run.output.out;
  EXPECT_EQ(project.read("home/.bashrc"), "mine\n");
}

TEST(RealHome, IsOutOfReachOfHostCalls) {
  Project project(unprivileged_user());
  const std::string home = (project.path() / "home").string();
  project.write("home/.ssh/id_ed25519", "PRIVATE");
  Attack attack;
  attack.environment = {{"HOME", home}, {"AWS_SECRET_ACCESS_KEY", "PRIVATE"}};
  attack.bodies["bad"] =
      "local function code(f, ...) local value, e = forge.try(f, ...) return e and e.code or value end\n"
      "outputs.read = code(forge.fs.read, '" +
      home + "/.ssh/id_ed25519')\noutputs.list = code(forge.fs.list, '" + home +
      "')\noutputs.tilde = code(forge.fs.read, '~/.ssh/id_ed25519')\n"
      "outputs.env = code(forge.env.get, 'AWS_SECRET_ACCESS_KEY')\n"
      "outputs.secret = code(forge.env.get, 'PANGEO_FORGE_SECRET_TOKEN')\n"
      "outputs.clone = code(forge.git.clone, '" +
      home + "/.ssh', 'r')\noutputs.archive = code(forge.archive.create, 'a.tar', '" + home + "')\n";
  const auto run = run_attack(project, attack);
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"read", "permission.read"},
                                             {"list", "permission.read"},
                                             {"tilde", "os.enoent"},
                                             {"env", "permission.env"},
                                             {"secret", "permission.env"},
                                             {"clone", "permission.read"},
                                             {"archive", "permission.read"}}))
      << run.output.out;
}

}  // namespace
}  // namespace pf::test
