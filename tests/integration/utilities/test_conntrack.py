"""What our conntrack shows of the kernel's table, line by line."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from .conntrack_lab import BACK, COUNT, ENDS, FLOWS, TITLE, Lab, lab, program

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def seen() -> Iterator[Lab]:
    with lab(program("amd64")) as made:
        yield made


@pytest.fixture
def own() -> Iterator[Lab]:
    with lab(program("amd64")) as made:
        yield made


LAST = r"delta-time=\d+ use=\d+"
LINES = {
    "4001": rf"tcp      6 43\d+ ESTABLISHED {ENDS} sport=4001 dport=8080 {COUNT} "
    rf"{BACK} sport=8080 dport=4001 {COUNT} \[ASSURED\] mark=291 {LAST}",
    "4002": r"tcp      6 43\d+ ESTABLISHED src=10.77.0.1 dst=10.77.0.9 sport=4002 dport=80 "
    rf"{COUNT} {BACK} sport=8080 dport=4002 {COUNT} \[ASSURED\] mark=0 {LAST}",
    "4003": rf"tcp      6 43\d+ ESTABLISHED {ENDS} sport=4003 dport=9999 {COUNT} "
    rf"src=10.77.0.2 dst=10.77.0.77 sport=9999 dport=4003 {COUNT} \[ASSURED\] mark=0 {LAST}",
    "4004": rf"tcp      6 43\d+ ESTABLISHED src=fd77::1 dst=fd77::2 sport=4004 dport=8080 {COUNT} "
    rf"src=fd77::2 dst=fd77::1 sport=8080 dport=4004 {COUNT} \[ASSURED\] mark=0 {LAST}",
    "4005": rf"tcp      6 \d+ CLOSE_WAIT {ENDS} sport=4005 dport=8080 {COUNT} "
    rf"{BACK} sport=8080 dport=4005 {COUNT} \[ASSURED\] mark=0 {LAST}",
    "5001": rf"udp      17 \d+ {ENDS} sport=5001 dport=53 packets=1 bytes=29 "
    rf"{BACK} sport=53 dport=5001 packets=1 bytes=29 mark=0 {LAST}",
    "5002": rf"udp      17 \d+ {ENDS} sport=5002 dport=54 packets=1 bytes=29 \[UNREPLIED\] "
    rf"{BACK} sport=54 dport=5002 packets=0 bytes=0 mark=0 zone=7 {LAST}",
    "5003": rf"udp      17 \d+ {ENDS} sport=5003 dport=55 zone-orig=8 packets=1 bytes=29 "
    rf"\[UNREPLIED\] {BACK} sport=55 dport=5003 packets=0 bytes=0 mark=0 {LAST}",
    "icmp": rf"icmp     1 \d+ {ENDS} type=8 code=0 id=20224 packets=1 bytes=28 "
    rf"{BACK} type=0 code=0 id=20224 packets=1 bytes=28 mark=0 {LAST}",
    "icmpv6": r"icmpv6   58 \d+ src=fd77::1 dst=fd77::2 type=128 code=0 id=19968 packets=1 "
    rf"bytes=48 src=fd77::2 dst=fd77::1 type=129 code=0 id=19968 packets=1 bytes=48 mark=0 {LAST}",
    "gre": rf"gre      47 \d+ {ENDS} srckey=0x0 dstkey=0x0 packets=1 bytes=28 \[UNREPLIED\] "
    rf"{BACK} srckey=0x0 dstkey=0x0 packets=0 bytes=0 mark=0 {LAST}",
}


@pytest.mark.parametrize("name", LINES)
def test_a_line(seen: Lab, name: str) -> None:
    lines = seen.run("-L").out.splitlines()
    assert any(re.fullmatch(LINES[name], line) for line in lines), lines


def test_all_flows_are_listed(seen: Lab) -> None:
    for table in ([], ["conntrack"]):
        done = seen.run("-L", *table)
        assert done.code == 0 and done.flows == FLOWS
        assert done.err == f"{TITLE}: {len(FLOWS)} flow entries have been shown.\n"
    for table in (["dying"], ["unconfirmed"]):
        assert seen.flows(*table) == set()


def test_the_same_as_the_kernels_own_list(seen: Lab) -> None:
    """/proc shows the zone 0 and one reference more, and writes IPv6 addresses out."""
    if not Path("/proc/net/nf_conntrack").exists():
        pytest.skip("this kernel has no /proc/net/nf_conntrack")

    def plain(text: str) -> set[str]:
        text = re.sub(r" (use=\d+|zone=0|timeout=\d+, stream_timeout=\d+)", "", text)
        text = re.sub(r"(tcp|udp|icmp|icmpv6|gre)( +\d+) \d+", r"\1\2", text)
        text = re.sub(r"delta-time=\d+", "", text)
        text = re.sub(r"(src|dst)=(\S+)", lambda m: f"{m[1]}={ip_address(m[2])}", text)
        return {line.rstrip() for line in text.splitlines() if "icmp" not in line}

    kernel = plain(seen.near.run("cat", "/proc/net/nf_conntrack").out)
    assert len(kernel) == len(FLOWS) - 2
    assert plain(seen.run("-L", "-o", "extended").out) == kernel


def test_output_words(seen: Lab) -> None:
    shown = seen.run("-L", "-p", "tcp", "-o", "extended,id", "-o", "ktimestamp", "-s", "fd77::1")
    form = r"ipv6     10 tcp      6 .* delta-time=\d+ \[start=\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}\]"
    assert re.fullmatch(rf"{form} use=\d+ id=\d+\n", shown.out), shown
    assert seen.run("-L", "-o", "labels").code == 0


def test_labels_by_name(own: Lab, tmp_path: Path) -> None:
    """The names lie in /etc, which the test covers with a mount of its own."""
    (tmp_path / "xtables").mkdir()
    (tmp_path / "xtables/connlabel.conf").write_text("40 forty\n41 more\n")
    rule = ["-t", "mangle", "-A", "OUTPUT", "-m", "connlabel", "--label", "40", "--set"]
    if own.near.run("iptables-legacy", *rule).code:
        pytest.skip("no labels in this kernel or this iptables")
    send = "import socket; s = socket.socket(2, 2); s.bind(('', 5009))"
    own.near.ok(sys.executable, "-c", f"{send}; s.sendto(b'x', ('10.77.0.2', 53))")
    mount = f"mount -t overlay overlay -o lowerdir={tmp_path}:/etc /etc"
    script = f'{mount} && exec "$@"'
    inside: list[str | Path] = ["unshare", "--mount", "sh", "-c", script, "sh", own.program]
    for arguments in (["-l", "forty"], ["-o", "labels", "-p", "udp", "--sport", "5009"]):
        shown = own.near.run(*inside, "-L", *arguments)
        assert (shown.flows, shown.out[-14:]) == ({"5009"}, " labels=forty\n"), shown
    assert own.near.run(*inside, "-L", "-l", "forty,more").out == ""
    unknown = own.near.run(*inside, "-L", "-l", "fifty")
    assert unknown.code == 2 and f"{TITLE}: unknown label 'fifty'\n" in unknown.err


def test_statistics(seen: Lab) -> None:
    lines = seen.run("-S").out.splitlines()
    assert len(lines) == os.cpu_count()
    for number, line in enumerate(lines):
        assert re.match(rf"cpu={number:<4}\t(\w+=\d+ )*drop=\d+ early_drop=\d+ ", line), line
