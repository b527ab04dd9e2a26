"""Legacy iptables and ip6tables against the kernel: rules, and what becomes of packets."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from .filter_tools import Network, needs_ip, needs_qemu, needs_root, network, tools, wired

pytestmark = pytest.mark.integration

SOON = 5
"""Seconds for a refusal to come: of IPv6 the first may get lost, the next try is a second later."""

FLAVOURS = ["iptables-legacy", "ip6tables-legacy"]


def table(net: Network, flavour: str, *arguments: str) -> str:
    """Call iptables in a network; it must succeed."""
    return net.ok(*tools("amd64").argv(f"aux/{flavour}", *arguments))


def drop_comments(text: str) -> str:
    return re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)


def by_table(saved: str) -> set[str]:
    """The tables, which the kernel lists in the order in which they were made."""
    return set(saved.split("COMMIT\n"))


@pytest.fixture
def net() -> Iterator[Network]:
    with network() as made:
        yield made


@pytest.fixture
def wire() -> Iterator[tuple[Network, Network]]:
    with wired() as made:
        yield made


@needs_root
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_rules_come_and_go(net: Network, flavour: str) -> None:
    rule = ["-p", "tcp", "--dport", "81", "-m", "comment", "--comment", "of the test", "-j", "DROP"]
    table(net, flavour, "-N", "KUBE-TEST")
    table(net, flavour, "-A", "INPUT", "-j", "KUBE-TEST")
    table(net, flavour, "-A", "KUBE-TEST", *rule)
    table(net, flavour, "-C", "KUBE-TEST", *rule)
    listed = table(net, flavour, "-S", "KUBE-TEST")
    assert (
        '-A KUBE-TEST -p tcp -m tcp --dport 81 -m comment --comment "of the test" -j DROP' in listed
    )
    assert "KUBE-TEST (1 references)" in table(net, flavour, "-n", "-L")
    table(net, flavour, "-D", "KUBE-TEST", *rule)
    gone = net.run(*tools("amd64").argv(f"aux/{flavour}", "-C", "KUBE-TEST", *rule))
    assert gone.code == 1 and "Bad rule" in gone.err
    used = net.run(*tools("amd64").argv(f"aux/{flavour}", "-X", "KUBE-TEST"))
    assert used.code == 1 and "Too many links" in used.err
    table(net, flavour, "-F", "INPUT")
    table(net, flavour, "-X", "KUBE-TEST")
    assert "KUBE-TEST" not in table(net, flavour, "-S")


@needs_root
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_save_and_restore(net: Network, flavour: str) -> None:
    table(net, flavour, "-P", "FORWARD", "DROP")
    table(net, flavour, "-A", "OUTPUT", "-p", "sctp", "--dport", "7", "-j", "REJECT")
    table(net, flavour, "-t", "nat", "-A", "POSTROUTING", "-o", "eth7", "-j", "MASQUERADE")
    table(
        net,
        flavour,
        "-t",
        "mangle",
        "-A",
        "PREROUTING",
        "-j",
        "MARK",
        "--set-xmark",
        "0x4000/0x4000",
    )
    saved = drop_comments(table(net, flavour + "-save"))
    assert ":FORWARD DROP [0:0]" in saved and "-p sctp -m sctp --dport 7 -j REJECT" in saved
    with network() as other:
        other.ok(*tools("amd64").argv(f"aux/{flavour}-restore"), stdin=saved)
        assert by_table(drop_comments(table(other, flavour + "-save"))) == by_table(saved)
        # As kube-proxy does: only the chains that are named change.
        text = "*filter\n:MORE - [0:0]\n-A MORE -j ACCEPT\nCOMMIT\n"
        restore = tools("amd64").argv(
            f"aux/{flavour}-restore", "--noflush", "--counters", "-w", "5"
        )
        other.ok(*restore, stdin=text)
        after = drop_comments(table(other, flavour + "-save", "-t", "filter"))
        assert "-A MORE -j ACCEPT" in after and "-p sctp" in after


@needs_root
def test_a_restore_with_a_mistake_changes_nothing(net: Network) -> None:
    table(net, "iptables-legacy", "-A", "INPUT", "-s", "10.0.0.1", "-j", "DROP")
    before = table(net, "iptables-legacy", "-S")
    text = "*filter\n-A INPUT -j ACCEPT\n-A INPUT -j NOWHERE\nCOMMIT\n"
    done = net.run(*tools("amd64").argv("aux/iptables-legacy-restore"), stdin=text)
    assert done.code != 0 and "line" in done.err
    assert table(net, "iptables-legacy", "-S") == before


@needs_root
@needs_ip
@pytest.mark.parametrize(
    ("flavour", "address"), [("iptables-legacy", "10.9.0.1"), ("ip6tables-legacy", "fd09::1")]
)
def test_one_rule_blocks_one_lets_pass(
    wire: tuple[Network, Network], flavour: str, address: str
) -> None:
    server, client = wire
    with server.server(address, 8081), server.server(address, 8082):
        assert client.reach(address, 8081) == client.reach(address, 8082) == "hello"
        table(server, flavour, "-A", "INPUT", "-p", "tcp", "--dport", "8082", "-j", "ACCEPT")
        table(server, flavour, "-A", "INPUT", "-p", "tcp", "--dport", "8081:8082", "-j", "DROP")
        assert client.reach(address, 8081) == "TimeoutError"
        assert client.reach(address, 8082) == "hello"
        counted = table(server, flavour, "-n", "-v", "-x", "-L", "INPUT")
        dropped = re.search(r"^ +(\d+) +\d+ DROP ", counted, re.MULTILINE)
        assert dropped and int(dropped[1]) > 0
        table(server, flavour, "-R", "INPUT", "2", "-p", "tcp", "--dport", "8081", "-j", "REJECT")
        assert client.reach(address, 8081, SOON) == "ConnectionRefusedError"
        table(server, flavour, "-F")
        assert client.reach(address, 8081) == "hello"


@needs_root
@needs_ip
@pytest.mark.parametrize(
    ("flavour", "family", "server_ip", "client_ip"),
    [
        ("iptables-legacy", "inet", "10.9.0.1", "10.9.0.2"),
        ("ip6tables-legacy", "inet6", "fd09::1", "fd09::2"),
    ],
)
def test_a_set_decides(
    wire: tuple[Network, Network], flavour: str, family: str, server_ip: str, client_ip: str
) -> None:
    """What network policies are made of: a rule that asks a set, and the set changes."""
    server, client = wire

    def ipset(*arguments: str) -> None:
        server.ok(*tools("amd64").argv("ipset", *arguments))

    ipset("create", "allowed", "hash:ip,port", "family", family)
    match = ["-m", "set", "--match-set", "allowed", "src,dst"]
    table(server, flavour, "-A", "INPUT", "-i", "eth0", "-p", "tcp", *match, "-j", "ACCEPT")
    table(server, flavour, "-A", "INPUT", "-i", "eth0", "-p", "tcp", "-j", "REJECT")
    with server.server(server_ip, 8081):
        assert client.reach(server_ip, 8081, SOON) == "ConnectionRefusedError"
        ipset("add", "allowed", f"{client_ip},tcp:8081")
        assert client.reach(server_ip, 8081) == "hello"
        ipset("del", "allowed", f"{client_ip},tcp:8081")
        assert client.reach(server_ip, 8081, SOON) == "ConnectionRefusedError"
    used = server.run(*tools("amd64").argv("ipset", "destroy", "allowed"))
    assert used.code == 1 and "in use by a kernel component" in used.err
    none = server.run(
        *tools("amd64").argv(
            f"aux/{flavour}", "-A", "INPUT", "-m", "set", "--match-set", "no", "src"
        )
    )
    assert none.code == 2 and "Set no doesn't exist" in none.err


@needs_root
@needs_ip
def test_a_rule_fills_a_set(wire: tuple[Network, Network]) -> None:
    server, client = wire
    server.ok(*tools("amd64").argv("ipset", "create", "seen", "hash:ip", "timeout", "60"))
    target = ["-j", "SET", "--add-set", "seen", "src", "--exist"]
    table(server, "iptables-legacy", "-A", "INPUT", "-p", "tcp", "--dport", "9", *target)
    assert client.reach("10.9.0.1", 9) == "ConnectionRefusedError"
    assert "\n10.9.0.2 timeout " in server.ok(*tools("amd64").argv("ipset", "list", "seen"))


@needs_root
@needs_ip
def test_answers_pass_questions_do_not(wire: tuple[Network, Network]) -> None:
    """Connection tracking: who asked may be answered."""
    one, two = wire
    state = ["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"]
    table(one, "iptables-legacy", "-A", "INPUT", *state)
    table(one, "iptables-legacy", "-A", "INPUT", "-j", "DROP")
    with one.server("10.9.0.1", 8081), two.server("10.9.0.2", 8081):
        assert one.reach("10.9.0.2", 8081) == "hello"
        assert two.reach("10.9.0.1", 8081) == "TimeoutError"


@needs_root
@needs_ip
def test_a_port_is_redirected(wire: tuple[Network, Network]) -> None:
    """What a Service or a host port is: another destination."""
    server, client = wire
    to = ["-j", "DNAT", "--to-destination", "10.9.0.1:8081"]
    table(
        server,
        "iptables-legacy",
        "-t",
        "nat",
        "-A",
        "PREROUTING",
        "-p",
        "tcp",
        "--dport",
        "80",
        *to,
    )
    with server.server("10.9.0.1", 8081):
        assert client.reach("10.9.0.1", 80) == "hello"


MATCHES = "set conntrack comment mark multiport addrtype statistic recent physdev tcp udp sctp"
TARGETS = "DNAT SNAT MASQUERADE MARK REJECT REDIRECT CT NFLOG SET CONNMARK TPROXY"


@needs_qemu
def test_armv6_matches_and_targets() -> None:
    """Every match and target that k3s uses is in the one program."""
    for name in MATCHES.split():
        done = tools("armv6").run("aux/iptables-legacy", "-m", name, "-h")
        assert done.code == 0, (name, done.err)
    for name in TARGETS.split():
        done = tools("armv6").run("aux/iptables-legacy", "-j", name, "-h")
        assert done.code == 0, (name, done.err)
    unknown = tools("armv6").run("aux/iptables-legacy", "-m", "nothing", "-h")
    assert unknown.code == 2 and "Couldn't find match `nothing'" in unknown.err
