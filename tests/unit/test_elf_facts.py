"""Facts of ELF files, from files put together here byte by byte."""

import io
import struct
from dataclasses import dataclass

import pytest

from buildsys.elf.attributes import ArmTag
from buildsys.elf.facts import read_facts
from buildsys.elf.image import ElfError, Image

pytestmark = pytest.mark.unit

REL, EXEC, DYN = 1, 2, 3
X86, PPC64, S390, ARM, X86_64, AARCH64, RISCV = 3, 21, 22, 40, 62, 183, 243
LOAD, DYNAMIC, INTERP, STACK = 1, 2, 3, 0x6474E551
R, W, X = 4, 2, 1


@dataclass(frozen=True)
class Part:
    """A section or a segment to put into a file."""

    name: str = ""
    data: bytes = b""
    kind: int = 1
    flags: int = 0


def elf(
    machine: int,
    kind: int = REL,
    *,
    bits: int = 32,
    order: str = "<",
    flags: int = 0,
    sections: tuple[Part, ...] = (),
    segments: tuple[Part, ...] = (),
) -> bytes:
    """A whole ELF file: header, program headers, contents, names, section headers.

    A segment's address is its offset, which is what DT_STRTAB in a test then needs.
    """
    small = bits == 32
    header, ph_size, sh_size = (52, 32, 40) if small else (64, 56, 64)
    body = bytearray(header + ph_size * len(segments))
    places = []
    for part in (*segments, *sections):
        places.append(len(body))
        body += part.data
    names = b"\0" + b"".join(s.name.encode() + b"\0" for s in sections) + b".shstrtab\0"
    names_at = len(body)
    body += names
    rows = [(0, 0, 0, 0, 0, 0)]
    at = 1
    for part, place in zip(sections, places[len(segments) :], strict=True):
        rows.append((at, part.kind, part.flags, 0, place, len(part.data)))
        at += len(part.name) + 1
    rows.append((at, 3, 0, 0, names_at, len(names)))
    sections_at = len(body) if sections else 0
    for row in rows if sections else ():
        body += struct.pack(order + ("10I" if small else "IIQQQQIIQQ"), *row, 0, 0, 0, 0)
    for index, (part, place) in enumerate(zip(segments, places, strict=False)):
        size = len(part.data)
        packed = (
            struct.pack(order + "8I", part.kind, place, place, 0, size, size, part.flags, 0)
            if small
            else struct.pack(
                order + "IIQQQQQQ", part.kind, part.flags, place, place, 0, size, size, 0
            )
        )
        body[header + ph_size * index : header + ph_size * (index + 1)] = packed
    ident = b"\x7fELF" + bytes([1 if small else 2, 1 if order == "<" else 2, 1]) + bytes(9)
    body[:header] = ident + struct.pack(
        order + ("HHIIIIIHHHHHH" if small else "HHIQQQIHHHHHH"),
        *(kind, machine, 1, 0, header if segments else 0, sections_at, flags, header),
        *(ph_size, len(segments), sh_size, len(rows) if sections else 0),
        len(rows) - 1 if sections else 0,
    )
    return bytes(body)


def attributes(body: bytes) -> Part:
    scope = b"\x01" + (len(body) + 5).to_bytes(4, "little") + body
    data = b"aeabi\0" + scope
    return Part(".ARM.attributes", b"A" + (len(data) + 4).to_bytes(4, "little") + data, 0x70000003)


def go_section(version: str, module: str, flags: int = 2) -> Part:
    """`.go.buildinfo` in the inline form; module text between its two 16-byte sentinels."""
    framed = b"0" * 16 + module.encode() + b"1" * 16 if module else b""
    texts = b"".join(varint(len(t)) + t for t in (version.encode(), framed))
    return Part(".go.buildinfo", b"\xff Go buildinf:\x08" + bytes([flags]) + bytes(16) + texts)


def varint(number: int) -> bytes:
    return bytes([number]) if number < 0x80 else bytes([number & 0x7F | 0x80]) + varint(number >> 7)


def x86_property(needed: int, bits: int = 64) -> Part:
    size = 16 if bits == 64 else 12
    entry = struct.pack("<III", 0xC0008002, 4, needed).ljust(size, b"\0")
    return Part(".note.gnu.property", struct.pack("<III", 4, size, 5) + b"GNU\0" + entry, 7)


@pytest.mark.parametrize(
    ("machine", "bits", "order", "name", "endian"),
    [
        (ARM, 32, "<", "arm", "little"),
        (ARM, 32, ">", "arm", "big"),
        (X86, 32, "<", "386", "little"),
        (X86_64, 64, "<", "x86_64", "little"),
        (AARCH64, 64, "<", "aarch64", "little"),
        (RISCV, 64, "<", "riscv", "little"),
        (PPC64, 64, "<", "ppc64", "little"),
        (S390, 64, ">", "s390", "big"),
        (4711, 64, "<", "em-4711", "little"),
    ],
)
@pytest.mark.parametrize(("kind", "kind_name"), [(REL, "REL"), (EXEC, "EXEC"), (DYN, "DYN")])
def test_identity(
    machine: int, bits: int, order: str, name: str, endian: str, kind: int, kind_name: str
) -> None:
    facts = read_facts(elf(machine, kind, bits=bits, order=order), "a.o")
    assert (facts.machine, facts.bits, facts.endian) == (name, bits, endian)
    assert (facts.kind, facts.name) == (kind_name, "a.o")


@pytest.mark.parametrize(
    ("machine", "bits", "flags", "eabi", "float_abi", "ppc64_abi"),
    [
        (ARM, 32, 0x05000400, 5, "hard", None),
        (ARM, 32, 0x05000200, 5, "soft", None),
        (ARM, 32, 0x05000002, 5, None, None),
        (ARM, 32, 0x04000400, 4, None, None),
        (RISCV, 64, 0x5, None, "double", None),
        (RISCV, 64, 0x0, None, "soft", None),
        (PPC64, 64, 0x2, None, None, 2),
    ],
)
def test_abi_flags(
    machine: int,
    bits: int,
    flags: int,
    eabi: int | None,
    float_abi: str | None,
    ppc64_abi: int | None,
) -> None:
    facts = read_facts(elf(machine, EXEC, bits=bits, flags=flags), "a")
    assert (facts.eabi, facts.float_abi, facts.ppc64_abi) == (eabi, float_abi, ppc64_abi)


def test_open_file_gives_the_same_as_bytes() -> None:
    data = elf(ARM, sections=(attributes(b"\x06\x06"),))
    assert read_facts(io.BytesIO(data), "a") == read_facts(data, "a")


def test_static_program() -> None:
    facts = read_facts(elf(ARM, EXEC, segments=(Part(kind=LOAD, flags=R | X),)), "a")
    assert facts.is_program
    assert facts.is_static
    assert not facts.is_static_pie


def test_interpreter_makes_it_dynamic() -> None:
    facts = read_facts(elf(ARM, EXEC, segments=(Part(data=b"/lib/ld.so\0", kind=INTERP),)), "a")
    assert facts.interpreter == "/lib/ld.so"
    assert not facts.is_static


@pytest.mark.parametrize("bits", [32, 64])
def test_static_pie_and_needed(bits: int) -> None:
    layout = "<II" if bits == 32 else "<QQ"
    end = struct.pack(layout, 0, 0)
    pie = read_facts(
        elf(
            X86_64,
            DYN,
            bits=bits,
            segments=(Part(kind=DYNAMIC, data=struct.pack(layout, 0x6FFFFFFB, 1 << 27) + end),),
        ),
        "a",
    )
    assert pie.is_static_pie
    header = (52 + 2 * 32) if bits == 32 else (64 + 2 * 56)
    wants = struct.pack(layout, 1, 1) + struct.pack(layout, 5, header) + end
    library = read_facts(
        elf(
            X86_64,
            DYN,
            bits=bits,
            segments=(
                Part(kind=LOAD, data=b"\0libc.so.6\0", flags=R),
                Part(kind=DYNAMIC, data=wants),
            ),
        ),
        "a",
    )
    assert library.needed == ("libc.so.6",)
    assert not library.is_static


def test_needed_whose_name_is_nowhere_still_counts() -> None:
    wants = struct.pack("<IIII", 1, 1, 5, 0xDEAD0000)
    facts = read_facts(elf(ARM, DYN, segments=(Part(kind=DYNAMIC, data=wants),)), "a")
    assert facts.needed == ("?",)
    assert not facts.is_static


@pytest.mark.parametrize(
    ("machine", "bits", "expected"),
    [
        (ARM, 32, True),
        (X86, 32, True),
        (X86_64, 64, True),
        (AARCH64, 64, True),
        (RISCV, 64, False),
        (S390, 64, False),
        (PPC64, 64, False),
    ],
)
def test_stack_without_header_is_the_kernel_s_default(
    machine: int, bits: int, expected: bool
) -> None:
    facts = read_facts(elf(machine, EXEC, bits=bits), "a")
    assert facts.stack.executable is expected
    assert facts.stack.why.startswith("no PT_GNU_STACK")


@pytest.mark.parametrize(("flags", "expected"), [(R | W, False), (R | W | X, True)])
def test_stack_header(flags: int, expected: bool) -> None:
    facts = read_facts(elf(ARM, EXEC, segments=(Part(kind=STACK, flags=flags),)), "a")
    assert facts.stack.executable is expected


@pytest.mark.parametrize(("flags", "expected"), [(0, False), (4, True)])
def test_stack_note_of_an_object(flags: int, expected: bool) -> None:
    facts = read_facts(elf(ARM, sections=(Part(".note.GNU-stack", flags=flags),)), "a.o")
    assert facts.stack.executable is expected


def test_object_without_stack_note() -> None:
    facts = read_facts(elf(ARM), "a.o")
    assert not facts.stack.executable
    assert facts.stack.why == "no .note.GNU-stack"


def test_writable_code() -> None:
    parts = (Part(kind=LOAD, flags=R | X), Part(kind=LOAD, flags=R | W | X), Part(kind=STACK))
    facts = read_facts(elf(ARM, EXEC, segments=parts), "a")
    assert [s.permissions for s in facts.writable_code] == ["rwx"]


def test_attributes_of_several_sections_are_joined() -> None:
    data = elf(ARM, sections=(attributes(b"\x06\x06"), attributes(b"\x06\x0a")))
    facts = read_facts(data, "a.o")
    assert facts.arm is not None
    assert facts.arm.numbers(ArmTag.CPU_ARCH) == (6, 10)


def test_no_attributes() -> None:
    facts = read_facts(elf(ARM, sections=(Part(".text", b"\0\0\0\0"),)), "a.o")
    assert facts.arm is None
    assert facts.has_sections


def test_broken_attributes_name_the_file_and_section() -> None:
    data = elf(ARM, sections=(Part(".ARM.attributes", b"B"),))
    with pytest.raises(ElfError, match=r"^x\.o: \.ARM\.attributes: .*unknown format 0x42"):
        read_facts(data, "x.o")


MODULE = (
    "path\texample.org/cmd\nmod\texample.org\tv1.2.3\th1:abc=\ndep\tother.org\tv0.1.0\th1:x=\n"
    "build\t-compiler=gc\nbuild\tCGO_ENABLED=1\nbuild\tGOARCH=arm\nbuild\tGOARM=6\n"
    'build\tCGO_CFLAGS="-O2 -g0"\n'
)


def test_go() -> None:
    go = read_facts(elf(ARM, EXEC, sections=(go_section("go1.25.5", MODULE),)), "a").go
    assert go is not None
    assert (go.version, go.module, go.module_version) == ("go1.25.5", "example.org", "v1.2.3")
    assert go.setting("GOARM") == "6"
    assert go.setting("CGO_ENABLED") == "1"
    assert go.setting("CGO_CFLAGS") == "-O2 -g0"
    assert go.setting("GOAMD64") is None


@pytest.mark.parametrize(
    "part",
    [
        go_section("go1.17", MODULE, flags=0),  # pointers instead of texts
        Part(".go.buildinfo", b"nonsense"),
        Part(".go.buildinfo", b"\xff Go buildinf:\x08\x02" + bytes(16) + b"\xff" * 30),
        Part(".note.go.buildid", b"\0" * 16),
    ],
)
def test_go_without_a_readable_record(part: Part) -> None:
    go = read_facts(elf(ARM, EXEC, sections=(part,)), "a").go
    assert go is not None
    assert go.version == ""
    assert go.settings == ()


@pytest.mark.parametrize(("machine", "bits"), [(X86, 32), (X86_64, 64)])
def test_x86_isa(machine: int, bits: int) -> None:
    parts = (x86_property(1, bits), x86_property(4, bits))
    assert read_facts(elf(machine, bits=bits, sections=parts), "a.o").x86_isa_needed == 5
    assert read_facts(elf(machine, bits=bits), "a.o").x86_isa_needed is None


def test_code_comes_from_segments_or_from_an_object_s_sections() -> None:
    linked = Image(elf(ARM, EXEC, segments=(Part(data=b"abcd", kind=LOAD, flags=R | X),)), "a")
    assert list(linked.code(4)) == [(b"abcd", 0, 4)]
    parts = (Part(".text", b"efgh", flags=6), Part(".data", b"no", flags=3))
    assert list(Image(elf(ARM, sections=parts), "a.o").code(4)) == [(b"efgh", 0, 4)]
