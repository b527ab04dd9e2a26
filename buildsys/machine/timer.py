"""Cures a board's timer from outside, over QEMU's qtest socket.

QEMU's bcm2835 system timer (hw/timer/bcm2835_systmr.c) takes a compare value that is written after
its moment for one 2^32 µs ahead, as the chip does. Linux writes "counter + delta" without looking
again (bcm2835_timer.c), and the thread that emulates the CPU may be set aside between the read and
the write: the guest then sleeps for 71 minutes. Whoever sees a compare in the past moves it a
millisecond ahead; an early timer interrupt does no harm.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from buildsys.model import OneShotTimer

EVERY_SECONDS = 0.1
AHEAD = 1000
"""Ticks, which are microseconds."""

Ask = Callable[[str], str]
"""Sends a line to qtest and gives the second word of its answer."""

_HALF, _WHOLE = 1 << 31, 1 << 32


def is_missed(timer: OneShotTimer, status: int, counter: int, compare: int) -> bool:
    """Whether the moment of `compare` is over and no interrupt waits for it."""
    return not status & timer.match and 0 < (counter - compare) % _WHOLE < _HALF


@dataclass
class Watch:
    """A thread that looks after the timer of one machine until the machine ends."""

    timer: OneShotTimer
    path: Path
    moved: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begin; QEMU must be listening at `path`."""
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        """End soon."""
        self._stop.set()

    def _run(self) -> None:
        try:
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(str(self.path))
                with line.makefile("rw") as file:
                    while not self._stop.wait(EVERY_SECONDS):
                        self._look(lambda text: _ask(file, text))
        except (OSError, ValueError, IndexError):
            return  # the machine ended; the driver says how

    def _look(self, ask: Ask) -> None:
        timer = self.timer
        status, compare, counter = (
            int(ask(f"readl {address:#x}"), 16)
            for address in (timer.status, timer.compare, timer.counter)
        )
        if is_missed(timer, status, counter, compare):
            ask(f"writel {timer.compare:#x} {(counter + AHEAD) % _WHOLE:#x}")
            self.moved += 1


def _ask(file: TextIO, text: str) -> str:
    file.write(f"{text}\n")
    file.flush()
    word, *rest = file.readline().split()
    if word != "OK":
        raise ValueError(f"qtest answers {word}")
    return rest[0] if rest else ""
