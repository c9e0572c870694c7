#include "report/github.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/text.h"
#include "report/summary.h"
#include "report/tally.h"
#include "report/visible.h"

namespace pf::report {
namespace {

using namespace orchestrator;

// Begins a line that is a command of ours; visible() text never holds it.
constexpr char kCommand = '\x01';
constexpr size_t kMostRows = 50;
constexpr size_t kMostCell = 300;

std::string escaped(std::string_view text, std::string_view special) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    if (special.find(c) == std::string_view::npos) {
      out += c;
      continue;
    }
    out += '%';
    out += kDigits[static_cast<unsigned char>(c) >> 4];
    out += kDigits[c & 0xF];
  }
  return out;
}

// Annotations are shown at files of the repository, by their path in it.
std::string path_in_workspace(const std::string& file) {
  namespace fs = std::filesystem;
  const char* workspace = std::getenv("GITHUB_WORKSPACE");
  if (workspace == nullptr || *workspace == '\0') return file;
  std::error_code code;
  const fs::path path = fs::absolute(file, code).lexically_normal();
  const fs::path relative = path.lexically_relative(fs::path(workspace).lexically_normal());
  return relative.empty() || *relative.begin() == ".." ? file : relative.string();
}

std::string visible_text(std::string_view text) { return join(visible_lines(text), "\n"); }

// Text in a cell of a Markdown table that GitHub shows: nothing of it is markup.
std::string cell(std::string_view text) {
  std::string out;
  for (char c : fit(visible(text.substr(0, kMostCell * 4)), kMostCell)) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      default:
        if (std::string_view("\\`*_{}[]()#+-.!|~@:").find(c) != std::string_view::npos) {
          out += "&#" + std::to_string(static_cast<unsigned char>(c)) + ';';
        } else {
          out += c;
        }
    }
  }
  return out;
}

// The runner trims what Unicode calls white space: where nothing printable of ASCII stands before, it may be
// a command.
bool reads_as_command(std::string_view line, size_t at) {
  return std::none_of(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(at),
                      [](char c) { return c > 0x20 && c < 0x7F; });
}

void append_guarded_line(std::string& out, std::string_view line) {
  if (!line.empty() && line[0] == kCommand) {
    out += line.substr(1);
    return;
  }
  const size_t colons = line.find("::");
  const bool command = colons != std::string_view::npos && reads_as_command(line, colons);
  for (size_t i = 0; i < line.size(); ++i) {
    out += line[i];
    if (command && i == colons) out += ' ';
    if (line.substr(i, 3) == "##[") out += ' ';
  }
}

class StepSummary final : public Observer {
 public:
  StepSummary(std::string file, Observer& tell) : file_(std::move(file)), tell_(tell) {}
  void on(const RunStarted& event) override { tally_.begin(event, {}); }
  void on(const InstanceFinished& event) override { tally_.finished(event); }
  void on(const RunFailure& event) override { tally_.run_failed(*event.error); }
  void on(const RunFinished& event) override {
    UniqueFd fd(::open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
    Result<void> written;
    if (fd) {
      written = write_all(fd.get(), step_summary(tally_, event));
    } else {
      written = tl::unexpected(system_error("cannot open " + file_, errno));
    }
    if (written) return;
    Error error;
    error.code = "report.write";
    error.message = "the summary of the job could not be written: " + written.error().message;
    error.hint = "look at GITHUB_STEP_SUMMARY; the run is not affected";
    tell_.on(RunFailure{event.time, &error});
  }
  void on(const InstanceStarted&) override {}
  void on(const AttemptFailed&) override {}
  void on(const LogLine&) override {}
  void on(const Progress&) override {}
  void on(const Refused&) override {}
  void tick(SteadyTime) override {}

 private:
  std::string file_;
  Observer& tell_;
  Tally tally_;
};

}  // namespace

bool in_github_actions() {
  const char* set = std::getenv("GITHUB_ACTIONS");
  return set != nullptr && std::string_view(set) == "true";
}

std::string command_data(std::string_view text) { return escaped(text, "%\r\n"); }
std::string command_property(std::string_view text) { return escaped(text, "%\r\n:,"); }

void append_annotation(std::string& out, const Error& error, std::string_view title) {
  std::string properties;
  const auto add = [&](const char* name, const std::string& value) {
    properties += (properties.empty() ? " " : ",") + std::string(name) + '=' + command_property(value);
  };
  if (!error.where.file.empty()) {
    add("file", visible(path_in_workspace(error.where.file)));
    if (error.where.line != 0) add("line", std::to_string(error.where.line));
    if (error.where.line != 0 && error.where.column != 0) add("col", std::to_string(error.where.column));
  }
  if (!title.empty()) add("title", visible(title));
  std::string message = visible_text(error.message);
  if (!error.code.empty()) message += " [" + visible(error.code) + "]";
  if (!error.hint.empty()) message += "\nhint: " + visible_text(error.hint);
  out += kCommand;
  out += "::error" + properties + "::" + command_data(message) + '\n';
}

void append_group(std::string& out, std::string_view title, std::string_view lines) {
  out += kCommand;
  out += "::group::" + command_data(title) + '\n';
  out += lines;
  out += kCommand;
  out += "::endgroup::\n";
}

std::string guarded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t end = text.find('\n');
    append_guarded_line(out, text.substr(0, end));
    if (end == std::string_view::npos) break;
    out += '\n';
    text.remove_prefix(end + 1);
  }
  return out;
}

std::string step_summary(const Tally& tally, const RunFinished& event) {
  std::string out = "### " + cell(verdict(tally, event)) + "\n\n";
  if (const std::string text = nothing_to_do(event); !text.empty()) out += cell(text) + "\n\n";
  out += "| result | instances |\n| --- | ---: |\n";
  for (size_t i = 0; i < tally.counts().of.size(); ++i) {
    const auto result = static_cast<InstanceResult>(i);
    if (tally.counts()[result] == 0) continue;
    out += "| " + std::string(word_for(result)) + " | " + std::to_string(tally.counts()[result]) + " |\n";
  }
  out += '\n';
  for (const Error& error : tally.run_errors()) out += "Error: " + cell(error.message) + "\n\n";
  const auto& failures = tally.failures();
  if (!failures.empty()) {
    out += "| failed | attempts | time | error |\n| --- | ---: | ---: | --- |\n";
    for (size_t i = 0; i < failures.size() && i < kMostRows; ++i) {
      const Failure& failure = failures[i];
      std::string error = cell(failure.error.message);
      if (!failure.error.code.empty()) error += " (" + cell(failure.error.code) + ")";
      if (!failure.error.hint.empty()) error += "<br>hint: " + cell(failure.error.hint);
      out += "| " + cell(failure.address) + " | " + std::to_string(failure.attempts) + " | " +
             format_duration(failure.duration) + " | " + error + " |\n";
    }
    if (failures.size() > kMostRows)
      out += "\n… and " + std::to_string(failures.size() - kMostRows) + " more\n";
    out += '\n';
  }
  if (!event.command.empty()) out += "To go on: " + cell(event.command) + "\n\n";
  return out;
}

std::unique_ptr<Observer> make_step_summary(std::string file, Observer& tell) {
  return std::make_unique<StepSummary>(std::move(file), tell);
}

}  // namespace pf::report
