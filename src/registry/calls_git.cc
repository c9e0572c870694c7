#include "registry/namespaces.h"

namespace pf::registry {
namespace {

using P = Permission;
using T = Type;

constexpr std::string_view kCredentials =
    "{token}, {user, password}, {user, ssh_key, passphrase}: the texts themselves, from a secret";
constexpr std::string_view kKnown =
    "keys of ssh hosts, as in OpenSSH's file; default the operator's ~/.ssh/known_hosts";
constexpr std::string_view kAccept = "trusts a host whose key is not known; default false";
constexpr std::string_view kTimeout = "seconds, after which it is ended; default 600";

constexpr Field kCloneOptions[] = {
    {"ref", T::string, true, "branch, tag or commit; default the other side's own branch"},
    {"submodules", T::boolean, true, "also submodules, from granted hosts; default false"},
    {"credentials", T::table, true, kCredentials},
    {"known_hosts", T::string, true, kKnown},
    {"accept_new", T::boolean, true, kAccept},
    {"depth", T::integer, true, "not supported: refused"},
    {"timeout", T::number, true, kTimeout},
};
constexpr Field kFetchOptions[] = {
    {"remote", T::string, true, "its name; default origin"},
    {"refspecs", T::list, true, "default those of the remote"},
    {"prune", T::boolean, true, "removes remote branches that are gone; default false"},
    {"credentials", T::table, true, kCredentials},
    {"known_hosts", T::string, true, kKnown},
    {"accept_new", T::boolean, true, kAccept},
    {"timeout", T::number, true, kTimeout},
};
constexpr Field kPushOptions[] = {
    {"remote", T::string, true, "its name; default origin"},
    {"force", T::boolean, true, "also where commits of the other side are lost; default false"},
    {"credentials", T::table, true, kCredentials},
    {"known_hosts", T::string, true, kKnown},
    {"accept_new", T::boolean, true, kAccept},
    {"timeout", T::number, true, kTimeout},
};
constexpr Field kAccessOptions[] = {
    {"credentials", T::table, true, kCredentials},
    {"known_hosts", T::string, true, kKnown},
    {"accept_new", T::boolean, true, kAccept},
    {"timeout", T::number, true, kTimeout},
};
constexpr Field kCheckoutOptions[] = {
    {"force", T::boolean, true, "overwrites changed files; default false"},
    {"submodules", T::boolean, true, "updates submodules, too; default false"},
    {"credentials", T::table, true, kCredentials},
    {"known_hosts", T::string, true, kKnown},
    {"accept_new", T::boolean, true, kAccept},
    {"timeout", T::number, true, kTimeout},
};
constexpr Field kLogOptions[] = {
    {"max", T::integer, true, "how many commits; default 100"},
    {"path", T::string, true, "only commits that change it"},
    {"ref", T::string, true, "where to begin; default HEAD"},
    {"timeout", T::number, true, kTimeout},
};
constexpr Field kTimeoutOptions[] = {{"timeout", T::number, true, kTimeout}};
constexpr Field kCommitOptions[] = {
    {"author", T::table, false, "{name, email}; also the committer"},
    {"time", T::number, true, "seconds since 1970; default now"},
    {"allow_empty", T::boolean, true, "also where nothing has changed; default false"},
    {"timeout", T::number, true, kTimeout},
};
constexpr Field kBranchOptions[] = {
    {"ref", T::string, true, "what it begins at; default HEAD"},
    {"force", T::boolean, true, "moves one that is there; default false"},
    {"timeout", T::number, true, kTimeout},
};
constexpr Field kTagOptions[] = {
    {"ref", T::string, true, "what it names; default HEAD"},
    {"message", T::string, true, "makes an annotated tag; needs `author`"},
    {"author", T::table, true, "{name, email}, of an annotated tag"},
    {"time", T::number, true, "seconds since 1970, of an annotated tag; default now"},
    {"force", T::boolean, true, "moves one that is there; default false"},
    {"timeout", T::number, true, kTimeout},
};

constexpr Argument kPath = {"path", T::string, false, "of the repository"};
constexpr Argument kUrl = {"url", T::string, false,
                           "https://, http://, ssh://, user@host:path, file:// or a path"};
constexpr Argument kClone[] = {kUrl,
                               {"path", T::string, false, "a new folder; it appears as a whole"},
                               {"options", T::table, true, "what to clone, and as whom", kCloneOptions}};
constexpr Argument kLsRemote[] = {kUrl, {"options", T::table, true, "as whom", kAccessOptions}};
constexpr Argument kOpen[] = {kPath, {"options", T::table, true, "limits", kTimeoutOptions}};
constexpr Argument kFetch[] = {kPath, {"options", T::table, true, "what, and as whom", kFetchOptions}};
constexpr Argument kPush[] = {
    kPath,
    {"refspecs", T::any, false,
     "a branch, tag or refspec such as refs/heads/a:refs/heads/b, or a list of these"},
    {"options", T::table, true, "where to, and as whom", kPushOptions}};
constexpr Argument kCheckout[] = {kPath,
                                  {"ref", T::string, false, "branch, tag or commit"},
                                  {"options", T::table, true, "how", kCheckoutOptions}};
constexpr Argument kSubmodules[] = {kPath, {"options", T::table, true, "as whom", kAccessOptions}};
constexpr Argument kLog[] = {kPath, {"options", T::table, true, "which commits", kLogOptions}};
constexpr Argument kDiff[] = {kPath,
                              {"from", T::string, false, "branch, tag or commit"},
                              {"to", T::string, false, "branch, tag or commit"},
                              {"options", T::table, true, "limits", kTimeoutOptions}};
constexpr Argument kAdd[] = {
    kPath,
    {"paths", T::any, false, "a path below the repository, `.` for all, or a list of these"},
    {"options", T::table, true, "limits", kTimeoutOptions}};
constexpr Argument kCommit[] = {kPath,
                                {"message", T::string, false, "what was done and why"},
                                {"options", T::table, false, "who", kCommitOptions}};
constexpr Argument kBranch[] = {kPath,
                                {"name", T::string, false, "without refs/heads/"},
                                {"options", T::table, true, "where", kBranchOptions}};
constexpr Argument kTag[] = {kPath,
                             {"name", T::string, false, "without refs/tags/"},
                             {"options", T::table, true, "what it names", kTagOptions}};

constexpr Field kCloned[] = {{"path", T::string, false, "as it was given"},
                             {"head", T::table, false, "{commit, branch}; no branch for a tag or commit"},
                             {"url", T::string, false, "without credentials"}};
constexpr Field kHead[] = {{"commit", T::string, true, "40 hexadecimal digits; none where there is none"},
                           {"branch", T::string, true, "none for a tag or commit"}};
constexpr Field kOpened[] = {{"path", T::string, false, "as it was given"},
                             {"head", T::table, false, "{commit, branch}; no branch for a tag or commit"},
                             {"bare", T::boolean, false, "it has no files"}};

constexpr std::string_view kCloneErrors[] = {
    "git.auth",     "git.connect",    "git.credentials",  "git.damaged",          "git.depth",
    "git.exists",   "git.failed",     "git.host_key",     "git.host_key_changed", "git.not_found",
    "git.protocol", "git.redirect",   "git.ref",          "git.resolve",          "git.submodule",
    "git.timeout",  "git.tls",        "git.url",          "io.crashed",           "io.moved",
    "io.protocol",  "io.unavailable", "file.unsupported", "permission.read",      "permission.write",
    "os.*"};
constexpr std::string_view kLsRemoteErrors[] = {
    "git.auth",     "git.connect",          "git.credentials", "git.damaged",      "git.failed",
    "git.host_key", "git.host_key_changed", "git.not_found",   "git.protocol",     "git.redirect",
    "git.resolve",  "git.timeout",          "git.tls",         "git.too_big",      "git.url",
    "io.crashed",   "io.protocol",          "io.unavailable",  "file.unsupported", "permission.read",
    "os.*"};
constexpr std::string_view kFetchErrors[] = {
    "git.auth",     "git.connect",          "git.credentials",  "git.damaged",    "git.failed",
    "git.host_key", "git.host_key_changed", "git.locked",       "git.not_found",  "git.protocol",
    "git.redirect", "git.remote",           "git.repository",   "git.resolve",    "git.timeout",
    "git.tls",      "git.too_big",          "git.url",          "io.crashed",     "io.moved",
    "io.protocol",  "io.unavailable",       "file.unsupported", "permission.git", "permission.read",
    "os.*"};
constexpr std::string_view kPushErrors[] = {"git.auth",
                                            "git.connect",
                                            "git.credentials",
                                            "git.damaged",
                                            "git.failed",
                                            "git.host_key",
                                            "git.host_key_changed",
                                            "git.not_found",
                                            "git.protocol",
                                            "git.redirect",
                                            "git.ref",
                                            "git.rejected",
                                            "git.remote",
                                            "git.repository",
                                            "git.resolve",
                                            "git.timeout",
                                            "git.tls",
                                            "git.url",
                                            "io.crashed",
                                            "io.moved",
                                            "io.protocol",
                                            "io.unavailable",
                                            "file.unsupported",
                                            "permission.git",
                                            "os.*"};
constexpr std::string_view kCheckoutErrors[] = {"git.auth",        "git.connect",
                                                "git.credentials", "git.damaged",
                                                "git.dirty",       "git.failed",
                                                "git.host_key",    "git.host_key_changed",
                                                "git.locked",      "git.not_found",
                                                "git.protocol",    "git.redirect",
                                                "git.ref",         "git.repository",
                                                "git.resolve",     "git.submodule",
                                                "git.timeout",     "git.tls",
                                                "git.url",         "io.crashed",
                                                "io.moved",        "io.protocol",
                                                "io.unavailable",  "file.unsupported",
                                                "permission.git",  "os.*"};
constexpr std::string_view kSubmodulesErrors[] = {"git.auth",
                                                  "git.connect",
                                                  "git.credentials",
                                                  "git.damaged",
                                                  "git.dirty",
                                                  "git.failed",
                                                  "git.host_key",
                                                  "git.host_key_changed",
                                                  "git.locked",
                                                  "git.not_found",
                                                  "git.protocol",
                                                  "git.redirect",
                                                  "git.repository",
                                                  "git.resolve",
                                                  "git.submodule",
                                                  "git.timeout",
                                                  "git.tls",
                                                  "git.url",
                                                  "io.crashed",
                                                  "io.moved",
                                                  "io.protocol",
                                                  "io.unavailable",
                                                  "file.unsupported",
                                                  "permission.git",
                                                  "os.*"};
constexpr std::string_view kOpenErrors[] = {"git.repository",   "git.timeout", "io.crashed",
                                            "io.moved",         "io.protocol", "io.unavailable",
                                            "file.unsupported", "os.*"};
constexpr std::string_view kLogErrors[] = {
    "git.damaged", "git.ref",     "git.repository", "git.timeout",      "git.too_big", "io.crashed",
    "io.moved",    "io.protocol", "io.unavailable", "file.unsupported", "os.*"};
constexpr std::string_view kStatusErrors[] = {
    "git.damaged", "git.repository", "git.timeout",    "git.too_big",      "io.crashed",
    "io.moved",    "io.protocol",    "io.unavailable", "file.unsupported", "os.*"};
constexpr std::string_view kAddErrors[] = {
    "git.damaged", "git.failed", "git.locked",  "git.missing",    "git.repository",   "git.timeout",
    "io.crashed",  "io.moved",   "io.protocol", "io.unavailable", "file.unsupported", "os.*"};
constexpr std::string_view kCommitErrors[] = {
    "git.damaged",    "git.dirty",        "git.failed", "git.locked", "git.nothing",
    "git.repository", "git.timeout",      "io.crashed", "io.moved",   "io.protocol",
    "io.unavailable", "file.unsupported", "os.*"};
constexpr std::string_view kBranchErrors[] = {
    "git.damaged",    "git.exists",       "git.failed", "git.locked", "git.ref",
    "git.repository", "git.timeout",      "io.crashed", "io.moved",   "io.protocol",
    "io.unavailable", "file.unsupported", "os.*"};

constexpr Call kCalls[] = {
    {"git.clone",
     Place::core,
     P::git,
     true,
     kClone,
     {T::table, "the repository, with the calls of git as methods: repo:log{max = 1}", kCloned},
     kCloneErrors,
     "Clones a repository. A network address needs an entry in `git`, a path one in `read`; the folder one "
     "in "
     "`write`. Hooks and programs that a repository names never run. An address that resolves to this "
     "machine or "
     "a private network needs an entry that names the host itself; the address that was checked is the one "
     "that "
     "is connected to. What was fetched is kept in a mirror, which later runs only bring up to date."},
    {"git.open",
     Place::core,
     P::read,
     true,
     kOpen,
     {T::table, "the repository, with the calls of git as methods", kOpened},
     kOpenErrors,
     "A repository that is there, all of it in its own folder."},
    {"git.ls_remote",
     Place::core,
     P::git,
     true,
     kLsRemote,
     {T::list, "{name, commit, target of a symbolic one}"},
     kLsRemoteErrors,
     "The branches and tags of another repository."},
    {"git.fetch",
     Place::core,
     P::write,
     true,
     kFetch,
     {T::list, "{ref, old, new} of what has changed"},
     kFetchErrors,
     "Fetches from a remote, whose host needs an entry in `git`."},
    {"git.push",
     Place::core,
     P::write,
     true,
     kPush,
     {T::list, "names of what was pushed"},
     kPushErrors,
     "Pushes to a remote, whose host needs an entry in `git`."},
    {"git.checkout",
     Place::core,
     P::write,
     true,
     kCheckout,
     {T::table, "what is checked out now", kHead},
     kCheckoutErrors,
     "Checks out a branch, tag or commit. Changed files that it would overwrite are kept, and it is "
     "refused."},
    {"git.submodules",
     Place::core,
     P::write,
     true,
     kSubmodules,
     {T::list, "{path, commit}"},
     kSubmodulesErrors,
     "Brings all submodules, and theirs, to the commits that the repository names; their hosts need entries "
     "in "
     "`git`."},
    {"git.log",
     Place::core,
     P::read,
     true,
     kLog,
     {T::list, "{commit, author {name, email}, time, message, parents}, newest first"},
     kLogErrors,
     "The history of a branch, tag or commit."},
    {"git.status",
     Place::core,
     P::read,
     true,
     kOpen,
     {T::list, "{path, staged, unstaged}: added, modified, deleted, typechange, untracked, conflicted"},
     kStatusErrors,
     "What differs from the last commit."},
    {"git.diff_names",
     Place::core,
     P::read,
     true,
     kDiff,
     {T::list, "{path, status, from of a renamed one}: added, modified, deleted, renamed"},
     kLogErrors,
     "The files in which two commits differ."},
    {"git.add",
     Place::core,
     P::write,
     true,
     kAdd,
     {},
     kAddErrors,
     "Puts changed, new and deleted files into the next commit."},
    {"git.commit",
     Place::core,
     P::write,
     true,
     kCommit,
     {T::string, "the commit"},
     kCommitErrors,
     "Makes a commit."},
    {"git.branch",
     Place::core,
     P::write,
     true,
     kBranch,
     {T::string, "its commit"},
     kBranchErrors,
     "Makes a branch."},
    {"git.tag",
     Place::core,
     P::write,
     true,
     kTag,
     {T::string, "the tag, or its commit"},
     kBranchErrors,
     "Makes a tag."},
};

}  // namespace

std::span<const Call> git_calls() { return kCalls; }

}  // namespace pf::registry
