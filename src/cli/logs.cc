#include <algorithm>
#include <fstream>
#include <map>
#include <memory>
#include <thread>
#include <utility>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/project.h"
#include "report/visible.h"
#include "state/layout.h"
#include "state/store.h"

namespace pf::cli {
namespace {

constexpr size_t kFlush = 64 << 10;
constexpr Milliseconds kPause{100};  // between two looks at a run that goes on

std::string text_of(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// `14:45:32`, of a time in RFC 3339.
std::string clock_of(const Json& line) {
  const std::string time = text_of(line, "time");
  return time.size() >= 19 ? time.substr(11, 8) : time;
}

std::string log_text(const Json& line) {
  std::string out = clock_of(line) + "  " + text_of(line, "level");
  if (const std::string instance = text_of(line, "instance"); !instance.empty()) out += "  " + instance;
  out += "  " + text_of(line, "message");
  if (const auto fields = line.find("fields"); fields != line.end()) out += "  " + to_json_text(*fields);
  if (const std::string code = text_of(line, "code"); !code.empty()) out += "  [" + code + "]";
  return out;
}

std::string audit_text(const Json& line) {
  const std::string code = text_of(line, "code");
  std::string out = clock_of(line) + (code.empty() ? "  allowed  " : "  refused  ") +
                    text_of(line, "instance") + "  " + text_of(line, "call") + "  " + text_of(line, "target");
  if (const std::string to = text_of(line, "to"); !to.empty()) out += " -> " + to;
  if (line.contains("hop")) out += " (after a redirect)";
  if (!code.empty()) out += "  [" + code + "]";
  return out;
}

/// The run that is meant; empty where there was none yet.
Result<std::string> find_run(const Arguments& arguments, const Located& located) {
  const state::Layout layout(located.state_folder);
  std::error_code code;
  if (!arguments.run.empty()) {
    if (std::filesystem::is_directory(layout.run(arguments.run), code)) return arguments.run;
    return pf::refuse("logs.unknown_run", "there is no run '" + arguments.run + "'",
                      arguments.same_project("status") + " shows the last one");
  }
  const auto reader = state::Reader::open(located.state_folder);
  if (!reader) {
    if (reader.error().code == "state.none") return std::string();
    return tl::unexpected(reader.error());
  }
  auto run = (*reader)->last_run(located.pipeline);
  if (!run) return tl::unexpected(run.error());
  return *run ? (*run)->id : std::string();
}

std::string read_text(const std::string& address, const Json& item) {
  std::string out = address + "  " + text_of(item, "what") + "  " + text_of(item, "name") + "  ";
  const std::string version = text_of(item, "version");
  const std::string seen = text_of(item, "seen");
  out += version.empty() ? "(no version)" : version;
  if (!seen.empty() && seen != version) out += "  seen " + seen;
  return out;
}

// What the instances of a run read: from the store, since it belongs to their results.
int reads(const Arguments& arguments, Screen& screen, const Located& located, const std::string& run) {
  const auto reader = state::Reader::open(located.state_folder);
  if (!reader) return refuse(screen, arguments, reader.error());
  const auto records = (*reader)->instances(run);
  if (!records) return refuse(screen, arguments, records.error());
  const auto lists = (*reader)->reads(run);
  if (!lists) return refuse(screen, arguments, lists.error());
  bool any = false;
  for (const auto& record : *records) {
    const auto list = lists->find(record.instance);
    if (list == lists->end() || (!arguments.operand.empty() && record.address != arguments.operand)) continue;
    const auto items = parse_json(list->second);
    if (!items || !items->is_array()) continue;
    for (const Json& item : *items) {
      any = true;
      if (arguments.json()) {
        Json line = {{"instance", record.address}};
        line.update(item);
        screen.text() += to_json_text(line) + '\n';
      } else {
        screen.text() += report::visible(read_text(record.address, item)) + '\n';
      }
    }
    if (screen.text().size() > kFlush) screen.out.flush();
  }
  if (!any && !arguments.quiet && !arguments.json()) {
    screen.text() += "nothing was read in run " + report::visible(run) +
                     (arguments.operand.empty() ? "" : " by " + report::visible(arguments.operand)) + '\n';
  }
  return 0;
}

/// Tells the attempt that a line belongs to.
class AttemptsOf {
 public:
  AttemptsOf(state::Reader* reader, std::string run) : reader_(reader), run_(std::move(run)) {}

  /// Attempts begin while a run goes on.
  Result<void> refresh() {
    auto attempts = reader_->attempts(run_);
    if (!attempts) return tl::unexpected(attempts.error());
    starts_.clear();
    for (const auto& attempt : *attempts)
      starts_[attempt.address].emplace_back(attempt.started, attempt.attempt);
    for (auto& [address, starts] : starts_) std::sort(starts.begin(), starts.end());
    return {};
  }

  /// What the line says itself, else the last attempt of its instance that had begun; 0: none.
  uint32_t of(const Json& line) const {
    if (const auto said = line.find("attempt"); said != line.end() && said->is_number_unsigned()) {
      return said->get<uint32_t>();
    }
    const auto starts = starts_.find(text_of(line, "instance"));
    if (starts == starts_.end()) return 0;
    // Both are to the millisecond, so that they compare as texts.
    const std::string time = text_of(line, "time");
    uint32_t out = 0;
    for (const auto& [started, attempt] : starts->second) {
      if (out == 0 || rfc3339(started) <= time) out = attempt;
    }
    return out;
  }

 private:
  state::Reader* reader_;  // null where no attempt is asked for
  std::string run_;
  std::map<std::string, std::vector<std::pair<WallTime, uint32_t>>> starts_;
};

/// Reads a file of lines that another process may still append to.
class Tail {
 public:
  explicit Tail(std::filesystem::path path) : path_(std::move(path)) {}

  /// Calls `line` for each whole line that has come since; with `last` also for one without its end.
  template <class Line>
  void read(bool last, Line line) {
    if (!file_.is_open()) file_.open(path_, std::ios::binary);
    if (!file_.is_open()) return;
    file_.clear();
    char buffer[64 << 10];
    while (file_.read(buffer, sizeof buffer) || file_.gcount() > 0) {
      rest_.append(buffer, static_cast<size_t>(file_.gcount()));
      size_t from = 0;
      for (size_t end = 0; (end = rest_.find('\n', from)) != std::string::npos; from = end + 1) {
        line(std::string_view(rest_).substr(from, end - from));
      }
      rest_.erase(0, from);
    }
    if (last && !rest_.empty()) line(std::exchange(rest_, std::string()));
  }

 private:
  std::filesystem::path path_;
  std::ifstream file_;
  std::string rest_;
};

/// Prints the lines of a log that are asked for.
struct Printer {
  const Arguments& arguments;
  Screen& screen;
  const AttemptsOf& attempts;
  bool any = false;

  void operator()(std::string_view raw) {
    const auto line = parse_json(raw);
    // The last line of a run that was killed may not be whole.
    if (!line || !line->is_object()) return;
    if (!arguments.operand.empty() && text_of(*line, "instance") != arguments.operand) return;
    if (arguments.attempt != 0 && attempts.of(*line) != arguments.attempt) return;
    any = true;
    if (arguments.json()) {
      screen.text().append(raw) += '\n';
    } else {
      for (const std::string& shown :
           report::visible_lines(arguments.audit ? audit_text(*line) : log_text(*line)))
        screen.text() += shown + '\n';
    }
    if (screen.text().size() > kFlush) screen.out.flush();
  }
};

// The run that goes on, waiting for it to begin while somebody holds the state folder.
Result<std::string> wait_for_run(const Arguments& arguments, const Located& located) {
  while (true) {
    const bool held = state::Lock::held_by(located.state_folder).has_value();
    auto run = find_run(arguments, located);
    if (!run || !arguments.run.empty() || !held) return run;
    if (!run->empty()) {
      const auto reader = state::Reader::open(located.state_folder);
      if (!reader) return tl::unexpected(reader.error());
      auto record = (*reader)->run(*run);
      if (!record) return tl::unexpected(record.error());
      if (*record && (*record)->result == state::RunResult::none) return run;
    }
    std::this_thread::sleep_for(kPause);
  }
}

// Whether nothing more will be logged. A run's lines are written until its process lets the state folder go.
Result<bool> has_ended(state::Reader& reader, const Located& located, const std::string& run) {
  const bool held = state::Lock::held_by(located.state_folder).has_value();
  if (!held) return true;
  auto last = reader.last_run(located.pipeline);
  if (!last) return tl::unexpected(last.error());
  if (*last && (*last)->id == run) return false;
  auto record = reader.run(run);  // a resumed one need not be the last
  if (!record) return tl::unexpected(record.error());
  return !*record || (*record)->result != state::RunResult::none;
}

}  // namespace

int logs(const Arguments& arguments, Screen& screen) {
  const auto located = locate(arguments);
  if (!located) return refuse(screen, arguments, located.error());
  const auto run = arguments.follow ? wait_for_run(arguments, *located) : find_run(arguments, *located);
  if (!run) return refuse(screen, arguments, run.error());
  if (run->empty()) {
    if (!arguments.quiet && !arguments.json()) {
      screen.text() += report::visible(located->pipeline) +
                       " was not run yet: " + arguments.same_project("run") + " does it\n";
    }
    return 0;
  }
  if (arguments.reads) return reads(arguments, screen, *located, *run);
  const bool asks_store = arguments.follow || arguments.attempt != 0;
  std::unique_ptr<state::Reader> reader;
  if (asks_store) {
    auto opened = state::Reader::open(located->state_folder);
    if (!opened) return refuse(screen, arguments, opened.error());
    reader = std::move(*opened);
  }
  AttemptsOf attempts(reader.get(), *run);
  const state::Layout layout(located->state_folder);
  // A run that asked for nothing has no audit record.
  Tail tail(arguments.audit ? layout.audit(*run) : layout.log(*run));
  Printer printer{arguments, screen, attempts};
  for (bool ended = !arguments.follow;;) {
    if (arguments.attempt != 0) {
      if (auto known = attempts.refresh(); !known) return refuse(screen, arguments, known.error());
    }
    tail.read(ended, [&](std::string_view line) { printer(line); });
    if (ended) break;
    screen.out.flush();
    if (screen.out.failure() != 0) return 0;  // nobody reads any more
    auto over = has_ended(*reader, *located, *run);
    if (!over) return refuse(screen, arguments, over.error());
    ended = *over;  // then what came since is read once more
    if (!ended) std::this_thread::sleep_for(kPause);
  }
  if (!printer.any && !arguments.quiet && !arguments.json()) {
    screen.text() += std::string(arguments.audit ? "nothing was asked for" : "nothing was logged") +
                     " in run " + report::visible(*run) +
                     (arguments.operand.empty() ? "" : " by " + report::visible(arguments.operand)) +
                     (arguments.attempt == 0 ? "" : " in attempt " + std::to_string(arguments.attempt)) +
                     '\n';
  }
  return 0;
}

}  // namespace pf::cli
