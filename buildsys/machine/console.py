"""What the guest says: lines of its console to typed values. Pure: no clock, no socket."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MARK = "@guest "

TROUBLES = (
    ("kernel panic", re.compile(r"Kernel panic - not syncing: .*")),
    (
        "out of memory",
        re.compile(r"(Out of memory: Killed process |Memory cgroup out of memory).*"),
    ),
    ("illegal instruction", re.compile(r".*(undefined instruction|[Ii]llegal instruction).*")),
    # Go's own start code, where it looks before it leaps; "a binary compiled for …" comes after.
    ("code for another CPU", re.compile(r"runtime: this CPU has no .*")),
    ("code for another machine", re.compile(r".*[Ee]xec format error.*")),
    # k3s; without "level=fatal" it is the warning that our patch makes of it.
    ("cgroup controller missing", re.compile(r"level=fatal .*failed to find \w+ cgroup.*")),
    ("kernel oops", re.compile(r"(Internal error: |Unable to handle kernel |BUG: ).*")),
    ("disk error", re.compile(r"EXT4-fs error .*|.*I/O error, dev .*")),
)
"""What a kernel, a shell or k3s writes when something is wrong for good, by our name for it."""

FATAL = frozenset({"kernel panic", "kernel oops", "disk error"})
"""Troubles after which waiting is idle. The others end a step only if the step fails for it."""


@dataclass(frozen=True)
class State:
    """How the guest fares: seconds since its boot; MiB available, swapped, resident in k3s."""

    uptime: float
    available: float
    swap: float
    rss: float
    oom_kills: int


@dataclass(frozen=True)
class Booted:
    """The guest's first word: what it is and what it lacks."""

    uname: str
    release: str
    features: frozenset[str]
    controllers: tuple[str, ...]
    missing: tuple[str, ...]
    state: State


@dataclass(frozen=True)
class Answer:
    """How a step ended: exit code, tries, the guest second it began in, what it printed."""

    id: int
    code: int
    tries: int
    begin: float
    output: str
    state: State


@dataclass(frozen=True)
class Acked:
    """A server in the guest has answered that it keeps this write, and all before it."""

    number: int


@dataclass(frozen=True)
class Ended:
    """The sentinel: the guest ended in good order and knows what only this boot was told."""

    nonce: str


@dataclass(frozen=True)
class Trouble:
    """Something wrong that the kernel, a shell or k3s wrote."""

    kind: str
    line: str


@dataclass(frozen=True)
class Garbled:
    """A line of ours that something was written into: it has to be asked for again."""

    line: str


Event = State | Booted | Answer | Acked | Ended | Trouble | Garbled


@dataclass
class Console:
    """Takes bytes as they come and yields what whole lines mean."""

    _rest: bytes = b""
    lines: list[str] = field(default_factory=list)
    """The last lines, for a failure's text."""

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events of every line that `data` completes."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        for raw in whole:
            line = raw.decode("utf-8", "replace").strip("\r")
            event = read_line(line)
            if not isinstance(event, State) and line.strip():
                self.lines = [*self.lines[-39:], line[:400]]
            if event:
                yield event


def read_line(line: str) -> Event | None:
    """What one line means; None for what is neither ours nor trouble."""
    _, mark, text = line.partition(MARK)
    if mark:
        try:
            return _said(json.loads(text))
        except (ValueError, KeyError, TypeError, binascii.Error):
            return Garbled(line)
    return trouble_in(line)


def trouble_in(line: str) -> Trouble | None:
    """What a line that is not ours says of trouble."""
    for kind, pattern in TROUBLES:
        if found := pattern.search(line):
            return Trouble(kind, found[0])
    return None


def _said(data: dict[str, Any]) -> Event:
    if "failed" in data:
        return Trouble("kernel panic", f"the guest gave up: {data['failed']}")
    if "acked" in data:
        return Acked(int(data["acked"]))
    if "end" in data:
        return Ended(str(data["end"]))
    if "boot" in data:
        return Booted(
            uname=data["boot"],
            release=data["release"],
            features=frozenset(data["features"].split()),
            controllers=tuple(data["controllers"].split()),
            missing=tuple(data["missing"].split()),
            state=_state(data),
        )
    if "id" in data:
        output = base64.b64decode(data["output"], validate=True).decode("utf-8", "replace")
        return Answer(data["id"], data["code"], data["tries"], data["begin"], output, _state(data))
    return _state(data)


def _state(data: dict[str, Any]) -> State:
    available, swap, rss = (round(data[key] / 1024, 1) for key in ("available", "swap", "rss"))
    return State(float(data["uptime"]), available, swap, rss, int(data["oom_kills"]))


def request(number: int, seconds: int, every: int, expect: str, command: str) -> bytes:
    """The line that asks the guest for a step. A terminal takes lines of up to 4095 bytes."""
    words = [str(number), str(seconds), str(every), _encoded(expect), _encoded(command)]
    line = f"{' '.join(words)}\n".encode()
    assert len(line) < 4096
    return line


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode() or "-"
