"""ipset on our own libmnl: sets made, filled, listed, saved and restored in the kernel itself."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from .filter_tools import Done, Network, needs_qemu, needs_root, network, tools

pytestmark = pytest.mark.integration


class Sets:
    """ipset in a network of its own."""

    def __init__(self, net: Network) -> None:
        self.net = net

    def run(self, *arguments: str, stdin: str = "") -> Done:
        return self.net.run(*tools("amd64").argv("ipset", *arguments), stdin=stdin)

    def ok(self, *arguments: str, stdin: str = "") -> str:
        return self.net.ok(*tools("amd64").argv("ipset", *arguments), stdin=stdin)

    def saved(self) -> str:
        """What `save` prints, without what the kernel draws at random."""
        return re.sub(r" initval 0x[0-9a-f]+", "", self.ok("save"))

    def members(self, name: str) -> set[str]:
        return set(self.ok("list", name).split("Members:\n")[1].splitlines())


@pytest.fixture
def sets() -> Iterator[Sets]:
    with network() as net:
        yield Sets(net)


TYPES = [
    ("hash:ip", [], ["10.0.0.1", "10.0.0.2"], "10.0.0.3"),
    ("hash:ip", ["family", "inet6"], ["fd00::1", "fd00::ffff"], "fd00::2"),
    ("hash:net", [], ["10.1.0.0/16", "192.168.7.0/24"], "10.2.0.0/16"),
    ("hash:net", ["family", "inet6"], ["fd00::/64", "fd01::/48"], "fd02::/64"),
    ("hash:ip,port", [], ["10.0.0.1,tcp:80", "10.0.0.1,udplite:53"], "10.0.0.1,tcp:81"),
    ("hash:ip,port", ["family", "inet6"], ["fd00::1,tcp:443"], "fd00::1,udp:443"),
    ("hash:ip,port,ip", [], ["10.0.0.1,tcp:80,10.0.0.9"], "10.0.0.1,tcp:80,10.0.0.8"),
    ("hash:ip,port,net", [], ["10.0.0.1,sctp:80,10.9.0.0/24"], "10.0.0.1,sctp:80,10.8.0.0/24"),
    ("hash:net,port", [], ["10.1.0.0/16,tcp:22"], "10.1.0.0/16,tcp:23"),
    ("hash:net,iface", [], ["10.1.0.0/16,eth0"], "10.1.0.0/16,eth1"),
    ("bitmap:ip", ["range", "10.0.0.0/24"], ["10.0.0.7"], "10.0.0.8"),
    ("bitmap:port", ["range", "1000-2000"], ["1024"], "1025"),
    ("bitmap:ip,mac", ["range", "10.0.0.0/24"], ["10.0.0.7,02:00:00:00:00:01"], "10.0.0.9"),
]


@needs_root
@pytest.mark.parametrize(
    ("kind", "options", "entries", "absent"), TYPES, ids=[f"{t[0]} {' '.join(t[1])}" for t in TYPES]
)
def test_a_set_of_each_type(
    sets: Sets, kind: str, options: list[str], entries: list[str], absent: str
) -> None:
    """Create, add, list, test, save, destroy, restore, delete."""
    sets.ok("create", "a", kind, *options)
    for entry in entries:
        sets.ok("add", "a", entry)
    found = {member.lower() for member in sets.members("a")}
    assert found == set(entries)
    assert sets.run("test", "a", entries[0]).code == 0
    missing = sets.run("test", "a", absent)
    assert missing.code == 1 and "is NOT in set a" in missing.err

    saved = sets.ok("save")
    assert saved.splitlines()[0].startswith(f"create a {kind} ")
    sets.ok("destroy")
    assert sets.ok("save") == ""
    sets.ok("restore", stdin=saved)
    assert sets.ok("save") == saved

    sets.ok("del", "a", entries[0])
    assert len(sets.members("a")) == len(entries) - 1
    sets.ok("flush", "a")
    assert sets.members("a") == set()


@needs_root
def test_a_list_of_sets(sets: Sets) -> None:
    sets.ok("create", "one", "hash:ip")
    sets.ok("create", "two", "hash:net")
    sets.ok("create", "all", "list:set")
    sets.ok("add", "all", "two")
    sets.ok("add", "all", "one", "before", "two")
    assert sets.ok("list", "all").endswith("Members:\none\ntwo\n")
    used = sets.run("destroy", "one")
    assert used.code == 1 and "in use by a kernel component" in used.err
    assert "References: 1" in sets.ok("list", "one")
    sets.ok("destroy", "all")
    sets.ok("destroy", "one")
    assert sets.ok("list", "-name") == "two\n"


@needs_root
def test_comments_timeouts_and_counters(sets: Sets) -> None:
    sets.ok("create", "a", "hash:ip", "timeout", "300", "comment", "counters")
    sets.ok("add", "a", "10.0.0.1", "comment", "with spaces, and ünïcode", "timeout", "0")
    sets.ok("add", "a", "10.0.0.2", "packets", "7", "bytes", "18446744073709551614")
    lines = {line.split()[0]: line for line in sets.members("a")}
    assert 'comment "with spaces, and ünïcode"' in lines["10.0.0.1"]
    assert " timeout 0 " in lines["10.0.0.1"]
    # 64-bit values lie in the message at a multiple of four only.
    assert " packets 7 bytes 18446744073709551614" in lines["10.0.0.2"]
    left = re.search(r"timeout (\d+)", lines["10.0.0.2"])
    assert left and 290 <= int(left[1]) <= 300
    quoted = sets.run("add", "a", "10.0.0.3", "comment", 'a "quote"')
    assert quoted.code == 1 and "character" in quoted.err


@needs_root
def test_an_entry_goes_when_its_time_is_over(sets: Sets) -> None:
    sets.ok("create", "a", "hash:ip", "timeout", "1")
    sets.ok("add", "a", "10.0.0.1")
    assert sets.run("test", "a", "10.0.0.1").code == 0
    until = time.monotonic() + 10
    while sets.run("test", "a", "10.0.0.1").code == 0:
        assert time.monotonic() < until, "it is still there"
        time.sleep(0.1)


@needs_root
def test_a_range_becomes_its_addresses(sets: Sets) -> None:
    sets.ok("create", "a", "hash:ip")
    sets.ok("add", "a", "10.0.0.0/30")
    assert sets.members("a") == {"10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3"}
    sets.ok("create", "n", "hash:net")
    sets.ok("add", "n", "10.0.0.0/8")
    sets.ok("add", "n", "10.9.0.0/16", "nomatch")
    assert sets.run("test", "n", "10.1.2.3").code == 0
    assert sets.run("test", "n", "10.9.2.3").code == 1


@needs_root
def test_more_than_one_datagram(sets: Sets) -> None:
    """30,000 entries take some hundred messages, out and in."""
    lines = [f"add big 10.{i >> 8 & 255}.{i & 255}.{i >> 16}" for i in range(30_000)]
    sets.ok("restore", stdin="\n".join(["create big hash:ip", *lines, ""]))
    assert "Number of entries: 30000\n" in sets.ok("list", "-terse", "big")
    saved = sets.ok("save")
    assert set(saved.splitlines()[1:]) == set(lines)
    sets.ok("swap", *_second(sets))
    assert len(sets.members("other")) == 30_000


def _second(sets: Sets) -> tuple[str, str]:
    sets.ok("create", "other", "hash:ip")
    return "big", "other"


@needs_root
def test_rename_and_swap(sets: Sets) -> None:
    for name, entry in (("a", "10.0.0.1"), ("b", "10.0.0.2")):
        sets.ok("create", name, "hash:ip")
        sets.ok("add", name, entry)
    sets.ok("swap", "a", "b")
    assert (sets.members("a"), sets.members("b")) == ({"10.0.0.2"}, {"10.0.0.1"})
    sets.ok("rename", "a", "c")
    assert sets.members("c") == {"10.0.0.2"}
    taken = sets.run("rename", "b", "c")
    assert taken.code == 1 and "already exists" in taken.err


POLICY = """\
create KUBE-DST-1 hash:ip family inet hashsize 1024 maxelem 65536 timeout 0
flush KUBE-DST-1
add KUBE-DST-1 10.42.0.5 timeout 0
add KUBE-DST-1 10.42.0.6 timeout 0
create TMP-1 hash:net family inet hashsize 1024 maxelem 65536 timeout 0
add TMP-1 10.43.0.0/16 timeout 0 nomatch
create inet6:KUBE-DST-1 hash:ip family inet6 hashsize 1024 maxelem 65536 timeout 0
add inet6:KUBE-DST-1 fd42::5 timeout 0
"""
"""The form in which the network policy controller hands its sets over."""


@needs_root
def test_what_the_network_policy_controller_does(sets: Sets) -> None:
    sets.ok("restore", "-exist", stdin=POLICY)
    first = sets.saved()
    sets.ok("restore", "-exist", stdin=POLICY)
    assert sets.saved() == first
    assert "add inet6:KUBE-DST-1 fd42::5 timeout 0" in first
    assert re.search(
        r"^create KUBE-DST-1 hash:ip family inet hashsize 1024 .*timeout 0", first, re.M
    )
    once_more = sets.run("restore", stdin=POLICY)
    assert once_more.code == 1
    assert "Error in line 1: Set cannot be created: set with the same name already exists" in (
        once_more.err
    )


@needs_root
def test_an_error_in_the_middle_names_its_line_and_keeps_what_was_before(sets: Sets) -> None:
    text = "create a hash:ip\nadd a 10.0.0.1\nadd a 10.0.0.1\nadd a 10.0.0.2\n"
    done = sets.run("restore", stdin=text)
    assert done.code == 1
    assert "Error in line 3: Element cannot be added to the set: it's already added" in done.err
    assert sets.members("a") == {"10.0.0.1"}


WRONG = [
    (["list", "none"], "The set with the given name does not exist"),
    (["create", "a", "hash:nothing"], "typename 'hash:nothing' is unknown"),
    (["create", "n" * 32, "hash:ip"], "setname 'n{32}' is longer than 31 characters"),
    (["create", "a", "hash:ip", "maxelem", "many"], "'many' is invalid as number"),
    (["add", "there", "10.0.0.1/33"], "is out of range|cannot parse|is invalid"),
    (["add", "there", "fd00::1"], "cannot parse|cannot be parsed|resolving"),
    (["add", "there", "10.0.0.1", "timeout", "5"], "without timeout support"),
    (["del", "there", "10.0.0.9"], "Element cannot be deleted from the set: it's not added"),
    (["create", "there", "hash:ip"], "set with the same name already exists"),
    (["nothing"], "No command specified|unknown argument nothing"),
    (["add", "there"], "Missing second mandatory argument"),
    (["swap", "there", "none"], "the second set does not exist"),
]


@needs_root
@pytest.mark.parametrize(("arguments", "text"), WRONG, ids=[" ".join(a)[:40] for a, _ in WRONG])
def test_wrong_input(sets: Sets, arguments: list[str], text: str) -> None:
    sets.ok("create", "there", "hash:ip")
    before = sets.ok("save")
    done = sets.run(*arguments)
    assert done.code in (1, 2), done
    assert re.search(text, done.err), done.err
    assert sets.ok("save") == before


@needs_root
def test_full_set(sets: Sets) -> None:
    sets.ok("create", "a", "hash:ip", "maxelem", "2")
    sets.ok("add", "a", "10.0.0.1")
    sets.ok("add", "a", "10.0.0.2")
    done = sets.run("add", "a", "10.0.0.3")
    assert done.code == 1 and "Hash is full, cannot add more elements" in done.err


@needs_root
def test_xml(sets: Sets) -> None:
    sets.ok("create", "a", "hash:ip")
    sets.ok("add", "a", "10.0.0.1")
    text = sets.ok("list", "-output", "xml")
    assert '<ipset name="a">' in text and "<member><elem>10.0.0.1</elem></member>" in text


@needs_root
def test_without_the_right_to(sets: Sets) -> None:
    argv = tools("amd64").argv("ipset", "create", "a", "hash:ip")
    done = sets.net.run("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", *argv)
    assert done.code == 1 and "Operation not permitted" in done.err


@needs_root
def test_version_is_what_the_kernel_was_asked(sets: Sets) -> None:
    assert sets.ok("version") == "ipset v7.17, protocol version: 7\n"


@needs_qemu
def test_armv6_set_types() -> None:
    for kind in {kind for kind, *_ in TYPES} | {"list:set", "hash:mac", "hash:net,net"}:
        done = tools("armv6").run("ipset", "help", kind)
        assert done.code == 0 and f"{kind} type specific options:" in done.out


@needs_qemu
def test_armv6_without_netfilter() -> None:
    """qemu-user has no netfilter sockets: the program says so and ends, in any case."""
    for arguments in (["list"], ["create", "a", "hash:ip"], ["restore"]):
        done = tools("armv6").run("ipset", *arguments, stdin="create a hash:ip\n")
        assert done.code == 1 and "Cannot open session to kernel." in done.err
