"""Sum files, as sha256sum writes and reads them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath


def listing(paths: Iterable[str], sums: Mapping[str, str]) -> bytes:
    """The sum file of `paths` for the folder that they lie in; `sums` has their sha256."""
    return "".join(f"{sums[path]}  {PurePosixPath(path).name}\n" for path in paths).encode()


def parsed(text: bytes) -> dict[str, str]:
    """Sha256 by name; lines of another form are left out."""
    lines = (line.split("  ", 1) for line in text.decode("utf-8", "replace").splitlines())
    return {parts[1]: parts[0] for parts in lines if len(parts) == 2}
