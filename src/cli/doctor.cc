// Looks at the machine the way a run would: starts a worker, asks it what holds it, finds modules and
// extensions.

#include <dlfcn.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <asio/io_context.hpp>

#include "base/json.h"
#include "base/places.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/project.h"
#include "extension/package.h"
#include "orchestrator/tools.h"
#include "report/json_text.h"
#include "report/observer.h"
#include "report/paint.h"
#include "report/visible.h"
#include "state/store.h"
#include "worker/supervisor.h"

namespace pf::cli {
namespace {

namespace fs = std::filesystem;

enum class Health : uint8_t { ok, warn, fail };

/// One finding: what was looked at, how it is, and what to do about it.
struct Check {
  std::string name;
  Health health = Health::ok;
  std::string message;
  std::string hint;
};
using Checks = std::vector<Check>;

Check failed(std::string name, const Error& error) {
  const std::string where = error.where.text();
  return {std::move(name), Health::fail,
          (where.empty() ? "" : where + ": ") + error.message + " [" + error.code + "]", error.hint};
}

Check system_check() {
  utsname system{};
  ::uname(&system);
  Check check{
      "system", Health::ok, std::string(system.sysname) + ' ' + system.release + " on " + system.machine, {}};
  const std::string_view machine = system.machine;
  if (machine != "x86_64" && machine != "aarch64") {
    check.health = Health::warn;
    check.hint = "pangeo-forge is tested on x86_64 and aarch64 only";
  }
  return check;
}

Check seccomp_check(const Json& sandbox) {
  if (sandbox.value("seccomp", false)) {
    return {"seccomp", Health::ok, "extensions cannot open sockets or start programs by themselves", {}};
  }
  return {"seccomp", Health::fail, "workers run without a seccomp filter",
          "run on a kernel with CONFIG_SECCOMP_FILTER, outside of sandboxes that forbid it"};
}

// What each version of Landlock brought (Documentation/userspace-api/landlock.rst).
Check landlock_check(const Json& sandbox) {
  const int abi = sandbox.value("landlock_abi", 0);
  Check check{"landlock", Health::ok, {}, {}};
  if (abi == 0) {
    check.health = Health::warn;
    check.message =
        "this kernel offers no Landlock: files are guarded by seccomp alone, and runs are refused";
    check.hint =
        "use Linux 5.13 or later with landlock in its `lsm=` list, or accept it with `core: {sandbox: "
        "degraded}`";
    return check;
  }
  check.message = "version " + std::to_string(abi) + ": extensions cannot open files by themselves";
  if (abi >= 4) check.message += ", nor make TCP connections";
  if (abi >= 6) check.message += ", nor signal other processes";
  if (abi < 6) {
    check.message +=
        "; seccomp alone keeps them from " + std::string(abi < 4 ? "sockets and " : "") + "signals";
    check.hint = "Linux 6.12 or later guards these twice";
  }
  return check;
}

Check privileges_check(const Json& sandbox) {
  if (sandbox.value("no_new_privs", false) && sandbox.value("capabilities_dropped", false)) {
    return {"privileges", Health::ok, "workers have none and can gain none", {}};
  }
  return {"privileges", Health::fail, "workers keep privileges that they should have given up",
          "run pangeo-forge as an ordinary user"};
}

void worker_checks(Checks& checks) {
  asio::io_context loop(1);
  worker::Options options;
  options.program = places::worker_program();
  const auto begun = Clock::system().steady();
  const auto supervisor = worker::Supervisor::start(loop, options);
  if (!supervisor) {
    checks.push_back(failed("worker", supervisor.error()));
    return;
  }
  const auto took = std::chrono::duration_cast<Milliseconds>(Clock::system().steady() - begun);
  checks.push_back({"worker", Health::ok, "starts in " + format_duration(took), {}});
  const Json& sandbox = (*supervisor)->sandbox();
  checks.push_back(seccomp_check(sandbox));
  checks.push_back(landlock_check(sandbox));
  checks.push_back(privileges_check(sandbox));
  checks.push_back({"namespaces", Health::ok, "user namespaces and containers are not needed", {}});
}

Check module_check(const std::string& name, const std::string& what) {
  const fs::path path = places::module(name);
  void* loaded = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (loaded == nullptr) {
    const char* why = ::dlerror();
    return {"module " + name, Health::fail,
            "cannot be loaded: " + std::string(why != nullptr ? why : path.string()),
            what + " will fail; install the libraries that it names, or pangeo-forge anew"};
  }
  ::dlclose(loaded);
  return {"module " + name, Health::ok, "can be loaded: " + what + " will work", {}};
}

void extension_checks(Checks& checks, const Arguments& arguments) {
  extension::SearchOptions search;
  search.folders.assign(arguments.extensions.begin(), arguments.extensions.end());
  std::error_code code;
  search.project =
      arguments.file.empty() ? fs::current_path(code) : fs::absolute(arguments.file, code).parent_path();
  std::vector<std::string> names;
  size_t bundled = 0;
  const fs::path bundle = fs::weakly_canonical(places::bundled_extensions(), code);
  for (const auto& found : extension::list_packages(search)) {
    if (!found) {
      for (const Error& error : found.error()) {
        Check check = failed("extension", error);
        check.health = Health::warn;  // pipelines that do not use it run all the same
        checks.push_back(std::move(check));
      }
      continue;
    }
    names.push_back(found->manifest.name);
    if (fs::weakly_canonical(found->folder, code).parent_path() == bundle) ++bundled;
  }
  Check check{"extensions", Health::ok, {}, {}};
  if (bundled == 0) {
    check.health = Health::fail;
    check.message = "the bundled extensions are not in " + places::bundled_extensions().string();
    check.hint = "install pangeo-forge anew: bin, lib and share belong together";
  } else {
    check.message = report::count_of(names.size(), "extension") + ": " + join(names, ", ");
  }
  checks.push_back(std::move(check));
}

// Whether a run could keep its state there; makes nothing.
Check state_check(const fs::path& folder) {
  if (auto holder = state::Lock::held_by(folder)) {
    return {"state", Health::ok, folder.string() + " is in use by " + *holder, {}};
  }
  std::error_code code;
  fs::path there = folder;
  while (!fs::exists(there, code) && there.has_parent_path() && there != there.parent_path())
    there = there.parent_path();
  if (!fs::is_directory(there, code)) {
    return {"state", Health::fail, there.string() + " is no folder", "choose another with --state-dir DIR"};
  }
  if (::access(there.c_str(), R_OK | W_OK | X_OK) != 0) {
    return failed("state", system_error("cannot write to " + there.string(), errno));
  }
  const auto reader = state::Reader::open(folder);
  if (!reader && reader.error().code != "state.none") return failed("state", reader.error());
  return {"state", Health::ok, "can be kept in " + folder.string(), {}};
}

// The tools that the extensions of a pipeline declare, as a run would find them.
void tool_checks(Checks& checks, const orchestrator::Project& project) {
  const bool any = std::any_of(project.extensions.begin(), project.extensions.end(), [](const auto& entry) {
    return !entry.second.package.manifest.tools.empty();
  });
  if (!any) return;
  asio::io_context loop(1);
  worker::Options options;
  options.program = places::worker_program();
  const auto supervisor = worker::Supervisor::start(loop, options);
  if (!supervisor) return;  // reported by worker_checks
  orchestrator::ToolVersions versions;
  for (const auto& found : orchestrator::probe_tools(loop, (*supervisor)->programs(), project, versions)) {
    const std::string name = "tool " + found.name;
    if (found.error)
      checks.push_back(failed(name, *found.error));
    else
      checks.push_back({name, Health::ok, found.version + ", for the extension " + found.extension, {}});
  }
}

void file_checks(Checks& checks, const Arguments& arguments) {
  if (arguments.file.empty()) {
    std::error_code code;
    if (!arguments.state_dir.empty()) checks.push_back(state_check(fs::absolute(arguments.state_dir, code)));
    return;
  }
  const auto project = orchestrator::open_project(project_options(arguments));
  if (project) {
    checks.push_back({"pipeline",
                      Health::ok,
                      arguments.file + ": " +
                          report::count_of((*project)->pipeline->instances.size(), "instance") + ", valid",
                      {}});
    checks.push_back(state_check((*project)->state_folder));
    tool_checks(checks, **project);
    return;
  }
  for (const Error& error : project.error()) checks.push_back(failed("pipeline", error));
}

std::string_view word(Health health) {
  return health == Health::ok ? "ok" : health == Health::warn ? "warn" : "fail";
}

void append_json(std::string& out, const Checks& checks, bool healthy) {
  out += healthy ? "{\"ok\":true,\"checks\":[" : "{\"ok\":false,\"checks\":[";
  for (size_t i = 0; i < checks.size(); ++i) {
    const Check& check = checks[i];
    out += i == 0 ? "{\"name\":" : ",{\"name\":";
    report::append_json_string(out, check.name);
    out.append(",\"status\":\"").append(word(check.health)).append("\",\"message\":");
    report::append_json_string(out, check.message);
    out += ",\"hint\":";
    if (check.hint.empty())
      out += "null";
    else
      report::append_json_string(out, check.hint);
    out += '}';
  }
  out += "]}\n";
}

void append_text(std::string& out, const Checks& checks, bool healthy, bool quiet) {
  const bool color = report::wants_color(1);
  size_t widest = 0;
  for (const Check& check : checks) widest = std::max(widest, report::cells(check.name));
  for (const Check& check : checks) {
    if (quiet && check.health == Health::ok) continue;
    const report::Style style = check.health == Health::ok     ? report::Style::green
                                : check.health == Health::warn ? report::Style::yellow
                                                               : report::Style::red;
    std::string status(word(check.health));
    report::pad(status, 0, 4);
    report::paint(out, color, style, status);
    out += "  ";
    const size_t from = out.size();
    out += check.name;
    report::pad(out, from, widest);
    out += "  " + report::visible(check.message) + '\n';
    if (check.hint.empty()) continue;
    out.append(widest + 8, ' ');
    out += "hint: " + report::visible(check.hint) + '\n';
  }
  if (!quiet)
    out += healthy ? "This machine can run pipelines.\n" : "Pipelines will not run before this is mended.\n";
}

}  // namespace

int doctor(const Arguments& arguments, Screen& screen) {
  Checks checks;
  checks.push_back(system_check());
  worker_checks(checks);
  checks.push_back(module_check("net", "forge.http"));
  extension_checks(checks, arguments);
  file_checks(checks, arguments);
  bool healthy = true;
  for (const Check& check : checks) healthy = healthy && check.health != Health::fail;
  if (arguments.json())
    append_json(screen.text(), checks, healthy);
  else
    append_text(screen.text(), checks, healthy, arguments.quiet);
  return healthy ? 0 : 1;
}

}  // namespace pf::cli
