"""Disks to be recognised, made by hand after the formats' own documents: little-endian, sparse."""

from __future__ import annotations

import struct
from pathlib import Path
from uuid import UUID

UUID_TEXT = "01234567-89ab-cdef-0123-456789abcdef"
MIB = 2**20


def _write(path: Path, size: int, parts: dict[int, bytes]) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
        for offset, data in parts.items():
            file.seek(offset)
            file.write(data)
    return path


def empty(path: Path) -> Path:
    """A new disk."""
    return _write(path, MIB, {})


def swap(path: Path) -> Path:
    """Linux swap, version 1: a header at 1024, the magic at the end of the first page of 4096."""
    pages = MIB // 4096
    header = (
        struct.pack("<III", 1, pages - 1, 0) + UUID(UUID_TEXT).bytes + b"paging".ljust(16, b"\0")
    )
    return _write(path, MIB, {1024: header, 4096 - 10: b"SWAPSPACE2"})


def squashfs(path: Path) -> Path:
    """The superblock of squashfs 4.0; all of the file is used."""
    fields = struct.pack("<IIIIIHHHHHH", 0x73717368, 1, 0, 131072, 0, 6, 17, 0, 1, 4, 0)
    return _write(path, MIB, {0: fields + struct.pack("<QQ", 0, MIB)})


def partitioned(path: Path) -> Path:
    """A DOS partition table with one Linux partition."""
    entry = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0x83, b"\0\0\0", 64, 1024)
    return _write(path, MIB, {440: b"\x12\x34\x56\x78", 446: entry, 510: b"\x55\xaa"})
