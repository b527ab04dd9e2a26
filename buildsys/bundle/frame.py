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
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import zstandard

from buildsys.cache import Cache, disk_errors
from buildsys.report import Timeline

CHUNK = 1 << 20

PART_MIB = 32
"""What one thread compresses of a larger file. zstd's own choice at level 19 is 128 MiB, so that
k3s had two threads at most."""


@dataclass(frozen=True)
class Effort:
    """Levels of zstd and of zlib."""

    zstd: int
    gzip: int


RELEASE = Effort(19, 6)
"""zstd's 22 takes twice the time for half a percent, zlib's 9 four times as long."""

DRAFT = Effort(12, 1)
"""k3s in 6.5 s of CPU and not 72, with 47.7 MiB and not 41.8."""


@dataclass(frozen=True)
class Compressor:
    """Compresses for a decompression window of `window_mib` MiB."""

    cache: Cache
    timeline: Timeline
    window_mib: int
    effort: Effort = RELEASE
    shown: Callable[[str], AbstractContextManager[object]] = nullcontext
    """Surrounds each compression, by the file's name."""

    def frame(self, path: Path, sha256: str, threads: int = 1) -> Path:
        """The zstd frame of the file at `path`, whose sha256 is known; made where none is good.

        So many threads at most; their number does not change the bytes.
        """
        name = (
            f"{sha256}-l{self.effort.zstd}-w{self.window_mib}-p{PART_MIB}"
            f"-{zstandard.backend}-{_library()}"
        )

        def compress(source: BinaryIO, out: BinaryIO) -> float:
            return self._zstd(source, out, threads)

        return self._kept(name, path, sha256, compress, _read_zstd)

    def gzip(self, path: Path, sha256: str) -> Path:
        """The gzip member of the file. Its bytes depend on the host's zlib, so its name does."""
        level = self.effort.gzip
        name = f"{sha256}-gzip{level}-{zlib.ZLIB_RUNTIME_VERSION}"

        def compress(source: BinaryIO, out: BinaryIO) -> float:
            return _gzip(source, out, level)

        return self._kept(name, path, sha256, compress, _read_gzip)

    def small_frame(self, data: bytes) -> bytes:
        """The zstd frame of a few bytes, not kept."""
        compressor = zstandard.ZstdCompressor(level=self.effort.zstd, write_checksum=True)
        return compressor.compress(data)

    def small_gzip(self, data: bytes) -> bytes:
        """The gzip member of a few bytes, not kept."""
        return gzip.compress(data, self.effort.gzip, mtime=0)

    def _kept(
        self,
        name: str,
        path: Path,
        sha256: str,
        compress: Callable[[BinaryIO, BinaryIO], float],
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
                with self.shown(path.name):
                    cpu = self._write(path, place, compress)
                self.timeline.add("compress", path.name, begin, cpu)
        return place

    def _write(
        self, path: Path, place: Path, compress: Callable[[BinaryIO, BinaryIO], float]
    ) -> float:
        with (
            disk_errors(place, f"compressing {path.name}"),
            # What a kill leaves there is swept.
            self.cache.scratch(f"frame-{place.name[:12]}") as folder,
        ):
            temporary = folder / "frame"
            with path.open("rb") as source, temporary.open("wb") as out:
                cpu = compress(source, out)
                out.flush()
                os.fsync(out.fileno())
            temporary.replace(place)
            return cpu

    def _zstd(self, source: BinaryIO, out: BinaryIO, threads: int) -> float:
        """Compress; CPU seconds of all threads."""
        size = os.fstat(source.fileno()).st_size
        parameters = zstandard.ZstdCompressionParameters.from_level(
            self.effort.zstd,
            source_size=size,
            window_log=(self.window_mib << 20).bit_length() - 1,
            enable_ldm=True,
            write_content_size=True,
            write_checksum=True,
            # The number of workers does not change the bytes, but none and some differ.
            threads=max(1, min(threads, -(-size // (PART_MIB << 20)))),
            job_size=PART_MIB << 20,
        )
        compressor = zstandard.ZstdCompressor(compression_params=parameters)
        begin = time.thread_time()
        with _named_thread() as name:
            compressor.copy_stream(source, out, size=size)
            return time.thread_time() - begin + _cpu_of_others(name)


@contextmanager
def _named_thread() -> Iterator[str]:
    """Give this thread a name of its own, which the threads that it starts inherit (clone(2))."""
    place = Path("/proc/thread-self/comm")
    before, name = place.read_text(), f"zstd-{uuid4().hex[:8]}"
    place.write_text(name)
    try:
        yield name
    finally:
        place.write_text(before.rstrip("\n"))


def _cpu_of_others(name: str) -> float:
    """CPU seconds of the other threads of that name: zstd's are its own, and tell nobody."""
    # As /proc counts it, which may be mounted for another PID namespace than this one.
    ticks, own = 0, Path("/proc/thread-self").readlink().name
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            if task.name != own and (task / "comm").read_text().rstrip("\n") == name:
                # proc(5): utime and stime are fields 14 and 15, the last two behind the name.
                fields = (task / "stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _gzip(source: BinaryIO, out: BinaryIO, level: int) -> float:
    """Compress; CPU seconds."""
    begin = time.thread_time()
    with gzip.GzipFile("", "wb", level, out, mtime=0) as member:
        while chunk := source.read(CHUNK):
            member.write(chunk)
    return time.thread_time() - begin


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
