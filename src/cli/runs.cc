// `runs list`, `show`, `diff`, `prune` and `export`: what earlier runs left.
#include <algorithm>
#include <map>

#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/project.h"
#include "report/json_text.h"
#include "report/listing.h"
#include "report/visible.h"
#include "state/prune.h"
#include "state/store.h"

namespace pf::cli {
namespace {

using state::InstanceRecord;
using state::InstanceResult;
using state::RunRecord;

constexpr size_t kDefaultLimit = 20;

/// A reader and the run that is meant.
struct Chosen {
  std::unique_ptr<state::Reader> reader;
  RunRecord run;
};

// A run of this pipeline, by its id; empty: the last one.
Result<RunRecord> find_run(const Arguments& arguments, const Located& located, state::Reader& reader,
                           const std::string& id) {
  auto found = id.empty() ? reader.last_run(located.pipeline) : reader.run(id);
  if (!found) return tl::unexpected(found.error());
  if (*found && (*found)->pipeline == located.pipeline) return std::move(**found);
  if (id.empty()) {
    return pf::refuse("state.none", located.pipeline + " was not run yet",
                      arguments.same_project("run") + " does it");
  }
  std::vector<std::string> known;
  if (auto runs = reader.runs(located.pipeline, 1000)) {
    for (const auto& run : *runs) known.push_back(run.id);
  }
  std::string hint = did_you_mean(id, known);
  if (hint.empty()) hint = arguments.same_project("runs list") + " lists them";
  return pf::refuse("runs.unknown", "there is no run '" + id + "' of " + located.pipeline, std::move(hint));
}

Result<Chosen> choose(const Arguments& arguments, const Located& located) {
  auto reader = state::Reader::open(located.state_folder);
  if (!reader) return tl::unexpected(reader.error());
  auto run = find_run(arguments, located, **reader, arguments.operand);
  if (!run) return tl::unexpected(run.error());
  return Chosen{std::move(*reader), std::move(*run)};
}

// ---- diff

/// One thing that two runs have not alike; as JSON text, empty where there is none.
struct Change {
  std::string path, from, to;
};

void compare(const std::string& path, const Json& from, const Json& to, std::vector<Change>& out) {
  if (from == to) return;
  if (!from.is_object() || !to.is_object()) {
    out.push_back({path, to_json_text(from), to_json_text(to)});
    return;
  }
  for (const auto& [key, value] : from.items()) {
    const auto other = to.find(key);
    if (other == to.end())
      out.push_back({path + "." + key, to_json_text(value), {}});
    else
      compare(path + "." + key, value, *other, out);
  }
  for (const auto& [key, value] : to.items()) {
    if (!from.contains(key)) out.push_back({path + "." + key, {}, to_json_text(value)});
  }
}

Json map_of(const std::string& cbor) {
  if (cbor.empty()) return Json::object();
  auto value = from_cbor(cbor);
  return value ? std::move(*value) : Json("(cannot be read)");
}

bool takes_time(const InstanceRecord& record) {
  return record.result != InstanceResult::cached && record.attempts > 0;
}

// Whether people would call it another duration.
bool differs(Milliseconds from, Milliseconds to) {
  constexpr Milliseconds kLeast{100};
  const Milliseconds apart = from > to ? from - to : to - from;
  return apart >= kLeast && apart * 5 >= std::max(from, to);
}

std::vector<Change> changes_of(const InstanceRecord* from, const InstanceRecord* to) {
  std::vector<Change> out;
  const auto result = [](const InstanceRecord* record) {
    return record == nullptr ? std::string() : '"' + std::string(state::to_text(record->result)) + '"';
  };
  if (result(from) != result(to)) out.push_back({"result", result(from), result(to)});
  if (from == nullptr || to == nullptr) return out;
  // Only what succeeded says what it was made of.
  if (!from->config.empty() && !to->config.empty()) {
    compare("config", map_of(from->config), map_of(to->config), out);
  }
  if (!from->context.empty() && !to->context.empty() && from->context != to->context) {
    const auto a = parse_json(from->context);
    const auto b = parse_json(to->context);
    if (a && b) compare("context", *a, *b, out);
  }
  compare("outputs", map_of(from->outputs), map_of(to->outputs), out);
  if (takes_time(*from) && takes_time(*to) && differs(from->duration, to->duration)) {
    out.push_back(
        {"duration", '"' + format_duration(from->duration) + '"', '"' + format_duration(to->duration) + '"'});
  }
  return out;
}

void append_change_text(std::string& out, const Change& change) {
  constexpr size_t kWidth = 100;
  const auto side = [](const std::string& text) {
    return text.empty() ? std::string("(none)") : report::visible(shorten(text, kWidth));
  };
  out += "  " + report::visible(change.path) + ": " + side(change.from) + " -> " + side(change.to) + '\n';
}

// ---- export

void append_text(std::string& out, const char* name, std::string_view text) {
  out.append(",\"").append(name).append("\":");
  report::append_json_string(out, text);
}

void append_number(std::string& out, const char* name, uint64_t value) {
  out.append(",\"").append(name).append("\":").append(std::to_string(value));
}

// A text that holds JSON; left out where it is empty or holds none.
void append_raw(std::string& out, const char* name, const std::string& json) {
  if (json.empty()) return;
  if (const auto value = parse_json(json))
    out.append(",\"").append(name).append("\":").append(to_json_text(*value));
}

void append_cbor_value(std::string& out, const char* name, const std::string& cbor) {
  if (cbor.empty()) return;
  const size_t before = out.size();
  out.append(",\"").append(name).append("\":");
  if (!report::append_json_value(out, cbor)) out.resize(before);
}

void append_run(std::string& out, const RunRecord& run) {
  out += "\"run\":";
  report::append_json_string(out, run.id);
  append_text(out, "pipeline", run.pipeline);
  append_text(out, "file", run.file);
  append_text(out, "kind", state::to_text(run.kind));
  append_text(out, "profile", run.profile);
  out += ",\"result\":";
  out += run.result == state::RunResult::none ? "null" : '"' + std::string(state::to_text(run.result)) + '"';
  append_text(out, "started", rfc3339(run.started));
  if (run.result != state::RunResult::none) append_text(out, "finished", rfc3339(run.finished));
  append_number(out, "total", run.instances);
  append_raw(out, "cleanups", run.cleanups);
  append_raw(out, "details", run.details);
}

void append_instance(std::string& out, const InstanceRecord& record) {
  out += "{\"instance\":";
  report::append_json_string(out, record.address);
  append_number(out, "index", record.instance);
  append_text(out, "result", state::to_text(record.result));
  append_number(out, "attempts", record.attempts);
  append_text(out, "started", rfc3339(record.started));
  append_number(out, "duration_ms", static_cast<uint64_t>(record.duration.count()));
  append_number(out, "cpu_us", record.cpu_us);
  append_number(out, "peak_bytes", record.peak_bytes);
  if (!record.run.empty()) append_text(out, "ran_in", record.run);
  if (!record.blocked_by.empty()) append_text(out, "blocked_by", record.blocked_by);
  append_cbor_value(out, "outputs", record.outputs);
  append_raw(out, "error", record.error);
  append_cbor_value(out, "config", record.config);
  append_raw(out, "context", record.context);
  append_raw(out, "reads", record.reads);
  out += '}';
}

void append_attempt(std::string& out, const state::AttemptEnd& attempt) {
  out += "{\"instance\":";
  report::append_json_string(out, attempt.address);
  append_number(out, "attempt", attempt.attempt);
  append_text(out, "result", state::to_text(attempt.result));
  append_text(out, "started", rfc3339(attempt.started));
  append_number(out, "duration_ms", static_cast<uint64_t>(attempt.duration.count()));
  append_number(out, "cpu_us", attempt.cpu_us);
  append_number(out, "peak_bytes", attempt.peak_bytes);
  append_number(out, "read_bytes", attempt.read_bytes);
  append_number(out, "write_bytes", attempt.write_bytes);
  append_raw(out, "error", attempt.error);
  out += '}';
}

void append_hook(std::string& out, const state::HookRecord& hook) {
  out += "{\"stage\":";
  report::append_json_string(out, hook.stage);
  append_text(out, "instance", hook.address);
  append_text(out, "script", hook.script);
  append_text(out, "decision", hook.decision);
  append_text(out, "text", hook.text);
  append_text(out, "time", rfc3339(hook.at));
  append_number(out, "duration_ms", static_cast<uint64_t>(hook.duration.count()));
  out += '}';
}

template <class List, class Append>
void append_list(Screen& screen, const char* name, const List& list, Append append) {
  screen.text().append(",\"").append(name).append("\":[");
  bool first = true;
  for (const auto& item : list) {
    if (!std::exchange(first, false)) screen.text() += ',';
    append(screen.text(), item);
    screen.out.flush_if_large();
  }
  screen.text() += ']';
}

}  // namespace

int runs_list(const Arguments& arguments, Screen& screen) {
  const auto located = locate(arguments);
  if (!located) return refuse(screen, arguments, located.error());
  // Asked before reading: see status.cc.
  const bool held = state::Lock::held_by(located->state_folder).has_value();
  std::vector<RunRecord> runs;
  if (const auto reader = state::Reader::open(located->state_folder)) {
    auto found = (*reader)->runs(located->pipeline, arguments.limit.value_or(kDefaultLimit));
    if (!found) return refuse(screen, arguments, found.error());
    runs = std::move(*found);
  } else if (reader.error().code != "state.none") {
    return refuse(screen, arguments, reader.error());
  }
  if (arguments.json()) {
    report::write_runs_json(screen.out, located->pipeline, runs, held);
  } else if (runs.empty() && !arguments.quiet) {
    screen.text() += report::visible(located->pipeline) +
                     " was not run yet: " + arguments.same_project("run") + " does it\n";
  } else {
    report::append_runs_text(screen.text(), runs, held, Clock::system().wall());
  }
  return 0;
}

int runs_show(const Arguments& arguments, Screen& screen) {
  const auto located = locate(arguments);
  if (!located) return refuse(screen, arguments, located.error());
  auto holder = state::Lock::held_by(located->state_folder);
  auto chosen = choose(arguments, *located);
  if (!chosen) return refuse(screen, arguments, chosen.error());
  report::Status status;
  status.pipeline = located->pipeline;
  auto last = chosen->reader->last_run(located->pipeline);
  if (!last) return refuse(screen, arguments, last.error());
  // Of what has no end only the last can be going on.
  if (holder && *last && (*last)->id == chosen->run.id) {
    status.held = true;
    status.holder = std::move(*holder);
  }
  auto instances = chosen->reader->instances(chosen->run.id);
  if (!instances) return refuse(screen, arguments, instances.error());
  status.instances = std::move(*instances);
  auto expansions = chosen->reader->expansions(chosen->run.id);
  if (!expansions) return refuse(screen, arguments, expansions.error());
  for (auto& [address, items] : *expansions) status.expanded.push_back(address);
  auto attempts = chosen->reader->attempts(chosen->run.id);
  if (!attempts) return refuse(screen, arguments, attempts.error());
  status.attempts = std::move(*attempts);
  auto hooks = chosen->reader->hooks(chosen->run.id);
  if (!hooks) return refuse(screen, arguments, hooks.error());
  status.hooks = std::move(*hooks);
  status.run = std::move(chosen->run);
  if (arguments.json()) {
    report::write_status_json(screen.out, status);
    return 0;
  }
  report::StatusOptions options;
  options.quiet = arguments.quiet;
  options.verbose = !arguments.quiet;
  options.now = Clock::system().wall();
  report::append_status_text(screen.text(), status, options);
  return 0;
}

int runs_diff(const Arguments& arguments, Screen& screen) {
  const auto located = locate(arguments);
  if (!located) return refuse(screen, arguments, located.error());
  auto reader = state::Reader::open(located->state_folder);
  if (!reader) return refuse(screen, arguments, reader.error());
  std::map<std::string, std::pair<InstanceRecord, InstanceRecord>> both;
  std::map<std::string, std::pair<bool, bool>> there;
  std::string ids[2];
  for (const bool second : {false, true}) {
    auto run = find_run(arguments, *located, **reader, second ? arguments.second : arguments.operand);
    if (!run) return refuse(screen, arguments, run.error());
    ids[second ? 1 : 0] = run->id;
    auto records = (*reader)->instances_in_full(run->id);
    if (!records) return refuse(screen, arguments, records.error());
    for (auto& record : *records) {
      (second ? there[record.address].second : there[record.address].first) = true;
      auto& pair = both[record.address];
      (second ? pair.second : pair.first) = std::move(record);
    }
  }
  std::string& out = screen.text();
  if (arguments.json()) {
    out += "{\"pipeline\":";
    report::append_json_string(out, located->pipeline);
    append_text(out, "from", ids[0]);
    append_text(out, "to", ids[1]);
    out += ",\"instances\":{";
  }
  size_t differing = 0;
  for (const auto& [address, pair] : both) {
    const auto& known = there[address];
    const auto changes =
        changes_of(known.first ? &pair.first : nullptr, known.second ? &pair.second : nullptr);
    if (changes.empty()) continue;
    ++differing;
    if (!arguments.json()) {
      out += report::visible(address) + '\n';
      for (const Change& change : changes) append_change_text(out, change);
      screen.out.flush_if_large();
      continue;
    }
    if (differing > 1) out += ',';
    report::append_json_string(out, address);
    out += ":[";
    for (const Change& change : changes) {
      out += &change == &changes.front() ? "{\"what\":" : ",{\"what\":";
      report::append_json_string(out, change.path);
      out += ",\"from\":" + (change.from.empty() ? "null" : change.from);
      out += ",\"to\":" + (change.to.empty() ? "null" : change.to) + '}';
    }
    out += ']';
    screen.out.flush_if_large();
  }
  if (arguments.json()) {
    out += "}}\n";
  } else if (differing == 0 && !arguments.quiet) {
    out += "nothing differs between " + report::visible(ids[0]) + " and " + report::visible(ids[1]) + '\n';
  }
  return 0;
}

int runs_prune(const Arguments& arguments, Screen& screen) {
  const auto located = locate(arguments);
  if (!located) return refuse(screen, arguments, located.error());
  state::PruneOptions options;
  options.pipeline = located->pipeline;
  if (arguments.keep) options.keep = *arguments.keep;
  if (arguments.older) options.begun_before = Clock::system().wall() - *arguments.older;
  auto lock = Result<state::Lock>(tl::unexpected(Error()));
  auto chosen = state::prunable(located->state_folder, options);
  if (!chosen && chosen.error().code == "state.none") chosen = std::vector<std::string>();
  if (!chosen) return refuse(screen, arguments, chosen.error());
  if (!chosen->empty()) {
    lock = state::Lock::acquire(located->state_folder, arguments.line);
    if (!lock) return refuse(screen, arguments, lock.error());
    // Once more, now that nobody else can write.
    chosen = state::prunable(located->state_folder, options);
    if (!chosen) return refuse(screen, arguments, chosen.error());
  }
  if (!arguments.json() && !arguments.quiet) {
    if (chosen->empty()) screen.text() += "no run may go\n";
    for (const auto& id : *chosen) screen.text() += report::visible(id) + '\n';
    screen.out.flush();
  }
  if (!chosen->empty() && !arguments.yes) {
    if (!can_ask()) {
      return refuse(screen, arguments,
                    pf::refuse("runs.unconfirmed",
                               "nothing was removed: nobody can be asked whether " +
                                   report::count_of(chosen->size(), "run") + " may go",
                               "add --yes")
                        .value());
    }
    if (!answers_yes("Remove " + report::count_of(chosen->size(), "run"))) {
      screen.text() += "nothing was removed\n";
      return 0;
    }
  }
  const auto pruned = state::prune(located->state_folder, *chosen);
  if (!pruned) return refuse(screen, arguments, pruned.error());
  if (arguments.json()) {
    screen.text() +=
        to_json_text(Json{
            {"pipeline", located->pipeline}, {"removed", pruned->runs}, {"freed_bytes", pruned->bytes}}) +
        '\n';
  } else if (!chosen->empty()) {
    screen.text() += "removed " + report::count_of(pruned->runs.size(), "run") + ", " +
                     format_bytes(pruned->bytes) + " freed\n";
  }
  return 0;
}

int runs_export(const Arguments& arguments, Screen& screen) {
  const auto located = locate(arguments);
  if (!located) return refuse(screen, arguments, located.error());
  const auto chosen = choose(arguments, *located);
  if (!chosen) return refuse(screen, arguments, chosen.error());
  const std::string& id = chosen->run.id;
  const auto instances = chosen->reader->instances_in_full(id);
  if (!instances) return refuse(screen, arguments, instances.error());
  const auto attempts = chosen->reader->attempts(id);
  if (!attempts) return refuse(screen, arguments, attempts.error());
  const auto hooks = chosen->reader->hooks(id);
  if (!hooks) return refuse(screen, arguments, hooks.error());
  const auto expansions = chosen->reader->expansions(id);
  if (!expansions) return refuse(screen, arguments, expansions.error());
  screen.text() += "{\"schema\":1,";
  append_run(screen.text(), chosen->run);
  append_list(screen, "instances", *instances, append_instance);
  append_list(screen, "attempts", *attempts, append_attempt);
  append_list(screen, "hooks", *hooks, append_hook);
  append_list(screen, "expansions", *expansions, [](std::string& out, const auto& expansion) {
    out += "{\"instance\":";
    report::append_json_string(out, expansion.first);
    append_raw(out, "items", expansion.second);
    out += '}';
  });
  screen.text() += "}\n";
  return 0;
}

}  // namespace pf::cli
