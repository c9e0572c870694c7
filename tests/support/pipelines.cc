#include "support/pipelines.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <sstream>

#include "support/leftovers.h"

namespace pf::test {

void Project::extension(const std::string& name, const std::string& lua, const std::string& manifest,
                        const std::string& models) const {
  const std::string folder = "extensions/" + name + "/";
  write(folder + "extension.yaml",
        "name: " + name + "\nversion: 1.0.0\nsummary: Made by a test\n" + manifest);
  write(folder + "extension.lua", lua);
  if (!models.empty()) write(folder + "models.lua", models);
}

Process::Options Project::command(std::vector<std::string> args) const {
  Process::Options options;
  options.argv = {program()};
  options.argv.insert(options.argv.end(), args.begin(), args.end());
  options.folder = path();
  options.uid = user_;
  if (user_ != 0) {
    options.environment["HOME"] = path() / "home";
    write("home/.keep", "");
    const auto give = [&](const std::filesystem::path& at) {
      if (lchown(at.c_str(), user_, user_) != 0) throw std::runtime_error("lchown");
    };
    give(path());
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path())) give(entry.path());
  }
  return options;
}

Output Project::forge(std::vector<std::string> args, std::map<std::string, std::string> environment) const {
  auto options = command(std::move(args));
  for (const auto& [name, value] : environment) options.environment[name] = value;
  return run(std::move(options));
}

std::vector<Json> events(const std::string& out) {
  std::vector<Json> all;
  std::istringstream lines(out);
  for (std::string line; std::getline(lines, line);) {
    auto value = parse_json(line);
    EXPECT_TRUE(value) << "no JSON: " << line;
    if (value) all.push_back(std::move(*value));
  }
  return all;
}

Json last(const std::vector<Json>& events, const std::string& name) {
  for (auto at = events.rbegin(); at != events.rend(); ++at) {
    if (at->value("event", "") == name) return *at;
  }
  return nullptr;
}

namespace {
Json instance_of(const RunResult& run, const std::string& instance) {
  if (!run.finished.is_object()) return nullptr;
  const auto& instances = run.finished.at("instances");
  if (instances.is_object()) return instances.value(instance, Json());
  for (const auto& item : instances) {
    if (item.value("instance", "") == instance) return item;
  }
  return nullptr;
}
}  // namespace

std::string RunResult::result(const std::string& instance) const {
  const Json item = instance_of(*this, instance);
  return item.is_object() ? item.value("result", "") : "";
}

Json RunResult::outputs(const std::string& instance) const {
  const Json item = instance_of(*this, instance);
  return item.is_object() ? item.value("outputs", Json()) : Json();
}

std::string RunResult::error_code(const std::string& instance) const {
  const Json item = instance_of(*this, instance);
  return item.is_object() && item.contains("error") ? item["error"].value("code", "") : "";
}

std::string RunResult::error_message(const std::string& instance) const {
  const Json item = instance_of(*this, instance);
  return item.is_object() && item.contains("error") ? item["error"].value("message", "") : "";
}

RunResult run_pipeline(const Project& project, const std::string& yaml, std::vector<std::string> more,
                       std::map<std::string, std::string> environment, uint64_t processes) {
  project.write("p.yaml", yaml);
  std::vector<std::string> args = {"run", "p.yaml", "--format", "json"};
  args.insert(args.end(), more.begin(), more.end());
  RunResult out;
  auto options = project.command(std::move(args));
  for (const auto& [name, value] : environment) options.environment[name] = value;
  options.processes = processes;
  Leftovers leftovers;
  out.output = run(std::move(options));
  out.left = leftovers.wait();
  out.all = events(out.output.out);
  out.finished = last(out.all, "run_finished");
  return out;
}

std::string execute(const std::string& body) {
  return "local forge = require 'forge'\nlocal E = forge.extension {}\nfunction E:execute()\n"
         "  local config, outputs = self.config, self.outputs\n" +
         body + "\nend\nreturn E\n";
}

}  // namespace pf::test
