"""Streams that unpack gzip, bzip2, xz and zstd, and charge what comes out to a budget."""

import bz2
import gzip
import lzma
import zlib
from dataclasses import dataclass
from typing import BinaryIO, Final, Protocol

import zstandard

from buildsys.elf.image import ElfError, LimitError

_GZIP, _XZ, _ZSTD = b"\x1f\x8b", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"
# "BZh", a digit, and the first half of a block's own magic: three letters alone may be text.
_BZIP2: Final = tuple(b"BZh%d1AY&" % level for level in range(1, 10))
COMPRESSED_MAGICS: Final = (_GZIP, _XZ, _ZSTD, *_BZIP2)
ZSTD_WINDOW_BYTES: Final = 128 << 20  # zstd's own default refuses more as well
# A block of 4 bytes stands for up to 128 KiB (RFC 8878), so this much unpacks to 32 MiB at most.
_ZSTD_INPUT_BYTES: Final = 1 << 10
_UNPACK_CHUNK_BYTES: Final = 1 << 20


class Readable(Protocol):
    """A stream of bytes that is read from start to end."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes."""
        ...


@dataclass(slots=True)
class Budget:
    """What is left of the limits while one path is walked."""

    bytes_left: int
    members_left: int

    def take(self, name: str, size: int) -> None:
        """Charge unpacked bytes; LimitError if they are over the limit."""
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise LimitError(name, "unpacks to more than the limit on all files together")

    def count(self, name: str) -> None:
        """Charge one member; LimitError if it is over the limit."""
        self.members_left -= 1
        if self.members_left < 0:
            raise LimitError(name, "holds more members than the limit")


def decompressor(file: BinaryIO, magic: bytes) -> tuple[Readable, tuple[type[Exception], ...]]:
    """Open a stream of the unpacked bytes; also name the errors that broken input raises."""
    if magic.startswith(_GZIP):
        return gzip.GzipFile(fileobj=file), (OSError, EOFError, zlib.error)
    if magic.startswith(_XZ):
        return lzma.LZMAFile(file), (OSError, EOFError, lzma.LZMAError)
    if magic.startswith(_BZIP2):
        return bz2.BZ2File(file), (OSError, EOFError)
    return _ZstdFrames(file), (EOFError, zstandard.ZstdError)


class _ZstdFrames:
    """Unpacks zstd frames, one behind another, and raises EOFError if the last one is cut.

    zstandard's own stream reader takes a cut frame for the end of the data.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._zstd = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
        self._frame = self._zstd.decompressobj()
        self._started = False
        self._ready = b""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, none only at the end."""
        while not self._ready:
            packed = self._next_input()
            if not packed:
                return b""
            self._started = True
            self._ready = self._frame.decompress(packed)
        part, self._ready = self._ready[:size], self._ready[size:]
        return part

    def _next_input(self) -> bytes:
        packed = b""
        if self._frame.eof:
            packed = self._frame.unused_data
            self._frame = self._zstd.decompressobj()
            self._started = False
        packed = packed or self._file.read(_ZSTD_INPUT_BYTES)
        if not packed and self._started:
            raise EOFError("the compressed data end inside a frame")
        return packed


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A decompressor whose output is charged to the budget and whose errors are ElfError."""

    name: str
    stream: Readable
    errors: tuple[type[Exception], ...]
    budget: Budget

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, fewer only at the end."""
        parts: list[bytes] = []
        left = size
        while left > 0 and (part := self._part(min(left, _UNPACK_CHUNK_BYTES))):
            self.budget.take(self.name, len(part))
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _part(self, size: int) -> bytes:
        try:
            return self.stream.read(size)
        except self.errors as error:
            raise ElfError(self.name, f"cannot be unpacked: {error}") from error
