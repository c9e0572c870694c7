// Clones, fetches, pushes: what the io helper does with other repositories.
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <vector>

#include "base/cbor.h"
#include "base/json.h"
#include "base/text.h"
#include "services/file_calls.h"
#include "services/files.h"
#include "services/io/git_common.h"

namespace pf::services::io {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostPacks = 50;  // of a mirror: each one is looked into for each object
constexpr int kMostLevels = 8;     // of submodules in submodules
constexpr const char* kLock = "pangeo-forge.lock";

/// What the other side has.
struct Advertised {
  struct Ref {
    std::string name;
    git_oid id;
  };
  std::vector<Ref> refs;       // sorted by name
  std::string default_branch;  // without refs/heads/; empty: none
};

bool plain_name(std::string_view name) {
  int valid = 0;
  return git_reference_name_is_valid(&valid, std::string(name).c_str()) == 0 && valid == 1;
}

Result<Advertised> advertised(git_remote* remote, const Peers& peers) {
  const git_remote_head** heads = nullptr;
  size_t count = 0;
  if (const int code = git_remote_ls(&heads, &count, remote); code != 0)
    return git_error(&peers, "cannot list what is there", code);
  Advertised out;
  for (size_t i = 0; i < count; ++i) {
    const std::string_view name = heads[i]->name;
    if (name == "HEAD" && heads[i]->symref_target != nullptr) {
      const std::string_view target = heads[i]->symref_target;
      if (target.starts_with("refs/heads/")) out.default_branch = target.substr(11);
    }
    if (name.ends_with("^{}") || !plain_name(name)) continue;
    out.refs.push_back({std::string(name), heads[i]->oid});
  }
  std::sort(out.refs.begin(), out.refs.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  if (out.default_branch.empty()) {
    // Servers that do not say what HEAD is: the branch that has its commit.
    for (const auto& ref : out.refs) {
      if (count > 0 && std::string_view(heads[0]->name) == "HEAD" && ref.name.starts_with("refs/heads/") &&
          git_oid_equal(&ref.id, &heads[0]->oid) != 0) {
        out.default_branch = ref.name.substr(11);
        if (out.default_branch == "main" || out.default_branch == "master") break;
      }
    }
  }
  return out;
}

// Fetches with plain refspecs, and says what is there.
Result<Advertised> fetch_into(git_repository* repository, const std::string& url,
                              std::vector<std::string> refspecs, Peers& peers) {
  auto remote = make_remote(repository, url);
  if (!remote) return tl::unexpected(remote.error());
  git_fetch_options options = GIT_FETCH_OPTIONS_INIT;
  options.callbacks = peers.callbacks();
  options.prune = GIT_FETCH_PRUNE;
  options.update_fetchhead = 0;
  options.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;  // the refspecs name them
  std::vector<char*> texts;
  for (std::string& spec : refspecs) texts.push_back(spec.data());
  const git_strarray specs{texts.data(), texts.size()};
  if (const int code = git_remote_fetch(remote->get(), &specs, &options, nullptr); code != 0)
    return git_error(&peers, "cannot fetch " + url, code);
  return advertised(remote->get(), peers);
}

// What may be mended by making the mirror anew: not what the other side or the caller is the reason of.
bool may_be_damage(const Error& error) {
  return error.code == "git.damaged" || error.code == "git.failed" || error.code == "git.repository";
}

/// A bare repository that holds what a URL had, shared by runs, one user at a time.
class Mirror {
 public:
  static Result<Mirror> open(const Place& place) {
    Mirror out;
    out.path_ = place.path;
    auto fd = open_place(place, O_RDONLY | O_DIRECTORY);
    if (!fd) return tl::unexpected(fd.error());
    out.folder_ = std::move(*fd);
    out.lock_.reset(::openat(out.folder_.get(), kLock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!out.lock_) return tl::unexpected(system_error("cannot lock " + place.path, errno));
    while (::flock(out.lock_.get(), LOCK_EX) != 0) {
      if (errno != EINTR) return tl::unexpected(system_error("cannot lock " + place.path, errno));
    }
    return out;
  }

  /// Removes all that is in it but the lock.
  Result<void> clear() {
    repository_.reset();
    std::vector<Entry> entries;
    int code = read_entries(folder_.get(), entries);
    for (const Entry& entry : entries) {
      if (code == 0 && entry.name != kLock) code = remove_tree(folder_.get(), entry.name, nullptr);
    }
    if (code != 0) return tl::unexpected(system_error("cannot remove a damaged mirror in " + path_, code));
    return {};
  }

  Result<Advertised> update(const std::string& url, Peers& peers) {
    if (packs().size() > kMostPacks) {
      if (auto cleared = clear(); !cleared) return tl::unexpected(cleared.error());
    }
    git_repository* made = nullptr;
    int code = git_repository_open_bare(&made, path_.c_str());
    if (code != 0) {
      if (auto cleared = clear(); !cleared) return tl::unexpected(cleared.error());
      code = git_repository_init(&made, path_.c_str(), 1);
    }
    if (code != 0) return git_error(nullptr, "cannot make a mirror", code);
    repository_.reset(made);
    return fetch_into(made, url, {"+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"}, peers);
  }

  /// Copies the packs into a repository's objects. Copies, not links: whoever may write to the clone could
  /// change what the next one gets. Where the file system can share blocks, it does.
  Result<void> copy_to(const fs::path& objects) const {
    for (const std::string& pack : packs()) {
      for (const char* ending : {".pack", ".idx"}) {
        if (auto ok = copy(path_ + "/objects/pack/" + pack + ending, objects / "pack" / (pack + ending)); !ok)
          return ok;
      }
    }
    return {};
  }

 private:
  // Names without endings.
  std::vector<std::string> packs() const {
    std::vector<std::string> out;
    std::error_code code;
    for (const auto& entry : fs::directory_iterator(path_ + "/objects/pack", code)) {
      const std::string name = entry.path().filename();
      if (name.starts_with("pack-") && name.ends_with(".idx")) out.push_back(name.substr(0, name.size() - 4));
    }
    return out;
  }

  static Result<void> copy(const std::string& from, const fs::path& to) {
    UniqueFd in(::open(from.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    struct stat info {};
    if (!in || ::fstat(in.get(), &info) != 0) return refuse("git.damaged", "the mirror lacks " + from);
    UniqueFd out(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444));
    if (!out) return tl::unexpected(system_error("cannot write " + to.string(), errno));
    if (::ioctl(out.get(), FICLONE, in.get()) == 0) return {};
    off_t left = info.st_size;
    while (left > 0) {
      ssize_t n = ::copy_file_range(in.get(), nullptr, out.get(), nullptr, static_cast<size_t>(left), 0);
      if (n < 0 &&
          (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP || errno == EPERM)) {
        char buffer[1U << 16];
        n = ::read(in.get(), buffer, sizeof buffer);
        if (n > 0) {
          if (auto ok = write_all(out.get(), {buffer, static_cast<size_t>(n)}); !ok) return ok;
        }
      }
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return tl::unexpected(system_error("cannot write " + to.string(), errno));
      if (n == 0) break;
      left -= n;
    }
    return {};
  }

  std::string path_;
  UniqueFd folder_, lock_;
  Repository repository_;
};

// All refs in one file: a file for each would cost more than the rest for thousands of them.
Result<void> write_refs(const fs::path& git_folder, const Advertised& there) {
  std::vector<std::pair<std::string, std::string>> lines;
  for (const auto& ref : there.refs) {
    if (ref.name.starts_with("refs/heads/"))
      lines.emplace_back("refs/remotes/origin/" + ref.name.substr(11), hex(ref.id));
    else if (ref.name.starts_with("refs/tags/"))
      lines.emplace_back(ref.name, hex(ref.id));
  }
  std::sort(lines.begin(), lines.end());
  std::string text = "# pack-refs with: sorted \n";
  for (const auto& [name, id] : lines) text += id + " " + name + "\n";
  return write_file(git_folder / "packed-refs", text);
}

struct Cloned {
  std::string branch;  // that was checked out; empty: none
  std::string commit;  // empty: the repository has none
};

// Finds what `ref` names, checks it out, and sets HEAD.
Result<Cloned> settle(git_repository* repository, const GitRequest& request, const Advertised& there,
                      Peers& peers) {
  Cloned out;
  std::string ref = request.ref;
  for (const char* prefix : {"refs/heads/", "refs/tags/"}) {
    if (ref.starts_with(prefix)) ref = ref.substr(std::string_view(prefix).size());
  }
  const auto has = [&](const std::string& name) {
    return std::any_of(there.refs.begin(), there.refs.end(), [&](const auto& r) { return r.name == name; });
  };
  if (ref.empty()) {
    out.branch = there.default_branch;
    if (out.branch.empty() || !has("refs/heads/" + out.branch)) {
      // Nothing in it yet.
      if (out.branch.empty()) out.branch = "main";
      const int code = git_repository_set_head(repository, ("refs/heads/" + out.branch).c_str());
      if (code != 0) return git_error(&peers, "cannot set HEAD", code);
      return out;
    }
  } else if (has("refs/heads/" + ref) && !request.ref.starts_with("refs/tags/")) {
    out.branch = ref;
  }
  auto commit = find_commit(repository, out.branch.empty() ? ref : "refs/remotes/origin/" + out.branch);
  if (!commit) {
    Error error = commit.error();
    // It was advertised, so it must be there.
    if (error.code == "git.ref" && (!out.branch.empty() || has("refs/tags/" + ref))) {
      git_oid id;
      const std::string full = out.branch.empty() ? "refs/tags/" + ref : "refs/remotes/origin/" + out.branch;
      git_object* object = nullptr;
      if (git_reference_name_to_id(&id, repository, full.c_str()) != 0 ||
          git_object_lookup(&object, repository, &id, GIT_OBJECT_ANY) != 0)
        error.code = "git.damaged";
      Object owner(object);
    } else if (error.code == "git.ref") {
      error.message =
          "there is no branch, tag or commit '" + shorten(request.ref, 200) + "' in " + request.url;
    }
    return tl::unexpected(std::move(error));
  }
  out.commit = hex(*git_commit_id(commit->get()));
  int code = 0;
  if (!out.branch.empty()) {
    git_reference* made = nullptr;
    code = git_reference_create(&made, repository, ("refs/heads/" + out.branch).c_str(),
                                git_commit_id(commit->get()), 1, nullptr);
    Reference owner(made);
    if (code == 0) code = git_repository_set_head(repository, ("refs/heads/" + out.branch).c_str());
    git_config* config = nullptr;
    if (code == 0) code = git_repository_config(&config, repository);
    Config config_owner(config);
    const std::string section = "branch." + out.branch + ".";
    // A name that no configuration can hold has no upstream.
    if (code == 0 && git_config_set_string(config, (section + "remote").c_str(), "origin") == 0)
      code = git_config_set_string(config, (section + "merge").c_str(), ("refs/heads/" + out.branch).c_str());
  } else {
    code = git_repository_set_head_detached(repository, git_commit_id(commit->get()));
  }
  if (code == 0 && !there.default_branch.empty()) {
    git_reference* made = nullptr;
    git_reference_symbolic_create(&made, repository, "refs/remotes/origin/HEAD",
                                  ("refs/remotes/origin/" + there.default_branch).c_str(), 1, nullptr);
    Reference owner(made);
  }
  if (code != 0) return git_error(&peers, "cannot set HEAD", code);
  if (auto done = first_checkout(repository, commit->get(), peers); !done)
    return tl::unexpected(done.error());
  return out;
}

Result<Cloned> clone_once(const GitRequest& request, const GitUrl& url, Mirror* mirror, Peers& peers) {
  git_repository_init_options options = GIT_REPOSITORY_INIT_OPTIONS_INIT;
  options.flags = GIT_REPOSITORY_INIT_MKPATH | GIT_REPOSITORY_INIT_NO_REINIT;
  options.initial_head = "main";
  git_repository* made = nullptr;
  int code = git_repository_init_ext(&made, request.folder.path.c_str(), &options);
  if (code != 0) return git_error(nullptr, "cannot make " + request.folder.path, code);
  Repository repository(made);
  if (::chdir(request.folder.path.c_str()) != 0)
    return tl::unexpected(system_error("cannot use " + request.folder.path, errno));
  git_remote* origin = nullptr;
  code = git_remote_create(&origin, made, "origin", url.text().c_str());
  const Remote owner(origin);
  if (code != 0) return git_error(nullptr, "cannot make " + request.folder.path, code);
  Advertised there;
  if (mirror != nullptr) {
    auto fetched = mirror->update(request.url, peers);
    if (!fetched) return tl::unexpected(fetched.error());
    if (auto copied = mirror->copy_to(request.folder.path + "/.git/objects"); !copied)
      return tl::unexpected(copied.error());
    there = std::move(*fetched);
    if (auto written = write_refs(request.folder.path + "/.git", there); !written)
      return tl::unexpected(written.error());
  } else {
    auto fetched = fetch_into(made, request.url,
                              {"+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"}, peers);
    if (!fetched) return tl::unexpected(fetched.error());
    there = std::move(*fetched);
  }
  auto settled = settle(made, request, there, peers);
  if (settled && request.with_submodules && !settled->commit.empty()) {
    if (auto done = update_submodules(made, peers); !done) return tl::unexpected(done.error());
  }
  return settled;
}

Result<std::string> remote_url(git_repository* repository, const std::string& name, bool push) {
  git_remote* found = nullptr;
  if (const int code = git_remote_lookup(&found, repository, name.c_str()); code != 0) {
    return refuse("git.remote", "the repository has no remote '" + shorten(name, 200) + "'",
                  "forge.git.clone names it origin");
  }
  Remote remote(found);
  const char* pushes = push ? git_remote_pushurl(found) : nullptr;
  const char* url = pushes != nullptr ? pushes : git_remote_url(found);
  if (url == nullptr) return refuse("git.remote", "the remote '" + shorten(name, 200) + "' has no address");
  return std::string(url);
}

int on_update(const char* name, const git_oid* before, const git_oid* after, void* payload) {
  auto* peers = static_cast<Peers*>(payload);
  peers->updates.emplace_back(name, git_oid_is_zero(before) != 0 ? "" : hex(*before),
                              git_oid_is_zero(after) != 0 ? "" : hex(*after));
  return 0;
}

int on_pushed(const char* name, const char* status, void* payload) {
  auto* peers = static_cast<Peers*>(payload);
  if (status == nullptr) {
    peers->updates.emplace_back(name, "", "");
    return 0;
  }
  return peers->failed(refuse("git.rejected",
                              "the other side refuses " + shorten(name, 200) + ": " + shorten(status, 300),
                              "fetch and merge first, or look at the rules of the branch")
                           .value());
}

}  // namespace

Result<std::string> git_clone(const GitRequest& request, Peers& peers) {
  auto folder = open_place(request.folder, O_RDONLY | O_DIRECTORY);
  if (!folder) return tl::unexpected(folder.error());
  auto url = parse_git_url(request.url);
  if (!url) return tl::unexpected(url.error());
  std::optional<Mirror> mirror;
  if (!request.mirror.path.empty() && url->network()) {
    auto opened = Mirror::open(request.mirror);
    if (!opened) return tl::unexpected(opened.error());
    mirror = std::move(*opened);
  }
  auto cloned = clone_once(request, *url, mirror ? &*mirror : nullptr, peers);
  if (!cloned && mirror && !peers.failure() && may_be_damage(cloned.error())) {
    // Perhaps it is the mirror that is damaged: once more from the beginning.
    if (auto cleared = mirror->clear(); !cleared) return tl::unexpected(cleared.error());
    std::vector<Entry> entries;
    int code = read_entries(folder->get(), entries);
    for (const Entry& entry : entries) {
      if (code == 0) code = remove_tree(folder->get(), entry.name, nullptr);
    }
    if (code != 0) return tl::unexpected(system_error("cannot begin anew in " + request.folder.path, code));
    cloned = clone_once(request, *url, &*mirror, peers);
  }
  if (!cloned) return tl::unexpected(cloned.error());
  return to_cbor({{"commit", cloned->commit.empty() ? Json() : Json(cloned->commit)},
                  {"branch", cloned->branch.empty() ? Json() : Json(cloned->branch)},
                  {"url", url->text()}});
}

Result<std::string> git_fetch(const GitRequest& request, git_repository* repository, Peers& peers) {
  auto url = remote_url(repository, request.remote, false);
  if (!url) return tl::unexpected(url.error());
  std::vector<std::string> refspecs = request.items;
  if (refspecs.empty()) {
    git_remote* found = nullptr;
    if (git_remote_lookup(&found, repository, request.remote.c_str()) == 0) {
      Remote remote(found);
      git_strarray specs{};
      if (git_remote_get_fetch_refspecs(&specs, found) == 0) {
        for (size_t i = 0; i < specs.count; ++i) refspecs.emplace_back(specs.strings[i]);
        git_strarray_dispose(&specs);
      }
    }
  }
  auto remote = make_remote(repository, *url);
  if (!remote) return tl::unexpected(remote.error());
  git_fetch_options options = GIT_FETCH_OPTIONS_INIT;
  options.callbacks = peers.callbacks();
  options.callbacks.update_tips = on_update;
  options.prune = request.prune ? GIT_FETCH_PRUNE : GIT_FETCH_NO_PRUNE;
  options.update_fetchhead = 0;
  options.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_AUTO;
  std::vector<char*> texts;
  for (std::string& spec : refspecs) texts.push_back(spec.data());
  const git_strarray specs{texts.data(), texts.size()};
  if (const int code = git_remote_fetch(remote->get(), &specs, &options, nullptr); code != 0)
    return git_error(&peers, "cannot fetch " + *url, code);
  Json out = Json::array();
  for (const auto& [name, before, after] : peers.updates) {
    Json item = {{"ref", name}};
    if (!before.empty()) item["old"] = before;
    if (!after.empty()) item["new"] = after;
    out.push_back(std::move(item));
  }
  return to_cbor(out);
}

Result<std::string> git_push(const GitRequest& request, git_repository* repository, Peers& peers) {
  auto url = remote_url(repository, request.remote, true);
  if (!url) return tl::unexpected(url.error());
  auto remote = make_remote(repository, *url);
  if (!remote) return tl::unexpected(remote.error());
  std::vector<std::string> refspecs;
  for (const std::string& item : request.items) {
    std::string spec = item;
    const bool forced = spec.starts_with('+') || request.force;
    if (spec.starts_with('+')) spec.erase(0, 1);
    if (spec.find(':') == std::string::npos) {
      for (const char* prefix : {"", "refs/heads/", "refs/tags/"}) {
        git_oid id;
        const std::string full = prefix + spec;
        if (!plain_name(full) || !full.starts_with("refs/") ||
            git_reference_name_to_id(&id, repository, full.c_str()) != 0)
          continue;
        spec = full + ":" + full;
        break;
      }
      if (spec.find(':') == std::string::npos) {
        return refuse("git.ref", "there is no branch or tag '" + shorten(item, 200) + "' to push",
                      "make it first");
      }
    }
    refspecs.push_back((forced ? "+" : "") + spec);
  }
  git_push_options options = GIT_PUSH_OPTIONS_INIT;
  options.callbacks = peers.callbacks();
  options.callbacks.push_update_reference = on_pushed;
  std::vector<char*> texts;
  for (std::string& spec : refspecs) texts.push_back(spec.data());
  const git_strarray specs{texts.data(), texts.size()};
  const int code = git_remote_push(remote->get(), &specs, &options);
  if (code != 0) return git_error(&peers, "cannot push to " + *url, code);
  // libgit2 itself goes on after a reference that was refused. What else failed did so after the report: a
  // server that has hung up when libgit2 says goodbye.
  if (peers.failure() && peers.failure()->code == "git.rejected") return tl::unexpected(*peers.failure());
  Json out = Json::array();
  for (const auto& [name, before, after] : peers.updates) out.push_back(name);
  return to_cbor(out);
}

Result<std::string> git_ls_remote(const GitRequest& request, Peers& peers) {
  auto remote = make_remote(nullptr, request.url);
  if (!remote) return tl::unexpected(remote.error());
  git_remote_callbacks callbacks = peers.callbacks();
  if (const int code = git_remote_connect(remote->get(), GIT_DIRECTION_FETCH, &callbacks, nullptr, nullptr);
      code != 0)
    return git_error(&peers, "cannot reach " + request.url, code);
  const git_remote_head** heads = nullptr;
  size_t count = 0;
  if (const int code = git_remote_ls(&heads, &count, remote->get()); code != 0)
    return git_error(&peers, "cannot list what is there", code);
  Json out = Json::array();
  size_t size = 0;
  for (size_t i = 0; i < count; ++i) {
    Json item = {{"name", std::string(heads[i]->name)}, {"commit", hex(heads[i]->oid)}};
    if (!cbor::is_utf8(heads[i]->name)) continue;
    if (heads[i]->symref_target != nullptr && cbor::is_utf8(heads[i]->symref_target))
      item["target"] = heads[i]->symref_target;
    size += std::string_view(heads[i]->name).size() + 80;
    if (size > kMaxListing)
      return refuse("git.too_big", "there are more than 8 MiB of names", "clone it instead");
    out.push_back(std::move(item));
  }
  return to_cbor(out);
}

namespace {

Result<void> update_level(git_repository* repository, Peers& peers, int level, const std::string& prefix,
                          Json& out) {
  if (level > kMostLevels)
    return refuse("git.submodule", "submodules are more than 8 deep", "clone them one by one");
  std::vector<std::string> names;
  int code = git_submodule_foreach(
      repository,
      [](git_submodule*, const char* name, void* payload) {
        // By its path libgit2 would not find the address of one that has another name.
        static_cast<std::vector<std::string>*>(payload)->emplace_back(name);
        return 0;
      },
      &names);
  if (code != 0) return git_error(&peers, "cannot read .gitmodules", code);
  for (const std::string& name : names) {
    git_submodule* found = nullptr;
    if (code = git_submodule_lookup(&found, repository, name.c_str()); code != 0)
      return git_error(&peers, "cannot read the submodule " + shorten(name, 200), code);
    Submodule sub(found);
    if (git_submodule_head_id(found) == nullptr && git_submodule_index_id(found) == nullptr)
      continue;  // no longer there
    git_submodule_update_options options = GIT_SUBMODULE_UPDATE_OPTIONS_INIT;
    options.fetch_opts.callbacks = peers.callbacks();
    options.checkout_opts.checkout_strategy = GIT_CHECKOUT_SAFE | GIT_CHECKOUT_DISABLE_PATHSPEC_MATCH;
    if (code = git_submodule_update(found, 1, &options); code != 0)
      return git_error(&peers, "cannot update the submodule " + shorten(name, 200), code);
    git_repository* inner = nullptr;
    if (code = git_submodule_open(&inner, found); code != 0)
      return git_error(&peers, "cannot open the submodule " + shorten(name, 200), code);
    Repository owner(inner);
    const git_oid* id = git_submodule_index_id(found);
    const std::string path = prefix + git_submodule_path(found);
    out.push_back({{"path", path}, {"commit", id == nullptr ? Json() : Json(hex(*id))}});
    if (auto done = update_level(inner, peers, level + 1, path + "/", out); !done) return done;
  }
  return {};
}

}  // namespace

Result<std::string> update_submodules(git_repository* repository, Peers& peers) {
  Json out = Json::array();
  peers.in_submodule = true;
  auto done = update_level(repository, peers, 1, "", out);
  peers.in_submodule = false;
  if (!done) return tl::unexpected(done.error());
  return to_cbor(out);
}

namespace {

// Links where the tree has folders: libgit2 would write through one that is not in its index.
Result<void> no_links(const git_tree* tree, const std::string& prefix, int folder, bool force, int depth) {
  if (depth > 256) return refuse("git.damaged", prefix + " is more than 256 folders deep");
  git_repository* repository = git_tree_owner(tree);
  for (size_t i = 0; i < git_tree_entrycount(tree); ++i) {
    const git_tree_entry* entry = git_tree_entry_byindex(tree, i);
    const git_object_t type = git_tree_entry_type(entry);
    if (type != GIT_OBJECT_TREE && type != GIT_OBJECT_COMMIT) continue;
    const char* name = git_tree_entry_name(entry);
    struct stat info {};
    if (::fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (S_ISLNK(info.st_mode)) {
      if (!force) {
        return refuse("git.dirty",
                      "'" + shorten(prefix + name, 200) + "' is a link where the commit has a folder",
                      "remove it, or pass `force = true`");
      }
      if (::unlinkat(folder, name, 0) != 0)
        return tl::unexpected(system_error("cannot replace " + shorten(prefix + name, 200), errno));
      continue;
    }
    if (!S_ISDIR(info.st_mode) || type != GIT_OBJECT_TREE) continue;
    UniqueFd inner(::openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    git_tree* found = nullptr;
    if (!inner || git_tree_lookup(&found, repository, git_tree_entry_id(entry)) != 0) continue;
    const Tree owner(found);
    if (auto ok = no_links(found, prefix + name + "/", inner.get(), force, depth + 1); !ok) return ok;
  }
  return {};
}

}  // namespace

Result<void> check_out(git_repository* repository, const git_commit* commit, bool force, Peers& peers) {
  git_tree* found = nullptr;
  if (const int code = git_commit_tree(&found, commit); code != 0)
    return git_error(&peers, "cannot read the commit", code);
  const Tree tree(found);
  const UniqueFd root(::open(git_repository_workdir(repository), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return tl::unexpected(system_error("cannot open the folder", errno));
  if (auto ok = no_links(found, "", root.get(), force, 0); !ok) return ok;
  git_checkout_options options = GIT_CHECKOUT_OPTIONS_INIT;
  options.checkout_strategy =
      (force ? GIT_CHECKOUT_FORCE : GIT_CHECKOUT_SAFE) | GIT_CHECKOUT_DISABLE_PATHSPEC_MATCH;
  options.progress_cb = [](const char*, size_t done, size_t total, void* payload) {
    static_cast<Peers*>(payload)->reporter().progress(static_cast<double>(done), static_cast<double>(total),
                                                      "checking out files");
  };
  options.progress_payload = &peers;
  const int code = git_checkout_tree(repository, reinterpret_cast<const git_object*>(commit), &options);
  if (code != 0) return git_error(&peers, "cannot check out the files", code);
  return {};
}

}  // namespace pf::services::io
