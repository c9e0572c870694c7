// forge.process: each outcome of each call, with real programs below real shims.
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <thread>

#include "calls/calls.h"
#include "support/faults.h"
#include "worker/programs.h"
#include "worker/supervisor.h"

namespace pf::calls {
namespace {

class ProcessScene : public Stage {
 protected:
  ProcessScene() { ::signal(SIGPIPE, SIG_IGN); }
  ~ProcessScene() override {
    session_.reset();
    door_.reset();
    supervisor_.reset();
  }

  /// Opens a session that may run `programs`, with shims that are started here.
  void begin(std::vector<std::string> programs = {"sh"}, std::vector<api::Grants::Entry> read = {}) {
    worker::Options options;
    options.program = PF_WORKER_PROGRAM;
    auto made = worker::Supervisor::start(loop_, options);
    ASSERT_TRUE(made) << made.error().text();
    supervisor_ = std::move(*made);
    session_.reset();
    door_ = api::Door::make(loop_, sink_, {}, secrets_, &supervisor_->programs());
    api::Grants grants;
    for (const std::string& program : programs) grants.programs.push_back({program, false, true});
    grants.read = std::move(read);
    open(grants);
  }
  Result<Json> shell(const std::string& script, Json options = Json::object()) {
    return argv({"sh", "-c", script}, std::move(options));
  }
  /// Runs a program, or starts it and reads it to its end: what process.read says in the end is how that
  /// ends.
  Result<Json> argv(Json words, Json options = Json::object()) {
    if (name != "process.read") return ask({std::move(words), std::move(options)});
    auto number = call("process.start", {std::move(words), std::move(options)});
    EXPECT_TRUE(number) << number.error().text();
    while (number) {
      auto news = ask(Json::array({*number}));
      if (!news || news->contains("result")) return news;
    }
    return number;
  }

  std::unique_ptr<worker::Supervisor> supervisor_;
};
using Scene = ProcessScene;

#define STARTING "process.run", "process.start"
#define ENDING "process.run", "process.read"

CALLS(kSuccess, "process.run") {
  begin();
  EXPECT_EQ((*shell("echo out"))["stdout"], "out\n");
}
CALLS(kSuccess, "process.start") {
  begin();
  EXPECT_EQ(*shell("echo out"), 1);
}
CALLS(kSuccess, "process.read") {
  begin();
  EXPECT_EQ((*shell("exit 3"))["result"]["code"], 3);
}
CALLS(kSuccess, "process.kill") {
  begin();
  ASSERT_TRUE(call("process.start", {{"sh", "-c", "exec sleep 1000"}}));
  ask({1});
  EXPECT_EQ((*call("process.read", {1}))["result"]["signal"], "SIGKILL");
}

CALLS("permission.programs", STARTING) {
  begin({"cat"});
  shell("true");
}
CALLS("permission.read", STARTING) {
  begin();
  shell("true", {{"cwd", "/etc"}});
}

CALLS("process.handle", "process.read", "process.kill") {
  begin();
  ask({1});
}
CALLS("process.not_found", STARTING) {
  begin({"no-such-program-here"});
  argv({"no-such-program-here"});
}
// Where nothing can run programs at all.
CALLS("process.start", "process.start") {
  api::Grants grants;
  grants.programs = {{"sh", false, true}};
  open(grants);
  shell("true");
}
CALLS("process.start", ENDING) {
  begin();
  shell("true", {{"cwd", "missing"}});
}
// The kernel cannot even look at it.
CALLS("process.grant", ENDING) {
  begin({"sh"}, {{"/" + std::string(300, 'x'), true}});
  shell("true");
}
// The shim, its parent, is killed from outside.
CALLS("process.lost", ENDING) {
  begin();
  std::filesystem::create_directories(work());
  const std::string pipe = work() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::thread killer([&] {
    pid_t shim = 0;
    std::ifstream(pipe) >> shim;
    if (shim > 1) ::kill(shim, SIGKILL);
  });
  shell("echo $PPID > pipe; exec sleep 1000");
  killer.join();
}
CALLS("process.timeout", ENDING) {
  begin();
  shell("sleep 1000", {{"timeout", 0.1}});
}
CALLS("process.failed", ENDING) {
  begin();
  shell("exit 3", {{"check", true}});
}
CALLS("limit.calls", "process.start") {
  begin();
  for (int i = 0; i < 64; ++i) ASSERT_TRUE(call("process.start", {{"sh", "-c", "exec sleep 1000"}}));
  shell("true");
}
// A kernel that confines nothing.
CALLS("sandbox.unavailable", ENDING) {
  test::without_system_calls({444}, ENOSYS, [this] {  // landlock_create_ruleset
    begin();
    shell("true");
  });
}

// What an earlier program of the instance left in the place of its folders.
CALLS("os.*", STARTING) {
  begin();
  put("home", "a file");
  shell("true");
}
CALLS("file.outside", STARTING) {
  begin();
  put("f", "");
  std::filesystem::create_directory_symlink("/etc", work() / "home");
  shell("true");
}
CALLS("file.unsupported", STARTING) {
  begin();
  test::without_system_calls({SYS_openat2}, ENOSYS, [this] { shell("true"); });
}

}  // namespace
}  // namespace pf::calls
