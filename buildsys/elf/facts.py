"""What an ELF file says about itself.

Sources: System V gABI, "ELF for the Arm Architecture" (aaelf32), "RISC-V ABIs Specification",
"64-bit ELF V2 ABI Specification" (POWER), "x86-64 psABI" (GNU properties).
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import BinaryIO, Final, Literal

from buildsys.elf.attributes import Attributes, parse_attributes
from buildsys.elf.gobuild import GoBuild, go_build
from buildsys.elf.image import (
    PF_W,
    PF_X,
    PT_DYNAMIC,
    PT_GNU_STACK,
    PT_INTERP,
    PT_LOAD,
    SHF_EXECINSTR,
    SHT_NOTE,
    SMALL_SECTION_BYTES,
    Image,
    Segment,
    is_code,
    label,
)

_MACHINES: Final[Mapping[int, str]] = MappingProxyType(
    {
        3: "386",
        8: "mips",
        20: "ppc",
        21: "ppc64",
        22: "s390",
        40: "arm",
        62: "x86_64",
        183: "aarch64",
        243: "riscv",
        258: "loongarch",
    }
)
MACHINES: Final = tuple(_MACHINES.values())
_KINDS: Final[Mapping[int, str]] = MappingProxyType({1: "REL", 2: "EXEC", 3: "DYN", 4: "CORE"})

_EXEC: Final = 2

_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_FLAGS_1 = 0, 1, 5, 0x6FFFFFFB
_DF_1_PIE: Final = 0x08000000

# A program without PT_GNU_STACK gets an executable stack where the kernel says so: Linux
# arch/arm/kernel/elf.c arm_elf_read_implies_exec and arch/x86/include/asm/elf.h
# elf_read_implies_exec (32-bit: always; x86_64 and arm64: before 5.8, and older kernels than that
# run k3s). POWER's 64-bit ABI, RISC-V and s390 default to no execution (VM_STACK_DEFAULT_FLAGS64
# in arch/powerpc/include/asm/page_64.h, VM_DATA_FLAGS_NON_EXEC in asm/page.h).
_EXEC_STACK_BY_DEFAULT: Final = frozenset({"arm", "386", "x86_64", "aarch64", "ppc", "mips"})


@dataclass(frozen=True, slots=True)
class Stack:
    """Whether the stack is executable, and which header says so."""

    executable: bool
    why: str


@dataclass(frozen=True, slots=True)
class ElfFacts:
    """Everything the audit judges about one ELF file; read by `read_facts`."""

    name: str
    machine: str
    bits: int
    endian: str
    kind: str
    flags: int
    eabi: int | None
    float_abi: str | None
    ppc64_abi: int | None
    interpreter: str | None
    needed: tuple[str, ...]
    has_dynamic: bool
    has_sections: bool
    stack: Stack
    writable_code: tuple[Segment, ...]
    arm: Attributes | None
    riscv: Attributes | None
    go: GoBuild | None
    x86_isa_needed: int | None

    @property
    def is_program(self) -> bool:
        """A linked file, with segments to load, as against an object file."""
        return self.kind in ("EXEC", "DYN")

    @property
    def is_static(self) -> bool:
        """No interpreter and no shared library asked for; also true of a static PIE."""
        return self.is_program and self.interpreter is None and not self.needed

    @property
    def is_static_pie(self) -> bool:
        """Static, yet relocated at start by its own dynamic section."""
        return self.is_static and self.kind == "DYN" and self.has_dynamic


def header_of(machine: str, bits: int, endian: str) -> bytes:
    """The first 20 bytes of a program for this machine, in the words of `ElfFacts`."""
    code = next(code for code, name in _MACHINES.items() if name == machine)
    little = endian == "little"
    identity = bytes([*b"\x7fELF", bits // 32, 1 if little else 2, 1]) + bytes(9)
    return identity + struct.pack("<HH" if little else ">HH", _EXEC, code)


def read_facts(source: bytes | BinaryIO, name: str) -> ElfFacts:
    """Read the facts of one ELF file, given as its bytes or as an open, seekable file.

    `name` is a label for messages. Raises ElfError if the file is no ELF file or is broken.
    """
    return facts_of(Image(source, name))


def facts_of(image: Image) -> ElfFacts:
    """Gather the facts of an image that is already open. Raises ElfError."""
    machine = _MACHINES.get(image.machine, f"em-{image.machine}")
    kind = _KINDS.get(image.kind, f"type-{image.kind}")
    dynamic = _dynamic(image)
    return ElfFacts(
        name=image.name,
        machine=machine,
        bits=image.bits,
        endian="little" if image.order == "<" else "big",
        kind=kind,
        flags=image.flags,
        eabi=image.flags >> 24 if machine == "arm" else None,
        float_abi=_float_abi(machine, image.flags),
        ppc64_abi=image.flags & 3 if machine == "ppc64" else None,
        interpreter=_interpreter(image),
        needed=_needed(image, dynamic),
        has_dynamic=bool(dynamic),
        has_sections=bool(image.sections),
        stack=_stack(image, machine, kind),
        writable_code=tuple(s for s in image.segments if is_code(s) and s.flags & PF_W),
        arm=_attributes(image, ".ARM.attributes", "aeabi") if machine == "arm" else None,
        riscv=_attributes(image, ".riscv.attributes", "riscv") if machine == "riscv" else None,
        go=go_build(image),
        x86_isa_needed=_x86_isa(image) if machine in ("x86_64", "386") else None,
    )


def _float_abi(machine: str, flags: int) -> str | None:
    """aaelf32 EF_ARM_ABI_FLOAT_HARD and _SOFT; RISC-V ABIs EF_RISCV_FLOAT_ABI. None: not said."""
    if machine == "riscv":
        return ("soft", "single", "double", "quad")[(flags & 6) >> 1]
    if machine == "arm" and flags >> 24 == 5:
        return {0x400: "hard", 0x200: "soft"}.get(flags & 0x600)
    return None


def _stack(image: Image, machine: str, kind: str) -> Stack:
    if kind == "REL":
        notes = [s for s in image.sections if s.name == ".note.GNU-stack"]
        if not notes:
            # lld and zig then leave the stack alone; GNU ld would go by the machine's default.
            return Stack(False, "no .note.GNU-stack")
        executable = any(s.flags & SHF_EXECINSTR for s in notes)
        return Stack(executable, ".note.GNU-stack")
    for segment in image.segments:
        if segment.kind == PT_GNU_STACK:
            return Stack(bool(segment.flags & PF_X), f"PT_GNU_STACK {segment.permissions}")
    return Stack(machine in _EXEC_STACK_BY_DEFAULT, f"no PT_GNU_STACK, kernel default on {machine}")


def _interpreter(image: Image) -> str | None:
    for segment in image.segments:
        if segment.kind == PT_INTERP:
            text = image.read(segment.offset, min(segment.file_size, 4096))
            return text.rstrip(b"\0").decode("utf-8", "backslashreplace")
    return None


def _dynamic(image: Image) -> tuple[tuple[int, int], ...]:
    for segment in image.segments:
        if segment.kind == PT_DYNAMIC:
            layout = image.order + ("II" if image.bits == 32 else "QQ")
            width = struct.calcsize(layout)
            size = min(segment.file_size, SMALL_SECTION_BYTES) // width * width
            return tuple(
                (tag, value)
                for tag, value in struct.iter_unpack(layout, image.read(segment.offset, size))
                if tag != _DT_NULL
            )
    return ()


def _needed(image: Image, dynamic: tuple[tuple[int, int], ...]) -> tuple[str, ...]:
    """List DT_NEEDED; `?` for a name whose text cannot be found, so that it still counts."""
    offsets = [value for tag, value in dynamic if tag == _DT_NEEDED]
    if not offsets:
        return ()
    table = dict(dynamic).get(_DT_STRTAB, 0)
    for segment in image.segments:
        start = table - segment.address
        if segment.kind == PT_LOAD and 0 <= start < segment.file_size:
            size = min(segment.file_size - start, SMALL_SECTION_BYTES)
            text = image.read(segment.offset + start, size)
            return tuple(label(text, offset) or "?" for offset in offsets)
    return ("?",) * len(offsets)


def _attributes(image: Image, section_name: str, vendor: str) -> Attributes | None:
    """Join the attributes of all sections of that name; None if there are none."""
    found: list[Attributes] = []
    for section in image.sections:
        if section.name != section_name:
            continue
        try:
            part = parse_attributes(
                image.content(section), vendor, little_endian=image.order == "<"
            )
        except ValueError as error:
            raise image.fail(f"{section_name}: {error}") from error
        if part is not None:
            found.append(part)
    return Attributes(tuple(e for part in found for e in part.entries)) if found else None


_NT_GNU_PROPERTY: Final = 5
_X86_ISA_1_NEEDED: Final = 0xC0008002


def _x86_isa(image: Image) -> int | None:
    """GNU_PROPERTY_X86_ISA_1_NEEDED as a bit set (1 baseline, 2 v2, 4 v3, 8 v4); None: not said.

    Source: x86-64 psABI, "Program Property". A linked file holds the union over its objects.
    """
    needed: int | None = None
    for section in image.sections:
        if section.kind == SHT_NOTE and section.name == ".note.gnu.property":
            for kind, value in _properties(image, image.content(section)):
                if kind == _X86_ISA_1_NEEDED:
                    needed = (needed or 0) | value
    return needed


def _properties(image: Image, data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the 4-byte properties of GNU property notes; ends where the format does."""
    align = image.bits // 8
    word: Literal["little", "big"] = "little" if image.order == "<" else "big"
    position = 0
    while position + 16 <= len(data):
        sizes = struct.unpack_from(image.order + "III", data, position)
        start, end = position + 16, position + 16 + sizes[1]
        if sizes[0] != 4 or data[position + 12 : start] != b"GNU\0" or end > len(data):
            return
        while sizes[2] == _NT_GNU_PROPERTY and start + 8 <= end:
            kind, size = struct.unpack_from(image.order + "II", data, start)
            if size == 4:
                yield kind, int.from_bytes(data[start + 8 : start + 12], word)
            start += 8 + -(-size // align) * align
        position = -(-end // align) * align
