"""Compressing one file into one zstd frame, once: the frame is kept by the file's content."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

import zstandard

from buildsys.cache import Cache, disk_errors
from buildsys.report import Timeline

LEVEL = 19
"""zstd's level. 22 takes twice the time for half a percent (`invoke bench compression`)."""


@dataclass(frozen=True)
class Compressor:
    """Compresses for a decompression window of `window_mib` MiB."""

    cache: Cache
    timeline: Timeline
    window_mib: int

    def frame(self, path: Path, sha256: str) -> Path:
        """The frame of the file at `path`, whose sha256 is known; made where no good one is."""
        name = f"{sha256}-l{LEVEL}-w{self.window_mib}-{zstandard.backend}-{_library()}"
        place = self.cache.frames / name
        if _holds(place, sha256):
            return place
        with self.cache.lock(f"frame-{sha256}"):
            if not _holds(place, sha256):
                self._compress(path, place)
        return place

    def _compress(self, path: Path, place: Path) -> None:
        begin = time.monotonic()
        parameters = zstandard.ZstdCompressionParameters.from_level(
            LEVEL,
            source_size=path.stat().st_size,
            window_log=(self.window_mib << 20).bit_length() - 1,
            enable_ldm=True,
            write_content_size=True,
            write_checksum=True,
            # The number of workers does not change the bytes, but none and some differ.
            threads=max(1, os.cpu_count() or 1),
        )
        temporary = place.with_name(f".{place.name}.tmp")
        with disk_errors(place, f"compressing {path.name}"):
            try:
                compressor = zstandard.ZstdCompressor(compression_params=parameters)
                with path.open("rb") as source, temporary.open("wb") as out:
                    compressor.copy_stream(source, out, size=path.stat().st_size)
                    out.flush()
                    os.fsync(out.fileno())
                temporary.replace(place)
            finally:
                temporary.unlink(missing_ok=True)
        self.timeline.add("compress", path.name, begin)


def _holds(frame: Path, sha256: str) -> bool:
    """Whether the frame is there and unpacks to what it is named after."""
    total = hashlib.sha256()
    try:
        with frame.open("rb") as file:
            for chunk in zstandard.ZstdDecompressor().read_to_iter(file):
                total.update(chunk)
    except (FileNotFoundError, zstandard.ZstdError):
        return False
    return total.hexdigest() == sha256


def _library() -> str:
    return ".".join(str(part) for part in zstandard.ZSTD_VERSION)
