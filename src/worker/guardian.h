// The guardian: a small process between the core and all that it starts. It forks workers, tells the core how
// they ended, and when its socket to the core ends, however that came about, it kills everything that
// descends from it. When the guardian itself is killed its workers go with it (PDEATHSIG). One thread; no VM
// is ever made in it.
#pragma once

namespace pf::worker {

/// Runs the guardian on `socket` (SOCK_SEQPACKET to the core) until the core is gone; then ends all
/// descendants and returns the exit code. Takes over the process: session, signals, descriptors. In the
/// worker that it forks it never returns.
int guardian(int socket);
/// SIGKILLs every child of this process.
void kill_children();
/// SIGKILLs every child of this process, and whatever becomes a child of it by that (it must be a subreaper),
/// until there is none left, and reaps them.
void end_descendants();

}  // namespace pf::worker
