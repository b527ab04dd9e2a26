"""Bounds a target sets on its ELF files, and the words for them.

The values of ARM attributes are numbered in the order of their invention, not of capability (v6-M
is 11, v7 is 10), so a bound names the set of values that its CPU can run. Source of every set:
"Addenda to, and Errata in, the ABI for the Arm Architecture" (addenda32, "The target-related
attributes"); what includes what is from the Arm Architecture Reference Manual (DDI 0100, 0406).

RISC-V names each extension, so its bound is the set that the profile has.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from buildsys.elf.facts import MACHINES

_UP_TO_V6: Final = frozenset(range(7))  # pre-v4, v4, v4T, v5T, v5TE, v5TEJ, v6
_V6KZ, V6T2, _V6K, _V7, _V8A = 7, 8, 9, 10, 14
_UP_TO_V7: Final = _UP_TO_V6 | {_V6K, _V6KZ, V6T2, _V7}

# ARM1176JZF-S is a v6KZ core: v6 with the v6K extensions and TrustZone. clang writes "v6" for it,
# GNU as "v6KZ". v6T2 (32-bit Thumb) is not part of it, nor is any M profile, whose system
# instructions differ, of any other bound here.
CPU_ARCH: Final[Mapping[str, frozenset[int]]] = MappingProxyType(
    {
        "v6": _UP_TO_V6,
        "v6K": _UP_TO_V6 | {_V6K},
        "v6KZ": _UP_TO_V6 | {_V6K, _V6KZ},
        "v7": _UP_TO_V7,
        "v8-A": _UP_TO_V7 | {_V8A},
    }
)
# VFPv3 and v4 exist with 16 or 32 double registers; the wider one runs the narrower one's code.
FP_ARCH: Final[Mapping[str, frozenset[int]]] = MappingProxyType(
    {
        "none": frozenset({0}),
        "VFPv2": frozenset({0, 1, 2}),
        "VFPv3-D16": frozenset({0, 1, 2, 4}),
        "VFPv3": frozenset({0, 1, 2, 3, 4}),
        "VFPv4-D16": frozenset({0, 1, 2, 4, 6}),
        "VFPv4": frozenset(range(7)),
        "FP-v8": frozenset(range(9)),
    }
)
# 3 means "Thumb as far as CPU_arch has it", which the bound on CPU_arch then judges.
THUMB: Final[Mapping[str, frozenset[int]]] = MappingProxyType(
    {
        "none": frozenset({0}),
        "Thumb-1": frozenset({0, 1, 3}),
        "Thumb-2": frozenset({0, 1, 2, 3}),
    }
)
SIMD: Final[Mapping[str, frozenset[int]]] = MappingProxyType(
    {
        "none": frozenset({0}),
        "NEONv1": frozenset({0, 1}),
        "NEONv2": frozenset({0, 1, 2}),
        "NEON-v8": frozenset({0, 1, 2, 3}),
    }
)
VFP_ARGS: Final[Mapping[str, frozenset[int]]] = MappingProxyType(
    {"hard": frozenset({1, 3}), "soft": frozenset({0, 3})}
)
# Bits of GNU_PROPERTY_X86_ISA_1_NEEDED (x86-64 psABI).
X86_ISA: Final[Mapping[str, int]] = MappingProxyType(
    {"baseline": 0b1, "v2": 0b11, "v3": 0b111, "v4": 0b1111}
)


# What the letters stand for: RISC-V Unprivileged ISA, "G" and the parts that it names of M, A and C
# (Zmmul; Zaamo and Zalrsc; Zca, and Zcd beside D). The profile RVA20U64 is these and counters.
RISCV_ISA: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "rv64gc": frozenset(
            {"rv64i", "m", "a", "f", "d", "c", "zicsr", "zifencei"}
            | {"zmmul", "zaamo", "zalrsc", "zca", "zcd"}
        )
    }
)


@dataclass(frozen=True, slots=True)
class Guarded:
    """An object that may name more than the bounds, as its code asks the CPU before using it.

    `name` is the object's own file name, `attribute` the one attribute it is excused for, `why` the
    reason, which a report repeats. musl's `atomics.o` is the known case: it is assembled with
    `.arch armv7-a` at its end for barriers that the start code picks by HWCAP, so it carries
    CPU_arch_profile "application" beside CPU_arch v4T.
    """

    name: str
    attribute: str
    why: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a target's CPU can run. None leaves an attribute unjudged.

    `machine` is one of `facts.MACHINES`, `bits` 32 or 64, `endian` little or big.
    `go` holds the settings that Go must have recorded, as text. Raises ValueError, naming the words
    that exist, for a bound that is none.
    """

    machine: str
    bits: int
    endian: str
    cpu_arch: str | None = None
    fp_arch: str | None = None
    thumb: str | None = None
    simd: str | None = None
    vfp_args: str | None = None
    divide: bool = False
    multiprocessing: bool = False
    x86_isa: str | None = None
    riscv_isa: str | None = None
    go: tuple[tuple[str, str], ...] = ()
    allow_dynamic: bool = False
    guarded: tuple[Guarded, ...] = ()

    def __post_init__(self) -> None:
        words: tuple[tuple[str, str | None, Iterable[str]], ...] = (
            ("machine", self.machine, MACHINES),
            ("endian", self.endian, ("little", "big")),
            ("cpu_arch", self.cpu_arch, CPU_ARCH),
            ("fp_arch", self.fp_arch, FP_ARCH),
            ("thumb", self.thumb, THUMB),
            ("simd", self.simd, SIMD),
            ("vfp_args", self.vfp_args, VFP_ARGS),
            ("x86_isa", self.x86_isa, X86_ISA),
            ("riscv_isa", self.riscv_isa, RISCV_ISA),
        )
        for key, word, known in words:
            if word is not None and word not in known:
                raise ValueError(f"{key}: {word!r} is none of {', '.join(known)}")
        if self.bits not in (32, 64):
            raise ValueError(f"bits: {self.bits} is neither 32 nor 64")
        if self.thumb is not None and self.cpu_arch is None:
            # Thumb value 3 defers to CPU_arch, so alone the bound would be none.
            raise ValueError("thumb: needs cpu_arch as well")
