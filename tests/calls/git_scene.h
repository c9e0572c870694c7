// What trials of forge.git share: a repository `a` in the work folder, its origin on this machine, and how
// each call is made in a folder, or made to contact a URL.
#pragma once

#include <fstream>
#include <string>

#include "calls/io_scene.h"
#include "support/git_peers.h"

namespace pf::calls {

namespace fs = std::filesystem;
using test::git;

class GitScene : public IoScene {
 protected:
  GitScene() {
    // Made once: git would be started a dozen times for each trial.
    static const test::Folder made;
    static const bool once = make(made.path());
    EXPECT_TRUE(once);
    for (const char* part : {"source", "repositories", "a"}) {
      fs::copy(made.path() / part, part == std::string("a") ? a() : folder_.path() / part,
               fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    }
    git(a(), {"config", "remote.origin.url", origin()});
    allow({});
  }
  static bool make(const fs::path& folder) {
    test::make_repository(folder / "source");
    fs::remove_all(folder / "source/.git/hooks");
    // Without packs: each object is a file.
    const fs::path origin = folder / "repositories/one";
    git(folder, {"clone", "-q", "--template=", "--bare", "--no-hardlinks", "source", origin});
    git(origin, {"config", "http.receivepack", "true"});
    git(folder, {"clone", "-q", "--template=", "--no-hardlinks", origin, "a"});
    return true;
  }

  fs::path repositories() const { return folder_.path() / "repositories"; }
  fs::path origin() const { return repositories() / "one"; }
  fs::path a() const { return work() / "a"; }

  void allow(const std::vector<std::string>& hosts) {
    api::Grants grants;
    grants.read = grants.write = {{repositories(), true}};
    for (const std::string& host : hosts) grants.git.push_back({host, true});
    open(grants);
  }

  /// Makes the call for the repository at `path`: what it is made in, or what is cloned or listed.
  Result<Json> ask_in(const std::string& path, Json options = Json::object()) {
    Json arguments = Json::array({path});
    if (name == "git.clone") arguments = {path, "new"};
    if (name == "git.diff_names") arguments = {path, "HEAD~1", "HEAD"};
    if (name == "git.add") arguments = {path, "."};
    if (name == "git.branch") arguments = {path, "topic"};
    if (name == "git.tag") arguments = {path, "t1"};
    if (name == "git.checkout") arguments = {path, "origin/side"};
    if (name == "git.push") arguments = {path, "main"};
    if (name == "git.commit") {
      arguments = {path, "message"};
      options["author"] = {{"name", "A"}, {"email", "a@example.org"}};
    }
    arguments.push_back(std::move(options));
    return ask(arguments);
  }
  /// The same for `a`, or for its origin.
  Result<Json> ask_here(Json options = Json::object()) {
    const bool there = name == "git.clone" || name == "git.ls_remote";
    return ask_in(there ? origin().native() : "a", std::move(options));
  }

  /// Makes the call so that it contacts a URL: its own, the remote's, or a submodule's.
  Result<Json> reach(const std::string& url, Json options = Json::object()) {
    if (name == "git.clone" || name == "git.ls_remote") return ask_in(url, std::move(options));
    if (name == "git.fetch" || name == "git.push") {
      git(a(), {"config", "remote.origin.url", url});
      return ask_in("a", std::move(options));
    }
    add_submodule(a(), url);
    if (name != "git.checkout") return ask_in("a", std::move(options));
    options["submodules"] = true;
    return ask({"a", "main", std::move(options)});
  }
  void add_submodule(const fs::path& folder, const std::string& url) {
    fs::create_directories(folder / "libs/two");  // as a clone has it
    std::ofstream(folder / ".gitmodules")
        << "[submodule \"two\"]\n\tpath = libs/two\n\turl = " << url << "\n";
    git(folder, {"add", ".gitmodules"});
    git(folder, {"update-index", "--add", "--cacheinfo",
                 "160000," + git(folder, {"rev-parse", "HEAD"}) + ",libs/two"});
    git(folder, {"commit", "-q", "-m", "submodule"});
  }

  void write(const fs::path& file, const std::string& text) { std::ofstream(file) << text; }
  /// A commit in `a` that its origin does not have, or the other way round.
  void commit_here() {
    write(a() / "hello.txt", "mine\n");
    git(a(), {"commit", "-q", "-a", "-m", "more"});
  }
  void commit_there() {
    write(folder_.path() / "source/hello.txt", "theirs\n");
    git(folder_.path() / "source", {"commit", "-q", "-a", "-m", "more"});
    git(folder_.path() / "source", {"push", "-q", origin(), "main"});
  }
  /// The file of an object.
  fs::path object(const fs::path& folder, const std::string& rev) const {
    const std::string id = git(folder, {"rev-parse", rev});
    return fs::path(git(folder, {"rev-parse", "--absolute-git-dir"})) / "objects" / id.substr(0, 2) /
           id.substr(2);
  }
  void lose(const fs::path& folder, const std::string& rev) { ASSERT_TRUE(fs::remove(object(folder, rev))); }
};

#define CONTACTING "git.clone", "git.ls_remote", "git.fetch", "git.push", "git.checkout", "git.submodules"
#define READING_HERE "git.open", "git.log", "git.status", "git.diff_names"
#define CHANGING_HERE "git.add", "git.commit", "git.branch", "git.tag"
#define IN_FOLDER READING_HERE, CHANGING_HERE, "git.fetch", "git.push", "git.checkout", "git.submodules"
#define ALL_GIT IN_FOLDER, "git.clone", "git.ls_remote"

}  // namespace pf::calls
