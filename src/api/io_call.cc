#include "api/io_call.h"

#include <signal.h>
#include <unistd.h>

#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <cerrno>
#include <mutex>
#include <set>

#include "base/digest.h"
#include "base/json.h"
#include "base/text.h"

namespace pf::api {
namespace {

using registry::Permission;
using services::Folder;
using services::io::Place;

constexpr std::string_view kPrefix = ".pangeo-forge-";
constexpr std::string_view kSuffix = ".part";

/// Names of what is in the making in this process.
class Drafts {
 public:
  std::string add(const std::string& name) {
    std::lock_guard lock(mutex_);
    std::string out =
        stem(name) + std::to_string(::getpid()) + "-" + std::to_string(next_++) + std::string(kSuffix);
    names_.insert(out);
    return out;
  }
  void remove(const std::string& draft) {
    std::lock_guard lock(mutex_);
    names_.erase(draft);
  }
  /// What an attempt to make `name` left behind that has ended.
  bool left_over(const std::string& entry, const std::string& name) {
    const std::string start = stem(name);
    if (!entry.starts_with(start) || !entry.ends_with(kSuffix)) return false;
    const long pid = std::strtol(entry.c_str() + start.size(), nullptr, 10);
    if (pid <= 0) return false;
    if (pid != ::getpid()) return ::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH;
    std::lock_guard lock(mutex_);
    return !names_.contains(entry);
  }

 private:
  static std::string stem(const std::string& name) {
    return std::string(kPrefix) + sha256_hex(name).substr(0, 12) + "-";
  }
  std::mutex mutex_;  // guards the rest
  std::set<std::string> names_;
  uint64_t next_ = 0;
};

Drafts& drafts() {
  static Drafts all;
  return all;
}

tl::unexpected<Error> exists(const std::string& family, const std::string& path) {
  return refuse(family + ".exists", path + " exists already, and is no empty folder",
                family == "archive" ? "remove it first, or pass `into = true` to add to it"
                                    : "remove it first, or choose another path");
}

}  // namespace

IoFolders::~IoFolders() {
  if (!temporary_.empty()) drafts().remove(temporary_);
}

Result<OpenPlace> IoFolders::open(size_t i) {
  culprit = i;
  const FilePlace& place = paths_[i].place;
  if (!place.work) return open_place(place);
  auto work = attempt_.work();
  if (!work) return tl::unexpected(work.error());
  auto folder = (*work)->below(".");
  if (!folder) return tl::unexpected(folder.error());
  return OpenPlace{std::move(*folder), place.rest};
}

Place IoFolders::grant(services::Located located, std::vector<services::IoGrant>& to) {
  Place out{located.path.native(), located.device, located.inode};
  to.push_back({std::move(located.path), std::make_shared<const UniqueFd>(std::move(located.fd))});
  return out;
}

Result<Place> IoFolders::read(size_t i) {
  auto at = open(i);
  if (!at) return tl::unexpected(at.error());
  auto located = at->folder.locate(at->path);
  if (!located) return tl::unexpected(located.error());
  return grant(std::move(*located), reads);
}

Result<Place> IoFolders::write(size_t i) {
  auto at = open(i);
  if (!at) return tl::unexpected(at.error());
  auto located = at->folder.locate(at->path);
  if (!located) return tl::unexpected(located.error());
  if (located->type != services::FileType::folder) {
    return tl::unexpected(system_error("cannot use " + paths_[i].place.text, ENOTDIR));
  }
  return grant(std::move(*located), writes);
}

Result<Place> IoFolders::own(const std::filesystem::path& folder) {
  if (auto made = make_folders(folder); !made) return tl::unexpected(made.error());
  auto opened = Folder::open(folder);
  if (!opened) return tl::unexpected(opened.error());
  auto located = opened->locate(".");
  if (!located) return tl::unexpected(located.error());
  return grant(std::move(*located), writes);
}

Result<Place> IoFolders::draft(size_t i) {
  auto at = open(i);
  if (!at) return tl::unexpected(at.error());
  if (at->path == ".") {
    return refuse("file.path", "cannot make " + paths_[i].place.text + ": it is the granted folder itself",
                  "name something in it");
  }
  const size_t slash = at->path.rfind('/');
  const std::string above = slash == std::string::npos ? "." : at->path.substr(0, slash);
  name_ = at->path.substr(slash == std::string::npos ? 0 : slash + 1);
  path_ = paths_[i].place.text;
  if (above != ".") {
    if (auto made = at->folder.mkdir(above); !made) return tl::unexpected(made.error());
  }
  auto parent = at->folder.enter(above);
  if (!parent) return tl::unexpected(parent.error());
  auto names = parent->list(".");
  if (!names) return tl::unexpected(names.error());
  for (const std::string& name : *names) {
    if (!drafts().left_over(name, name_)) continue;
    if (auto gone = parent->remove(name, &attempt_.stop); !gone) return tl::unexpected(gone.error());
  }
  temporary_ = drafts().add(name_);
  if (auto made = parent->mkdir(temporary_); !made) return tl::unexpected(made.error());
  parent_ = std::move(*parent);
  auto located = parent_->locate(temporary_);
  if (!located) return tl::unexpected(located.error());
  temporary_path_ = located->path.native();
  return grant(std::move(*located), writes);
}

Result<Place> IoFolders::fresh(size_t i, const std::string& family) {
  auto at = open(i);
  if (!at) return tl::unexpected(at.error());
  auto there = at->folder.exists(at->path);
  if (!there) return tl::unexpected(there.error());
  if (*there) {
    auto info = at->folder.stat(at->path);
    if (!info) return tl::unexpected(info.error());
    if (info->type != services::FileType::folder) return exists(family, paths_[i].place.text);
    auto names = at->folder.list(at->path);
    if (!names) return tl::unexpected(names.error());
    if (!names->empty()) return exists(family, paths_[i].place.text);
    // The granted folder itself: what lies beside it is not granted.
    if (at->path == ".") return write(i);
  }
  return draft(i);
}

Result<Place> IoFolders::fresh_file(size_t i) {
  file_ = true;
  return draft(i);
}

Result<void> IoFolders::publish(const std::string& family) {
  if (!parent_) return {};
  auto moved =
      Folder::move(*parent_, file_ ? temporary_ + "/" + name_ : temporary_, *parent_, name_, &attempt_.stop);
  if (!moved) {
    const std::string& code = moved.error().code;
    if (!file_ && (code == "os.enotempty" || code == "os.eexist" || code == "os.enotdir"))
      return exists(family, path_);
    return moved;
  }
  if (file_) discard();
  parent_.reset();
  return {};
}

void IoFolders::discard() {
  if (!parent_ || temporary_.empty()) return;
  // What cannot be removed now is by the next attempt.
  if (auto gone = parent_->remove(temporary_, nullptr); !gone) return;
}

void IoFolders::rename_in(std::string& message) const {
  if (temporary_path_.empty()) return;
  const std::string shown = file_ ? path_.substr(0, path_.rfind('/')) : path_;
  for (size_t at = 0; (at = message.find(temporary_path_, at)) != std::string::npos; at += shown.size())
    message.replace(at, temporary_path_.size(), shown);
}

namespace {

/// One call on its way through the pool, the helper, and the pool again.
struct Running {
  explicit Running(IoPlan what) : plan(std::move(what)), folders(*plan.attempt, plan.paths) {}
  IoPlan plan;
  IoFolders folders;
  asio::executor_work_guard<asio::io_context::executor_type> guard =
      asio::make_work_guard(plan.attempt->hall.loop);
};
using Held = std::shared_ptr<Running>;

template <class F>
auto guarded(F f) -> decltype(f()) {
  try {
    return f();
  } catch (const std::exception& e) {
    return fail("os.enomem", std::string("a file operation failed: ") + e.what(),
                "free memory on this machine");
  }
}

// On the loop: the end of a call.
void give(const Held& held, Result<std::string> result) {
  IoPlan& plan = held->plan;
  if (!plan.attempt->open) return;
  if (!result) {
    Error& error = result.error();
    held->folders.rename_in(error.message);
    if (error.code == "file.outside" && held->folders.culprit < plan.paths.size()) {
      const GrantedPath& path = plan.paths[held->folders.culprit];
      error = plan.attempt->refuse(*plan.call, path.permission, error.message, path.place.text,
                                   path.place.work ? "/the/real/path" : path.place.text);
    } else if (error.code == "io.timeout") {
      error.code = plan.family + ".timeout";
      error.message = "forge." + std::string(plan.call->name) + " was not done within " +
                      format_duration(plan.timeout) + " and was ended";
      error.hint = "give a longer `timeout`, in seconds, or look whether the other side hangs";
      error.retryable = true;
    } else if (error.code == "io.too_big") {
      error.code = plan.family + ".too_big";
    }
  }
  Session::Answer answer = std::move(plan.answer);
  if (plan.finish) {
    const auto finish = std::move(plan.finish);
    finish(std::move(result), std::move(answer));
  } else {
    answer(std::move(result));
  }
}

// On the loop: the helper has ended.
void ended(const Held& held, Result<std::string> value) {
  asio::post(held->plan.attempt->hall.pool(), [held, value = std::move(value)]() mutable {
    if (value) {
      auto published = guarded([&] { return held->folders.publish(held->plan.family); });
      if (!published) value = tl::unexpected(published.error());
    }
    if (value) {
      for (const GrantedPath& path : held->plan.paths) {
        if (held->plan.makes && path.permission == Permission::write) note_written(*held->plan.attempt, path);
      }
    }
    if (!value) held->folders.discard();
    asio::post(held->plan.attempt->hall.loop,
               [held, value = std::move(value)]() mutable { give(held, std::move(value)); });
  });
}

// On the loop: the folders are open.
void start(const Held& held, Result<services::io::Request> request) {
  Attempt& attempt = *held->plan.attempt;
  if (!request || !attempt.open) {
    asio::post(attempt.hall.pool(), [held] { held->folders.discard(); });
    if (!request) give(held, tl::unexpected(request.error()));
    return;
  }
  services::IoJob job;
  job.request = services::io::encode(*request);
  job.read = held->folders.reads;
  job.write = held->folders.writes;
  job.network = held->plan.network;
  job.timeout = held->plan.timeout;
  job.usage = attempt.usage;
  services::IoRunner& runner = *attempt.hall.io;
  auto cancel_id = std::make_shared<uint64_t>(0);
  const uint64_t id = runner.run(
      std::move(job),
      [held](double done, double total, std::string_view text) {
        const IoPlan& plan = held->plan;
        if (plan.attempt->open) {
          plan.attempt->hall.sink.progress(plan.attempt->caller.index, done, total,
                                           std::string(plan.call->name) + ": " + std::string(text));
        }
      },
      [held, cancel_id](Result<std::string> value) {
        held->plan.attempt->forget(*cancel_id);
        ended(held, std::move(value));
      });
  *cancel_id = attempt.on_close(
      [&runner, id, held] {
        runner.cancel(id);
        // What is in the making goes at once where the attempt goes on; where it ends, with the next one.
        Attempt& caller = *held->plan.attempt;
        if (caller.open) asio::post(caller.hall.pool(), [held] { held->folders.discard(); });
      },
      held->plan.number);
}

}  // namespace

void run_io(IoPlan plan) {
  Attempt& attempt = *plan.attempt;
  if (attempt.hall.io == nullptr) {
    plan.answer(refuse("io.unavailable", "the io helper, which does git and archives, cannot be started here",
                       "install the program again"));
    return;
  }
  auto held = std::make_shared<Running>(std::move(plan));
  asio::post(attempt.hall.pool(), [held] {
    auto request = guarded([&]() -> Result<services::io::Request> {
      const IoPlan& asked = held->plan;
      if (asked.attempt->stop) return fail("file.stopped", "the attempt has ended");
      for (const GrantedPath& path : asked.paths) {
        held->folders.culprit = static_cast<size_t>(&path - asked.paths.data());
        if (!asked.contents || path.permission != Permission::read) continue;
        if (auto noted = note_content(*asked.attempt, path); !noted) return tl::unexpected(noted.error());
      }
      return asked.prepare(held->folders);
    });
    asio::post(held->plan.attempt->hall.loop,
               [held, request = std::move(request)]() mutable { start(held, std::move(request)); });
  });
}

Json io_options(const Request& request, size_t argument) {
  if (!request.arguments.has(argument)) return Json::object();
  auto decoded = from_cbor(request.arguments.raw(argument));
  return decoded && decoded->is_object() ? std::move(*decoded) : Json::object();
}

namespace {
std::optional<std::string> text_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_binary()) return std::string(value.get_binary().begin(), value.get_binary().end());
  return std::nullopt;
}
}  // namespace

std::string text_option(const Json& options, const char* name) {
  const auto found = options.find(name);
  return found == options.end() ? std::string() : text_of(*found).value_or("");
}

bool flag_option(const Json& options, const char* name) {
  const auto found = options.find(name);
  return found != options.end() && found->is_boolean() && found->get<bool>();
}

Result<std::vector<std::string>> texts_of(const registry::Call& call, const Json& value, const char* name) {
  std::vector<std::string> out;
  if (!value.is_array()) return bad_argument(call, "`" + std::string(name) + "` must be a list of strings");
  for (const Json& item : value) {
    auto text = text_of(item);
    if (!text) return bad_argument(call, "`" + std::string(name) + "` must hold only strings");
    out.push_back(std::move(*text));
  }
  return out;
}

Result<Milliseconds> timeout_option(const registry::Call& call, const Json& options, double otherwise) {
  double seconds = otherwise;
  if (const auto found = options.find("timeout"); found != options.end() && found->is_number())
    seconds = found->get<double>();
  if (!(seconds >= 0.1) || seconds > 86400)
    return bad_argument(call, "`timeout` must be a number of seconds, from 0.1 to 86400");
  return Milliseconds(static_cast<int64_t>(seconds * 1000));
}

}  // namespace pf::api
