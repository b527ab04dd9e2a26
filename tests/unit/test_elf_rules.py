"""Bounds and what breaks them, on facts made here."""

from dataclasses import replace

import pytest

from buildsys.elf.attributes import Attributes
from buildsys.elf.bounds import Bounds
from buildsys.elf.facts import ElfFacts, Stack
from buildsys.elf.gobuild import GoBuild
from buildsys.elf.image import Segment
from buildsys.elf.rules import lacks_attributes, violations

from .bounds import ARMV6, ARMV7

pytestmark = pytest.mark.unit

AMD64 = Bounds(
    machine="x86_64", bits=64, endian="little", x86_isa="baseline", go=(("GOAMD64", "v1"),)
)

# The attributes of arm1176jzf-s as a linked file holds them.
V6_TAGS = ((5, "arm1176jzf-s"), (6, 6), (8, 1), (9, 1), (10, 2), (23, 3), (28, 1))


def facts(**changes: object) -> ElfFacts:
    """A static ARMv6 program, with some facts changed."""
    program = ElfFacts(
        name="prog",
        machine="arm",
        bits=32,
        endian="little",
        kind="EXEC",
        flags=0x05000400,
        eabi=5,
        float_abi="hard",
        ppc64_abi=None,
        interpreter=None,
        needed=(),
        has_dynamic=False,
        has_sections=True,
        stack=Stack(executable=False, why="PT_GNU_STACK rw-"),
        writable_code=(),
        arm=Attributes(V6_TAGS),
        riscv=None,
        go=None,
        x86_isa_needed=None,
    )
    return replace(program, **changes)  # type: ignore[arg-type]


def tags(**values: int) -> Attributes:
    """ARMv6's attributes with those numbers replaced: `tags(t6=10)` is v7."""
    changed = {int(key[1:]): value for key, value in values.items()}
    kept = tuple(entry for entry in V6_TAGS if entry[0] not in changed)
    return Attributes(kept + tuple(changed.items()))


def broken(file: ElfFacts, bounds: Bounds = ARMV6) -> list[tuple[str, str, str]]:
    return [(v.rule, v.attribute, v.found) for v in violations(file, bounds)]


def test_a_static_v6_program_passes() -> None:
    assert violations(facts(), ARMV6) == ()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"machine": "aarch64", "bits": 64},
            [("machine", "machine", "aarch64"), ("machine", "bits", "64")],
        ),
        ({"endian": "big"}, [("machine", "endian", "big")]),
        ({"kind": "CORE"}, [("machine", "kind", "CORE")]),
        (
            {"interpreter": "/lib/ld.so", "needed": ("libc.so",)},
            [("static", "linking", "dynamic (/lib/ld.so, libc.so)")],
        ),
        ({"has_sections": False}, [("sections", "section headers", "none")]),
        (
            {"stack": Stack(executable=True, why="PT_GNU_STACK rwx")},
            [("stack", "stack", "executable (PT_GNU_STACK rwx)")],
        ),
        (
            {"writable_code": (Segment(1, 7, 0, 0x8000, 9),)},
            [("segments", "segment", "rwx at 0x8000")],
        ),
        ({"eabi": 4}, [("abi", "EABI version", "4")]),
        ({"float_abi": "soft"}, [("abi", "float ABI", "soft")]),
        ({"float_abi": None}, []),
        ({"arm": None}, [("attributes", "build attributes", "none")]),
    ],
)
def test_one_fact_wrong(changes: dict[str, object], expected: list[tuple[str, str, str]]) -> None:
    assert broken(facts(**changes)) == expected


def test_dynamic_may_be_allowed() -> None:
    assert violations(facts(needed=("libc.so",)), replace(ARMV6, allow_dynamic=True)) == ()


@pytest.mark.parametrize(
    ("value", "v6", "v6k", "v6kz", "v7"),
    [
        (0, True, True, True, True),  # pre-v4
        (4, True, True, True, True),  # v5TE
        (6, True, True, True, True),  # v6
        (7, False, False, True, True),  # v6KZ
        (8, False, False, False, True),  # v6T2: 32-bit Thumb
        (9, False, True, True, True),  # v6K
        (10, False, False, False, True),  # v7
        (11, False, False, False, False),  # v6-M: above v7 as a number, another profile
        (12, False, False, False, False),  # v6S-M
        (13, False, False, False, False),  # v7E-M
        (14, False, False, False, False),  # v8-A
        (99, False, False, False, False),  # not invented yet
    ],
)
def test_cpu_arch_is_a_set_and_no_maximum(
    value: int, v6: bool, v6k: bool, v6kz: bool, v7: bool
) -> None:
    file = facts(arm=tags(t6=value))
    for name, expected in (("v6", v6), ("v6K", v6k), ("v6KZ", v6kz), ("v7", v7)):
        assert (not violations(file, replace(ARMV6, cpu_arch=name))) is expected, name


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"t10": 4}, ("FP_arch", "VFPv3-D16")),
        ({"t9": 2}, ("THUMB_ISA_use", "Thumb-2")),
        ({"t12": 1}, ("Advanced_SIMD_arch", "NEONv1")),
        ({"t7": ord("A")}, ("CPU_arch_profile", "application")),
        ({"t42": 1}, ("MPextension_use", "PLDW")),
        ({"t44": 2}, ("DIV_use", "SDIV and UDIV")),
        ({"t36": 1}, ("FP_HP_extension", "VFPv3 half")),
        ({"t11": 1}, ("WMMX_arch", "value 1")),
        ({"t28": 0}, ("ABI_VFP_args", "soft")),
        ({"t28": 2}, ("ABI_VFP_args", "toolchain's own")),
    ],
)
def test_one_attribute_wrong(changed: dict[str, int], expected: tuple[str, str]) -> None:
    assert broken(facts(arm=tags(**changed))) == [("attributes", *expected)]


@pytest.mark.parametrize(
    "changed",
    [
        {"t9": 3},  # Thumb as far as CPU_arch has it
        {"t7": ord("S")},
        {"t44": 1},
        {"t28": 3},
        {"t28": 0, "t23": 0},  # assembly that uses no floating point and states nothing
    ],
)
def test_attributes_that_mean_no_more_than_v6(changed: dict[str, int]) -> None:
    assert violations(facts(arm=tags(**changed)), ARMV6) == ()


def test_all_values_of_a_repeated_attribute_are_judged() -> None:
    file = facts(arm=Attributes((*V6_TAGS, (6, 10))))
    assert broken(file) == [("attributes", "CPU_arch", "v7")]


def test_v7_bounds_accept_v7_and_its_options_only_when_told() -> None:
    v7 = {"t6": 10, "t7": ord("A"), "t9": 2, "t10": 4}
    assert violations(facts(arm=tags(**v7)), ARMV7) == ()
    full = facts(arm=tags(**v7, t42=1, t44=2))
    assert [found[1] for found in broken(full, ARMV7)] == ["MPextension_use", "DIV_use"]
    assert violations(full, replace(ARMV7, multiprocessing=True, divide=True)) == ()


def test_an_object_without_attributes_is_unknown_and_passes() -> None:
    file = facts(kind="REL", arm=None)
    assert lacks_attributes(file)
    assert violations(file, ARMV6) == ()


def test_float_flag_of_an_object_means_nothing() -> None:
    # clang marks plain assembly "soft" under a hard-float target as well.
    assert violations(facts(kind="REL", float_abi="soft"), ARMV6) == ()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"GOARCH": "arm", "GOARM": "6"}, []),
        ({"GOARCH": "arm", "GOARM": "6,hardfloat"}, []),
        ({"GOARCH": "arm", "GOARM": "6,softfloat"}, [("go", "GOARM", "6,softfloat")]),
        ({"GOARCH": "arm", "GOARM": "7"}, [("go", "GOARM", "7")]),
        ({"GOARCH": "arm"}, [("go", "GOARM", "not recorded")]),
        ({}, [("go", "GOARCH", "not recorded"), ("go", "GOARM", "not recorded")]),
    ],
)
def test_go_settings(settings: dict[str, str], expected: list[tuple[str, str, str]]) -> None:
    go = GoBuild("go1.25.5", "example.org", "v1.0.0", tuple(settings.items()))
    assert broken(facts(go=go, arm=None, float_abi=None)) == expected


@pytest.mark.parametrize(
    ("needed", "bound", "expected"),
    [
        (None, "baseline", []),
        (1, "baseline", []),
        (3, "baseline", [("x86", "X86_ISA_1_NEEDED", "v2")]),
        (4, "v2", [("x86", "X86_ISA_1_NEEDED", "v3")]),
        (4, "v3", []),
        (16, "v4", [("x86", "X86_ISA_1_NEEDED", "beyond v4")]),
    ],
)
def test_x86_isa(needed: int | None, bound: str, expected: list[tuple[str, str, str]]) -> None:
    file = facts(machine="x86_64", bits=64, x86_isa_needed=needed, arm=None, eabi=None)
    assert broken(file, replace(AMD64, x86_isa=bound)) == expected


def test_amd64_level_of_go() -> None:
    go = GoBuild("go1.25.5", "", "", (("GOAMD64", "v3"),))
    file = facts(machine="x86_64", bits=64, arm=None, eabi=None, go=go)
    assert broken(file, AMD64) == [("go", "GOAMD64", "v3")]


# What clang 21 (zig 0.16.0) writes for -mcpu=baseline_rv64.
RV64GC = "rv64i2p1_m2p0_a2p1_f2p2_d2p2_c2p0_zicsr2p0_zmmul1p0_zaamo1p0_zalrsc1p0_zca1p0_zcd1p0"
RISCV64 = Bounds("riscv", 64, "little", riscv_isa="rv64gc", go=(("GORISCV64", "rva20u64"),))


def riscv(*archs: str, **changes: object) -> ElfFacts:
    said = Attributes(tuple((5, arch) for arch in archs)) if archs else None
    usual = {"machine": "riscv", "bits": 64, "arm": None, "eabi": None, "float_abi": "double"}
    return facts(riscv=said, **{**usual, **changes})


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (riscv(RV64GC), []),
        (riscv(RV64GC + "_zbb1p0_zba1p0"), [("attributes", "RISCV_arch", "zba, zbb")]),
        (riscv(RV64GC, RV64GC + "_v1p0"), [("attributes", "RISCV_arch", "v")]),
        (riscv("rv32i2p1"), [("attributes", "RISCV_arch", "rv32i")]),
        (riscv("rv64gc"), [("attributes", "RISCV_arch", "rv64gc")]),
        (riscv(RV64GC, float_abi="soft"), [("abi", "float ABI", "soft")]),
        (riscv(), [("attributes", "build attributes", "none")]),
        (riscv(kind="REL"), []),
        (riscv(go=GoBuild("go1", "", "", (("GORISCV64", "rva20u64"),))), []),
        (
            riscv(go=GoBuild("go1", "", "", (("GORISCV64", "rva22u64"),))),
            [("go", "GORISCV64", "rva22u64")],
        ),
    ],
)
def test_riscv_extensions_are_bounded(file: ElfFacts, expected: list[tuple[str, str, str]]) -> None:
    assert broken(file, RISCV64) == expected


def test_riscv_without_a_bound_is_not_judged() -> None:
    assert violations(riscv("rv64i2p1_v1p0"), replace(RISCV64, riscv_isa=None, go=())) == ()


@pytest.mark.parametrize(
    ("endian", "abi", "expected"),
    [
        ("little", 2, []),
        ("little", 0, []),
        ("little", 1, [("abi", "ELF ABI", "v1")]),
        ("big", 1, []),
    ],
)
def test_little_endian_power_is_elf_v2(
    endian: str, abi: int, expected: list[tuple[str, str, str]]
) -> None:
    file = facts(machine="ppc64", bits=64, endian=endian, arm=None, eabi=None, ppc64_abi=abi)
    assert broken(file, Bounds("ppc64", 64, endian)) == expected


@pytest.mark.parametrize(
    ("machine", "bits", "endian"),
    [
        ("aarch64", 64, "little"),
        ("riscv", 64, "little"),
        ("s390", 64, "big"),
        ("ppc64", 64, "little"),
        ("386", 32, "little"),
    ],
)
def test_other_targets_need_few_words(machine: str, bits: int, endian: str) -> None:
    file = facts(machine=machine, bits=bits, endian=endian, arm=None, eabi=None)
    assert violations(file, Bounds(machine, bits, endian)) == ()
    assert broken(file) != []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"machine": "amd64"}, "machine: 'amd64' is none of 386, "),
        ({"cpu_arch": "v6Z"}, "cpu_arch: 'v6Z' is none of v6, v6K, v6KZ, v7, v8-A"),
        ({"fp_arch": "VFP2"}, "fp_arch: 'VFP2' is none of none, VFPv2"),
        ({"riscv_isa": "rv64g"}, "riscv_isa: 'rv64g' is none of rv64gc"),
        ({"endian": "middle"}, "endian: 'middle' is none of little, big"),
        ({"bits": 31}, "bits: 31 is neither 32 nor 64"),
        ({"cpu_arch": None}, "thumb: needs cpu_arch as well"),
    ],
)
def test_bounds_that_are_none(change: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        replace(ARMV6, **change)  # type: ignore[arg-type]


def test_the_text_says_all() -> None:
    (violation,) = violations(facts(arm=tags(t6=10)), ARMV6)
    assert violation.text == "CPU_arch is v7, allowed is v6"
    assert (violation.found, violation.allowed) == ("v7", "v6")
