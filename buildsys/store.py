"""Finished artifacts by key. A folder under its key is complete, or it is not there."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from buildsys import ours
from buildsys.cache import Cache, disk_errors, file_sha256
from buildsys.errors import CorruptError

RECORD = "artifact.json"


_UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError)
"""What a record that was cut or edited raises."""


@dataclass(frozen=True)
class StoredFile:
    """One file or link of an artifact; `size` in bytes, `link` the symlink's text."""

    path: str
    mode: int
    size: int
    sha256: str
    link: str = ""


@dataclass(frozen=True)
class Artifact:
    """What a job made: its files below `folder`, how long it took, what its check saw."""

    key: str
    recipe: str
    version: str
    target: str
    source: str
    seconds: float
    files: tuple[StoredFile, ...]
    checks: Mapping[str, Any]
    folder: Path

    def path(self, name: str) -> Path:
        """The host path of one of its files."""
        return self.folder / "files" / name


class Store:
    """Artifacts on disk. Any number of processes may use one store at once."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def get(self, key: str) -> Artifact | None:
        """The artifact of `key`, or None. A record that cannot be read is removed."""
        try:
            return self._read(key)
        except FileNotFoundError:
            # An entry gets its name with its record in it: without one it is damaged.
            folder = self._cache.store / key
            if folder.is_dir() and not (folder / RECORD).exists():
                self._discard_where_writable(key)
            return None
        except _UNREADABLE:
            self._discard_where_writable(key)
            return None

    def known(self) -> Iterator[Artifact]:
        """All artifacts whose records can be read; what cannot stays as it is."""
        for key in self.keys():
            with suppress(*_UNREADABLE):
                yield self._read(key)

    def _read(self, key: str) -> Artifact:
        folder = self._cache.store / key
        record = json.loads((folder / RECORD).read_text("utf-8"))
        files = tuple(StoredFile(**entry) for entry in record.pop("files"))
        # By these names files are read and entries moved: none may lead out of the entry.
        if record["key"] != key or not all(_inner(file.path) for file in files):
            raise ValueError("the record is another entry's")
        return Artifact(**record, files=files, folder=folder)

    def _discard_where_writable(self, key: str) -> None:
        """Discard a damaged entry; who only reads may do so on a disk that takes no writes."""
        try:
            self.discard(key)
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES):
                raise

    def verify(self, artifact: Artifact) -> None:
        """Compare each file with its record.

        Raises `CorruptError`; the entry is moved aside, so that the next build makes it anew.
        """
        for file in artifact.files:
            problem = _difference(artifact.path(file.path), file)
            if problem:
                self.discard(artifact.key)
                raise CorruptError(
                    f"store entry of {artifact.recipe} for {artifact.target}: "
                    f"{file.path} {problem}",
                    cause="the cache was edited or damaged on disk",
                    action="the entry was moved aside; run the same again to build it anew",
                )

    def discard(self, key: str) -> None:
        """Move an entry out of the store, to the folder of what failed a check."""
        self._cache.aside.mkdir(exist_ok=True)
        place = Path(tempfile.mkdtemp(dir=self._cache.aside, prefix=f"{key[:12]}-"))
        folder = self._cache.store / key
        if folder.exists():
            folder.replace(place / key)

    def add(self, files: Path, record: Mapping[str, Any]) -> Artifact:
        """Move the tree `files` into the store under `record["key"]`.

        The tree must lie on the cache's file system. Data reach the disk before the entry has its
        name; a power cut leaves the whole entry or none.
        """
        key = record["key"]
        with disk_errors(self._cache.store, f"storing {record['recipe']}"):
            # Beside the tree, in the job's own folder: what a kill leaves is swept from there.
            entry = Path(tempfile.mkdtemp(dir=files.parent, prefix=".entry-"))
            try:
                files.rename(entry / "files")
                listed = tuple(scan(entry / "files"))
                whole = {**record, "files": [asdict(file) for file in listed]}
                _write_synced(entry / RECORD, json.dumps(whole, indent=1).encode())
                entry.chmod(0o755)
                self._publish(entry, self._cache.store / key)
            except BaseException:
                shutil.rmtree(entry, ignore_errors=True)
                raise
        return Artifact(**record, files=listed, folder=self._cache.store / key)

    def _publish(self, entry: Path, place: Path) -> None:
        try:
            entry.rename(place)
        except OSError:
            # Another process stored the same key first: same inputs, same bytes.
            if not place.is_dir():
                raise
            shutil.rmtree(entry)
        _sync_folder(place.parent)

    def keys(self) -> Iterator[str]:
        """Keys of all entries; what has another name is not ours."""
        if self._cache.store.is_dir():
            for folder in sorted(self._cache.store.iterdir()):
                if ours.INSIDE["store"].fullmatch(folder.name):
                    yield folder.name


def scan(root: Path) -> Iterator[StoredFile]:
    """Every file and link below `root`; files get mode 0644 or 0755 and reach the disk."""
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            yield StoredFile(name, 0o777, 0, "", str(path.readlink()))
        elif path.is_file():
            mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            path.chmod(mode)
            with path.open("rb") as file:
                sha = hashlib.file_digest(file, "sha256").hexdigest()
                os.fsync(file.fileno())
            yield StoredFile(name, mode, path.stat().st_size, sha)


def _inner(name: str) -> bool:
    """Whether a file of this name lies within the folder that it is sought in."""
    path = PurePosixPath(name)
    return name != "" and not path.is_absolute() and ".." not in path.parts


def _difference(path: Path, file: StoredFile) -> str:
    try:
        info = path.lstat()
    except OSError:
        return "is missing"
    if file.link:
        same = stat.S_ISLNK(info.st_mode) and str(path.readlink()) == file.link
        return "" if same else "is another link"
    if info.st_size != file.size:
        return f"has {info.st_size} bytes, not {file.size}"
    found = file_sha256(path)
    return "" if found == file.sha256 else f"has sha256 {found}, not {file.sha256}"


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
