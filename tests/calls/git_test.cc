// forge.git: each outcome of each call that no server is the reason of; those are in git_remote_test.cc.
#include "calls/git_scene.h"

namespace pf::calls {
namespace {

using Scene = GitScene;

CALLS(kSuccess, "git.open") { EXPECT_EQ((*ask_here())["head"]["branch"], "main"); }
CALLS(kSuccess, "git.log") { EXPECT_EQ(ask_here()->size(), 2U); }
CALLS(kSuccess, "git.status") {
  put("a/new.txt", "");
  EXPECT_EQ((*ask_here())[0]["path"], "new.txt");
}
CALLS(kSuccess, "git.diff_names") { EXPECT_EQ((*ask_here())[0]["path"], "hello.txt"); }
CALLS(kSuccess, "git.add") {
  put("a/new.txt", "");
  ask_here();
  EXPECT_EQ(git(a(), {"status", "--porcelain"}), "A  new.txt");
}
CALLS(kSuccess, "git.commit") {
  put("a/new.txt", "");
  git(a(), {"add", "."});
  const auto made = ask_here();
  EXPECT_EQ(*made, git(a(), {"rev-parse", "HEAD"}));
}
CALLS(kSuccess, "git.branch", "git.tag") {
  const auto made = ask_here();
  EXPECT_EQ(*made, git(a(), {"rev-parse", name == "git.tag" ? "refs/tags/t1" : "refs/heads/topic"}));
}

CALLS("permission.read", READING_HERE) { ask_in(folder_.path() / "source"); }
CALLS("permission.read", "git.clone", "git.ls_remote") { ask_in(folder_.path() / "source"); }
CALLS("permission.read", "git.fetch") {
  open({});
  ask_here();
}
CALLS("permission.write", CHANGING_HERE, "git.fetch", "git.push", "git.checkout", "git.submodules") {
  ask_in(folder_.path() / "source");
}
CALLS("permission.write", "git.clone") { ask({origin(), folder_.path() / "new"}); }

CALLS("git.depth", "git.clone") { ask_here({{"depth", 1}}); }
CALLS("git.exists", "git.clone") { ask({origin(), "a"}); }
CALLS("git.exists", "git.branch") { ask({"a", "main"}); }
CALLS("git.exists", "git.tag") { ask({"a", "v1"}); }
CALLS("git.missing", "git.add") { ask({"a", "none.txt"}); }
CALLS("git.nothing", "git.commit") { ask_here(); }

CALLS("git.ref", "git.clone", "git.log", "git.branch", "git.tag") { ask_here({{"ref", "none"}}); }
CALLS("git.ref", "git.checkout", "git.push") { ask({"a", "none"}); }
CALLS("git.ref", "git.diff_names") { ask({"a", "none", "HEAD"}); }

CALLS("git.dirty", "git.checkout") {
  write(a() / "hello.txt", "mine\n");
  ask_here();
}
CALLS("git.dirty", "git.commit") {
  git(a(), {"checkout", "-q", "-b", "other", "v1"});
  commit_here();
  test::run({{"git", "merge", "-q", "main"}, a(), {}, 0});  // ends in a conflict
  ask_here();
}
CALLS("git.dirty", "git.submodules") {
  PF_START(server, test::GitHttp::start(repositories(), "http://localhost:1/git", server_why));
  allow({server->place()});
  ASSERT_TRUE(reach(server->url("/git/one"))) << why_;
  write(a() / "libs/two/hello.txt", "mine\n");
  git(a(), {"update-index", "--cacheinfo", "160000," + git(a(), {"rev-parse", "v1^{}"}) + ",libs/two"});
  ask_here();
}

CALLS("git.locked", "git.add", "git.checkout") {
  put("a/new.txt", "");
  write(a() / ".git/index.lock", "");
  ask_here();
}
CALLS("git.locked", "git.commit") {
  put("a/new.txt", "");
  git(a(), {"add", "."});
  write(a() / ".git/refs/heads/main.lock", "");
  ask_here();
}
CALLS("git.locked", "git.branch") {
  write(a() / ".git/refs/heads/topic.lock", "");
  ask_here();
}
CALLS("git.locked", "git.tag") {
  write(a() / ".git/refs/tags/t1.lock", "");
  ask_here();
}
CALLS("git.locked", "git.fetch") {
  commit_there();
  write(a() / ".git/refs/remotes/origin/main.lock", "");
  ask_here();
}
CALLS("git.locked", "git.submodules") {
  write(a() / ".git/config.lock", "");
  allow({"127.0.0.1:1"});
  reach("http://127.0.0.1:1/x");
}

CALLS("git.repository", IN_FOLDER) {
  put("plain/file", "");
  ask_in("plain");
}
CALLS("git.timeout", ALL_GIT) {
  helper(kHangs);
  ask_here({{"timeout", 0.1}});
}

// ---- objects that are missing, or do not fit

CALLS("git.damaged", "git.clone") {
  lose(origin(), "main:hello.txt");
  ask_here();
}
CALLS("git.damaged", "git.ls_remote") {
  lose(origin(), "v1");
  ask_here();
}
CALLS("git.damaged", "git.fetch") {
  commit_there();
  lose(origin(), "main:hello.txt");
  ask_here();
}
CALLS("git.damaged", "git.push") {
  commit_here();
  lose(a(), "main:hello.txt");
  ask_here();
}
CALLS("git.damaged", "git.checkout") {
  lose(a(), "v1^{commit}:hello.txt");
  ask_here();
}
CALLS("git.damaged", "git.log") {
  lose(a(), "HEAD~1");
  ask_here();
}
CALLS("git.damaged", "git.status", "git.diff_names") {
  lose(a(), "HEAD^{tree}");
  ask_here();
}
CALLS("git.damaged", "git.branch", "git.tag") {
  lose(a(), "HEAD");
  ask_here();
}
CALLS("git.damaged", "git.add", "git.commit", "git.submodules") {
  write(a() / ".git/index", "no index");
  ask_here();
}

// ---- what libgit2 cannot do: no repository there, no room

CALLS("git.failed", "git.clone", "git.ls_remote", "git.fetch", "git.push") {
  fs::create_directories(repositories() / "empty");
  commit_here();
  reach(repositories() / "empty");
}
CALLS("git.failed", CHANGING_HERE, "git.checkout") {
  put("a/new.txt", "text");
  git(a(), {"add", "new.txt"});
  put("a/other.txt", "text");
  runner_.fault.file_bytes = 0;
  ask_here();
}
CALLS("git.failed", "git.submodules") {
  runner_.fault.file_bytes = 0;
  allow({"127.0.0.1:1"});
  reach("http://127.0.0.1:1/x");
}
// ---- more than fits

CALLS("git.too_big", "git.log") {
  folder_.write("message", std::string(9U << 20, 'x'));
  git(a(), {"commit", "-q", "--allow-empty", "-F", folder_.path() / "message"});
  ask_here();
}
CALLS("git.too_big", "git.status", "git.diff_names") {
  std::string deep = "d";
  for (int i = 0; i < 13; ++i) deep += "/" + std::string(250, 'd');
  fs::create_directories(a() / deep);
  for (int i = 0; i < 2700; ++i) write(a() / deep / ("f" + std::to_string(i)), std::to_string(i));
  if (name == "git.diff_names") {
    git(a(), {"add", "."});
    git(a(), {"commit", "-q", "-m", "many"});
  }
  ask_here();
}
CALLS("git.too_big", "git.ls_remote", "git.fetch") {
  const std::string id = git(origin(), {"rev-parse", "main"});
  std::string lines = "# pack-refs with: peeled fully-peeled sorted \n";
  const std::string stem = " refs/heads/x/" + std::string(240, 'a') + "/" + std::string(240, 'b') + "/" +
                           std::string(240, 'c') + "/" + std::string(200, 'd');
  for (int i = 10'000; i < 27'000; ++i) lines += id + stem + std::to_string(i) + "\n";
  git(origin(), {"update-ref", "refs/heads/main", id});
  write(origin() / "packed-refs", lines);
  ask_here();
}

// ---- the helper

CALLS("io.crashed", ALL_GIT) {
  helper(kCrashes);
  ask_here();
}
CALLS("io.protocol", ALL_GIT) {
  helper(kBabbles);
  ask_here();
}
// A listing has no folder of its own.
CALLS("io.moved", IN_FOLDER, "git.clone") {
  swap_before_use();
  ask_here();
}
CALLS("io.unavailable", ALL_GIT) {
  door_ = api::Door::make(loop_, sink_, {}, secrets_);
  allow({});
  ask_here();
}
CALLS("file.unsupported", ALL_GIT) {
  test::without_system_calls({SYS_openat2}, ENOSYS, [this] { ask_here(); });
}
CALLS("os.*", IN_FOLDER) {
  ask_in("none");
  EXPECT_EQ(outcome, "os.enoent");
}
CALLS("os.*", "git.clone", "git.ls_remote") {
  ask_in(repositories() / "none");
  EXPECT_EQ(outcome, "os.enoent");
}

}  // namespace
}  // namespace pf::calls
