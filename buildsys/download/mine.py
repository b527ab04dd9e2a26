"""Whose the files are that lie where a release is to go: only ours are replaced."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from buildsys.cache import file_sha256
from buildsys.download.record import Listed, is_listing, recorded
from buildsys.errors import NotWritableError
from buildsys.release.plan import RECORD, SUMS


def demand_room(folder: Path, wanted: Iterable[Listed]) -> None:
    """Raises `NotWritableError` for a file that no download put there and this one would replace.

    Ours are those that the record of an earlier release in the folder names, that record, and what
    has the right bytes already: a download that was cut short left it.
    """
    known = _recorded(folder)
    theirs = [
        folder / file.name
        for file in wanted
        if (folder / file.name).exists()
        and file.name not in known
        and not _is(folder / file.name, file)
    ]
    theirs += [
        folder / name for name in (RECORD, SUMS) if _read(folder / name) and name not in known
    ]
    if theirs:
        raise NotWritableError(
            f"there already, and of no download: {', '.join(map(str, theirs))}",
            cause="the folder holds files of the same names, which may be yours; nothing was "
            "replaced",
            action="name another folder with --to, or move them away",
        )


def _recorded(folder: Path) -> frozenset[str]:
    """The names that are ours there. A download may have been cut between record and sums."""
    sums = {SUMS} if is_listing(_read(folder / SUMS)) else set()
    return recorded(_read(folder / RECORD)) | sums


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _is(path: Path, file: Listed) -> bool:
    return path.is_file() and path.stat().st_size == file.size and file_sha256(path) == file.sha256
