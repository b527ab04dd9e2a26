"""Putting files into the local release folder, each whole or not at all, and only where needed."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

from buildsys.cache import disk_errors, file_sha256, unfinished, write_atomic


def place(origin: Path, path: Path) -> bool:
    """Make `path` the same file as `origin`, or a copy on another disk; whether it was not yet."""
    if path.is_file() and (path.samefile(origin) or _same(path, origin)):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        disk_errors(path, f"placing {path.name}"),
        unfinished(path) as temporary,
        origin.open("rb") as held,
    ):
        # The link is the origin's file, and to stay it needs a lock like any unfinished one.
        fcntl.flock(held, fcntl.LOCK_SH)
        temporary.unlink()
        try:
            os.link(origin, temporary)
        except OSError:
            shutil.copy2(origin, temporary)
        temporary.replace(path)
    return True


def write(path: Path, data: bytes) -> bool:
    """Make `data` the content of `path`; whether it was not yet."""
    if path.is_file() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, data)
    return True


def _same(one: Path, other: Path) -> bool:
    return one.stat().st_size == other.stat().st_size and file_sha256(one) == file_sha256(other)
