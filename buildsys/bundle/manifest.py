"""The manifest of an executable: what the launcher is told, and its text. Pure.

`buildsys/bundle/layout.py` has the format, line by line.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

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
    what is set where the user chose nothing. A `draft` was compressed quickly: its version says so.
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
    draft: bool = False

    @property
    def data(self) -> str:
        """Name of the data directory: sha256 over what is in it, wherever the frames lie.

        Images and defaults are not in it, so an executable with others shares it.
        """
        lines = [f"file {f.mode:04o} {f.size} {f.sha256} {f.path}" for f in self.files]
        lines += [f"link {path} {text}" for path, text in sorted(self.links.items())]
        return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()

    @property
    def said(self) -> str:
        """What `k3s --version` prints, without its last line break."""
        draft = " draft" if self.draft else ""
        return f"k3s version {self.version} ({self.commit}){draft}\ngo version {self.go}"

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
            *(["draft yes"] if self.draft else []),
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


def decode(text: str) -> Manifest:
    """What `Manifest.encode` wrote. Raises ValueError and KeyError for anything else."""
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
        _draft(heads),
    )
    if manifest.data != heads["data"]:
        raise ValueError("its data hash is not that of its lines")
    return manifest


def _draft(heads: Mapping[str, str]) -> bool:
    if heads.get("draft", "yes") != "yes":
        raise ValueError(f"{heads['draft']!r} is no answer to whether it is a draft")
    return "draft" in heads


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
