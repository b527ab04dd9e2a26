"""What a release says of itself: release.json and sha256sums.txt, held together. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from buildsys.errors import CorruptError
from buildsys.release.checksums import parsed
from buildsys.release.plan import RECORD, SUMS
from buildsys.release.version import parse_tag

_LINES = re.compile(rb"([0-9a-f]{64}  [^/ \n]+\n)+")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
"""A file of a release: never one that is hidden, nor a way to another folder."""


@dataclass(frozen=True)
class Listed:
    """A file of a release: its name, size in bytes, sha256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Offered:
    """A target of a release: what `uname -m` says there, its executable, how trying it ended."""

    name: str
    platform: str
    uname: tuple[str, ...]
    executable: str
    verdicts: Mapping[str, bool]


@dataclass(frozen=True)
class Record:
    """A release: its tag, and files and targets by name."""

    tag: str
    files: Mapping[str, Listed]
    targets: Mapping[str, Offered]


def read_record(sums: bytes, record: bytes, where: str) -> Record:
    """The release that two files from `where` describe. Raises `CorruptError`."""
    try:
        found = _record(json.loads(record))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _not_whole(where, RECORD, "it is no record of a release") from error
    if not _LINES.fullmatch(sums):
        raise _not_whole(where, SUMS, "it is no list of sums to its end")
    listed = parsed(sums)
    # The record names every file that is summed, but not itself.
    if set(listed) != {*found.files, RECORD}:
        raise _not_whole(where, SUMS, f"it does not name the files that {RECORD} names")
    if listed[RECORD] != hashlib.sha256(record).hexdigest():
        raise _not_whole(where, RECORD, f"its sha256 is not the one in {SUMS}")
    if unlike := [n for n, file in found.files.items() if file.sha256 != listed[n]]:
        raise _not_whole(where, SUMS, f"{RECORD} has other sums of {', '.join(unlike)}")
    return found


def recorded(record: bytes) -> frozenset[str]:
    """The files that a record names, with itself; none for what is no record of a release."""
    try:
        return frozenset({*_record(json.loads(record)).files, RECORD})
    except (ValueError, KeyError, TypeError, AttributeError):
        return frozenset()


def is_listing(sums: bytes) -> bool:
    """Whether these are the sums of a release."""
    return bool(_LINES.fullmatch(sums)) and RECORD in parsed(sums)


def _record(data: Mapping[str, Any]) -> Record:
    files = {n: Listed(n, int(f["size"]), str(f["sha256"])) for n, f in data["files"].items()}
    targets = {
        name: Offered(
            name,
            str(target["platform"]),
            tuple(target["uname"]),
            files[target["executable"]].name,
            {kind: bool(one["passed"]) for kind, one in target["verdicts"].items()},
        )
        for name, target in data["targets"].items()
    }
    tag = str(data["tag"])
    # Folders and files are named after these: the place may be anybody's.
    if not parse_tag(tag) or not all(_NAME.fullmatch(name) for name in files):
        raise ValueError("a name that no release has")
    return Record(tag, files, targets)


def _not_whole(where: str, name: str, why: str) -> CorruptError:
    return CorruptError(
        f"{where}/{name} is not whole: {why}",
        cause="it came in part, or changed on the way",
        action="run the same again; if it stays, use another place",
    )
