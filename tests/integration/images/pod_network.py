"""A pod's network as k3s's containerd makes it, for what listens in an image."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class PodNetwork:
    """A network namespace with loopback alone."""

    name: str

    def python(self, program: str, *arguments: str) -> str:
        """Run a Python program in there; what it prints."""
        line = ["ip", "netns", "exec", self.name, sys.executable, "-c", program, *arguments]
        done = subprocess.run(line, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@contextmanager
def pod_network() -> Iterator[PodNetwork]:
    """A new one, in which every user may listen on every port (`enable_unprivileged_ports`)."""
    network = PodNetwork(f"pod{os.getpid()}")
    subprocess.run(["ip", "netns", "add", network.name], check=True)
    try:
        order = "ip link set lo up; echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start"
        subprocess.run(["ip", "netns", "exec", network.name, "sh", "-c", order], check=True)
        yield network
    finally:
        subprocess.run(["ip", "netns", "delete", network.name], check=False)
