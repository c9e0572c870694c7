// Which processes there are, from /proc: for tests that kill or stop what a program has started. Pure looks;
// thread-safe.
#pragma once

#include <sys/types.h>

#include <map>
#include <set>
#include <string>

namespace pf::test {

/// All processes, by their parents, but for those of a name (as in /proc/PID/comm; empty: all).
std::multimap<pid_t, pid_t> processes_by_parent(const std::string& but = {});
std::set<pid_t> children_of(pid_t parent);
/// All processes below one.
std::set<pid_t> descendants(pid_t root);
/// Whether it runs: one that waits to be reaped does not.
bool alive(pid_t pid);
/// Looks until none of them runs; false after 20 s. Of processes that are no children of ours nothing else
/// tells.
bool all_end(const std::set<pid_t>& pids);

}  // namespace pf::test
