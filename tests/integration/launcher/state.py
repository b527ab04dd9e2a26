"""Judges a data directory: whole, absent, or (never) something in between."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from .pack import CNI_NAMES, Pack


def version_dir(data_dir: Path, pack: Pack) -> Path:
    return data_dir / "data" / pack.data_hash()


def assert_whole(data_dir: Path, pack: Pack) -> None:
    """Every file and link of the payload is there, as packed, and nothing else."""
    top = version_dir(data_dir, pack)
    for path, data in pack.files.items():
        file = top / path
        assert file.read_bytes() == data, path
        assert stat.S_IMODE(file.lstat().st_mode) == int(pack.mode(path), 8), path
    for path, target in pack.links.items():
        assert os.readlink(top / path) == target
    found = {str(p.relative_to(top)) for p in top.rglob("*") if p.is_symlink() or not p.is_dir()}
    assert found - {".links-pending", ".content-unchecked"} == {*pack.files, *pack.links}


def assert_linked(data_dir: Path, pack: Pack) -> None:
    """current and data/cni name this version."""
    top = version_dir(data_dir, pack)
    assert os.readlink(data_dir / "data" / "current") == str(top)
    for name in ("cni", *CNI_NAMES):
        assert os.readlink(data_dir / "data" / "cni" / name) == str(top / "bin" / "cni"), name


def assert_old_or_new(data_dir: Path, pack: Pack) -> bool:
    """After a kill: no version, or a whole one. True: the whole one."""
    top = version_dir(data_dir, pack)
    if not top.exists():
        return False
    assert_whole(data_dir, pack)
    if not (top / ".links-pending").exists():
        assert_linked(data_dir, pack)
    return True


def leftovers(data_dir: Path) -> list[str]:
    data = data_dir / "data"
    return [p.name for p in data.iterdir() if p.name.endswith("-tmp")] if data.exists() else []
