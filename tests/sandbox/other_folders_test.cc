// Programs and host calls that write to, or read, what belongs to other instances and to the core.
#include <gmock/gmock.h>

#include "support/attack.h"

namespace pf::test {
namespace {

constexpr const char* kScript = R"(
import os, sys, tempfile
state, project = sys.argv[1], sys.argv[2]
reached = []
def attempt(what, f, *a):
  try:
    f(*a)
    reached.append(what)
  except OSError: pass
for place in ('/work/quiet/a', '/work/quiet', '/work/attack', '/work/attack/good', '', '/runs', '/stacks'):
  attempt('list ' + place, os.listdir, state + place)
  attempt('write ' + place, open, state + place + '/x', 'w')
  attempt('mkdir ' + place, os.mkdir, state + place + '/folder')
  attempt('link ' + place, os.symlink, '/', state + place + '/link')
for name in ('state.db', 'lock', 'state.db-wal'):
  for mode in ('r', 'r+', 'w', 'a'): attempt(mode + name, open, state + '/' + name, mode)
  attempt('truncate ' + name, os.truncate, state + '/' + name, 0)
  attempt('remove ' + name, os.remove, state + '/' + name)
attempt('rename', os.rename, state + '/work/attack/bad', state + '/work/attack/other')
attempt('replace', os.rename, 'tmp', state + '/work/attack/good')
attempt('away', os.rename, state + '/state.db', 'mine')
attempt('hard', os.link, state + '/state.db', 'hard')
os.symlink(state, 'way')
attempt('through', open, 'way/x', 'w')
attempt('below', open, 'way/state.db')
attempt('up', open, '../good/x', 'w')
attempt('package', open, project + '/extensions/attack/extension.lua')
attempt('replace package', open, project + '/extensions/attack/extension.lua', 'w')
attempt('pipeline', open, project + '/p.yaml', 'a')
for place in ('/tmp', '/var/tmp', '/dev/shm', '/run', '/', '/usr', '/etc'):
  attempt('new in ' + place, open, place + '/pangeo-forge-attack', 'w')
for root in ('/proc/self/root', '/proc/self/cwd/../good', '/proc/1/root', '/dev/fd/0/..'):
  attempt(root, open, root + '/x', 'w')
open('own', 'w').write('fine')
print(reached, open('own').read())
)";

TEST(OtherFolders, AreOutOfReachOfPrograms) {
  Project project(unprivileged_user());
  const auto run = run_attack(
      project,
      "forge.time.sleep(0.3)\noutputs.out = " +
          python(kScript, "{}",
                 "'" + (project.path() / ".pangeo-forge").string() + "', '" + project.path().string() + "'") +
          ".stdout",
      "permissions: {programs: [python3]}\n");
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"out", "[] fine\n"}})) << run.output.out;
  EXPECT_EQ(project.forge({"status", "p.yaml"}).code, 0);
}

TEST(OtherFolders, AreOutOfReachOfHostCalls) {
  Project project;
  const std::string state = (project.path() / ".pangeo-forge").string();
  const auto run = run_attack(project, R"(
    local refused, reached = 0, {}
    local state = ')" + state + R"('
    for _, path in ipairs {'../good/mine', '../../quiet/a/mine', state .. '/state.db', state .. '/work/attack/good/mine',
        state .. '/work/attack/bad/../good/mine', state .. '/work/attack/badly', '/etc/hostname', '//etc/hostname',
        '/etc/../etc/hostname', '/proc/self/environ', '/proc/self/root/etc/hostname', '/dev/stdin', '/',
        'a/../../good/mine', './../good/mine'} do
      for name, call in pairs {read = forge.fs.read, list = forge.fs.list, stat = forge.fs.stat,
          exists = forge.fs.exists, mkdir = forge.fs.mkdir, remove = forge.fs.remove, glob = forge.fs.glob,
          write = function(p) return forge.fs.write(p, 'x') end,
          append = function(p) return forge.fs.append(p, 'x') end,
          copy = function(p) return forge.fs.copy(p, 'own') end,
          to = function(p) forge.fs.write('own', 'x') return forge.fs.copy('own', p) end,
          move = function(p) return forge.fs.move(p, 'own') end,
          extract = function(p) return forge.archive.extract(p, 'own') end,
          create = function(p) return forge.archive.create(p .. '.tar', '.') end,
          download = function(p) return forge.download.file('file:///etc/hostname', p) end,
          clone = function(p) return forge.git.clone(p, 'r') end} do
        local value, e = forge.try(call, path)
        if e and e.code:match('^permission%.') then refused = refused + 1
        else reached[#reached + 1] = name .. ' ' .. path .. ' ' .. (e and e.code or 'done') end
      end
    end
    outputs.refused, outputs.reached = refused, table.concat(reached, ', ')
  )");
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"refused", 240}, {"reached", ""}}))
      << run.output.out.substr(0, 3000);
}

TEST(OtherFolders, ARefusalNamesTheLineToAdd) {
  Project project;
  const auto run = run_attack(project, "forge.fs.read('/etc/hostname')");
  EXPECT_EQ(run.error_code("attack.bad"), "permission.read");
  const Json refused = last(run.all, "refused");
  ASSERT_TRUE(refused.is_object());
  EXPECT_EQ(refused["instance"], "attack.bad");
  EXPECT_EQ(refused["call"], "fs.read");
  EXPECT_EQ(refused["code"], "permission.read");
  EXPECT_THAT(run.finished.dump(), testing::HasSubstr("read: [/etc/hostname]"));
}

}  // namespace
}  // namespace pf::test
