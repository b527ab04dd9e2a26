"""ethtool, on a pair of virtual cards in a network namespace of its own.

Under the emulator it cannot ask the kernel anything: qemu-user does not know the SIOCETHTOOL ioctl.
"""

from __future__ import annotations

import pytest

from .conftest import Network, Tool, ToolOf, tool_of

pytestmark = pytest.mark.integration


@pytest.fixture
def ethtool(tool: ToolOf) -> Tool:
    return tool("ethtool", "bin/ethtool")


@pytest.fixture
def asked(ethtool: Tool) -> Tool:
    """ethtool where its questions reach the kernel."""
    if not ethtool.native:
        pytest.skip("qemu-user does not know the SIOCETHTOOL ioctl")
    return ethtool


@pytest.fixture
def wired(network: Network) -> Network:
    """A network with the cards `here` and `there`."""
    ip = tool_of("iproute2", "bin/aux/ip", "amd64")
    pair = ["link", "add", "here", "type", "veth", "peer", "name", "there"]
    ip.run(*pair, inside=network.inside)
    return network


def test_driver(asked: Tool, wired: Network) -> None:
    shown = asked.text("-i", "here", inside=wired.inside)
    assert "driver: veth\n" in shown
    assert "supports-statistics: yes\n" in shown


def test_offloads_are_shown_and_switched(asked: Tool, wired: Network) -> None:
    """What flannel tells people to do for a broken checksum of a VXLAN card."""
    name = "tx-checksum-ip-generic"
    assert f"\t{name}: on\n" in asked.text("-k", "here", inside=wired.inside)
    asked.run("-K", "here", name, "off", inside=wired.inside)
    assert f"\t{name}: off\n" in asked.text("-k", "here", inside=wired.inside)


def test_peer_by_its_statistics(asked: Tool, wired: Network) -> None:
    """Where the other end of a pod's cable is: its index, as bridges' debuggers ask for it."""
    ip = tool_of("iproute2", "bin/aux/ip", "amd64")
    index = ip.text("-o", "link", "show", "there", inside=wired.inside).split(":")[0]
    assert f"peer_ifindex: {index}\n" in asked.text("-S", "here", inside=wired.inside)


def test_a_card_that_is_not_there(ethtool: Tool, network: Network) -> None:
    said = ethtool.text("-k", "none", inside=network.inside, code=1)
    reason = "No such device" if ethtool.native else "Function not implemented"
    assert said == f"Cannot get device feature names: {reason}\n"


def test_wrong_arguments(ethtool: Tool) -> None:
    assert "bad command line argument(s)" in ethtool.text("-K", code=1)
