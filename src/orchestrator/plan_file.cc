#include "orchestrator/plan_file.h"

#include <algorithm>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

namespace pf::orchestrator {
namespace {

constexpr int kVersion = 1;
constexpr uint64_t kMostBytes = 256 << 20;
constexpr size_t kMostTold = 10;  // differences that are named one by one

using Instances = std::map<std::string, PlanFile::Instance>;

Instances instances_of(const Plan& plan) {
  Instances out;
  const auto& pipeline = *plan.project->pipeline;
  for (uint32_t i = 0; i < plan.instances.size(); ++i) {
    if (!plan.shown[i]) continue;
    const Planned& planned = plan.instances[i];
    out[pipeline.address(i)] = {std::string(to_text(planned.action)), planned.key};
  }
  for (const Orphan& orphan : plan.orphans) out[orphan.address] = {"orphaned", {}};
  return out;
}

std::string quoted(const std::string& profile) {
  return profile.empty() ? "no profile" : "profile " + profile;
}

// In the words of preview.
std::string difference(const PlanFile::Instance* then, const PlanFile::Instance* now) {
  const auto word = [](const PlanFile::Instance& one) {
    return one.action == "run" ? "run" : "be " + (one.action == "excluded" ? "left out" : one.action);
  };
  if (then == nullptr) return "is not in the plan, and would " + word(*now) + " now";
  if (now == nullptr) return "was to " + word(*then) + ", and is not there any more";
  if (then->action != now->action) return "was to " + word(*then) + ", and would " + word(*now) + " now";
  return "would " + word(*now) + " as planned, but of something else: it has changed since";
}

}  // namespace

Result<void> write_plan(const std::filesystem::path& path, const Plan& plan, const PlanOptions& options) {
  std::error_code code;
  if (std::filesystem::exists(path, code) && !read_plan(path)) {
    return refuse("plan.file", path.string() + " is there and no plan: it is not overwritten",
                  "name another file, or remove it");
  }
  Json instances = Json::object();
  for (const auto& [address, instance] : instances_of(plan)) {
    instances[address] = {{"action", instance.action}, {"key", instance.key}};
  }
  const auto& pipeline = *plan.project->pipeline;
  const Json out = {{"plan", kVersion},
                    {"pipeline", pipeline.name},
                    {"profile", pipeline.profile},
                    {"file", (pipeline.folder / pipeline.file.filename()).string()},
                    {"created", rfc3339(Clock::system().wall())},
                    {"selection", selection_to_json(options.selection)},
                    {"force", options.force},
                    {"instances", std::move(instances)}};
  return write_file(path, to_json_text(out, 1) + '\n', true);
}

Result<PlanFile> read_plan(const std::filesystem::path& path) {
  const auto none = [&](const std::string& why) {
    return refuse("plan.file", path.string() + " is no plan: " + why,
                  "`pangeo-forge preview FILE --out PLAN` makes one");
  };
  const auto text = read_file(path, kMostBytes);
  if (!text) return none(text.error().message);
  const auto json = parse_json(*text);
  if (!json) return none(json.error().message);
  if (!json->is_object() || !json->contains("plan")) return none("it is JSON of something else");
  const Json& version = (*json)["plan"];
  if (version != kVersion) return none("its version is " + to_json_text(version) + ", not 1");
  PlanFile out;
  out.path = path;
  try {
    out.pipeline = json->at("pipeline").get<std::string>();
    out.profile = json->at("profile").get<std::string>();
    out.selection = selection_from_json(json->at("selection"));
    out.force = json->at("force").get<bool>();
    for (const auto& [address, instance] : json->at("instances").items()) {
      out.instances[address] = {instance.at("action").get<std::string>(),
                                instance.at("key").get<std::string>()};
    }
  } catch (const Json::exception& error) {
    return none(error.what());
  }
  return out;
}

tl::expected<void, Errors> check_plan(const PlanFile& kept, const ProjectOptions& project) {
  PlanOptions options;
  options.project = project;
  options.selection = kept.selection;
  options.force = kept.force;
  options.keys = true;
  auto now = make_plan(options);
  if (!now) return tl::unexpected(std::move(now.error()));
  const auto& pipeline = *now->project->pipeline;
  const auto stop = [](tl::unexpected<Error> error) {
    return tl::unexpected(Errors{std::move(error.value())});
  };
  if (pipeline.name != kept.pipeline || pipeline.profile != kept.profile) {
    return stop(refuse("plan.other",
                       kept.path.string() + " plans " + kept.pipeline + " with " + quoted(kept.profile) +
                           "; this is " + pipeline.name + " with " + quoted(pipeline.profile),
                       "give the same --pipeline and --profile as to preview"));
  }
  const Instances found = instances_of(*now);
  std::vector<std::string> differences;
  for (const auto& [address, then] : kept.instances) {
    const auto at = found.find(address);
    if (at == found.end()) {
      differences.push_back(address + ' ' + difference(&then, nullptr));
    } else if (at->second != then) {
      differences.push_back(address + ' ' + difference(&then, &at->second));
    }
  }
  for (const auto& [address, instance] : found) {
    if (!kept.instances.contains(address))
      differences.push_back(address + ' ' + difference(nullptr, &instance));
  }
  if (differences.empty()) return {};
  std::string list;
  for (size_t i = 0; i < differences.size() && i < kMostTold; ++i) list += "\n  " + differences[i];
  if (differences.size() > kMostTold) {
    list += "\n  and " + std::to_string(differences.size() - kMostTold) + " more";
  }
  return stop(refuse("plan.stale", "what would run is not what " + kept.path.string() + " says:" + list,
                     "nothing has run; look at a new plan: pangeo-forge preview FILE --out " +
                         kept.path.string() + ", with the same --var as here"));
}

}  // namespace pf::orchestrator
