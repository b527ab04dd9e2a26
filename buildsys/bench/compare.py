"""Timing whole commands in turn, A B A B …, so that a drifting machine is fair to both."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from buildsys.report import print_table


@dataclass(frozen=True)
class Sample:
    """One run: wall seconds, peak resident KiB of the largest process, exit status."""

    seconds: float
    peak_kib: int
    status: int


def sample(argv: Sequence[str], env: Mapping[str, str] | None = None) -> Sample:
    """Run a command once, its output thrown away."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        argv,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Sample(time.perf_counter() - begin, usage.ru_maxrss, process.returncode)


def compare(commands: Mapping[str, Sequence[str]], *, runs: int) -> dict[str, list[Sample]]:
    """Run each command once to warm up, then all in turn `runs` times; print the medians."""
    for argv in commands.values():
        sample(argv)
    samples: dict[str, list[Sample]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, argv in commands.items():
            samples[name].append(sample(argv))
    show(samples)
    return samples


def show(samples: Mapping[str, Sequence[Sample]]) -> None:
    """Print minimum, median and maximum of each command's seconds, and its peak memory."""
    rows = []
    for name, taken in samples.items():
        seconds = sorted(s.seconds for s in taken)
        peak = max(s.peak_kib for s in taken) / 1024
        statuses = ",".join(sorted({str(s.status) for s in taken}))
        low, mid, high = seconds[0], median(seconds), seconds[-1]
        rows.append((name, f"{low:.4f}", f"{mid:.4f}", f"{high:.4f}", f"{peak:.1f}", statuses))
    columns = ("command", "min s", "median s", "max s", "peak MiB", "exit")
    print_table(f"{len(next(iter(samples.values())))} runs each, in turn", columns, rows)
