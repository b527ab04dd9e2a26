"""A board in the making: its kernel, first root and disk as files, made without root."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from buildsys.machine.kernel import Kernel
from buildsys.machine.qemu import Files
from buildsys.machine.root import boot_archive, write_tree
from buildsys.model import DeviceTreeEdit, MachineTable
from buildsys.run import run, with_sbin


@dataclass(frozen=True)
class Board:
    """What a board is made of. `files` are a scenario's own, by their path in the guest."""

    name: str
    machine: MachineTable
    kernel: Kernel
    busybox: Path
    executable: Path
    files: Mapping[str, bytes]

    def prepare(self, files: Files, log: Path) -> None:
        """Write everything that `files` names. Raises `CommandError`, `DiskFullError`."""
        Path(files.kernel).write_bytes(self.kernel.image)
        first = boot_archive(self.machine, self.kernel, self.busybox.read_bytes())
        Path(files.initramfs).write_bytes(first)
        if self.kernel.device_tree:
            Path(files.device_tree).write_bytes(self.kernel.device_tree)
            for edit in self.machine.device_tree:
                run(fdtput(edit, files), log=log)
        tree = Path(files.folder) / "tree"
        parts = (self.machine, self.kernel, self.busybox, self.executable, self.files)
        write_tree(tree, self.name, *parts)
        run(self._mkfs(files, tree), log=log, env=with_sbin())

    def _mkfs(self, files: Files, tree: Path) -> list[str]:
        """An ext4 that holds the tree; files are root's, whoever makes it."""
        made = ["mkfs.ext4", "-q", "-F", "-E", "root_owner=0:0,lazy_itable_init=1", "-d", str(tree)]
        return ["unshare", "--map-root-user", *made, str(files.disk), f"{self.machine.disk_mib}M"]


def keep_disk(files: Files) -> None:
    """Keep a copy of the disk, for `renew_disk`. Raises `CommandError`, `DiskFullError`."""
    _copy(files.disk, files.spare, files)


def renew_disk(files: Files) -> None:
    """Put the kept disk in the used one's place. Raises as `keep_disk` does."""
    _copy(files.spare, files.disk, files)


def _copy(source: PurePath, place: PurePath, files: Files) -> None:
    """Holes stay holes: a disk is mostly empty."""
    argv = ["cp", "--sparse=always", str(source), str(place)]
    run(argv, log=Path(files.folder) / "copy.log")


def fdtput(edit: DeviceTreeEdit, files: Files) -> list[str]:
    """The command that sets a property of the device tree."""
    kind, values = ("s", edit.strings) if edit.strings else ("x", [f"{c:x}" for c in edit.cells])
    return ["fdtput", "-t", kind, str(files.device_tree), edit.node, edit.property, *values]
