"""The machine that a target's executable is booted on: `[machine]` in toolchains/<name>.toml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from buildsys.model.base import Frozen, InnerPath, Sentence
from buildsys.model.source import DebianBinary, DebianName

Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._,=+-]*$")]
"""One argument of QEMU, or a part of one."""

Module = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_]*$")]
"""A kernel module's name, with underscores."""


class KernelTable(DebianBinary):
    """A kernel as Debian ships it for the board; `image` and `device_tree` are paths in it."""

    image: InnerPath
    device_tree: InnerPath | None = None

    @property
    def release(self) -> str:
        """The kernel's release, which Debian names the package after: 6.12.107+deb13-rpi."""
        return self.package.removeprefix("linux-image-")


class DeviceTreeEdit(Frozen):
    """One property set anew before the boot, in fdtput's types: `cells` (u32) or `strings`."""

    node: Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9,._+@/-]*$")]
    property: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9,._+#?-]+$")]
    cells: tuple[Annotated[int, Field(ge=0, lt=1 << 32)], ...] = ()
    strings: tuple[str, ...] = ()
    why: Sentence


class OneShotTimer(Frozen):
    """Addresses of a timer that QEMU lets miss its moment, and the bit that says it came.

    `buildsys.machine.timer` says what is wrong with it and looks after it.
    """

    status: int
    counter: int
    compare: int
    match: int
    why: Sentence


class MachineTable(Frozen):
    """What QEMU is told, what the kernel is told, and what the guest must say of itself.

    `emulator` is the word behind qemu-system-, `debian` the package that has that program. `icount`
    makes a board count instructions for time: as slow as the real one, however busy the host is,
    and slower to wait for. `memory_mib` and `disk_mib` in MiB. `patience` multiplies the guest
    seconds that a scenario's steps may take, which are those of an idle amd64 machine. `rounds` is
    how often scenarios that repeat something do so. `modules` are loaded before anything starts,
    `boot_modules` before the disk can be seen.
    """

    emulator: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")]
    debian: DebianName
    machine: Word
    cpu: Word | None = None
    cores: Annotated[int, Field(ge=1, le=8)] = 1
    memory_mib: Annotated[int, Field(ge=64)]
    icount: Word | None = None
    accelerator: Word = "tcg"
    disk_mib: Annotated[int, Field(ge=512)]
    disk: Word
    disk_node: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+$")]
    network: Word
    console: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+$")]
    append: str = ""
    patience: Annotated[float, Field(ge=1)] = 1
    rounds: Annotated[int, Field(ge=1, le=200)] = 1
    uname: str
    features: tuple[str, ...] = ()
    lacks_features: tuple[str, ...] = ()
    boot_modules: tuple[Module, ...] = ()
    modules: tuple[Module, ...] = ()
    kernel: KernelTable
    timer: OneShotTimer | None = None
    device_tree: tuple[DeviceTreeEdit, ...] = ()
