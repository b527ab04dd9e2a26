"""Receiving files over HTTP: tries again, goes on where it stopped, takes nothing for granted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import requests

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
_LATER = (408, 425, 429)

_T = TypeVar("_T")


class _LaterError(Exception):
    """It may come at another try."""


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
                    raise _LaterError(f"the server does not go on at byte {size}")
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
            except _LaterError as error:
                if attempt == ATTEMPTS:
                    raise FetchError(
                        f"the connection broke while receiving {url}, {ATTEMPTS} times",
                        cause=str(error),
                        action="run the same again: it goes on where it stopped",
                    ) from error
            self.sleep(PAUSE_SECONDS * attempt)
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
            raise _LaterError(reason(error)) from error
        except requests.RequestException as error:
            raise FetchError(
                f"{url} cannot be asked for", cause=reason(error), action="look at the address"
            ) from error
        with answer:
            _refuse_plain(url, answer)
            _refuse_status(url, answer, expect)
            yield answer


def _chunks(answer: requests.Response) -> Iterator[bytes]:
    try:
        yield from answer.iter_content(CHUNK)
    except _BROKEN as error:
        raise _LaterError(reason(error)) from error


def _refuse_plain(url: str, answer: requests.Response) -> None:
    hops = [*(one.url for one in answer.history), answer.url]
    if url.startswith("https://") and not all(hop.startswith("https://") for hop in hops):
        raise FetchError(
            f"{url} redirects to plain http",
            cause="the server, or somebody on the way, leads away from https",
            action="mend it, or use another place",
        )


def _refuse_status(url: str, answer: requests.Response, expect: tuple[int, ...]) -> None:
    status = answer.status_code
    if status >= 500 or status in _LATER:
        raise _LaterError(f"the server answered {status} {answer.reason or ''}".strip())
    if status not in expect:
        raise FetchError(
            f"there is no {url}: {status} {answer.reason or ''}".strip(),
            cause="no such release, or a place of another kind",
            action="look at --version and --from (docs/release.md has the layout)",
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
