"""Unpacking of archives that came from outside: nothing leaves the folder, nothing but plain files.

Python 3.11.2 (Debian 12) has no `tarfile` filters yet, and zip has none at all; one check serves
both.
"""

from __future__ import annotations

import base64
import hashlib
import lzma
import os
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from buildsys.cache import disk_errors
from buildsys.errors import CorruptError, UnsafeArchiveError

_DAMAGE = (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError)
"""What the readers of tar and its compressions raise for a cut or changed file."""


def unpack_tar(archive: Path, folder: Path) -> None:
    """Unpack a tar of any compression that Python knows, without its first path component.

    Modes become 0644 or 0755. Raises `UnsafeArchiveError` before the offending member is written,
    `CorruptError` where the archive is cut.
    """
    with disk_errors(folder, f"unpacking {archive.name}"):
        try:
            with tarfile.open(archive) as tar:
                for member in tar:
                    _unpack_member(tar, member, folder, archive.name)
        except _DAMAGE as error:
            if isinstance(error, OSError) and error.errno:
                raise
            raise CorruptError(
                f"{archive.name} cannot be unpacked: {error}",
                cause="the file is cut or changed",
                action="remove it and fetch again",
            ) from error


def deb_members(package: Path, name: str = "") -> dict[str, bytes]:
    """Every file of a .deb by its path, or those that are called `name`; all of it in memory.

    Raises `CorruptError`.
    """
    found = {}
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                for member in tar:
                    named = not name or PurePosixPath(member.name).name == name
                    source = tar.extractfile(member) if member.isreg() and named else None
                    if source:
                        found[member.name.removeprefix("./")] = source.read()
        except tarfile.TarError as error:
            raise CorruptError(
                f"{package.name} cannot be unpacked: {error}",
                cause="the file is cut or changed",
                action="remove it and fetch again",
            ) from error
    return found


def deb_member(members: Mapping[str, bytes], path: str, label: str, table: str) -> bytes:
    """The file at `path` among `members` of the package `label`, which a target's `table` names.

    Raises `CorruptError` where there is none.
    """
    try:
        return members[path]
    except KeyError as error:
        near = [name for name in members if PurePosixPath(name).name == PurePosixPath(path).name]
        raise CorruptError(
            f"{label} has no file {path}",
            cause=f"the target's [{table}] names another version's path",
            action=f"correct it; like it there are: {', '.join(near) or 'none'}",
        ) from error


def _unpack_member(
    tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, archive: str
) -> None:
    parts = PurePosixPath(member.name).parts
    inner = safe_path(PurePosixPath(*parts[1:]).as_posix() if len(parts) > 1 else ".", archive)
    if PurePosixPath(member.name).is_absolute() or ".." in parts:
        raise _unsafe(archive, member.name, "leaves the folder")
    path = folder / inner
    _refuse_clash(folder, inner, archive, directory=member.isdir())
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
    elif member.isreg():
        source = tar.extractfile(member)
        assert source is not None
        path.parent.mkdir(parents=True, exist_ok=True)
        with source, path.open("wb") as out:
            shutil.copyfileobj(source, out)
        path.chmod(0o755 if member.mode & 0o100 else 0o644)
    elif member.issym():
        _check_link(inner, member.linkname, archive)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(member.linkname)
    elif member.islnk():
        target = PurePosixPath(*PurePosixPath(safe_path(member.linkname, archive)).parts[1:])
        _refuse_clash(folder, target.as_posix(), archive, directory=False)
        if not (folder / target).is_file():
            raise _unsafe(archive, member.name, "links to a file that is not there")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / target, path, follow_symlinks=False)
    else:
        raise _unsafe(archive, member.name, "is a device, socket or pipe")


def safe_path(name: str, archive: str) -> str:
    """`name`, if it is relative and stays inside. Raises `UnsafeArchiveError`."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or "\\" in name:
        raise _unsafe(archive, name, "leaves the folder")
    return str(path)


def _check_link(inner: str, target: str, archive: str) -> None:
    """A symlink may point anywhere inside the folder, never outside."""
    resolved = os.path.normpath(PurePosixPath(inner).parent / target)
    if target.startswith("/") or resolved == ".." or resolved.startswith("../"):
        raise _unsafe(archive, inner, f"links outside, to {target!r}")


def _refuse_clash(folder: Path, inner: str, archive: str, *, directory: bool) -> None:
    """Nothing is written through a symlink, and no file becomes a folder or the reverse."""
    path = folder
    for part in PurePosixPath(inner).parts[:-1]:
        path /= part
        if path.is_symlink():
            raise _unsafe(archive, inner, "goes through a symlink")
        if path.is_file():
            raise _unsafe(archive, inner, "goes through a file")
    last = folder / inner
    if last.is_symlink():
        raise _unsafe(archive, inner, "would be written through a symlink")
    if last.exists() and last.is_dir() != directory:
        raise _unsafe(archive, inner, "takes the place of a file or folder of the same name")


def _unsafe(archive: str, member: str, why: str) -> UnsafeArchiveError:
    return UnsafeArchiveError(
        f"{archive}: member {member!r} {why}",
        cause="the archive is broken or hostile",
        action="nothing outside was touched; do not use this source",
    )


def module_zip_sum(archive: Path) -> str:
    """Go's h1 of a module zip: sha256 over the sorted lines "sha256  name" of its files.

    Source: golang.org/x/mod/sumdb/dirhash, Hash1. Raises `CorruptError`.
    """
    lines = []
    try:
        with zipfile.ZipFile(archive) as package:
            for name in sorted(package.namelist()):
                with package.open(name) as file:
                    sha = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]
                lines.append(f"{sha.hexdigest()}  {name}\n")
    except (zipfile.BadZipFile, RuntimeError, *_DAMAGE) as error:
        raise CorruptError(
            f"{archive} cannot be read: {error}",
            cause="the file is cut or changed",
            action="`invoke fetch` gets it again",
        ) from error
    return go_sum("".join(lines).encode())


def module_file_sum(data: bytes) -> str:
    """Go's h1 of a go.mod file."""
    return go_sum(f"{hashlib.sha256(data).hexdigest()}  go.mod\n".encode())


def go_sum(listing: bytes) -> str:
    """The h1 text of a listing."""
    return "h1:" + base64.b64encode(hashlib.sha256(listing).digest()).decode()


def unpack_module_zip(archive: Path, prefix: str, folder: Path) -> None:
    """Unpack a module zip without `prefix` ("module@version/"); all files become 0644.

    Go module zips carry no modes and no links. Raises `UnsafeArchiveError`.
    """
    with disk_errors(folder, f"unpacking {prefix}"), zipfile.ZipFile(archive) as package:
        for info in package.infolist():
            if info.is_dir():
                continue
            if not info.filename.startswith(prefix):
                raise _unsafe(prefix, info.filename, "is not below the module's prefix")
            path = folder / safe_path(info.filename.removeprefix(prefix), prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            with package.open(info) as source, path.open("wb") as out:
                shutil.copyfileobj(source, out)
            path.chmod(0o644)
