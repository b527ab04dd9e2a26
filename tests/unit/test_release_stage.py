"""Laying files out: the same file where that can be, a copy elsewhere, nothing twice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from buildsys.release.stage import place, write

pytestmark = pytest.mark.unit


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    path = tmp_path / "k3s-armv6"
    path.write_bytes(b"the executable")
    path.chmod(0o755)
    return path


def test_same_file_once(origin: Path, tmp_path: Path) -> None:
    placed = tmp_path / "release/k3s"
    assert place(origin, placed)
    assert placed.samefile(origin)
    assert not place(origin, placed)


def test_copy_on_another_disk(
    origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    placed = tmp_path / "release/k3s"
    assert place(origin, placed)
    assert placed.read_bytes() == b"the executable"
    assert not placed.samefile(origin)
    assert os.access(placed, os.X_OK)
    assert not place(origin, placed)


def test_next_build_takes_the_place_and_spoils_nothing(origin: Path, tmp_path: Path) -> None:
    """An executable is replaced by a rename, so that what was laid out before stays as it was."""
    old, placed = tmp_path / "old/k3s", tmp_path / "release/k3s"
    place(origin, old)
    place(origin, placed)
    new = tmp_path / "new"
    new.write_bytes(b"THE EXECUTABLE")
    new.replace(origin)
    assert place(origin, placed)
    assert placed.read_bytes() == b"THE EXECUTABLE"
    assert old.read_bytes() == b"the executable"
    assert [path.name for path in placed.parent.iterdir()] == ["k3s"]


def test_text_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "release/sums"
    assert write(path, b"a")
    inode = path.stat().st_ino
    assert not write(path, b"a")
    assert path.stat().st_ino == inode
    assert write(path, b"b")
    assert path.read_bytes() == b"b"
