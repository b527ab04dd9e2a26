"""What every destination is given, and what it answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from buildsys.errors import PublishedError
from buildsys.release.plan import SUMS
from buildsys.release.preflight import Problem, open_next
from buildsys.release.version import Tag


@dataclass(frozen=True)
class ReleaseFile:
    """A file to publish: its path below the root, where it lies, sha256, size in bytes."""

    path: str
    local: Path
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Release:
    """All that is published of a tag, in the order in which that happens.

    `channels` are those that the release moves to itself.
    """

    tag: Tag
    commit: str
    notes: str
    files: tuple[ReleaseFile, ...]
    channels: tuple[str, ...]

    @property
    def flat(self) -> tuple[ReleaseFile, ...]:
        """The files of the flat release."""
        return tuple(f for f in self.files if f.path.startswith(f"download/{self.tag}/"))


@dataclass(frozen=True)
class Outcome:
    """How many files were put there, how many lay there already, and the channels that moved."""

    put: int = 0
    kept: int = 0
    channels: bool = False


class Destination(Protocol):
    """A place that releases are published to.

    Nothing that is published is ever overwritten but the channels file; what a run that was cut
    short has put there counts, and the next run goes on from it.
    """

    @property
    def label(self) -> str:
        """Its name to people, without credentials."""

    def obstacles(self, tag: Tag, sums: bytes | None) -> Iterator[Problem]:
        """What stands against publishing there. `sums` is the local sum file, if it is made."""

    def publish(self, release: Release) -> Outcome:
        """Put there what is missing. Raises `PublishedError` and the errors of uploads."""


def sums_path(tag: Tag) -> str:
    """The file whose bytes stand for a whole release; it is published last."""
    return f"download/{tag}/{SUMS}"


def taken(label: str, tag: Tag) -> Problem:
    """The tag is published there, with other bytes."""
    return f"{label} has {tag} already, with other bytes", open_next(tag)


def demand_same(file: ReleaseFile, label: str, found: str) -> None:
    """Raise `PublishedError` unless the sha256 `found` there is the file's."""
    if found != file.sha256:
        raise PublishedError(
            f"{label} has {file.path} already, with other bytes\n"
            f"  there {found}\n  here  {file.sha256}",
            cause="the tag was released before from another build, or its release was begun so",
            action="open the next release with notes of its own; this one stays as it is",
        )
