"""nsenter into the namespaces of another process.

qemu-user has threads of its own, and the kernel lets no process with threads change its mount,
user or time namespace: those are entered natively only.
"""

from __future__ import annotations

import os

import pytest

from .conftest import Network, Tool, ToolOf

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.geteuid() != 0, reason="entering another's namespaces wants root"),
]


@pytest.fixture
def nsenter(tool: ToolOf) -> Tool:
    return tool("util-linux", "bin/nsenter")


@pytest.fixture
def native(nsenter: Tool) -> None:
    if not nsenter.native:
        pytest.skip("a process with threads, as qemu-user is, may not enter these")


def number(kind: str, pid: int | str = "self") -> str:
    """The namespace's own name: kind and inode."""
    return os.readlink(f"/proc/{pid}/ns/{kind}")


def test_by_process(nsenter: Tool, network: Network) -> None:
    assert number("net") != number("net", network.pid)
    shown = nsenter.text("-t", str(network.pid), "-n", "--", "/bin/readlink", "/proc/self/ns/net")
    assert shown.strip() == number("net", network.pid)
    shown = nsenter.text("-t", str(network.pid), "-n", "--", "/bin/readlink", "/proc/self/ns/mnt")
    assert shown.strip() == number("mnt")


def test_by_file(nsenter: Tool, network: Network) -> None:
    """The way a pod's network is named: by a path."""
    path = f"/proc/{network.pid}/ns/net"
    shown = nsenter.text(f"--net={path}", "/bin/readlink", "/proc/self/ns/net")
    assert shown.strip() == number("net", network.pid)


def test_mounts(native: None, nsenter: Tool, network: Network) -> None:
    """Kubelet's way to the host's mounts out of a container."""
    path = f"--mount=/proc/{network.pid}/ns/mnt"
    assert nsenter.text(path, "--", "/usr/bin/stat", "-f", "-c", "%T", "/run").strip() == "tmpfs"
    assert nsenter.text(path, "--", "/bin/readlink", "/proc/self/ns/mnt").strip() == number(
        "mnt", network.pid
    )


def test_all(native: None, nsenter: Tool, network: Network) -> None:
    kinds = ("net", "mnt", "uts", "ipc", "pid")
    paths = [f"/proc/self/ns/{kind}" for kind in kinds]
    shown = nsenter.text("-t", str(network.pid), "-a", "/bin/readlink", *paths).split()
    assert shown == [number(kind, network.pid) for kind in kinds]


def test_nobody_there(nsenter: Tool) -> None:
    assert "No such " in nsenter.text("-t", "4194303", "-n", "/bin/true", code=1)
