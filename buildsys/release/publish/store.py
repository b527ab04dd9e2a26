"""Publishing to a store that keeps files by path: what WebDAV and S3 have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from buildsys.errors import BuildsysError
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

OTHER = "a file of another size"
"""What a store says in place of a sha256 that it need not compute."""


class Store(Protocol):
    """Files by path. Whatever fails is raised as one of the errors of uploads."""

    @property
    def label(self) -> str:
        """Its name to people, without credentials."""

    def find(self, path: str, size: int) -> str | None:
        """Sha256 of what lies there, None where nothing does.

        A file of another size than `size` in bytes need not be read: any other text will do.
        """

    def read(self, path: str) -> bytes | None:
        """The bytes that lie there."""

    def put(self, path: str, body: bytes | Path, sha256: str, *, fresh: bool) -> bool:
        """Put a file there; with `fresh` only where there is none. Whether it was put."""


@dataclass(frozen=True)
class StoreDestination:
    """Publishes to a `Store`."""

    store: Store

    @property
    def label(self) -> str:
        """The store's."""
        return self.store.label

    def obstacles(self, tag: Tag, sums: bytes | None) -> Iterator[Problem]:
        """Whether the store lets us in, and whether the tag is taken."""
        try:
            known = self.store.read(sums_path(tag))
        except BuildsysError as error:
            yield f"{error.what}: {error.cause}", error.action
        else:
            if known is not None and known != sums:
                yield taken(self.label, tag)

    def publish(self, release: Release) -> Outcome:
        """Put each file that is not there; compare those that are."""
        put = sum(self._put(file) for file in release.files)
        return Outcome(put, len(release.files) - put, self._move_channels(release))

    def _put(self, file: ReleaseFile) -> bool:
        found = self.store.find(file.path, file.size)
        if found is None:
            if self.store.put(file.path, file.local, file.sha256, fresh=True):
                return True
            # An answer that was lost on the way, or somebody else.
            found = self.store.find(file.path, file.size) or "nothing"
        demand_same(file, self.label, found)
        return False

    def _move_channels(self, release: Release) -> bool:
        before = self.store.read(PATH)
        after = moved(before, release.channels, release.tag)
        if after == before:
            return False
        return self.store.put(PATH, after, hashlib.sha256(after).hexdigest(), fresh=False)
