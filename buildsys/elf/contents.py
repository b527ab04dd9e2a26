"""The files inside archives, compressed files and folders, and the ELF files among them.

Nothing read from a file is ever used as a path: names from inside only become labels.
"""

import io
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from buildsys.elf.archives import (
    AR_MAGIC,
    TAR_BLOCK,
    THIN_MAGIC,
    ZIP_ERRORS,
    ZIP_MAGIC,
    ar_header,
    ar_name,
    is_tar,
    tar_header,
    tar_long_name,
)
from buildsys.elf.decompress import COMPRESSED_MAGICS, Budget, Readable, Unpacked, decompressor
from buildsys.elf.facts import ElfFacts, read_facts
from buildsys.elf.image import ELF_MAGIC, ElfError, LimitError
from buildsys.elf.window import Part, Window

_TAR_FILES: Final = frozenset({b"0", b"\0", b"7"})
_TAR_TABLES_BYTES: Final = 1 << 20  # a long name or a pax header


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may unpack to before it is called a bomb; sizes in bytes.

    The largest program here has 254 MB unstripped and a libc.a about 1500 members; the figures
    leave several times that.
    """

    member_bytes: int = 1 << 30
    total_bytes: int = 8 << 30
    members: int = 200_000
    depth: int = 4


DEFAULT_LIMITS: Final = Limits()


Inside = Callable[[BinaryIO, str], Iterable[Part]]
"""Finds the files that an ELF file, given with its label, carries in itself."""

Broken = Callable[[ElfError], None]
"""Is told of a file that cannot be read."""


class Content(NamedTuple):
    """A file found by `contents_of`: a label, its open bytes, and its first 8 bytes."""

    name: str
    file: BinaryIO
    magic: bytes


def elves_in(path: Path | str, limits: Limits = DEFAULT_LIMITS) -> Iterator[tuple[str, ElfFacts]]:
    """Every ELF file in `path`: itself, or inside ar, tar, zip, a compressed file or a folder.

    The names are labels: a path below a folder, then `(member)` for each archive around it;
    repeated members get `#2`, `#3`. Other files are skipped, symbolic links are not followed.
    Raises ElfError for a broken file and for one over a limit, OSError if it cannot be read.
    """
    for content in contents_of(path, limits):
        if content.magic.startswith(ELF_MAGIC):
            yield content.name, read_facts(content.file, content.name)


def contents_of(
    path: Path | str,
    limits: Limits = DEFAULT_LIMITS,
    inside: Inside | None = None,
    broken: Broken | None = None,
) -> Iterator[Content]:
    """Every plain file in `path`, unpacked as `elves_in` says, whatever it holds.

    A `Content` is good until the next one is asked for: its file is closed then. With `inside`,
    what an ELF file carries follows it. With `broken`, a file inside that cannot be read is told
    and passed over; what is over a limit, and `path` itself, still raise.
    """
    root = Path(path)
    budget = Budget(limits.total_bytes, limits.members)
    for file_path, label in _files(root):
        with file_path.open("rb") as file:
            walk = _Walk(limits, budget, file_path, inside, broken)
            read = walk.nested if root.is_dir() else walk.contents
            yield from read(label, file, 0)


def _files(root: Path) -> Iterator[tuple[Path, str]]:
    if not root.is_dir():
        yield root, printable(root.name)
        return
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder) / name
            if path.is_file() and not path.is_symlink():
                yield path, printable(path.relative_to(root).as_posix())


def printable(name: str) -> str:
    """Make a label safe to print: control and undecodable characters escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


@dataclass(frozen=True, slots=True)
class _Walk:
    """Unpacks one file on disk, nested to `limits.depth`."""

    limits: Limits
    budget: Budget
    path: Path
    inside: Inside | None
    broken: Broken | None

    def nested(self, name: str, file: BinaryIO, depth: int) -> Iterator[Content]:
        """`contents` of a file among others."""
        try:
            yield from self.contents(name, file, depth)
        except ElfError as error:
            if self.broken is None or isinstance(error, LimitError):
                raise
            self.broken(error)

    def contents(self, name: str, file: BinaryIO, depth: int) -> Iterator[Content]:
        """`file` itself if it is plain, else what is inside."""
        self.budget.count(name)
        magic = file.read(8)
        file.seek(0)
        if magic in (AR_MAGIC, THIN_MAGIC):
            self._check_depth(name, depth)
            yield from self._ar(name, file, depth, thin=magic == THIN_MAGIC)
        elif magic.startswith(COMPRESSED_MAGICS):
            self._check_depth(name, depth)
            yield from self._compressed(name, file, magic, depth)
        elif magic.startswith(ZIP_MAGIC):
            self._check_depth(name, depth)
            yield from self._zip(name, file, depth)
        elif not magic.startswith(ELF_MAGIC) and is_tar(file.read(TAR_BLOCK)):
            self._check_depth(name, depth)
            file.seek(0)
            yield from self._tar(name, file, b"", depth)
        else:
            file.seek(0)
            yield Content(name, file, magic)
            if self.inside and magic.startswith(ELF_MAGIC):
                yield from self._carried(name, file, self.inside, depth)

    def _carried(self, name: str, file: BinaryIO, inside: Inside, depth: int) -> Iterator[Content]:
        for part in inside(file, name):
            self._check_depth(name, depth)
            label = f"{name}({printable(part.label)})"
            window = io.BufferedReader(Window(file, part.offset, part.size))
            yield from self.nested(label, window, depth + 1)

    def _check_depth(self, name: str, depth: int) -> None:
        if depth >= self.limits.depth:
            raise LimitError(name, f"archives nested deeper than {self.limits.depth}")

    def _check_member(self, name: str, size: int) -> None:
        if not 0 <= size <= self.limits.member_bytes:
            raise LimitError(name, f"{size} bytes, the limit is {self.limits.member_bytes}")
        self.budget.take(name, size)

    def _take(self, name: str, file: Readable, size: int) -> bytes:
        self._check_member(name, size)
        data = file.read(size)
        if len(data) != size:
            raise ElfError(name, f"truncated: {len(data)} of {size} bytes")
        return data

    def _ar(self, name: str, file: BinaryIO, depth: int, *, thin: bool) -> Iterator[Content]:
        """Members of a static archive (ar(5), GNU and BSD long names, GNU thin)."""
        beside = _beside(self.path) if thin and depth == 0 else {}
        seen: dict[str, int] = {}
        long_names = b""
        file.seek(8)
        while header := file.read(60):
            raw, size = ar_header(name, header, file.tell())
            if raw in ("/", "/SYM64/", "//"):
                table = self._take(name, file, size)
                long_names = table if raw == "//" else long_names
                file.seek(size % 2, os.SEEK_CUR)
                continue
            member, skip = ar_name(name, raw, long_names, file)
            label = _numbered(f"{name}({printable(member)})", seen)
            if thin:
                yield from self._thin(label, member, beside, depth)
                continue
            data = self._take(label, file, size - skip)
            after = file.seek(size % 2, os.SEEK_CUR)
            if not member.startswith("__.SYMDEF"):  # BSD's symbol table
                yield from self.nested(label, io.BytesIO(data), depth + 1)
            file.seek(after)

    def _thin(
        self, label: str, member: str, beside: Mapping[str, Path], depth: int
    ) -> Iterator[Content]:
        # The name is only compared with files that are there: it never becomes a path.
        path = beside.get(member)
        if path is None:
            raise ElfError(label, "a thin archive's member, and not a file in the archive's folder")
        self._check_member(label, path.stat().st_size)
        with path.open("rb") as file:
            yield from self.nested(label, file, depth + 1)

    def _zip(self, name: str, file: BinaryIO, depth: int) -> Iterator[Content]:
        seen: dict[str, int] = {}
        label = name
        try:
            archive = zipfile.ZipFile(file)
            for info in archive.infolist():
                label = _numbered(f"{name}({printable(info.filename)})", seen)
                if info.filename.endswith("/"):  # is_dir() stumbles over a name that is empty
                    continue
                with archive.open(info) as member:
                    data = self._take(label, member, info.file_size)
                yield from self.nested(label, io.BytesIO(data), depth + 1)
        except ElfError:
            raise
        except ZIP_ERRORS as error:
            raise ElfError(label, f"cannot be unpacked: {error}") from error

    def _compressed(self, name: str, file: BinaryIO, magic: bytes, depth: int) -> Iterator[Content]:
        stream = Unpacked(name, *decompressor(file, magic), self.budget)
        head = stream.read(TAR_BLOCK)
        if is_tar(head):
            yield from self._tar(name, stream, head, depth)
            return
        rest = stream.read(self.limits.member_bytes + 1 - len(head))
        if len(head) + len(rest) > self.limits.member_bytes:
            raise LimitError(name, f"unpacks to more than {self.limits.member_bytes} bytes")
        yield from self.contents(name, io.BytesIO(head + rest), depth + 1)

    def _tar(self, name: str, file: Readable, head: bytes, depth: int) -> Iterator[Content]:
        """Regular files of a tar; our own loop, as tarfile takes a name of any length in whole."""
        seen: dict[str, int] = {}
        long_name = ""
        block = head or file.read(TAR_BLOCK)
        while block.strip(b"\0"):
            member = tar_header(name, block)
            padding = -member.size % TAR_BLOCK
            if member.type in (b"L", b"K", b"x", b"g"):
                table = self._table(name, file, member.size, padding)
                long_name = tar_long_name(member.type, table) or long_name
            else:
                label = _numbered(f"{name}({printable(long_name or member.name)})", seen)
                long_name = ""
                if member.type in _TAR_FILES:
                    data = self._take(label, file, member.size)
                    self._skip(label, file, padding)
                    yield from self.nested(label, io.BytesIO(data), depth + 1)
                elif member.type not in (b"1", b"2", b"3", b"4", b"5", b"6"):
                    raise ElfError(label, f"tar member of unknown type {member.type!r}")
            block = file.read(TAR_BLOCK)
        if not block:
            raise ElfError(name, "truncated: the tar has no end mark")

    def _table(self, name: str, file: Readable, size: int, padding: int) -> bytes:
        if size > _TAR_TABLES_BYTES:
            raise LimitError(name, f"a tar member's name or header has {size} bytes")
        table = self._take(name, file, size)
        self._skip(name, file, padding)
        return table

    def _skip(self, name: str, file: Readable, size: int) -> None:
        if len(file.read(size)) != size:
            raise ElfError(name, "truncated")


def _numbered(label: str, seen: dict[str, int]) -> str:
    seen[label] = seen.get(label, 0) + 1
    return label if seen[label] == 1 else f"{label}#{seen[label]}"


def _beside(archive: Path) -> dict[str, Path]:
    """List the files in and below the archive's folder, as a thin archive would name them."""
    folder = archive.parent
    found = ((path.relative_to(folder).as_posix(), path) for path, _ in _files(folder))
    return dict(found)
