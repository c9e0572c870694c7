#include "services/io/git_common.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/text.h"

namespace pf::services::io {
namespace {

int report(const git_indexer_progress* stats, void* payload) {
  Reporter& reporter = static_cast<Peers*>(payload)->reporter();
  if (reporter.due()) {
    const bool deltas = stats->received_objects == stats->total_objects && stats->total_deltas > 0;
    reporter.progress(deltas ? stats->indexed_deltas : stats->received_objects,
                      deltas ? stats->total_deltas : stats->total_objects,
                      deltas ? "resolving deltas" : "receiving objects");
  }
  return 0;
}

int choose_transport(git_transport** out, git_remote* owner, void* payload) {
  auto& peers = *static_cast<Peers*>(payload);
  try {
    auto url = parse_git_url(git_remote_url(owner));
    if (!url) return peers.failed(std::move(url.error()));
    if (!url->network()) {
      if (peers.local(url->path)) return git_transport_local(out, owner, nullptr);
      if (peers.in_submodule) {
        return peers.failed(
            refuse("git.submodule",
                   "a submodule lies at the path " + shorten(url->path, 200) + " of this machine",
                   "submodules are fetched from hosts only")
                .value());
      }
      // The core may grant the path and ask again.
      return peers.failed(refuse("git.path", url->path).value());
    }
    if (auto granted = peers.contact(*url); !granted) return peers.failed(std::move(granted.error()));
    git_smart_subtransport_definition definition{};
    definition.param = payload;
    definition.rpc = url->scheme == GitUrl::Scheme::ssh ? 0 : 1;
    definition.callback = url->scheme == GitUrl::Scheme::ssh ? ssh_subtransport : http_subtransport;
    return git_transport_smart(out, owner, &definition);
  } catch (const std::exception& e) {
    return peers.failed(fail("os.enomem", e.what()).value());
  }
}

}  // namespace

Result<const GitHost*> Peers::contact(const GitUrl& url) {
  const GitHost* host = allowed_host(access_.hosts, url);
  if (host == nullptr) {
    return refuse("git.host", url.text(), url.place());
  }
  const bool secret = !access_.password.empty() || !access_.token.empty() || !url.password.empty();
  const bool loopback = url.host == "localhost" || url.host == "::1" || url.host.starts_with("127.");
  if (secret && url.scheme == GitUrl::Scheme::http && !loopback) {
    return refuse("git.credentials", "credentials are not sent to " + url.text() + ", which is not encrypted",
                  "use https");
  }
  contacted_.insert(url.text());
  return host;
}

bool Peers::local(const std::string& path) const {
  return !in_submodule && std::any_of(access_.repositories.begin(), access_.repositories.end(),
                                      [&](const Place& place) { return place.path == path; });
}

int Peers::failed(Error error) {
  git_error_set_str(GIT_ERROR_CALLBACK, error.message.c_str());
  if (!failure_) failure_ = std::move(error);
  return GIT_EUSER;
}

git_remote_callbacks Peers::callbacks() {
  git_remote_callbacks out = GIT_REMOTE_CALLBACKS_INIT;
  out.transport = choose_transport;
  out.transfer_progress = report;
  out.payload = this;
  return out;
}

tl::unexpected<Error> git_error(const Peers* peers, std::string_view what, int code) {
  if (peers != nullptr && peers->failure()) return tl::unexpected(*peers->failure());
  const ::git_error* last = git_error_last();
  const std::string why =
      last == nullptr || last->message == nullptr ? "it failed" : shorten(last->message, 500);
  const std::string message = std::string(what) + ": " + why;
  const int klass = last == nullptr ? GIT_ERROR_NONE : last->klass;
  if (why.find("invalid path") != std::string::npos) {
    return refuse("git.damaged", message, "it holds a name that no repository may have: do not trust it");
  }
  const auto locked = [&] {
    return fail("git.locked", message,
                "another program works in the repository; if none does, remove the .lock file");
  };
  // Where it gives the code of something else.
  if (why.find("failed to lock file") != std::string::npos) return locked();
  switch (code) {
    case GIT_ECONFLICT:
    case GIT_EUNCOMMITTED:
      return refuse("git.dirty", message, "commit or remove the changes, or pass `force = true`");
    case GIT_ELOCKED: return locked();
    case GIT_ENONFASTFORWARD:
      return refuse("git.rejected", message, "fetch and merge first, or pass `force = true`");
    case GIT_EEXISTS: return refuse("git.exists", message, "choose another name, or pass `force = true`");
    case GIT_EAMBIGUOUS:
    case GIT_EINVALIDSPEC: return refuse("git.ref", message, "give a full name, such as refs/tags/v1");
    default: break;
  }
  switch (klass) {
    case GIT_ERROR_OS: return fail("git.failed", message, "look at free space and at rights");
    case GIT_ERROR_NOMEMORY: return fail("os.enomem", message, "free memory on this machine");
    case GIT_ERROR_ZLIB:
    case GIT_ERROR_ODB:
    case GIT_ERROR_INDEXER:
    case GIT_ERROR_OBJECT:
    case GIT_ERROR_TREE:
    case GIT_ERROR_INDEX:
    case GIT_ERROR_SHA:
      return refuse("git.damaged", message,
                    "the repository is damaged, or holds names that it may not: clone it anew");
    default: return refuse("git.failed", message);
  }
}

std::string_view service_name(git_smart_service_t action) {
  return action == GIT_SERVICE_UPLOADPACK_LS || action == GIT_SERVICE_UPLOADPACK ? "git-upload-pack"
                                                                                 : "git-receive-pack";
}

Result<Remote> make_remote(git_repository* repository, const std::string& url) {
  git_remote_create_options options = GIT_REMOTE_CREATE_OPTIONS_INIT;
  options.repository = repository;
  options.flags = GIT_REMOTE_CREATE_SKIP_INSTEADOF | GIT_REMOTE_CREATE_SKIP_DEFAULT_FETCHSPEC;
  git_remote* out = nullptr;
  if (const int code = git_remote_create_with_opts(&out, url.c_str(), &options); code != 0)
    return git_error(nullptr, "cannot use " + url, code);
  return Remote(out);
}

std::string hex(const git_oid& id) {
  char text[GIT_OID_HEXSZ + 1];
  return git_oid_tostr(text, sizeof text, &id);
}

Result<Commit> find_commit(git_repository* repository, const std::string& ref) {
  git_object* found = nullptr;
  int code = GIT_ENOTFOUND;
  for (const char* prefix : {"", "refs/heads/", "refs/remotes/origin/", "refs/tags/"}) {
    // HEAD is none of the others, though origin has one, too.
    if ((*prefix == '\0') != (ref == "HEAD")) continue;
    git_oid id;
    code = git_reference_name_to_id(&id, repository, (prefix + ref).c_str());
    if (code == 0) {
      code = git_object_lookup(&found, repository, &id, GIT_OBJECT_ANY);
      if (code == GIT_ENOTFOUND) {  // the name is there and its object is not
        return refuse("git.damaged", "the object of " + shorten(ref, 200) + " is missing");
      }
      if (code != 0) return git_error(nullptr, "cannot read " + shorten(ref, 200), code);
      break;
    }
  }
  if (code != 0) code = git_revparse_single(&found, repository, ref.c_str());
  if (code != 0) {
    return refuse("git.ref", "there is no branch, tag or commit '" + shorten(ref, 200) + "'",
                  "look at what ls_remote or log say");
  }
  Object object(found);
  git_object* peeled = nullptr;
  if (code = git_object_peel(&peeled, object.get(), GIT_OBJECT_COMMIT); code != 0) {
    if (code == GIT_EPEEL || code == GIT_EINVALIDSPEC || code == GIT_EAMBIGUOUS)
      return refuse("git.ref", "'" + shorten(ref, 200) + "' names no commit", "name a branch, tag or commit");
    return git_error(nullptr, "cannot read " + ref, code);
  }
  return Commit(reinterpret_cast<git_commit*>(peeled));
}

}  // namespace pf::services::io
