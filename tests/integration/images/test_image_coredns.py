"""coredns: answers queries as k3s configures it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from .conftest import GetImage
from .pod_network import PodNetwork, pod_network

pytestmark = [pytest.mark.slow, pytest.mark.built]
"""It compiles for minutes, unless that was done before."""

COREFILE = """\
.:53 {
    errors
    health :8080
    ready :8181
    hosts /etc/coredns/NodeHosts {
      ttl 60
      reload 15s
      fallthrough
    }
    prometheus :9153
    cache 30
    forward . 127.0.0.1:5353
    loop
    reload
    loadbalance
}
"""
"""k3s's own Corefile without the plugin kubernetes, which needs an API."""

HOSTS = "192.0.2.7 zero.example\n2001:db8::7 zero.example\n"

A, AAAA = 1, 28
NO_ERROR, SERVER_FAILURE = 0, 2

ASK = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
    asking.settimeout(20)
    asking.sendto(bytes.fromhex(sys.argv[1]), ("127.0.0.1", 53))
    print(asking.recv(4096).hex())
"""

GET = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=60).read().decode())
"""


@dataclass(frozen=True)
class Dns:
    """A running server, asked from within its own network."""

    network: PodNetwork

    def ask(self, name: str, kind: int) -> tuple[int, bytes]:
        """RCODE and the whole answer (RFC 1035, 4.1)."""
        labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
        query = struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0"
        query += struct.pack(">2H", kind, 1)
        answer = bytes.fromhex(self.network.python(ASK, query.hex()))
        assert answer[:2] == query[:2]
        return answer[3] & 0x0F, answer


@pytest.fixture
def dns(image: GetImage) -> Iterator[Dns]:
    coredns = image("coredns")
    folder = coredns.root / "etc/coredns"
    folder.mkdir()
    (folder / "Corefile").write_text(COREFILE)
    (folder / "NodeHosts").write_text(HOSTS)
    with pod_network() as network:
        argv = coredns.command("-conf", "/etc/coredns/Corefile")
        with coredns.started(*argv, net=network.name) as running:
            running.wait_for_line("CoreDNS-1.14.0")
            yield Dns(network)


def test_answers_and_is_ready(dns: Dns) -> None:
    code, answer = dns.ask("zero.example", A)
    assert (code, socket.inet_ntop(socket.AF_INET, answer[-4:])) == (NO_ERROR, "192.0.2.7")
    code, answer = dns.ask("zero.example", AAAA)
    assert (code, socket.inet_ntop(socket.AF_INET6, answer[-16:])) == (NO_ERROR, "2001:db8::7")
    # Nobody listens at the address to forward to.
    assert dns.ask("elsewhere.example", A)[0] == SERVER_FAILURE
    assert dns.network.python(GET, "http://127.0.0.1:8181/ready") == "OK"
    assert "coredns_dns_requests_total" in dns.network.python(GET, "http://127.0.0.1:9153/metrics")
