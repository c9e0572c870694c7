#include "support/leftovers.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace pf::test {

namespace {

std::set<pid_t> children() {
  std::set<pid_t> out;
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", code)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file(entry.path() / "stat");
    std::string text;
    std::getline(file, text);
    const size_t at = text.rfind(')');  // `pid (name) state parent …`, and the name may hold anything
    if (at == std::string::npos || at + 4 >= text.size()) continue;
    if (std::atoi(text.c_str() + at + 4) == getpid()) out.insert(std::stoi(name));
  }
  return out;
}

std::string described(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/cmdline", std::ios::binary);
  std::string words(std::istreambuf_iterator<char>(file), {});
  std::replace(words.begin(), words.end(), '\0', ' ');
  return std::to_string(pid) + " " + words;
}

}  // namespace

Leftovers::Leftovers() : before_(children()) {
  prctl(PR_GET_CHILD_SUBREAPER, &was_subreaper_, 0, 0, 0);
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

Leftovers::~Leftovers() {
  // The death of one may make its children ours.
  for (std::set<pid_t> left; !(left = gained()).empty();) {
    for (pid_t pid : left) {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
  }
  prctl(PR_SET_CHILD_SUBREAPER, was_subreaper_, 0, 0, 0);
}

std::set<pid_t> Leftovers::gained() const {
  std::set<pid_t> out;
  for (pid_t pid : children()) {
    if (before_.count(pid) == 0) out.insert(pid);
  }
  return out;
}

std::vector<std::string> Leftovers::wait(std::chrono::seconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (true) {
    std::vector<std::string> running;
    for (pid_t pid : gained()) {
      if (waitpid(pid, nullptr, WNOHANG) == 0) running.push_back(described(pid));
    }
    if (running.empty() && gained().empty()) return {};
    if (std::chrono::steady_clock::now() >= end) return running;
    poll(nullptr, 0, 5);
  }
}

}  // namespace pf::test
