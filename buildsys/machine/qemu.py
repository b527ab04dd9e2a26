"""The command line of QEMU and of the kernel for a machine. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from buildsys.model import MachineTable


@dataclass(frozen=True)
class Files:
    """Where everything of one boot lies; sockets apart, whose paths may have 107 bytes at most."""

    folder: PurePath
    sockets: PurePath

    @property
    def kernel(self) -> PurePath:
        """The kernel's image."""
        return self.folder / "kernel"

    @property
    def device_tree(self) -> PurePath:
        """The device tree, edited."""
        return self.folder / "board.dtb"

    @property
    def initramfs(self) -> PurePath:
        """The first root."""
        return self.folder / "initramfs"

    @property
    def disk(self) -> PurePath:
        """The disk's image, raw."""
        return self.folder / "disk"

    @property
    def spare(self) -> PurePath:
        """The disk as it was before anything ran."""
        return self.folder / "spare"

    @property
    def console(self) -> PurePath:
        """The socket of the serial line."""
        return self.sockets / "console"

    @property
    def registers(self) -> PurePath:
        """The socket of qtest, by which the board's registers are read."""
        return self.sockets / "registers"

    @property
    def control(self) -> PurePath:
        """The socket of QMP."""
        return self.sockets / "control"


@dataclass(frozen=True)
class Plug:
    """A board's end of the wire that joins boards; `number` counts them from 1."""

    number: int

    @property
    def tap(self) -> str:
        """The host's name of it."""
        return f"board{self.number}"

    @property
    def mac(self) -> str:
        """The address of the board's card."""
        return f"52:54:00:00:00:{self.number:02x}"


def command_line(
    machine: MachineTable,
    files: Files,
    log: PurePath,
    append: str,
    *,
    network: bool | Plug,
    steady: bool,
) -> list[str]:
    """QEMU's arguments; everything that is said on the console goes to `log` as well.

    `network` is none, QEMU's user network, or a plug of the wire. A `steady` board counts
    instructions for time, where its table says how.
    """
    kept = f"logfile={log},logappend=on"
    return [
        f"qemu-system-{machine.emulator}",
        *("-machine", machine.machine, "-accel", machine.accelerator),
        *(("-cpu", machine.cpu) if machine.cpu else ()),
        *("-smp", str(machine.cores), "-m", str(machine.memory_mib)),
        *(("-icount", machine.icount) if machine.icount and steady else ()),
        *("-nodefaults", "-display", "none", "-no-reboot"),
        *("-kernel", str(files.kernel), "-initrd", str(files.initramfs), "-append", append),
        *(("-dtb", str(files.device_tree)) if machine.kernel.device_tree else ()),
        *("-chardev", f"socket,id=console,path={files.console},server=on,wait=off,{kept}"),
        *("-serial", "chardev:console"),
        *("-qmp", f"unix:{files.control},server=on,wait=off"),
        *_registers(machine, files),
        *_disk(machine, files),
        *_network(machine, network),
    ]


def _registers(machine: MachineTable, files: Files) -> list[str]:
    if machine.timer is None:
        return []
    return ["-qtest", f"unix:{files.registers},server=on,wait=off", "-qtest-log", "none"]


def _disk(machine: MachineTable, files: Files) -> list[str]:
    drive = f"file={files.disk},format=raw,cache=writeback,discard=unmap"
    if machine.disk == "sd":
        return ["-drive", f"{drive},if=sd"]
    return ["-drive", f"{drive},if=none,id=disk", "-device", f"{machine.disk},drive=disk"]


def _network(machine: MachineTable, network: bool | Plug) -> list[str]:
    if not network:
        return ["-nic", "none"]
    card = f"{machine.network},netdev=net"
    if isinstance(network, Plug):
        tap = f"tap,id=net,ifname={network.tap},script=no,downscript=no"
        return ["-netdev", tap, "-device", f"{card},mac={network.mac}"]
    return ["-netdev", "user,id=net", "-device", card]


def kernel_line(machine: MachineTable, name: str, nonce: str, clock: int) -> str:
    """The kernel's command line. `clock` in seconds of Unix time; `nonce` comes back at the end.

    `name` is what the guest calls itself.
    Only errors of the kernel go to the console, so that lines of the guest stay whole.
    """
    words = (
        f"console={machine.console}",
        "loglevel=4",
        "panic=1",
        "cgroup_no_v1=all",
        machine.append,
        f"guest.console={machine.console}",
        f"guest.disk={machine.disk_node}",
        f"guest.name={name}",
        f"guest.clock={clock}",
        f"guest.nonce={nonce}",
    )
    return " ".join(word for word in words if word)
