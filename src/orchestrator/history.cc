#include "orchestrator/history.h"

#include <algorithm>

#include "base/json.h"
#include "base/text.h"

namespace pf::orchestrator {
namespace {

using pipeline::CachePolicy;

constexpr uint64_t kLarge = 4ULL << 20;  // bytes to read

// By how much a clock may have been set back, and what was made before counts as made now.
constexpr Milliseconds kClockSkew{60'000};

std::string age_text(std::chrono::system_clock::duration age) {
  return format_duration(std::chrono::duration_cast<Milliseconds>(age));
}

// What has no version, as a person would name it.
std::string unversioned(const std::string& what, const std::string& name) {
  if (what == "http") return "the answer to " + name;
  if (what == "network") return "what " + name + " does in the network";
  if (what == "reach") return "what a program may read below " + name;
  if (what == "download") return "the download of " + name + " without a sha256";
  if (what == "git") return "the branch of " + name;
  if (what == "outputs") return "its secret outputs, which there is no passphrase to keep with,";
  return what + " " + name;
}

Json parsed_object(std::string_view text) {
  auto json = parse_json(text);
  return json && json->is_object() ? std::move(*json) : Json::object();
}

void compare_contexts(std::string_view before, std::string_view now, std::vector<Change>& out) {
  const Json old = parsed_object(before);
  const Json fresh = parsed_object(now);
  const auto text = [](const Json& value) {
    return value.is_string() ? short_version(value.get_ref<const std::string&>()) : to_json_text(value);
  };
  for (const auto& [key, value] : fresh.items()) {
    const auto was = old.find(key);
    if (was != old.end() && *was == value) continue;
    Change change;
    change.key = key;
    change.from = was == old.end() ? "(none)" : text(*was);
    change.to = text(value);
    out.push_back(std::move(change));
  }
  for (const auto& [key, value] : old.items()) {
    if (!fresh.contains(key)) out.push_back({key, {}, text(value), "(none)", {}});
  }
}

}  // namespace

std::string Verdict::text() const {
  std::string out = reason;
  for (const Change& change : changes) {
    if (!out.empty()) out += '\n';
    out += change.text();
  }
  return out;
}

Result<void> History::load(const std::filesystem::path& state_folder) {
  by_instance_.assign(pipeline_.instances.size(), -1);
  auto reader = state::Reader::open(state_folder);
  if (!reader) {
    if (reader.error().code == "state.none") return {};
    return tl::unexpected(reader.error());
  }
  auto latest = (*reader)->latest(pipeline_.name);
  if (!latest) {
    if (latest.error().code == "state.none") return {};
    return tl::unexpected(latest.error());
  }
  records_ = std::move(*latest);
  follow_moves();
  index_again();
  return {};
}

void History::follow_moves() {
  const auto find = [&](const std::string& address) {
    return std::find_if(records_.begin(), records_.end(),
                        [&](const auto& one) { return one.address == address; });
  };
  for (const auto& move : pipeline_.moved) {
    const auto from = find(move.from);
    if (from == records_.end() || find(move.to) != records_.end()) continue;
    const Json context = parsed_object(from->context);
    const auto stack = context.find("stack");
    const std::string pattern =
        stack != context.end() && stack->is_string() ? stack->get<std::string>() : pipeline_.stack + "-*";
    moved_.push_back(
        {move.from, move.to, pipeline::stack_of(pattern, move.from.substr(move.from.find('.') + 1))});
    if (from->sealed_as.empty()) from->sealed_as = move.from;
    from->address = move.to;
  }
}

void History::index_again() {
  by_instance_.assign(pipeline_.instances.size(), -1);
  others_.clear();
  for (size_t i = 0; i < records_.size(); ++i) {
    const int64_t instance = pipeline_.find(records_[i].address);
    if (instance >= 0)
      by_instance_[static_cast<size_t>(instance)] = static_cast<int64_t>(i);
    else
      others_.emplace(records_[i].address, i);
  }
}

const state::InstanceRecord* History::last(uint32_t instance) const {
  if (records_.empty()) return nullptr;
  if (instance < by_instance_.size()) {
    const int64_t found = by_instance_[instance];
    return found < 0 ? nullptr : &records_[static_cast<size_t>(found)];
  }
  const auto found = others_.find(pipeline_.address(instance));
  return found == others_.end() ? nullptr : &records_[found->second];
}

std::vector<const state::InstanceRecord*> History::others() const {
  std::vector<const state::InstanceRecord*> out;
  for (const auto& [address, index] : others_) {
    if (pipeline_.find(address) < 0) out.push_back(&records_[index]);
  }
  return out;
}

bool History::has_sealed() const {
  return std::any_of(records_.begin(), records_.end(), [](const auto& one) { return !one.sealed.empty(); });
}

std::vector<std::string> History::to_read(uint32_t instance, const Making& making,
                                          api::Versions& versions) const {
  std::vector<std::string> paths = making.inputs;
  const state::InstanceRecord* before = last(instance);
  if (before != nullptr && !before->reads.empty()) {
    const auto reads = parse_json(before->reads);
    for (const Json& read : reads && reads->is_array() ? *reads : Json::array()) {
      const std::string what = read.value("what", "");
      if (what == "file" || what == "program") paths.push_back(read.value("name", ""));
    }
  }
  uint64_t bytes = 0;
  for (const std::string& path : paths) bytes += std::min(versions.effort(path), kLarge);
  if (bytes < kLarge) paths.clear();
  return paths;
}

void History::compare_reads(const state::InstanceRecord& last, const Making& making, bool need_versions,
                            api::Versions& versions, Verdict& verdict) const {
  if (last.reads.empty()) return;
  const auto reads = parse_json(last.reads);
  if (!reads || !reads->is_array()) {
    verdict.reason = "what it read is not readable in the run store";
    return;
  }
  const std::string project = pipeline_.folder.string() + "/";
  for (const Json& read : *reads) {
    const std::string what = read.value("what", "");
    const std::string name = read.value("name", "");
    const auto version = read.find("version");
    if (version == read.end() || !version->is_string()) {
      if (need_versions && verdict.reason.empty()) {
        verdict.reason = unversioned(what, name) +
                         " has no version that could be compared; `cache: true` takes it as unchanged";
      }
      continue;
    }
    const auto& was = version->get_ref<const std::string&>();
    const auto now = versions.now(what, name, was);
    if (now == was) continue;
    Change change;
    change.key = name.starts_with(project) ? name.substr(project.size()) : name;
    if (what == "env" || what == "secret") change.key = what + "." + name;
    change.from = short_version(was);
    change.to = now ? short_version(*now) : "(unreadable)";
    if (what == "file" || what == "names" || what == "exists" || what == "info" || what == "program") {
      change.where.file = change.key;
      change.where.line = change.where.column = 1;
    }
    // Where the configuration names it.
    if (std::find(making.inputs.begin(), making.inputs.end(), name) != making.inputs.end()) {
      const auto& document = making.scratch ? *making.scratch : *pipeline_.document;
      for (const auto& entry : making.written.map()) {
        if (entry.value.kind != pipeline::Kind::string || entry.value.string().empty()) continue;
        if (!name.ends_with(std::filesystem::path(entry.value.string()).filename().string())) continue;
        change.where = document.where(entry.value);
        break;
      }
    }
    verdict.changes.push_back(std::move(change));
  }
}

Verdict History::judge(const state::InstanceRecord* before, const Making& making, std::string_view context,
                       const CachePolicy& cache, api::Versions& versions, WallTime now) const {
  Verdict verdict;
  if (before == nullptr) {
    verdict.reason = "it has never succeeded";
    return verdict;
  }
  const auto& document = making.scratch ? *making.scratch : *pipeline_.document;
  if (before->config != making.to_keep()) {
    const auto old = before->config.empty() ? Result<Json>(Json::object()) : from_cbor(before->config);
    const auto fresh = from_cbor(making.to_keep());
    if (old && fresh) {
      compare_configs(*old, *fresh, document, making.written, verdict.changes);
    } else {
      verdict.reason = "its configuration is not readable in the run store";
    }
  }
  if (before->context != context) compare_contexts(before->context, context, verdict.changes);
  const bool by_age = cache.kind == CachePolicy::Kind::max_age;
  compare_reads(*before, making, cache.kind == CachePolicy::Kind::automatic, versions, verdict);
  if (!making.complete && verdict.changes.empty() && verdict.reason.empty()) {
    verdict.reason = "it uses outputs of what runs before it";
  }
  if (!verdict.changes.empty() || !verdict.reason.empty()) return verdict;
  if (cache.kind == CachePolicy::Kind::never) {
    verdict.reason = "its cache is `never`";
  } else if (by_age && now + kClockSkew < before->started + before->duration) {
    verdict.reason = "its last success bears a time to come (" + rfc3339(before->started + before->duration) +
                     "): nobody knows how old it is";
  } else if (by_age && now - (before->started + before->duration) > cache.max_age) {
    verdict.reason = "its last success is " + age_text(now - (before->started + before->duration)) +
                     " old, and counts for " + format_duration(cache.max_age);
  } else {
    verdict.same = true;
  }
  return verdict;
}

}  // namespace pf::orchestrator
