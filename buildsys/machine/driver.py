"""A running machine: switched on, asked for steps over its console, watched, switched off."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from qemu.qmp import QMPError
from qemu.qmp.legacy import QEMUMonitorProtocol

from buildsys.errors import BootError
from buildsys.machine.console import (
    FATAL,
    Acked,
    Answer,
    Booted,
    Console,
    Ended,
    Event,
    Garbled,
    State,
    Trouble,
    request,
)
from buildsys.machine.qemu import Files
from buildsys.machine.starved import kept_waiting
from buildsys.machine.timer import Watch
from buildsys.model import OneShotTimer
from buildsys.run import ending_with_us

SILENCE_SECONDS = 240
"""Wall seconds without a word after which a guest is taken to have stalled; what a busy host kept
the emulator waiting does not count. A loaded raspi0 under -icount needs about 4 wall seconds for
one of its own, and speaks every 5 of these."""

GRACE = 1.2
"""How much longer than a step's time, in guest seconds, its answer may take."""

CONNECT_SECONDS = 120
"""Wall seconds that a busy host may take to start QEMU."""

QUIT_SECONDS = 20
"""Wall seconds that QEMU may take to end when it is asked to; then it is killed."""


@dataclass
class Running:
    """One boot of a machine. `beats` are what it said of itself, in order.

    `company` are all boards that are on: while one is waited for, the others are heard as well.
    """

    process: subprocess.Popen[bytes]
    files: Files
    nonce: str
    watch: Watch | None = None
    name: str = "board"
    company: Collection[Running] = ()
    told: Callable[[State], None] = lambda _: None
    console: Console = field(default_factory=Console)
    beats: list[State] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    acked: int = 0
    _line: socket.socket | None = None
    _number: int = 0
    _last: float = field(default_factory=time.monotonic)
    _waited: float = 0.0

    @property
    def uptime(self) -> float:
        """The guest's last known second."""
        return self.beats[-1].uptime if self.beats else 0.0

    def boot(self, within: float) -> Booted:
        """Wait for the guest's first word. Raises `BootError`."""
        self._line = _connected(Path(self.files.console), self.process)
        if self.watch:
            self.watch.start()
        for event in self._events("boot", within):
            if isinstance(event, Booted):
                return event
        raise AssertionError("unreachable")

    def step(self, name: str, run: str, expect: str, within: int, every: int) -> Answer:
        """Have the guest run a command; its answer. Raises `BootError` if none comes."""
        self._number += 1
        self._send(request(self._number, within, every, expect, run))
        for event in self._events(name, self.uptime + within * GRACE + 30):
            if isinstance(event, Garbled):
                self._send(b"again\n")
            elif isinstance(event, Answer) and event.id == self._number:
                return event
        raise AssertionError("unreachable")

    def wait(self, name: str, seconds: float) -> None:
        """Let that many guest seconds pass. Raises `BootError` where the guest comes to grief."""
        until = self.uptime + seconds
        for _ in self._events(name, until + 60):
            if self.uptime >= until:
                return

    def off(self, within: float) -> None:
        """Let the guest end in good order. Raises `BootError` without its sentinel."""
        self._send(b"off\n")
        for event in self._events("off", self.uptime + within):
            if isinstance(event, Ended) and event.nonce == self.nonce:
                break
        self._quit()

    def cut(self) -> None:
        """Take the power away. When this returns, nothing writes to the disk any more."""
        self._kill()
        self._close()

    def end(self) -> None:
        """Leave nothing running, whatever happened."""
        if self.process.poll() is None:
            self.cut()
        self._close()

    def _kill(self) -> None:
        """The process is nsenter, of which QEMU is a child in the same group."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        while _listens(Path(self.files.control)):
            time.sleep(0.02)

    def _close(self) -> None:
        if self.watch:
            self.watch.stop()
        if self._line:
            self._line.close()
            self._line = None

    def _quit(self) -> None:
        """The guest may have switched itself off already."""
        with suppress(OSError, EOFError, QMPError):  # it may have ended before
            control = QEMUMonitorProtocol(str(self.files.control))
            try:
                control.connect()
                control.cmd("quit")
            finally:
                control.close()
        try:
            self.process.wait(QUIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
        self._close()

    def _send(self, data: bytes) -> None:
        assert self._line is not None
        try:
            self._line.sendall(data)
        except OSError as error:
            raise self._failure("the emulator ended", "sending a step", str(error)) from error

    def listen(self, name: str, seconds: float) -> None:
        """Hear the guest for that many wall seconds. Raises `BootError` where it comes to grief.

        Unheard, the console's socket is full after some hundred bytes, and the guest waits for it.
        """
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            list(self._heard(name, left))

    def _events(self, doing: str, until: float) -> Iterator[Event]:
        """What the guest says, until `until` of its seconds. Raises `BootError`."""
        while True:
            yield from self._heard(doing, 1.0)
            if self.uptime > until:
                raise self._failure("timeout", doing, f"no end by guest second {until:.0f}")

    def _heard(self, doing: str, seconds: float) -> Iterator[Event]:
        """What the guest says now, or until any board speaks, within `seconds` of the wall."""
        assert self._line is not None
        lines = {one._line: one for one in (*self.company, self) if one._line}
        ready, _, _ = select.select(list(lines), [], [], seconds)
        said = {line: one._taken(line, doing, line in ready) for line, one in lines.items()}
        yield from said[self._line]

    def _taken(self, line: socket.socket, doing: str, ready: bool) -> list[Event]:
        """What the guest said by now, all of it noted."""
        data = line.recv(65536) if ready else b""
        if data:
            self._last, self._waited = time.monotonic(), kept_waiting(self.process.pid)
            return self._noted(data, doing)
        if ready or self.process.poll() is not None:
            raise self._failure("the emulator ended", doing, self._exit_text())
        if self._silence() > SILENCE_SECONDS:
            raise self._failure("stalled", doing, f"no word for {SILENCE_SECONDS} wall seconds")
        return []

    def _silence(self) -> float:
        """Seconds since its last word that it could have spoken in."""
        silent = time.monotonic() - self._last
        if silent > SILENCE_SECONDS:
            silent -= kept_waiting(self.process.pid) - self._waited
        return silent

    def _noted(self, data: bytes, doing: str) -> list[Event]:
        """The events in `data`, all of them kept, whichever the caller waits for."""
        events = list(self.console.feed(data))
        for event in events:
            state = event if isinstance(event, State) else getattr(event, "state", None)
            if state:
                self.beats.append(state)
                self.told(state)
            if isinstance(event, Acked):
                self.acked = max(self.acked, event.number)
            if isinstance(event, Trouble):
                self.troubles.append(event)
                if event.kind in FATAL:
                    raise self._failure(event.kind, doing, event.line)
        return events

    def _exit_text(self) -> str:
        status = self.process.wait()
        ended = f"QEMU ended with status {status}" if status else "the guest restarted or halted"
        return ended + (f"; {self.troubles[-1].line}" if self.troubles else "")

    def _failure(self, kind: str, doing: str, detail: str) -> BootError:
        of = f"{self.name}: " if len(self.company) > 1 else ""
        return BootError(kind, doing, self.uptime, f"{of}{detail}", self.console.lines[-15:])


def switch_on(
    argv: list[str],
    files: Files,
    nonce: str,
    errors: Path,
    timer: OneShotTimer | None,
    name: str = "board",
) -> Running:
    """Start QEMU. What it writes of its own accord goes to `errors`."""
    for path in (files.console, files.control, files.registers):
        Path(path).unlink(missing_ok=True)
    with errors.open("ab") as out:
        process = subprocess.Popen(
            ending_with_us(argv),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    watch = Watch(timer, Path(files.registers)) if timer else None
    return Running(process, files, nonce, watch, name)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as line:
        return line.connect_ex(str(path)) == 0


def _connected(path: Path, process: subprocess.Popen[bytes]) -> socket.socket:
    until = time.monotonic() + CONNECT_SECONDS
    while time.monotonic() < until and process.poll() is None:
        line = socket.socket(socket.AF_UNIX)
        try:
            line.connect(str(path))
        except OSError:
            line.close()
            time.sleep(0.05)
        else:
            return line
    status = process.poll()
    waited = f"it did not open {path.name} in {CONNECT_SECONDS} s"
    detail = waited if status is None else f"QEMU ended with status {status}"
    raise BootError("the emulator did not start", "boot", 0, detail, [])
