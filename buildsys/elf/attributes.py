"""Build attributes: what a compiler recorded about the CPU that its output needs.

Sources: "Addenda to, and Errata in, the ABI for the Arm Architecture" (addenda32, 2023Q3; section
`.ARM.attributes`, vendor `aeabi`) and "RISC-V ABIs Specification" (section `.riscv.attributes`,
vendor `riscv`). Both use one container: format byte `A`, then one subsection per vendor, in it
scopes (file, section, symbol), in them pairs of tag and value.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final, Literal

Value = int | str
_Order = Literal["little", "big"]

_FILE_SCOPE: Final = 1
_SYMBOL_SCOPE: Final = 3
_ULEB_BYTES: Final = 10  # enough for 64 bits, 7 per byte; longer is padding meant to be annoying


class ArmTag(IntEnum):
    """Public tags of the vendor `aeabi` that a rule or a report reads (addenda32, table 1)."""

    CPU_NAME = 5
    CPU_ARCH = 6
    CPU_ARCH_PROFILE = 7
    ARM_ISA_USE = 8
    THUMB_ISA_USE = 9
    FP_ARCH = 10
    WMMX_ARCH = 11
    ADVANCED_SIMD_ARCH = 12
    ABI_FP_NUMBER_MODEL = 23
    ABI_HARDFP_USE = 27
    ABI_VFP_ARGS = 28
    FP_HP_EXTENSION = 36
    MPEXTENSION_USE = 42
    DIV_USE = 44
    MVE_ARCH = 48
    T2EE_USE = 66

    @property
    def label(self) -> str:
        """The tag's name as the ABI document and readelf write it, without `Tag_`."""
        return _LABELS[self]


class RiscvTag(IntEnum):
    """Tags of the vendor `riscv` that a report reads (RISC-V ABIs Specification)."""

    STACK_ALIGN = 4
    ARCH = 5
    UNALIGNED_ACCESS = 6


_RISCV_VERSION: Final = re.compile(r"[0-9]+p[0-9]+$")

_LABELS: Final[Mapping[ArmTag, str]] = MappingProxyType(
    {
        ArmTag.CPU_NAME: "CPU_name",
        ArmTag.CPU_ARCH: "CPU_arch",
        ArmTag.CPU_ARCH_PROFILE: "CPU_arch_profile",
        ArmTag.ARM_ISA_USE: "ARM_ISA_use",
        ArmTag.THUMB_ISA_USE: "THUMB_ISA_use",
        ArmTag.FP_ARCH: "FP_arch",
        ArmTag.WMMX_ARCH: "WMMX_arch",
        ArmTag.ADVANCED_SIMD_ARCH: "Advanced_SIMD_arch",
        ArmTag.ABI_FP_NUMBER_MODEL: "ABI_FP_number_model",
        ArmTag.ABI_HARDFP_USE: "ABI_HardFP_use",
        ArmTag.ABI_VFP_ARGS: "ABI_VFP_args",
        ArmTag.FP_HP_EXTENSION: "FP_HP_extension",
        ArmTag.MPEXTENSION_USE: "MPextension_use",
        ArmTag.DIV_USE: "DIV_use",
        ArmTag.MVE_ARCH: "MVE_arch",
        ArmTag.T2EE_USE: "T2EE_use",
    }
)

_CPU_ARCH: Final = (
    "pre-v4",
    "v4",
    "v4T",
    "v5T",
    "v5TE",
    "v5TEJ",
    "v6",
    "v6KZ",
    "v6T2",
    "v6K",
    "v7",
    "v6-M",
    "v6S-M",
    "v7E-M",
    "v8-A",
    "v8-R",
    "v8-M.baseline",
    "v8-M.mainline",
    "v8.1-A",
    "v8.2-A",
    "v8.3-A",
    "v8.1-M.mainline",
    "v9-A",
)
_FP_ARCH: Final = (
    "none",
    "VFPv1",
    "VFPv2",
    "VFPv3",
    "VFPv3-D16",
    "VFPv4",
    "VFPv4-D16",
    "FP-v8",
    "FP-v8-D16",
)

_VALUE_NAMES: Final[Mapping[int, Mapping[int, str]]] = MappingProxyType(
    {
        ArmTag.CPU_ARCH: dict(enumerate(_CPU_ARCH)),
        ArmTag.CPU_ARCH_PROFILE: {
            0: "none",
            ord("A"): "application",
            ord("R"): "real-time",
            ord("M"): "microcontroller",
            ord("S"): "classic",
        },
        ArmTag.ARM_ISA_USE: {0: "none", 1: "ARM"},
        ArmTag.THUMB_ISA_USE: {0: "none", 1: "Thumb-1", 2: "Thumb-2", 3: "as CPU_arch"},
        ArmTag.FP_ARCH: dict(enumerate(_FP_ARCH)),
        ArmTag.ADVANCED_SIMD_ARCH: {
            0: "none",
            1: "NEONv1",
            2: "NEONv2",
            3: "NEON-v8",
            4: "NEON-v8.1",
        },
        ArmTag.ABI_HARDFP_USE: {0: "as FP_arch", 1: "single precision", 3: "as FP_arch"},
        ArmTag.ABI_VFP_ARGS: {0: "soft", 1: "hard", 2: "toolchain's own", 3: "either"},
        ArmTag.FP_HP_EXTENSION: {0: "as FP_arch", 1: "VFPv3 half", 2: "v8.2-A half"},
        ArmTag.MPEXTENSION_USE: {0: "none", 1: "PLDW"},
        ArmTag.DIV_USE: {0: "as CPU_arch", 1: "none", 2: "SDIV and UDIV"},
    }
)


@dataclass(frozen=True, slots=True)
class Attributes:
    """All attributes of one vendor in one file, in the order in which they are written.

    A file may hold several sections, subsections and scopes; clang writes a second section when
    inline assembly raises the architecture. Every entry counts as a demand on the CPU, so nothing
    is merged here and a rule has to look at all values of a tag.
    """

    entries: tuple[tuple[int, Value], ...]

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Distinct values of a numeric tag; a tag left out means 0 (addenda32, default values)."""
        found = dict.fromkeys(v for t, v in self.entries if t == tag and isinstance(v, int))
        return tuple(found) or (0,)

    def texts(self, tag: int) -> tuple[str, ...]:
        """Distinct values of a text tag, empty if it is left out."""
        return tuple(dict.fromkeys(v for t, v in self.entries if t == tag and isinstance(v, str)))

    def named(self, tag: ArmTag) -> str:
        """Word an ARM tag's value for reports: `v6`, or `v6, v7` if it is given twice."""
        if tag is ArmTag.CPU_NAME:
            return ", ".join(self.texts(tag)) or "none"
        return ", ".join(value_name(tag, number) for number in self.numbers(tag))


def value_name(tag: int, value: int) -> str:
    """Word a value of an ARM tag, as `value N` if the ABI document has no name for it."""
    return _VALUE_NAMES.get(tag, {}).get(value, f"value {value}")


def riscv_extensions(arch: str) -> frozenset[str]:
    """Name the extensions of a Tag_RISCV_arch: "rv64i2p1_m2p0_zicsr2p0" has rv64i, m and zicsr.

    A word without a version, which the RISC-V ABIs Specification demands, comes back as it is.
    """
    return frozenset(_RISCV_VERSION.sub("", word) for word in arch.lower().split("_"))


def parse_attributes(data: bytes, vendor: str, *, little_endian: bool) -> Attributes | None:
    """Parse the attributes of `vendor` in the bytes of an attributes section.

    None if the section holds nothing of that vendor. Raises ValueError on bytes that do not follow
    the container's format; every loop advances, so garbage ends.
    """
    if not data:
        return None
    if data[0] != ord("A"):
        raise ValueError(f"build attributes of unknown format {data[0]:#04x}")
    order: _Order = "little" if little_endian else "big"
    entries: list[tuple[int, Value]] = []
    seen = False
    position = 1
    while position < len(data):
        end = _length_end(data, position, len(data), order)
        owner, body = _text(data, position + 4, end)
        if owner == vendor:
            seen = True
            entries.extend(_scopes(data, body, end, order, vendor))
        position = end
    return Attributes(tuple(entries)) if seen else None


def _length_end(data: bytes, position: int, limit: int, order: _Order) -> int:
    """Where the block ends whose 4-byte length, counting itself, stands at `position`."""
    if position + 4 > limit:
        raise ValueError("build attributes end inside a length")
    length = int.from_bytes(data[position : position + 4], order)
    if length < 4 or position + length > limit:
        raise ValueError(f"build attributes give a length of {length} bytes")
    return position + length


def _scopes(
    data: bytes, position: int, end: int, order: _Order, vendor: str
) -> Iterator[tuple[int, Value]]:
    """Yield the entries of every scope; a section's or symbol's count like the file's own."""
    while position < end:
        start = position
        scope, position = _uleb(data, position, end)
        if not _FILE_SCOPE <= scope <= _SYMBOL_SCOPE:
            raise ValueError(f"build attributes have an unknown scope {scope}")
        # The size counts from the scope's own tag, unlike a subsection's.
        size = int.from_bytes(data[position : position + 4], order)
        stop = start + size
        position += 4
        if position > end or stop > end or stop < position:
            raise ValueError(f"build attributes give a scope of {size} bytes")
        if scope != _FILE_SCOPE:
            position = _skip_numbers(data, position, stop)
        while position < stop:
            tag, position = _uleb(data, position, stop)
            value, position = _value(data, position, stop, tag, vendor)
            yield tag, value
        position = stop


def _skip_numbers(data: bytes, position: int, end: int) -> int:
    number = 1
    while number:
        number, position = _uleb(data, position, end)
    return position


def _value(data: bytes, position: int, end: int, tag: int, vendor: str) -> tuple[Value, int]:
    """Read a value: below 32 ARM tags are numbers but for 4 and 5, else the parity decides."""
    if vendor == "aeabi" and tag == 32:  # compatibility: a flag, then a name
        _, position = _uleb(data, position, end)
        return _text(data, position, end)
    is_text = tag in (4, 5) if vendor == "aeabi" and tag < 32 else tag % 2 == 1
    return _text(data, position, end) if is_text else _uleb(data, position, end)


def _uleb(data: bytes, position: int, end: int) -> tuple[int, int]:
    number = 0
    for index in range(_ULEB_BYTES):
        if position + index >= end:
            break
        byte = data[position + index]
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number, position + index + 1
    raise ValueError("build attributes end inside a number")


def _text(data: bytes, position: int, end: int) -> tuple[str, int]:
    stop = data.find(b"\0", position, end)
    if stop < 0:
        raise ValueError("build attributes end inside a text")
    return data[position:stop].decode("ascii", "backslashreplace"), stop + 1
