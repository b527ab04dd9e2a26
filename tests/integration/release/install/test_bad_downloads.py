"""Downloads that break or lie: a named error, and the old executable stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from buildsys.errors import BuildsysError, CheckError, CorruptError, FetchError

from ..flat import TAG, Published, Site, cut, program, version
from ..machine import Machine
from ..server import Answer, Server
from .installing import MARKS, NAME, OLD, RIGHT, everything, install, installed, refused, with_old

pytestmark = MARKS

PAGE = b"<!DOCTYPE html>\n<html><body>Log in to the hotel's network</body></html>\n"
Fault = Callable[[Server, Published], None]


def answers(end: str, *given: Answer) -> Fault:
    return lambda server, _: server.faults.plan("GET", end, *given)


def always(end: str, answer: Answer) -> Fault:
    return answers(end, *[answer] * 8)


def sums_cut(lines: int, characters: int) -> Fault:
    """The sum file without its last lines and characters, as a whole answer."""

    def fault(server: Server, public: Published) -> None:
        text = (public.flat() / "sha256sums.txt").read_bytes().splitlines(keepends=True)
        kept = b"".join(text[: len(text) - lines])
        body = kept[: len(kept) - characters]
        server.faults.plan("GET", "/sha256sums.txt", Answer(200, body))

    return fault


def record_cut(server: Server, public: Published) -> None:
    body = (public.flat() / "release.json").read_bytes()[:-200]
    server.faults.plan("GET", "/release.json", Answer(200, body))


def released(**programs: bytes) -> Fault:
    """A release whose sums are right, of other programs."""
    return lambda _, public: public.release(TAG, programs=programs)


FAULTS: dict[str, tuple[Fault, type[BuildsysError], str]] = {
    "cut": (always(f"/{NAME}", cut(RIGHT, 0)), FetchError, "the connection broke while receiving"),
    "cut sums": (
        always("/sha256sums.txt", cut(b"x" * 500, 100)),
        FetchError,
        "the connection broke while receiving",
    ),
    "changed": (
        answers(f"/{NAME}", Answer(200, RIGHT.replace(b"k3s", b"k8s"))),
        CorruptError,
        "it has the sha256",
    ),
    "shorter": (answers(f"/{NAME}", Answer(200, RIGHT[:-5])), CorruptError, "bytes came"),
    "longer": (answers(f"/{NAME}", Answer(200, RIGHT + b"x")), CorruptError, "bytes came"),
    "sums cut in a line": (sums_cut(0, 20), CorruptError, "sha256sums.txt is not whole"),
    "sums cut in a name": (sums_cut(0, 2), CorruptError, "sha256sums.txt is not whole"),
    "sums cut between lines": (sums_cut(1, 0), CorruptError, "sha256sums.txt is not whole"),
    "sums empty": (sums_cut(99, 0), CorruptError, "sha256sums.txt is not whole"),
    "record cut": (record_cut, CorruptError, "release.json is not whole"),
    "other architecture": (
        released(amd64=program("arm64", version("arm64"))),
        CheckError,
        "k3s-amd64 of v1.35.0+k3s-04e8f1b5.1 is no program for amd64",
    ),
    "no program": (released(amd64=b"text"), CheckError, "is no program for amd64"),
    "CPU too old": (
        released(amd64=program("amd64", "this k3s is for ARMv7").replace(b"exit 0", b"exit 78")),
        CheckError,
        "does not start here (exit code 78)",
    ),
    "other version": (
        released(amd64=program("amd64", "k3s version v1.34.1+k3s1 (x)")),
        CheckError,
        "does not start here",
    ),
    "page": (answers(f"/{NAME}", Answer(200, PAGE)), CorruptError, "is a web page"),
    "page for sums": (answers("/sha256sums.txt", Answer(200, PAGE)), FetchError, "is a web page"),
    "page for record": (answers("/release.json", Answer(200, PAGE)), FetchError, "is a web page"),
    "page for channels": (answers("channels.json", Answer(200, PAGE)), FetchError, "is a web page"),
    "channels cut": (answers("channels.json", Answer(200, b'{"d')), CorruptError, "channels file"),
    "not there": (always(f"/{NAME}", Answer(404)), FetchError, "there is no http"),
    "refused": (always("/sha256sums.txt", Answer(403)), FetchError, "the server refuses"),
    "server fails": (
        always(f"/{NAME}", Answer(503)),
        FetchError,
        "the server fails to give",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_bad_download_leaves_the_old_version(
    machine: Machine, public: Published, server: Server, name: str
) -> None:
    fault, error, words = FAULTS[name]
    with_old(machine)
    before = everything(machine)
    fault(server, public)
    done = install(machine, server)
    refused(done, error, words)
    now = {k: v for k, v in everything(machine).items() if not k.endswith(".part")}
    assert now == before
    assert machine.calls == []
    # The place is mended: the same again.
    server.faults.planned.clear()
    public.release()
    installed(machine, server)
    assert machine.k3s.read_bytes() == RIGHT
    assert (machine.bin / "k3s-previous").read_bytes() == OLD
    assert not list(machine.bin.glob(".k3s*"))


def test_download_that_was_cut_goes_on(machine: Machine, site: Site, server: Server) -> None:
    half = len(RIGHT) // 2
    server.faults.plan("GET", f"/{NAME}", cut(RIGHT, half))
    installed(machine, server)
    assert machine.k3s.read_bytes() == RIGHT
    assert [begin for path, begin in site.served if path.endswith(NAME)] == [half]


def test_next_run_goes_on(machine: Machine, site: Site, server: Server) -> None:
    half = len(RIGHT) // 2
    server.faults.plan("GET", f"/{NAME}", cut(RIGHT, half), *[Answer(503)] * 8)
    refused(install(machine, server), FetchError, "it goes on where it stopped")
    server.faults.planned.clear()
    installed(machine, server)
    assert [begin for path, begin in site.served if path.endswith(NAME)] == [half]
    assert machine.k3s.read_bytes() == RIGHT


def test_server_that_knows_no_ranges(machine: Machine, site: Site, server: Server) -> None:
    site.ranges = False
    server.faults.plan("GET", f"/{NAME}", cut(RIGHT, len(RIGHT) // 2))
    installed(machine, server)
    assert machine.k3s.read_bytes() == RIGHT


def test_beginning_that_was_wrong_is_received_anew(
    machine: Machine, site: Site, server: Server
) -> None:
    server.faults.plan("GET", f"/{NAME}", cut(b"y" * len(RIGHT), len(RIGHT) // 2))
    installed(machine, server)
    assert machine.k3s.read_bytes() == RIGHT
    assert [begin for path, begin in site.served if path.endswith(NAME)][-1] == 0
