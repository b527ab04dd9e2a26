"""Emulators for containers: programs of a target run as if they were the host's, on its own CPU.

The kernel's binfmt_misc gives a program to an interpreter by the header of its file. It takes no
arguments, and qemu-user plays its newest ARM unless it is told another CPU. So three entries stand
in a row, for armv6 (Documentation/admin-guide/binfmt-misc.rst; fs/binfmt_misc.c):

    the program             → "arm1176"         a file of that name, with a mark in it
    the file with that mark → "-cpu"            another one, with a mark of its own
    the file with that one  → qemu-arm-static

Each step puts its interpreter's name before the arguments, and what comes out is
`qemu-arm-static -cpu arm1176 PROGRAM …`. F lets the kernel hold all three files open: they need
not exist in a container, and the two small ones nowhere. P hands the program its own argv[0].
C and O (for set-user-ID programs) allow one step only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from buildsys.elf import header_of
from buildsys.emulator import Emulator, binfmt_line, header_mask
from buildsys.model import Target

ROOT = Path("/proc/sys/fs/binfmt_misc")

PREFIX = "k3s-buildsys-"
"""How the names of our entries begin."""


@dataclass(frozen=True)
class Step:
    """An entry to register; `file` is what must be at its interpreter's name, if not a program."""

    name: str
    line: bytes
    interpreter: str
    file: bytes = b""


def steps(target: Target, emulator: Emulator) -> tuple[Step, ...]:
    """The entries of a target, the one that comes first when a program starts last.

    So no program is given to a row that is not whole.
    """
    names = own_names(target)
    marks = [f"\x7fk3s-buildsys {target.name} {word}\n".encode() for word in ("cpu", "option")]
    header = header_of(target.elf.machine, target.elf.bits, target.elf.endian)
    cpu, option, program = names
    return (
        _step(program, marks[1], _whole(marks[1]), str(emulator.program), "F", b""),
        _step(option, marks[0], _whole(marks[0]), "-cpu", "F", marks[1]),
        _step(cpu, header, header_mask(header), emulator.cpu, "PF", marks[0]),
    )


def _step(name: str, magic: bytes, mask: bytes, interpreter: str, flags: str, file: bytes) -> Step:
    return Step(name, binfmt_line(name, magic, mask, interpreter, flags), interpreter, file)


def _whole(magic: bytes) -> bytes:
    return b"\xff" * len(magic)


def own_names(target: Target) -> tuple[str, str, str]:
    """The names of a target's entries, in the order in which a program passes them."""
    name = f"{PREFIX}{target.name}"
    return name, f"{name}-option", f"{name}-emulator"


@dataclass(frozen=True)
class Entry:
    """An entry as the kernel shows it; `since` orders them by when they were registered."""

    name: str
    enabled: bool
    interpreter: str
    magic: bytes
    mask: bytes
    offset: int
    since: int

    def takes(self, header: bytes) -> bool:
        """Whether a program that begins so is given to this entry; later ones are asked first."""
        seen = header[self.offset : self.offset + len(self.magic)]
        if not self.magic or len(seen) < len(self.magic):
            return False
        mask = self.mask or _whole(self.magic)
        parts = zip(seen, self.magic, mask, strict=True)
        return all((byte ^ wanted) & bits == 0 for byte, wanted, bits in parts)


def parse(name: str, text: str, since: int) -> Entry:
    """An entry from the text of its file."""
    fields = dict(line.partition(" ")[::2] for line in text.splitlines())
    return Entry(
        name,
        "enabled" in fields,
        fields.get("interpreter", ""),
        bytes.fromhex(fields.get("magic", "")),
        bytes.fromhex(fields.get("mask", "")),
        int(fields.get("offset", "0")),
        since,
    )


def entries(root: Path = ROOT) -> list[Entry]:
    """All entries, the one that is asked first at the start; none where nothing is mounted."""
    return sorted(_entries(root), key=lambda entry: entry.since, reverse=True)


def _entries(root: Path) -> Iterator[Entry]:
    for path in root.iterdir() if (root / "register").exists() else ():
        if path.name not in ("register", "status"):
            yield parse(path.name, path.read_text(), path.stat().st_mtime_ns)


@dataclass(frozen=True)
class State:
    """Who runs a target's programs: "host", an entry of ours, one of others, or nobody.

    `others` are entries of other targets or people that take the same programs.
    """

    target: str
    cpu: str
    runs: str
    interpreter: str = ""
    others: tuple[str, ...] = ()


def states(
    targets: Mapping[str, Target], found: list[Entry], native: frozenset[str]
) -> list[State]:
    """The state of each target; `found` has what is asked first at the start."""
    return [_state(target, found, target.name in native) for target in targets.values()]


def _state(target: Target, found: list[Entry], native: bool) -> State:
    header = header_of(target.elf.machine, target.elf.bits, target.elf.endian)
    taking = [entry for entry in found if entry.enabled and entry.takes(header)]
    own, cpu = own_names(target)[0], target.emulator.cpu
    others = tuple(entry.name for entry in taking if entry.name != own)
    if not taking:
        return State(target.name, cpu, "host" if native else "nobody")
    first = taking[0]
    return State(target.name, cpu, "ours" if first.name == own else "other", first.name, others)
