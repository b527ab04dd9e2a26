"""The executable's format: launcher | frames | images | manifest | footer.

Frames are zstd frames, one per file; images are whole .tar.zst archives, placed as they are. The
footer, little endian, 64 bytes: magic, format version, payload kind, manifest offset, manifest
length, sha256 of the manifest. The manifest is text, which the launcher (`recipes/launcher`) reads
as well. Its lines, in this order; offsets and lengths are places in the executable, in bytes:

    k3s-bundle 1
    target NAME, version TEXT, commit HEX, go TEXT, cpu NAME, data SHA256    (a line for each)
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
import re
import shutil
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import zstandard

from buildsys.errors import CorruptError

MAGIC = b"K3SBNDL\0"
FORMAT_VERSION = 1
KIND_FRAMES = 1
"""Payload kind: zstd frames to unpack. A payload that is mounted would be another kind."""

FOOTER = struct.Struct("<8sIIQQ32s")

ARCHIVE_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,119}\.tar\.zst")
"""Of an image: a plain file name, no longer than the launcher takes, that k3s imports."""

COMPONENT = re.compile(r"[a-z0-9-]{1,64}")

DEFAULT_LINE = re.compile(
    r"(?P<commands>server|agent|server,agent) (?P<below>[0-9]+) "
    r"(env (?P<variable>[A-Z0-9_]{1,64})|flag (?P<flag>[a-z0-9-]{1,64}))"
    r"=(?P<value>[!#-\[\]-~]{1,500}) (?P<why>[ !#-\[\]-~]+)"
)
"""Behind the word `default`. No quote and no backslash: the launcher prints it as JSON."""

IMAGES_MAX = 64


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
class Embedded:
    """An image archive that the executable carries as it is: length and place in bytes."""

    name: str
    length: int
    sha256: str
    offset: int = 0


@dataclass(frozen=True)
class Default:
    """A variable or flag for the start of `commands` with less memory than `below_mib` MiB.

    `kind` is one of the words of the manifest.
    """

    commands: str
    below_mib: int
    kind: str
    name: str
    value: str
    why: str

    @property
    def line(self) -> str:
        """As text, behind the word `default`."""
        return f"{self.commands} {self.below_mib} {self.kind} {self.name}={self.value} {self.why}"


@dataclass(frozen=True)
class Manifest:
    """What the launcher is told. `links` maps a path to its symlink's text.

    `without` names the packaged components of k3s that a server is told not to deploy, `defaults`
    what is set where the user chose nothing.
    """

    target: str
    version: str
    commit: str
    go: str
    cpu: str
    files: tuple[Entry, ...]
    links: dict[str, str]
    images: tuple[Embedded, ...] = ()
    without: tuple[str, ...] = ()
    defaults: tuple[Default, ...] = ()

    @property
    def data(self) -> str:
        """Name of the data directory: sha256 over what is in it, wherever the frames lie.

        Images and defaults are not in it, so an executable with others shares it.
        """
        lines = [f"file {f.mode:04o} {f.size} {f.sha256} {f.path}" for f in self.files]
        lines += [f"link {path} {text}" for path, text in sorted(self.links.items())]
        return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()

    def at(self, frames: Iterable[tuple[int, int]], images: Iterable[tuple[int, int]]) -> Manifest:
        """The manifest with each file's frame and each image at (offset, length)."""
        files = (
            replace(file, offset=offset, length=length)
            for file, (offset, length) in zip(self.files, frames, strict=True)
        )
        embedded = (
            replace(image, offset=offset, length=length)
            for image, (offset, length) in zip(self.images, images, strict=True)
        )
        return replace(self, files=tuple(files), images=tuple(embedded))

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
            *(f"default {default.line}" for default in self.defaults),
            *(f"without {component}" for component in self.without),
            *(f"image {i.length} {i.sha256} {i.offset} {i.name}" for i in self.images),
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
        return _decode(text.decode())
    except (ValueError, KeyError, UnicodeDecodeError) as error:
        raise _corrupt(executable, f"its manifest cannot be read: {error}") from error


def _decode(text: str) -> Manifest:
    heads: dict[str, str] = {}
    files: list[Entry] = []
    links: dict[str, str] = {}
    images: list[Embedded] = []
    without: list[str] = []
    defaults: list[Default] = []
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
        elif kind == "image":
            images.append(_embedded(*fields))
        elif kind == "without":
            (component,) = fields
            without.append(_component(component))
        elif kind == "default":
            defaults.append(_default(line.removeprefix("default ")))
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
        _distinct(images),
        tuple(without),
        tuple(defaults),
    )
    if manifest.data != heads["data"]:
        raise ValueError("its data hash is not that of its lines")
    return manifest


def _inner(path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or pure.parts[:1] not in (("bin",), ("etc",)):
        raise ValueError(f"path {path!r} leaves bin/ and etc/")
    return path


def _embedded(*fields: str) -> Embedded:
    length, sha, offset, name = fields
    if not ARCHIVE_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of an image archive")
    return Embedded(name, int(length), sha, int(offset))


def _distinct(images: list[Embedded]) -> tuple[Embedded, ...]:
    if len({image.name for image in images}) < len(images):
        raise ValueError("it names an image twice")
    if len(images) > IMAGES_MAX:
        raise ValueError(f"it has more than {IMAGES_MAX} images")
    return tuple(images)


def _component(name: str) -> str:
    if not COMPONENT.fullmatch(name):
        raise ValueError(f"{name!r} is no component's name")
    return name


def _default(line: str) -> Default:
    found = DEFAULT_LINE.fullmatch(line)
    if not found:
        raise ValueError(f"{line!r} is no default")
    commands, below, value, why = found.group("commands", "below", "value", "why")
    if found["flag"]:
        return Default(commands, int(below), "flag", found["flag"], value, why)
    return Default(commands, int(below), "env", found["variable"], value, why)


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
