"""Caches are kept below a size: what is used stays, what is oldest goes first."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from buildsys.cache import Cache
from buildsys.errors import UnknownNameError
from buildsys.trim import ENVIRONMENT, GIB, bound, trim

pytestmark = pytest.mark.unit

SIZE = 64 * 1024
DAY = 86400


def entry(path: Path, days: float) -> Path:
    """A file, or a folder for a name that looks like one, last used so many days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if len(path.name) == 16:
        path.mkdir()
        (path / "file").write_bytes(b"x" * SIZE)
    else:
        path.write_bytes(b"x" * SIZE)
    os.utime(path, (time.time() - days * DAY,) * 2)
    return path


def test_the_oldest_goes_first_and_only_as_much_as_is_over(cache: Cache) -> None:
    go = cache.gobuild / "00"
    one = entry(go / f"{'1' * 64}-d", 4)
    two = entry(cache.frames / f"{'2' * 64}-l19-w8-x", 3)
    three = entry(cache.emulators / ("3" * 16), 2)
    four = entry(cache.downloads / "debian" / ("4" * 16), 1)
    mine = entry(go / "notes", 9)
    everything = 4 * SIZE
    assert trim(cache, 2 * everything, time.time(), ()).removed == {}
    assert [*trim(cache, everything - SIZE - 1, time.time(), ()).removed] == [one, two]
    assert three.exists() and four.exists() and mine.exists()


def test_what_this_run_used_stays_however_large(cache: Cache) -> None:
    used = entry(cache.gobuild / "00" / f"{'1' * 64}-a", 0)
    older = entry(cache.frames / f"{'2' * 64}-l19-w8-x", 1)
    kept = entry(cache.emulators / ("3" * 16), 2)
    assert [*trim(cache, 1, time.time(), {kept}).removed] == [older]
    assert used.exists() and kept.exists()


def test_zigs_goes_as_a_whole(cache: Cache) -> None:
    for folder in ("h", "o", "tmp"):
        entry(cache.zig / folder / "x", 0)
    limit = 8 * 3 * (SIZE + 8192)
    assert trim(cache, limit, time.time(), ()).removed == {}
    assert [path.name for path in trim(cache, limit // 3, time.time(), ()).removed] == [
        "h",
        "o",
        "tmp",
    ]
    assert cache.zig.is_dir()


def test_links_are_not_followed(cache: Cache, tmp_path: Path) -> None:
    precious = entry(tmp_path / "precious" / f"{'1' * 64}-a", 9)
    (cache.gobuild / "00").symlink_to(precious.parent)
    (cache.root / "apt").symlink_to(precious.parent)
    cache.frames.rmdir()
    cache.frames.symlink_to(precious.parent)
    assert trim(cache, 1, time.time(), ()).removed == {}
    assert precious.exists()


def test_the_bound() -> None:
    assert bound({}) == bound({ENVIRONMENT: ""}) == GIB << 30
    assert bound({ENVIRONMENT: "3"}) == 3 << 30
    assert bound({ENVIRONMENT: "0"}) is None
    for text in ("-1", "x", "1.5", "²"):
        with pytest.raises(UnknownNameError, match=ENVIRONMENT):
            bound({ENVIRONMENT: text})
