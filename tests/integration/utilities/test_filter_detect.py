"""Which iptables runs under the plain name: every row of the table in iptables-detect's main.c."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from . import filter_nft, filter_old_kernel
from .filter_tools import Done, Network, needs_qemu, needs_root, network, tools

pytestmark = [pytest.mark.integration, needs_root]

SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where the program always looks; empty in the tests, whatever this machine has."""
NAMES = [
    f"{prefix}{rest}" for prefix in ("iptables", "ip6tables") for rest in ("", "-save", "-restore")
]


@dataclass
class Machine:
    """A host: a network, and a folder with programs of its own."""

    net: Network
    folder: Path

    def program(self, name: str, script: str) -> Path:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def has_nft(self) -> None:
        """The host has iptables for nf_tables, under all its names."""
        for name in NAMES:
            prefix, dash, rest = name.partition("-")
            self.program(f"{prefix}-nft{dash}{rest}", 'echo "host $0 $*"')

    def rules(self, family: int, table: str, chain: str, rules: int) -> None:
        """Rules that somebody put into nf_tables."""
        script = str(Path(filter_nft.__file__))
        self.net.ok(sys.executable, script, str(family), table, chain, str(rules))

    def legacy(self, *arguments: str) -> None:
        self.net.ok(*tools("amd64").argv("aux/iptables-legacy", *arguments))

    def run(self, name: str, *arguments: str, before: tuple[str, ...] = (), path: str = "") -> Done:
        env = {"PATH": path or f"{self.folder}:/usr/bin:/bin"}
        return self.net.run(*before, str(tools("amd64").aux / name), *arguments, env=env)

    def choice(self) -> str:
        """What the program says of itself."""
        done = self.run("iptables-detect")
        assert (done.code, done.err) == (0, "")
        return done.out.strip()

    def without_legacy(self, name: str, *arguments: str) -> Done:
        """The same on a kernel without legacy tables."""
        before = (sys.executable, str(Path(filter_old_kernel.__file__)))
        return self.run(name, *arguments, before=before)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    (tmp_path / "host").mkdir()
    with network(SBIN) as net:
        yield Machine(net, tmp_path / "host")


def test_no_iptables_of_the_hosts(machine: Machine) -> None:
    machine.rules(2, "mangle", "KUBE-IPTABLES-HINT", 0)
    assert machine.choice() == "bundled: the host has no iptables for nf_tables"
    assert machine.run("iptables", "--version").out == "iptables v1.8.9 (legacy)\n"
    assert machine.run("ip6tables", "--version").out == "ip6tables v1.8.9 (legacy)\n"


@pytest.mark.parametrize("name", ["xtables-legacy-multi", "xtables-multi"])
def test_the_hosts_is_a_legacy_one_too(machine: Machine, name: str) -> None:
    real = machine.program(name, "echo host")
    (machine.folder / "iptables").symlink_to(real)
    assert machine.choice() == "bundled: the host has no iptables for nf_tables"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("family", "chain"), [(2, "KUBE-IPTABLES-HINT"), (10, "KUBE-KUBELET-CANARY")]
)
def test_kubelet_is_in_nf_tables(machine: Machine, name: str, family: int, chain: str) -> None:
    """Whichever family: both must agree."""
    machine.has_nft()
    machine.rules(family, "mangle", chain, 0)
    assert machine.choice() == "host: kubelet's chains are in nf_tables"
    prefix, dash, rest = name.partition("-")
    wanted = f"host {machine.folder}/{prefix}-nft{dash}{rest} -t nat -A X  two words\n"
    assert machine.run(name, "-t", "nat", "-A", "X", " two words").out == wanted


def test_a_plain_name_serves_as_well(machine: Machine) -> None:
    machine.program("iptables", 'echo "host $*"')
    machine.rules(2, "mangle", "KUBE-IPTABLES-HINT", 0)
    assert machine.run("iptables", "-L").out == "host -L\n"


def test_kubelet_is_in_the_legacy_tables(machine: Machine) -> None:
    machine.has_nft()
    machine.legacy("-t", "mangle", "-N", "KUBE-IPTABLES-HINT")
    machine.rules(2, "filter", "INPUT", 50)
    assert machine.choice() == "bundled: kubelet's chains are in the legacy tables"


def test_hint_in_another_table_is_none(machine: Machine) -> None:
    machine.has_nft()
    machine.legacy("-N", "KUBE-IPTABLES-HINT")
    machine.rules(2, "filter", "KUBE-IPTABLES-HINT", 0)
    assert machine.choice() == "bundled: nf_tables holds no more rules than the legacy tables"


@pytest.mark.parametrize(
    ("legacy", "nft", "wanted"),
    [(0, 0, "bundled"), (0, 1, "host"), (3, 3, "bundled"), (3, 4, "host")],
)
def test_the_greater_number_of_rules(machine: Machine, legacy: int, nft: int, wanted: str) -> None:
    """Only rules count: not policies, not chains, not tables that are made by asking."""
    machine.has_nft()
    machine.legacy("-t", "nat", "-N", "EMPTY")
    machine.legacy("-N", "MINE")
    for number in range(legacy):
        machine.legacy("-A", "MINE" if number else "INPUT", "-p", "tcp", "--dport", str(number + 1))
    if nft:
        machine.rules(10, "filter", "INPUT", nft)
    assert machine.choice().startswith(f"{wanted}: ")


def test_rules_of_others_do_not_count(machine: Machine) -> None:
    machine.has_nft()
    machine.rules(2, "my-firewall", "input", 20)
    assert machine.choice() == "bundled: nf_tables holds no more rules than the legacy tables"


def test_many_rules(machine: Machine) -> None:
    """More than fit into one answer, on both sides."""
    machine.has_nft()
    for _ in range(7):
        machine.rules(2, "filter", "INPUT", 100)
    lines = [f"-A INPUT -s 10.0.{i >> 8}.{i & 255} -j DROP" for i in range(700)]
    text = "\n".join(["*filter", *lines, "COMMIT", ""])
    machine.net.ok(*tools("amd64").argv("aux/iptables-legacy-restore"), stdin=text)
    assert machine.choice().startswith("bundled: nf_tables holds no more")
    machine.legacy("-D", "INPUT", "1")
    assert machine.choice().startswith("host: nf_tables holds more")


def test_asking_changes_nothing(machine: Machine) -> None:
    """The kernel makes a legacy table for whoever asks for it; this must not."""
    machine.has_nft()
    assert machine.choice().startswith("bundled: ")
    assert machine.net.ok("cat", "/proc/net/ip_tables_names", "/proc/net/ip6_tables_names") == ""


def test_kernel_without_legacy_tables_but_a_host_with_iptables(machine: Machine) -> None:
    machine.has_nft()
    assert machine.without_legacy("iptables", "-L").out.startswith("host ")
    assert machine.without_legacy("iptables-detect").out == (
        "host: the kernel has no legacy tables\n"
    )


@pytest.mark.parametrize(
    ("name", "option", "module"),
    [
        ("iptables", "CONFIG_IP_NF_IPTABLES_LEGACY", "ip_tables"),
        ("ip6tables-save", "CONFIG_IP6_NF_IPTABLES_LEGACY", "ip6_tables"),
    ],
)
def test_kernel_without_legacy_tables(
    machine: Machine, name: str, option: str, module: str
) -> None:
    done = machine.without_legacy(name, "-t", "nat")
    assert (done.code, done.out) == (3, "")
    assert f"{name}: this kernel has no legacy tables ({module})" in done.err
    assert option in done.err and "do: install" in done.err
    version = machine.without_legacy(name, "--version")
    assert version.code == 0 and "(legacy)" in version.out


def test_no_loop_through_the_hosts_program(machine: Machine) -> None:
    """A script of the host's that calls iptables by PATH, where this one comes first."""
    machine.program("iptables-nft", 'exec iptables "$@"')
    machine.rules(2, "mangle", "KUBE-IPTABLES-HINT", 0)
    path = f"{tools('amd64').aux}:{machine.folder}:/usr/bin:/bin"
    done = machine.run("iptables", "--version", path=path)
    assert (done.code, done.out) == (0, "iptables v1.8.9 (legacy)\n")


def test_itself_under_another_path_is_no_host(machine: Machine, tmp_path: Path) -> None:
    (machine.folder / "iptables").symlink_to(tools("amd64").aux / "iptables")
    os.link(tools("amd64").aux / "iptables-detect", machine.folder / "iptables-nft")
    machine.rules(2, "mangle", "KUBE-IPTABLES-HINT", 0)
    assert machine.choice() == "bundled: the host has no iptables for nf_tables"


def test_the_working_directory_is_not_searched(machine: Machine) -> None:
    machine.has_nft()
    machine.rules(2, "mangle", "KUBE-IPTABLES-HINT", 0)
    before = ("env", f"--chdir={machine.folder}")
    for path in (":/usr/bin:/bin", ".:/usr/bin:/bin", "/usr/bin::/bin", "/usr/bin:/bin:"):
        done = machine.run("iptables", "--version", before=before, path=path)
        assert done.out == "iptables v1.8.9 (legacy)\n"


def test_a_user_who_may_not_ask(machine: Machine) -> None:
    machine.has_nft()
    machine.rules(2, "mangle", "KUBE-IPTABLES-HINT", 0)
    few = ("setpriv", "--bounding-set=-net_admin,-net_raw", "--inh-caps=-net_admin,-net_raw")
    done = machine.run("iptables", "-L", before=few)
    assert done.code == 3 and "Permission denied (you must be root)" in done.err


@pytest.mark.parametrize("name", ["iptables-detect-x", "arptables", "xtables-multi"])
def test_another_name(machine: Machine, name: str) -> None:
    (machine.folder / name).symlink_to(tools("amd64").aux / "iptables-detect")
    done = machine.net.run(machine.folder / name)
    assert done.code == 2 and f"{name}: not a name of iptables" in done.err


def test_without_the_bundled_program(machine: Machine, tmp_path: Path) -> None:
    lonely = tmp_path / "iptables"
    lonely.write_bytes((tools("amd64").aux / "iptables-detect").read_bytes())
    lonely.chmod(0o755)
    done = machine.net.run(lonely, "-L")
    assert done.code == 1 and f"cannot run {tmp_path}/xtables-legacy-multi" in done.err


@pytest.mark.skipif(shutil.which("iptables-nft") is None, reason="iptables-nft is not installed")
def test_with_the_real_program() -> None:
    """Debian's own iptables for nf_tables: its rules are seen, and by both names the same ones."""
    with network() as net:
        program = str(tools("amd64").aux / "iptables")
        assert net.ok(program, "--version") == "iptables v1.8.9 (legacy)\n"
        net.ok("iptables-nft", "-t", "mangle", "-N", "KUBE-IPTABLES-HINT")
        net.ok("iptables-nft", "-A", "INPUT", "-s", "10.0.0.7", "-j", "DROP")
        assert "(nf_tables)" in net.ok(program, "--version")
        assert "-A INPUT -s 10.0.0.7/32 -j DROP" in net.ok(program, "-S")
        net.ok(program, "-D", "INPUT", "-s", "10.0.0.7", "-j", "DROP")
        assert "10.0.0.7" not in net.ok("iptables-nft", "-S")


def test_rules_by_the_plain_names(machine: Machine) -> None:
    """In, out, and back in."""
    assert machine.run("iptables", "-A", "INPUT", "-s", "10.0.0.7", "-j", "DROP").code == 0
    saved = machine.run("iptables-save").out
    assert "-A INPUT -s 10.0.0.7/32 -j DROP\n" in saved
    assert machine.run("iptables", "-F").code == 0
    machine.net.ok(tools("amd64").aux / "iptables-restore", stdin=saved)
    assert "10.0.0.7" in machine.net.ok(*tools("amd64").argv("aux/iptables-legacy", "-S"))


def test_it_is_quick(machine: Machine) -> None:
    """Called some hundred times a minute; the whole table, in the worst order."""
    machine.has_nft()
    count, start = 20, time.monotonic()
    for _ in range(count):
        machine.choice()
    direct = time.monotonic()
    for _ in range(count):
        machine.net.ok("/bin/true")
    took = ((direct - start) - (time.monotonic() - direct)) / count
    assert took < 0.05, f"{took * 1000:.1f} ms more than a program that does nothing"


@needs_qemu
def test_armv6() -> None:
    """qemu-user has no netfilter sockets; without them the bundled one is meant."""
    done = tools("armv6").run("aux/iptables-detect")
    assert done.code == 0 and done.out.startswith("bundled: ")
