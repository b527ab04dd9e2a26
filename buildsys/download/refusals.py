"""What the answers of servers and proxies mean: come later, not there, or not for you."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from buildsys.errors import FetchError

LONGEST_WAIT_SECONDS = 120.0
"""The longest Retry-After that is waited for; a longer one is named, and the run ends."""

_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3}) ?(.*)")
"""What Python's http.client says where a proxy does not let a connection through."""


class LaterError(Exception):
    """It may come at another try, in `seconds` where the server said so (RFC 9110, Retry-After)."""

    def __init__(self, text: str, seconds: float | None = None) -> None:
        super().__init__(text)
        self.seconds = seconds


def refuse(url: str, status: int, words: str, headers: Mapping[str, str]) -> None:
    """Raise what an answer of that status, one that was not hoped for, means.

    `LaterError` where another try may help, else `FetchError`.
    """
    answer = f"{status} {words}".strip()
    if status >= 500 or status in (408, 425, 429):
        raise LaterError(f"the server answered {answer}", seconds_of(headers.get("Retry-After")))
    if status in (404, 410):
        raise FetchError(
            f"there is no {url}: {answer}",
            cause="no such release, or a place of another kind",
            action="look at --version and --from (docs/release.md has the layout)",
        )
    if status == 407:
        raise _proxy_login(url, answer)
    if status == 401:
        raise FetchError(
            f"{url} is for those who log in: {answer}",
            cause="the place is private",
            action="use a place that everybody may read, or a folder",
        )
    raise FetchError(
        f"the server refuses {url}: {answer}",
        cause="a filter, a limit of requests or a private place answers so",
        action="ask whose it is, try later, or use another place",
    )


def refuse_tunnel(url: str, text: str) -> None:
    """Raise what it means that a proxy let no connection through, if `text` says that it did so."""
    found = _TUNNEL.search(text)
    if not found:
        return
    status, answer = int(found[1]), f"{found[1]} {found[2]}".strip()
    if status == 407:
        raise _proxy_login(url, answer)
    if status < 500:
        raise FetchError(
            f"the proxy refuses {url}: {answer}",
            cause="it does not let this machine or this address through",
            action="ask whose it is, or look at https_proxy and no_proxy",
        )
    raise LaterError(f"the proxy answered {answer}")


def _proxy_login(url: str, answer: str) -> FetchError:
    return FetchError(
        f"the proxy wants a login before it asks for {url}: {answer}",
        cause="https_proxy or http_proxy has no name and password, or wrong ones",
        action="give them there: http://NAME:PASSWORD@HOST:PORT",
    )


def seconds_of(after: str | None) -> float | None:
    """How long a Retry-After header says to wait; None where it says nothing that is understood."""
    text = (after or "").strip()
    if text.isdecimal():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (date.astimezone(UTC) - datetime.now(UTC)).total_seconds())
