// forge.git through the door and the helper's program, against real servers.
#include <sys/stat.h>

#include <algorithm>
#include <fstream>

#include "fixture.h"
#include "support/git_peers.h"
#include "support/io_runner.h"

namespace pf::api {
namespace {

namespace fs = std::filesystem;
using test::git;
using test::GitHttp;
using test::Sshd;

class GitApi : public DoorTest {
 protected:
  GitApi() {
    fs::create_directories(work());
    door_->set_io(runner_, folder_.path() / "cache");
    test::make_repository(source());
  }
  fs::path work() const { return folder_.path() / "state/work/example/first"; }
  fs::path repositories() const { return folder_.path() / "repositories"; }
  fs::path source() const { return repositories() / "one"; }
  std::string got(const std::string& name) { return folder_.read("state/work/example/first/" + name); }
  std::string head(const std::string& rev = "HEAD") { return git(source(), {"rev-parse", rev}); }

  void allow_git(std::vector<Grants::Entry> hosts) {
    Grants grants;
    grants.read = {{repositories(), true}};
    grants.git = std::move(hosts);
    open(grants);
  }
  /// What is checked out, as `branch commit`, or the error's code.
  std::string clone(const std::string& url, const std::string& path, const Json& options = Json::object()) {
    auto answer = call("git.clone", {url, path, options});
    if (!answer) {
      error_ = answer.error();
      return error_.code;
    }
    const Json& at = (*answer)["head"];
    return (at["branch"].is_null() ? "-" : at["branch"].get<std::string>()) + " " +
           (at["commit"].is_null() ? "-" : at["commit"].get<std::string>());
  }
  std::vector<std::string> names(const fs::path& folder) const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(folder)) out.push_back(entry.path().filename());
    std::sort(out.begin(), out.end());
    return out;
  }
  void commit(const std::string& file, const std::string& text) {
    std::ofstream(source() / file) << text;
    git(source(), {"add", "."});
    git(source(), {"commit", "-q", "-m", "more"});
  }
  /// The request that the helper got last.
  services::io::GitRequest last() const {
    return std::get<services::io::GitRequest>(*services::io::decode(runner_.jobs.back().request));
  }

  test::PlainIoRunner runner_{loop_};
  Error error_;
};

const Json kAuthor = {{"name", "A"}, {"email", "a@example.org"}};

TEST_F(GitApi, CloneOfAPath) {
  EXPECT_EQ(error("git.clone", {source(), "copy"}).code, "permission.read");
  allow_git({});
  EXPECT_EQ(clone(source(), "deep/copy"), "main " + head());
  EXPECT_EQ(got("deep/copy/hello.txt"), "hello again\n");
  EXPECT_EQ(got("deep/copy/sub/link"), "hello again\n");
  struct stat info {};
  ASSERT_EQ(::stat((work() / "deep/copy/sub/run.sh").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0755U);
  EXPECT_EQ(git(work() / "deep/copy", {"status", "--porcelain", "-b"}), "## main...origin/main");
  EXPECT_EQ(git(work() / "deep/copy", {"fsck", "--strict"}), "");
  EXPECT_EQ(names(work() / "deep"), std::vector<std::string>{"copy"});
  EXPECT_FALSE(runner_.jobs.back().network);
  EXPECT_EQ(clone("file://" + source().native(), "by-url"), "main " + head());
  EXPECT_EQ(clone(source(), "by-url"), "git.exists");
  EXPECT_EQ(clone(repositories() / "none", "none"), "os.enoent");
  fs::create_directory(repositories() / "empty-folder");
  EXPECT_EQ(clone(repositories() / "empty-folder", "none"), "git.failed");
  EXPECT_FALSE(fs::exists(work() / "none"));
}

TEST_F(GitApi, CloneOfARef) {
  allow_git({});
  const std::string first = head("v1^{commit}");
  EXPECT_EQ(clone(source(), "a", {{"ref", "side"}}), "side " + first);
  EXPECT_EQ(clone(source(), "b", {{"ref", "v1"}}), "- " + first);
  EXPECT_EQ(clone(source(), "c", {{"ref", first}}), "- " + first);
  EXPECT_EQ(got("c/hello.txt"), "hello\n");
  EXPECT_EQ(clone(source(), "d", {{"ref", "refs/tags/v1"}}), "- " + first);
  EXPECT_EQ(clone(source(), "e", {{"ref", "none"}}), "git.ref");
  EXPECT_FALSE(error_.retryable);
  EXPECT_FALSE(fs::exists(work() / "e"));
  EXPECT_EQ(clone(source(), "f", {{"depth", 1}}), "git.depth");
  git(folder_.path(), {"init", "-q", "-b", "main", repositories() / "bare-new"});
  EXPECT_EQ(clone(repositories() / "bare-new", "g"), "main -");
}

TEST_F(GitApi, CloneOverHttp) {
  PF_START(server, GitHttp::start(repositories(), "http://localhost:1/git", server_why));
  const std::string url = server->url("/git/one");
  const Error refused = error("git.clone", {url, "copy"});
  EXPECT_EQ(refused.code, "permission.git");
  EXPECT_EQ(refused.hint,
            "add to /x/extension.yaml:\n  permissions:\n    git: [\"" + server->place() + "\"]");
  EXPECT_TRUE(runner_.jobs.empty());
  allow_git({{server->place(), true}});
  EXPECT_EQ(clone(url, "copy"), "main " + head());
  EXPECT_TRUE(runner_.jobs.back().network);
  EXPECT_EQ(got("copy/hello.txt"), "hello again\n");
  EXPECT_EQ(git(work() / "copy", {"fsck", "--strict"}), "");
  EXPECT_EQ(git(work() / "copy", {"status", "--porcelain", "-b"}), "## main...origin/main");
  EXPECT_EQ(git(work() / "copy", {"config", "remote.origin.url"}), url);
  EXPECT_EQ(git(work() / "copy", {"rev-parse", "v1^{commit}"}), head("v1^{commit}"));
  EXPECT_EQ(clone(server->url("/git/none"), "none"), "git.not_found");
  EXPECT_EQ(clone(server->url("/hello.txt"), "none"), "git.not_found");
  EXPECT_EQ(clone(url + "?x=1", "none"), "git.url");
  // A second one by the mirror: nothing but the new commit crosses.
  commit("new.txt", "new\n");
  EXPECT_EQ(clone(url, "again", {{"ref", "main"}}), "main " + head());
  EXPECT_EQ(got("again/new.txt"), "new\n");
  EXPECT_EQ(git(work() / "again", {"fsck", "--strict"}), "");
  const fs::path mirror = last().mirror.path;
  EXPECT_EQ(mirror.parent_path(), folder_.path() / "cache/git");
  struct stat info {};
  for (const auto& file : fs::directory_iterator(work() / "again/.git/objects/pack")) {
    ASSERT_EQ(::stat(file.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_nlink, 1U) << "what is written to a clone must not reach the mirror";
  }
}

TEST_F(GitApi, DamagedMirrorsAreMadeAnew) {
  PF_START(server, GitHttp::start(repositories(), "http://localhost:1/git", server_why));
  const std::string url = server->url("/git/one");
  allow_git({{server->place(), true}});
  EXPECT_EQ(clone(url, "first"), "main " + head());
  const fs::path mirror = last().mirror.path;
  for (const auto& file : fs::directory_iterator(mirror / "objects/pack")) {
    const auto size = fs::file_size(file.path());
    fs::permissions(file.path(), fs::perms(0600));
    std::fstream out(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(static_cast<std::streamoff>(size / 2));
    out << "damage all over the middle of the file";
  }
  EXPECT_EQ(clone(url, "second"), "main " + head());
  EXPECT_EQ(git(work() / "second", {"fsck", "--strict"}), "");
  fs::remove(mirror / "HEAD");
  EXPECT_EQ(clone(url, "third"), "main " + head());
  fs::remove_all(mirror / "objects/pack");
  EXPECT_EQ(clone(url, "fourth"), "main " + head());
  EXPECT_EQ(git(work() / "fourth", {"fsck", "--strict"}), "");
}

TEST_F(GitApi, HttpCredentials) {
  PF_START(server, GitHttp::start(repositories(), "http://localhost:1/git", server_why));
  allow_git({{server->place(), true}});
  const std::string url = server->url("/private/one");
  EXPECT_EQ(clone(url, "a"), "git.auth");
  EXPECT_FALSE(error_.retryable);
  EXPECT_EQ(clone(url, "a", {{"credentials", {{"user", "me"}, {"password", "wrong"}}}}), "git.auth");
  EXPECT_EQ(clone(url, "a", {{"credentials", {{"user", "me"}, {"password", "secret"}}}}), "main " + head());
  EXPECT_EQ(clone(url, "b", {{"credentials", {{"user", "me"}, {"token", "secret"}}}}), "main " + head());
  const std::string inside = "http://me:secret@" + server->place() + "/private/one";
  EXPECT_EQ(clone(inside, "c"), "main " + head());
  EXPECT_EQ(git(work() / "c", {"config", "remote.origin.url"}), url) << "without the password";
  EXPECT_EQ(error("git.clone", {url, "d", {{"credentials", {{"key", "x"}}}}}).message,
            "forge.git.clone: there is no credential 'key'");
  open({{}, {}, {}, {{"git.example.org", true}}});
  EXPECT_EQ(clone("http://git.example.org/x", "d", {{"credentials", {{"token", "secret"}}}}),
            "git.credentials");
}

TEST_F(GitApi, Redirects) {
  PF_START(other, GitHttp::start(repositories(), "http://localhost:1/git", other_why));
  PF_START(server, GitHttp::start(repositories(), other->url("/git"), server_why));
  allow_git({{server->place(), true}, {other->place(), true}});
  EXPECT_EQ(clone(server->url("/away/one"), "a"), "git.redirect") << "also where that one is granted";
  EXPECT_NE(error_.message.find(other->url("/git/one")), std::string::npos);
  EXPECT_EQ(clone(server->url("/here/one"), "b"), "main " + head());
}

TEST_F(GitApi, Tls) {
  PF_START(server, GitHttp::start(repositories(), "http://localhost:1/git", server_why, true));
  const std::string place = "localhost:" + std::to_string(server->nginx().tls_port());
  allow_git({{place, true}});
  EXPECT_EQ(clone("https://" + place + "/git/one", "a"), "git.tls");
  ::setenv("SSL_CERT_FILE", (server->nginx().folder().path() / "cert.pem").c_str(), 1);
  EXPECT_EQ(clone("https://" + place + "/git/one", "a"), "main " + head());
  ::unsetenv("SSL_CERT_FILE");
}

TEST_F(GitApi, PrivateAddressesNeedALiteralGrant) {
  PF_START(server, GitHttp::start(repositories(), "http://localhost:1/git", server_why));
  PF_START(sshd, Sshd::start(sshd_why));
  allow_git({{server->place(), false}, {sshd->place(), false}});
  EXPECT_EQ(clone(server->url("/git/one"), "a"), "permission.git");
  EXPECT_TRUE(
      error_.hint.starts_with("private and loopback addresses need an entry that names this host itself"));
  EXPECT_EQ(
      clone(sshd->url(source()), "a", {{"credentials", {{"ssh_key", sshd->key()}}}, {"accept_new", true}}),
      "permission.git");
  const auto lines = audit();
  EXPECT_EQ(lines.back()["code"], "permission.git");
}

TEST_F(GitApi, CloneOverSsh) {
  PF_START(sshd, Sshd::start(sshd_why));
  const std::string url = sshd->url(source());
  EXPECT_EQ(clone(url, "a"), "permission.git");
  allow_git({{sshd->place(), true}});
  const Json key = {{"ssh_key", sshd->key()}};
  EXPECT_EQ(clone(url, "a", {{"credentials", key}}), "git.host_key");
  EXPECT_FALSE(error_.retryable);
  EXPECT_EQ(clone(url, "a", {{"credentials", key}, {"known_hosts", sshd->other_known_hosts()}}),
            "git.host_key_changed");
  EXPECT_EQ(clone(url, "a",
                  {{"credentials", key}, {"known_hosts", sshd->other_known_hosts()}, {"accept_new", true}}),
            "git.host_key_changed");
  EXPECT_EQ(clone(url, "a", {{"credentials", key}, {"known_hosts", sshd->known_hosts()}}), "main " + head());
  EXPECT_EQ(got("a/hello.txt"), "hello again\n");
  EXPECT_EQ(clone(url, "b", {{"credentials", key}, {"accept_new", true}}), "main " + head());
  EXPECT_EQ(clone(url, "c", {{"known_hosts", sshd->known_hosts()}}), "git.auth");
  EXPECT_EQ(
      clone(url, "c",
            {{"credentials", {{"ssh_key", sshd->key("stranger")}}}, {"known_hosts", sshd->known_hosts()}}),
      "git.auth");
  Json locked = {{"ssh_key", sshd->key("locked")}, {"passphrase", "open sesame"}};
  EXPECT_EQ(clone(url, "c", {{"credentials", locked}, {"known_hosts", sshd->known_hosts()}}),
            "main " + head());
  locked["passphrase"] = "wrong";
  EXPECT_EQ(clone(url, "d", {{"credentials", locked}, {"known_hosts", sshd->known_hosts()}}),
            "git.credentials");
  EXPECT_EQ(clone(sshd->url("/no/such"), "d", {{"credentials", key}, {"known_hosts", sshd->known_hosts()}}),
            "git.not_found");
}

TEST_F(GitApi, PushOverSsh) {
  PF_START(sshd, Sshd::start(sshd_why));
  allow_git({{sshd->place(), true}});
  const Json access = {{"credentials", {{"ssh_key", sshd->key()}}}, {"known_hosts", sshd->known_hosts()}};
  ASSERT_EQ(clone(sshd->url(source()), "a", access), "main " + head());
  value("fs.write", {"a/new.txt", "x"});
  EXPECT_EQ(value("git.add", {"a", "new.txt"}), "null");
  const std::string made = *call("git.commit", {"a", "more", {{"author", kAuthor}}});
  EXPECT_EQ(value("git.push", {"a", "main", access}), R"(["refs/heads/main"])");
  EXPECT_EQ(head(), made);
}

TEST_F(GitApi, AHangingServerIsLeftAtTheTimeout) {
  test::RawServer server([](const std::string&) {
    return test::RawServer::Reply{"", test::RawServer::Reply::Then::hang, {}};
  });
  const std::string place = "127.0.0.1:" + std::to_string(server.port());
  allow_git({{place, true}});
  EXPECT_EQ(clone(server.url("/x"), "a", {{"timeout", 0.5}}), "git.timeout");
  EXPECT_TRUE(error_.retryable);
  EXPECT_EQ(names(work()), std::vector<std::string>{"tmp"});
}

TEST_F(GitApi, ServersThatSpeakNoGit) {
  std::string reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
  test::RawServer server([&](const std::string&) {
    return test::RawServer::Reply{reply, test::RawServer::Reply::Then::close, {}};
  });
  allow_git({{"127.0.0.1:" + std::to_string(server.port()), true},
             {"127.0.0.1:1", true},
             {"no-such-host.invalid", true}});
  EXPECT_EQ(clone(server.url("/x"), "a"), "git.protocol");
  reply = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
  EXPECT_EQ(clone(server.url("/x"), "a"), "git.protocol");
  EXPECT_TRUE(error_.retryable);
  reply =
      "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nContent-Length: "
      "4\r\n\r\nzzzz";
  EXPECT_EQ(clone(server.url("/x"), "a"), "git.failed");
  EXPECT_EQ(clone("http://127.0.0.1:1/x", "a"), "git.connect");
  EXPECT_EQ(clone("ssh://127.0.0.1:1/x", "a"), "git.connect");
  EXPECT_EQ(clone("http://no-such-host.invalid/x", "a"), "git.resolve");
  EXPECT_EQ(clone("ssh://no-such-host.invalid/x", "a"), "git.resolve");
  EXPECT_EQ(clone("git://example.org/x", "a"), "git.url");
  EXPECT_EQ(clone("ext::sh -c true", "a"), "git.url");
}

TEST_F(GitApi, LsRemote) {
  allow_git({});
  auto all = call("git.ls_remote", {source()});
  ASSERT_TRUE(all) << all.error().text();
  EXPECT_EQ((*all)[0], (Json{{"name", "HEAD"}, {"commit", head()}, {"target", "refs/heads/main"}}));
  EXPECT_EQ((*all)[1], (Json{{"name", "refs/heads/main"}, {"commit", head()}}));
  EXPECT_EQ(error("git.ls_remote", {"https://example.org/x"}).code, "permission.git");
}

TEST_F(GitApi, FetchAndCheckout) {
  PF_START(server, GitHttp::start(repositories(), "http://localhost:1/git", server_why));
  allow_git({{server->place(), true}});
  const std::string before = head();
  ASSERT_EQ(clone(server->url("/git/one"), "a"), "main " + before);
  commit("hello.txt", "third\n");
  EXPECT_EQ(*call("git.fetch", {"a"}),
            (Json{{{"ref", "refs/remotes/origin/main"}, {"old", before}, {"new", head()}}}));
  EXPECT_EQ(*call("git.fetch", {"a"}), Json::array());
  EXPECT_EQ(value("git.checkout", {"a", "origin/main"}), "{\"branch\":null,\"commit\":\"" + head() + "\"}");
  EXPECT_EQ(got("a/hello.txt"), "third\n");
  EXPECT_EQ(value("git.checkout", {"a", "side"}),
            "{\"branch\":\"side\",\"commit\":\"" + head("side") + "\"}");
  EXPECT_EQ(value("git.checkout", {"a", "v1"}), "{\"branch\":null,\"commit\":\"" + head("side") + "\"}");
  value("fs.write", {"a/hello.txt", "mine\n"});
  EXPECT_EQ(error("git.checkout", {"a", "main"}).code, "git.dirty");
  EXPECT_EQ(got("a/hello.txt"), "mine\n");
  EXPECT_EQ(value("git.checkout", {"a", "main", {{"force", true}}}),
            "{\"branch\":\"main\",\"commit\":\"" + before + "\"}");
  EXPECT_EQ(error("git.checkout", {"a", "none"}).code, "git.ref");
  EXPECT_EQ(error("git.fetch", {"a", {{"remote", "upstream"}}}).code, "git.remote");
  allow_git({});
  EXPECT_EQ(error("git.fetch", {"a"}).code, "permission.git") << "a host that only the repository names";
}

TEST_F(GitApi, RemotesThatArePaths) {
  allow_git({});
  ASSERT_EQ(clone(source(), "a"), "main " + head());
  commit("hello.txt", "third\n");
  EXPECT_EQ(call("git.fetch", {"a"})->size(), 1U);
  EXPECT_EQ(error("git.push", {"a", "main"}).code, "permission.write");
  git(repositories(), {"clone", "-q", "--bare", source(), "bare.git"});
  Grants grants;
  grants.read = grants.write = {{repositories(), true}};
  open(grants);
  ASSERT_EQ(clone(repositories() / "bare.git", "b"), "main " + head());
  value("fs.write", {"b/x", "x"});
  value("git.add", {"b", "."});
  const std::string made = *call("git.commit", {"b", "more", {{"author", kAuthor}}});
  EXPECT_EQ(value("git.push", {"b", {"refs/heads/main:refs/heads/other"}}), R"(["refs/heads/other"])");
  EXPECT_EQ(git(repositories() / "bare.git", {"rev-parse", "other"}), made);
  open({});
  EXPECT_EQ(error("git.fetch", {"b"}).code, "permission.read");
  git(work() / "b", {"config", "remote.origin.url", "../elsewhere"});
  EXPECT_EQ(error("git.fetch", {"b"}).code, "git.url");
}

TEST_F(GitApi, AddCommitBranchTagPush) {
  PF_START(server, GitHttp::start(repositories(), "http://localhost:1/git", server_why));
  allow_git({{server->place(), true}});
  const std::string before = head();
  ASSERT_EQ(clone(server->url("/git/one"), "a"), "main " + before);
  EXPECT_EQ(error("git.commit", {"a", "nothing", {{"author", kAuthor}}}).code, "git.nothing");
  value("fs.write", {"a/new.txt", "new"});
  value("fs.write", {"a/hello.txt", "changed"});
  value("fs.remove", {"a/sub/run.sh"});
  EXPECT_EQ(value("git.status", {"a"}),
            R"([{"path":"hello.txt","unstaged":"modified"},{"path":"new.txt","unstaged":"untracked"},)"
            R"({"path":"sub/run.sh","unstaged":"deleted"}])");
  EXPECT_EQ(value("git.add", {"a", {"new.txt", "hello.txt"}}), "null");
  EXPECT_EQ(value("git.status", {"a"}),
            R"([{"path":"hello.txt","staged":"modified"},{"path":"new.txt","staged":"added"},)"
            R"({"path":"sub/run.sh","unstaged":"deleted"}])");
  EXPECT_EQ(error("git.add", {"a", "none.txt"}).code, "git.missing");
  EXPECT_EQ(error("git.add", {"a", "../x"}).code, "call.argument");
  EXPECT_EQ(value("git.add", {"a", "."}), "null");
  auto made = call("git.commit", {"a", "what and why\n", {{"author", kAuthor}, {"time", 1700000100}}});
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_EQ(git(work() / "a", {"log", "-1", "--format=%H %an <%ae> %at %s"}),
            made->get<std::string>() + " A <a@example.org> 1700000100 what and why");
  EXPECT_EQ(value("git.diff_names", {"a", "HEAD~1", "HEAD"}),
            R"([{"path":"hello.txt","status":"modified"},{"path":"new.txt","status":"added"},)"
            R"({"path":"sub/run.sh","status":"deleted"}])");
  EXPECT_EQ(error("git.diff_names", {"a", "none", "HEAD"}).code, "git.ref");
  EXPECT_EQ(value("git.branch", {"a", "topic"}), to_json_text(*made));
  EXPECT_EQ(error("git.branch", {"a", "topic"}).code, "git.exists");
  EXPECT_EQ(error("git.branch", {"a", "a..b"}).code, "git.ref");
  EXPECT_EQ(value("git.tag", {"a", "v2"}), to_json_text(*made));
  EXPECT_TRUE(call("git.tag", {"a", "v3", {{"message", "three"}, {"author", kAuthor}}}));
  EXPECT_EQ(git(work() / "a", {"cat-file", "-t", "v3"}), "tag");
  EXPECT_EQ(error("git.tag", {"a", "v4", {{"author", kAuthor}}}).code, "call.argument");
  EXPECT_EQ(value("git.push", {"a", {"main", "topic", "v2", "v3"}}),
            R"(["refs/heads/main","refs/heads/topic","refs/tags/v2","refs/tags/v3"])");
  EXPECT_EQ(head(), *made);
  EXPECT_EQ(head("topic"), *made);
  EXPECT_EQ(error("git.push", {"a", "none"}).code, "git.ref");
  const auto log = call("git.log", {"a", {{"max", 2}}});
  ASSERT_TRUE(log);
  EXPECT_EQ(log->size(), 2U);
  EXPECT_EQ((*log)[0], (Json{{"commit", *made},
                             {"author", kAuthor},
                             {"time", 1700000100},
                             {"message", "what and why\n"},
                             {"parents", {before}}}));
  EXPECT_EQ(call("git.log", {"a", {{"path", "new.txt"}}})->size(), 1U);
  EXPECT_EQ(call("git.log", {"a", {{"path", "sub"}}})->size(), 2U);
  EXPECT_EQ(call("git.log", {"a", {{"ref", "v1"}}})->size(), 1U);
}

TEST_F(GitApi, NonFastForwardPush) {
  PF_START(server, GitHttp::start(repositories(), "http://localhost:1/git", server_why));
  allow_git({{server->place(), true}});
  ASSERT_EQ(clone(server->url("/git/one"), "a"), "main " + head());
  commit("hello.txt", "theirs\n");
  const std::string theirs = head();
  value("fs.write", {"a/hello.txt", "ours\n"});
  value("git.add", {"a", "."});
  const std::string ours = *call("git.commit", {"a", "ours", {{"author", kAuthor}}});
  EXPECT_EQ(error("git.push", {"a", "main"}).code, "git.rejected");
  EXPECT_EQ(head(), theirs);
  EXPECT_EQ(value("git.push", {"a", "main", {{"force", true}}}), R"(["refs/heads/main"])");
  EXPECT_EQ(head(), ours);
  git(source(), {"config", "receive.denyDeletes", "true"});
  EXPECT_EQ(error("git.push", {"a", ":refs/heads/side"}).code, "git.rejected") << "the server's own rules";
}

TEST_F(GitApi, Submodules) {
  PF_START(server, GitHttp::start(repositories(), "http://localhost:1/git", server_why));
  PF_START(other, GitHttp::start(repositories(), "http://localhost:1/git", other_why));
  test::make_repository(repositories() / "two");
  git(source(), {"-c", "protocol.file.allow=always", "submodule", "--quiet", "add", repositories() / "two",
                 "libs/two"});
  const auto point_to = [&](const std::string& url) {
    git(source(), {"config", "-f", ".gitmodules", "submodule.libs/two.url", url});
    git(source(), {"add", ".gitmodules"});
    git(source(), {"commit", "-q", "-m", "submodule " + url});
  };
  point_to("../two");
  allow_git({{server->place(), true}});
  ASSERT_EQ(clone(server->url("/git/one"), "a", {{"submodules", true}}), "main " + head());
  EXPECT_EQ(got("a/libs/two/hello.txt"), "hello again\n");
  EXPECT_EQ(git(work() / "a", {"submodule", "status"}).substr(1, 40),
            git(repositories() / "two", {"rev-parse", "HEAD"}));
  EXPECT_EQ(got("a/libs/two/.git"), "gitdir: ../../.git/modules/libs/two/")
      << "it works wherever the clone is";
  ASSERT_EQ(clone(server->url("/git/one"), "b"), "main " + head());
  EXPECT_TRUE(fs::is_empty(work() / "b/libs/two"));
  EXPECT_EQ(*call("git.submodules", {"b"}),
            (Json{{{"path", "libs/two"}, {"commit", git(repositories() / "two", {"rev-parse", "HEAD"})}}}));
  EXPECT_EQ(got("b/libs/two/hello.txt"), "hello again\n");
  point_to(other->url("/git/two"));
  EXPECT_EQ(clone(server->url("/git/one"), "c", {{"submodules", true}}), "permission.git")
      << "to an undeclared host";
  EXPECT_FALSE(fs::exists(work() / "c"));
  point_to(repositories() / "two");
  EXPECT_EQ(clone(server->url("/git/one"), "c", {{"submodules", true}}), "git.submodule");
  EXPECT_EQ(clone(server->url("/git/one"), "c"), "main " + head())
      << "those who do not ask for it may have it";
}

TEST_F(GitApi, OpenedRepositories) {
  allow_git({});
  ASSERT_EQ(clone(source(), "a"), "main " + head());
  EXPECT_EQ(value("git.open", {"a"}),
            "{\"bare\":false,\"head\":{\"branch\":\"main\",\"commit\":\"" + head() + "\"},\"path\":\"a\"}");
  EXPECT_EQ(value("git.open", {source()}).substr(0, 36), "{\"bare\":false,\"head\":{\"branch\":\"main");
  EXPECT_EQ(error("git.open", {"none"}).code, "os.enoent");
  value("fs.mkdir", {"plain"});
  EXPECT_EQ(error("git.open", {"plain"}).code, "git.repository");
  EXPECT_EQ(error("git.open", {"a/sub"}).code, "git.repository") << "not the one above";
  EXPECT_EQ(error("git.open", {"/etc"}).code, "permission.read");
  // Whose files or objects lie elsewhere.
  value("fs.write", {"link/.git", "gitdir: ../a/.git\n"});
  value("fs.mkdir", {"link"});
  value("fs.write", {"link/.git", "gitdir: ../a/.git\n"});
  EXPECT_EQ(error("git.open", {"link"}).code, "git.repository");
  value("fs.mkdir", {"sym"});
  fs::create_symlink(work() / "a/.git", work() / "sym/.git");
  EXPECT_EQ(error("git.open", {"sym"}).code, "git.repository");
  ASSERT_EQ(clone(source(), "b"), "main " + head());
  git(work() / "b", {"config", "core.worktree", "/etc"});
  EXPECT_EQ(error("git.status", {"b"}).code, "git.repository");
  ASSERT_EQ(clone(source(), "c"), "main " + head());
  value("fs.write", {"c/.git/objects/info/alternates", "/elsewhere\n"});
  fs::create_directories(work() / "c/.git/objects/info");
  value("fs.write", {"c/.git/objects/info/alternates", "/elsewhere\n"});
  EXPECT_EQ(error("git.log", {"c"}).code, "git.repository");
  ASSERT_EQ(clone(source(), "d"), "main " + head());
  for (const auto& file : fs::directory_iterator(work() / "d/.git/objects/pack")) {
    fs::permissions(file.path(), fs::perms(0600));
    std::ofstream(file.path()) << "damage";
  }
  EXPECT_EQ(error("git.log", {"d"}).code.substr(0, 4), "git.");
  value("fs.write", {"a/.git/index.lock", ""});
  EXPECT_EQ(error("git.add", {"a", "."}).code, "git.locked");
}

TEST_F(GitApi, NothingThatARepositoryNamesRuns) {
  allow_git({});
  const std::string marker = folder_.path() / "ran";
  const std::string script = "#!/bin/sh\ntouch " + marker + "\n";
  folder_.write("evil.sh", script);
  fs::permissions(folder_.path() / "evil.sh", fs::perms(0755));
  const std::string evil = folder_.path() / "evil.sh";
  std::ofstream(source() / ".gitattributes") << "* filter=evil diff=evil merge=evil\n";
  git(source(), {"add", "."});
  git(source(), {"commit", "-q", "-m", "attributes"});
  ASSERT_EQ(clone(source(), "a"), "main " + head());
  for (const auto& [name, text] : std::map<std::string, std::string>{{"core.fsmonitor", evil},
                                                                     {"core.hooksPath", folder_.path()},
                                                                     {"core.sshCommand", evil},
                                                                     {"core.editor", evil},
                                                                     {"credential.helper", evil},
                                                                     {"filter.evil.clean", evil},
                                                                     {"filter.evil.smudge", evil},
                                                                     {"filter.evil.process", evil},
                                                                     {"filter.evil.required", "true"},
                                                                     {"diff.external", evil},
                                                                     {"diff.evil.textconv", evil},
                                                                     {"gpg.program", evil},
                                                                     {"commit.gpgSign", "true"},
                                                                     {"remote.origin.uploadpack", evil},
                                                                     {"remote.origin.vcs", "ext"}}) {
    git(work() / "a", {"config", name, text});
  }
  for (const char* hook : {"post-checkout", "pre-commit", "post-commit", "commit-msg", "pre-push",
                           "post-merge", "reference-transaction", "fsmonitor-watchman"}) {
    fs::create_directories(work() / "a/.git/hooks");
    fs::copy_file(evil, work() / "a/.git/hooks" / hook);
    fs::copy_file(evil, folder_.path() / hook, fs::copy_options::overwrite_existing);
  }
  value("fs.write", {"a/new.txt", "x"});
  value("git.status", {"a"});
  EXPECT_EQ(value("git.add", {"a", "."}), "null");
  EXPECT_TRUE(call("git.commit", {"a", "x", {{"author", kAuthor}}}));
  EXPECT_TRUE(call("git.checkout", {"a", "side"}));
  EXPECT_TRUE(call("git.checkout", {"a", "main"}));
  EXPECT_TRUE(call("git.fetch", {"a"}));
  EXPECT_FALSE(fs::exists(marker));
}

// Trees that no git would make, object by object.
class HostileTrees : public GitApi {
 protected:
  std::string blob(const std::string& text) {
    folder_.write("object", text);
    return git(source(), {"hash-object", "-w", folder_.path() / "object"});
  }
  static std::string entry(const std::string& mode, const std::string& name, const std::string& id) {
    std::string out = mode + " " + name + std::string(1, '\0');
    for (size_t i = 0; i < id.size(); i += 2)
      out += static_cast<char>(std::stoi(id.substr(i, 2), nullptr, 16));
    return out;
  }
  std::string tree(const std::string& entries) {
    folder_.write("object", entries);
    return git(source(), {"hash-object", "-w", "-t", "tree", "--literally", folder_.path() / "object"});
  }
  void publish(const std::string& entries) {
    const std::string made = git(source(), {"commit-tree", "-m", "hostile", tree(entries)});
    git(source(), {"update-ref", "refs/heads/hostile", made});
  }
  std::string attempt() {
    allow_git({});
    fs::remove_all(work() / "x");
    const std::string result = clone(source(), "x", {{"ref", "hostile"}});
    return result.substr(0, result.find(' '));
  }
};

TEST_F(HostileTrees, NamesThatMeanTheRepository) {
  const std::string config = blob("[core]\n\tfsmonitor = touch /tmp/owned\n");
  for (const char* name : {".git", ".GIT", ".Git", "git~1", "GIT~1", ".git ", ".git.",
                           ".git::$INDEX_ALLOCATION", ".git\\config", "..", "."}) {
    publish(entry("40000", name, tree(entry("100644", "config", config))));
    EXPECT_EQ(attempt(), "git.damaged") << name;
    publish(entry("100644", name, config));
    EXPECT_EQ(attempt(), "git.damaged") << name;
    EXPECT_FALSE(fs::exists(work() / "x"));
  }
  publish(entry("100644", "a/../../escape", config));
  EXPECT_EQ(attempt(), "git.damaged");
  publish(entry("100644", "", config));
  EXPECT_EQ(attempt(), "git.damaged");
  EXPECT_FALSE(fs::exists(work() / "escape"));
}

TEST_F(HostileTrees, NothingIsWrittenThroughALink) {
  fs::create_directory(folder_.path() / "victim");
  const std::string link = blob((folder_.path() / "victim").native());
  const std::string file = blob("evil");
  const std::string inner = tree(entry("100644", "owned", file));
  for (const std::string& entries : {entry("120000", "a", link) + entry("40000", "a", inner),
                                     entry("40000", "a", inner) + entry("120000", "a", link)}) {
    publish(entries);
    const std::string result = attempt();
    EXPECT_FALSE(fs::exists(folder_.path() / "victim/owned")) << result;
  }
  // A checkout over a link that somebody put there.
  publish(entry("40000", "a", inner));
  ASSERT_EQ(clone(source(), "y"), "main " + head());
  value("git.fetch", {"y"});
  fs::create_symlink(folder_.path() / "victim", work() / "y/a");
  call("git.checkout", {"y", "hostile", {{"force", true}}});
  EXPECT_FALSE(fs::exists(folder_.path() / "victim/owned"));
  // A link in a tree is a link, wherever it leads: nothing follows it here.
  publish(entry("120000", "l", link));
  EXPECT_EQ(attempt(), "hostile");
  EXPECT_TRUE(fs::is_symlink(work() / "x/l"));
}

TEST_F(HostileTrees, MissingAndForgedObjects) {
  publish(entry("100644", "a", std::string(40, '1')));
  EXPECT_EQ(attempt(), "git.damaged");
  publish(entry("40000", "a", std::string(40, '1')));
  EXPECT_EQ(attempt(), "git.damaged");
  // One kind of object in the place of another.
  publish(entry("100644", "a", tree(entry("100644", "b", blob("text")))));
  EXPECT_EQ(attempt(), "git.damaged");
  publish(entry("40000", "a", blob("text")));
  EXPECT_EQ(attempt(), "git.failed");  // libgit2's own answer
  publish(entry("120000", "a", blob(std::string("b\0c", 3))) + entry("120000", "d", blob("")));
  EXPECT_EQ(attempt(), "git.damaged");
}

TEST_F(HostileTrees, PathsAsNames) {
  const std::string file = blob("evil");
  for (const std::string& name :
       {std::string(".git/hooks/post-checkout"), std::string("a/.git/config"), std::string("/absolute"),
        std::string("../escape"), std::string("a/.."), std::string("a//b"), std::string("a\0b", 3)}) {
    publish(entry("100644", name, file));
    EXPECT_EQ(attempt(), "git.damaged") << name;
    publish(entry("100644", "A", file) + entry("40000", name, tree(entry("100644", "x", file))));
    EXPECT_EQ(attempt(), "git.damaged") << name;
    EXPECT_FALSE(fs::exists(work() / "x")) << name;
  }
  EXPECT_FALSE(fs::exists(work() / "escape"));
  EXPECT_FALSE(fs::exists("/absolute"));
  // .gitmodules is read by libgit2 itself: it must be no link, in no spelling of it.
  for (const char* name : {".gitmodules", ".GITMODULES", ".gitmodules ", "gitmod~1", "gi7eba~1"}) {
    publish(entry("120000", name, blob("../../owned")));
    EXPECT_EQ(attempt(), "git.damaged") << name;
  }
  // A name twice, once as a folder, with another between the two.
  publish(entry("100644", "a", file) + entry("100644", "a-b", file) +
          entry("40000", "a", tree(entry("100644", "x", file))));
  EXPECT_EQ(attempt(), "git.exists");
}

TEST_F(HostileTrees, NamesThatAreOnlyStrange) {
  const std::string file = blob("fine");
  std::string entries;
  const std::vector<std::string> names = {
      ".g\xe2\x80\x8cit", ".gi\xef\xbb\xbft", ".gitea", "NUL", "a.", "b~1", "c:d", "e f ",
      "g\x01h",           "\xff\xfe"};
  for (const std::string& name : names) {
    publish(entry("100644", name, file));
    EXPECT_EQ(attempt(), "hostile") << name;
    EXPECT_EQ(got("x/" + name), "fine") << name;
    EXPECT_EQ(git(work() / "x", {"status", "--porcelain"}), "") << name;
  }
  std::string deep = tree(entry("100644", "file", file));
  for (int level = 0; level < 100; ++level) deep = tree(entry("40000", "d", deep));
  publish(entry("40000", "d", deep));
  EXPECT_EQ(attempt(), "hostile");
  std::string path = "x/d/";
  for (int level = 0; level < 100; ++level) path += "d/";
  EXPECT_EQ(got(path + "file"), "fine");
}

// What the index says of a file is what lstat says, so that git need not read it again.
TEST_F(HostileTrees, TheFirstCheckoutIsAsGitMakesIt) {
  publish(entry("100644", ".gitignore", blob("*.o\n")) + entry("120000", "dangling", blob("no/where")) +
          entry("100644", "empty", blob("")) + entry("100664", "group", blob("old mode")) +
          entry("40000", "l\xc3\xb6st", tree(entry("100755", "run", blob("#!/bin/sh\n")))) +
          entry("160000", "sub", std::string(40, '2')));
  EXPECT_EQ(attempt(), "hostile");
  const fs::path at = work() / "x";
  EXPECT_EQ(names(at), (std::vector<std::string>{".git", ".gitignore", "dangling", "empty", "group",
                                                 "l\xc3\xb6st", "sub"}));
  EXPECT_EQ(fs::read_symlink(at / "dangling"), "no/where");
  EXPECT_EQ(fs::status(at / "l\xc3\xb6st/run").permissions(), fs::perms(0755));
  EXPECT_EQ(fs::status(at / "group").permissions(), fs::perms(0644));
  EXPECT_TRUE(fs::is_empty(at / "sub"));
  EXPECT_EQ(git(at, {"diff-files", "--raw", "--no-renames"}), "");
  EXPECT_EQ(git(at, {"diff-index", "--cached", "--raw", "HEAD"}), "");
  EXPECT_EQ(git(at, {"status", "--porcelain"}), "");
  for (const char* name : {"dangling", "empty", "l\xc3\xb6st/run"}) {
    struct stat info {};
    ASSERT_EQ(::lstat((at / name).c_str(), &info), 0);
    const std::string said = git(at, {"ls-files", "--debug", "--", name});
    const auto stamp = [](const char* what, const timespec& t) {
      return std::string(what) + ": " + std::to_string(t.tv_sec) + ":" + std::to_string(t.tv_nsec) + "\n";
    };
    EXPECT_NE(said.find(stamp("ctime", info.st_ctim)), std::string::npos) << said;
    EXPECT_NE(said.find(stamp("mtime", info.st_mtim)), std::string::npos) << said;
    EXPECT_NE(said.find("ino: " + std::to_string(info.st_ino)), std::string::npos) << said;
    EXPECT_NE(said.find("size: " + std::to_string(info.st_size)), std::string::npos) << said;
  }
}

TEST_F(HostileTrees, AttributesChangeWhatIsWritten) {
  const std::string text = blob("a\nb\n");
  for (const char* name : {".gitattributes", ".GitAttributes"}) {
    publish(
        entry("40000", "d",
              tree(entry("100644", name, blob("*.txt text eol=crlf\n")) + entry("100644", "x.txt", text))) +
        entry("100644", "y.txt", text));
    EXPECT_EQ(attempt(), "hostile");
    EXPECT_EQ(got("x/d/x.txt"), std::string(name) == ".gitattributes" ? "a\r\nb\r\n" : "a\nb\n");
    EXPECT_EQ(got("x/y.txt"), "a\nb\n");
    EXPECT_EQ(git(work() / "x", {"status", "--porcelain"}), "");
  }
}

}  // namespace
}  // namespace pf::api
