"""Installing again: what is kept, what is taken back, what stays as it is."""

from __future__ import annotations

from ..flat import NEXT, TAG, Published, program, version
from ..machine import Machine
from ..server import Server
from .installing import MARKS, Make, everything, installed

pytestmark = MARKS


def test_upgrade_keeps_the_one_before_and_rollback_takes_it_back(
    machine: Machine, public: Published, server: Server
) -> None:
    installed(machine, server)
    public.release(NEXT)
    done = installed(machine, server)
    assert "k3s-previous" in done.stdout
    first, second = (program("amd64", version("amd64", tag)) for tag in (TAG, NEXT))
    previous = machine.bin / "k3s-previous"
    assert (machine.k3s.read_bytes(), previous.read_bytes()) == (second, first)
    for now, other in ((first, second), (second, first)):
        done = machine.run("/usr/local/bin/k3s-rollback.sh")
        assert done.returncode == 0, done.stderr
        assert (machine.k3s.read_bytes(), previous.read_bytes()) == (now, other)
        assert machine.calls[-1] == "systemctl restart k3s"


def test_rollback_without_one_before(make: Make, server: Server) -> None:
    machine = make()
    installed(machine, server)
    done = machine.run("/usr/local/bin/k3s-rollback.sh")
    assert done.returncode == 26
    assert "there is no /usr/local/bin/k3s-previous" in done.stderr


def test_second_run_changes_nothing_and_restarts_nothing(machine: Machine, server: Server) -> None:
    installed(machine, server, K3S_TOKEN="secret")
    before, calls = everything(machine), machine.calls
    done = installed(machine, server)
    assert everything(machine) == before
    assert "is that already" in done.stdout
    assert machine.calls[len(calls) :] == ["systemctl daemon-reload", "systemctl enable k3s"]
    installed(machine, server, INSTALL_K3S_FORCE_RESTART="true")
    assert machine.calls[-1] == "systemctl restart k3s"
