"""Where file systems are mounted, so that nothing that is removed reaches into one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")
"""This process's mounts; format: proc_pid_mountinfo(5)."""


def mount_points(text: bytes) -> list[Path]:
    r"""The mount points of a mountinfo; blanks and the like stand there as \ooo."""
    fields = (line.split()[4] for line in text.splitlines())
    return [
        Path(os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), field)))
        for field in fields
    ]


def mounted_within(path: Path, points: Iterable[Path]) -> Path | None:
    """The first of the mount points that is `path` or lies below it."""
    real = Path(os.path.realpath(path))
    return next((point for point in points if point.is_relative_to(real)), None)
