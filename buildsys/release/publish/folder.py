"""A folder: a release's folders appear there whole, by one rename each."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath

from buildsys.cache import disk_errors, file_sha256, write_atomic
from buildsys.errors import PublishedError
from buildsys.release.channels import PATH, moved
from buildsys.release.preflight import Problem
from buildsys.release.publish.base import (
    Outcome,
    Release,
    ReleaseFile,
    demand_same,
    sums_path,
    taken,
)
from buildsys.release.version import Tag


@dataclass(frozen=True)
class Folder:
    """The folder `root`; it is made where it is not there."""

    root: Path

    @property
    def label(self) -> str:
        """The path."""
        return str(self.root)

    def obstacles(self, tag: Tag, sums: bytes | None) -> Iterator[Problem]:
        """Whether it can be written, and whether the tag is taken."""
        there = next(p for p in (self.root, *self.root.absolute().parents) if p.exists())
        if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
            yield f"{there} cannot be written", "make it writable, or choose another folder"
        known = self.root / sums_path(tag)
        if known.is_file() and known.read_bytes() != sums:
            yield taken(self.label, tag)

    def publish(self, release: Release) -> Outcome:
        """Copy each folder of the release under a hidden name, then rename it."""
        put = kept = 0
        with disk_errors(self.root, f"publishing {release.tag}"):
            for parent, files in groupby(_sorted(release), _parent):
                folder, listed = self.root / parent, list(files)
                if folder.is_dir():
                    self._demand_same(folder, listed)
                    kept += len(listed)
                else:
                    _copy(folder, listed)
                    put += len(listed)
            return Outcome(put, kept, self._move_channels(release))

    def _demand_same(self, folder: Path, files: Sequence[ReleaseFile]) -> None:
        for file in files:
            path = folder / file.name
            if not path.is_file():
                raise PublishedError(
                    f"{folder} is published, and has no {file.name}",
                    cause="somebody removed it, or the release had fewer files then",
                    action="open the next release with notes of its own",
                )
            demand_same(file, self.label, file_sha256(path))

    def _move_channels(self, release: Release) -> bool:
        path = self.root / PATH
        before = path.read_bytes() if path.is_file() else None
        after = moved(before, release.channels, release.tag)
        if after == before:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, after)
        return True


def _parent(file: ReleaseFile) -> str:
    return str(PurePosixPath(file.path).parent)


def _sorted(release: Release) -> list[ReleaseFile]:
    """By folder, the flat one last: who sees that sees all."""
    flat = set(release.flat)
    return sorted(release.files, key=lambda file: (file in flat, file.path))


def _copy(folder: Path, files: Sequence[ReleaseFile]) -> None:
    hidden = folder.with_name(f".{folder.name}.unfinished")
    if hidden.is_symlink():
        raise PublishedError(
            f"{hidden} is a link to {hidden.readlink()}",
            cause="a publishing that was cut short leaves a folder of this name, and never a link",
            action="remove it, and run the same again",
        )
    hidden.mkdir(parents=True, exist_ok=True)
    for file in files:
        path = hidden / file.name
        if path.is_file() and file_sha256(path) == file.sha256:
            continue
        shutil.copyfile(file.local, path)
        path.chmod(file.local.stat().st_mode & 0o777)
        with path.open("rb") as copied:
            os.fsync(copied.fileno())
    for left in set(hidden.iterdir()) - {hidden / file.name for file in files}:
        if left.is_file() or left.is_symlink():
            left.unlink()
    # Fails where somebody published the same meanwhile: a folder with files is never replaced.
    hidden.rename(folder)
