"""The audit of a file that somebody else built: read, never run, never unpacked to a disk."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from buildsys.bundle.layout import has_footer, manifest_in
from buildsys.cache import file_sha256
from buildsys.elf import (
    ELF_MAGIC,
    Bounds,
    Content,
    ElfError,
    Fit,
    Image,
    LimitError,
    Limits,
    Part,
    carried_in,
    contents_of,
    fit,
    unreadable,
)
from buildsys.errors import (
    CorruptError,
    NotBuiltError,
    NothingToJudgeError,
    UnsafeArchiveError,
)
from buildsys.model import Target
from buildsys.verify.platforms import DOCUMENT_BYTES, Documents, runs

SCHEMA = 1
"""Of the JSON: counted up when a field changes its meaning or goes."""

LIMITS = Limits(members=1_000_000, depth=8)
"""An image of an operating system holds some 100 000 files, in an archive, a layer, a package."""

_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})")


@dataclass(frozen=True)
class Foreign:
    """What was found in the file at `path`, judged for `target` with its image `platform`.

    `sha256` is None for a folder. `left_out` counts files of images for other platforms, where one
    is for this.
    """

    path: Path
    sha256: str | None
    target: str
    platform: str
    fits: tuple[Fit, ...]
    platforms: tuple[str, ...]
    left_out: int

    @property
    def passed(self) -> bool:
        """Whether there are ELF files and all of them run."""
        return bool(self.fits) and all(fit.result == "runs" for fit in self.fits)

    @property
    def odd_platforms(self) -> tuple[str, ...]:
        """Platforms that images name and the target is not, where none is for the target."""
        odd = tuple(p for p in self.platforms if not runs(p, self.platform))
        return odd if len(odd) == len(self.platforms) else ()

    @property
    def summary(self) -> str:
        """In one sentence."""
        refused, unknown = self._count("refused"), self._count("unknown")
        total = f"of {len(self.fits)} files"
        if not refused and not unknown:
            return f"runs on {self.target}, all {total}"
        parts = [f"would not run on {self.target}: {refused} {total}"] if refused else []
        parts += [f"not to be told for {self.target}: {unknown} {total}"] if unknown else []
        return "; ".join(parts)

    def as_json(self) -> dict[str, Any]:
        """As plain data; docs/audit.md names the fields."""
        return {
            "schema": SCHEMA,
            "kind": "foreign-audit",
            "file": self.path.name,
            "sha256": self.sha256,
            "against": self.target,
            "passed": self.passed,
            "executed": False,
            "files": len(self.fits),
            "refused": self._count("refused"),
            "unknown": self._count("unknown"),
            "left_out": self.left_out,
            "platforms": [{"name": p, "runs": runs(p, self.platform)} for p in self.platforms],
            "elves": [{**asdict(fit), "result": fit.result} for fit in self.fits],
        }

    def _count(self, result: str) -> int:
        return sum(fit.result == result for fit in self.fits)


def judge(path: Path, target: Target) -> Foreign:
    """Judge every ELF in `path`, however it is packed, by the bounds of `target`.

    Raises `NotBuiltError` if nothing is there, `NothingToJudgeError` if there is no ELF file in it,
    `CorruptError` if it is cut, `UnsafeArchiveError` if it unpacks to more than the limits.
    """
    try:
        if not (path.is_file() or path.is_dir()):
            if path.exists():
                raise NothingToJudgeError(
                    f"{path} is no plain file: a device, a pipe or a socket",
                    action="name a program, archive or image",
                )
            raise NotBuiltError(
                f"there is no file or folder {path}", action="name a program, archive or image"
            )
        sha256 = file_sha256(path) if path.is_file() else None
        fits, documents, seen = _read(path, target.elf.bounds())
    except LimitError as error:
        raise UnsafeArchiveError(
            f"{path} unpacks to too much: {error}",
            cause="it is a bomb, or larger than what this audit reads",
            action="do not unpack it; if you trust it, audit what is inside piece by piece",
        ) from error
    except ElfError as error:
        raise _corrupt(path, str(error)) from error
    except OSError as error:
        raise _corrupt(path, error.strerror or str(error)) from error
    platform = target.image.platform
    ours = tuple(_ours(fits, documents.left_out(platform)))
    if not ours:
        raise NothingToJudgeError(
            f"{path} holds no executable: nothing to judge",
            cause=f"{seen} files were read, and none of them is an ELF file",
            action="name a program, or an archive, package, image or folder that holds some",
        )
    left_out = len(fits) - len(ours)
    return Foreign(path, sha256, target.name, platform, ours, documents.platforms, left_out)


def _read(path: Path, bounds: Bounds) -> tuple[list[Fit], Documents, int]:
    """Every ELF file judged, every document of an image, and how many files there are."""
    fits: list[Fit] = []
    documents = Documents()
    seen = 0

    def broken(error: ElfError) -> None:
        fits.append(unreadable(error))

    for content in contents_of(path, LIMITS, _carried, broken):
        seen += 1
        if content.magic.startswith(ELF_MAGIC):
            fits += _fit(content, bounds)
        elif content.magic.startswith(b"{"):
            data = content.file.read(DOCUMENT_BYTES + 1)
            if len(data) <= DOCUMENT_BYTES:
                documents.add(data)
    return fits, documents, seen


def _fit(content: Content, bounds: Bounds) -> list[Fit]:
    try:
        found = fit(Image(content.file, content.name), bounds)
    except ElfError as error:
        return [unreadable(error)]
    return [found] if found else []


def _carried(file: BinaryIO, name: str) -> Iterable[Part]:
    """What a program holds in itself: by its manifest if it is ours, else by looking for it."""
    if not has_footer(file):
        return carried_in(file, name)
    try:
        manifest = manifest_in(file, name)
    except CorruptError as error:
        raise ElfError(name, error.what.removeprefix(f"{name}: ")) from error
    return [
        *(Part(entry.path, entry.offset, entry.length) for entry in manifest.files),
        *(Part(image.name, image.offset, image.length) for image in manifest.images),
    ]


def _ours(fits: Iterable[Fit], left_out: frozenset[str]) -> Iterable[Fit]:
    for one in fits:
        blob = _BLOB.search(one.name)
        if blob is None or blob[1] not in left_out:
            yield one


def _corrupt(path: Path, reason: str) -> CorruptError:
    return CorruptError(
        f"{path} cannot be read: {reason}",
        cause="it is cut, changed, or not for you to read",
        action="get it again and compare its checksum with the one beside its download",
    )
