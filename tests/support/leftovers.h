// What a program leaves running. One object for one program that a test starts; the thread that made it.
// While it lives, processes whose parents have ended become children of the test program, whatever they did
// to get away (setsid, a second fork, an empty environment), and can be counted.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <set>
#include <string>
#include <vector>

namespace pf::test {

/// The children that the test program gained since this was made.
class Leftovers {
 public:
  Leftovers();
  /// Kills what is left.
  ~Leftovers();
  Leftovers(const Leftovers&) = delete;
  Leftovers& operator=(const Leftovers&) = delete;
  /// Looks until all of them have ended, at most `limit` long. What still runs, as `pid command line`.
  std::vector<std::string> wait(std::chrono::seconds limit = std::chrono::seconds(20));

 private:
  std::set<pid_t> gained() const;
  int was_subreaper_ = 0;
  std::set<pid_t> before_;
};

}  // namespace pf::test
