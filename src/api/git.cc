// forge.git.*: addresses and paths are checked here, the io helper does the work. Which host a remote or
// submodule means only the helper finds out; it contacts none that is not granted, and its refusal becomes a
// recorded one here.
#include <algorithm>
#include <cstdlib>

#include "api/io_call.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/text.h"
#include "services/git_url.h"

namespace pf::api {
namespace {

using registry::Permission;
using services::GitUrl;
using services::io::GitHost;
using services::io::GitOperation;
using services::io::GitRequest;
using services::io::Place;

constexpr double kTimeout = 600;                 // seconds
constexpr uint64_t kMaxKnownHosts = 4ULL << 20;  // bytes
constexpr uint64_t kMostCommits = 100'000;

/// One call, which may be asked for a second time with a path that it turned out to need.
struct Job {
  std::shared_ptr<Attempt> attempt;
  const registry::Call* call = nullptr;
  Session::Answer answer;
  uint32_t number = 0;  // the caller's
  GitRequest request;
  Milliseconds timeout{0};
  std::optional<GrantedPath> folder;  // the repository, or what becomes one
  std::optional<GrantedPath> other;   // a repository on this machine
  std::string other_text;             // as the remote's address names it; empty: as it was found
  std::string shown;                  // the folder as the caller gave it
};
using Held = std::shared_ptr<Job>;

std::vector<GitHost> hosts_of(const Caller& caller) {
  std::vector<GitHost> out;
  for (const Grants::Entry& entry : caller.grants.git) {
    auto pattern = services::parse_host_pattern(entry.value);
    if (!pattern) continue;  // reported by whoever read the manifest
    out.push_back({pattern->host, pattern->wildcard, pattern->port, entry.literal && !pattern->wildcard});
  }
  return out;
}

bool network(GitOperation operation) {
  return operation <= GitOperation::ls_remote || operation == GitOperation::checkout ||
         operation == GitOperation::submodules;
}

bool writes(GitOperation operation) {
  switch (operation) {
    case GitOperation::open:
    case GitOperation::log:
    case GitOperation::status:
    case GitOperation::diff_names: return false;
    default: return true;
  }
}

// Public keys of hosts: what the operator has met before.
std::string known_hosts() {
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home != '/') return {};
  auto text = read_file(std::filesystem::path(home) / ".ssh/known_hosts", kMaxKnownHosts);
  return text ? std::move(*text) : std::string();
}

// On the pool.
Result<services::io::Request> prepare(const Job& job, IoFolders& folders) {
  GitRequest request = job.request;
  size_t at = 0;
  if (job.folder) {
    const bool clone = request.operation == GitOperation::clone;
    auto folder = clone                       ? folders.fresh(at, "git")
                  : writes(request.operation) ? folders.write(at)
                                              : folders.read(at);
    if (!folder) return tl::unexpected(folder.error());
    request.folder = std::move(*folder);
    ++at;
  }
  if (job.other) {
    auto other = request.operation == GitOperation::push ? folders.write(at) : folders.read(at);
    if (!other) return tl::unexpected(other.error());
    if (!job.other_text.empty())
      other->path = job.other_text;
    else
      request.url = other->path;
    request.access.repositories.push_back(std::move(*other));
  } else if (request.operation == GitOperation::clone && !job.attempt->hall.cache.empty()) {
    auto url = services::parse_git_url(request.url);
    if (!url) return tl::unexpected(url.error());
    auto mirror = folders.own(job.attempt->hall.cache / "git" / (sha256_hex(url->text()) + ".git"));
    if (!mirror) return tl::unexpected(mirror.error());
    request.mirror = std::move(*mirror);
  }
  if (request.access.known_hosts.empty() && network(request.operation))
    request.access.known_hosts = known_hosts();
  return request;
}

void launch(Held job);

// The helper met something that needs a permission: refused here, or granted and asked again.
bool settle_refusal(const Held& job, const Error& error) {
  Attempt& attempt = *job->attempt;
  const registry::Call& call = *job->call;
  if (error.code == "git.host") {
    job->answer(tl::unexpected(attempt.refuse(call, Permission::git,
                                              error.message + ", which no entry of `git` covers",
                                              error.message, error.hint)));
    return true;
  }
  if (error.code == "git.address") {
    Error refused =
        attempt.refuse(call, Permission::git, error.message + ", which has only private addresses",
                       error.message, error.hint);
    refused.hint =
        "private and loopback addresses need an entry that names this host itself, written in the manifest "
        "or by "
        "the operator; " +
        refused.hint;
    job->answer(tl::unexpected(std::move(refused)));
    return true;
  }
  if (error.code == "git.path" && !job->other) {
    if (error.message.empty() || error.message.front() != '/') {
      job->answer(refuse("git.url", "the remote's address '" + error.message + "' is no absolute path",
                         "give the remote an absolute path or a URL"));
      return true;
    }
    const bool push = job->request.operation == GitOperation::push;
    auto checked = check_path(attempt, call, error.message, push ? Permission::write : Permission::read);
    if (!checked) {
      job->answer(tl::unexpected(std::move(checked.error())));
      return true;
    }
    job->other = std::move(*checked);
    job->other_text = error.message;
    launch(job);
    return true;
  }
  return false;
}

bool is_commit(const std::string& ref) {
  return (ref.size() == 40 || ref.size() == 64) &&
         ref.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// What a call read of a repository that is not the attempt's own. Only a commit has a version.
void note(const Job& job, const Json& value) {
  Attempt& attempt = *job.attempt;
  const GitRequest& asked = job.request;
  const auto foreign = [&](const std::optional<GrantedPath>& path) {
    return path && !path->place.work && !attempt.reads.own(path->place.text);
  };
  const auto add = [&](std::string name, const std::string& ref, const std::string& seen) {
    std::optional<std::string> version;
    if (is_commit(ref)) version = ref;
    attempt.reads.add("git", ref.empty() ? std::move(name) : name + "#" + ref, version, seen);
  };
  const std::string commit = value.is_object() && value.contains("commit") && value["commit"].is_string()
                                 ? value["commit"].get<std::string>()
                                 : std::string();
  switch (asked.operation) {
    case GitOperation::clone:
      if (!job.other)
        add(asked.url, asked.ref, commit);
      else if (foreign(job.other))
        add(job.other->place.text, asked.ref, commit);
      if (job.folder) note_written(attempt, *job.folder);
      return;
    case GitOperation::ls_remote:
      if (!job.other)
        add(asked.url, {}, {});
      else if (foreign(job.other))
        add(job.other->place.text, {}, {});
      return;
    case GitOperation::fetch: add(job.folder->place.text + " " + asked.remote, {}, {}); return;
    case GitOperation::open:
    case GitOperation::log:
    case GitOperation::status:
    case GitOperation::diff_names:
      if (foreign(job.folder)) add(job.folder->place.text, {}, commit);
      return;
    default: return;  // writes, or follows a commit that was noted
  }
}

// On the loop: {value, hosts} of the helper.
void finish(const Held& job, Result<std::string> value) {
  if (!value) {
    if (!settle_refusal(job, value.error())) job->answer(std::move(value));
    return;
  }
  auto said = from_cbor(*value);
  if (!said || !said->is_object() || !said->contains("value") || !said->contains("hosts") ||
      !(*said)["hosts"].is_array()) {
    job->answer(fail("io.protocol", "the io helper's answer cannot be used",
                     "report it: this is a fault of pangeo-forge"));
    return;
  }
  for (const Json& host : (*said)["hosts"]) {
    if (host.is_string() && host != job->request.url)
      job->attempt->allow(*job->call, host.get<std::string>());
  }
  Json& out = (*said)["value"];
  note(*job, out);
  const bool opened =
      job->request.operation == GitOperation::clone || job->request.operation == GitOperation::open;
  if (opened && out.is_object()) {
    // `commit` and `branch` are calls of what becomes of this.
    Json head = Json::object();
    for (const char* name : {"commit", "branch"}) {
      head[name] = out.contains(name) ? out[name] : Json();
      out.erase(name);
    }
    out["head"] = std::move(head);
    out["path"] = cbor::is_utf8(job->shown)
                      ? Json(job->shown)
                      : Json::binary(std::vector<uint8_t>(job->shown.begin(), job->shown.end()));
  }
  job->answer(to_cbor(out));
}

void launch(Held job) {
  IoPlan plan;
  plan.attempt = job->attempt;
  plan.call = job->call;
  plan.number = job->number;
  plan.family = "git";
  plan.timeout = job->timeout;
  plan.network = network(job->request.operation) && !job->request.access.hosts.empty();
  if (job->folder) plan.paths.push_back(*job->folder);
  if (job->other) plan.paths.push_back(*job->other);
  plan.prepare = [job](IoFolders& folders) { return prepare(*job, folders); };
  plan.answer = job->answer;
  plan.finish = [job](Result<std::string> value, Session::Answer) { finish(job, std::move(value)); };
  run_io(std::move(plan));
}

/// Builds a Job from the arguments of one call; the first mistake ends it.
class Builder {
 public:
  Builder(Request& request, GitOperation operation, size_t options_at)
      : in_(request), options_(io_options(request, options_at)), job_(std::make_shared<Job>()) {
    job_->attempt = request.attempt;
    job_->call = &request.call;
    job_->number = request.number;
    job_->request.operation = operation;
  }

  GitRequest& ask() { return job_->request; }
  const Json& options() const { return options_; }
  bool flag(const char* name) const { return flag_option(options_, name); }
  std::string text(const char* name) const { return text_option(options_, name); }

  bool wrong(Error error) {
    in_.answer(tl::unexpected(std::move(error)));
    return false;
  }
  bool bad(const std::string& message, const std::string& hint = {}) {
    return wrong(bad_argument(in_.call, message, hint).value());
  }

  bool folder(size_t argument) {
    job_->shown = in_.arguments.text(argument);
    auto checked = check_path(*in_.attempt, in_.call, job_->shown,
                              writes(ask().operation) ? Permission::write : Permission::read);
    if (!checked) return wrong(std::move(checked.error()));
    job_->folder = std::move(*checked);
    return true;
  }

  // An address of the call: its host must be granted, or its path.
  bool url(size_t argument) {
    auto url = services::parse_git_url(in_.arguments.text(argument));
    if (!url) return wrong(std::move(url.error()));
    if (!url->network()) {
      auto checked = check_path(*in_.attempt, in_.call, url->path, Permission::read);
      if (!checked) return wrong(std::move(checked.error()));
      job_->other = std::move(*checked);
      return true;
    }
    auto& access = ask().access;
    if (access.user.empty() && access.password.empty() && access.token.empty() && access.ssh_key.empty()) {
      access.user = url->user;
      access.password = url->password;
    }
    ask().url = url->text();
    if (services::allowed_host(access.hosts, *url) == nullptr) {
      return wrong(in_.attempt->refuse(in_.call, Permission::git,
                                       url->text() + ", which no entry of `git` covers", url->text(),
                                       url->place()));
    }
    return true;
  }

  bool access() {
    auto& access = ask().access;
    access.hosts = hosts_of(in_.attempt->caller);
    access.known_hosts = text("known_hosts");
    access.accept_new = flag("accept_new");
    if (const char* file = std::getenv("SSL_CERT_FILE"); file != nullptr) access.ca_file = file;
    const auto given = options_.find("credentials");
    if (given == options_.end() || !given->is_object()) return true;
    for (const auto& [name, value] : given->items()) {
      std::string* field = name == "user"         ? &access.user
                           : name == "password"   ? &access.password
                           : name == "token"      ? &access.token
                           : name == "ssh_key"    ? &access.ssh_key
                           : name == "passphrase" ? &access.passphrase
                                                  : nullptr;
      if (field == nullptr)
        return bad("there is no credential '" + shorten(name, 60) + "'",
                   "credentials are token, user, password, ssh_key, passphrase");
      *field = text_option(*given, name.c_str());
      if (field->empty() || field->find('\0') != std::string::npos)
        return bad("the credential `" + name + "` must be a text that is not empty");
    }
    if (!access.token.empty() && !access.password.empty())
      return bad("`token` and `password` exclude each other");
    return true;
  }

  // {name, email}.
  bool author() {
    const auto given = options_.find("author");
    const bool there = given != options_.end() && given->is_object();
    ask().author = there ? text_option(*given, "name") : "";
    ask().email = there ? text_option(*given, "email") : "";
    if (ask().author.empty() || ask().email.empty()) return bad("`author` must be {name = …, email = …}");
    if (const auto time = options_.find("time"); time != options_.end() && time->is_number()) {
      ask().time = time->get<double>();
      if (!(*ask().time >= 0) || *ask().time > 253402300799.0)
        return bad("`time` must be a number of seconds since 1970, at most the year 9999");
    }
    return true;
  }

  // A text or a list of texts.
  bool items(size_t argument, const char* name) {
    auto value = from_cbor(in_.arguments.raw(argument));
    if (value && (value->is_string() || value->is_binary())) value = Json::array({std::move(*value)});
    auto list = texts_of(in_.call, value ? *value : Json(), name);
    if (!list) return wrong(std::move(list.error()));
    if (list->empty()) return bad("`" + std::string(name) + "` is empty");
    for (const std::string& item : *list) {
      if (item.empty() || item.find('\0') != std::string::npos)
        return bad("`" + std::string(name) + "` holds an empty text");
    }
    ask().items = std::move(*list);
    return true;
  }

  void run() {
    auto timeout = timeout_option(in_.call, options_, kTimeout);
    if (!timeout) {
      wrong(std::move(timeout.error()));
      return;
    }
    job_->timeout = *timeout;
    const bool path_granted = job_->folder && !job_->folder->place.work;
    const bool other_granted = job_->other && !job_->other->place.work;
    const std::string what = job_->other ? job_->other->place.text : ask().url;
    if (!ask().url.empty() || path_granted || other_granted) {
      in_.attempt->allow(in_.call, what.empty() ? job_->folder->place.text : what,
                         !what.empty() && job_->folder ? job_->folder->place.text : std::string());
    }
    job_->answer = std::move(in_.answer);
    launch(std::move(job_));
  }

  Request& in() { return in_; }

 private:
  Request& in_;
  Json options_;
  Held job_;
};

void clone(Request request) {
  Builder b(request, GitOperation::clone, 2);
  if (const auto depth = b.options().find("depth"); depth != b.options().end() && !depth->is_null()) {
    b.wrong(refuse("git.depth", "forge.git.clone clones whole histories only",
                   "leave out `depth`: the mirror makes every clone after the first one cheap")
                .value());
    return;
  }
  b.ask().ref = b.text("ref");
  b.ask().with_submodules = b.flag("submodules");
  if (b.access() && b.url(0) && b.folder(1)) b.run();
}

void ls_remote(Request request) {
  Builder b(request, GitOperation::ls_remote, 1);
  if (b.access() && b.url(0)) b.run();
}

void open_repository(Request request) {
  Builder b(request, GitOperation::open, 1);
  if (b.folder(0)) b.run();
}

void status(Request request) {
  Builder b(request, GitOperation::status, 1);
  if (b.folder(0)) b.run();
}

void fetch(Request request) {
  Builder b(request, GitOperation::fetch, 1);
  b.ask().remote = b.text("remote").empty() ? "origin" : b.text("remote");
  b.ask().prune = b.flag("prune");
  if (const auto specs = b.options().find("refspecs"); specs != b.options().end() && !specs->is_null()) {
    auto list = texts_of(request.call, *specs, "refspecs");
    if (!list) {
      b.wrong(std::move(list.error()));
      return;
    }
    b.ask().items = std::move(*list);
  }
  if (b.access() && b.folder(0)) b.run();
}

void push(Request request) {
  Builder b(request, GitOperation::push, 2);
  b.ask().remote = b.text("remote").empty() ? "origin" : b.text("remote");
  b.ask().force = b.flag("force");
  if (b.access() && b.items(1, "refspecs") && b.folder(0)) b.run();
}

void checkout(Request request) {
  Builder b(request, GitOperation::checkout, 2);
  b.ask().ref = request.arguments.text(1);
  b.ask().force = b.flag("force");
  b.ask().with_submodules = b.flag("submodules");
  if (b.ask().ref.empty() || b.ask().ref.find('\0') != std::string::npos) {
    b.bad("`ref` is empty");
    return;
  }
  if (b.access() && b.folder(0)) b.run();
}

void submodules(Request request) {
  Builder b(request, GitOperation::submodules, 1);
  if (b.access() && b.folder(0)) b.run();
}

void log(Request request) {
  Builder b(request, GitOperation::log, 1);
  b.ask().ref = b.text("ref");
  b.ask().path = b.text("path");
  b.ask().most = 100;
  if (const auto most = b.options().find("max"); most != b.options().end() && !most->is_null()) {
    const double number = most->get<double>();
    if (!(number >= 1) || number > static_cast<double>(kMostCommits)) {
      b.bad("`max` must be a number from 1 to 100000");
      return;
    }
    b.ask().most = static_cast<uint64_t>(number);
  }
  if (b.folder(0)) b.run();
}

void diff_names(Request request) {
  Builder b(request, GitOperation::diff_names, 3);
  b.ask().from = request.arguments.text(1);
  b.ask().to = request.arguments.text(2);
  if (b.folder(0)) b.run();
}

void add(Request request) {
  Builder b(request, GitOperation::add, 2);
  if (!b.items(1, "paths")) return;
  for (std::string& path : b.ask().items) {
    std::string normal;
    if (path.front() == '/' || !normalise(path, normal)) {
      b.bad("`paths` are relative to the repository and stay below it, is '" + shorten(path, 200) + "'");
      return;
    }
    path = std::move(normal);
  }
  if (b.folder(0)) b.run();
}

void commit(Request request) {
  Builder b(request, GitOperation::commit, 2);
  b.ask().message = request.arguments.text(1);
  b.ask().allow_empty = b.flag("allow_empty");
  if (b.ask().message.empty()) {
    b.bad("`message` is empty");
    return;
  }
  if (b.author() && b.folder(0)) b.run();
}

void branch(Request request) {
  Builder b(request, GitOperation::branch, 2);
  b.ask().name = request.arguments.text(1);
  b.ask().ref = b.text("ref");
  b.ask().force = b.flag("force");
  if (b.folder(0)) b.run();
}

void tag(Request request) {
  Builder b(request, GitOperation::tag, 2);
  b.ask().name = request.arguments.text(1);
  b.ask().ref = b.text("ref");
  b.ask().force = b.flag("force");
  b.ask().message = b.text("message");
  const bool lone = b.options().contains("author") || b.options().contains("time");
  if (b.ask().message.empty() && lone) {
    b.bad("`author` and `time` belong to an annotated tag", "pass its `message`, too");
    return;
  }
  if (!b.ask().message.empty() && !b.author()) return;
  if (b.folder(0)) b.run();
}

constexpr Handled kCalls[] = {
    {"git.clone", clone},
    {"git.open", open_repository},
    {"git.ls_remote", ls_remote},
    {"git.fetch", fetch},
    {"git.push", push},
    {"git.checkout", checkout},
    {"git.submodules", submodules},
    {"git.log", log},
    {"git.status", status},
    {"git.diff_names", diff_names},
    {"git.add", add},
    {"git.commit", commit},
    {"git.branch", branch},
    {"git.tag", tag},
};

}  // namespace

std::span<const Handled> git_calls() { return kCalls; }

}  // namespace pf::api
