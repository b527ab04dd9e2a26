"""Build attributes: the container's format, values in words, and garbage that has to end."""

import random

import pytest

from buildsys.elf.attributes import (
    ArmTag,
    RiscvTag,
    parse_attributes,
    riscv_extensions,
    value_name,
)

pytestmark = pytest.mark.unit

# What clang 21 (zig 0.16.0) wrote for `int h(int a) { asm(".arch armv7-a\n …"); … }` under
# -mcpu=arm1176jzf_s: a second subsection tells of v7, and the first one's profile changed.
RAISED_BY_INLINE_ASSEMBLY = bytes.fromhex(
    """
    4149000000616561626900013f00000043322e3039000561726d313137366a7a662d730006060741080109010a
    020e0011011204140115001703180119011a021c011e012201260144011c000000616561626900011200000005
    372d4100060a074108010902
    """
)


def scope(body: bytes, kind: int = 1) -> bytes:
    return bytes([kind]) + (len(body) + 5).to_bytes(4, "little") + body


def section(*scopes: bytes, vendor: bytes = b"aeabi") -> bytes:
    body = vendor + b"\0" + b"".join(scopes)
    return b"A" + (len(body) + 4).to_bytes(4, "little") + body


def test_values_of_both_types() -> None:
    found = parse_attributes(
        section(scope(b"\x05arm1176jzf-s\0\x06\x06\x0a\x02")), "aeabi", little_endian=True
    )
    assert found is not None
    assert found.entries == ((5, "arm1176jzf-s"), (6, 6), (10, 2))
    assert found.named(ArmTag.CPU_NAME) == "arm1176jzf-s"
    assert found.named(ArmTag.CPU_ARCH) == "v6"
    assert found.named(ArmTag.FP_ARCH) == "VFPv2"


def test_omitted_tag_means_zero() -> None:
    found = parse_attributes(section(scope(b"\x06\x06")), "aeabi", little_endian=True)
    assert found is not None
    assert found.numbers(ArmTag.ADVANCED_SIMD_ARCH) == (0,)
    assert found.named(ArmTag.ADVANCED_SIMD_ARCH) == "none"
    assert found.texts(ArmTag.CPU_NAME) == ()


def test_every_value_of_a_repeated_tag_is_kept() -> None:
    found = parse_attributes(RAISED_BY_INLINE_ASSEMBLY, "aeabi", little_endian=True)
    assert found is not None
    assert found.numbers(ArmTag.CPU_ARCH) == (6, 10)
    assert found.named(ArmTag.CPU_ARCH) == "v6, v7"
    assert found.named(ArmTag.CPU_ARCH_PROFILE) == "application"


def test_scopes_of_sections_and_symbols_count() -> None:
    data = section(scope(b"\x06\x06"), scope(b"\x03\x04\x00\x06\x0a", kind=2))
    found = parse_attributes(data, "aeabi", little_endian=True)
    assert found is not None
    assert found.numbers(ArmTag.CPU_ARCH) == (6, 10)


def test_compatibility_and_odd_tags_do_not_shift_what_follows() -> None:
    body = b"\x20\x01gnu\0" + b"\x432.09\0" + b"\x41\x06\x0b\0" + b"\x06\x06"
    found = parse_attributes(section(scope(body)), "aeabi", little_endian=True)
    assert found is not None
    assert found.numbers(ArmTag.CPU_ARCH) == (6,)


def test_big_endian_lengths() -> None:
    body = b"aeabi\0" + b"\x01" + (7).to_bytes(4, "big") + b"\x06\x06"
    data = b"A" + (len(body) + 4).to_bytes(4, "big") + body
    found = parse_attributes(data, "aeabi", little_endian=False)
    assert found is not None
    assert found.numbers(ArmTag.CPU_ARCH) == (6,)


@pytest.mark.parametrize(
    ("arch", "named"),
    [
        ("rv64i2p1_m2p0_zicsr2p0", {"rv64i", "m", "zicsr"}),
        ("RV64I2P1_ZBA1P0", {"rv64i", "zba"}),
        ("rv64i2p1_zve32x1p0_zvl128b1p0", {"rv64i", "zve32x", "zvl128b"}),
        ("rv64i2p1_xtheadba10p12", {"rv64i", "xtheadba"}),
        ("rv64gc", {"rv64gc"}),
        ("", {""}),
    ],
)
def test_riscv_extensions(arch: str, named: set[str]) -> None:
    assert riscv_extensions(arch) == named


def test_riscv() -> None:
    data = section(scope(b"\x04\x10\x05rv64imac\0"), vendor=b"riscv")
    found = parse_attributes(data, "riscv", little_endian=True)
    assert found is not None
    assert found.numbers(RiscvTag.STACK_ALIGN) == (16,)
    assert found.texts(RiscvTag.ARCH) == ("rv64imac",)


@pytest.mark.parametrize("data", [b"", section(scope(b"\x06\x06"), vendor=b"gnu")])
def test_nothing_of_the_vendor(data: bytes) -> None:
    assert parse_attributes(data, "aeabi", little_endian=True) is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"B\0\0\0\0", "unknown format 0x42"),
        (b"A\x01\0", "end inside a length"),
        (b"A\0\0\0\0", "length of 0 bytes"),
        (b"A\xff\xff\xff\xff", "length of 4294967295 bytes"),
        (b"A\x08\0\0\0aeab", "end inside a text"),
        (section(b"\x09\x05\0\0\0"), "unknown scope 9"),
        (section(b"\x01\0\0\0\0"), "scope of 0 bytes"),
        (section(b"\x01\xff\0\0\0"), "scope of 255 bytes"),
        (section(scope(b"\x06\x80")), "end inside a number"),
        (section(scope(b"\x06" + b"\xff" * 20)), "end inside a number"),
        (section(scope(b"\x05abc")), "end inside a text"),
    ],
)
def test_broken(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_attributes(data, "aeabi", little_endian=True)


def test_garbage_ends_and_names_no_other_error() -> None:
    chance = random.Random(6)
    for _ in range(3000):
        data = bytearray(RAISED_BY_INLINE_ASSEMBLY)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            parse_attributes(
                bytes(data[: chance.randrange(len(data))]), "aeabi", little_endian=True
            )
        except ValueError:
            continue


def test_a_value_without_a_name() -> None:
    assert value_name(ArmTag.CPU_ARCH, 99) == "value 99"
