"""Killing and removing what install.sh installed."""

from __future__ import annotations

import pytest

from ..server import Server
from .installing import MARKS, RIGHT, Make, everything, installed

pytestmark = MARKS


@pytest.mark.parametrize("tools", ["dash+curl", "busybox"])
@pytest.mark.parametrize("init", ["systemd", "openrc"])
def test_uninstall_leaves_nothing(make: Make, server: Server, tools: str, init: str) -> None:
    machine = make(tools, init)
    before = everything(machine)
    installed(machine, server, K3S_TOKEN="x")
    for path in ("var/lib/rancher/k3s/server/db/state.db", "var/lib/kubelet/pods/a/b", "run/k3s/c"):
        (machine.root / path).parent.mkdir(parents=True)
        (machine.root / path).write_text("x")
    done = machine.run("/usr/local/bin/k3s-uninstall.sh")
    assert done.returncode == 0, done.stderr
    left = {name for name, content in everything(machine).items() if content != "folder"}
    assert left == {name for name, content in before.items() if content != "folder"}, done.stderr
    assert not (machine.root / "var/lib/rancher").exists()
    stopped, removed = ("systemctl stop k3s", "systemctl disable k3s")
    if init == "openrc":
        stopped, removed = ("rc-service k3s stop", "rc-update delete k3s default")
    assert machine.calls.index(stopped) < machine.calls.index(removed)


def test_uninstall_of_one_of_two_services(make: Make, server: Server) -> None:
    machine = make()
    installed(machine, server)
    installed(machine, server, INSTALL_K3S_NAME="lab")
    done = machine.run("/usr/local/bin/k3s-lab-uninstall.sh")
    assert "there are other services: k3s" in done.stdout, done.stderr
    assert machine.k3s.read_bytes() == RIGHT
    assert [p.name for p in (machine.root / "etc/systemd/system").glob("*.service")] == [
        "k3s.service"
    ]
    machine.run("/usr/local/bin/k3s-uninstall.sh")
    assert list(machine.bin.iterdir()) == []


# A shell stands for the shim of a container, and what it starts for the container.
POD = """\
folder=/var/lib/rancher/k3s/data/$(printf '%064d' 7)/bin
mkdir -p $folder
cp /usr/bin/dash $folder/containerd-shim-runc-v2
$folder/containerd-shim-runc-v2 -c '/usr/bin/sleep 300 & echo $! >/child; wait' &
shim=$!
/usr/bin/sleep 300 &
other=$!
for try in $(seq 100); do [ -s /child ] || /usr/bin/sleep 0.1; done
/usr/local/bin/k3s-killall.sh
wait $shim
kill -0 $(cat /child) 2>/dev/null && echo child lives
kill -0 $other && echo other lives
kill $other
"""


def test_killall_ends_pods_and_nothing_else(make: Make, server: Server) -> None:
    machine = make("dash+curl")
    installed(machine, server)
    done = machine.run("sh", "-c", POD)
    assert done.stdout == "other lives\n", done.stderr
