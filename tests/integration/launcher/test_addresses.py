"""What a power loss left of pods' networks is freed, when no pod of this boot can have it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildsys.app import App
from buildsys.emulator import find_emulator, is_native
from tests.chosen import TARGETS

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.geteuid() != 0, reason="a /var/lib and /run of the test's own need root"),
]

SETUP = """
mount -t tmpfs none /var/lib && mount -t tmpfs none /run &&
mkdir -p /run/netns /var/lib/cni/networks /var/lib/cni/results /var/lib/kubelet &&
echo ready && exec sleep 600
"""
ID = "0123456789abcdef" * 4


class Node:
    """Namespaces with a /var/lib and a /run of their own."""

    def __init__(self, keeper: int, k3s: Path, data_dir: Path) -> None:
        self.keeper, self.k3s, self.data_dir = keeper, k3s, data_dir
        self.root = Path(f"/proc/{keeper}/root")
        self.networks = self.root / "var/lib/cni/networks"
        self.results = self.root / "var/lib/cni/results"

    def inside(self, *command: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        enter = ["nsenter", f"--target={self.keeper}", "--mount", *map(str, command)]
        environment = {
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            "K3S_DATA_DIR": str(self.data_dir),
            "K3S_NODE_CHECKS": "off",
            **more,
        }
        return subprocess.run(enter, env=environment, capture_output=True, text=True, check=False)

    def start(self, command: str = "server") -> str:
        done = self.inside(self.k3s, command)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def reserve(self, address: str, content: str, network: str = "cbr0") -> Path:
        path = self.networks / network / address
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        return path


@pytest.fixture
def node(k3s: Path, data_dir: Path) -> Iterator[Node]:
    unshare = ["unshare", "--mount", "sh", "-c", SETUP]
    keeper = subprocess.Popen(unshare, stdout=subprocess.PIPE, text=True)
    try:
        assert keeper.stdout and keeper.stdout.readline() == "ready\n"
        yield Node(keeper.pid, k3s, data_dir)
    finally:
        keeper.kill()
        keeper.communicate()


@pytest.mark.parametrize("command", ["server", "agent"])
def test_empty_reservations_are_freed(node: Node, command: str) -> None:
    freed = [
        node.reserve("10.42.0.2", ""),
        node.reserve("10.42.0.3", "\0" * 66),
        node.reserve("2001:cafe:42::5", ""),
        node.reserve("10.9.0.7", "", network="mine"),
    ]
    kept = [
        node.reserve("10.42.0.4", f"{ID}\r\neth0"),
        node.reserve("last_reserved_ip.0", ""),
        node.reserve("lock", ""),
        node.reserve("notes", ""),
        node.reserve("10.42.0", ""),
    ]
    link = node.networks / "cbr0/10.42.0.9"
    link.symlink_to("notes")
    said = node.start(command)
    assert not [path for path in freed if path.exists()]
    assert all(path.exists() for path in [*kept, link])
    assert "Removed /var/lib/cni/networks/cbr0/10.42.0.2, which was empty" in said
    assert "it is free again" in said
    assert node.start(command) == ""


def test_not_for_other_commands(node: Node) -> None:
    path = node.reserve("10.42.0.2", "")
    node.start("kubectl")
    assert path.exists()


def test_not_while_a_pod_of_this_boot_lives(node: Node) -> None:
    path = node.reserve("10.42.0.2", "")
    pod = "/run/netns/cni-5d1f"
    made = node.inside("sh", "-c", f"touch {pod} && unshare --net={pod} true")
    assert made.returncode == 0, made.stderr
    node.start()
    assert path.exists()
    assert node.inside("umount", pod).returncode == 0
    # the name alone is of a former boot, where /run outlives one
    node.start()
    assert not path.exists()


def test_not_while_a_plugin_is_at_work(node: Node) -> None:
    path = node.reserve("10.42.0.2", "")
    lock = node.reserve("lock", "")
    with subprocess.Popen(["flock", lock, "-c", "echo; read x"], stdin=-1, stdout=-1) as plugin:
        assert plugin.stdout and plugin.stdout.readline()
        node.start()
        assert path.exists()
        plugin.communicate(b"\n")
    node.start()
    assert not path.exists()


def test_no_clock_is_asked(node: Node) -> None:
    """Neither a file of the future nor one of 1970 is judged by it."""
    for year, address in ((4102444800, "10.42.0.2"), (0, "10.42.0.3")):
        path = node.reserve(address, "")
        os.utime(path, (year, year))
    node.start()
    assert not list(node.networks.glob("cbr0/10*"))


def test_empty_results_are_removed(node: Node) -> None:
    gone = [f"cbr0-{ID}-eth0", f"cni-loopback-{ID}-lo"]
    kept = [f"cbr0-{ID[1:]}-eth0", f"{ID}-eth0", f"cbr0-{ID}-", "notes"]
    for name in [*gone, *kept]:
        (node.results / name).write_text("")
    (node.results / f"cbr0-{ID}-eth1").write_text("{}")
    assert "its pod's network can be taken down" in node.start()
    assert {p.name for p in node.results.iterdir()} == {*kept, f"cbr0-{ID}-eth1"}


def test_empty_checkpoints_of_kubelet(node: Node) -> None:
    kubelet = node.root / "var/lib/kubelet"
    for name in ("cpu_manager_state", "memory_manager_state", "mine"):
        (kubelet / name).write_text("")
    (kubelet / "allocated_pods_state").write_text("{}")
    node.start("agent")
    assert {p.name for p in kubelet.iterdir()} == {"mine", "allocated_pods_state"}


# ---- the real plugin ----


@pytest.fixture(scope="module")
def host_local(app: App) -> list[str]:
    """The bundled plugin, of the target that has been built."""
    built = app.build(app.plan([TARGETS[0]], ["cni"])).outcomes[f"cni-{TARGETS[0]}"]
    assert built.result, built.error
    program = str(built.result.artifact.path("bin/cni"))
    target = app.project.targets[TARGETS[0]]
    if is_native(target):
        return ["exec", "-a", "host-local", program]
    emulator = find_emulator(target)
    return [str(emulator.program), "-cpu", str(emulator.cpu), "-0", "host-local", program]


@pytest.mark.slow
@pytest.mark.built
def test_host_local_hands_the_address_out_again(node: Node, host_local: list[str]) -> None:
    """A range of one address: without the cure there is none left, for ever."""
    ranges = [[{"subnet": "10.42.0.0/24", "rangeStart": "10.42.0.2", "rangeEnd": "10.42.0.2"}]]
    network = {
        "cniVersion": "1.0.0",
        "name": "cbr0",
        "ipam": {"type": "host-local", "ranges": ranges},
    }

    def call(command: str) -> subprocess.CompletedProcess[str]:
        script = f"{shlex.join(host_local)} <<'END'\n{json.dumps(network)}\nEND"
        more = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": ID,
            "CNI_IFNAME": "eth0",
            "CNI_PATH": "/",
        }
        # a pod's network, which must not be the plugin's own
        pod = f"/proc/{node.keeper}/ns/net"
        return node.inside("unshare", "--net", "bash", "-c", script, CNI_NETNS=pod, **more)

    assert call("ADD").returncode == 0, call("ADD").stdout
    (node.networks / "cbr0/10.42.0.2").write_text("")
    assert call("DEL").returncode == 0
    assert "no IP addresses available" in call("ADD").stdout
    node.start()
    assert call("ADD").returncode == 0
