"""klipper-lb: the rules that pass a pod's port on, and what goes through them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .conftest import GetImage
from .unpacked import Unpacked

ENVIRONMENT = {
    "SRC_PORT": "80",
    "SRC_RANGES": "10.9.1.2/32,fd09:1::2/128",
    "DEST_PROTO": "TCP",
    "DEST_IPS": "10.9.2.2,fd09:2::2",
    "DEST_PORT": "8080",
}
"""One address of the client is allowed; it has another one, ending with 3, that is not."""

ANSWERS = """
import socket, sys
with socket.create_server(("::", 8080), family=socket.AF_INET6, dualstack_ipv6=True) as server:
    print("listening", flush=True)
    while True:
        one, peer = server.accept()
        one.sendall(peer[0].encode())
        one.close()
"""

ASKS = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.socket(family) as asking:
    asking.settimeout(3)
    asking.bind((sys.argv[2], 0))
    asking.connect((sys.argv[1], 80))
    print(asking.recv(100).decode())
"""

PAIRS = {"client": 1, "server": 2}


@dataclass(frozen=True)
class Network:
    """Three network namespaces in a row: a client, the load balancer's pod, a server."""

    prefix: str

    def name(self, who: str) -> str:
        return f"{self.prefix}-{who}"

    def within(self, who: str, *argv: str) -> list[str]:
        return ["ip", "netns", "exec", self.name(who), *argv]

    def ip(self, who: str, words: str) -> None:
        subprocess.run(["ip", "-n", self.name(who), *words.split()], check=True)

    def make(self) -> None:
        for who in ("client", "pod", "server"):
            subprocess.run(["ip", "netns", "add", self.name(who)], check=True)
            self.ip(who, "link set lo up")
        for who, number in PAIRS.items():
            self.ip("pod", f"link add {who} type veth peer name pod netns {self.name(who)}")
            for at, device, host in (("pod", who, 1), (who, "pod", 2)):
                self.ip(at, f"address add 10.9.{number}.{host}/24 dev {device}")
                self.ip(at, f"address add fd09:{number}::{host}/64 dev {device} nodad")
                self.ip(at, f"link set {device} up")
        self.ip("client", "address add 10.9.1.3/24 dev pod")
        self.ip("client", "address add fd09:1::3/64 dev pod nodad")

    def forward(self) -> None:
        """What kubelet does for a pod with these sysctls."""
        for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            order = f"echo 1 >/proc/sys/net/{name}"
            subprocess.run(self.within("pod", "sh", "-c", order), check=True)

    def remove(self) -> None:
        for who in ("client", "pod", "server"):
            subprocess.run(["ip", "netns", "delete", self.name(who)], check=False)

    def ask(self, to: str, source: str) -> str:
        """What the client gets at port 80 of `to`; "" where nobody answers."""
        line = self.within("client", sys.executable, "-c", ASKS, to, source)
        return subprocess.run(line, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def network() -> Iterator[Network]:
    made = Network(f"klb{os.getpid()}")
    try:
        made.make()
        yield made
    finally:
        made.remove()


@pytest.fixture
def balancer(image: GetImage) -> Unpacked:
    return image("klipper-lb")


@pytest.fixture
def native_balancer(balancer: Unpacked) -> Unpacked:
    if not balancer.native:
        pytest.skip("qemu-user carries no setsockopt of iptables: rules need the target's kernel")
    return balancer


def rules(balancer: Unpacked, network: Network) -> list[str]:
    """All rules of both families in the pod's network."""
    found = []
    for program in ("iptables", "ip6tables"):
        for table in ("filter", "nat"):
            done = balancer.run(program, "-t", table, "-S", net=network.name("pod"))
            assert done.code == 0, done.err
            found += done.out.splitlines()
    return found


def started_until_done(balancer: Unpacked, network: Network, environment: dict[str, str]) -> None:
    """Start it, wait until its rules are there, and stop it."""
    pod = network.name("pod")
    with balancer.started(*balancer.command(), env=environment, net=pod) as running:
        for _ in range(2):
            running.wait_for_line(" goes to ")
        begin = time.monotonic()
        while Path(f"/proc/{running.pid}/comm").read_text() != "pause\n":
            time.sleep(0.01)
        os.kill(running.pid, signal.SIGTERM)
        assert running.wait() == 0
        assert time.monotonic() - begin < 5


def test_rules_of_both_families(native_balancer: Unpacked, network: Network) -> None:
    network.forward()
    started_until_done(native_balancer, network, ENVIRONMENT)
    found = rules(native_balancer, network)
    assert [rule for rule in found if rule.startswith("-A")] == [
        "-A FORWARD -d 10.9.2.2/32 -p tcp -m tcp --dport 8080 -j KLB-tcp-80",
        "-A KLB-tcp-80 -s 10.9.1.2/32 -j ACCEPT",
        "-A KLB-tcp-80 -j DROP",
        "-A PREROUTING -p tcp -m tcp --dport 80 -j KLB-tcp-80",
        "-A POSTROUTING -d 10.9.2.2/32 -p tcp -m tcp --dport 8080 -j MASQUERADE",
        "-A KLB-tcp-80 -p tcp -j DNAT --to-destination 10.9.2.2:8080",
        "-A FORWARD -d fd09:2::2/128 -p tcp -m tcp --dport 8080 -j KLB-tcp-80",
        "-A KLB-tcp-80 -s fd09:1::2/128 -j ACCEPT",
        "-A KLB-tcp-80 -j DROP",
        "-A PREROUTING -p tcp -m tcp --dport 80 -j KLB-tcp-80",
        "-A POSTROUTING -d fd09:2::2/128 -p tcp -m tcp --dport 8080 -j MASQUERADE",
        "-A KLB-tcp-80 -p tcp -j DNAT --to-destination [fd09:2::2]:8080",
    ]


def test_a_restart_doubles_nothing(native_balancer: Unpacked, network: Network) -> None:
    network.forward()
    started_until_done(native_balancer, network, ENVIRONMENT)
    first = rules(native_balancer, network)
    started_until_done(native_balancer, network, ENVIRONMENT)
    assert rules(native_balancer, network) == first


def test_containers_of_one_pod_start_at_once(native_balancer: Unpacked, network: Network) -> None:
    """They share the tables but no lock: none of their rules may get lost."""
    network.forward()
    pod = network.name("pod")
    ports = [str(port) for port in range(81, 89)]
    lines = [
        native_balancer.argv(
            *native_balancer.command(), env={**ENVIRONMENT, "SRC_PORT": port}, user="", net=pod
        )
        for port in ports
    ]
    running = [subprocess.Popen(line, stderr=subprocess.PIPE, text=True) for line in lines]
    try:
        for one in running:
            assert one.stderr
            said = [one.stderr.readline(), one.stderr.readline()]
            assert all(" goes to " in line for line in said), said
    finally:
        for one in running:
            one.kill()
            one.wait()
    found = rules(native_balancer, network)
    for port in ports:
        assert found.count(f"-A PREROUTING -p tcp -m tcp --dport {port} -j KLB-tcp-{port}") == 2
        assert found.count(f"-A KLB-tcp-{port} -j DROP") == 2


@pytest.mark.parametrize(
    ("pod", "allowed", "refused"),
    [("10.9.1.1", "10.9.1.2", "10.9.1.3"), ("fd09:1::1", "fd09:1::2", "fd09:1::3")],
)
def test_a_connection_passes_only_from_the_ranges(
    native_balancer: Unpacked, network: Network, pod: str, allowed: str, refused: str
) -> None:
    network.forward()
    serving = network.within("server", sys.executable, "-c", ANSWERS)
    with subprocess.Popen(serving, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout
            assert server.stdout.readline() == b"listening\n"
            assert network.ask(pod, allowed) == ""
            started_until_done(native_balancer, network, ENVIRONMENT)
            # The server has no route to the client: it sees the pod.
            assert network.ask(pod, allowed).removeprefix("::ffff:") in ("10.9.2.1", "fd09:2::1")
            assert network.ask(pod, refused) == ""
        finally:
            server.kill()


def test_refuses_a_pod_that_does_not_forward(native_balancer: Unpacked, network: Network) -> None:
    pod = network.name("pod")
    order = "echo 0 >/proc/sys/net/ipv4/ip_forward"
    subprocess.run(network.within("pod", "sh", "-c", order), check=True)
    done = native_balancer.run(*native_balancer.command(), env=ENVIRONMENT, net=pod)
    assert done.code == 1
    assert "the sysctl net/ipv4/ip_forward is not 1" in done.err


def test_names_what_the_kernel_lacks(balancer: Unpacked) -> None:
    """qemu-user has no iptables for its programs, as a kernel without the module."""
    if balancer.native:
        pytest.skip("this machine's kernel has iptables")
    order = "echo 1 >/proc/sys/net/ipv4/ip_forward; exec klipper-lb"
    done = balancer.run("sh", "-c", order, env=ENVIRONMENT, net="own")
    assert done.code == 1
    assert "the kernel lacks 'filter': module iptable_filter, option CONFIG_IP_NF_" in done.err
    assert "without its rules it forwards nothing" in done.err


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"DEST_PROTO": "ICMP"}, "DEST_PROTO is neither TCP, UDP nor SCTP: 'ICMP'"),
        ({"SRC_PORT": ""}, "SRC_PORT is no port: ''"),
        ({"DEST_PORT": "80; reboot"}, "DEST_PORT is no port: '80; reboot'"),
        ({"DEST_IPS": ""}, "DEST_IPS names no address"),
        ({"SRC_RANGES": ""}, "SRC_RANGES names no network"),
    ],
)
def test_refuses_what_the_controller_never_sets(
    balancer: Unpacked, changed: dict[str, str], words: str
) -> None:
    done = balancer.run(*balancer.command(), env={**ENVIRONMENT, **changed}, net="own")
    assert (done.code, done.err) == (2, f"klipper-lb: {words}\n")


def test_its_iptables_runs(balancer: Unpacked) -> None:
    done = balancer.run("iptables", "--version")
    assert (done.code, done.out) == (0, "iptables v1.8.9 (legacy)\n")


def test_shellcheck_finds_nothing() -> None:
    script = Path(__file__).parents[3] / "recipes" / "klipper-lb" / "src" / "klipper-lb"
    done = subprocess.run(["shellcheck", "--shell=sh", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
