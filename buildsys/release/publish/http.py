"""One way to talk to stores over HTTP: tries again what may pass, names what went wrong."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from buildsys.errors import (
    BuildsysError,
    NoRightsError,
    RateLimitedError,
    UploadCutError,
    UploadRefusedError,
)

ATTEMPTS = 3
"""How often a request is tried whose answer did not come, or was a server's own failure."""

PAUSE_SECONDS = 2.0
"""Before the second try; twice that before the third."""

TIMEOUT_SECONDS = (20, 300)
"""To connect, and between two bytes: a store may think long after the last byte of a large file."""

WORDS = 200
"""How many characters of a store's own words are shown."""

Body = bytes | Path | None


class Bearer(requests.auth.AuthBase):
    """A token. As an object of its own, since requests prefers a netrc to a plain header."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """The request with the token."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


@dataclass(frozen=True)
class Client:
    """Requests to one store, which `label` names. Credentials are in `auth` and nowhere else."""

    label: str
    auth: requests.auth.AuthBase | None = None
    rights: str = "check the credentials and what they allow"
    session: requests.Session = field(default_factory=requests.Session)
    sleep: Callable[[float], None] = time.sleep

    def send(
        self,
        method: str,
        url: str,
        *,
        expect: Collection[int] = (200,),
        body: Body = None,
        headers: Mapping[str, str] | None = None,
        doing: str = "",
        redirects: bool = False,
    ) -> requests.Response:
        """The answer, if its status is one of `expect`.

        A file is sent from its beginning at every try. Raises `UploadCutError`, `NoRightsError`,
        `RateLimitedError` or `UploadRefusedError`.
        """
        # What was done once although no answer came must not be done twice.
        tries = 1 if method in ("POST", "PATCH") else ATTEMPTS
        for attempt in range(1, tries + 1):
            last = attempt == tries
            try:
                answer = self._once(method, url, body, dict(headers or {}), redirects)
            except (requests.ConnectionError, requests.Timeout) as error:
                if last:
                    raise self._cut(doing, error, tries) from error
            else:
                if answer.status_code in expect:
                    return answer
                if answer.status_code < 500 or last:
                    raise self._refused(answer, doing)
            self.sleep(PAUSE_SECONDS * attempt)
        raise AssertionError("the last try returned or raised")

    def _once(
        self, method: str, url: str, body: Body, headers: dict[str, str], redirects: bool
    ) -> requests.Response:
        arguments: dict[str, Any] = {
            "headers": headers,
            "auth": self.auth,
            "timeout": TIMEOUT_SECONDS,
            "allow_redirects": redirects,
            "stream": method == "GET",
        }
        if not isinstance(body, Path):
            return self.session.request(method, url, data=body, **arguments)
        with body.open("rb") as file:
            return self.session.request(method, url, data=file, **arguments)

    def sha256(self, url: str, headers: Mapping[str, str] | None = None) -> str:
        """Sha256 of what lies at `url`, read as a whole."""
        total = hashlib.sha256()
        doing = "reading back what was published"
        answer = self.send("GET", url, headers=headers, doing=doing, redirects=True)
        try:
            for chunk in answer.iter_content(1 << 20):
                total.update(chunk)
        except requests.RequestException as error:
            raise self._cut(doing, error, 1) from error
        return total.hexdigest()

    def _cut(self, doing: str, error: Exception, tries: int) -> UploadCutError:
        times = f", {tries} times" if tries > 1 else ""
        return UploadCutError(
            f"{self.label}: the connection broke while {doing}{times}",
            cause=reason(error),
            action="run the same again: it goes on where it stopped",
        )

    def _refused(self, answer: requests.Response, doing: str) -> BuildsysError:
        status = f"{answer.status_code} {answer.reason or ''}".strip()
        what = f"{self.label}: {status} while {doing}"
        words = _words(answer)
        if is_rate_limit(answer):
            return RateLimitedError(
                what,
                cause=words or "too many requests",
                action=f"run the same again {_when(answer)}: it goes on where it stopped",
            )
        if answer.status_code in (401, 403):
            return NoRightsError(what, cause=words or "no words", action=self.rights)
        return UploadRefusedError(
            what,
            cause=words or "the store gave no reason",
            action="mend that at the store, then run the same again: it goes on where it stopped",
        )


@dataclass(frozen=True)
class Below:
    """What lies below `url`, which `client` asks for."""

    client: Client
    url: str

    @property
    def label(self) -> str:
        """The client's."""
        return self.client.label

    def at(self, path: str) -> str:
        """The address of a file."""
        return f"{self.url}/{quote(path)}"


def is_rate_limit(answer: requests.Response) -> bool:
    """Whether a store says "later".

    GitHub does so with 403 as well: with no requests left, or with a time after which to come back
    (docs.github.com, REST API, "Rate limits").
    """
    if answer.status_code == 429:
        return True
    headers = answer.headers
    return answer.status_code == 403 and (
        headers.get("x-ratelimit-remaining") == "0" or "retry-after" in headers
    )


def _words(answer: requests.Response) -> str:
    """What the store says; a page for people is not what it would have said."""
    if "html" in answer.headers.get("Content-Type", ""):
        return "it answered with a web page"
    return " ".join(answer.text.split())[:WORDS]


def _when(answer: requests.Response) -> str:
    if seconds := answer.headers.get("retry-after"):
        return f"in {seconds} seconds" if seconds.isdigit() else f"after {seconds}"
    reset = answer.headers.get("x-ratelimit-reset", "")
    if reset.isdigit():
        return f"after {datetime.fromtimestamp(int(reset), UTC):%Y-%m-%d %H:%M:%S} UTC"
    return "later"


def reason(error: BaseException) -> str:
    """The innermost words of an error; requests wraps them in layers that name the URL."""
    inner: BaseException = error
    while inner.__context__ or inner.__cause__:
        inner = inner.__cause__ or inner.__context__ or inner
    return str(inner) or type(inner).__name__


def demand_url(text: str) -> str:
    """`text` without a slash at its end, if credentials may be sent there.

    Raises `NoRightsError` for what is neither https nor on this machine, and for credentials in it.
    """
    parts = urlsplit(text)
    local = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise NoRightsError(
            f"no credentials are sent to {parts.hostname or text}",
            cause="the address is neither https nor on this machine",
            action="give an address that begins with https://",
        )
    if parts.username or parts.password:
        raise NoRightsError(
            f"the address of {parts.hostname} has credentials in it",
            cause="addresses are shown and logged",
            action="give them in the environment (docs/release.md)",
        )
    return text.rstrip("/")


def chunks(text: str) -> Iterator[str]:
    """The parts of a path, without empty ones."""
    yield from (part for part in text.split("/") if part)
