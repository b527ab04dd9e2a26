"""Keeping the caches below a size: what was not used for the longest time goes first.

Go itself removes from its build cache what was not used for five days, by the same times that are
read here (cmd/go/internal/cache: Trim); it knows no size. Zig removes nothing, and an entry of its
cache does not say which others need it, so that goes as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from buildsys.cache import Cache
from buildsys.errors import UnknownNameError
from buildsys.ours import INSIDE
from buildsys.remove import Remover, disk_usage

ENVIRONMENT = "K3S_BUILDSYS_CACHE_GIB"
"""The environment variable that bounds the caches."""

GIB = 50
"""What the caches may hold together. One target fills Go's with about 10 GiB, frames with 1."""

ZIG_SHARE = 8
"""Zig's part of the bound: one so-many-th."""

GRAIN_SECONDS = 3600
"""How old the time of an entry may be that is used now: Go writes it once an hour."""

_GO_ENTRY = re.compile("[0-9a-f]{64}-[ad]")


@dataclass(frozen=True)
class Unit:
    """What goes or stays as a whole: its bytes on disk, and when it was last used."""

    path: Path
    size: int
    used: float


def bound(environment: Mapping[str, str]) -> int | None:
    """The bytes that the caches may hold; None for any number. Raises `UnknownNameError`."""
    text = environment.get(ENVIRONMENT, "") or str(GIB)
    if not text.isascii() or not text.isdigit():
        raise UnknownNameError(f"size of {ENVIRONMENT}", text, ["a number of GiB", "0 for any"])
    return int(text) << 30 or None


def trim(cache: Cache, limit: int, began: float, kept: Collection[Path]) -> Remover:
    """Remove what was used least recently, until the caches hold no more than `limit` bytes.

    Nothing goes that a run which `began` then may have used, nor what is `kept`. The caller has the
    cache to himself.
    """
    remover, since = Remover(), began - GRAIN_SECONDS
    zig = disk_usage(cache.zig)
    if zig > limit // ZIG_SHARE:
        remover.within(cache.zig, INSIDE["zig"])
        zig = disk_usage(cache.zig)
    units = sorted(_units(cache), key=lambda unit: unit.used)
    over = zig + sum(unit.size for unit in units) - limit
    for unit in units:
        if over <= 0 or unit.used >= since:
            break
        if unit.path not in kept:
            remover.tree(unit.path)
            over -= remover.removed.get(unit.path, 0)
    return remover


def _units(cache: Cache) -> Iterator[Unit]:
    for folder in (*_folders(cache.gobuild, re.compile("[0-9a-f]{2}")),):
        yield from _listed(folder, _GO_ENTRY)
    yield from _listed(cache.frames, INSIDE["frames"])
    yield from _listed(cache.emulators, INSIDE["emulators"])
    yield from _listed(cache.root / "apt", INSIDE["apt"])
    yield from _listed(cache.downloads / "debian", re.compile("[0-9a-f]{16}"))
    yield from _listed(cache.downloads / "debian/partial", re.compile(r"[\w.+~:-]+"))


def _folders(folder: Path, names: re.Pattern[str]) -> Iterable[Path]:
    return sorted(path for path in _entries(folder) if names.fullmatch(path.name))


def _listed(folder: Path, names: re.Pattern[str]) -> Iterator[Unit]:
    for path in _entries(folder):
        if names.fullmatch(path.name):
            status = path.lstat()
            yield Unit(path, disk_usage(path), status.st_mtime)


def _entries(folder: Path) -> list[Path]:
    """What is in a folder that is there, and no link."""
    return [*folder.iterdir()] if folder.is_dir() and not folder.is_symlink() else []
