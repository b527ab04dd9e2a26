"""The older build of an executable: what a scenario that upgrades begins with."""

from __future__ import annotations

from pathlib import Path

from buildsys.bundle.layout import read_manifest
from buildsys.bundle.older import OLDER
from buildsys.errors import NotBuiltError


def find_older(executable: Path, given: Path | None) -> Path:
    """`given`, or the executable that the last build replaced.

    Raises `NotBuiltError` unless it is there and another version for the same target, and
    `CorruptError` for a damaged one.
    """
    path = given or executable.parent / OLDER / executable.name
    if not path.is_file():
        raise NotBuiltError(
            f"there is no older build of {executable.name} to begin with at {path}",
            cause="" if given else "`invoke build` keeps there what it replaces by another version",
            action="name one with --older FILE: a former release, or what `invoke build` makes in "
            "a checkout of an earlier commit",
        )
    newer, older = read_manifest(executable), read_manifest(path)
    if older.target != newer.target:
        raise NotBuiltError(
            f"{path} is for {older.target}, not for {newer.target}",
            action=f"name an older k3s-{newer.target} with --older FILE",
        )
    if older.data == newer.data:
        raise NotBuiltError(
            f"{path} unpacks to the same as {executable}: {newer.data}",
            cause="only the launcher, images or defaults differ, or nothing",
            action="name a build of another commit with --older FILE",
        )
    return path
