"""qemu-user: running one program as the target's CPU would."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from buildsys.errors import MissingToolError
from buildsys.model import Target

_MACHINES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "ppc64le": "ppc64le",
    "i686": "386",
}
"""What `uname -m` says → Go's word. No ARM: its levels cannot be told from it."""


@dataclass(frozen=True)
class Emulator:
    """A static qemu-user program and the CPU that it plays."""

    program: Path
    cpu: str

    def wrap(self, argv: list[str], folder: Path) -> list[str]:
        """`argv` under the emulator; scripts run as they are."""
        path = folder / argv[0]
        if not is_elf(path):
            return [str(path), *argv[1:]]
        return [str(self.program), "-cpu", self.cpu, "-0", argv[0], str(path), *argv[1:]]

    def registration(self, name: str, elf: Path) -> bytes:
        """The binfmt_misc line that gives programs with the header of `elf` to this emulator.

        Format: Documentation/admin-guide/binfmt-misc.rst of the kernel.
        """
        header = elf.read_bytes()[:20]
        return binfmt_line(name, header, header_mask(header), str(self.program), "F")


def header_mask(header: bytes) -> bytes:
    """Which bits of an ELF's first 20 bytes say for what machine it is.

    All up to e_machine but the ABI byte and the type, which may be EXEC or DYN.
    """
    mask = bytearray(b"\xff" * 20)
    mask[7:16] = bytes(9)
    mask[16 if header[5] == 1 else 17] = 0xFE
    return bytes(mask)


def binfmt_line(name: str, magic: bytes, mask: bytes, interpreter: str, flags: str) -> bytes:
    """What is written to binfmt_misc's `register`."""
    return f":{name}:M::{_escaped(magic)}:{_escaped(mask)}:{interpreter}:{flags}".encode()


def _escaped(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)


def find_emulator(target: Target) -> Emulator:
    """The target's emulator on this host. Raises `MissingToolError`."""
    names = (f"qemu-{target.emulator.user}-static", f"qemu-{target.emulator.user}")
    for name in names:
        if path := shutil.which(name):
            return Emulator(Path(path).resolve(), target.emulator.cpu)
    raise MissingToolError(
        f"no emulator for {target.name}: none of {', '.join(names)} is installed",
        action="apt-get install qemu-user-static (or `invoke setup --for audit`)",
    )


def is_native(target: Target) -> bool:
    """Whether this host runs the target's programs itself."""
    return runs(target.go["GOARCH"])


def runs(architecture: str) -> bool:
    """Whether this host is of that architecture, in Go's word."""
    return _MACHINES.get(platform.machine()) == architecture


def is_elf(path: Path) -> bool:
    """Whether the file starts as an ELF does."""
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"
