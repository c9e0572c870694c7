"""What the benchmark scripts share: running a command with a clock and a look at its memory."""
import os
import pathlib
import resource
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = pathlib.Path(os.environ.get("PANGEO_FORGE", ROOT / "build/release/bin/pangeo-forge"))


def run(argv, environment=None):
    """Runs a command, its stdout to /dev/null. Returns (seconds, exit code)."""
    actions = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
    start = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, environment or os.environ, file_actions=actions)
    _, status = os.waitpid(pid, 0)
    return time.perf_counter() - start, os.waitstatus_to_exitcode(status)


def children_cpu():
    """CPU time, in seconds, of all children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def peak_memory(argv):
    """Runs a command and returns its own peak memory in bytes, without its children's, and its exit code.

    VmHWM of the process belongs to the program itself; ru_maxrss would begin with the memory of whoever started it. It
    only grows, and is read every millisecond: what it grows by in the last one is missed.
    """
    actions = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
    peak = 0
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return peak, os.waitstatus_to_exitcode(status)
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as lines:
            for line in lines:
                if line.startswith("VmHWM:"):
                    peak = max(peak, int(line.split()[1]) * 1024)
        time.sleep(0.001)


def spread(values, digits=3):
    """`median (least–most)`."""
    values = sorted(values)
    middle = len(values) // 2
    median = values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2
    return median, f"{median:.{digits}f} ({values[0]:.{digits}f}–{values[-1]:.{digits}f})"
