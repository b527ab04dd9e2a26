"""An initramfs: a cpio archive in memory. Pure.

Format "newc" of the kernel's Documentation/driver-api/early-userspace/buffer-format.rst: a header
of thirteen numbers of eight hex digits each, the name, the content, each padded to four bytes.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass

_END = "TRAILER!!!"


@dataclass(frozen=True)
class Node:
    """A file, folder or device; `mode` with its type, as stat(2) has it."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def folder(name: str) -> Node:
    """A folder with mode 0755."""
    return Node(name, stat.S_IFDIR | 0o755)


def file(name: str, data: bytes, mode: int = 0o644) -> Node:
    """A file."""
    return Node(name, stat.S_IFREG | mode, data)


def character(name: str, major: int, minor: int) -> Node:
    """A character device with mode 0600."""
    return Node(name, stat.S_IFCHR | 0o600, device=(major, minor))


def archive(nodes: Iterable[Node]) -> bytes:
    """The whole archive, owned by root, without times."""
    whole = [*nodes, Node(_END, 0)]
    return b"".join(_entry(number, node) for number, node in enumerate(whole, 1))


def _entry(number: int, node: Node) -> bytes:
    name = node.name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(node.mode) else 1
    numbers = (number, node.mode, 0, 0, links, 0, len(node.data), 0, 0, *node.device, len(name), 0)
    header = b"070701" + "".join(f"{value:08x}" for value in numbers).encode()
    return _padded(header + name) + _padded(node.data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
