"""The verb: from what was asked to files in a folder, the executable last."""

from __future__ import annotations

import platform
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from buildsys.app import App
from buildsys.cache import write_atomic
from buildsys.download.choose import Host, choose
from buildsys.download.mine import demand_room
from buildsys.download.place import Place
from buildsys.download.record import Listed, Offered, Record, read_record
from buildsys.elf import ElfError, read_facts
from buildsys.errors import CheckError, CommandError, FetchError, UnknownNameError
from buildsys.release.look import Checkout
from buildsys.release.plan import INSTALLER, RECORD, SUMS

_GITHUB = re.compile(r"github\.com[:/](?P<name>[\w.-]+/[\w.-]+?)(\.git)?/?")

_MACHINES = {
    "386": "386",
    "amd64": "x86_64",
    "arm": "arm",
    "arm64": "aarch64",
    "ppc64le": "ppc64",
    "riscv64": "riscv",
    "s390x": "s390",
}
"""What ELF headers say of an image platform's architecture."""


@dataclass(frozen=True)
class Request:
    """What was asked for. `version` is a tag or a channel, `arch` a target or "auto"."""

    place: Place
    version: str
    arch: str
    folder: Path | None
    images: bool


@dataclass(frozen=True)
class Downloaded:
    """What lies in the folder now."""

    tag: str
    target: Offered
    executable: Listed
    path: Path
    files: tuple[Path, ...]

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "tag": self.tag,
            "target": self.target.name,
            "path": str(self.path),
            "sha256": self.executable.sha256,
            "size": self.executable.size,
            "verdicts": dict(self.target.verdicts),
            "files": [str(path) for path in self.files],
        }


def asked(
    app: App,
    environment: Mapping[str, str],
    place: str,
    version: str,
    arch: str,
    folder: str,
    *,
    images: bool,
) -> Request:
    """What options and environment say; an empty one says nothing.

    Raises `UnknownNameError` where nobody says where from.
    """
    text = (place or environment.get("GITHUB_URL", "") or _origin(app)).rstrip("/")
    if not text or ("://" in text and not text.startswith(("https://", "http://"))):
        raise UnknownNameError(
            "place of releases", text, ["https://HOST/PATH", "a folder", "$GITHUB_URL"]
        )
    return Request(Place(text), version, arch, Path(folder).absolute() if folder else None, images)


def _origin(app: App) -> str:
    """The releases of the repository that this checkout is from, if that is on GitHub."""
    try:
        remote = Checkout(app.root, app.cache.logs / "download.log").origin
    except CommandError:
        return ""
    found = _GITHUB.search(remote)
    return f"https://github.com/{found['name']}/releases" if found else ""


def this_host() -> Host:
    """The machine that this runs on."""
    try:
        told = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        told = ""
    found = re.search(r"^Features[^:]*:(.*)$", told, re.M)
    features = frozenset(found[1].split()) if found else frozenset()
    return Host(platform.machine(), struct.calcsize("P") * 8, features)


def download(app: App, request: Request) -> Downloaded:
    """Receive a release's executable for a target, and what install.sh needs beside it.

    Nothing that lies in the folder is replaced before what replaces it was checked. Raises the
    errors of `Place`, `CorruptError`, `UnknownNameError`, and `CheckError` for an executable that
    is no program for its target.
    """
    place = request.place
    if place.text.startswith("http://"):
        app.progress.line(
            f"warning: {place.text} is plain http: whoever is on the way can change what comes"
        )
    flat = place.flat(request.version)
    sums, raw = (place.read(f"{flat}/{name}") for name in (SUMS, RECORD))
    record = read_record(sums, raw, flat)
    target = choose(record, request.arch, this_host())
    folder = request.folder or app.artifacts / "download" / record.tag
    wanted = [*_wanted(record, target, images=request.images)]
    demand_room(folder, wanted)
    files = []
    for file in wanted:
        with app.progress.running(), app.progress.step("download", file.name):
            program = file.name == target.executable
            check = partial(_demand_program, target) if program else None
            files.append(place.bring(flat, file, folder, check))
    for name, data in ((RECORD, raw), (SUMS, sums)):
        write_atomic(folder / name, data)
        files.append(folder / name)
    executable = record.files[target.executable]
    return Downloaded(record.tag, target, executable, folder / executable.name, tuple(files))


def _wanted(record: Record, target: Offered, *, images: bool) -> Iterator[Listed]:
    names = [INSTALLER] if INSTALLER in record.files else []
    if images:
        names.append(f"k3s-airgap-images-{target.name}.tar.zst")
    for name in (*names, target.executable):
        if name not in record.files:
            raise FetchError(
                f"{record.tag} has no {name}",
                cause="it was released without",
                action="leave out --images, or take another version",
            )
        yield record.files[name]


def _demand_program(target: Offered, path: Path) -> None:
    """Make the file executable, if it is a program for the target; else remove it."""
    wanted = _MACHINES.get(target.platform.split("/")[1], "")
    try:
        with path.open("rb") as file:
            machine = read_facts(file, target.executable).machine
    except ElfError:
        machine = "no ELF file"
    if machine != wanted:
        path.unlink()
        raise CheckError(
            f"{target.executable} is no program for {target.name}: {machine}, {wanted} is right",
            cause="the release was made wrong",
            action="take another version, and tell those who made this one",
        )
    path.chmod(0o755)
