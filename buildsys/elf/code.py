"""Instructions that tell which CPU a linked file was compiled for."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from buildsys.elf.bounds import CPU_ARCH, V6T2, Bounds
from buildsys.elf.image import Code, Image
from buildsys.elf.rules import Violation, violation

# MOVW and MOVT came with v6T2 (DDI 0406, A8.8.102 and A8.8.106); in v6 these encodings are
# undefined. Compilers for v7 load addresses and large constants with the two behind one another.
_ARM_PAIR: Final = re.compile(rb"[\x00-\x0f]\xe3..[\x40-\x4f]\xe3", re.DOTALL)
_THUMB_PAIR: Final = re.compile(
    rb"[\x40-\x4f][\xf2\xf6].[\x00-\x7f][\xc0-\xcf][\xf2\xf6].[\x00-\x7f]", re.DOTALL
)


# LDR (literal), DDI 0406, A8.8.64: 12 bits of offset from the instruction's address and 8.
_ARM_LOAD: Final = re.compile(
    rb"[\x1f\x9f][\x05\x15\x25\x35\x45\x55\x65\x75\x85\x95\xa5\xb5\xc5\xd5\xe5]"
)
_LOAD_REACH: Final = 4095 + 8 + 1  # bytes, to the next word


@dataclass(frozen=True, slots=True)
class ConstantPairs:
    """How many MOVW and MOVT to the same register, neighbours, the executable bytes hold."""

    arm: int
    thumb: int


def constant_pairs(image: Image) -> ConstantPairs:
    """Search little-endian ARM code for the pair that no CPU before v6T2 runs.

    Needs neither symbols nor attributes. Constants lie between the functions, and addresses that
    lie close together look like a pair (0x00aff640 and 0x00aff6c8, in 93 MB of k3s two such): words
    that an ARM instruction loads are not counted. Sound one way only: a pair fixes 28 bits, so a
    hit is v7 code, or a constant of one chance in 2**28 per word that nothing near it loads; but
    code without large constants shows none, so zero proves nothing. Raises ElfError if the file
    ends early.
    """
    arm = thumb = 0
    for piece in image.code(_LOAD_REACH):
        arm += sum(_is_arm_pair(piece.data, at) for at in _hits(_ARM_PAIR, piece, -2))
        thumb += sum(_is_thumb_pair(piece.data, at) for at in _hits(_THUMB_PAIR, piece, 0))
    return ConstantPairs(arm, thumb)


def _hits(pair: re.Pattern[bytes], piece: Code, shift: int) -> Iterator[int]:
    """Where a pair of the piece's own begins, `shift` bytes from where its pattern does."""
    starts = (hit.start() + shift for hit in pair.finditer(piece.data))
    return (at for at in starts if piece.first <= at < piece.last)


def _is_arm_pair(code: bytes, at: int) -> bool:
    return at % 4 == 0 and code[at + 1] >> 4 == code[at + 5] >> 4 and not _is_data(code, at)


def _is_thumb_pair(code: bytes, at: int) -> bool:
    return at % 2 == 0 and code[at + 3] & 15 == code[at + 7] & 15 and not _is_data(code, at)


def _is_data(code: bytes, at: int) -> bool:
    """Whether an ARM instruction near `at` loads one of the words that 8 bytes there touch."""
    words = range(at & ~3, at + 8, 4)
    near = range(max(0, words[0] - _LOAD_REACH), min(len(code), words[-1] + _LOAD_REACH))
    loads = (hit.start() - 2 for hit in _ARM_LOAD.finditer(code, near.start, near.stop))
    return any(_loaded(code, load) in words for load in loads if load >= 0 and load % 4 == 0)


def _loaded(code: bytes, load: int) -> int:
    """The place of the word that the LDR at `load` reads."""
    word = int.from_bytes(code[load : load + 4], "little")
    offset = word & 0xFFF
    return load + 8 + (offset if word >> 23 & 1 else -offset)


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
