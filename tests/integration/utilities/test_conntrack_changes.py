"""Filters, and what changes the table: each against the flows of the lab."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

from .conntrack_filters import FILTERS
from .conntrack_lab import FLOWS, TITLE, V4, Done, Lab, lab, program

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def seen() -> Iterator[Lab]:
    with lab(program("amd64")) as made:
        yield made


@pytest.fixture
def own() -> Iterator[Lab]:
    with lab(program("amd64")) as made:
        yield made


@pytest.mark.parametrize(("options", "expected"), FILTERS, ids=[f[0] for f in FILTERS])
def test_filters(seen: Lab, options: str, expected: set[str]) -> None:
    assert seen.flows(*options.split()) == expected


def test_count(own: Lab) -> None:
    assert own.run("-C") == Done(0, f"{len(FLOWS)}\n", "")
    assert own.run("--count", "conntrack") == Done(0, f"{len(FLOWS)}\n", "")


def test_delete_by_each_filter(own: Lab) -> None:
    """What matches goes and is shown, the rest stays; then nothing matches any more."""
    left = set(FLOWS)
    for options, expected in sorted(FILTERS, key=lambda f: len(f[1])):
        gone = set(expected) & left
        done = own.run("-D", *options.split())
        title = f"{TITLE}: {len(gone)} flow entries have been deleted.\n"
        assert (done.code, done.flows, done.err) == (0 if gone else 1, gone, title), options
        left -= gone
        assert own.flows() == left, options
    assert left == set()


def test_delete_of_nothing(own: Lab) -> None:
    for options in ("-s 10.1.2.3", "-p udp --dport 5", "-f ipv6 -p icmp", "-w 9"):
        done = own.run("-D", *options.split())
        assert done == Done(1, "", f"{TITLE}: 0 flow entries have been deleted.\n"), options
    assert own.flows() == FLOWS


def test_get(own: Lab) -> None:
    one = ["-p", "tcp", "-s", "10.77.0.1", "-d", "10.77.0.2", "--sport", "4001", "--dport"]
    done = own.run("-G", *one, "8080")
    assert (done.code, done.flows) == (0, {"4001"})
    missing = own.run("-G", *one, "8081")
    assert missing == Done(1, "", f"{TITLE}: Operation failed: such conntrack doesn't exist\n")


def test_flush_of_a_family_and_of_all(own: Lab) -> None:
    emptied = Done(0, "", f"{TITLE}: connection tracking table has been emptied.\n")
    assert own.run("-F", "-f", "ipv6") == emptied
    assert own.flows() == V4
    assert own.run("--flush") == emptied
    assert own.run("-C") == Done(0, "0\n", "")
    assert own.run("-D").code == 1


def test_zeroing(own: Lab) -> None:
    """Of the family that is asked for; what is listed is what was counted before."""
    assert "packets=0" not in own.run("-L", "-z", "-f", "ipv6").out
    assert not re.search("packets=[1-9]", own.run("-L", "-f", "ipv6").out)
    assert "packets=0" not in own.run("-L", "-f", "ipv4", "-u", "SEEN_REPLY").out


def test_a_large_table(own: Lab) -> None:
    """Some hundred datagrams of the kernel's, listed and deleted."""
    send = "import socket; s = socket.socket(2, 2); s.bind(('', 6000))"
    ports = "[s.sendto(b'x', ('10.77.0.2', port)) for port in range(10000, 15000)]"
    own.near.ok(sys.executable, "-c", f"{send}; {ports}")
    done = own.run("-L", "-p", "udp", "--sport", "6000")
    found = {int(port) for port in re.findall(r" dport=(1\d{4}) .*UNREPLIED", done.out)}
    assert found == set(range(10000, 15000))
    gone = own.run("-D", "-p", "udp", "--sport", "6000")
    assert f"{TITLE}: 5000 flow entries have been deleted.\n" == gone.err
    assert own.flows() == FLOWS
