"""Receiving files over HTTP: tries again, goes on where it stopped, takes nothing for granted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import requests

from buildsys.download.refusals import LONGEST_WAIT_SECONDS, LaterError, refuse, refuse_tunnel
from buildsys.errors import FetchError
from buildsys.release.publish.http import reason

ATTEMPTS = 4
"""How often a file is tried whose connection breaks, or whose server fails."""

PAUSE_SECONDS = 2.0
"""Before the second try; twice and three times that before those after it."""

TIMEOUT_SECONDS = (20, 60)
"""To connect, and between two bytes."""

CHUNK = 1 << 14
"""What is lost at most when a connection breaks."""

_BROKEN = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)

_T = TypeVar("_T")


@dataclass(frozen=True)
class Receiver:
    """Receives from web servers. `sleep` waits between tries."""

    session: requests.Session = field(default_factory=requests.Session)
    sleep: Callable[[float], None] = time.sleep

    def read(self, url: str) -> bytes:
        """A small file. Raises `FetchError`."""

        def once() -> bytes:
            with self._asked(url, {}, (200,)) as answer:
                data = b"".join(_chunks(answer))
                _refuse_page(url, answer, data)
                return data

        return self._tried(url, once)

    def extend(self, url: str, part: Path) -> bool:
        """Receive behind what `part` holds; whether that was gone on with.

        What the server says of the content (RFC 9110, If-Range) lies beside it: where that changed,
        or is not known, it begins anew. Raises `FetchError`; what came stays for the next run.
        """
        note = part.with_name(f"{part.name}-validator")
        resumed = False

        def once() -> None:
            nonlocal resumed
            size = part.stat().st_size if part.is_file() and note.is_file() else 0
            wanted = {"Range": f"bytes={size}-", "If-Range": note.read_text()} if size else {}
            with self._asked(url, wanted, (200, 206, 416)) as answer:
                goes_on = answer.status_code == 206 and _begins(answer) == size
                if answer.status_code != 200 and not goes_on:
                    # Nothing to go on with there: the next try begins anew.
                    note.unlink(missing_ok=True)
                    raise LaterError(f"the server does not go on at byte {size}")
                resumed = resumed or goes_on
                with part.open("ab" if goes_on else "wb") as file:
                    if not goes_on:
                        _remember(answer, note)
                    for chunk in _chunks(answer):
                        file.write(chunk)

        self._tried(url, once)
        note.unlink(missing_ok=True)
        return resumed

    def _tried(self, url: str, once: Callable[[], _T]) -> _T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return once()
            except LaterError as error:
                pause = max(PAUSE_SECONDS * attempt, error.seconds or 0)
                if attempt == ATTEMPTS or pause > LONGEST_WAIT_SECONDS:
                    later = f" in {pause:.0f} seconds" if error.seconds else ""
                    raise FetchError(
                        f"the connection broke while receiving {url}, {attempt} times",
                        cause=str(error),
                        action=f"run the same again{later}: it goes on where it stopped",
                    ) from error
            self.sleep(pause)
        raise AssertionError("the last try returned or raised")

    @contextmanager
    def _asked(
        self, url: str, headers: Mapping[str, str], expect: tuple[int, ...]
    ) -> Iterator[requests.Response]:
        plain = {"Accept-Encoding": "identity", **headers}
        try:
            answer = self.session.get(url, headers=plain, stream=True, timeout=TIMEOUT_SECONDS)
        except requests.exceptions.SSLError as error:
            raise FetchError(
                f"{url}: no trust in who answers",
                cause=reason(error),
                action="look at this machine's clock and certificates, or use another place",
            ) from error
        except _BROKEN as error:
            refuse_tunnel(url, reason(error))
            raise LaterError(reason(error)) from error
        except requests.RequestException as error:
            raise FetchError(
                f"{url} cannot be asked for", cause=reason(error), action="look at the address"
            ) from error
        with answer:
            _refuse_plain(url, answer)
            if answer.status_code not in expect:
                refuse(url, answer.status_code, answer.reason or "", answer.headers)
            yield answer


def _chunks(answer: requests.Response) -> Iterator[bytes]:
    try:
        yield from answer.iter_content(CHUNK)
    except _BROKEN as error:
        raise LaterError(reason(error)) from error


def _refuse_plain(url: str, answer: requests.Response) -> None:
    hops = [*(one.url for one in answer.history), answer.url]
    if url.startswith("https://") and not all(hop.startswith("https://") for hop in hops):
        raise FetchError(
            f"{url} redirects to plain http",
            cause="the server, or somebody on the way, leads away from https",
            action="use another place",
        )


def _refuse_page(url: str, answer: requests.Response, data: bytes) -> None:
    if is_page(data) or "html" in answer.headers.get("Content-Type", ""):
        raise FetchError(
            f"{url} is a web page",
            cause="a portal that wants a login, or a place of another kind",
            action="open it in a browser and look",
        )


def is_page(data: bytes) -> bool:
    """Whether it begins as a web page does."""
    begin = data[:512].lower()
    return b"<html" in begin or b"<!doctype" in begin


def _begins(answer: requests.Response) -> int:
    """The first byte that a partial answer holds; -1 where it does not say."""
    first = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(first) if first.isdigit() else -1


def _remember(answer: requests.Response, note: Path) -> None:
    """Write down a validator that If-Range may have: a weak one says nothing about bytes."""
    tag = answer.headers.get("ETag", "")
    validator = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")
    if validator:
        note.write_text(validator)
    else:
        note.unlink(missing_ok=True)
