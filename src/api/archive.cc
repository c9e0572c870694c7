// forge.archive.*: the paths are checked here, the io helper does the work.
#include <algorithm>
#include <set>

#include "api/io_call.h"
#include "base/json.h"
#include "base/text.h"

namespace pf::api {
namespace {

using registry::Permission;
using services::io::ArchiveLimits;
using services::io::ArchiveSource;
using services::io::Place;

constexpr double kTimeout = 3600;  // seconds
constexpr uint64_t kMostSources = 10'000;

/// The common part of a plan; answers the call where something is wrong.
class Planner {
 public:
  explicit Planner(Request& request) : request_(request) {
    plan_.attempt = request.attempt;
    plan_.call = &request.call;
    plan_.number = request.number;
    plan_.family = "archive";
    plan_.contents = true;
  }

  bool path(std::string_view text, Permission permission) {
    auto checked = check_path(*request_.attempt, request_.call, text, permission);
    if (!checked) return wrong(std::move(checked.error()));
    plan_.paths.push_back(std::move(*checked));
    return true;
  }
  bool timeout(const Json& options) {
    auto timeout = timeout_option(request_.call, options, kTimeout);
    if (!timeout) return wrong(std::move(timeout.error()));
    plan_.timeout = *timeout;
    return true;
  }
  bool limits(const Json& options, ArchiveLimits& out) {
    const auto count = [&](const char* name, uint64_t& value) {
      const auto found = options.find(name);
      if (found == options.end() || found->is_null()) return true;
      const double number = found->get<double>();
      if (!(number >= 1) || number > 9e15)
        return bad("`" + std::string(name) + "` must be a number from 1 to 9e15");
      value = static_cast<uint64_t>(number);
      return true;
    };
    if (!count("max_size", out.max_size) || !count("max_files", out.max_files)) return false;
    if (const auto found = options.find("max_ratio"); found != options.end() && !found->is_null()) {
      out.max_ratio = found->get<double>();
      if (!(out.max_ratio >= 1) || out.max_ratio > 1e9)
        return bad("`max_ratio` must be a number from 1 to 1e9");
    }
    return true;
  }
  bool bad(const std::string& message) { return wrong(bad_argument(request_.call, message).value()); }
  bool wrong(Error error) {
    request_.answer(tl::unexpected(std::move(error)));
    return false;
  }

  void run() {
    // The audit record names what was written, or else read, and where it came from.
    const auto outside = [](const GrantedPath& path) { return !path.place.work; };
    if (std::any_of(plan_.paths.begin(), plan_.paths.end(), outside)) {
      request_.attempt->allow(request_.call, plan_.paths.front().place.text,
                              plan_.paths.size() > 1 ? plan_.paths[1].place.text : std::string());
    }
    plan_.answer = std::move(request_.answer);
    run_io(std::move(plan_));
  }
  IoPlan& plan() { return plan_; }

 private:
  Request& request_;
  IoPlan plan_;
};

void list(Request request) {
  Planner planner(request);
  const Json options = io_options(request, 1);
  services::io::ArchiveList ask;
  if (!planner.path(request.arguments.text(0), Permission::read) || !planner.timeout(options) ||
      !planner.limits(options, ask.limits)) {
    return;
  }
  planner.plan().prepare = [ask](IoFolders& folders) mutable -> Result<services::io::Request> {
    auto archive = folders.read(0);
    if (!archive) return tl::unexpected(archive.error());
    ask.archive = std::move(*archive);
    return ask;
  };
  planner.run();
}

void extract(Request request) {
  Planner planner(request);
  const Json options = io_options(request, 2);
  services::io::ArchiveExtract ask;
  if (!planner.path(request.arguments.text(0), Permission::read) ||
      !planner.path(request.arguments.text(1), Permission::write) || !planner.timeout(options) ||
      !planner.limits(options, ask.limits)) {
    return;
  }
  if (const auto found = options.find("strip"); found != options.end() && !found->is_null()) {
    const double strip = found->get<double>();
    if (!(strip >= 0) || strip > 256) {
      planner.bad("`strip` must be a number from 0 to 256");
      return;
    }
    ask.strip = static_cast<uint64_t>(strip);
  }
  if (const auto found = options.find("include"); found != options.end() && !found->is_null()) {
    auto globs = texts_of(request.call, *found, "include");
    if (!globs) {
      planner.wrong(std::move(globs.error()));
      return;
    }
    ask.include = std::move(*globs);
  }
  ask.into = flag_option(options, "into");
  planner.plan().makes = !ask.into;  // else what was in the folder stays there
  planner.plan().prepare = [ask](IoFolders& folders) mutable -> Result<services::io::Request> {
    auto archive = folders.read(0);
    if (!archive) return tl::unexpected(archive.error());
    ask.archive = std::move(*archive);
    bool there = false;
    if (ask.into) {
      auto folder = folders.write(1);
      there = folder.has_value();
      if (there)
        ask.folder = std::move(*folder);
      else if (folder.error().code != "os.enoent")
        return tl::unexpected(folder.error());
    }
    if (!there) {
      auto folder = folders.fresh(1, "archive");
      if (!folder) return tl::unexpected(folder.error());
      ask.folder = std::move(*folder);
    }
    return ask;
  };
  planner.run();
}

// Names of sources in the archive; none may lie in another.
std::string overlap(const std::vector<std::string>& names) {
  const std::set<std::string> all(names.begin(), names.end());
  if (all.size() != names.size()) {
    for (const std::string& name : all) {
      if (std::count(names.begin(), names.end(), name) > 1) return name;
    }
  }
  for (const std::string& name : all) {
    for (size_t slash = name.find('/'); slash != std::string::npos; slash = name.find('/', slash + 1)) {
      if (all.contains(name.substr(0, slash))) return name;
    }
  }
  return {};
}

void create(Request request) {
  Planner planner(request);
  const Json options = io_options(request, 2);
  services::io::ArchiveCreate ask;
  if (!planner.path(request.arguments.text(0), Permission::write) || !planner.timeout(options)) return;
  if (const auto found = options.find("mtime"); found != options.end() && !found->is_null()) {
    ask.mtime = found->get<double>();
    if (!(*ask.mtime >= 0) || *ask.mtime > 253402300799.0) {
      planner.bad("`mtime` must be a number of seconds since 1970, at most the year 9999");
      return;
    }
  }
  auto source = from_cbor(request.arguments.raw(1));
  std::vector<std::string> names;
  if (source && (source->is_string() || source->is_binary())) {
    cbor::Reader in(request.arguments.raw(1));
    if (!planner.path(in.text(), Permission::read)) return;
    names.emplace_back();
  } else if (source && source->is_array() && !source->empty() && source->size() <= kMostSources) {
    auto paths = texts_of(request.call, *source, "source");
    if (!paths) {
      planner.wrong(std::move(paths.error()));
      return;
    }
    for (const std::string& path : *paths) {
      if (!planner.path(path, Permission::read)) return;
      const FilePlace& place = planner.plan().paths.back().place;
      const bool whole = path.starts_with('/') || place.rest == ".";
      names.push_back(whole ? place.text.substr(place.text.rfind('/') + 1) : place.rest);
    }
    if (const std::string twice = overlap(names); !twice.empty()) {
      planner.bad("`source` names '" + shorten(twice, 200) + "' more than once");
      return;
    }
  } else {
    planner.bad("`source` must be the path of a folder, or a list of at most 10000 paths");
    return;
  }
  planner.plan().makes = true;
  planner.plan().prepare = [ask, names](IoFolders& folders) mutable -> Result<services::io::Request> {
    for (size_t i = 0; i < names.size(); ++i) {
      auto place = folders.read(i + 1);
      if (!place) return tl::unexpected(place.error());
      ask.sources.push_back({std::move(*place), names[i]});
    }
    auto folder = folders.fresh_file(0);
    if (!folder) return tl::unexpected(folder.error());
    ask.folder = std::move(*folder);
    ask.name = folders.name();
    return ask;
  };
  planner.run();
}

constexpr Handled kCalls[] = {
    {"archive.list", list}, {"archive.extract", extract}, {"archive.create", create}};

}  // namespace

std::span<const Handled> archive_calls() { return kCalls; }

}  // namespace pf::api
