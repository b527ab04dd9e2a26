"""The executable's format: launcher | frames | manifest | footer.

Frames are zstd frames, one per file. The manifest is text, one file or link per line; the launcher
(`recipes/launcher`) reads the same format. The footer, little endian, 64 bytes: magic, format
version, payload kind, manifest offset, manifest length, sha256 of the manifest.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from buildsys.errors import CorruptError

MAGIC = b"K3SBNDL\0"
FORMAT_VERSION = 1
KIND_FRAMES = 1
"""Payload kind: zstd frames to unpack. A payload that is mounted would be another kind."""

FOOTER = struct.Struct("<8sIIQQ32s")


@dataclass(frozen=True)
class Entry:
    """A file: its mode, size and sha256, and its frame's place in the executable, in bytes."""

    path: str
    mode: int
    size: int
    sha256: str
    offset: int = 0
    length: int = 0


@dataclass(frozen=True)
class Manifest:
    """What the launcher is told. `links` maps a path to its symlink's text."""

    target: str
    version: str
    commit: str
    go: str
    cpu: str
    files: tuple[Entry, ...]
    links: dict[str, str]

    @property
    def data(self) -> str:
        """Name of the data directory: sha256 over what is in it, wherever the frames lie."""
        lines = [f"file {f.mode:04o} {f.size} {f.sha256} {f.path}" for f in self.files]
        lines += [f"link {path} {text}" for path, text in sorted(self.links.items())]
        return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()

    def at(self, places: Iterable[tuple[int, int]]) -> Manifest:
        """The manifest with each file's frame at (offset, length)."""
        files = (
            replace(file, offset=offset, length=length)
            for file, (offset, length) in zip(self.files, places, strict=True)
        )
        return replace(self, files=tuple(files))

    def encode(self) -> bytes:
        """As text."""
        lines = [
            "k3s-bundle 1",
            f"target {self.target}",
            f"version {self.version}",
            f"commit {self.commit}",
            f"go {self.go}",
            f"cpu {self.cpu}",
            f"data {self.data}",
            *(
                f"file {f.mode:04o} {f.size} {f.sha256} {f.offset} {f.length} {f.path}"
                for f in self.files
            ),
            *(f"link {path} {text}" for path, text in sorted(self.links.items())),
            "end",
        ]
        return "".join(f"{line}\n" for line in lines).encode()


def footer(manifest: bytes, offset: int) -> bytes:
    """The footer for a manifest that lies at `offset`."""
    sha = hashlib.sha256(manifest).digest()
    return FOOTER.pack(MAGIC, FORMAT_VERSION, KIND_FRAMES, offset, len(manifest), sha)


def assemble(out: BinaryIO, launcher: Path, manifest: Manifest, frames: Iterable[Path]) -> Manifest:
    """Write a whole executable to `out`; `frames` are in the order of the manifest's files.

    Returns the manifest with the frames' places.
    """
    out.write(launcher.read_bytes())
    places = []
    for frame in frames:
        places.append((out.tell(), frame.stat().st_size))
        with frame.open("rb") as source:
            shutil.copyfileobj(source, out)
    placed = manifest.at(places)
    text = placed.encode()
    out.write(text + footer(text, out.tell()))
    return placed


def read_manifest(executable: Path) -> Manifest:
    """The manifest of an executable. Raises `CorruptError`."""
    with executable.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - FOOTER.size))
        raw = file.read()
        if len(raw) != FOOTER.size or not raw.startswith(MAGIC):
            raise _corrupt(executable, "it has no footer: cut, or no executable of this project")
        _, version, kind, offset, length, sha = FOOTER.unpack(raw)
        if (version, kind) != (FORMAT_VERSION, KIND_FRAMES):
            raise _corrupt(executable, f"format {version}, payload kind {kind} is not known")
        if offset + length + FOOTER.size != size:
            raise _corrupt(executable, "its manifest is not where the footer says")
        file.seek(offset)
        text = file.read(length)
    if hashlib.sha256(text).digest() != sha:
        raise _corrupt(executable, "its manifest is changed")
    try:
        return _decode(text.decode())
    except (ValueError, KeyError, UnicodeDecodeError) as error:
        raise _corrupt(executable, f"its manifest cannot be read: {error}") from error


def _decode(text: str) -> Manifest:
    heads: dict[str, str] = {}
    files: list[Entry] = []
    links: dict[str, str] = {}
    lines = text.splitlines()
    if lines[:1] != ["k3s-bundle 1"] or lines[-1:] != ["end"]:
        raise ValueError("it is cut or of another version")
    for line in lines:
        kind, *fields = line.split(" ")
        if kind == "file":
            mode, size, sha, offset, length, path = fields
            inner = _inner(path)
            files.append(Entry(inner, int(mode, 8), int(size), sha, int(offset), int(length)))
        elif kind == "link":
            path, target = fields
            links[_inner(path)] = target
        else:
            heads[kind] = " ".join(fields)
    manifest = Manifest(
        heads["target"],
        heads["version"],
        heads["commit"],
        heads["go"],
        heads["cpu"],
        tuple(files),
        links,
    )
    if manifest.data != heads["data"]:
        raise ValueError("its data hash is not that of its lines")
    return manifest


def _inner(path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or pure.parts[:1] not in (("bin",), ("etc",)):
        raise ValueError(f"path {path!r} leaves bin/ and etc/")
    return path


def _corrupt(executable: Path, what: str) -> CorruptError:
    return CorruptError(
        f"{executable}: {what}",
        cause="the file is truncated, changed, or not ours",
        action="build or download it again",
    )


def frames(executable: Path, manifest: Manifest) -> Iterator[tuple[Entry, bytes]]:
    """Each file of the executable with its compressed frame."""
    with executable.open("rb") as opened:
        for file in manifest.files:
            opened.seek(file.offset)
            yield file, opened.read(file.length)
