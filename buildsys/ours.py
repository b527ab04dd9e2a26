"""What a cache of ours is made of, by name: how its folder is told from anybody else's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

TAG = "CACHEDIR.TAG"
"""By this file backup programs know a cache; format: https://bford.info/cachedir/."""

SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55"

TAG_TEXT = f"""{SIGNATURE}
# This file is a cache directory tag created by k3s-buildsys.
# For information about cache directory tags see https://bford.info/cachedir/
"""

MARKER = ".k3s-buildsys-cache"
"""By this file we know a cache for ours."""

MARKER_TEXT = "k3s-buildsys writes into this folder, and `invoke clean` removes from it.\n"

SCRATCHES = (
    *("audit", "bench", "bench-launcher", "binfmt", "boot", "bundle", "debian", "docker-base"),
    *("fetch", "frame", "image", "layer", "npm", "release-sources", "smoke", "vettool", "yarn"),
)
"""With one of these begins the name of every scratch folder but those of jobs."""

SCRATCH = re.compile(rf"[0-9a-f]{{32}}|({'|'.join(SCRATCHES)})(-[a-z0-9-]+)?-[0-9a-f]{{8}}")
"""Names in `work`: the beginning of a job's key, or a scratch folder's."""

_TEMPORARY = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{32}\.tmp")


def unfinished_name(name: str) -> str | None:
    """The name that an unfinished file (`cache.unfinished`) is to have; None for any other."""
    found = _TEMPORARY.fullmatch(name)
    return found["name"] if found else None


INSIDE: Mapping[str, re.Pattern[str]] = {
    name: re.compile(pattern)
    for name, pattern in {
        ".config": "go",  # Go's telemetry, which stays here: the cache is its home
        "apt": r"[a-z][a-z0-9-]*",
        "aside": r"[0-9a-f]{12}-\w{8}|[\w.+~@!-]+\.\w+",
        "docker-base": r"mmdebstrap\.\w+",
        "downloads": r"debian|go|npm|yarn|wheels-[0-9a-f]{20}",
        "emulators": r"[0-9a-f]{16}",
        "frames": r"[0-9a-f]{64}-[\w.+-]+|\.[0-9a-f]{64}-[\w.+-]+\.tmp",
        "go": r"mod|build",
        "locks": r"[\w.@+=-]+",
        "logs": r"[\w.@+=-]+\.log(\.verify)?",
        "store": r"[0-9a-f]{64}",
        "tests": r"contained|go[\w.]+-zig[\w.-]+",
        "work": SCRATCH.pattern,
        "zig": r"[a-z]|tmp",
    }.items()
}
"""The folders of a cache, and what may lie in each."""


def names_in(folder: Path) -> set[str]:
    """The names in a folder. Raises OSError."""
    return {path.name for path in folder.iterdir()}


_BLANK = {TAG, "lost+found"}
"""What a folder may hold and count as empty: a new disk has such a folder."""


def blank(names: Iterable[str]) -> bool:
    """Whether a folder with these entries holds nothing of anybody's."""
    tags = (TAG, MARKER)
    return all(name in _BLANK or unfinished_name(name) in tags for name in names)


def some_of(folder: Path) -> str:
    """What a folder holds, in a few words."""
    names = sorted(names_in(folder))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def is_cache(root: Path) -> bool:
    """Whether a folder is marked as a cache of ours, or is one without the mark."""
    return (root / MARKER).is_file() or was_ours(root)


def was_ours(root: Path) -> bool:
    """Whether a folder without the marker is a cache of before, or one that a workflow restored.

    Names alone prove little, for a home has `work` and `go` too: somewhere in it is what only we
    name so, artifacts by key or downloads by hash, and nowhere is anything else.
    """
    for name in names_in(root) - _BLANK:
        if name not in INSIDE or not _holds_only(root / name, INSIDE[name]):
            return False
    return _has(root / "store", INSIDE["store"]) or any(
        _has(root / "downloads" / kind, re.compile("[0-9a-f]{16}")) for kind in ("debian", "npm")
    )


def _holds_only(folder: Path, names: re.Pattern[str]) -> bool:
    return folder.is_dir() and all(names.fullmatch(name) for name in names_in(folder))


def _has(folder: Path, names: re.Pattern[str]) -> bool:
    """Whether the folder is not empty, and holds nothing else but `partial`."""
    if not folder.is_dir():
        return False
    found = names_in(folder) - {"partial"}
    return bool(found) and all(names.fullmatch(name) for name in found)
