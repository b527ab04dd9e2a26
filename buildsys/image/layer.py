"""An artifact's files as one image layer: an uncompressed tar, always of the same bytes."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from buildsys.errors import UnsafeArchiveError
from buildsys.store import StoredFile


@dataclass(frozen=True)
class Entry:
    """One member: a file at `source`, a link where `link` is set, else a folder."""

    path: str
    mode: int
    source: Path | None = None
    link: str = ""


def entries_of(
    files: Iterable[StoredFile], root: Path, folders: Mapping[str, str]
) -> tuple[Entry, ...]:
    """The members of a layer in their order: every folder before what is in it.

    `root` holds the artifact's files; `folders` maps empty folders to modes in octal. Raises
    `UnsafeArchiveError` for a path that would leave the image.
    """
    found: dict[str, Entry] = {}
    for file in files:
        source = None if file.link else root / file.path
        found[file.path] = Entry(file.path, file.mode, source, file.link)
    for path, mode in folders.items():
        found[path] = Entry(path, int(mode, 8))
    for path in list(found):
        _demand_inside(path)
        for parent in list(PurePosixPath(path).parents)[:-1]:
            found.setdefault(str(parent), Entry(str(parent), 0o755))
    return tuple(found[path] for path in sorted(found))


def write_layer(entries: Iterable[Entry], out: Path, seconds: int) -> None:
    """Write the tar; every member belongs to root and has the date `seconds` (Unix time).

    Format: OCI image-spec, layer.md; plain ustar headers, longer paths by GNU's.
    """
    with tarfile.open(out, "w", format=tarfile.GNU_FORMAT) as tar:
        for entry in entries:
            member = tarfile.TarInfo(entry.path)
            member.mode, member.mtime = entry.mode, seconds
            if entry.source:
                member.size = entry.source.stat().st_size
                with entry.source.open("rb") as file:
                    tar.addfile(member, file)
            elif entry.link:
                member.type, member.linkname = tarfile.SYMTYPE, entry.link
                tar.addfile(member)
            else:
                member.type = tarfile.DIRTYPE
                tar.addfile(member)


def _demand_inside(path: str) -> None:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise UnsafeArchiveError(
            f"a layer's path leaves the image: {path!r}",
            cause="an artifact's record was changed",
            action="`invoke doctor --store` finds damaged artifacts",
        )
