"""ip, in a network namespace of its own.

Under the emulator some of it cannot work: qemu-user translates netlink's messages about links,
addresses and routes only, and refuses those about rules, neighbours and namespaces' numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import Network, Tool, ToolOf

pytestmark = pytest.mark.integration

Ip = Callable[[str], str]


@pytest.fixture
def program(tool: ToolOf) -> Tool:
    return tool("iproute2", "bin/aux/ip")


@pytest.fixture
def ip(program: Tool, network: Network) -> Ip:
    """Runs one command line in the namespace."""
    return lambda line: program.text(*line.split(), inside=network.inside)


@pytest.fixture
def native(program: Tool) -> None:
    if not program.native:
        pytest.skip("qemu-user does not translate these netlink messages")


def listed(ip: Ip, line: str) -> list[dict[str, Any]]:
    """What `ip -json` lists."""
    found: list[dict[str, Any]] = json.loads(ip(f"-json -details {line}"))
    return found


@pytest.fixture
def wired(ip: Ip) -> None:
    """A veth pair `here` and `there`, up; `here` has 10.1.0.1/24 and fd00::1/64."""
    ip("link add here type veth peer name there")
    for card in ("here", "there"):
        ip(f"link set {card} up")
    ip("address add 10.1.0.1/24 dev here")
    ip("-6 address add fd00::1/64 dev here nodad")


def test_links_and_addresses(ip: Ip, wired: None) -> None:
    (here,) = listed(ip, "address show dev here")
    assert here["linkinfo"]["info_kind"] == "veth"
    assert "UP" in here["flags"]
    found = {(a["local"], a["prefixlen"]) for a in here["addr_info"] if a["scope"] == "global"}
    assert found == {("10.1.0.1", 24), ("fd00::1", 64)}


def test_routes(ip: Ip, wired: None) -> None:
    ip("route add 10.2.0.0/16 via 10.1.0.2 dev here metric 7")
    (route,) = listed(ip, "route show 10.2.0.0/16")
    assert (route["gateway"], route["dev"], route["metric"]) == ("10.1.0.2", "here", 7)
    assert " via 10.1.0.2 dev here src 10.1.0.1 " in ip("route get 10.2.0.5")
    assert any(r["dst"] == "fd00::/64" for r in listed(ip, "-6 route show dev here"))
    ip("route del 10.2.0.0/16")
    assert listed(ip, "route show 10.2.0.0/16") == []


def test_a_bridge_with_a_port(ip: Ip, wired: None) -> None:
    ip("link add cni0 type bridge")
    ip("link set here master cni0")
    (here,) = listed(ip, "link show here")
    assert (here["master"], here["linkinfo"]["info_slave_kind"]) == ("cni0", "bridge")


def test_flannels_card(ip: Ip, wired: None) -> None:
    """The kinds of links are compiled in: nothing is loaded from a folder of the host."""
    ip("link add flannel.1 type vxlan id 1 dev here dstport 8472 nolearning")
    (card,) = listed(ip, "link show flannel.1")
    data = card["linkinfo"]["info_data"]
    assert (data["id"], data["port"], data["learning"]) == (1, 8472, False)


def test_a_tap_card(ip: Ip) -> None:
    ip("tuntap add tap0 mode tap")
    (card,) = listed(ip, "link show tap0")
    assert card["ifname"] == "tap0"


def test_namespaces(ip: Ip, wired: None) -> None:
    ip("netns add pod")
    ip("link set there netns pod")
    names = {link["ifname"] for link in json.loads(ip("netns exec pod ip -json link"))}
    assert names == {"lo", "there"}
    assert {link["ifname"] for link in listed(ip, "link show")} == {"lo", "here"}
    ip("netns del pod")


def test_listing_namespaces(native: None, ip: Ip) -> None:
    ip("netns add pod")
    assert json.loads(ip("-json netns list")) == [{"name": "pod"}]


def test_rules(native: None, ip: Ip) -> None:
    ip("rule add fwmark 0x1 table 100 priority 500")
    rules = {rule["priority"]: rule for rule in listed(ip, "rule show")}
    assert (rules[500]["fwmark"], rules[500]["table"]) == ("0x1", "100")
    ip("rule del priority 500")
    assert {rule["priority"] for rule in listed(ip, "rule show")} == {0, 32766, 32767}


def test_neighbours(native: None, ip: Ip, wired: None) -> None:
    ip("neigh add 10.1.0.9 lladdr 02:00:00:00:00:09 dev here")
    (neighbour,) = listed(ip, "neigh show 10.1.0.9")
    assert (neighbour["lladdr"], neighbour["state"]) == ("02:00:00:00:00:09", ["PERMANENT"])


def test_the_kernels_refusal(program: Tool, network: Network) -> None:
    said = program.text("link", "set", "none", "up", inside=network.inside, code=1)
    assert said == 'Cannot find device "none"\n'
