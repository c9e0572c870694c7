#include "support/processes.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace pf::test {
namespace {

// What follows the name of a process in /proc/PID/stat, from its state on; empty: there is none, or it has
// the name.
std::string state_of(const std::string& pid, const std::string& but = {}) {
  std::ifstream stat("/proc/" + pid + "/stat");
  std::string text;
  std::getline(stat, text);
  const auto at = text.rfind(')');
  if (!but.empty() && text.find('(' + but + ')') != std::string::npos) return {};
  return at == std::string::npos || at + 2 >= text.size() ? std::string() : text.substr(at + 2);
}

}  // namespace

std::multimap<pid_t, pid_t> processes_by_parent(const std::string& but) {
  std::multimap<pid_t, pid_t> out;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string state = state_of(name, but);
    if (!state.empty()) out.emplace(std::atoi(state.c_str() + 1), std::stoi(name));
  }
  return out;
}

std::set<pid_t> children_of(pid_t parent) {
  std::set<pid_t> out;
  const auto all = processes_by_parent();
  const auto [first, last] = all.equal_range(parent);
  for (auto at = first; at != last; ++at) out.insert(at->second);
  return out;
}

std::set<pid_t> descendants(pid_t root) {
  const auto all = processes_by_parent();
  std::set<pid_t> out;
  std::vector<pid_t> open = {root};
  while (!open.empty()) {
    const auto [first, last] = all.equal_range(open.back());
    open.pop_back();
    for (auto at = first; at != last; ++at) {
      if (out.insert(at->second).second) open.push_back(at->second);
    }
  }
  return out;
}

bool alive(pid_t pid) {
  const std::string state = state_of(std::to_string(pid));
  return !state.empty() && state.front() != 'Z';
}

bool all_end(const std::set<pid_t>& pids) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::any_of(pids.begin(), pids.end(), alive)) {
    if (std::chrono::steady_clock::now() > end) return false;
    ::usleep(2000);
  }
  return true;
}

}  // namespace pf::test
