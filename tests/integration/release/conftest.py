"""Fixtures of the release's tests: a small release, one that differs, a site that serves one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buildsys.release.publish import Release, ReleaseFile
from buildsys.release.version import Tag

from .flat import Published, Site
from .server import Server

TAG = Tag("v1.35.0+k3s-04e8f1b5.1")
FLAT = f"download/{TAG}"

CONTENTS = {
    f"armv6/{FLAT}/k3s-armhf": b"executable " * 50_000,
    f"armv6/{FLAT}/sha256sum-arm.txt": b"sums of one\n",
    f"{FLAT}/k3s-armv6": b"executable " * 50_000,
    f"{FLAT}/release-notes.md": b"new\n",
    f"{FLAT}/sha256sums.txt": b"sums of all\n",
}

MakeRelease = Callable[..., Release]


@pytest.fixture
def make(tmp_path: Path) -> MakeRelease:
    """A release; `changed` has other contents by the path's last part."""

    def made(tag: Tag = TAG, channels: tuple[str, ...] = ("latest",), **changed: bytes) -> Release:
        files = []
        for old, data in CONTENTS.items():
            path = old.replace(TAG.text, tag.text)
            content = changed.get(path.rpartition("/")[2].replace("-", "_").split(".")[0], data)
            sha256 = hashlib.sha256(content).hexdigest()
            local = tmp_path / "files" / sha256
            local.parent.mkdir(exist_ok=True)
            local.write_bytes(content)
            files.append(ReleaseFile(path, local, sha256, len(content)))
        return Release(tag, "c" * 40, "What is new.", tuple(files), channels)

    return made


@pytest.fixture
def release(make: MakeRelease) -> Release:
    return make()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads do not wait between their tries."""
    monkeypatch.setattr("buildsys.release.publish.http.PAUSE_SECONDS", 0.0)


@pytest.fixture
def site(public: Published) -> Site:
    return Site(public.root)


@pytest.fixture
def server(site: Site) -> Iterator[Server]:
    with Server(site.answer).served() as running:
        yield running
