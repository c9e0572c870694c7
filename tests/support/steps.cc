#include "support/steps.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace pf::test {

Steps::Steps() {
  extension("t", execute(R"(
    local n = (forge.fs.exists('n') and tonumber(forge.fs.read('n')) or 0) + 1
    forge.fs.write('n', tostring(n))
    forge.log.info('executing')
    if config.spin then while true do end end
    if config.wait and n >= config.wait then
      repeat forge.time.sleep(0.01) until forge.fs.exists('go')
    end
    if n <= config.failures then error(config.says .. ' ' .. n) end
    forge.log.info('done')
    outputs.ran = n
    outputs.value = config.value)"),
            "", R"(
local s = require 'schema'
return {Config = s.object {
  value = s.optional(s.any {}), wait = s.optional(s.integer {}), failures = s.integer {default = 0},
  says = s.string {default = 'step'}, spin = s.boolean {default = false}}}
)");
}

Process::Options Steps::running(const std::string& yaml, std::vector<std::string> more,
                                std::map<std::string, std::string> environment) const {
  write("p.yaml", yaml);
  std::vector<std::string> args = {"run", "p.yaml", "--format", "json"};
  args.insert(args.end(), more.begin(), more.end());
  auto options = command(std::move(args));
  for (auto& [name, value] : environment) options.environment[name] = value;
  return options;
}

RunResult Steps::run(const std::string& yaml, std::vector<std::string> more) const {
  return run_pipeline(*this, yaml, std::move(more));
}

void Steps::let_go(const std::string& name) const { write(".pangeo-forge/work/t/" + name + "/go", ""); }

void Steps::let_all_go() const {
  for (const auto& entry : std::filesystem::directory_iterator(path() / ".pangeo-forge/work/t")) {
    write(std::filesystem::relative(entry.path(), path()).string() + "/go", "");
  }
}

int Steps::executed(const std::string& name) const {
  const std::string count = read(".pangeo-forge/work/t/" + name + "/n");
  return count.empty() ? 0 : std::stoi(count);
}

RunResult told(Output output) {
  RunResult run;
  run.output = std::move(output);
  // Of a process that was killed the last line may be cut.
  run.all = events(run.output.out.substr(0, run.output.out.rfind('\n') + 1));
  run.finished = last(run.all, "run_finished");
  return run;
}

std::function<bool(const std::string&)> seen(std::vector<std::string> wanted) {
  return [wanted = std::move(wanted), at = size_t{0}](const std::string& out) mutable {
    // Only what is new is read, line by line.
    for (size_t end = 0; (end = out.find('\n', at)) != std::string::npos; at = end + 1) {
      const auto event = parse_json(out.substr(at, end - at));
      if (!event || !event->is_object()) continue;
      const Json instance = event->value("instance", Json());
      const std::string text =
          event->value("event", "") + (instance.is_string() ? " " + instance.get<std::string>() : "");
      if (event->value("message", "") == "done") continue;
      const auto found = std::find(wanted.begin(), wanted.end(), text);
      if (found != wanted.end()) wanted.erase(found);
    }
    return wanted.empty();
  };
}

std::vector<Json> each(const RunResult& run, const std::string& event, const std::string& field) {
  std::vector<Json> out;
  for (const Json& one : run.all) {
    if (one.value("event", "") == event) out.push_back(one.value(field, Json()));
  }
  return out;
}

std::vector<std::string> starts(const RunResult& run) {
  std::vector<std::string> out;
  for (const Json& one : run.all) {
    if (one.value("event", "") != "instance_started") continue;
    out.push_back(one["instance"].get<std::string>() + " " + std::to_string(one["attempt"].get<int>()));
  }
  return out;
}

int most_at_once(const RunResult& run, const std::vector<std::string>& instances) {
  int now = 0;
  int most = 0;
  for (const Json& one : run.all) {
    if (one.value("event", "") != "log") continue;
    const std::string instance = one["instance"].get<std::string>();
    if (!instances.empty() && std::find(instances.begin(), instances.end(), instance) == instances.end())
      continue;
    now += one["message"] == "executing" ? 1 : -1;
    most = std::max(most, now);
  }
  return most;
}

std::vector<std::string> results(const RunResult& run) {
  std::vector<std::string> out;
  if (!run.finished.is_object()) return out;
  for (const auto& [address, instance] : run.finished["instances"].items()) {
    out.push_back(address + " " + instance["result"].get<std::string>());
  }
  return out;
}

}  // namespace pf::test
