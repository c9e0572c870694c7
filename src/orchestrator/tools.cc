#include "orchestrator/tools.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "base/program_path.h"
#include "base/text.h"
#include "extension/semver.h"

namespace pf::orchestrator {
namespace {

namespace fs = std::filesystem;

constexpr Milliseconds kTimeout{30000};
constexpr size_t kKept = 64 << 10;  // bytes of what a probe prints
constexpr size_t kShown = 200;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// A folder for the probes, gone when they have ended.
class Scratch {
 public:
  Scratch() {
    std::error_code code;
    std::string pattern = (fs::temp_directory_path(code) / "pangeo-forge-tools-XXXXXX").string();
    if (::mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ~Scratch() {
    std::error_code code;
    if (!path_.empty()) fs::remove_all(path_, code);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// What one command said.
struct Probe {
  std::string out, err;
  worker::ProgramEnd end;
  bool missing = false;
};

worker::Program make_program(const std::vector<std::string>& command, const std::string& file,
                             const std::string& folder) {
  worker::Program out;
  out.timeout = kTimeout;
  out.spec.file = file;
  out.spec.arguments = command;
  out.spec.environment = {"PATH=" + program_path(), "HOME=" + folder, "TMPDIR=" + folder, "LANG=C.UTF-8",
                          "TERM=dumb"};
  out.spec.folder = folder;
  out.spec.write = {{folder}};
  return out;
}

Error tool_error(const extension::Tool& tool, std::string code, std::string message, std::string hint) {
  Error error;
  error.code = std::move(code);
  error.message = tool.where.path + ": " + std::move(message);
  error.hint = std::move(hint);
  error.where = tool.where;
  error.retryable = false;
  return error;
}

std::optional<Error> judge(const extension::Tool& tool, const Probe& probe, const std::string& version) {
  const std::string command = "'" + join(tool.probe, " ") + "'";
  if (probe.missing) {
    return tool_error(tool, "tool.missing", "there is no program " + tool.probe.front() + " on PATH",
                      "install " + tool.name + (tool.range.empty() ? "" : " " + tool.range) +
                          ", or add its folder to PATH before you start pangeo-forge");
  }
  if (probe.end.error) return probe.end.error;
  const std::string said = shorten(probe.err.empty() ? probe.out : probe.err, kShown);
  if (probe.end.timed_out || probe.end.status != 0) {
    const std::string how = probe.end.timed_out ? "was ended after " + format_duration(kTimeout)
                            : WIFEXITED(probe.end.status)
                                ? "ended with exit status " + std::to_string(WEXITSTATUS(probe.end.status))
                                : "was killed by signal " + std::to_string(WTERMSIG(probe.end.status));
    return tool_error(tool, "tool.failed", command + " " + how + (said.empty() ? "" : ": " + said),
                      "run it yourself, or correct `probe`: it must print the version and need no network");
  }
  if (version.empty()) {
    return tool_error(tool, "tool.unreadable",
                      command + " printed no version" + (said.empty() ? "" : ": " + said),
                      "correct `probe` in extension.yaml");
  }
  if (tool.range.empty()) return std::nullopt;
  const auto range = extension::SemVerRange::parse(tool.range);
  const auto number = extension::SemVer::parse(version);
  if (range && number && range->contains(*number)) return std::nullopt;
  return tool_error(tool, "tool.version", "found " + tool.name + " " + version + ", expected " + tool.range,
                    "install a version that fits; the one on PATH is " +
                        find_program(tool.probe.front()).value_or(tool.probe.front()));
}

}  // namespace

std::string tool_key(const extension::Tool& tool) {
  const bool usual = tool.probe.size() == 2 && tool.probe[0] == tool.name && tool.probe[1] == "--version";
  return usual ? tool.name : tool.name + " (" + join(tool.probe, " ") + ")";
}

std::string version_in(std::string_view text) {
  for (size_t at = 0; at < text.size(); ++at) {
    if (!is_digit(text[at])) continue;
    const char before = at == 0 ? ' ' : text[at - 1];
    const bool word_begins = at < 2 || !is_word(text[at - 2]);
    const bool begins =
        !(is_word(before) || before == '.') || ((before == 'v' || before == 'V') && word_begins);
    std::array<std::string, 3> numbers = {"", "0", "0"};
    size_t count = 0;
    size_t end = at;
    while (count < 3 && end < text.size() && is_digit(text[end])) {
      const size_t from = end;
      while (end < text.size() && is_digit(text[end])) ++end;
      size_t first = from;
      while (first + 1 < end && text[first] == '0') ++first;
      numbers[count++] = text.substr(first, std::min<size_t>(end - first, 15));
      if (end + 1 >= text.size() || text[end] != '.' || !is_digit(text[end + 1])) break;
      if (count < 3) ++end;
    }
    if (begins && count >= 2) {
      std::string version = numbers[0] + "." + numbers[1] + "." + numbers[2];
      if (count == 3 && end < text.size() && text[end] == '-') {
        size_t last = end + 1;
        while (last < text.size() && (is_word(text[last]) || text[last] == '.' || text[last] == '-')) ++last;
        const std::string longer = version + std::string(text.substr(end, last - end));
        if (extension::SemVer::parse(longer)) version = longer;
      }
      return version;
    }
    at = end - 1;
  }
  return {};
}

std::vector<ToolFinding> probe_tools(asio::io_context& loop, worker::Programs& programs,
                                     const Project& project, ToolVersions& versions) {
  std::map<std::vector<std::string>, Probe> probes;
  for (const auto& [type, loaded] : project.extensions) {
    for (const auto& tool : loaded.package.manifest.tools) probes.try_emplace(tool.probe);
  }
  if (probes.empty()) return {};
  const Scratch scratch;
  size_t open = 0;
  for (auto& [command, probe] : probes) {
    const auto file = find_program(command.front());
    probe.missing = !file;
    if (!file) continue;
    ++open;
    programs.start(
        make_program(command, *file, scratch.path()),
        [&probe](int stream, std::string_view bytes) {
          std::string& to = stream == 1 ? probe.out : probe.err;
          to.append(bytes.substr(0, kKept - std::min(kKept, to.size())));
        },
        [&probe, &open](worker::ProgramEnd end) {
          probe.end = std::move(end);
          --open;
        });
  }
  while (open > 0 && loop.run_one() > 0) {
  }
  loop.restart();
  for (const auto& [command, probe] : probes) {
    std::string version = version_in(probe.out);
    if (version.empty()) version = version_in(probe.err);
    versions[command] = std::move(version);
  }
  std::vector<ToolFinding> out;
  for (const auto& [type, loaded] : project.extensions) {
    for (const auto& tool : loaded.package.manifest.tools) {
      const std::string& version = versions.at(tool.probe);
      out.push_back({loaded.package.manifest.name, tool.name, tool_key(tool), version,
                     judge(tool, probes.at(tool.probe), version)});
    }
  }
  return out;
}

bool declares_tools(const Project& project) {
  return std::any_of(project.extensions.begin(), project.extensions.end(),
                     [](const auto& extension) { return !extension.second.package.manifest.tools.empty(); });
}

tl::expected<void, Errors> learn_tools(asio::io_context& loop, worker::Programs& programs,
                                       const Project& project, ToolVersions& versions,
                                       api::Versions& current) {
  Errors unfit;
  for (auto& finding : probe_tools(loop, programs, project, versions)) {
    if (finding.error) unfit.push_back(std::move(*finding.error));
    current.set_tool(finding.key, finding.version);
  }
  if (!unfit.empty()) return tl::unexpected(std::move(unfit));
  return {};
}

}  // namespace pf::orchestrator
