"""Files that are no ELF files, cut short or broken, end in the named error."""

import contextlib
import random

import pytest

from buildsys.elf.facts import read_facts
from buildsys.elf.image import ElfError

pytestmark = pytest.mark.unit

# A whole ARM program, as `elf` in test_elf_facts.py builds it: sections `.ARM.attributes` and
# `.go.buildinfo`; segments to load (code), dynamic (one DT_NEEDED) and interpreter.
GOOD = bytes.fromhex(
    """
    7f454c4601010100000000000000000002002800010000000000000034000000f7010000000000003400200003
    002800040003000100000094000000940000000000000004000000040000000500000000000000020000009800
    000098000000000000001000000010000000000000000000000003000000a8000000a8000000000000000b0000
    000b000000000000000000000000000000010000000100000005000000000000002f6c69622f6c642e736f0041
    1f00000061656162690001150000000561726d313137366a7a662d73000606ff20476f206275696c64696e663a
    08020000000000000000000000000000000008676f312e32352e35d00130303030303030303030303030303030
    70617468096578616d706c652e6f72672f636d640a6d6f64096578616d706c652e6f72670976312e322e330968
    313a6162633d0a646570096f746865722e6f72670976302e312e300968313a783d0a6275696c64092d636f6d70
    696c65723d67630a6275696c640943474f5f454e41424c45443d310a6275696c6409474f415243483d61726d0a
    6275696c6409474f41524d3d360a6275696c640943474f5f43464c4147533d222d4f32202d6730220a31313131
    313131313131313131313131002e41524d2e61747472696275746573002e676f2e6275696c64696e666f002e73
    687374727461620000000000000000000000000000000000000000000000000000000000000000000000000000
    00000001000000030000700000000000000000b300000020000000000000000000000000000000000000001100
    0000010000000000000000000000d3000000fb000000000000000000000000000000000000001f000000030000
    000000000000000000ce0100002900000000000000000000000000000000000000
    """
)


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"#!/bin/sh\necho this is no ELF file at all\n"])
def test_not_elf(data: bytes) -> None:
    with pytest.raises(ElfError, match=r"^odd: ") as caught:
        read_facts(data, "odd")
    assert caught.value.name == "odd"


def test_every_truncation_is_named() -> None:
    for length in range(len(GOOD)):
        with pytest.raises(ElfError, match=r"^cut: (truncated|not an ELF)"):
            read_facts(GOOD[:length], "cut")


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (4, b"\x07", "class"),
        (5, b"\x00", "byte order"),
        (32, b"\xf0\xff\xff\xff", "truncated"),  # e_shoff
        (28, b"\xf0\xff\xff\xff", "truncated"),  # e_phoff
        (42, b"\x01\x00", "program headers of 1 bytes"),
        (46, b"\x01\x00", "section headers of 1 bytes"),
        (48, b"\xff\xff", "truncated"),  # e_shnum
        (50, b"\x77\x00", "section names in section 119"),
    ],
)
def test_broken_headers(offset: int, value: bytes, reason: str) -> None:
    data = GOOD[:offset] + value + GOOD[offset + len(value) :]
    with pytest.raises(ElfError, match=reason):
        read_facts(data, "odd")


def test_flipped_bytes_end_in_facts_or_in_the_named_error() -> None:
    chance = random.Random(4)
    for _ in range(2000):
        data = bytearray(GOOD)
        for _ in range(chance.randrange(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        # Any other error would end the test.
        with contextlib.suppress(ElfError):
            read_facts(bytes(data), "flipped")
