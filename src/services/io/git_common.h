// Inside the io helper: libgit2's objects with owners, its errors as ours, and the peers that an operation
// may speak to. One owner, one thread.
//
// libgit2 runs no hooks, no filters that are programs, no fsmonitor. Its own http and ssh are not used: every
// connection goes through git_http.cc (libcurl) or git_ssh.cc (libssh), which look at the address that they
// really connect to; a name that resolves to something else on the second look gains nothing.
#pragma once

#include <git2.h>
#include <git2/sys/transport.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "services/git_url.h"
#include "services/io/helper.h"

namespace pf::services::io {

template <auto F>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    F(object);
  }
};
using Repository = std::unique_ptr<git_repository, Freed<git_repository_free>>;
using Remote = std::unique_ptr<git_remote, Freed<git_remote_free>>;
using Reference = std::unique_ptr<git_reference, Freed<git_reference_free>>;
using Object = std::unique_ptr<git_object, Freed<git_object_free>>;
using Commit = std::unique_ptr<git_commit, Freed<git_commit_free>>;
using Tree = std::unique_ptr<git_tree, Freed<git_tree_free>>;
using TreeEntry = std::unique_ptr<git_tree_entry, Freed<git_tree_entry_free>>;
using Index = std::unique_ptr<git_index, Freed<git_index_free>>;
using Odb = std::unique_ptr<git_odb, Freed<git_odb_free>>;
using Config = std::unique_ptr<git_config, Freed<git_config_free>>;
using Revwalk = std::unique_ptr<git_revwalk, Freed<git_revwalk_free>>;
using Diff = std::unique_ptr<git_diff, Freed<git_diff_free>>;
using StatusList = std::unique_ptr<git_status_list, Freed<git_status_list_free>>;
using Signature = std::unique_ptr<git_signature, Freed<git_signature_free>>;
using Submodule = std::unique_ptr<git_submodule, Freed<git_submodule_free>>;

/// Who may be contacted, who was, and what went wrong there: libgit2 passes on only that something did.
class Peers {
 public:
  Peers(const GitAccess& access, Reporter& reporter) : access_(access), reporter_(reporter) {}

  /// Looks whether the host is granted; notes it. Errors: `git.host`, `git.credentials`.
  Result<const GitHost*> contact(const GitUrl& url);
  const GitAccess& access() const { return access_; }
  Reporter& reporter() { return reporter_; }
  /// Callbacks whose transports are ours.
  git_remote_callbacks callbacks();
  /// -1 for libgit2; the first failure counts.
  int failed(Error error);
  const std::optional<Error>& failure() const { return failure_; }
  void forget_failure() { failure_.reset(); }
  /// URLs of hosts that were contacted.
  const std::set<std::string>& contacted() const { return contacted_; }
  /// A repository on this machine that may be used, too; `submodule`: none may.
  bool local(const std::string& path) const;
  bool in_submodule = false;
  /// Name, old and new commit of references that a fetch or push moved.
  std::vector<std::tuple<std::string, std::string, std::string>> updates;

 private:
  const GitAccess& access_;
  Reporter& reporter_;
  std::optional<Error> failure_;
  std::set<std::string> contacted_;
};

/// The failure of a peer, or else libgit2's last error with a code of ours: `git.damaged`, `git.dirty`,
/// `git.locked`, `git.exists`, `git.ref`, `git.rejected`, `git.failed`, `os.*`.
tl::unexpected<Error> git_error(const Peers* peers, std::string_view what, int code);

int http_subtransport(git_smart_subtransport** out, git_transport* owner, void* peers);
int ssh_subtransport(git_smart_subtransport** out, git_transport* owner, void* peers);
/// The service's name: `git-upload-pack` or `git-receive-pack`.
std::string_view service_name(git_smart_service_t action);

/// A remote with that URL, whatever the repository's configuration says about URLs.
Result<Remote> make_remote(git_repository* repository, const std::string& url);

/// 40 hexadecimal digits.
std::string hex(const git_oid& id);
/// The commit that a branch, remote branch, tag, or other revision names. Error `git.ref`.
Result<Commit> find_commit(git_repository* repository, const std::string& ref);

Result<std::string> git_clone(const GitRequest& request, Peers& peers);
Result<std::string> git_fetch(const GitRequest& request, git_repository* repository, Peers& peers);
Result<std::string> git_push(const GitRequest& request, git_repository* repository, Peers& peers);
Result<std::string> git_ls_remote(const GitRequest& request, Peers& peers);
/// Brings all submodules to the commits that the repository names, theirs too.
Result<std::string> update_submodules(git_repository* repository, Peers& peers);
Result<void> check_out(git_repository* repository, const git_commit* commit, bool force, Peers& peers);
/// The first checkout, into a folder that holds nothing but .git.
Result<void> first_checkout(git_repository* repository, const git_commit* commit, Peers& peers);

}  // namespace pf::services::io
