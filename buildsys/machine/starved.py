"""How long the host kept an emulator from running: time that its guest did not have."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def kept_waiting(pid: int, proc: Path = PROC) -> float:
    """Seconds that threads of the process and of its children were ready and not on a CPU.

    Of each process that of the thread which waited longest, the second number of
    /proc/<pid>/task/<tid>/schedstat (Documentation/scheduler/sched-stats.rst), in nanoseconds.
    """
    waited, children = [0.0], []
    with suppress(OSError):  # it may have ended
        for task in (proc / str(pid) / "task").iterdir():
            with suppress(OSError, ValueError, IndexError):
                waited.append(int((task / "schedstat").read_text().split()[1]) / 1e9)
            with suppress(OSError):
                children += (task / "children").read_text().split()
    return max(waited) + sum(kept_waiting(int(child), proc) for child in children)
