"""A release of small programs, laid out as `invoke release` does, and a server that can break it.

Each program is an ELF for its target to whoever reads the header, and a script to a shell.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from buildsys.app import ROOT
from buildsys.load import load_project
from buildsys.model import Target
from buildsys.model.release import ReleaseTable
from buildsys.release.channels import PATH, moved
from buildsys.release.checksums import listing
from buildsys.release.notes import release_record
from buildsys.release.version import Tag

from .server import Answer, Request

K3S = "v1.35.0+k3s-04e8f1b5"
TAG = Tag(f"{K3S}.1")
NEXT = Tag(f"{K3S}.2")

MACHINES = {"armv6": 40, "armv7": 40, "arm64": 183, "amd64": 62, "386": 3, "riscv64": 243}
"""e_machine of each target (System V gABI and the registry that it names)."""

UNAMES = {"armv6": "armv6l", "armv7": "armv7l", "arm64": "aarch64", "amd64": "x86_64"}


def program(target: str, says: str, padding: int = 40_000) -> bytes:
    """An ELF header of the target; then, for a shell that takes it for a script, `says`.

    The kernel refuses it, since it has no segments; so a shell runs it as POSIX demands.
    """
    wide = target in ("arm64", "amd64", "riscv64")
    head = struct.pack("<4s3B", b"\x7fELF", 2 if wide else 1, 1, 1) + b"\n#".ljust(9, b".")
    head += struct.pack("<HHI", 2, MACHINES[target], 1)
    head += struct.pack("<QQQI" if wide else "<IIII", 0, 0, 0, 0x05000200 if "arm" in target else 0)
    head += struct.pack("<6H", 64 if wide else 52, 0, 0, 0, 0, 0)
    script = f"\necho '{says}'\necho 'go version go1.25.5'\nexit 0\n"
    return head + script.encode() + b"#" * padding + b"\n"


def version(target: str, tag: Tag = TAG) -> str:
    """What the program of a target says; the last word is not the release's."""
    return f"k3s version {K3S} ({target}, {tag.text})"


def made_target(name: str) -> Target:
    """A target of that name, from that of ARMv6."""
    model = load_project(ROOT).targets["armv6"]
    assert model.release
    platforms = {"armv6": "linux/arm/v6", "armv7": "linux/arm/v7"}
    uname = UNAMES.get(name, "i686" if name == "386" else name)
    table = ReleaseTable(verdicts=("audit",), uname=(uname,))
    image = model.image.model_copy(update={"platform": platforms.get(name, f"linux/{name}")})
    return model.model_copy(update={"name": name, "image": image, "release": table})


@dataclass
class Published:
    """A place under `root`, in which releases are laid out; `programs` are by target."""

    root: Path

    def flat(self, tag: Tag = TAG) -> Path:
        return self.root / f"download/{tag}"

    def release(
        self,
        tag: Tag = TAG,
        *targets: str,
        programs: Mapping[str, bytes] | None = None,
        extra: Mapping[str, bytes] | None = None,
    ) -> None:
        """Lay out a release and move the channels to it."""
        contents = {
            name: program(name, version(name, tag)) for name in targets or tuple(MACHINES)
        } | dict(programs or {})
        files = {f"k3s-{name}": data for name, data in contents.items()}
        files |= dict(extra or {})
        records = {
            name: {
                "version": K3S,
                "go": "go1.25.5",
                "sha256": hashlib.sha256(data).hexdigest(),
                "size": len(data),
            }
            for name, data in contents.items()
        }
        made = [made_target(name) for name in contents]
        known = {n: (hashlib.sha256(d).hexdigest(), len(d)) for n, d in files.items()}
        record = release_record(tag, "c" * 40, made, records, {t.name: {} for t in made}, known)
        files["release.json"] = (json.dumps(record, indent=1) + "\n").encode()
        sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        files["sha256sums.txt"] = listing(sorted(sums), sums)
        self.flat(tag).mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (self.flat(tag) / name).write_bytes(data)
        channels = self.root / PATH
        channels.parent.mkdir(parents=True, exist_ok=True)
        before = channels.read_bytes() if channels.is_file() else None
        channels.write_bytes(moved(before, ("stable", "latest"), tag))


@dataclass
class Site:
    """Serves a place as a web server does: ranges, validators, redirects of its own."""

    root: Path
    ranges: bool = True
    served: list[tuple[str, int]] = field(default_factory=list)
    """Path and first byte of all that was sent."""

    def answer(self, request: Request) -> Answer:
        path = self.root / unquote(request.path).lstrip("/")
        if not path.is_file():
            return Answer(404, b"<html>not here</html>", {"Content-Type": "text/html"})
        data = path.read_bytes()
        tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        headers = {"ETag": tag, "Accept-Ranges": "bytes"} if self.ranges else {}
        begin = self._begin(request, tag)
        if begin >= len(data) > 0:
            return Answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        self.served.append((unquote(request.path), begin))
        if not begin:
            return Answer(200, data, headers)
        span = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        return Answer(206, data[begin:], {**headers, "Content-Range": span})

    def _begin(self, request: Request, tag: str) -> int:
        sent = {name.lower(): value for name, value in request.headers.items()}
        span = sent.get("range", "")
        if not self.ranges or not span.startswith("bytes=") or sent.get("if-range", tag) != tag:
            return 0
        return int(span.removeprefix("bytes=").partition("-")[0])


def cut(data: bytes, after: int, **headers: str) -> Answer:
    """An answer whose connection breaks after so many bytes."""
    length = {"Content-Length": str(len(data)), "Connection": "close"}
    return Answer(200, data[:after], {**length, **headers})
