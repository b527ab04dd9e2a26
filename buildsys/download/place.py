"""Where releases lie: at an address or in a folder; what is received from there is checked."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from buildsys.cache import disk_errors, file_sha256
from buildsys.download.http import Receiver, is_page
from buildsys.download.record import Listed
from buildsys.errors import CorruptError, FetchError, UnknownNameError
from buildsys.release.channels import PATH, read_channels
from buildsys.release.plan import RECORD
from buildsys.release.version import parse_tag

CHUNK = 1 << 20


@dataclass(frozen=True)
class Place:
    """A place of releases: the address or folder that has download/<tag>/ below it.

    It may also be the folder of one release.
    """

    text: str
    receiver: Receiver = field(default_factory=Receiver)

    @property
    def remote(self) -> bool:
        """Whether it is asked over the network."""
        return self.text.startswith(("https://", "http://"))

    def flat(self, wanted: str) -> str:
        """Where the files of a version, or of the one that a channel has, lie.

        Raises `UnknownNameError` for a channel that the place does not have, and as `read` does.
        """
        if not self.remote and Path(self.text, RECORD).is_file():
            return self.text
        tag = wanted if parse_tag(wanted) else self._tag_of(wanted)
        # On S3 a bare plus is a space.
        return f"{self.text}/download/{quote(tag, safe='') if self.remote else tag}"

    def _tag_of(self, channel: str) -> str:
        where = f"{self.text}/{PATH}"
        channels = read_channels(self.read(where))
        if not channels:
            raise CorruptError(
                f"{where} holds no channels", cause="it came in part", action="run the same again"
            )
        if channel not in channels:
            raise UnknownNameError(f"channel of {self.text}", channel, channels)
        return channels[channel].text

    def read(self, where: str) -> bytes:
        """A small file. Raises `FetchError`."""
        if self.remote:
            return self.receiver.read(where)
        try:
            return Path(where).read_bytes()
        except OSError as error:
            raise FetchError(
                f"{where}: {error.strerror}",
                cause="no such release, or a folder of another kind",
                action="look at --version and --from (docs/release.md has the layout)",
            ) from error

    def bring(
        self, flat: str, file: Listed, folder: Path, check: Callable[[Path], None] | None = None
    ) -> Path:
        """Make `folder` hold the file, unless it does already; its path.

        It appears there by a rename, when size and sha256 are those of the release and `check` did
        not raise; until then what was there stays. Raises `FetchError`, `CorruptError`,
        `DiskFullError`, `NotWritableError`.
        """
        path, where = folder / file.name, f"{flat}/{file.name}"
        if path.is_file() and not _unlike(path, file):
            return path
        # Its name says of which content it is a part.
        part = folder / f".{file.name}.{file.sha256[:16]}.part"
        with disk_errors(path, f"receiving {file.name}"), _held(folder, part):
            if self._receive(where, part) and _unlike(part, file):
                # What an earlier run left may have been wrong: once more, from the beginning.
                part.unlink()
                self._receive(where, part)
            if unlike := _unlike(part, file):
                page = is_page(part.read_bytes()[:512])
                part.unlink()
                raise CorruptError(
                    f"{where} is a web page" if page else f"{where}: {unlike}",
                    cause="a portal that wants a login, or a place of another kind"
                    if page
                    else "it changed at its origin or on the way",
                    action="run the same again; if it stays, use another place",
                )
            if check:
                check(part)
            part.replace(path)
            _sweep(folder, file.name)
        return path

    def _receive(self, where: str, part: Path) -> bool:
        """Complete `part`; whether something that was there was gone on with."""
        if self.remote:
            resumed = self.receiver.extend(where, part)
        else:
            resumed = False
            with Path(where).open("rb") as origin, part.open("wb") as copy:
                while chunk := origin.read(CHUNK):
                    copy.write(chunk)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        return resumed


@contextmanager
def _held(folder: Path, part: Path) -> Iterator[None]:
    """Let others see that `part` is at work, as long as the block runs."""
    folder.mkdir(parents=True, exist_ok=True)
    with part.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if part.is_file() and not part.stat().st_size:
                part.unlink()


def _sweep(folder: Path, name: str) -> None:
    """Remove what downloads of other versions left of the file, where none is at work."""
    for path in folder.iterdir():
        found = re.fullmatch(r"\.(.+)\.[0-9a-f]{16}\.part", path.name)
        if not (found and found[1] == name and path.is_file()) or path.is_symlink():
            continue
        with suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.with_name(f"{path.name}-validator").unlink(missing_ok=True)
            path.unlink()


def _unlike(path: Path, file: Listed) -> str:
    """How the file at `path` is not the one of the release; empty where it is."""
    size = path.stat().st_size
    if size != file.size:
        return f"{size} bytes came, {file.size} are right"
    sha256 = file_sha256(path)
    return "" if sha256 == file.sha256 else f"it has the sha256 {sha256}, {file.sha256} is right"
