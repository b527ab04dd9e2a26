"""The headers of an ELF file, read and checked.

The reader is our own: it takes only headers and a handful of sections, so that a 200 MB program
costs a few reads and 2000 objects less than a second, and it checks every offset against the file
before using it. Sources: System V gABI, "ELF for the Arm Architecture" (aaelf32).
"""

import io
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

ELF_MAGIC: Final = b"\x7fELF"

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_GNU_STACK = 1, 2, 3, 0x6474E551
_SHT_NULL, SHT_NOTE, _SHT_NOBITS = 0, 7, 8
SHF_EXECINSTR: Final = 4
PF_X, PF_W = 1, 2

# Figures of this module, each far above what a real toolchain writes.
SMALL_SECTION_BYTES: Final = 4 << 20  # names, attributes, notes, dynamic, Go's build record
_CODE_CHUNK_BYTES: Final = 8 << 20


class ElfError(ValueError):
    """A file that claims to be ELF, an archive or compressed, and is broken or over a limit."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


class LimitError(ElfError):
    """A file that holds, or unpacks to, more than a limit allows."""


class Section(NamedTuple):
    """A section header with its name resolved; offsets and sizes in bytes."""

    name: str
    kind: int
    flags: int
    address: int
    offset: int
    size: int


class Segment(NamedTuple):
    """A program header; offsets, addresses and sizes in bytes."""

    kind: int
    flags: int
    offset: int
    address: int
    file_size: int

    @property
    def permissions(self) -> str:
        """Like `ls` writes them: `r-x`."""
        return "".join(c if self.flags & b else "-" for c, b in (("r", 4), ("w", 2), ("x", 1)))


class Code(NamedTuple):
    """A piece of the executable bytes: its own are `data[first:last]`, the rest is around them."""

    data: bytes
    first: int
    last: int


class Image:
    """The headers of one ELF file, read and checked; contents are read when asked for.

    Raises ElfError for anything that is not a whole, well-formed ELF file.
    """

    def __init__(self, source: bytes | BinaryIO, name: str) -> None:
        self._file = io.BytesIO(source) if isinstance(source, bytes) else source
        self.name = name
        self.size = self._file.seek(0, os.SEEK_END)
        self._read_header()
        self.sections = self._read_sections()
        self.segments = self._read_segments()

    def fail(self, reason: str) -> ElfError:
        """Make the error to raise for this file."""
        return ElfError(self.name, reason)

    def read(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes at `offset`; ElfError if the file is shorter."""
        if offset + size > self.size:
            raise self.fail(
                f"truncated: bytes {offset} to {offset + size} wanted, the file has {self.size}"
            )
        self._file.seek(offset)
        data = self._file.read(size)
        if len(data) != size:
            raise self.fail("the file became shorter while it was read")
        return data

    def content(self, section: Section) -> bytes:
        """Read a section that has to be small; ElfError if it is not."""
        if section.kind == _SHT_NOBITS:
            return b""
        if section.size > SMALL_SECTION_BYTES:
            raise self.fail(f"section {section.name} has {section.size} bytes")
        return self.read(section.offset, section.size)

    def code(self, around: int) -> Iterator[Code]:
        """Yield the executable bytes in pieces, with up to `around` more on both sides of each.

        Every byte is one piece's own. With `around` a multiple of 4, so is each piece's start.
        """
        for offset, size in self._code_ranges():
            for start in range(0, size, _CODE_CHUNK_BYTES):
                end = min(start + _CODE_CHUNK_BYTES, size)
                begin = max(0, start - around)
                data = self.read(offset + begin, min(end + around, size) - begin)
                yield Code(data, start - begin, end - begin)

    def _code_ranges(self) -> list[tuple[int, int]]:
        if self.segments:
            return [(s.offset, s.file_size) for s in self.segments if is_code(s)]
        return [
            (s.offset, s.size)
            for s in self.sections
            if s.flags & SHF_EXECINSTR and s.kind != _SHT_NOBITS
        ]

    def _read_header(self) -> None:
        ident = self.read(0, 16)
        if ident[:4] != ELF_MAGIC:
            raise self.fail("not an ELF file")
        if ident[4] not in (1, 2) or ident[5] not in (1, 2) or ident[6] != 1:
            raise self.fail(f"unknown ELF class, byte order or version {ident[4:7].hex()}")
        self.bits = 32 * ident[4]
        self.order = "<" if ident[5] == 1 else ">"
        layout = self.order + ("HHIIIIIHHHHHH" if self.bits == 32 else "HHIQQQIHHHHHH")
        fields = struct.unpack(layout, self.read(16, struct.calcsize(layout)))
        self.kind, self.machine, _, _, self._ph_offset, self._sh_offset, self.flags = fields[:7]
        _, self._ph_size, self._ph_count, self._sh_size, self._sh_count, self._names = fields[7:]

    def _read_sections(self) -> tuple[Section, ...]:
        if self._sh_offset == 0:
            return ()
        layout = self.order + ("10I" if self.bits == 32 else "IIQQQQIIQQ")
        width = struct.calcsize(layout)
        if self._sh_size != width:
            raise self.fail(f"section headers of {self._sh_size} bytes instead of {width}")
        first = struct.unpack(layout, self.read(self._sh_offset, width))
        # gABI: counts that do not fit 16 bits stand in section 0.
        count = self._sh_count or first[5]
        names_index = first[6] if self._names == 0xFFFF else self._names
        rows = list(struct.iter_unpack(layout, self.read(self._sh_offset, width * count)))
        names = self._section_names(rows, names_index)
        sections = tuple(_section(label(names, r[0]), r) for r in rows)
        for section in sections:
            self._check_extent(section)
        return sections

    def _section_names(self, rows: list[tuple[int, ...]], index: int) -> bytes:
        if index >= len(rows):
            raise self.fail(f"section names in section {index} of {len(rows)}")
        if index == 0:
            return b""
        return self.content(_section("section names", rows[index]))

    def _check_extent(self, section: Section) -> None:
        if section.kind in (_SHT_NULL, _SHT_NOBITS):
            return
        if section.offset + section.size > self.size:
            raise self.fail(f"truncated: section {section.name} ends behind the end of the file")

    def _read_segments(self) -> tuple[Segment, ...]:
        if self._ph_count == 0:
            return ()
        layout = self.order + ("8I" if self.bits == 32 else "IIQQQQQQ")
        width = struct.calcsize(layout)
        if self._ph_size != width:
            raise self.fail(f"program headers of {self._ph_size} bytes instead of {width}")
        data = self.read(self._ph_offset, width * self._ph_count)
        segments = tuple(_segment(row, self.bits) for row in struct.iter_unpack(layout, data))
        for segment in segments:
            if segment.offset + segment.file_size > self.size:
                raise self.fail("truncated: a segment ends behind the end of the file")
        return segments


def _section(name: str, row: tuple[int, ...]) -> Section:
    return Section(name, row[1], row[2], row[3], row[4], row[5])


def _segment(row: tuple[int, ...], bits: int) -> Segment:
    if bits == 32:
        return Segment(row[0], row[6], row[1], row[2], row[4])
    return Segment(row[0], row[1], row[2], row[3], row[5])


def label(table: bytes, offset: int) -> str:
    """Find the text at an offset of a string table; empty if it does not end there."""
    end = table.find(b"\0", offset)
    return table[offset:end].decode("utf-8", "backslashreplace") if end > offset else ""


def is_code(segment: Segment) -> bool:
    """Whether the segment is loaded and executable."""
    return segment.kind == PT_LOAD and bool(segment.flags & PF_X)
