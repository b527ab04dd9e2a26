"""Archives and programs that a program carries compressed in its data, as upstream's k3s does.

Upstream's executable is a Go program that embeds a .tar.zst (`go:embed`; once go-bindata, and a
.tgz), so its bytes lie in the file one behind another, at no place that a header names.
"""

import io
import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

import zstandard

from buildsys.elf.archives import TAR_BLOCK, is_tar
from buildsys.elf.decompress import ZSTD_WINDOW_BYTES
from buildsys.elf.image import ELF_MAGIC, LimitError
from buildsys.elf.window import Part, Window

# zstd (RFC 8878); gzip with method "deflate" and no reserved flag (RFC 1952).
_MAGIC: Final = re.compile(rb"\x28\xb5\x2f\xfd|\x1f\x8b\x08[\x00-\x1f]")
_GZIP: Final = b"\x1f"
_CHUNK_BYTES: Final = 8 << 20
_OVERLAP_BYTES: Final = 3
_INPUT_BYTES: Final = 64 << 10
# A program that embeds a web page has some thousands of small files in gzip.
_TRIES: Final = 100_000
_OUTPUT_BYTES: Final = 8 << 30  # of one gzip stream, while its end is looked for

_RLE_BLOCK, _RESERVED_BLOCK = 1, 3


def carried_in(file: BinaryIO, name: str) -> Iterator[Part]:
    """Find every zstd and gzip stream in a file that unpacks to a tar or an ELF file.

    Others, and bytes that only look like one, are passed over. A tar in zstd may be of several
    frames, so its part goes on to the file's end: it has an end mark of its own. Raises LimitError.
    """
    behind = tries = 0
    for at, magic in _places(file):
        if at < behind:  # stored as it is inside the last one
            continue
        tries += 1
        if tries > _TRIES:
            raise LimitError(name, f"holds more than {_TRIES} compressed streams")
        zipped = magic == _GZIP
        head = _gzip_head(file, at) if zipped else _zstd_head(file, at)
        if is_tar(head) or head.startswith(ELF_MAGIC):
            behind = _gzip_end(file, at, name) if zipped else _zstd_end(file, at)
            end = file.seek(0, 2) if is_tar(head) and not zipped else behind
            yield Part(f"{'gzip' if zipped else 'zstd'} at {at:#x}", at, end - at)


def _places(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Where a stream may begin, and the first byte there."""
    start = 0
    while True:
        file.seek(start)
        chunk = file.read(_CHUNK_BYTES + _OVERLAP_BYTES)
        for hit in _MAGIC.finditer(chunk):
            if hit.start() < _CHUNK_BYTES:
                yield start + hit.start(), hit.group()[:1]
        if len(chunk) <= _CHUNK_BYTES:
            return
        start += _CHUNK_BYTES


def _zstd_head(file: BinaryIO, at: int) -> bytes:
    size = file.seek(0, 2)
    unpack = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
    packed = io.BufferedReader(Window(file, at, size - at))
    try:
        with unpack.stream_reader(packed, read_size=_INPUT_BYTES) as stream:
            return stream.read(TAR_BLOCK)
    except zstandard.ZstdError:
        return b""


def _zstd_end(file: BinaryIO, at: int) -> int:
    """Where the frame ends, by the sizes of its blocks; the file's end if it is cut or broken."""
    size = file.seek(0, 2)
    file.seek(at)
    head = file.read(18)
    parameters = zstandard.get_frame_parameters(head)
    at += zstandard.frame_header_size(head)
    while True:
        file.seek(at)
        raw = file.read(3)
        word = int.from_bytes(raw, "little")
        kind, length = word >> 1 & 3, word >> 3
        if len(raw) < 3 or kind == _RESERVED_BLOCK:
            return size
        at += 3 + (1 if kind == _RLE_BLOCK else length)
        if word & 1:
            return min(size, at + 4 * parameters.has_checksum)


def _gzip_head(file: BinaryIO, at: int) -> bytes:
    file.seek(at)
    try:
        return zlib.decompressobj(31).decompress(file.read(_INPUT_BYTES), TAR_BLOCK)
    except zlib.error:
        return b""


def _gzip_end(file: BinaryIO, at: int, name: str) -> int:
    """Where the member ends, by unpacking it; the file's end if it is cut or broken."""
    size = file.seek(0, 2)
    unpack = zlib.decompressobj(31)
    left = _OUTPUT_BYTES
    while not unpack.eof and at < size:
        file.seek(at)
        packed = file.read(_INPUT_BYTES)
        at += len(packed)
        try:
            left -= len(unpack.decompress(packed))
        except zlib.error:
            return size
        if left < 0:
            raise LimitError(name, f"unpacks to more than {_OUTPUT_BYTES} bytes")
    return at - len(unpack.unused_data)
