"""Our conntrack as it watches the table."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from .conntrack_lab import BACK, COUNT, ENDS, TITLE, Done, Lab, lab, program

pytestmark = pytest.mark.integration


@pytest.fixture
def own() -> Iterator[Lab]:
    with lab(program("amd64")) as made:
        yield made


def watch(own: Lab, *options: str, acts: Callable[[], object]) -> Done:
    """What `-E` shows of what happens in `acts`."""
    argv = own.near.inside(own.program, "-E", *options)
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdout=pipe, stderr=pipe, text=True) as process:
        time.sleep(0.5)
        acts()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    return Done(process.returncode, out, err)


def greet(own: Lab, port: int) -> None:
    """One datagram and its answer."""
    send = "import socket; s = socket.socket(2, 2); s.settimeout(9)"
    talk = f"s.bind(('', {port})); s.sendto(b'x', ('10.77.0.2', 53)); s.recv(9)"
    own.near.ok(sys.executable, "-c", f"{send}; {talk}")


def test_events(own: Lab) -> None:
    def acts() -> None:
        greet(own, 7001)
        assert own.run("-D", "-p", "udp", "--sport", "7001").code == 0

    done = watch(own, "-p", "udp", "--sport", "7001", acts=acts)
    ends = f"{ENDS} sport=7001 dport=53"
    back = f"{BACK} sport=53 dport=7001"
    left = "(899|900)"  # whole seconds of 900, from the tick in which the event was written
    form = (
        rf"    \[NEW\] udp      17 {left} {ends} \[UNREPLIED\] {back}\n"
        rf" \[UPDATE\] udp      17 {left} {ends} {back}\n"
        rf"\[DESTROY\] udp      17 \d+ {ends} {COUNT} {back} {COUNT} delta-time=\d+ "
        r"\[USERSPACE\] portid=\d+( progname=conntrack)?\n"
    )
    assert re.fullmatch(form, done.out), done
    assert (done.code, done.err) == (0, f"{TITLE}: 3 flow events have been shown.\n")


def test_events_of_some_kinds(own: Lab) -> None:
    options = ["-e", "NEW", "-o", "timestamp,extended", "-b", "1000000"]
    done = watch(own, *options, acts=lambda: greet(own, 7002))
    assert re.fullmatch(r"\[\d+\.\d{6}\]\t    \[NEW\] ipv4     2 udp .*\n", done.out), done
    assert re.fullmatch(r"NOTICE: .* set to \d+ bytes\.\n.*: 1 flow events .*\n", done.err), done
    assert watch(own, "-f", "ipv6", acts=lambda: greet(own, 7003)).out == ""
