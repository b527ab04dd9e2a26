"""Keeping the executable that a build replaces, so that an upgrade from it can be tried."""

from __future__ import annotations

from pathlib import Path

from buildsys.bundle.layout import read_manifest
from buildsys.errors import CorruptError

OLDER = "older"
"""Folder beside the executables."""


def keep_older(executable: Path, data: str) -> None:
    """Move `executable` into the folder of older ones if it unpacks to something else than `data`.

    One of the same version stays to be replaced, as does one that cannot be read.
    """
    try:
        former = read_manifest(executable)
    except (CorruptError, FileNotFoundError):
        return
    if former.data != data:
        folder = executable.parent / OLDER
        folder.mkdir(exist_ok=True)
        executable.replace(folder / executable.name)
