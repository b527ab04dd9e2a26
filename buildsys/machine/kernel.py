"""The kernel of a board: what is taken out of Debian's package of it."""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import zstandard

from buildsys.archive import deb_member, deb_members
from buildsys.errors import MissingToolError
from buildsys.model import KernelTable

_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")
"""In a module's .modinfo section: the modules that it needs, by commas."""


@dataclass(frozen=True)
class Kernel:
    """A kernel's image, its device tree if it has one, and the modules asked for.

    `modules` maps a module's name to its unpacked file; what one needs stands before it.
    """

    release: str
    image: bytes
    device_tree: bytes | None
    modules: Mapping[str, bytes]
    needs: Mapping[str, tuple[str, ...]]


def read_kernel(package: Path, table: KernelTable, wanted: Iterable[str]) -> Kernel:
    """Read `package`, a .deb. Modules that are built in are passed over.

    Raises `MissingToolError` for a module that this kernel does not have, `CorruptError` for a
    package without what the target names.
    """
    members = deb_members(package)

    def file(path: str) -> bytes:
        return deb_member(members, path, table.label, "machine.kernel")

    names = {_module_name(path): path for path in members if ".ko" in PurePosixPath(path).suffixes}
    builtin = _builtin(members)
    modules: dict[str, bytes] = {}
    needs: dict[str, tuple[str, ...]] = {}
    for name in wanted:
        _add(name, members, names, builtin, modules, needs, table)
    return Kernel(
        release=table.release,
        image=file(table.image),
        device_tree=file(table.device_tree) if table.device_tree else None,
        modules=modules,
        needs=needs,
    )


def _module_name(path: str) -> str:
    return PurePosixPath(path).name.split(".ko")[0].replace("-", "_")


def _builtin(members: Mapping[str, bytes]) -> frozenset[str]:
    lists = (data for path, data in members.items() if path.endswith("/modules.builtin"))
    return frozenset(_module_name(line) for data in lists for line in data.decode().split())


def _add(
    name: str,
    members: Mapping[str, bytes],
    names: Mapping[str, str],
    builtin: frozenset[str],
    modules: dict[str, bytes],
    needs: dict[str, tuple[str, ...]],
    table: KernelTable,
) -> None:
    if name in modules or name in builtin:
        return
    if name not in names:
        raise MissingToolError(
            f"{table.label} has no module {name}",
            cause="the kernel was built without it, or it has another name",
            action="correct machine.modules of the target",
        )
    data = _unpacked(names[name], members[names[name]])
    found = _DEPENDS.search(data)
    wanted = found[1].decode().replace("-", "_").split(",") if found and found[1] else []
    needs[name] = tuple(need for need in wanted if need not in builtin)
    for need in wanted:
        _add(need, members, names, builtin, modules, needs, table)
    modules[name] = data


def _unpacked(path: str, data: bytes) -> bytes:
    """As busybox loads it: not compressed."""
    if path.endswith(".xz"):
        return lzma.decompress(data)
    if path.endswith(".zst"):
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return data
