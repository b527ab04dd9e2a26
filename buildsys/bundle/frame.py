"""Compressing a file once: the result is kept by the file's content.

A zstd frame may follow another, and so may a gzip member: what is made of several files is made of
several frames, and only the file that changed is compressed again.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import zstandard

from buildsys.cache import Cache, disk_errors
from buildsys.report import Timeline
from buildsys.run import workers

LEVEL = 19
"""zstd's level. 22 takes twice the time for half a percent."""

GZIP_LEVEL = 6
"""zlib's own default; 9 takes four times as long for half a percent."""

CHUNK = 1 << 20


@dataclass(frozen=True)
class Compressor:
    """Compresses for a decompression window of `window_mib` MiB."""

    cache: Cache
    timeline: Timeline
    window_mib: int

    def frames(self, files: Mapping[str, Path]) -> dict[str, Path]:
        """The zstd frame of each file, by the file's sha256; as many at a time as there are CPUs.

        The largest first, so that none is left for one CPU at the end.
        """
        order = sorted(files, key=lambda sha256: files[sha256].stat().st_size, reverse=True)
        # zstd itself parts only what is longer than its jobs: 128 MiB at this level and window.
        with workers(os.cpu_count() or 1) as pool:
            made = pool.map(lambda sha256: self.frame(files[sha256], sha256), order)
            return dict(zip(order, made, strict=True))

    def frame(self, path: Path, sha256: str) -> Path:
        """The zstd frame of the file at `path`, whose sha256 is known; made where none is good."""
        name = f"{sha256}-l{LEVEL}-w{self.window_mib}-{zstandard.backend}-{_library()}"
        return self._kept(name, path, sha256, self._zstd, _read_zstd)

    def gzip(self, path: Path, sha256: str) -> Path:
        """The gzip member of the file. Its bytes depend on the host's zlib, so its name does."""
        name = f"{sha256}-gzip{GZIP_LEVEL}-{zlib.ZLIB_RUNTIME_VERSION}"
        return self._kept(name, path, sha256, _gzip, _read_gzip)

    def small_frame(self, data: bytes) -> bytes:
        """The zstd frame of a few bytes, not kept."""
        return zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress(data)

    def small_gzip(self, data: bytes) -> bytes:
        """The gzip member of a few bytes, not kept."""
        return gzip.compress(data, GZIP_LEVEL, mtime=0)

    def _kept(
        self,
        name: str,
        path: Path,
        sha256: str,
        compress: Callable[[Path, BinaryIO], None],
        read: Callable[[BinaryIO], Iterator[bytes]],
    ) -> Path:
        place = self.cache.frames / name
        if _holds(place, sha256, read):
            # By this time `trim` knows what was used.
            os.utime(place)
            return place
        with self.cache.lock(f"frame-{name}"):
            if not _holds(place, sha256, read):
                begin = time.monotonic()
                self._write(path, place, compress)
                self.timeline.add("compress", path.name, begin)
        return place

    def _write(self, path: Path, place: Path, compress: Callable[[Path, BinaryIO], None]) -> None:
        temporary = place.with_name(f".{place.name}.tmp")
        with disk_errors(place, f"compressing {path.name}"):
            try:
                with temporary.open("wb") as out:
                    compress(path, out)
                    out.flush()
                    os.fsync(out.fileno())
                temporary.replace(place)
            finally:
                temporary.unlink(missing_ok=True)

    def _zstd(self, path: Path, out: BinaryIO) -> None:
        size = path.stat().st_size
        parameters = zstandard.ZstdCompressionParameters.from_level(
            LEVEL,
            source_size=size,
            window_log=(self.window_mib << 20).bit_length() - 1,
            enable_ldm=True,
            write_content_size=True,
            write_checksum=True,
            # The number of workers does not change the bytes, but none and some differ.
            threads=max(1, os.cpu_count() or 1),
        )
        compressor = zstandard.ZstdCompressor(compression_params=parameters)
        with path.open("rb") as source:
            compressor.copy_stream(source, out, size=size)


def _gzip(path: Path, out: BinaryIO) -> None:
    with (
        path.open("rb") as source,
        gzip.GzipFile("", "wb", GZIP_LEVEL, out, mtime=0) as member,
    ):
        while chunk := source.read(CHUNK):
            member.write(chunk)


def _read_zstd(file: BinaryIO) -> Iterator[bytes]:
    yield from zstandard.ZstdDecompressor().read_to_iter(file)


def _read_gzip(file: BinaryIO) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file) as member:
        while chunk := member.read(CHUNK):
            yield chunk


def _holds(place: Path, sha256: str, read: Callable[[BinaryIO], Iterator[bytes]]) -> bool:
    """Whether the file is there and unpacks to what it is named after."""
    total = hashlib.sha256()
    try:
        with place.open("rb") as file:
            for chunk in read(file):
                total.update(chunk)
    except (FileNotFoundError, EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError):
        return False
    return total.hexdigest() == sha256


def _library() -> str:
    return ".".join(str(part) for part in zstandard.ZSTD_VERSION)
