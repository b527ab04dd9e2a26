"""Two network namespaces with a cable between them, and known flows from `near` to `far`.

`near` is 10.77.0.1 and fd77::1 and tracks connections; `far` is 10.77.0.2 and fd77::2. Every flow
has a source port of its own, by which the tests call it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from buildsys.app import App, Settings

SERVER = """\
import socket, threading
held = []
def tcp(server):
    while True:
        held.append(server.accept()[0])
        held[-1].sendall(b"hello")
def udp(server):
    while True:
        server.sendto(*server.recvfrom(99))
for family, address in ((socket.AF_INET, "10.77.0.2"), (socket.AF_INET6, "fd77::2")):
    for port in (8080, 9999):
        server = socket.create_server((address, port), family=family)
        threading.Thread(target=tcp, args=(server,), daemon=True).start()
    server = socket.socket(family, socket.SOCK_DGRAM)
    server.bind((address, 53))
    threading.Thread(target=udp, args=(server,), daemon=True).start()
print("ready", flush=True)
input()
"""

CLIENT = """\
import socket, time
held = []
def tcp(sport, address, port):
    held.append(socket.create_connection((address, port), source_address=("", sport)))
    assert held[-1].recv(9) == b"hello"
def udp(sport, address, port, answered):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("", sport))
    s.connect((address, port))
    s.send(b"x")
    assert not answered or s.recv(9) == b"x"
def raw(protocol, address, packet):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    socket.socket(family, socket.SOCK_RAW, protocol).sendto(packet, (address, 0))
tcp(4001, "10.77.0.2", 8080)
tcp(4002, "10.77.0.9", 80)
tcp(4003, "10.77.0.2", 9999)
tcp(4004, "fd77::2", 8080)
tcp(4005, "10.77.0.2", 8080)
held[-1].shutdown(socket.SHUT_WR)
# Not before the other side has acknowledged it (FIN_WAIT2) is the flow's state the last one.
while held[-1].getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != 5:
    time.sleep(0.01)
udp(5001, "10.77.0.2", 53, True)
udp(5002, "10.77.0.2", 54, False)
udp(5003, "10.77.0.2", 55, False)
udp(5004, "fd77::2", 53, True)
raw(1, "10.77.0.2", bytes.fromhex("0800a8fe4f000001"))
raw(58, "fd77::2", bytes.fromhex("800000004e000001"))
raw(47, "10.77.0.2", bytes.fromhex("0000080061626364"))
print("ready", flush=True)
input()
"""

RULES = """\
*raw
-A OUTPUT -p udp --dport 54 -j CT --zone 7
-A OUTPUT -p udp --dport 55 -j CT --zone-orig 8
COMMIT
*mangle
-A OUTPUT -p tcp --sport 4001 -j CONNMARK --set-mark 0x123
COMMIT
*nat
-A OUTPUT -d 10.77.0.9 -p tcp -j DNAT --to 10.77.0.2:8080
-A POSTROUTING -p tcp --dport 9999 -j SNAT --to 10.77.0.77
COMMIT
*filter
-A OUTPUT -m conntrack --ctstate NEW -j ACCEPT
COMMIT
"""

V4 = frozenset({"4001", "4002", "4003", "4005", "5001", "5002", "5003", "icmp", "gre"})
FLOWS = V4 | {"4004", "5004", "icmpv6"}
"""What `Done.flows` calls the flows of the client, of IPv4 and all."""

TITLE = "conntrack v1.4.7 (conntrack-tools)"
"""What every message begins with."""

ENDS = "src=10.77.0.1 dst=10.77.0.2"
BACK = "src=10.77.0.2 dst=10.77.0.1"
COUNT = r"packets=\d+ bytes=\d+"
"""Parts of lines, as regular expressions."""

SWITCHES = {
    "acct": 1,
    "timestamp": 1,
    "tcp_timeout_close_wait": 900,
    "udp_timeout": 900,
    "icmp_timeout": 900,
    "icmpv6_timeout": 900,
    "gre_timeout": 900,
}
"""Below net.netfilter.nf_conntrack_: all is counted, and nothing runs out during the tests."""

NEEDED = ("ip", "nsenter", "unshare", "sysctl", "iptables-legacy-restore", "ip6tables-legacy")


@dataclass(frozen=True)
class Done:
    """How a program ended."""

    code: int
    out: str
    err: str

    @property
    def flows(self) -> set[str]:
        """The flows in the output, by source port, or by protocol where there is none."""
        return {_name(line) for line in self.out.splitlines()}


def _name(line: str) -> str:
    words = line.removeprefix("ipv4     2 ").removeprefix("ipv6     10 ").split()
    ports = [word for word in words if word.startswith("sport=")]
    return ports[0].removeprefix("sport=") if ports else words[0]


@dataclass(frozen=True)
class Network:
    """A network namespace, for as long as its holder lives."""

    pid: int

    def inside(self, *argv: str | Path) -> list[str]:
        """The command line that runs `argv` in it."""
        return ["nsenter", f"--target={self.pid}", "--net", *map(str, argv)]

    def run(self, *argv: str | Path, stdin: str = "") -> Done:
        """Run a program in it to its end."""
        done = subprocess.run(
            self.inside(*argv), input=stdin, capture_output=True, text=True, timeout=60
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *argv: str, stdin: str = "") -> None:
        """Run a program that must succeed."""
        done = self.run(*argv, stdin=stdin)
        assert done.code == 0, (argv, done)


@dataclass(frozen=True)
class Lab:
    """The namespace that tracks the flows, and the program that looks at them."""

    near: Network
    program: Path

    def run(self, *arguments: str) -> Done:
        """Run our conntrack where the flows are tracked."""
        return self.near.run(self.program, *arguments)

    def flows(self, *arguments: str) -> set[str]:
        """The flows that `-L` lists; it must succeed and count them right."""
        done = self.run("-L", *arguments)
        count = len(done.out.splitlines())
        assert (done.code, done.err) == (0, f"{TITLE}: {count} flow entries have been shown.\n")
        return done.flows


@cache
def program(target: str) -> Path:
    """The component, built as `invoke build --only` builds it."""
    app = App(Settings())
    outcome = app.build(app.plan([target], ["conntrack"])).outcomes[f"conntrack-{target}"]
    assert outcome.result, outcome.error
    return outcome.result.artifact.folder / "files/bin/conntrack"


def skip_without_tools() -> None:
    """Skip where this machine cannot make the lab."""
    missing = [name for name in NEEDED if not shutil.which(name)]
    if missing:
        pytest.skip(f"not installed: {' '.join(missing)}")
    if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode:
        pytest.skip("network namespaces want root here")


@contextmanager
def _script(argv: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A program that says "ready" and then waits for the end of its input."""
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout and process.stdout.readline() == "ready\n", argv
            yield process
        finally:
            process.kill()


def _address(net: Network, number: int) -> None:
    net.ok("ip", "address", "add", f"10.77.0.{number}/24", "dev", "eth0")
    net.ok("ip", "address", "add", f"fd77::{number}/64", "dev", "eth0", "nodad")
    for device in ("lo", "eth0"):
        net.ok("ip", "link", "set", device, "up")


@contextmanager
def lab(path: Path) -> Iterator[Lab]:
    """The two namespaces, and the flows in the table of `near`; `path` is our conntrack."""
    skip_without_tools()
    hold = ["unshare", "--net", "sh", "-c", "echo ready; exec cat"]
    with ExitStack() as stack:
        near, far = (Network(stack.enter_context(_script(hold)).pid) for _ in range(2))
        end = ["ip", "link", "add", "eth0", "netns", str(near.pid), "type", "veth"]
        subprocess.run([*end, "peer", "eth0", "netns", str(far.pid)], check=True)
        _address(near, 1)
        _address(far, 2)
        near.ok("ip", "address", "add", "10.77.0.77/24", "dev", "eth0")
        for name, value in SWITCHES.items():
            near.ok("sysctl", "-qw", f"net.netfilter.nf_conntrack_{name}={value}")
        near.ok("iptables-legacy-restore", stdin=RULES)
        rule = ["-A", "OUTPUT", "-m", "conntrack", "--ctstate", "NEW", "-j", "ACCEPT"]
        near.ok("ip6tables-legacy", *rule)
        stack.enter_context(_script(far.inside(sys.executable, "-c", SERVER)))
        stack.enter_context(_script(near.inside(sys.executable, "-c", CLIENT)))
        yield Lab(near, path)
