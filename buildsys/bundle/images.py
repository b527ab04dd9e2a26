"""The images of one target: their layers, the airgap archives, and what the executable embeds."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Protocol

import zstandard

from buildsys.bundle.frame import Compressor
from buildsys.cache import disk_errors, file_sha256
from buildsys.check import elf_problems
from buildsys.errors import CheckError, DiskFullError
from buildsys.image import Archive, Image, Layer, archive_of, image_of
from buildsys.image.layer import entries_of, write_layer
from buildsys.model import Recipe, Target
from buildsys.model.recipe import EPOCH
from buildsys.store import Artifact

SPARE_BYTES = 64 << 20
"""Left free on the disk when the space for images is judged."""

PACKING_LEVEL = 1
"""zstd's level for what is compressed already: 19 took 1.4 s of CPU for 0.1 % of 4.6 MB, 1 takes
2 ms."""

DATE = int(EPOCH.timestamp())
"""The archive's own members have no date of a source."""


class Writable(Protocol):
    """What bytes can be written to."""

    def write(self, data: bytes, /) -> int:
        """Write all of them."""


@dataclass(frozen=True)
class MadeImage:
    """An image and its layer, as a zstd frame and as a gzip member."""

    image: Image
    frame: Path
    member: Path


@dataclass(frozen=True)
class ImageMaker:
    """Makes images of one target."""

    target: Target
    compressor: Compressor

    def make(self, recipe: Recipe, artifact: Artifact, scratch: Path, threads: int) -> MadeImage:
        """The image of an artifact; its layer lies in the folder `scratch` until it is compressed.

        Raises `CheckError` for code of another platform, `DiskFullError` before anything is
        written.
        """
        doing = f"making the image {recipe.name} of {self.target.name}"
        demand_space(scratch, sum(file.size for file in artifact.files), doing)
        with disk_errors(scratch, doing):
            path = scratch / f"{recipe.name}.tar"
            layer = self._lay(recipe, artifact, path)
            return MadeImage(
                image_of(recipe, self.target.image.platform, layer),
                self.compressor.frame(path, layer.sha256, threads),
                self.compressor.gzip(path, layer.sha256),
            )

    def _lay(self, recipe: Recipe, artifact: Artifact, path: Path) -> Layer:
        begin = time.monotonic()
        assert recipe.image
        demand_platform(artifact, self.target)
        files = artifact.folder / "files"
        entries = entries_of(artifact.files, files, recipe.image.folders)
        write_layer(entries, path, int(recipe.date.timestamp()))
        self.compressor.timeline.add("layer", recipe.name, begin)
        return Layer(file_sha256(path), path.stat().st_size)

    def zstd(self, images: Sequence[MadeImage]) -> list[bytes | Path]:
        """The parts of `images` as one .tar.zst."""
        frames = {made.image.layer.sha256: made.frame for made in images}
        small = self.compressor.small_frame
        return list(_parts(_archive(images), small, lambda sha256: frames[sha256]))

    def pack(self, made: MadeImage, out: BinaryIO) -> None:
        """Write one image as a .tar.zst whose layer stays compressed when it is imported.

        An import reads, hashes and stores each layer as it finds it: of a plain one three to four
        times the bytes, which takes an ARM11 as much longer and as much of its SD card.
        """
        layer = Layer(file_sha256(made.frame), made.frame.stat().st_size, zstd=True)
        archive = archive_of([replace(made.image, layer=layer)], DATE)
        compressor = zstandard.ZstdCompressor(level=PACKING_LEVEL, write_checksum=True)
        with compressor.stream_writer(out, closefd=False) as packed:
            write_parts((p if isinstance(p, bytes) else made.frame for p in archive.pieces), packed)

    def gzip(self, images: Sequence[MadeImage]) -> list[bytes | Path]:
        """The parts of `images` as one .tar.gz."""
        members = {made.image.layer.sha256: made.member for made in images}
        small = self.compressor.small_gzip
        return list(_parts(_archive(images), small, lambda sha256: members[sha256]))


def demand_platform(artifact: Artifact, target: Target) -> None:
    """Raise `CheckError` where an image's files cannot run on the platform that it will name."""
    _, problems = elf_problems(artifact.folder / "files", target.elf.bounds())
    if problems:
        raise CheckError(
            f"the image of {artifact.recipe} would say {target.image.platform}, but:\n"
            + "\n".join(f"  {line}" for line in problems),
            cause="its artifact was made for another target",
            action=f"build {artifact.recipe} for {target.name} again",
        )


def demand_space(folder: Path, needed: int, doing: str) -> None:
    """Raise `DiskFullError` where `needed` bytes do not fit, before anything is written."""
    if shutil.disk_usage(folder).free < needed + SPARE_BYTES:
        raise DiskFullError(folder, f"{doing}, which takes {needed / (1 << 20):.0f} MiB")


def size_of(parts: Iterable[bytes | Path]) -> int:
    """How many bytes the parts make."""
    return sum(len(p) if isinstance(p, bytes) else p.stat().st_size for p in parts)


def write_parts(parts: Iterable[bytes | Path], out: Writable) -> None:
    """Write the parts one after the other."""
    for part in parts:
        if isinstance(part, bytes):
            out.write(part)
        else:
            with part.open("rb") as source:
                shutil.copyfileobj(source, out)


def _archive(images: Sequence[MadeImage]) -> Archive:
    return archive_of([made.image for made in images], DATE)


def _parts(
    archive: Archive, small: Callable[[bytes], bytes], layer: Callable[[str], Path]
) -> Iterator[bytes | Path]:
    """The archive compressed piece by piece; `layer` gives the file of a layer's sha256."""
    for piece in archive.pieces:
        yield small(piece) if isinstance(piece, bytes) else layer(piece.sha256)
