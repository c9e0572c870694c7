// What the io helper does in repositories that are there, and the way to it: settings of libgit2, the look at
// a repository before it is used.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <filesystem>

#include "base/cbor.h"
#include "base/json.h"
#include "base/text.h"
#include "services/files.h"
#include "services/io/git_common.h"

namespace pf::services::io {
namespace {

namespace fs = std::filesystem;

Json bytes_or_text(std::string_view value) {
  if (cbor::is_utf8(value)) return std::string(value);
  return Json::binary(std::vector<uint8_t>(value.begin(), value.end()));
}

/// libgit2, set up so that nothing of this machine's configuration counts.
///
/// Switched off, and why that is safe: the search for configuration (system, user, templates: hooks and
/// includes would come from there); the check of who owns a repository (it guards programs that run what
/// configuration says; libgit2 runs nothing); files named .keep beside packs (a stat for each object).
/// fsync stays off, as it is by default: what a power cut damages is a clone, which is made again.
class Library {
 public:
  Library() {
    git_libgit2_init();
    for (int level : {GIT_CONFIG_LEVEL_SYSTEM, GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL,
                      GIT_CONFIG_LEVEL_PROGRAMDATA}) {
      git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, "");
    }
    git_libgit2_opts(GIT_OPT_SET_TEMPLATE_PATH, "");
    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
    git_libgit2_opts(GIT_OPT_DISABLE_PACK_KEEP_FILE_CHECKS, 1);
  }
};

tl::unexpected<Error> no_repository(const std::string& path, const std::string& why) {
  return refuse("git.repository", path + " is no repository that can be used: " + why,
                "clone it with forge.git.clone");
}

bool is_folder(const fs::path& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

// Opens the repository of a folder, if all of it lies in that folder.
Result<Repository> open_repository(const Place& place, bool writing) {
  auto fd = open_place(place, O_PATH | O_DIRECTORY);
  if (!fd) return tl::unexpected(fd.error());
  if (::fchdir(fd->get()) != 0) return tl::unexpected(system_error("cannot use " + place.path, errno));
  const fs::path root = place.path;
  const bool with_files = is_folder(root / ".git");
  const fs::path own = with_files ? root / ".git" : root;
  struct stat info {};
  if (!with_files && ::lstat((root / ".git").c_str(), &info) == 0) {
    return no_repository(place.path, "its .git is a link or file, and what it leads to lies elsewhere");
  }
  if (!is_folder(own / "objects") || !is_folder(own / "refs"))
    return no_repository(place.path, "it holds none");
  if (::lstat((own / "objects/info/alternates").c_str(), &info) == 0)
    return no_repository(place.path, "it borrows objects from another one");
  if (::lstat((own / "commondir").c_str(), &info) == 0)
    return no_repository(place.path, "it is a worktree of another one");
  git_repository* out = nullptr;
  const int code = git_repository_open_ext(
      &out, place.path.c_str(), GIT_REPOSITORY_OPEN_NO_SEARCH | GIT_REPOSITORY_OPEN_CROSS_FS, nullptr);
  if (code != 0) {
    const ::git_error* last = git_error_last();
    return no_repository(place.path, last == nullptr ? "it cannot be read" : shorten(last->message, 300));
  }
  Repository repository(out);
  const char* files = git_repository_workdir(out);
  if (files != nullptr && fs::path(files).parent_path() != root)
    return no_repository(place.path, "its files lie elsewhere (core.worktree)");
  if (writing && with_files && files == nullptr) return no_repository(place.path, "it says that it is bare");
  return repository;
}

std::string head_branch(git_repository* repository) {
  git_reference* found = nullptr;
  if (git_reference_lookup(&found, repository, "HEAD") != 0) return {};
  Reference head(found);
  const char* target = git_reference_symbolic_target(found);
  constexpr std::string_view kHeads = "refs/heads/";
  if (target == nullptr || !std::string_view(target).starts_with(kHeads)) return {};
  return target + kHeads.size();
}

Json head_of(git_repository* repository) {
  git_oid id;
  Json out = Json::object();
  out["commit"] = git_reference_name_to_id(&id, repository, "HEAD") == 0 ? Json(hex(id)) : Json();
  const std::string branch = head_branch(repository);
  out["branch"] = branch.empty() ? Json() : bytes_or_text(branch);
  return out;
}

Result<Signature> signature(const GitRequest& request) {
  git_signature* out = nullptr;
  const int code = request.time ? git_signature_new(&out, request.author.c_str(), request.email.c_str(),
                                                    static_cast<git_time_t>(*request.time), 0)
                                : git_signature_new(&out, request.author.c_str(), request.email.c_str(),
                                                    static_cast<git_time_t>(::time(nullptr)), 0);
  if (code != 0) return git_error(nullptr, "the author cannot be used", code);
  return Signature(out);
}

Result<Json> open_call(const GitRequest&, git_repository* repository, Peers&) {
  Json out = head_of(repository);
  out["bare"] = git_repository_is_bare(repository) == 1;
  return out;
}

// The object of a path in a commit; all zero where it is not there.
git_oid entry_of(const git_commit* commit, const std::string& path) {
  git_oid out{};
  git_tree* found = nullptr;
  if (git_commit_tree(&found, commit) != 0) return out;
  Tree tree(found);
  git_tree_entry* entry = nullptr;
  if (git_tree_entry_bypath(&entry, found, path.c_str()) != 0) return out;
  TreeEntry owner(entry);
  return *git_tree_entry_id(entry);
}

bool changes(const git_commit* commit, const std::string& path) {
  const git_oid mine = entry_of(commit, path);
  const unsigned parents = git_commit_parentcount(commit);
  if (parents == 0) return git_oid_is_zero(&mine) == 0;
  for (unsigned i = 0; i < parents; ++i) {
    git_commit* found = nullptr;
    if (git_commit_parent(&found, commit, i) != 0) continue;
    Commit parent(found);
    const git_oid theirs = entry_of(found, path);
    if (git_oid_equal(&mine, &theirs) != 0) return false;  // as git simplifies history
  }
  return true;
}

Result<Json> log_call(const GitRequest& request, git_repository* repository, Peers&) {
  auto start = find_commit(repository, request.ref.empty() ? "HEAD" : request.ref);
  if (!start) return tl::unexpected(start.error());
  git_revwalk* made = nullptr;
  if (const int code = git_revwalk_new(&made, repository); code != 0)
    return git_error(nullptr, "cannot read the log", code);
  Revwalk walk(made);
  git_revwalk_sorting(made, GIT_SORT_TOPOLOGICAL | GIT_SORT_TIME);
  git_revwalk_push(made, git_commit_id(start->get()));
  Json out = Json::array();
  size_t size = 0;
  git_oid id;
  int code = 0;
  while (out.size() < request.most && (code = git_revwalk_next(&id, made)) == 0) {
    git_commit* found = nullptr;
    if (code = git_commit_lookup(&found, repository, &id); code != 0)
      return git_error(nullptr, "cannot read the log", code);
    Commit commit(found);
    if (!request.path.empty() && !changes(found, request.path)) continue;
    const git_signature* author = git_commit_author(found);
    Json parents = Json::array();
    for (unsigned i = 0; i < git_commit_parentcount(found); ++i)
      parents.push_back(hex(*git_commit_parent_id(found, i)));
    const char* message = git_commit_message(found);
    size += std::string_view(message == nullptr ? "" : message).size() +
            std::string_view(author->name).size() + std::string_view(author->email).size() +
            parents.size() * 42 + 200;
    if (size > kMaxListing) {
      return refuse("git.too_big", "the log has more than 8 MiB of text", "ask for fewer commits with `max`");
    }
    out.push_back(
        {{"commit", hex(id)},
         {"author", {{"name", bytes_or_text(author->name)}, {"email", bytes_or_text(author->email)}}},
         {"time", git_commit_time(found)},
         {"message", bytes_or_text(message == nullptr ? "" : message)},
         {"parents", std::move(parents)}});
  }
  if (code != 0 && code != GIT_ITEROVER) return git_error(nullptr, "cannot read the log", code);
  return out;
}

const char* word(unsigned status, bool staged) {
  if (staged) {
    if ((status & GIT_STATUS_INDEX_NEW) != 0) return "added";
    if ((status & GIT_STATUS_INDEX_MODIFIED) != 0) return "modified";
    if ((status & GIT_STATUS_INDEX_DELETED) != 0) return "deleted";
    if ((status & GIT_STATUS_INDEX_RENAMED) != 0) return "renamed";
    if ((status & GIT_STATUS_INDEX_TYPECHANGE) != 0) return "typechange";
    return nullptr;
  }
  if ((status & GIT_STATUS_CONFLICTED) != 0) return "conflicted";
  if ((status & GIT_STATUS_WT_NEW) != 0) return "untracked";
  if ((status & GIT_STATUS_WT_MODIFIED) != 0) return "modified";
  if ((status & GIT_STATUS_WT_DELETED) != 0) return "deleted";
  if ((status & GIT_STATUS_WT_RENAMED) != 0) return "renamed";
  if ((status & GIT_STATUS_WT_TYPECHANGE) != 0) return "typechange";
  if ((status & GIT_STATUS_WT_UNREADABLE) != 0) return "unreadable";
  return nullptr;
}

Result<Json> status_call(const GitRequest&, git_repository* repository, Peers&) {
  // libgit2 takes a commit whose tree is missing for none: all would be new.
  git_oid head;
  if (git_reference_name_to_id(&head, repository, "HEAD") == 0) {
    git_commit* commit = nullptr;
    git_tree* tree = nullptr;
    int code = git_commit_lookup(&commit, repository, &head);
    const Commit commit_owner(commit);
    if (code == 0) code = git_commit_tree(&tree, commit);
    const Tree tree_owner(tree);
    if (code != 0) return git_error(nullptr, "cannot read HEAD", code);
  }
  git_status_options options = GIT_STATUS_OPTIONS_INIT;
  options.show = GIT_STATUS_SHOW_INDEX_AND_WORKDIR;
  options.flags = GIT_STATUS_OPT_INCLUDE_UNTRACKED | GIT_STATUS_OPT_RECURSE_UNTRACKED_DIRS |
                  GIT_STATUS_OPT_DISABLE_PATHSPEC_MATCH;
  git_status_list* made = nullptr;
  if (const int code = git_status_list_new(&made, repository, &options); code != 0)
    return git_error(nullptr, "cannot compare the files", code);
  StatusList list(made);
  Json out = Json::array();
  size_t size = 0;
  for (size_t i = 0; i < git_status_list_entrycount(made); ++i) {
    const git_status_entry* entry = git_status_byindex(made, i);
    const git_diff_delta* delta =
        entry->index_to_workdir != nullptr ? entry->index_to_workdir : entry->head_to_index;
    if (delta == nullptr) continue;
    const char* path = delta->new_file.path != nullptr ? delta->new_file.path : delta->old_file.path;
    size += std::string_view(path).size() + 50;
    if (size > kMaxListing)
      return refuse("git.too_big", "the status has more than 8 MiB of paths", "add or ignore files");
    Json item = {{"path", bytes_or_text(path)}};
    if (const char* staged = word(entry->status, true)) item["staged"] = staged;
    if (const char* unstaged = word(entry->status, false)) item["unstaged"] = unstaged;
    out.push_back(std::move(item));
  }
  return out;
}

Result<Json> diff_call(const GitRequest& request, git_repository* repository, Peers&) {
  Tree trees[2];
  int at = 0;
  for (const std::string& ref : {request.from, request.to}) {
    auto commit = find_commit(repository, ref);
    if (!commit) return tl::unexpected(commit.error());
    git_tree* found = nullptr;
    if (const int code = git_commit_tree(&found, commit->get()); code != 0)
      return git_error(nullptr, "cannot read " + ref, code);
    trees[at++].reset(found);
  }
  git_diff* made = nullptr;
  if (const int code = git_diff_tree_to_tree(&made, repository, trees[0].get(), trees[1].get(), nullptr);
      code != 0)
    return git_error(nullptr, "cannot compare", code);
  Diff diff(made);
  git_diff_find_options find = GIT_DIFF_FIND_OPTIONS_INIT;
  find.flags = GIT_DIFF_FIND_RENAMES;
  if (const int code = git_diff_find_similar(made, &find); code != 0)
    return git_error(nullptr, "cannot compare", code);
  Json out = Json::array();
  size_t size = 0;
  for (size_t i = 0; i < git_diff_num_deltas(made); ++i) {
    const git_diff_delta* delta = git_diff_get_delta(made, i);
    const char* status = delta->status == GIT_DELTA_ADDED     ? "added"
                         : delta->status == GIT_DELTA_DELETED ? "deleted"
                         : delta->status == GIT_DELTA_RENAMED ? "renamed"
                                                              : "modified";
    Json item = {{"path", bytes_or_text(delta->new_file.path)}, {"status", status}};
    if (delta->status == GIT_DELTA_RENAMED) item["from"] = bytes_or_text(delta->old_file.path);
    size += std::string_view(delta->new_file.path).size() + 50;
    if (item.contains("from")) size += std::string_view(delta->old_file.path).size();
    if (size > kMaxListing)
      return refuse("git.too_big", "the difference has more than 8 MiB of paths", "compare nearer commits");
    out.push_back(std::move(item));
  }
  return out;
}

Result<Json> add_call(const GitRequest& request, git_repository* repository, Peers&) {
  git_index* found = nullptr;
  if (const int code = git_repository_index(&found, repository); code != 0)
    return git_error(nullptr, "cannot read the index", code);
  Index index(found);
  for (const std::string& path : request.items) {
    char* text = const_cast<char*>(path.c_str());
    git_strarray one{&text, 1};
    git_strarray* which = path == "." ? nullptr : &one;
    struct stat info {};
    const bool there = ::lstat((request.folder.path + "/" + path).c_str(), &info) == 0;
    size_t at = 0;
    if (!there && git_index_find_prefix(&at, found, path.c_str()) != 0) {
      return refuse("git.missing", "there is no file '" + shorten(path, 200) + "' to add",
                    "check its spelling");
    }
    int code = git_index_add_all(found, which, GIT_INDEX_ADD_DISABLE_PATHSPEC_MATCH, nullptr, nullptr);
    if (code == 0) code = git_index_update_all(found, which, nullptr, nullptr);
    if (code != 0) return git_error(nullptr, "cannot add " + shorten(path, 200), code);
  }
  if (const int code = git_index_write(found); code != 0)
    return git_error(nullptr, "cannot write the index", code);
  return Json();
}

Result<Json> commit_call(const GitRequest& request, git_repository* repository, Peers&) {
  auto who = signature(request);
  if (!who) return tl::unexpected(who.error());
  git_index* found = nullptr;
  int code = git_repository_index(&found, repository);
  Index index(found);
  git_oid tree_id;
  if (code == 0) code = git_index_write_tree(&tree_id, found);
  git_tree* tree_found = nullptr;
  if (code == 0) code = git_tree_lookup(&tree_found, repository, &tree_id);
  if (code != 0) {
    if (code == GIT_EUNMERGED)
      return refuse("git.dirty", "there are conflicts that are not resolved", "resolve and add them first");
    return git_error(nullptr, "cannot commit", code);
  }
  Tree tree(tree_found);
  Commit parent;
  git_oid head;
  if (git_reference_name_to_id(&head, repository, "HEAD") == 0) {
    git_commit* above = nullptr;
    if (code = git_commit_lookup(&above, repository, &head); code != 0)
      return git_error(nullptr, "cannot commit", code);
    parent.reset(above);
  }
  const bool same = parent ? git_oid_equal(git_commit_tree_id(parent.get()), &tree_id) != 0
                           : git_tree_entrycount(tree_found) == 0;
  if (same && !request.allow_empty) {
    return refuse("git.nothing", "there is nothing to commit",
                  "add changed files first, or pass `allow_empty = true`");
  }
  const git_commit* parents[] = {parent.get()};
  git_oid id;
  code = git_commit_create(&id, repository, "HEAD", who->get(), who->get(), nullptr, request.message.c_str(),
                           tree_found, parent ? 1 : 0, parents);
  if (code != 0) return git_error(nullptr, "cannot commit", code);
  return Json(hex(id));
}

Result<Json> branch_call(const GitRequest& request, git_repository* repository, Peers&) {
  auto commit = find_commit(repository, request.ref.empty() ? "HEAD" : request.ref);
  if (!commit) return tl::unexpected(commit.error());
  git_reference* made = nullptr;
  const int code =
      git_branch_create(&made, repository, request.name.c_str(), commit->get(), request.force ? 1 : 0);
  if (code != 0) return git_error(nullptr, "cannot make the branch " + shorten(request.name, 200), code);
  Reference owner(made);
  return Json(hex(*git_commit_id(commit->get())));
}

Result<Json> tag_call(const GitRequest& request, git_repository* repository, Peers&) {
  auto commit = find_commit(repository, request.ref.empty() ? "HEAD" : request.ref);
  if (!commit) return tl::unexpected(commit.error());
  const auto* object = reinterpret_cast<const git_object*>(commit->get());
  git_oid id;
  int code = 0;
  if (request.message.empty()) {
    code = git_tag_create_lightweight(&id, repository, request.name.c_str(), object, request.force ? 1 : 0);
  } else {
    auto who = signature(request);
    if (!who) return tl::unexpected(who.error());
    code = git_tag_create(&id, repository, request.name.c_str(), object, who->get(), request.message.c_str(),
                          request.force ? 1 : 0);
  }
  if (code != 0) return git_error(nullptr, "cannot make the tag " + shorten(request.name, 200), code);
  return Json(hex(id));
}

// A local branch, or one of origin's, which becomes a local one; else a commit without a branch.
Result<Json> checkout_call(const GitRequest& request, git_repository* repository, Peers& peers) {
  const std::string& ref = request.ref;
  auto commit = find_commit(repository, ref);
  if (!commit) return tl::unexpected(commit.error());
  if (auto done = check_out(repository, commit->get(), request.force, peers); !done)
    return tl::unexpected(done.error());
  const std::string full = "refs/heads/" + ref;
  git_oid id;
  bool branch = git_reference_name_to_id(&id, repository, full.c_str()) == 0;
  if (!branch && git_reference_name_to_id(&id, repository, ("refs/remotes/origin/" + ref).c_str()) == 0) {
    git_reference* made = nullptr;
    int code = git_branch_create(&made, repository, ref.c_str(), commit->get(), 0);
    Reference owner(made);
    if (code == 0) code = git_branch_set_upstream(made, ("origin/" + ref).c_str());
    if (code != 0) return git_error(nullptr, "cannot make the branch " + shorten(ref, 200), code);
    branch = true;
  }
  const int code = branch ? git_repository_set_head(repository, full.c_str())
                          : git_repository_set_head_detached(repository, git_commit_id(commit->get()));
  if (code != 0) return git_error(nullptr, "cannot set HEAD", code);
  if (request.with_submodules) {
    if (auto done = update_submodules(repository, peers); !done) return tl::unexpected(done.error());
  }
  return head_of(repository);
}

using Operation = Result<Json> (*)(const GitRequest&, git_repository*, Peers&);

struct Handled {
  Operation run = nullptr;
  bool writing = false;
};

Handled local_operation(GitOperation operation) {
  switch (operation) {
    case GitOperation::open: return {open_call, false};
    case GitOperation::log: return {log_call, false};
    case GitOperation::status: return {status_call, false};
    case GitOperation::diff_names: return {diff_call, false};
    case GitOperation::add: return {add_call, true};
    case GitOperation::commit: return {commit_call, true};
    case GitOperation::branch: return {branch_call, true};
    case GitOperation::tag: return {tag_call, true};
    case GitOperation::checkout: return {checkout_call, true};
    default: return {};
  }
}

Result<std::string> perform(const GitRequest& request, Peers& peers) {
  if (request.operation == GitOperation::clone) return git_clone(request, peers);
  if (request.operation == GitOperation::ls_remote) return git_ls_remote(request, peers);
  const Handled handled = local_operation(request.operation);
  const bool writing = handled.writing || request.operation == GitOperation::submodules;
  auto repository = open_repository(request.folder, writing);
  if (!repository) return tl::unexpected(repository.error());
  if (writing && git_repository_is_bare(repository->get()) == 1 &&
      request.operation != GitOperation::branch && request.operation != GitOperation::tag) {
    return no_repository(request.folder.path, "it is bare: it has no files");
  }
  if (handled.run != nullptr) {
    auto value = handled.run(request, repository->get(), peers);
    if (!value) return tl::unexpected(value.error());
    return to_cbor(*value);
  }
  switch (request.operation) {
    case GitOperation::fetch: return git_fetch(request, repository->get(), peers);
    case GitOperation::push: return git_push(request, repository->get(), peers);
    default: return update_submodules(repository->get(), peers);
  }
}

}  // namespace

Result<std::string> git(const GitRequest& request, Reporter& reporter) {
  const Library library;
  Peers peers(request.access, reporter);
  auto value = perform(request, peers);
  if (!value) return value;
  // {value, hosts}: which hosts were contacted is for the audit record.
  std::string out;
  cbor::Writer w(out);
  w.map(2);
  w.text("value");
  w.raw(*value);
  w.text("hosts");
  w.array(peers.contacted().size());
  for (const std::string& url : peers.contacted()) w.text_or_bytes(url);
  return out;
}

}  // namespace pf::services::io
