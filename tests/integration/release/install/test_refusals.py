"""What install.sh refuses before it changes anything: no room, no rights, odd wishes."""

from __future__ import annotations

import pytest

from buildsys.errors import DiskFullError, NotWritableError, UnknownNameError

from ..flat import TAG, Published, program, version
from ..machine import Machine
from ..server import Server
from .installing import MARKS, NAME, OLD, TOOLSETS, Make, everything, install, refused, with_old

pytestmark = MARKS


@pytest.mark.parametrize("blind", [False, True], ids=["seen before", "while writing"])
@pytest.mark.parametrize("tools", TOOLSETS)
def test_disk_full(make: Make, public: Published, server: Server, tools: str, blind: bool) -> None:
    public.release(TAG, programs={"amd64": program("amd64", version("amd64"), 2_000_000)})
    machine = with_old(make(tools, disk="1024"))
    if blind:
        machine.fake("df", "#!/bin/sh\nexit 1\n")
    done = install(machine, server)
    refused(done, DiskFullError, "no space left in /usr/local/bin")
    assert (machine.root / "after").read_bytes() == OLD
    assert machine.read("left") == "k3s\n"
    assert bool(server.count("GET", f"/{NAME}")) == blind


def test_no_write_permission(make: Make, server: Server) -> None:
    machine = with_old(make(disk="ro"))
    before = everything(machine)
    refused(install(machine, server), NotWritableError, "/usr/local/bin cannot be written", "root")
    assert everything(machine) == before
    assert not server.requests


def test_unknown_channel(machine: Machine, server: Server) -> None:
    done = install(machine, server, INSTALL_K3S_CHANNEL="nightly")
    refused(done, UnknownNameError, "has no channel nightly", "it has: stable, latest")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"INSTALL_K3S_COMMIT": "abc"}, "no builds of a commit"),
        ({"INSTALL_K3S_VERSION": "../../etc"}, "is no version"),
        ({"INSTALL_K3S_FROM": "ftp://example.org"}, "nothing can be received from"),
        ({"INSTALL_K3S_FROM": "/nowhere"}, "there is no folder /nowhere"),
        ({"INSTALL_K3S_NAME": "a b"}, "no service can be called"),
        ({"K3S_URL": "http://10.0.0.1:6443"}, "https://SERVER:6443"),
        ({"K3S_URL": "https://10.0.0.1:6443"}, "no K3S_TOKEN"),
        ({"INSTALL_K3S_EXEC": "server 'open"}, "INSTALL_K3S_EXEC cannot be read"),
        ({"GITHUB_URL": ""}, "nobody said where from"),
    ],
)
def test_wishes_that_cannot_be(
    make: Make, server: Server, variables: dict[str, str], words: str
) -> None:
    machine = with_old(make())
    before = everything(machine)
    refused(install(machine, server, **variables), UnknownNameError, words)
    assert everything(machine) == before
