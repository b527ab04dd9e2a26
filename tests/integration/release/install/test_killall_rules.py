"""What killall does to the rules and the sets of addresses of a machine."""

# ruff: noqa: E501  rules are as iptables-save prints them

from __future__ import annotations

import re
import shutil

import pytest

from ..machine import Machine
from ..server import Server
from .installing import MARKS, Make
from .removing import KILLALL, machine_with_k3s

pytestmark = MARKS

# Chains and rules as k3s's parts make them, with their names and their comments.
OURS = """\
*nat
:KUBE-SERVICES - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-SVC-AYCN5HPXMIRJNJXU - [0:0]
:KUBE-SEP-X27LE4BHSL4DOUIK - [0:0]
:FLANNEL-POSTRTG - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-HOSTPORT-MASQ - [0:0]
:CNI-HOSTPORT-SETMARK - [0:0]
:CNI-DN-0123456789abcdef01234 - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-A CNI-DN-0123456789abcdef01234 -s 10.42.0.0/24 -p tcp -m tcp --dport 80 -j CNI-HOSTPORT-SETMARK
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"cbr0\\" id: \\"5a4d\\"" -m multiport --dports 80 -j CNI-DN-0123456789abcdef01234
-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE
-A CNI-HOSTPORT-SETMARK -j MARK --set-xmark 0x2000/0x2000
-A KUBE-SERVICES -d 10.43.0.1/32 -p tcp -m tcp --dport 443 -j KUBE-SVC-AYCN5HPXMIRJNJXU
-A KUBE-SVC-AYCN5HPXMIRJNJXU -m comment --comment "default/kubernetes -> 1.2.3.4" -j KUBE-SEP-X27LE4BHSL4DOUIK
-A KUBE-SEP-X27LE4BHSL4DOUIK -p tcp -m tcp -j DNAT --to-destination 1.2.3.4:6443
-A KUBE-POSTROUTING -j MASQUERADE
-A FLANNEL-POSTRTG -s 10.42.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE
COMMIT
*filter
:FLANNEL-FWD - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-ROUTER-INPUT - [0:0]
:KUBE-POD-FW-AYCN5HPXMIRJNJXU - [0:0]
:KUBE-NWPLCY-DEFAULT - [0:0]
-A INPUT -m comment --comment "kube-router netpol - 4IA2OSFRMVNDXBVV" -j KUBE-ROUTER-INPUT
-A INPUT -m comment --comment "KUBE-ROUTER rule to explicitly ACCEPT traffic that comply to network policies" -m mark --mark 0x20000/0x20000 -j ACCEPT
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A FORWARD -m conntrack --ctstate NEW -g KUBE-FORWARD
-A KUBE-ROUTER-INPUT -d 10.42.0.9/32 -j KUBE-POD-FW-AYCN5HPXMIRJNJXU
-A KUBE-POD-FW-AYCN5HPXMIRJNJXU {set}-j KUBE-NWPLCY-DEFAULT
-A KUBE-NWPLCY-DEFAULT -j MARK --set-xmark 0x10000/0x10000
-A FLANNEL-FWD -s 10.42.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
COMMIT
"""

# A user's, some of which speak of k3s, and one counts what passed.
THEIRS = """\
*nat
:MY-NAT - [0:0]
-A PREROUTING -p tcp -m comment --comment "for KUBE-SERVICES and CNI-HOSTPORT-DNAT" -m tcp --dport 8080 -j REDIRECT --to-ports 80
-A POSTROUTING -m comment --comment -j -j MY-NAT
-A MY-NAT -m comment --comment "x \\" -j KUBE-SERVICES" -j RETURN
COMMIT
*filter
:KUBE-MINE - [0:0]
:my-flannel - [0:0]
:CNI-ADMIN - [0:0]
[7:420] -A INPUT -s 192.168.1.9/32 -m comment --comment "allow flannel to my nas" -j ACCEPT
-A INPUT -i flannel.1 -j ACCEPT
-A INPUT -m comment --comment KUBE-ROUTER-INPUT -j my-flannel
-A INPUT -m mark --mark 0x20000/0x20000 -j ACCEPT
-A FORWARD -m comment --comment "-j FLANNEL-FWD" -j KUBE-MINE
-A FORWARD -j CNI-ADMIN
-A CNI-ADMIN -j RETURN
COMMIT
"""

OF_PODMAN = """\
*nat
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-HOSTPORT-SETMARK - [0:0]
:CNI-DN-fedcba9876543210fedcb - [0:0]
:CNI-aaaaaaaaaaaaaaaaaaaaaaaa - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A POSTROUTING -s 10.88.0.2/32 -m comment --comment "name: \\"podman\\" id: \\"77aa\\"" -j CNI-aaaaaaaaaaaaaaaaaaaaaaaa
-A CNI-DN-fedcba9876543210fedcb -p tcp -m tcp --dport 81 -j CNI-HOSTPORT-SETMARK
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"podman\\" id: \\"77aa\\"" -m multiport --dports 81 -j CNI-DN-fedcba9876543210fedcb
-A CNI-HOSTPORT-SETMARK -j MARK --set-xmark 0x2000/0x2000
-A CNI-aaaaaaaaaaaaaaaaaaaaaaaa ! -d 224.0.0.0/4 -j MASQUERADE
COMMIT
"""


def with_network(make: Make, server: Server, backend: str) -> Machine:
    """A machine whose iptables is the real one of a kernel's kind."""
    if not shutil.which(f"iptables-{backend}-save", path="/usr/sbin:/sbin"):
        pytest.skip("iptables is not installed")
    machine = machine_with_k3s(make, server, "dash")
    for name in ("ip", "iptables-save", "ip6tables-save"):
        (machine.root / "fake" / name).unlink()
    for tool in ("iptables", "ip6tables"):
        for end in ("save", "restore"):
            real = f"/usr/sbin/{tool}-{backend}-{end}"
            machine.fake(f"{tool}-{end}", f'#!/bin/sh\nexec {real} "$@"\n')
    (machine.root / "run").mkdir(exist_ok=True)
    return machine


def rules(machine: Machine, backend: str, *parts: str, sets: str = "") -> list[str]:
    """Load them in a network of their own, run killall, and return what is saved then."""
    (machine.root / "rules").write_text("".join(parts))
    lines = f"""\
unshare --net sh -c '
{sets}
iptables-{backend}-restore -c --noflush </rules || exit 98
sh {KILLALL} || exit
iptables-{backend}-save -c
echo; ipset list -n
'
"""
    done = machine.run("sh", "-c", lines)
    if done.returncode == 98 and "does the table exist" in done.stderr.lower():
        pytest.skip(f"this kernel has no {backend} tables for a user")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("backend", ["legacy", "nft"])
def test_rules_of_a_user_stay_and_those_of_k3s_go(make: Make, server: Server, backend: str) -> None:
    machine = with_network(make, server, backend)
    alone = rules(machine, backend, THEIRS)
    both = rules(machine, backend, THEIRS, OURS.replace("{set}", ""))
    plain = [[re.sub(r"^#.*", "", line) for line in lines] for lines in (both, alone)]
    assert plain[0] == plain[1]
    assert any(line.startswith("[7:420]") and "my nas" in line for line in both)
    assert sum(line.startswith(("-A", "[")) for line in both) == 10


@pytest.mark.parametrize("backend", ["legacy", "nft"])
def test_ports_of_another_container_network_stay(make: Make, server: Server, backend: str) -> None:
    machine = with_network(make, server, backend)
    after = "\n".join(rules(machine, backend, OURS.replace("{set}", ""), OF_PODMAN))
    assert "KUBE" not in after and "FLANNEL" not in after
    assert 'name: \\"cbr0\\"' not in after and "CNI-DN-0123" not in after
    for part in ("-j CNI-DN-fedcba9876543210fedcb", "-j CNI-aaaaaaaaaaaaaaaaaaaaaaaa"):
        assert part in after
    assert ":CNI-HOSTPORT-SETMARK" in after and "-j CNI-HOSTPORT-DNAT" in after


def test_sets_of_kube_router_go_and_others_stay(make: Make, server: Server) -> None:
    if not shutil.which("ipset", path="/usr/sbin:/sbin"):
        pytest.skip("ipset is not installed")
    machine = with_network(make, server, "legacy")
    ours = ("KUBE-SRC-AYCN5HPXMIRJNJXU", "KUBE-DST-3YNVZWWGX3UQQ4VQ", "KUBE-LOOP-BACK")
    theirs = ("KUBE-SRC-mine", "my-KUBE-SRC-AYCN5HPXMIRJNJXU", "flannel")
    sets = "".join(f"ipset create {name} hash:ip || exit 97\n" for name in (*ours, *theirs))
    sets += "ipset create inet6:KUBE-DST-3YNVZWWGX3UQQ4VQ hash:ip family inet6 || exit 97\n"
    used = OURS.replace("{set}", "-m set --match-set KUBE-SRC-AYCN5HPXMIRJNJXU src ")
    after = rules(machine, "legacy", used, sets=sets)
    assert set(after[after.index("") + 1 :]) == set(theirs)
