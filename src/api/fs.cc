// forge.fs.*: paths beneath the work folder need no permission, others an entry in `read` or `write`. The
// check is made on the loop's thread, on paper; the work on the door's pool, beneath the folder that the
// check allowed.
#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <functional>

#include "api/granted_path.h"
#include "base/json.h"
#include "base/text.h"

namespace pf::api {
namespace {

using registry::Permission;
using services::Folder;

/// What a call does, once its folders are open. What it reads goes into the attempt's reads.
using Work = std::function<Result<std::string>(std::vector<OpenPlace>& places, services::Stop stop)>;

/// Notes what a call found at a path, unless it is the attempt's own.
class Found {
 public:
  Found(Attempt& attempt, const FilePlace& place)
      : attempt_(&attempt), path_(place.text), work_(place.work) {}
  void operator()(std::string_view what, std::string version, const std::string& below = {}) const {
    if (counts()) attempt_->reads.add(what, below.empty() ? path_ : path_ + "/" + below, std::move(version));
  }
  /// The content, before it is read: what changes meanwhile then counts as changed.
  Result<void> content(const OpenPlace& at, services::Stop stop) const {
    if (!counts()) return {};
    auto version = content_version(at, stop);
    if (!version) return tl::unexpected(version.error());
    (*this)("file", std::move(*version));
    return {};
  }
  services::Usage& usage() const { return *attempt_->usage; }
  /// The path is the attempt's own where the call succeeded.
  Result<std::string> own(Result<std::string> answer) const {
    if (answer && !work_) attempt_->reads.wrote(path_);
    return answer;
  }

 private:
  bool counts() const { return !work_ && !attempt_->reads.own(path_); }

  Attempt* attempt_;  // lives as long as the call
  std::string path_;
  bool work_;
};

// `culprit` tells which path an error is about.
Result<std::string> perform(Attempt& attempt, const std::vector<GrantedPath>& paths, const Work& work,
                            size_t& culprit) {
  if (attempt.stop) return fail("file.stopped", "the attempt has ended");
  try {
    std::vector<OpenPlace> places;
    for (const GrantedPath& path : paths) {
      auto opened = open_granted_place(attempt, path.place);
      if (!opened) return tl::unexpected(opened.error());
      places.push_back(std::move(*opened));
      ++culprit;
    }
    auto result = work(places, &attempt.stop);
    // Of a copy or move, what cannot be written is the second path.
    culprit = paths.size() > 1 && !result && result.error().message.starts_with("cannot write") ? 1 : 0;
    // Who catches the error goes on because nothing was there.
    if (!result && result.error().code == "os.enoent" && paths[culprit].permission == Permission::read)
      Found(attempt, paths[culprit].place)("exists", "absent");
    return result;
  } catch (const std::exception& e) {
    return fail("os.enomem", std::string("a file operation failed: ") + e.what(),
                "free memory on this machine");
  }
}

// A link that leads out is found only on the way: it is refused then, like a path that says so.
Error outside(Attempt& attempt, const registry::Call& call, const GrantedPath& path, const Error& error) {
  return attempt.refuse(call, path.permission, error.message, path.place.text,
                        path.place.work ? "/the/real/path" : path.place.text);
}

void run(Request request, std::vector<GrantedPath> paths, Work work) {
  Attempt& attempt = *request.attempt;
  bool granted = false;
  for (const GrantedPath& path : paths) granted = granted || !path.place.work;
  if (granted) {
    attempt.allow(request.call, paths.front().place.text,
                  paths.size() > 1 ? paths[1].place.text : std::string());
  }
  asio::post(attempt.hall.pool(), [held = request.attempt, &call = request.call, paths = std::move(paths),
                                   work = std::move(work), answer = std::move(request.answer),
                                   guard = asio::make_work_guard(attempt.hall.loop)]() mutable {
    size_t culprit = 0;
    auto result = perform(*held, paths, work, culprit);
    asio::io_context& loop = held->hall.loop;
    asio::post(loop, [held = std::move(held), &call, paths = std::move(paths), answer = std::move(answer),
                      result = std::move(result), culprit]() mutable {
      if (!held->open) return;
      if (!result && result.error().code == "file.outside") {
        result = tl::unexpected(outside(*held, call, paths[culprit], result.error()));
      }
      answer(std::move(result));
    });
  });
}

/// What a call with one path does.
using Task = std::function<Result<std::string>(OpenPlace& place, services::Stop stop, const Found& found)>;

// A call with one path.
void run_one(Request request, Permission permission, Task task) {
  auto path = check_path(*request.attempt, request.call, request.arguments.text(0), permission);
  if (!path) {
    request.answer(tl::unexpected(std::move(path.error())));
    return;
  }
  const Found found(*request.attempt, path->place);
  std::vector<GrantedPath> paths;
  paths.push_back(std::move(*path));
  run(std::move(request), std::move(paths),
      [found, task = std::move(task)](auto& places, services::Stop stop) {
        return task(places[0], stop, found);
      });
}

std::string encode(bool value) {
  std::string out;
  cbor::Writer(out).boolean(value);
  return out;
}

std::string encode(const std::vector<std::string>& values, std::string_view prefix = {}) {
  std::string out;
  cbor::Writer writer(out);
  writer.array(values.size());
  for (const std::string& value : values) {
    if (prefix.empty())
      writer.text_or_bytes(value);
    else
      writer.text_or_bytes(std::string(prefix) + value);
  }
  return out;
}

std::string encode(const services::FileInfo& info) {
  std::string out;
  cbor::Writer writer(out);
  writer.map(3);
  writer.text("type");
  writer.text(services::describe(info.type));
  writer.text("size");
  writer.unsigned_integer(info.size);
  writer.text("modified");
  writer.number(info.modified);
  return out;
}

// What a Folder returned, as the call's answer.
template <class T, class Encode>
Result<std::string> answer_with(Result<T> result, Encode encoder) {
  if (!result) return tl::unexpected(std::move(result.error()));
  return encoder(*result);
}

Result<std::string> answer_nothing(const Result<void>& result) {
  if (!result) return tl::unexpected(result.error());
  return nothing();
}

void read(Request request) {
  run_one(std::move(request), Permission::read, [](OpenPlace& at, services::Stop, const Found& found) {
    return answer_with(at.folder.read(at.path), [&](const std::string& text) {
      found("file", text_version(text));
      found.usage().read(text.size());
      std::string out;
      cbor::Writer(out).text_or_bytes(text);
      return out;
    });
  });
}

void write(Request request) {
  std::string text(request.arguments.text(1));
  run_one(std::move(request), Permission::write,
          [text = std::move(text)](OpenPlace& at, services::Stop, const Found& found) {
            auto written = at.folder.write(at.path, text);
            if (written) found.usage().write(text.size());
            return found.own(answer_nothing(written));
          });
}

void append(Request request) {
  std::string text(request.arguments.text(1));
  run_one(std::move(request), Permission::write,
          [text = std::move(text)](OpenPlace& at, services::Stop stop,
                                   const Found& found) -> Result<std::string> {
            // What was there before stays in the file.
            if (auto noted = found.content(at, stop); !noted) return tl::unexpected(noted.error());
            auto written = at.folder.append(at.path, text);
            if (written) found.usage().write(text.size());
            return found.own(answer_nothing(written));
          });
}

void exists(Request request) {
  run_one(std::move(request), Permission::read, [](OpenPlace& at, services::Stop, const Found& found) {
    return answer_with(at.folder.exists(at.path), [&](bool there) {
      found("exists", there ? "there" : "absent");
      return encode(there);
    });
  });
}

void list_folder(Request request) {
  run_one(std::move(request), Permission::read, [](OpenPlace& at, services::Stop, const Found& found) {
    return answer_with(at.folder.list(at.path), [&](const auto& names) {
      found("names", text_version(join(names, "\n")));
      return encode(names);
    });
  });
}

void stat(Request request) {
  run_one(std::move(request), Permission::read, [](OpenPlace& at, services::Stop, const Found& found) {
    return answer_with(at.folder.stat(at.path), [&](const services::FileInfo& info) {
      found("info", info_version(info));
      return encode(info);
    });
  });
}

void mkdir(Request request) {
  run_one(std::move(request), Permission::write, [](OpenPlace& at, services::Stop, const Found&) {
    return answer_nothing(at.folder.mkdir(at.path));
  });
}

void remove(Request request) {
  run_one(std::move(request), Permission::write, [](OpenPlace& at, services::Stop stop, const Found& found) {
    return found.own(answer_with(at.folder.remove(at.path, stop), [](bool there) { return encode(there); }));
  });
}

// The folder that a pattern searches is what needs the permission: all before its first wildcard.
void glob(Request request) {
  const std::string_view pattern = request.arguments.text(0);
  const size_t wildcard = std::min(pattern.find_first_of("*?["), pattern.size());
  size_t cut = wildcard == pattern.size() ? pattern.size() : pattern.rfind('/', wildcard);
  if (cut == std::string_view::npos) cut = 0;
  const bool absolute = !pattern.empty() && pattern.front() == '/';
  std::string base(pattern.substr(0, absolute && cut == 0 ? 1 : cut));
  std::string rest(pattern.substr(std::min(cut + 1, pattern.size())));
  if (cut == 0 && !absolute) rest = pattern;
  if (base.empty()) base = ".";
  if (pattern.empty()) {
    request.answer(bad_argument(request.call, "`pattern` is empty"));
    return;
  }
  for (size_t at = 0; at <= rest.size();) {
    const size_t end = std::min(rest.find('/', at), rest.size());
    if (rest.compare(at, end - at, "..") == 0) {
      request.answer(bad_argument(request.call, "`..` cannot follow a wildcard"));
      return;
    }
    at = end + 1;
  }
  auto path = check_path(*request.attempt, request.call, base, Permission::read);
  if (!path) {
    request.answer(tl::unexpected(std::move(path.error())));
    return;
  }
  // Paths come back as they were asked for: relative, or absolute.
  std::string shown = path->place.text;
  if (!absolute) {
    shown = path->place.rest == "." ? "" : path->place.rest;
  }
  const Found noted(*request.attempt, path->place);
  std::vector<GrantedPath> paths;
  paths.push_back(std::move(*path));
  run(std::move(request), std::move(paths),
      [rest = std::move(rest), shown = std::move(shown), noted](auto& places,
                                                                services::Stop stop) -> Result<std::string> {
        const OpenPlace& at = places[0];
        if (rest.empty()) {  // no wildcard: the path itself
          auto there = at.folder.exists(at.path);
          if (!there) return tl::unexpected(there.error());
          noted("exists", *there ? "there" : "absent");
          return encode(*there ? std::vector<std::string>{shown.empty() ? "." : shown}
                               : std::vector<std::string>{});
        }
        // What stands before the wildcard is taken literally, whatever characters a grant's own path holds.
        auto folder = at.folder.enter(at.path);
        if (!folder) {
          const std::string& code = folder.error().code;
          if (code != "os.enoent" && code != "os.enotdir") return tl::unexpected(folder.error());
          noted("names", text_version(""), rest);
          return encode(std::vector<std::string>{});
        }
        auto found = folder->glob(rest, stop);
        if (!found) return tl::unexpected(found.error());
        noted("names", text_version(join(*found, "\n")), rest);
        return encode(*found, shown.empty() || shown.ends_with('/') ? shown : shown + "/");
      });
}

// Two paths: the first is read (and taken away when moved), the second written.
void run_two(Request request, bool moves) {
  const std::string_view from = request.arguments.text(0);
  const std::string_view to = request.arguments.text(1);
  auto source = check_path(*request.attempt, request.call, from, Permission::read);
  if (source && moves) source = check_path(*request.attempt, request.call, from, Permission::write);
  auto target = source ? check_path(*request.attempt, request.call, to, Permission::write)
                       : Result<GrantedPath>(GrantedPath{});
  if (!source || !target) {
    request.answer(tl::unexpected(std::move(source ? target.error() : source.error())));
    return;
  }
  const Found found(*request.attempt, source->place);
  const Found made(*request.attempt, target->place);
  std::vector<GrantedPath> paths;
  paths.push_back(std::move(*source));
  paths.push_back(std::move(*target));
  run(std::move(request), std::move(paths),
      [moves, found, made](auto& places, services::Stop stop) -> Result<std::string> {
        OpenPlace& a = places[0];
        OpenPlace& b = places[1];
        if (auto noted = found.content(a, stop); !noted) return tl::unexpected(noted.error());
        if (moves) {
          auto moved = answer_nothing(Folder::move(a.folder, a.path, b.folder, b.path, stop));
          return found.own(made.own(std::move(moved)));
        }
        return made.own(
            answer_with(Folder::copy(a.folder, a.path, b.folder, b.path, stop), [&](uint64_t size) {
              made.usage().read(size);
              made.usage().write(size);
              return nothing();
            }));
      });
}

void copy(Request request) { run_two(std::move(request), false); }
void move(Request request) { run_two(std::move(request), true); }

constexpr Handled kCalls[] = {
    {"fs.read", read},        {"fs.write", write}, {"fs.append", append}, {"fs.exists", exists},
    {"fs.list", list_folder}, {"fs.glob", glob},   {"fs.stat", stat},     {"fs.mkdir", mkdir},
    {"fs.remove", remove},    {"fs.copy", copy},   {"fs.move", move},
};

}  // namespace

std::span<const Handled> fs_calls() { return kCalls; }

}  // namespace pf::api
