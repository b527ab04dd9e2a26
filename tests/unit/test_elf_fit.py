"""What of a foreign ELF file is a reason not to run, and what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from buildsys.elf import Bounds, Fit, Guarded, Image, fit

from .bounds import ARMV6
from .test_elf_facts import (
    AARCH64,
    ARM,
    DYN,
    EXEC,
    INTERP,
    LOAD,
    REL,
    STACK,
    X86_64,
    Part,
    R,
    W,
    X,
    attributes,
    elf,
    go_section,
)

pytestmark = pytest.mark.unit

AMD64 = Bounds(
    machine="x86_64", bits=64, endian="little", go=(("GOARCH", "amd64"), ("GOAMD64", "v1"))
)

V6 = b"\x06\x06\x08\x01\x09\x01\x0a\x02\x17\x03\x1c\x01"
V7 = b"\x06\x0a\x08\x01\x09\x02\x0a\x04\x17\x03\x1c\x01"
SOFT = b"\x06\x04\x08\x01\x09\x01\x17\x03"
HARD_FLAGS, SOFT_FLAGS = 0x05000400, 0x05000200
MOVW_MOVT = bytes.fromhex("010300e3 020340e3".replace(" ", ""))


def program(
    tags: bytes | None = V6,
    *,
    kind: int = EXEC,
    flags: int = HARD_FLAGS,
    code: bytes = bytes(8),
    stack: int = R | W,
    interpreter: bytes = b"",
    more: tuple[Part, ...] = (),
) -> bytes:
    """A program for ARM, static unless there is an interpreter."""
    segments = [Part(data=code, kind=LOAD, flags=R | X), Part(kind=STACK, flags=stack)]
    if interpreter:
        segments.append(Part(data=interpreter + b"\0", kind=INTERP, flags=R))
    known = () if tags is None else (attributes(tags),)
    sections = (*known, *more, Part(".comment", b"x"))
    return elf(ARM, kind, flags=flags, sections=sections, segments=tuple(segments))


def go_record(*settings: str) -> Part:
    """`.go.buildinfo` with settings of the build."""
    return go_section("go1.25.5", "path\tx\n" + "".join(f"build\t{s}\n" for s in settings))


def judged(data: bytes, bounds: Bounds = ARMV6, name: str = "prog") -> Fit:
    found = fit(Image(data, name), bounds)
    assert found
    return found


def test_a_v6_program_runs() -> None:
    found = judged(program())
    assert (found.result, found.barriers, found.doubts, found.notes) == ("runs", (), (), ())


def test_a_v7_program_is_refused_with_every_reason() -> None:
    found = judged(program(V7))
    assert found.result == "refused"
    assert found.barriers == (
        "CPU_arch is v7, allowed is v6",
        "FP_arch is VFPv3-D16, allowed is VFPv2",
        "THUMB_ISA_use is Thumb-2, allowed is Thumb-1",
    )


def test_another_machine_is_said_once() -> None:
    found = judged(elf(AARCH64, EXEC, bits=64))
    assert found.barriers == ("machine is aarch64, allowed is arm", "bits is 64, allowed is 32")
    assert found.notes == ()


def test_v7_instructions_behind_v6_attributes() -> None:
    """What a linker that keeps the first object's attributes leaves."""
    found = judged(program(code=MOVW_MOVT * 3))
    assert found.barriers == (
        "MOVW and MOVT pairs is 3 in ARM code, 0 in Thumb code, allowed is none",
    )


def test_an_interpreter_is_told_and_no_reason() -> None:
    found = judged(program(interpreter=b"/lib/ld-linux-armhf.so.3"))
    assert found.result == "runs"
    assert found.interpreter == "/lib/ld-linux-armhf.so.3"
    assert found.notes == ("needs /lib/ld-linux-armhf.so.3 on the board",)


def test_an_executable_stack_is_told_and_no_reason() -> None:
    found = judged(program(stack=R | W | X))
    assert found.result == "runs"
    assert found.notes == ("stack is executable (PT_GNU_STACK rwx), allowed is not executable",)


def test_soft_floats_are_a_reason_where_there_are_libraries() -> None:
    alone = judged(program(SOFT, flags=SOFT_FLAGS))
    assert alone.result == "runs"
    assert len(alone.notes) == 2
    linked = judged(program(SOFT, flags=SOFT_FLAGS, interpreter=b"/lib/ld-linux.so.3"))
    assert linked.barriers == (
        "float ABI is soft, allowed is hard",
        "ABI_VFP_args is soft, allowed is hard",
    )


@pytest.mark.parametrize(
    ("data", "doubt"),
    [
        (program(None), "build attributes is none"),
        (
            elf(ARM, EXEC, flags=HARD_FLAGS, segments=(Part(kind=STACK, flags=R),)),
            "section headers",
        ),
        (program(None, more=(go_record("GOARCH=arm"),)), "GOARM is not recorded"),
        (program(None, more=(Part(".note.go.buildid", b"x"),)), "GOARCH is not recorded"),
    ],
)
def test_what_says_nothing_is_not_judged(data: bytes, doubt: str) -> None:
    found = judged(data)
    assert found.result == "unknown"
    assert doubt in found.doubts[0]


@pytest.mark.parametrize(
    ("settings", "result"),
    [
        (("GOARCH=arm", "GOARM=5"), "runs"),
        (("GOARCH=arm", "GOARM=6"), "runs"),
        (("GOARCH=arm", "GOARM=6,softfloat"), "runs"),
        (("GOARCH=arm", "GOARM=7"), "refused"),
        (("GOARCH=arm", "GOARM=7,softfloat"), "refused"),
        (("GOARCH=arm", "GOARM=8"), "refused"),
    ],
)
def test_goarm_is_an_upper_bound(settings: tuple[str, ...], result: str) -> None:
    assert judged(program(None, more=(go_record(*settings),))).result == result


@pytest.mark.parametrize(
    ("level", "result"), [("v1", "runs"), ("v2", "refused"), ("v4", "refused")]
)
def test_goamd64_is_an_upper_bound(level: str, result: str) -> None:
    record = go_record("GOARCH=amd64", f"GOAMD64={level}")
    data = elf(X86_64, EXEC, bits=64, sections=(record,), segments=(Part(kind=STACK, flags=R),))
    assert judged(data, AMD64).result == result
    assert judged(data, replace(AMD64, go=(("GOAMD64", "v3"),))).result == (
        "refused" if level == "v4" else "runs"
    )


def test_an_object_that_asks_before_it_uses_it_is_excused() -> None:
    data = elf(ARM, REL, flags=0x05000000, sections=(attributes(b"\x06\x02\x07\x41"),))
    assert judged(data, name="libc.a(atomics.o)").result == "refused"
    guarded = (Guarded("atomics.o", "CPU_arch_profile", "the test says so"),)
    assert judged(data, replace(ARMV6, guarded=guarded), "libc.a(atomics.o)").result == "runs"


def test_a_library_is_judged_as_a_program_is() -> None:
    assert judged(program(V7, kind=DYN)).result == "refused"
    assert judged(program(kind=DYN)).result == "runs"


def test_a_program_for_the_kernels_own_machine_is_for_every_cpu() -> None:
    assert fit(Image(elf(247, REL, bits=64), "bpf.o"), ARMV6) is None
