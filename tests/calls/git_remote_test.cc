// forge.git: what servers are the reason of. Each of the calls that contact one is made to contact real ones.
#include "calls/git_scene.h"

namespace pf::calls {
namespace {

using Scene = GitScene;
using test::GitHttp;
using test::Sshd;

#define START_HTTP(server)                                                                  \
  PF_START(server, GitHttp::start(repositories(), "http://localhost:1/git", server##_why)); \
  allow({server->place()})

CALLS("permission.git", CONTACTING) {
  reach("https://git.example.org/x");
  EXPECT_EQ(sink_.refusals.size(), 1U);
}
CALLS("git.url", CONTACTING) { reach("git://git.example.org/x"); }
CALLS("git.resolve", CONTACTING) {
  allow({"no-such-host.invalid"});
  reach("https://no-such-host.invalid/x");
}
CALLS("git.connect", CONTACTING) {
  allow({"127.0.0.1:1"});
  reach("http://127.0.0.1:1/x");
}
CALLS("git.credentials", CONTACTING) {
  allow({"git.example.org"});
  reach("http://git.example.org/x", {{"credentials", {{"token", "secret"}}}});
}
CALLS("git.auth", CONTACTING) {
  START_HTTP(server);
  reach(server->url("/private/one"));
}
CALLS("git.not_found", CONTACTING) {
  START_HTTP(server);
  reach(server->url("/git/none"));
}
CALLS("git.protocol", CONTACTING) {
  START_HTTP(server);
  server->nginx().folder().write("root/x/info/refs", "hi");
  reach(server->url("/x"));
}
CALLS("git.redirect", CONTACTING) {
  START_HTTP(server);
  reach(server->url("/away/one"));
}
CALLS("git.tls", CONTACTING) {
  PF_START(server, GitHttp::start(repositories(), "http://localhost:1/git", server_why, true));
  const std::string place = "localhost:" + std::to_string(server->nginx().tls_port());
  allow({place});
  reach("https://" + place + "/git/one");
}
CALLS("git.host_key", CONTACTING) {
  PF_START(sshd, Sshd::start(sshd_why));
  allow({sshd->place()});
  reach(sshd->url(origin()), {{"credentials", {{"ssh_key", sshd->key()}}}});
}
CALLS("git.host_key_changed", CONTACTING) {
  PF_START(sshd, Sshd::start(sshd_why));
  allow({sshd->place()});
  reach(sshd->url(origin()),
        {{"credentials", {{"ssh_key", sshd->key()}}}, {"known_hosts", sshd->other_known_hosts()}});
}

CALLS(kSuccess, "git.clone", "git.ls_remote", "git.fetch", "git.push") {
  START_HTTP(server);
  commit_here();
  const auto answer = reach(server->url("/git/one"));
  ASSERT_TRUE(answer) << why_;
  EXPECT_EQ(name == "git.clone" ? got("new/hello.txt") : "hello again\n", "hello again\n");
  EXPECT_EQ(name == "git.ls_remote" ? (*answer)[0]["name"] : Json("HEAD"), "HEAD");
  EXPECT_EQ(git(origin(), {"rev-parse", "main"}) == git(a(), {"rev-parse", "main"}), name == "git.push");
}
CALLS(kSuccess, "git.checkout", "git.submodules") {
  START_HTTP(server);
  ASSERT_TRUE(reach(server->url("/git/one"))) << why_;
  EXPECT_EQ(got("a/libs/two/hello.txt"), "hello again\n");
}
CALLS("git.submodule", "git.clone", "git.checkout", "git.submodules") {
  if (name != "git.clone") {
    reach(origin());
    return;
  }
  add_submodule(folder_.path() / "source", origin());
  git(folder_.path() / "source", {"push", "-q", origin(), "main"});
  ask_here({{"submodules", true}});
}
CALLS("git.rejected", "git.push") {
  commit_here();
  commit_there();
  ask_here();
}
CALLS("git.remote", "git.fetch", "git.push") {
  git(a(), {"remote", "remove", "origin"});
  ask_here();
}

}  // namespace
}  // namespace pf::calls
