// Faults of the machine, as the kernel itself reports them.
#pragma once

#include <functional>
#include <initializer_list>

namespace pf::test {

/// Runs `f` to its end on a thread for which, and for the threads and processes that it starts, these system
/// calls fail with `code`: a seccomp filter. The calling thread and the others keep theirs.
void without_system_calls(std::initializer_list<int> calls, int code, const std::function<void()>& f);

}  // namespace pf::test
