"""The executable's format: launcher | frames | images | manifest | footer.

Frames are zstd frames, one per file; images are whole .tar.zst archives, placed as they are. The
footer, little endian, 64 bytes: magic, format version, payload kind, manifest offset, manifest
length, sha256 of the manifest. The manifest is text, which the launcher (`recipes/launcher`) reads
as well. Its lines, in this order; offsets and lengths are places in the executable, in bytes:

    k3s-bundle 1
    target NAME, version TEXT, commit HEX, go TEXT, cpu NAME    (a line for each)
    draft yes                       only where it was compressed quickly; `k3s --version` says so
    data SHA256
    default COMMANDS BELOW-MIB KIND NAME=VALUE WHY      what is set where the user chose nothing
    without COMPONENT                                   what the server is told not to deploy
    image LENGTH SHA256 OFFSET FILE-NAME                sha256 over the archive's own bytes
    file MODE SIZE SHA256 OFFSET LENGTH PATH            size and sha256 of what the frame holds
    link PATH TEXT
    end

A default is for `server`, `agent` or `server,agent`, on a machine with less memory than BELOW-MIB.
Its KIND is `env` (a variable) or `flag`.

A launcher sees by the line behind `data` whether there are defaults, images or components left out,
and refuses an executable that has their lines somewhere else.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import zstandard

from buildsys.bundle.manifest import Entry, Manifest, decode
from buildsys.errors import CorruptError

MAGIC = b"K3SBNDL\0"
FORMAT_VERSION = 1
KIND_FRAMES = 1
"""Payload kind: zstd frames to unpack. A payload that is mounted would be another kind."""

FOOTER = struct.Struct("<8sIIQQ32s")


def footer(manifest: bytes, offset: int) -> bytes:
    """The footer for a manifest that lies at `offset`."""
    sha = hashlib.sha256(manifest).digest()
    return FOOTER.pack(MAGIC, FORMAT_VERSION, KIND_FRAMES, offset, len(manifest), sha)


def assemble(
    out: BinaryIO,
    launcher: Path,
    manifest: Manifest,
    frames: Iterable[Path],
    images: Iterable[Path] = (),
) -> Manifest:
    """Write a whole executable to `out`.

    `frames` are in the order of the manifest's files, `images` in that of its images. Returns the
    manifest with their places.
    """
    out.write(launcher.read_bytes())
    of_frames = [_append(out, path) for path in frames]
    placed = manifest.at(of_frames, [_append(out, path) for path in images])
    text = placed.encode()
    out.write(text + footer(text, out.tell()))
    return placed


def _append(out: BinaryIO, path: Path) -> tuple[int, int]:
    place = (out.tell(), path.stat().st_size)
    with path.open("rb") as source:
        shutil.copyfileobj(source, out)
    return place


def read_manifest(executable: Path) -> Manifest:
    """The manifest of an executable. Raises `CorruptError`."""
    with executable.open("rb") as file:
        return manifest_in(file, executable)


def is_draft(executable: Path) -> bool:
    """Whether it is an executable of this project that says so."""
    try:
        return read_manifest(executable).draft
    except CorruptError:
        return False


def has_footer(file: BinaryIO) -> bool:
    """Whether the open file ends as an executable of this project does."""
    return _footer_of(file).startswith(MAGIC)


def _footer_of(file: BinaryIO) -> bytes:
    size = file.seek(0, 2)
    file.seek(max(0, size - FOOTER.size))
    raw = file.read()
    return raw if len(raw) == FOOTER.size else b""


def manifest_in(file: BinaryIO, executable: Path | str) -> Manifest:
    """The manifest of an open executable, which messages call by `executable`.

    Raises `CorruptError`.
    """
    raw = _footer_of(file)
    size = file.tell()
    if not raw.startswith(MAGIC):
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
        return decode(text.decode())
    except (ValueError, KeyError, UnicodeDecodeError) as error:
        raise _corrupt(executable, f"its manifest cannot be read: {error}") from error


def _corrupt(executable: Path | str, what: str) -> CorruptError:
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


def content(executable: Path, entry: Entry, frame: bytes) -> bytes:
    """What a file's frame holds. Raises `CorruptError` unless it has the file's size and sha256."""
    try:
        data = zstandard.ZstdDecompressor().decompress(frame, max_output_size=entry.size)
    except zstandard.ZstdError as error:
        data = b""
        cause = str(error)
    else:
        cause = "another sha256"
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise CorruptError(
            f"{executable}: {entry.path} is damaged",
            cause=cause,
            action="build or download the executable again",
        )
    return data
