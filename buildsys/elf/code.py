"""Instructions that tell which CPU a linked file was compiled for."""

import re
from dataclasses import dataclass
from typing import Final

from buildsys.elf.bounds import CPU_ARCH, V6T2, Bounds
from buildsys.elf.image import Image
from buildsys.elf.rules import Violation, violation

# MOVW and MOVT came with v6T2 (DDI 0406, A8.8.102 and A8.8.106); in v6 these encodings are
# undefined. Compilers for v7 load addresses and large constants with the two behind one another.
_ARM_PAIR: Final = re.compile(rb"[\x00-\x0f]\xe3..[\x40-\x4f]\xe3", re.DOTALL)
_THUMB_PAIR: Final = re.compile(
    rb"[\x40-\x4f][\xf2\xf6].[\x00-\x7f][\xc0-\xcf][\xf2\xf6].[\x00-\x7f]", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class ConstantPairs:
    """How many MOVW and MOVT to the same register, neighbours, the executable bytes hold."""

    arm: int
    thumb: int


def constant_pairs(image: Image) -> ConstantPairs:
    """Search little-endian ARM code for the pair that no CPU before v6T2 runs.

    Needs neither symbols nor attributes. Sound one way only: a pair fixes 28 bits, and what v6
    compilers and Go's linker write has none (0 in 17 MB of musl and Go), so a hit is v7 code or a
    constant of one chance in 2**28 per word; but code without large constants shows none, so zero
    proves nothing. Raises ElfError if the file ends early.
    """
    arm = thumb = 0
    for chunk in image.code():
        arm += sum(1 for hit in _ARM_PAIR.finditer(chunk) if _is_arm_pair(chunk, hit.start() - 2))
        thumb += sum(1 for hit in _THUMB_PAIR.finditer(chunk) if _is_thumb_pair(chunk, hit.start()))
    return ConstantPairs(arm, thumb)


def _is_arm_pair(code: bytes, at: int) -> bool:
    return at >= 0 and at % 4 == 0 and code[at + 1] >> 4 == code[at + 5] >> 4


def _is_thumb_pair(code: bytes, at: int) -> bool:
    return at % 2 == 0 and code[at + 3] & 15 == code[at + 7] & 15


def code_violations(image: Image, bounds: Bounds) -> tuple[Violation, ...]:
    """Look for instructions in linked code that a CPU before v6T2 does not have.

    Empty for other targets. See `constant_pairs` for what an empty answer is worth.
    """
    if bounds.machine != "arm" or bounds.endian != "little":
        return ()
    if bounds.cpu_arch is None or V6T2 in CPU_ARCH[bounds.cpu_arch]:
        return ()
    pairs = constant_pairs(image)
    if not pairs.arm and not pairs.thumb:
        return ()
    found = f"{pairs.arm} in ARM code, {pairs.thumb} in Thumb code"
    return (violation("code", "MOVW and MOVT pairs", found, "none"),)
