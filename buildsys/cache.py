"""Where things lie between runs, outside the checkout: downloads, store, compiler caches."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from buildsys import ours
from buildsys.errors import DiskFullError, NotWritableError
from buildsys.remove import Remover

_FULL = (errno.ENOSPC, errno.EDQUOT)

ENVIRONMENT = "K3S_BUILDSYS_CACHE"
"""The environment variable that moves the cache."""


@dataclass(frozen=True)
class Cache:
    """The cache folder and what lies where in it."""

    root: Path

    @property
    def downloads(self) -> Path:
        """Fetched files as they came, by kind."""
        return self.root / "downloads"

    @property
    def gomod(self) -> Path:
        """Go's module cache."""
        return self.root / "go" / "mod"

    @property
    def gobuild(self) -> Path:
        """Go's build cache."""
        return self.root / "go" / "build"

    @property
    def zig(self) -> Path:
        """Zig's global cache: musl and compiler-rt of each target."""
        return self.root / "zig"

    @property
    def store(self) -> Path:
        """Artifacts by key."""
        return self.root / "store"

    @property
    def frames(self) -> Path:
        """Compressed files by content."""
        return self.root / "frames"

    @property
    def emulators(self) -> Path:
        """Unpacked emulators, by the sha256 of the package that they came in."""
        return self.root / "emulators"

    @property
    def work(self) -> Path:
        """Folders of running jobs."""
        return self.root / "work"

    @property
    def logs(self) -> Path:
        """Logs of jobs, newest run only."""
        return self.root / "logs"

    @property
    def locks(self) -> Path:
        """Empty files that are locked."""
        return self.root / "locks"

    @property
    def in_use(self) -> Path:
        """The lock that all who use the cache share; who removes from it has it to himself."""
        return self.locks / "in-use"

    @property
    def aside(self) -> Path:
        """Files that failed a check, kept for a look."""
        return self.root / "aside"

    def create(self) -> bool:
        """Create all folders, and claim the root for ours; whether it was claimed only now.

        Raises `NotWritableError` where that is impossible, or the folder is somebody else's.
        """
        folders = (self.downloads, self.gomod, self.gobuild, self.zig, self.store, self.frames)
        with _creating(self.root):
            claimed = self._claim()
        for folder in (*folders, self.work, self.logs, self.locks):
            with _creating(folder):
                folder.mkdir(parents=True, exist_ok=True)
                if not os.access(folder, os.W_OK | os.X_OK):
                    raise PermissionError(errno.EACCES, "it is read-only")
        return claimed

    def demand_ours(self) -> None:
        """Raises `NotWritableError` for a folder with anything in it that is no cache of ours.

        Raises OSError where it cannot be read.
        """
        standard = self.root.absolute() == standard_root(os.environ)
        if not ours.blank(ours.names_in(self.root)) and not (standard or ours.is_cache(self.root)):
            raise NotWritableError(
                f"{self.root} is no cache of this project: it holds {ours.some_of(self.root)}",
                cause="it is neither empty nor marked as a cache; what lies there may be "
                "yours, so nothing was written or removed",
                action=f"name a new or an empty folder with --cache or {ENVIRONMENT}",
            )

    def _claim(self) -> bool:
        """Mark the root as ours; whether it was a cache without the mark."""
        if (self.root / ours.MARKER).is_file():
            return False
        self.root.mkdir(parents=True, exist_ok=True)
        self.demand_ours()
        before = not ours.blank(ours.names_in(self.root))
        if not (self.root / ours.TAG).exists():
            write_atomic(self.root / ours.TAG, ours.TAG_TEXT.encode())
        write_atomic(self.root / ours.MARKER, ours.MARKER_TEXT.encode())
        return before

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock `name` against other processes and threads; the kernel frees it."""
        path = self.locks / name
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def scratch(self, name: str, *, exact: bool = False) -> Iterator[Path]:
        """A new, empty folder in `work` whose name begins so, gone at the end.

        With `exact` that is its whole name: the caller holds a lock for it, since what lies there
        goes. Its owner holds a lock on the folder itself, so that `sweep` knows what killed runs
        left. Raises ValueError for a name by which it would not know it: see `ours.SCRATCHES`.
        """
        folder = self.work / (name if exact else f"{name}-{uuid4().hex[:8]}")
        if not ours.SCRATCH.fullmatch(folder.name):
            raise ValueError(f"{folder.name} is no name of a scratch folder")
        with self.lock("work"):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(handle)

    def sweep(self, remover: Remover | None = None) -> int:
        """Remove the scratch folders that killed runs left; how many.

        What else lies in `work` is nobody's of ours, and stays.
        """
        remover = remover or Remover()
        before = len(remover.removed)
        with self.lock("work"):
            for folder in self.work.iterdir():
                if not ours.SCRATCH.fullmatch(folder.name):
                    remover.foreign(folder)
                    continue
                try:
                    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                except OSError as error:
                    if error.errno != errno.ENOENT:  # else its owner ended just now
                        remover.left[folder] = error.strerror or ""
                    continue
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                else:
                    remover.tree(folder)
                finally:
                    os.close(handle)
        return len(remover.removed) - before


@contextmanager
def _creating(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFullError(folder, "creating the cache") from error
        raise NotWritableError(
            f"cannot create the cache folder {folder}: {error.strerror}",
            action=f"make it writable or move the cache with --cache or {ENVIRONMENT}",
        ) from error


def default_root(environment: Mapping[str, str]) -> Path:
    """The cache's folder: the environment variable's, else the user's cache directory (XDG)."""
    if chosen := environment.get(ENVIRONMENT):
        return Path(chosen).absolute()
    return standard_root(environment)


def standard_root(environment: Mapping[str, str]) -> Path:
    """The cache's folder where nobody chose another."""
    base = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "k3s-buildsys"


@contextmanager
def disk_errors(where: Path, doing: str) -> Iterator[None]:
    """Turn "no space left" into `DiskFullError` that says where and while doing what.

    Likewise what is read-only or forbidden, into `NotWritableError`.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFullError(where, doing) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise NotWritableError(
                f"{error.filename or where}: {error.strerror} while {doing}",
                action="make it writable and run the same again",
            ) from error
        raise


def file_sha256(path: Path) -> str:
    """Sha256 of a file's content, in hex. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """A hidden file beside `path` for its new content, gone at the end unless it was moved.

    It is locked: what killed runs left of the same file is not, and goes here too. Numbers of
    processes would not tell, for containers count their own.
    """
    sweep_unfinished(path.parent, lambda name: name == path.name)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    handle = _locked(temporary)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def _locked(path: Path) -> int:
    """A new file with a lock on it, made again if somebody removed it in between."""
    while True:
        handle = os.open(path, os.O_CREAT | os.O_WRONLY, 0o666)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle
        os.close(handle)


def _remove_unlocked(path: Path) -> None:
    with suppress(FileNotFoundError, BlockingIOError):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        finally:
            os.close(handle)


def sweep_unfinished(folder: Path, names: Callable[[str], bool]) -> None:
    """Remove what killed runs left of files whose name, without what hides it, is one of `names`.

    What cannot be removed stays: it is in nobody's way.
    """
    with suppress(OSError):
        for entry in ours.names_in(folder):
            name = ours.unfinished_name(entry)
            if name is not None and names(name):
                with suppress(OSError):
                    _remove_unlocked(folder / entry)


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write `data` to `path` so that a reader sees the old content or the new, never a part."""
    with disk_errors(path, f"writing {path.name}"), unfinished(path) as temporary:
        with temporary.open("wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
