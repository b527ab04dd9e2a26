"""Debian source and binary packages, by apt."""

from __future__ import annotations

import shutil
from pathlib import Path

from buildsys.archive import unpack_tar
from buildsys.cache import Cache, file_sha256
from buildsys.errors import CommandError, CorruptError, FetchError, HashMismatchError
from buildsys.fetch import apt
from buildsys.model import DebianBinary, DebianSource
from buildsys.patch import apply_patch
from buildsys.run import output

Pinned = DebianSource | DebianBinary
"""What comes from Debian."""


def file_path(name: str, sha256: str, cache: Cache) -> Path:
    """Where a fetched file lies: by its hash, so that names cannot clash."""
    return cache.downloads / "debian" / sha256[:16] / name


def binary_path(binary: DebianBinary, cache: Cache) -> Path:
    """Where a fetched binary package lies."""
    version = binary.version.partition(":")[2] or binary.version
    name = f"{binary.package}_{version}_{binary.architecture}.deb"
    return file_path(name, binary.sha256, cache)


def lacks_binary(binary: DebianBinary, cache: Cache) -> str | None:
    """The package's name if it is not there."""
    return None if binary_path(binary, cache).is_file() else binary.label


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
    command = apt.configured(cache, source.suite, mirror, log)
    verb = ("source", "--download-only", "--only-source")
    partial = _download(command, verb, source, cache, log)
    for name, sha in source.files.items():
        _take(source, partial / name, sha, cache)
    shutil.rmtree(partial, ignore_errors=True)


def fetch_binary(binary: DebianBinary, cache: Cache, mirror: str | None, log: Path) -> None:
    """Download a binary package and check it; raises as `fetch` does."""
    command = apt.configured(cache, binary.suite, mirror, log, binary.architecture)
    partial = _download(command, ("download",), binary, cache, log)
    path = binary_path(binary, cache)
    # apt writes the epoch too, and packages for all architectures say so.
    version = binary.version.replace(":", "%3a")
    for architecture in (binary.architecture, "all"):
        found = partial / f"{binary.package}_{version}_{architecture}.deb"
        if found.is_file():
            found.rename(partial / path.name)
    _take(binary, partial / path.name, binary.sha256, cache)
    shutil.rmtree(partial, ignore_errors=True)


def _download(
    command: list[str], verb: tuple[str, ...], source: Pinned, cache: Cache, log: Path
) -> Path:
    """Let apt put the files of `source` into a folder of their own; the folder."""
    architecture = source.architecture if isinstance(source, DebianBinary) else "source"
    # All that tells two downloads apart: what a killed run left is of the same pin.
    name = f"{source.package}_{source.version}_{source.suite}_{architecture}"
    partial = cache.downloads / "debian" / "partial" / name
    partial.mkdir(parents=True, exist_ok=True)
    wanted = f"{source.package}={source.version}"
    # One apt at a time writes the lists.
    with cache.lock("apt"):
        if not _known([*command, *verb, "--print-uris", wanted], source.package, log):
            _call([*command, "update"], source, log, partial)
    _call([*command, *verb, wanted], source, log, partial)
    return partial


def _known(argv: list[str], package: str, log: Path) -> bool:
    try:
        return package in output(argv, log=log)
    except CommandError:
        return False


def _call(argv: list[str], source: Pinned, log: Path, folder: Path) -> None:
    try:
        # apt writes a source package into its working directory.
        output(["env", f"--chdir={folder}", *argv], log=log)
    except CommandError as error:
        raise FetchError(
            f"cannot fetch {source.label} from {source.suite}:\n{error.what}",
            cause="no network, or the suite no longer has this version",
            action=f"run the same again, it goes on where it stopped, or bump the pin; see {log}",
        ) from error


def _take(source: Pinned, path: Path, sha256: str, cache: Cache) -> None:
    if not path.is_file():
        raise FetchError(
            f"{source.label} has no file {path.name}",
            cause="the pin names a file that the package does not have",
            action=f"correct the pinned files of {source.package}",
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
        with cache.scratch("debian") as temporary:
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
