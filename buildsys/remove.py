"""Removing what is ours and nothing else: by exact names, never through a link or into a mount."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from buildsys.mounts import MOUNTINFO, mount_points, mounted_within

FOREIGN = "its name is none of ours"


@dataclass
class Remover:
    """Removes, and remembers what: `removed` with bytes on disk, `left` with the reason.

    A dry one only remembers.
    """

    dry: bool = False
    removed: dict[Path, int] = field(default_factory=dict)
    left: dict[Path, str] = field(default_factory=dict)

    @cached_property
    def _mounts(self) -> list[Path]:
        return mount_points(MOUNTINFO.read_bytes())

    @property
    def size(self) -> int:
        """Bytes on disk of all that was removed."""
        return sum(self.removed.values())

    def within(self, folder: Path, names: re.Pattern[str], spared: Iterable[str] = ()) -> None:
        """Remove the entries of `folder` whose whole name is one of `names`; name all others.

        What is `spared` stays without a word. A folder that is not there is empty.
        """
        if folder.is_symlink():
            self.left[folder] = f"it is a link to {folder.readlink()}"
            return
        try:
            entries = sorted({path.name for path in folder.iterdir()} - {*spared})
        except FileNotFoundError:
            return
        except OSError as error:
            self.left[folder] = f"it cannot be read: {error.strerror}"
            return
        for name in entries:
            if names.fullmatch(name):
                self.tree(folder / name)
            else:
                self.foreign(folder / name)

    def tree(self, path: Path) -> None:
        """Remove a file, or a folder with all below it, which are ours by name."""
        if reason := self._forbidden(path):
            self.left[path] = reason
            return
        size = disk_usage(path)
        problems: list[OSError] = []
        if not self.dry:
            _remove(path, problems)
        if problems:
            self.left[path] = f"it cannot be removed: {problems[0].strerror}"
        else:
            self.removed[path] = size

    def foreign(self, path: Path) -> None:
        """Leave something that is not ours, and name it."""
        self.left[path] = FOREIGN

    def empty(self, folder: Path) -> None:
        """Remove a folder in which nothing is left; a dry run only guesses, and says nothing."""
        if not self.dry and not folder.is_symlink():
            try:
                folder.rmdir()
            except OSError:
                return

    def in_a_line(self) -> str:
        """What was removed, in short."""
        return f"{len(self.removed)} entries, {self.size / 1024**3:.2f} GiB"

    def _forbidden(self, path: Path) -> str:
        if path.is_symlink():
            return f"it is a link to {path.readlink()}"
        if point := mounted_within(path, self._mounts):
            return f"something is mounted at {point}"
        return ""

    def as_json(self) -> Mapping[str, object]:
        """As plain data; sizes in bytes."""
        return {
            "removed": [{"path": str(p), "bytes": size} for p, size in self.removed.items()],
            "left": [{"path": str(p), "reason": reason} for p, reason in self.left.items()],
            "dry_run": self.dry,
        }


def _remove(path: Path, problems: list[OSError]) -> None:
    if path.is_dir():
        shutil.rmtree(path, onerror=lambda _, __, info: problems.append(_os_error(info[1])))
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        problems.append(error)


def _os_error(error: BaseException) -> OSError:
    return error if isinstance(error, OSError) else OSError(0, str(error))


def disk_usage(path: Path) -> int:
    """Bytes on disk of a file, or of all below a folder; what cannot be read counts nothing."""
    total, folders = 0, [path]
    try:
        if not path.is_dir():
            return path.lstat().st_blocks * 512
    except OSError:
        return 0
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue
    return total
