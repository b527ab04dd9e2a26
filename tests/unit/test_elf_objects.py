"""Objects of a link and the code of linked files, on two objects that zig compiled."""

import struct
from dataclasses import replace
from pathlib import Path

import pytest

from buildsys.elf.bounds import Bounds, Guarded
from buildsys.elf.code import code_violations, constant_pairs
from buildsys.elf.facts import read_facts
from buildsys.elf.image import Image
from buildsys.elf.objects import check_objects
from buildsys.elf.rules import violations

from .bounds import ARMV6, ARMV7

pytestmark = pytest.mark.unit

AMD64 = Bounds(
    machine="x86_64", bits=64, endian="little", x86_isa="baseline", go=(("GOAMD64", "v1"),)
)

# zig 0.16.0 cc -target arm-linux-musleabihf -O2 -g0, our own one-liners:
# `float f(float x) { return x * 2; }` with -mcpu=arm1176jzf_s …
V6_OBJECT = bytes.fromhex(
    """
    7f454c4601010100000000000000000001002800010000000000000000000000f0010000000400053400000000
    0028000b00090000482de90db0a0e1000a30ee0088bde80000000080849b800000000000090000000000002a03
    0000636c616e672076657273696f6e2032312e312e30004147000000616561626900013d00000043322e303900
    0561726d313137366a7a662d73000606080109010a020e0011011204140115001703180119011a021c011e0122
    0126014401000000000000000000000000000000000000000100000000000000000000000400f1ff0600000000
    000000000000000000010000000000000000000000000003000100000000000000000000000000030002000000
    000000000000000000000300050000000000000000000000000003000600000000000000000000000000030004
    00090000000000000010000000120001000b000000000000000000000010000000002e74657874002e41524d2e
    6578696478002e72656c2e41524d2e6578696478002e636f6d6d656e74002e41524d2e61747472696275746573
    002e6c6c766d5f61646472736967002e6e6f74652e474e552d737461636b002e73796d746162002e7368737472
    746162002e737472746162000076362e630024610066005f5f61656162695f756e77696e645f6370705f707230
    000000000000000000000000000000000000000000000000000000000000000000000000000000000001000000
    010000000600000000000000340000001000000000000000000000000400000000000000070000000100007082
    000000000000004400000008000000010000000000000004000000000000001200000009000000400000000000
    00004c0000001000000008000000020000000400000008000000210000000100000030000000000000005c0000
    0015000000000000000000000001000000010000002a0000000300007000000000000000007100000048000000
    000000000000000001000000000000003a000000034cff6f0000008000000000b9000000000000000000000000
    000000010000000000000048000000010000000000000000000000b90000000000000000000000000000000100
    00000000000058000000020000000000000000000000bc000000a00000000a0000000800000004000000100000
    00600000000300000000000000000000005c01000072000000000000000000000001000000000000006a000000
    030000000000000000000000ce0100002200000000000000000000000100000000000000
    """
)
# … and `int g(int a, int b) { return a / b; }`, called by a constructor, with -mcpu=cortex_a7.
V7_OBJECT = bytes.fromhex(
    """
    7f454c4601010100000000000000000001002800010000000000000000000000f4010000000400053400000000
    0028000b00090000482de90db0a0e110f110e70088bde80000000080849b800000000000090000000000002a03
    0000636c616e672076657273696f6e2032312e312e3000414e000000616561626900014400000043322e303900
    05636f727465782d613700060a0741080109020a050c020e0011011204140115001703180119011a021c011e01
    2201240126012a012c024403000000000000000000000000000000000100000000000000000000000400f1ff06
    000000000000000000000000000100000000000000000000000000030001000000000000000000000000000300
    020000000000000000000000000003000500000000000000000000000000030006000000000000000000000000
    0003000400090000000000000010000000120001000b000000000000000000000010000000002e74657874002e
    41524d2e6578696478002e72656c2e41524d2e6578696478002e636f6d6d656e74002e41524d2e617474726962
    75746573002e6c6c766d5f61646472736967002e6e6f74652e474e552d737461636b002e73796d746162002e73
    68737472746162002e737472746162000076372e630024610067005f5f61656162695f756e77696e645f637070
    5f7072300000000000000000000000000000000000000000000000000000000000000000000000000000000000
    010000000100000006000000000000003400000010000000000000000000000004000000000000000700000001
    000070820000000000000044000000080000000100000000000000040000000000000012000000090000004000
    0000000000004c0000001000000008000000020000000400000008000000210000000100000030000000000000
    005c00000015000000000000000000000001000000010000002a00000003000070000000000000000071000000
    4f000000000000000000000001000000000000003a000000034cff6f0000008000000000c00000000000000000
    00000000000000010000000000000048000000010000000000000000000000c000000000000000000000000000
    0000010000000000000058000000020000000000000000000000c0000000a00000000a00000008000000040000
    001000000060000000030000000000000000000000600100007200000000000000000000000100000000000000
    6a000000030000000000000000000000d20100002200000000000000000000000100000000000000
    """
)


def linked(code: bytes, attributes: bytes = b"") -> bytes:
    """A linked ARM file of one executable segment, a stack header and build attributes."""
    names = b"\0.ARM.attributes\0.shstrtab\0"
    start = 52 + 2 * 32
    ident = b"\x7fELF\x01\x01\x01" + bytes(9)
    rows = [(0, 0, 0, 0), (1, 0x70000003, start + len(code), len(attributes))]
    rows.append((17, 3, start + len(code) + len(attributes), len(names)))
    table = b"".join(struct.pack("<10I", n, k, 0, 0, o, s, 0, 0, 1, 0) for n, k, o, s in rows)
    sections_at = start + len(code) + len(attributes) + len(names)
    header = struct.pack(
        "<HHIIIIIHHHHHH", 2, 40, 1, 0, 52, sections_at, 0x05000400, 52, 32, 2, 40, len(rows), 2
    )
    segment = struct.pack("<8I", 1, start, 0x10000, 0, len(code), len(code), 5, 4)
    segment += struct.pack("<8I", 0x6474E551, 0, 0, 0, 0, 0, 6, 0)
    return ident + header + segment + code + attributes + names + table


def test_objects_that_zig_compiled(tmp_path: Path) -> None:
    (tmp_path / "v6.o").write_bytes(V6_OBJECT)
    (tmp_path / "v7.o").write_bytes(V7_OBJECT)
    report = check_objects([tmp_path / "v6.o", tmp_path / "v7.o"], ARMV6)
    assert (report.count, report.without_attributes) == (2, 0)
    assert (report.highest_cpu_arch, report.highest_fp_arch) == ("v7", "VFPv4")
    assert {name for name, _ in report.violations} == {"v7.o"}
    assert {v.attribute for _, v in report.violations} >= {"CPU_arch", "FP_arch", "DIV_use"}


def test_a_linked_file_hides_the_planted_object(tmp_path: Path) -> None:
    # What lld does, measured with zig 0.16.0: crt1.o's attributes stand for the whole program.
    planted = linked(V7_OBJECT[0x34:0x54], section_of(V6_OBJECT))
    assert violations(read_facts(planted, "prog"), ARMV6) == ()
    (tmp_path / "planted.o").write_bytes(V7_OBJECT)
    assert check_objects([tmp_path / "planted.o"], ARMV6).violations != ()


def section_of(data: bytes) -> bytes:
    """The bytes of `.ARM.attributes`."""
    image = Image(data, "object")
    return next(image.content(s) for s in image.sections if s.name == ".ARM.attributes")


def test_guarded_object_is_excused_for_one_attribute_and_shown(tmp_path: Path) -> None:
    (tmp_path / "atomics.o").write_bytes(V7_OBJECT)
    guard = Guarded("atomics.o", "CPU_arch_profile", "picked by HWCAP at start")
    report = check_objects([tmp_path / "atomics.o"], replace(ARMV6, guarded=(guard,)))
    assert [v.attribute for _, v in report.excused] == ["CPU_arch_profile"]
    assert "CPU_arch" in {v.attribute for _, v in report.violations}


def test_guard_applies_to_a_member_of_an_archive(tmp_path: Path) -> None:
    header = b"atomics.o/".ljust(48) + str(len(V7_OBJECT)).encode().ljust(10) + b"`\n"
    (tmp_path / "libc.a").write_bytes(b"!<arch>\n" + (header + V7_OBJECT) * 2)
    guard = Guarded("atomics.o", "CPU_arch", "")
    report = check_objects([tmp_path / "libc.a"], replace(ARMV6, guarded=(guard,)))
    assert [name for name, _ in report.excused] == ["libc.a(atomics.o)", "libc.a(atomics.o)#2"]


def test_broken_and_hidden_inputs_are_violations(tmp_path: Path) -> None:
    (tmp_path / "cut.o").write_bytes(V6_OBJECT[:200])
    (tmp_path / "lto.o").write_bytes(b"BC\xc0\xde" + bytes(64))
    (tmp_path / "script.ld").write_bytes(b"GROUP ( libc.a )")
    (tmp_path / "good.o").write_bytes(V6_OBJECT)
    report = check_objects(sorted(tmp_path.iterdir()), ARMV6)
    assert report.count == 1
    assert [(name, v.rule) for name, v in report.violations] == [
        ("cut.o", "readable"),
        ("lto.o", "readable"),
    ]


def test_nothing_to_judge() -> None:
    report = check_objects([], ARMV6)
    assert (report.count, report.highest_cpu_arch, report.violations) == (0, None, ())


# movw r3, #0x1234; movt r3, #0x5678 in ARM and in Thumb code
ARM_PAIR = bytes.fromhex("343201e3 783645e3")
THUMB_PAIR = bytes.fromhex("41f23423 c5f27863")


@pytest.mark.parametrize(
    ("code", "arm", "thumb"),
    [
        (ARM_PAIR, 1, 0),
        (bytes(4) + ARM_PAIR * 3, 3, 0),
        (bytes(2) + ARM_PAIR + bytes(2), 0, 0),  # not on a word: part of something else
        (ARM_PAIR[:4] + bytes.fromhex("784645e3"), 0, 0),  # another register
        (bytes(2) + THUMB_PAIR + bytes(2), 0, 1),
        (bytes(64), 0, 0),
    ],
)
def test_constant_pairs(code: bytes, arm: int, thumb: int) -> None:
    pairs = constant_pairs(Image(linked(code), "prog"))
    assert (pairs.arm, pairs.thumb) == (arm, thumb)


# Two addresses of k3s's literal pools, 0x00aff640 and 0x00aff6c8: a pair to r0 in Thumb code.
ADDRESSES = bytes.fromhex("40f6af00 c8f6af00")


def load(distance: int) -> bytes:
    """`ldr r0, [pc, #…]` of the word that lies `distance` bytes behind it."""
    offset = distance - 8
    return struct.pack("<I", (0xE59F0000 if offset >= 0 else 0xE51F0000) | abs(offset))


@pytest.mark.parametrize(
    ("code", "thumb"),
    [
        (ADDRESSES, 1),
        (load(8) + bytes(4) + ADDRESSES, 0),  # its first word is loaded
        (load(12) + bytes(4) + ADDRESSES, 0),  # its second
        (ADDRESSES + load(-8), 0),  # backwards
        (load(4100) + bytes(4096) + ADDRESSES, 0),
        (load(8) + bytes(8) + ADDRESSES, 1),  # the word before is
        (load(16) + bytes(4) + ADDRESSES, 1),  # the word behind is
        (bytes(2) + load(10) + bytes(6) + ADDRESSES, 1),  # not on a word: no ARM instruction
    ],
)
def test_what_arm_code_loads_is_no_thumb_code(code: bytes, thumb: int) -> None:
    assert constant_pairs(Image(linked(code), "prog")).thumb == thumb


def test_what_arm_code_loads_is_no_arm_code() -> None:
    assert constant_pairs(Image(linked(load(8) + bytes(4) + ARM_PAIR), "prog")).arm == 0


def test_a_load_lies_in_the_chunk_before() -> None:
    code = bytes((8 << 20) - 8) + load(8) + bytes(4) + ADDRESSES
    assert constant_pairs(Image(linked(code), "prog")).thumb == 0


@pytest.mark.parametrize("before", [-8, -4, 0])
def test_a_pair_at_the_edge_of_a_chunk_counts_once(before: int) -> None:
    code = bytes((8 << 20) + before) + ARM_PAIR + bytes(16)
    assert constant_pairs(Image(linked(code), "prog")).arm == 1


def test_v7_code_is_seen_without_attributes() -> None:
    image = Image(linked(ARM_PAIR, section_of(V6_OBJECT)), "prog")
    (violation,) = code_violations(image, ARMV6)
    assert violation.found == "1 in ARM code, 0 in Thumb code"
    assert code_violations(image, ARMV7) == ()
    assert code_violations(image, AMD64) == ()
