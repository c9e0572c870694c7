#include <fstream>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/project.h"
#include "report/visible.h"
#include "state/layout.h"
#include "state/store.h"

namespace pf::cli {
namespace {

constexpr size_t kFlush = 64 << 10;

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

}  // namespace

int logs(const Arguments& arguments, Screen& screen) {
  const auto located = locate(arguments);
  if (!located) return refuse(screen, arguments, located.error());
  const auto run = find_run(arguments, *located);
  if (!run) return refuse(screen, arguments, run.error());
  if (run->empty()) {
    if (!arguments.quiet && !arguments.json()) {
      screen.text() += report::visible(located->pipeline) +
                       " was not run yet: " + arguments.same_project("run") + " does it\n";
    }
    return 0;
  }
  if (arguments.reads) return reads(arguments, screen, *located, *run);
  const state::Layout layout(located->state_folder);
  // A run that asked for nothing has no audit record.
  std::ifstream file(arguments.audit ? layout.audit(*run) : layout.log(*run));
  bool any = false;
  for (std::string raw; std::getline(file, raw);) {
    const auto line = parse_json(raw);
    // The last line of a run that is going on, or was killed, may not be whole.
    if (!line || !line->is_object()) continue;
    if (!arguments.operand.empty() && text_of(*line, "instance") != arguments.operand) continue;
    any = true;
    if (arguments.json()) {
      screen.text() += raw + '\n';
    } else {
      for (const std::string& shown :
           report::visible_lines(arguments.audit ? audit_text(*line) : log_text(*line)))
        screen.text() += shown + '\n';
    }
    if (screen.text().size() > kFlush) screen.out.flush();
  }
  if (!any && !arguments.quiet && !arguments.json()) {
    screen.text() += std::string(arguments.audit ? "nothing was asked for" : "nothing was logged") +
                     " in run " + report::visible(*run) +
                     (arguments.operand.empty() ? "" : " by " + report::visible(arguments.operand)) + '\n';
  }
  return 0;
}

}  // namespace pf::cli
