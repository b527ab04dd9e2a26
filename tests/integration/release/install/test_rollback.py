"""Rollback: each service restarts, and whatever fails, both versions are there afterwards."""

from __future__ import annotations

import pytest

from ..machine import Machine
from ..server import Server
from .installing import MARKS, Done, Make, installed
from .removing import machine_with_k3s

pytestmark = MARKS

ROLLBACK = "/usr/local/bin/k3s-rollback.sh"
NEW, OLD = ("#!/bin/sh\necho new\n", "#!/bin/sh\necho old\n")


def upgraded(make: Make, server: Server) -> Machine:
    machine = machine_with_k3s(make, server)
    machine.k3s.write_text(NEW)
    (machine.bin / "k3s-previous").write_text(OLD)
    (machine.bin / "k3s-previous").chmod(0o755)
    return machine


def versions(machine: Machine) -> list[str]:
    return [
        (machine.bin / name).read_text().split()[-1]
        for name in ("k3s", "k3s-previous", ".k3s-aside")
        if (machine.bin / name).exists()
    ]


def rollback(machine: Machine) -> Done:
    return machine.run("sh", "-c", f"sh {ROLLBACK}; exit $?")


def test_each_service_restarts_though_one_fails(make: Make, server: Server) -> None:
    machine = upgraded(make, server)
    installed(machine, server, INSTALL_K3S_NAME="lab", INSTALL_K3S_SKIP_DOWNLOAD="true")
    machine.fake(
        "systemctl", '#!/bin/sh\necho "systemctl $*" >>/calls\n[ "$*" != "restart k3s" ]\n'
    )
    calls = len(machine.calls)
    done = rollback(machine)
    assert done.returncode == 22
    assert "error: k3s did not start" in done.stderr and "\nnext: " in done.stderr
    asked = [call for call in machine.calls[calls:] if "restart" in call]
    assert sorted(asked) == ["systemctl restart k3s", "systemctl restart k3s-lab"]
    assert versions(machine) == ["old", "new"]


@pytest.mark.parametrize("failing", [1, 2])
@pytest.mark.parametrize("how", ["exit 1", "kill -9 $PPID; exit 1"])
def test_rename_fails_or_the_run_is_cut(make: Make, server: Server, failing: int, how: str) -> None:
    machine = upgraded(make, server)
    count = f"echo >>/renames; [ $(grep -c '' /renames) != {failing} ] || {{ {how}; }}"
    machine.fake("mv", f'#!/bin/sh\n{count}\nexec /bin/busybox mv "$@"\n')
    done = rollback(machine)
    assert done.returncode == (25 if how == "exit 1" else 137), done
    assert {"old", "new"} <= set(versions(machine))
    (machine.root / "fake/mv").unlink()
    assert rollback(machine).returncode == 0
    assert versions(machine) == ["old", "new"]


def test_nothing_changes_where_no_copy_can_be_made(make: Make, server: Server) -> None:
    machine = upgraded(make, server)
    for name in ("ln", "cp"):
        machine.fake(name, "#!/bin/sh\necho no room >&2\nexit 1\n")
    calls = len(machine.calls)
    done = rollback(machine)
    assert done.returncode == 25 and "no room" in done.stderr and "\nnext: " in done.stderr
    assert versions(machine) == ["new", "old"]
    assert machine.calls[calls:] == []


def test_version_that_does_not_start_is_not_taken_back(make: Make, server: Server) -> None:
    machine = upgraded(make, server)
    (machine.bin / "k3s-previous").write_text("#!/bin/sh\necho broken old\nexit 1\n")
    done = rollback(machine)
    assert done.returncode == 20 and "cause: broken old" in done.stderr
    assert versions(machine)[0] == "new"
