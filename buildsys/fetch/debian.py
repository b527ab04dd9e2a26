"""Debian source packages, by apt with a configuration of our own: no root, no deb-src on the host.

The mirror is the one that the host's apt has, or the option's.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from uuid import uuid4

from buildsys.archive import unpack_tar
from buildsys.cache import Cache, disk_errors, file_sha256
from buildsys.errors import (
    BuildsysError,
    CommandError,
    CorruptError,
    FetchError,
    HashMismatchError,
    MissingToolError,
)
from buildsys.model import DebianSource
from buildsys.patch import apply_patch
from buildsys.run import output

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""Where Debian and Ubuntu install the keys of Debian's archive."""


def file_path(name: str, sha256: str, cache: Cache) -> Path:
    """Where a fetched file lies: by its hash, so that names cannot clash."""
    return cache.downloads / "debian" / sha256[:16] / name


def lacks(source: DebianSource, cache: Cache) -> str | None:
    """The first file that is not there; None where all are."""
    for name, sha in source.files.items():
        if not file_path(name, sha, cache).is_file():
            return f"{source.label}: {name}"
    return None


def fetch(source: DebianSource, cache: Cache, mirror: str | None, log: Path) -> None:
    """Download every file of the source package and check it.

    Raises `FetchError`, `HashMismatchError` (the file is kept aside), `MissingToolError`.
    """
    apt = _apt(source, cache, mirror, log)
    partial = cache.downloads / "debian" / "partial" / f"{source.package}_{source.suite}"
    partial.mkdir(parents=True, exist_ok=True)
    wanted = f"{source.package}={source.version}"
    # One apt at a time writes the lists.
    with cache.lock("apt"):
        if not _known(apt, wanted, log):
            _call([*apt, "update"], source, log, partial)
    _call([*apt, "source", "--download-only", "--only-source", wanted], source, log, partial)
    for name, sha in source.files.items():
        _take(source, partial / name, sha, cache)
    shutil.rmtree(partial, ignore_errors=True)


def _known(apt: list[str], wanted: str, log: Path) -> bool:
    try:
        return wanted.split("=")[0] in output([*apt, "source", "--print-uris", wanted], log=log)
    except CommandError:
        return False


def _call(argv: list[str], source: DebianSource, log: Path, folder: Path) -> None:
    try:
        # apt writes a source package into its working directory.
        output(["env", f"--chdir={folder}", *argv], log=log)
    except CommandError as error:
        raise FetchError(
            f"cannot fetch {source.label} from {source.suite}:\n{error.what}",
            cause="no network, or the suite no longer has this version",
            action=f"run the same again, it goes on where it stopped, or bump the pin; see {log}",
        ) from error


def _take(source: DebianSource, path: Path, sha256: str, cache: Cache) -> None:
    if not path.is_file():
        raise FetchError(
            f"{source.label} has no file {path.name}",
            cause="the recipe names a file that is not in the .dsc",
            action=f"correct source.files of {source.package}",
        )
    found = file_sha256(path)
    if found != sha256:
        cache.aside.mkdir(exist_ok=True)
        kept = cache.aside / f"{path.name}.{found[:12]}"
        shutil.move(path, kept)
        raise HashMismatchError(
            f"{source.label}: {path.name}", pinned=sha256, found=found, kept=kept
        )
    place = file_path(path.name, sha256, cache)
    place.parent.mkdir(parents=True, exist_ok=True)
    path.replace(place)


def unpack(source: DebianSource, cache: Cache, folder: Path, log: Path) -> None:
    """The upstream source with Debian's patches, which carry its security fixes, in `folder`."""
    for name, sha in source.files.items():
        path = file_path(name, sha, cache)
        if file_sha256(path) != sha:
            cache.aside.mkdir(exist_ok=True)
            kept = cache.aside / name
            shutil.move(path, kept)
            raise CorruptError(
                f"{source.label}: {name} is changed on disk; it was moved to {kept}",
                cause="the file was cut or edited after it was fetched",
                action="run the same again with a network, or `invoke fetch`",
            )
    # A native package, one that Debian wrote itself, has a single archive.
    archives = [name for name in source.files if ".tar." in name and not name.endswith(".asc")]
    for name in (name for name in archives if ".debian.tar" not in name):
        unpack_tar(file_path(name, source.files[name], cache), folder)
    for name in (name for name in archives if ".debian.tar" in name):
        with cache.scratch(f"debian-{uuid4().hex}") as temporary:
            unpack_tar(file_path(name, source.files[name], cache), temporary)
            if source.debian_patches:
                _apply_series(temporary / "patches", folder, source, log)


def _apply_series(patches: Path, folder: Path, source: DebianSource, log: Path) -> None:
    series = patches / "series"
    if not series.is_file():
        return
    for line in series.read_text("utf-8").splitlines():
        name = line.split("#")[0].strip()
        if name:
            apply_patch(patches / name, folder, f"{source.label}: {name}", log)


def _apt(source: DebianSource, cache: Cache, mirror: str | None, log: Path) -> list[str]:
    if not shutil.which("apt-get"):
        raise MissingToolError(
            f"{source.label} is fetched by apt-get, which is not installed",
            action="use a Debian or Ubuntu host, or copy the cache's downloads from one",
        )
    if not KEYRING.is_file():
        raise MissingToolError(
            f"the keys of Debian's archive are not at {KEYRING}",
            action="apt-get install debian-archive-keyring",
        )
    folder = cache.root / "apt" / source.suite
    with disk_errors(folder, "preparing apt"):
        for name in ("lists/partial", "archives/partial"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        listing = folder / "sources.list"
        uri = mirror or host_mirror(log)
        listing.write_text(f"deb-src [signed-by={KEYRING}] {uri} {source.suite} main\n")
    options = {
        "Dir::Etc::sourcelist": listing,
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder,
        "Dir::Cache::archives": folder / "archives",
        "APT::Get::List-Cleanup": "false",
        "Acquire::Retries": "2",
    }
    if os.geteuid() == 0:
        # apt would drop to a user who may not write here.
        options["APT::Sandbox::User"] = "root"
    pairs = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
    return ["apt-get", "-q", *pairs]


def host_mirror(log: Path) -> str:
    """The Debian mirror of the host's own apt. Raises `BuildsysError` where it has none."""
    text = output(["apt-get", "indextargets", "--format", "$(REPO_URI)"], log=log)
    for uri in dict.fromkeys(text.split()):
        if uri.rstrip("/").endswith("/debian"):
            return uri.rstrip("/")
    raise BuildsysError(
        "the host's apt knows no Debian mirror",
        cause="this is no Debian, or its sources are empty",
        action="name one with --debian-mirror or K3S_BUILDSYS_DEBIAN_MIRROR",
    )
