"""Which init system is asked, and what becomes of one that fails or does not run."""

from __future__ import annotations

import pytest

from buildsys.errors import SmokeError

from ..machine import LOGGED
from ..server import Server
from .installing import MARKS, Make, install, installed, refused

pytestmark = MARKS


def test_running_systemd_is_asked_though_openrc_is_installed(make: Make, server: Server) -> None:
    machine = make("dash+curl")
    machine.fake("openrc-run", LOGGED)
    installed(machine, server)
    assert machine.calls[-1] == "systemctl restart k3s"
    assert not list((machine.root / "etc/init.d").iterdir())


def test_running_openrc_is_asked_though_systemctl_is_installed(make: Make, server: Server) -> None:
    machine = make("busybox", init="openrc")
    machine.fake("systemctl", LOGGED)
    installed(machine, server)
    assert machine.calls == ["rc-update add k3s default", "rc-service k3s restart"]


@pytest.mark.parametrize(
    ("init", "calls"),
    [("systemd", ["systemctl enable k3s"]), ("openrc", ["rc-update add k3s default"])],
)
def test_none_runs(make: Make, server: Server, init: str, calls: list[str]) -> None:
    """In a chroot, under an image builder, in WSL: it is enabled, not started."""
    machine = make("busybox", init=init)
    for name in ("run/systemd/system", "run/openrc/softlevel"):
        if (machine.root / name).is_dir():
            (machine.root / name).rmdir()
    done = installed(machine, server)
    assert f"{init} does not run here: k3s is enabled" in done.stdout
    assert machine.calls == calls


@pytest.mark.parametrize(
    ("init", "tool", "word"),
    [
        ("systemd", "systemctl", "daemon-reload"),
        ("systemd", "systemctl", "enable"),
        ("openrc", "rc-update", "add"),
    ],
)
def test_what_fails_is_named(make: Make, server: Server, init: str, tool: str, word: str) -> None:
    machine = make("dash+curl", init=init)
    failing = f'#!/bin/sh\n[ "$1" != {word} ] || {{ echo "it is broken" >&2; exit 1; }}\n'
    machine.fake(tool, failing)
    done = install(machine, server)
    refused(done, SmokeError, f"`{tool} {word}", "failed (exit code 1)", "cause: it is broken")


@pytest.mark.parametrize("tool", ["ln", "mv", "chmod", "cp", "touch", "mkdir", "dirname", "id"])
def test_no_command_fails_without_a_word(make: Make, server: Server, tool: str) -> None:
    """Each that fails, wherever it is called, ends with three lines and a code of the table."""
    machine = make("dash+curl")
    machine.fake(tool, f'#!/bin/sh\necho "{tool}: it is broken" >&2\nexit 1\n')
    done = install(machine, server, K3S_TOKEN="x")
    if tool == "id":
        assert done.returncode == 0
        return
    assert done.returncode in (16, 17, 18, 20, 22, 25), done.stdout + done.stderr
    assert "error: " in done.stderr
    assert "\nnext: " in done.stderr
