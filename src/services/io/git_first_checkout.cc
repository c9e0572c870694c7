// The first checkout, into a folder that holds nothing but .git: there is nothing to compare with and nothing
// to keep, so that each file costs one inflation and four system calls. libgit2's own checkout resolves the
// path of each file ten times over, to look for attributes.
//
// Only what is plain is done here: a tree whose names cannot mean anything else than themselves, without
// attributes, in a repository whose configuration changes no content. The whole tree is looked at before the
// first file is made; whatever else is in it, libgit2 judges and does all.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/text.h"
#include "services/file_calls.h"
#include "services/http_bodies.h"
#include "services/io/git_common.h"

namespace pf::services::io {
namespace {

constexpr size_t kMostLevels = 64;     // of folders, each with a descriptor
constexpr size_t kLongestPath = 4000;  // bytes
constexpr size_t kLongestLink = 4000;

bool equals_folded(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() &&
         std::equal(text.begin(), text.end(), lower.begin(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
         });
}

// Whether the name means the same on every file system and to every git. What is not plain can still be
// good: `~` could be a short name of .git, E2 80, E2 81 and EF BB begin characters that HFS ignores.
bool plain(std::string_view name, bool link) {
  if (name.empty() || name.size() > 255 || name == "." || name == "..") return false;
  if (name.back() == ' ' || name.back() == '.') return false;
  for (size_t i = 0; i < name.size(); ++i) {
    const auto c = static_cast<unsigned char>(name[i]);
    if (c < 0x20 || c == 0x7f || c == '/' || c == '\\' || c == ':' || c == '~') return false;
    const auto next = static_cast<unsigned char>(i + 1 < name.size() ? name[i + 1] : 0);
    if ((c == 0xe2 && (next == 0x80 || next == 0x81)) || (c == 0xef && next == 0xbb)) return false;
  }
  if (!equals_folded(name.substr(0, 4), ".git")) return true;
  // .gitignore and the like; attributes change what is written.
  return !link && name.size() > 4 && !equals_folded(name, ".gitattributes");
}

/// What is to be made, in the order of the index. A folder's own content follows it.
struct Item {
  git_filemode_t mode{};
  git_oid id{};
  std::string path;
  size_t name_at = 0;
  size_t level = 0;  // folders above it
};

/// The walk over the trees. False: not all of it is plain, or not there.
class Plan {
 public:
  bool add(git_repository* repository, const git_oid* id, const std::string& prefix, size_t level) {
    git_tree* found = nullptr;
    if (level > kMostLevels || git_tree_lookup(&found, repository, id) != 0) return false;
    const Tree owner(found);
    std::vector<std::string_view> names;
    for (size_t i = 0; i < git_tree_entrycount(found); ++i) {
      const git_tree_entry* entry = git_tree_entry_byindex(found, i);
      Item item;
      item.mode = git_tree_entry_filemode(entry);
      item.id = *git_tree_entry_id(entry);
      const std::string_view name = names.emplace_back(git_tree_entry_name(entry));
      if (!plain(name, item.mode == GIT_FILEMODE_LINK)) return false;
      item.path.reserve(prefix.size() + name.size() + 1);
      item.path.append(prefix).append(name);
      item.name_at = prefix.size();
      item.level = level;
      if (item.path.size() > kLongestPath) return false;
      const bool folder = item.mode == GIT_FILEMODE_TREE;
      if (!folder && item.mode != GIT_FILEMODE_BLOB && item.mode != GIT_FILEMODE_BLOB_EXECUTABLE &&
          item.mode != GIT_FILEMODE_LINK && item.mode != GIT_FILEMODE_COMMIT)
        return false;
      items.push_back(std::move(item));
      if (!folder) {
        ++files;
        continue;
      }
      const std::string inner = items.back().path + "/";
      const git_oid inner_id = items.back().id;
      if (!add(repository, &inner_id, inner, level + 1)) return false;
    }
    // A file and a folder of one name are not neighbours in a tree.
    std::sort(names.begin(), names.end());
    return std::adjacent_find(names.begin(), names.end()) == names.end();
  }

  std::vector<Item> items;
  size_t files = 0;
};

// What git_repository_init found out about the file system. Nobody else has written to the configuration yet.
bool plain_configuration(git_repository* repository) {
  git_config* found = nullptr;
  if (git_repository_config_snapshot(&found, repository) != 0) return false;
  const Config config(found);
  const auto is = [&](const char* name, bool otherwise) {
    int value = 0;
    return git_config_get_bool(&value, found, name) == 0 ? value != 0 : otherwise;
  };
  const char* text = nullptr;
  for (const char* name : {"core.autocrlf", "core.eol", "core.attributesfile", "core.worktree"}) {
    if (git_config_get_string(&text, found, name) == 0) return false;
  }
  return is("core.filemode", false) && is("core.symlinks", true) && !is("core.ignorecase", false);
}

bool holds_only_git(int folder) {
  std::vector<Entry> entries;
  return read_entries(folder, entries) == 0 && entries.size() == 1 && entries[0].name == ".git" &&
         entries[0].type == DT_DIR;
}

tl::unexpected<Error> not_made(const Item& item, int code) {
  const std::string name = shorten(item.path, 200);
  if (code == EEXIST || code == ENOTDIR || code == ELOOP) {
    return refuse("io.moved", "'" + name + "' was made by something else while the files were checked out",
                  "let nothing else change the folder meanwhile, and try again");
  }
  return tl::unexpected(file_error("cannot write " + name, code));
}

/// Makes the files and the index.
class Writer {
 public:
  Writer(git_repository* repository, Peers& peers, UniqueFd root) : repository_(repository), peers_(peers) {
    folders_.push_back(std::move(root));
  }

  Result<void> write(const Plan& plan) {
    git_odb* odb = nullptr;
    git_index* index = nullptr;
    int code = git_repository_odb(&odb, repository_);
    const Odb odb_owner(odb);
    if (code == 0) code = git_repository_index(&index, repository_);
    const Index index_owner(index);
    if (code != 0) return git_error(&peers_, "cannot check out the files", code);
    size_t done = 0;
    for (const Item& item : plan.items) {
      folders_.resize(item.level + 1);
      if (auto made = make(item, odb); !made) return made;
      if (item.mode == GIT_FILEMODE_TREE) continue;
      if (auto noted = note(item, index); !noted) return noted;
      peers_.reporter().progress(static_cast<double>(++done), static_cast<double>(plan.files),
                                 "checking out files");
    }
    if (code = git_index_write(index); code != 0) return git_error(&peers_, "cannot write the index", code);
    return {};
  }

 private:
  Result<void> make(const Item& item, git_odb* odb) {
    const int folder = folders_.back().get();
    const char* name = item.path.c_str() + item.name_at;
    if (item.mode == GIT_FILEMODE_TREE || item.mode == GIT_FILEMODE_COMMIT) {
      if (::mkdirat(folder, name, 0777) != 0) return not_made(item, errno);
      if (item.mode == GIT_FILEMODE_COMMIT) {
        if (::fstatat(folder, name, &info_, AT_SYMLINK_NOFOLLOW) != 0) return not_made(item, errno);
        return {};
      }
      UniqueFd inner(::openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!inner) return not_made(item, errno);
      folders_.push_back(std::move(inner));
      return {};
    }
    git_odb_object* found = nullptr;
    if (const int code = git_odb_read(&found, odb, &item.id); code != 0)
      return git_error(&peers_, "cannot check out the files", code);
    const std::unique_ptr<git_odb_object, Freed<git_odb_object_free>> object(found);
    const std::string_view content(static_cast<const char*>(git_odb_object_data(found)),
                                   git_odb_object_size(found));
    if (git_odb_object_type(found) != GIT_OBJECT_BLOB) {
      return refuse("git.damaged", "what '" + shorten(item.path, 200) + "' names is no file's content",
                    "the repository is damaged: clone it anew");
    }
    if (item.mode == GIT_FILEMODE_LINK) return make_link(item, content);
    const mode_t mode = item.mode == GIT_FILEMODE_BLOB_EXECUTABLE ? 0777 : 0666;
    const UniqueFd file(::openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!file) return not_made(item, errno);
    if (auto written = write_all(file.get(), content); !written) return written;
    if (::fstat(file.get(), &info_) != 0) return not_made(item, errno);
    return {};
  }

  Result<void> make_link(const Item& item, std::string_view target) {
    const int folder = folders_.back().get();
    const char* name = item.path.c_str() + item.name_at;
    if (target.empty() || target.size() > kLongestLink || target.find('\0') != target.npos) {
      return refuse("git.damaged", "the link '" + shorten(item.path, 200) + "' leads to no possible name",
                    "the repository is damaged: do not trust it");
    }
    if (::symlinkat(std::string(target).c_str(), folder, name) != 0 ||
        ::fstatat(folder, name, &info_, AT_SYMLINK_NOFOLLOW) != 0) {
      return not_made(item, errno);
    }
    return {};
  }

  // What git compares with the file later on.
  Result<void> note(const Item& item, git_index* index) {
    git_index_entry entry{};
    entry.ctime = {static_cast<int32_t>(info_.st_ctim.tv_sec), static_cast<uint32_t>(info_.st_ctim.tv_nsec)};
    entry.mtime = {static_cast<int32_t>(info_.st_mtim.tv_sec), static_cast<uint32_t>(info_.st_mtim.tv_nsec)};
    entry.ino = static_cast<uint32_t>(info_.st_ino);
    entry.uid = info_.st_uid;
    entry.gid = info_.st_gid;
    entry.file_size = static_cast<uint32_t>(info_.st_size);
    entry.mode = item.mode;
    entry.id = item.id;
    entry.path = item.path.c_str();
    if (const int code = git_index_add(index, &entry); code != 0)
      return git_error(&peers_, "cannot write the index", code);
    return {};
  }

  git_repository* repository_;
  Peers& peers_;
  std::vector<UniqueFd> folders_;  // from the root to where files are made
  struct stat info_ {};            // of what was made last
};

}  // namespace

Result<void> first_checkout(git_repository* repository, const git_commit* commit, Peers& peers) {
  UniqueFd root(::open(git_repository_workdir(repository), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!root) return tl::unexpected(system_error("cannot open the folder", errno));
  Plan plan;
  if (!plain_configuration(repository) || !holds_only_git(root.get()) ||
      !plan.add(repository, git_commit_tree_id(commit), "", 0)) {
    return check_out(repository, commit, true, peers);
  }
  // Each object was just read: the index need not look for it again.
  git_libgit2_opts(GIT_OPT_ENABLE_STRICT_OBJECT_CREATION, 0);
  auto written = Writer(repository, peers, std::move(root)).write(plan);
  git_libgit2_opts(GIT_OPT_ENABLE_STRICT_OBJECT_CREATION, 1);
  return written;
}

}  // namespace pf::services::io
