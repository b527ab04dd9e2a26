"""What a node must have: each thing is taken away, one line says what, why, and the cure."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from .fit import (
    HIDE_MODULES,
    NO_LEGACY,
    Fit,
    errors,
    in_first_pid_namespace,
    listening,
    unfit,
    warnings,
)
from .pack import Pack

_WHY_NOT = unfit()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(_WHY_NOT), reason=f"no machine can be made here: {_WHY_NOT}"),
]

AGENT = ("agent", "--server=https://192.0.2.7:6443", "--token=x")
CLOSING = (
    "k3s: not started, for this node lacks what is named above"
    " (K3S_NODE_CHECKS=off starts all the same)"
)


@pytest.fixture
def fit(payload: Pack, launcher_binary: Path) -> Iterator[Fit]:
    """In a folder that every user may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield Fit(payload.write(launcher_binary, folder / "bin" / "k3s"), folder)


@dataclass(frozen=True)
class Row:
    """One thing: how it is taken away, what is said, and a cure that is tried."""

    need: str
    what: str
    take: str = ""
    words: tuple[str, ...] = ("server",)
    cure: str = ""
    cured_words: tuple[str, ...] = ()


def held(
    port: int, owner: str, words: tuple[str, ...] = ("server",), host: str = "127.0.0.1"
) -> Row:
    what = f"another program has the port {port} ({owner})"
    return Row("ports", what, listening(host, port), words)


V1 = "/sys/fs/cgroup has control groups of version 1, not the unified hierarchy of version 2"
NO_CONTROLLER = "the {} controller is not in /sys/fs/cgroup/cgroup.controllers"
UNMOUNT = "umount /sys/fs/cgroup/cgroup.controllers\n"
READ_ONLY_PANIC = """\
echo 0 >"$WORK/kernel.panic"
mount -o remount,bind,ro /proc/sys/kernel/panic
"""

ROWS = [
    Row(
        "root",
        "this user (65534) is not root",
        'chmod 777 "$DATA"\nVIA="setpriv --reuid=65534 --regid=65534 --clear-groups"',
        cured_words=("server", "--rootless"),
    ),
    Row(
        "node-name",
        "the host name 'my_pi' has other characters than letters, digits, '-' and '.'",
        "echo my_pi >/proc/sys/kernel/hostname",
        cured_words=("server", "--node-name", "my-pi"),
    ),
    Row(
        "node-name",
        "the host name '-pi' begins or ends, or one of its parts does, with '-' or '.'",
        "echo -pi >/proc/sys/kernel/hostname",
        cure="echo -pi >/proc/sys/kernel/hostname; hostname pi.local",
    ),
    Row(
        "node-name",
        f"the node name '{'a' * 64}' has more than 63 characters",
        words=("server", "--node-name", "a" * 64),
        cured_words=("server", "--node-name", "a" * 63),
    ),
    Row("server", "no server is named", words=("agent", "--token=x"), cured_words=AGENT),
    Row(
        "server-url",
        "the server '192.0.2.7:6443' is no https URL",
        words=("agent", "-s", "192.0.2.7:6443", "--token=x"),
        cured_words=AGENT,
    ),
    Row(
        "server-url",
        "the server 'http://192.0.2.7:6443' is no https URL",
        words=("agent", "--server", "http://192.0.2.7:6443", "--token=x"),
        cured_words=AGENT,
    ),
    Row("token", "no token is given", words=AGENT[:2], cured_words=AGENT),
    Row(
        "loopback",
        "the loopback interface lo is down",
        "ip link set lo down",
        cure="ip link set lo down; ip link set lo up",
    ),
    Row(
        "address",
        "there is no default route",
        "ip route del default",
        cured_words=("server", "--flannel-iface", "eth9"),
    ),
    Row(
        "address",
        "the interface of the default route is down, or without an address",
        "ip addr add 169.254.3.4/16 dev eth9; ip addr del 198.51.100.2/24 dev eth9;"
        " ip route replace default dev eth9",
    ),
    Row(
        "flannel-iface",
        "the interface wlan7 of --flannel-iface does not exist",
        words=("server", "--flannel-iface=wlan7"),
        cured_words=("server", "--flannel-iface=eth9"),
    ),
    Row(
        "flannel-iface",
        "the interface eth9 of --flannel-iface is down",
        "ip link set eth9 down",
        words=("server", "--flannel-iface", "eth9"),
        cure="ip link set eth9 down; ip link set eth9 up",
    ),
    Row(
        "flannel-iface",
        "the interface eth8 of --flannel-iface has no address",
        "ip link add eth8 type bridge; ip link set eth8 up",
        words=("server", "--flannel-iface", "eth8"),
        cure="ip link add eth8 type bridge; ip link set eth8 up; ip addr add 192.0.2.1/24 dev eth8",
    ),
    Row(
        "flannel-route",
        "there is no default route, and --node-ip alone does not tell flannel its interface",
        "ip route del default",
        words=("server", "--node-ip=198.51.100.2"),
        cured_words=("server", "--node-ip=198.51.100.2", "--flannel-iface=eth9"),
    ),
    held(6443, "k3s"),
    held(6443, "k3s", host="::"),
    held(6444, "kube-apiserver"),
    held(6444, "the agent's load balancer", AGENT),
    held(10250, "kubelet", host="198.51.100.2"),
    held(10250, "kubelet", AGENT),
    held(10257, "kube-controller-manager"),
    held(10258, "cloud-controller-manager"),
    held(10259, "kube-scheduler", host="0.0.0.0"),
    Row(
        "cgroup2",
        "no control groups are mounted at /sys/fs/cgroup",
        f"{UNMOUNT}mount -t tmpfs none /sys/fs/cgroup",
    ),
    Row(
        "cgroup2",
        V1,
        f"{UNMOUNT}mount -t tmpfs none /sys/fs/cgroup; mkdir /sys/fs/cgroup/memory;"
        " mount -t cgroup -o none,name=k3s-test none /sys/fs/cgroup/memory",
    ),
    Row(
        "cgroup2",
        V1,
        f"{UNMOUNT}mount -t tmpfs none /sys/fs/cgroup; mkdir /sys/fs/cgroup/unified;"
        " mount -t cgroup2 none /sys/fs/cgroup/unified",
    ),
    Row(
        "cgroup-memory",
        NO_CONTROLLER.format("memory"),
        'echo cpuset cpu io pids memory.high >"$WORK/controllers"',
    ),
    *(
        Row(
            "cgroup-controllers",
            NO_CONTROLLER.format(name),
            f'sed -i "s/\\b{name}\\b//" "$WORK/controllers"; {UNMOUNT}'
            'mount --bind "$WORK/controllers" /sys/fs/cgroup/cgroup.controllers',
        )
        for name in ("cpu", "pids", "cpuset")
    ),
    Row(
        "cgroup-writable",
        "/sys/fs/cgroup is mounted read-only",
        "mount -o remount,bind,ro /sys/fs/cgroup",
        cure="mount -o remount,bind,ro /sys/fs/cgroup; mount -o remount,rw /sys/fs/cgroup",
    ),
    Row(
        "kmsg",
        "/dev/kmsg cannot be opened: No such file or directory",
        "mount -t tmpfs none /dev",
        cure="mount -t tmpfs none /dev; mknod -m 644 /dev/kmsg c 1 11",
    ),
    Row(
        "sysctls",
        "kernel.panic=10 cannot be set: it is read-only",
        READ_ONLY_PANIC,
        cure=f"{READ_ONLY_PANIC}mount -o remount,bind,rw /proc/sys/kernel/panic",
    ),
    Row(
        "sysctls",
        "vm.overcommit_memory=1 is another, and --protect-kernel-defaults forbids to set it",
        'echo 0 >"$WORK/vm.overcommit_memory"',
        words=("server", "--protect-kernel-defaults"),
        cure="echo 1 >/proc/sys/vm/overcommit_memory",
    ),
    Row(
        "folders",
        "read-only: /var/log/pods, /var/log/containers",
        "mount -t tmpfs -o ro none /var/log",
        cure="mount -t tmpfs -o ro none /var/log; mount -o remount,rw /var/log",
    ),
    Row(
        "folders",
        "read-only: /etc/rancher/node",
        "mount --bind /etc /etc; mount -o remount,bind,ro /etc",
        cure="mount --bind /etc /etc; mount -o remount,bind,ro /etc; mount -t tmpfs none /etc",
    ),
    Row(
        "overlay-disk",
        "{data} is on an overlay file system, where no overlay can be mounted",
        'mkdir "$DATA/l" "$DATA/u" "$DATA/w";'
        ' mount -t overlay -o lowerdir="$DATA/l",upperdir="$DATA/u",workdir="$DATA/w" none "$DATA"',
        cured_words=("server", "--snapshotter=native"),
    ),
    Row(
        "overlay-disk",
        "{data} is on a file system without d_type, where no overlay can be mounted",
        'truncate -s 32M "$WORK/disk"; mkfs.ext4 -q -O ^filetype "$WORK/disk";'
        ' mount -o loop "$WORK/disk" "$DATA"',
        cured_words=("server", "--snapshotter", "native"),
    ),
]

FED_MODULES = [
    Row(
        "overlay",
        "kernel {release} has no overlay file system: overlay is neither loaded nor below"
        " /lib/modules/{release}",
        'grep -v overlay /proc/filesystems >"$WORK/filesystems";'
        ' mount --bind "$WORK/filesystems" /proc/filesystems;'
        f" mkdir -p $WORK/module/vxlan; {HIDE_MODULES}mount --bind $WORK/module /sys/module",
        cured_words=("server", "--snapshotter=native"),
    ),
    Row(
        "vxlan",
        "kernel {release} has no VXLAN: vxlan is neither loaded nor below /lib/modules/{release}",
        HIDE_MODULES,
        cured_words=("server", "--flannel-backend=host-gw"),
    ),
    Row(
        "iptables",
        "kernel {release} has no legacy iptables, and this machine no iptables of its own:"
        " ip_tables is neither loaded nor below /lib/modules/{release}",
        f"mkdir -p $WORK/module/vxlan; {HIDE_MODULES}mount --bind $WORK/module /sys/module;"
        f" export PATH=/nowhere:$WORK\n{NO_LEGACY}".replace(
            "mount -t tmpfs none /proc", "/bin/mount -t tmpfs none /proc"
        ),
        cured_words=("server", "--disable-kube-proxy"),
    ),
]


def _check(fit: Fit, row: Row) -> None:
    what = row.what.format(
        data=fit.work / "data", release=Path("/proc/sys/kernel/osrelease").read_text().strip()
    )
    result = fit(*row.words, take=row.take)
    said = fit.rows()[row.need]
    assert errors(result) == [f"k3s: error: {what}: {said['why']}; do: {said['cure']}"], result.err
    assert result.err.splitlines()[-1] == CLOSING
    assert result.code == 72 and not result.out
    for words, take in ((row.cured_words, row.take), (row.words, row.cure)):
        if (words == row.cured_words and not words) or (take == row.cure and not take):
            continue
        result = fit(*words, take=take)
        assert result.code == 0 and result.arguments, result.err
        assert not errors(result) and not warnings(result)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.need}-{row.what[:40]}")
def test_taken_away_and_given_back(fit: Fit, row: Row) -> None:
    if "mkfs.ext4" in row.take and not shutil.which("mkfs.ext4"):
        pytest.skip("requires mkfs.ext4")
    _check(fit, row)


@pytest.mark.skipif(
    not in_first_pid_namespace(), reason="in a container the launcher does not judge modules"
)
@pytest.mark.parametrize("row", FED_MODULES, ids=lambda row: row.need)
def test_modules_that_are_hidden(fit: Fit, row: Row) -> None:
    _check(fit, row)


@pytest.mark.parametrize("words", [("server",), AGENT, ("server", "--disable-agent")])
def test_fit(fit: Fit, words: tuple[str, ...]) -> None:
    result = fit(*words)
    assert result.code == 0 and result.arguments[1:] == list(words)
    assert not errors(result) and not warnings(result)


# ---- the cure without any network ----


def test_a_board_without_any_network(fit: Fit) -> None:
    """The commands of the line itself, with another kind of link where there is no dummy module."""
    alone = "ip link del eth9"
    cure = fit.rows()["address"]["cure"].partition("ip link add")
    commands = (cure[1] + cure[2]).replace("type dummy", "type bridge")
    assert errors(fit("server", take=alone))
    result = fit("server", take=f"{alone}\n{commands}")
    assert result.code == 0 and not errors(result), result.err


# ---- nothing that k3s starts with is refused ----

ALONE = "ip route del default\n"
OFF = "mount -t tmpfs none /sys/fs/cgroup\n"
V1_TREE = f"{OFF}mkdir /sys/fs/cgroup/unified; mount -t cgroup2 none /sys/fs/cgroup/unified\n"


@pytest.mark.parametrize(
    ("words", "take", "env", "config"),
    [
        (("server", "--node-ip=198.51.100.2", "--flannel-backend=none"), ALONE, {}, ""),
        (("server", "--node-ip=198.51.100.2", "--disable-agent"), ALONE, {}, ""),
        (("server",), ALONE, {}, "node-ip: 198.51.100.2\nflannel-iface: eth9\n"),
        (("server",), ALONE, {"K3S_NODE_CHECKS": "off"}, ""),
        (("server", "--disable-agent"), OFF, {}, ""),
        (("server",), OFF, {}, "disable-agent: true\n"),
        (("server", "--https-listen-port=7443"), listening("::", 6443), {}, ""),
        (("server", "--kubelet-arg=port=10260"), listening("0.0.0.0", 10250), {}, ""),
        (("server", "--disable-agent"), listening("0.0.0.0", 10250), {}, ""),
        (AGENT, listening("::", 6443), {}, ""),
        ((*AGENT, "--lb-server-port=7444"), listening("::", 6444), {}, ""),
        (("agent",), "", {"K3S_URL": "https://192.0.2.7:6443", "K3S_TOKEN": "x"}, ""),
        (("agent",), "", {}, "server: HTTPS://192.0.2.7:6443\ntoken-file: /x\n"),
        (("agent", "-s=https://192.0.2.7", "-t=x"), "", {}, ""),
        (("agent", "-disable", "x", "--server", "https://192.0.2.7", "-t=x"), "", {}, ""),
        (("server",), "echo Pi-Zero.Local >/proc/sys/kernel/hostname", {}, ""),
        (("server",), "echo my_pi >/proc/sys/kernel/hostname", {"K3S_NODE_NAME": "my-pi"}, ""),
        (("server",), "echo my_pi >/proc/sys/kernel/hostname", {}, "node-name: my-pi\n"),
        (("server", "--help"), OFF, {}, ""),
        (("kubectl", "get", "nodes"), OFF, {}, ""),
    ],
)
def test_what_k3s_starts_with(
    fit: Fit, words: tuple[str, ...], take: str, env: dict[str, str], config: str
) -> None:
    result = fit(*words, take=take, env=env, config=config)
    assert result.code == 0 and result.arguments, result.err
    assert not errors(result) and not warnings(result), result.err


@pytest.mark.parametrize(
    ("words", "take", "config", "said"),
    [
        (("server", "--kubelet-arg=fail-cgroupv1=false"), V1_TREE, "", "version 1"),
        (
            ("server",),
            f'{V1_TREE}mkdir -p "$DATA/agent/etc/kubelet.conf.d";'
            ' : >"$DATA/agent/etc/kubelet.conf.d/my.conf"',
            "",
            "version 1",
        ),
        ((*AGENT, "--node-ip=198.51.100.2"), ALONE, "", "--node-ip alone"),
        (("server",), listening("127.0.0.1", 10010), "", "10010 (containerd)"),
    ],
)
def test_what_only_k3s_knows(
    fit: Fit, words: tuple[str, ...], take: str, config: str, said: str
) -> None:
    """A warning, and the start goes on."""
    result = fit(*words, take=take, config=config)
    assert result.code == 0 and result.arguments, result.err
    (line,) = warnings(result)
    assert said in line and "; do: " in line


def test_configuration_that_only_k3s_fetches(fit: Fit) -> None:
    result = fit("server", take=ALONE, env={"K3S_CONFIG_FILE": "https://192.0.2.7/config.yaml"})
    assert result.code == 0 and "there is no default route" in warnings(result)[0]


def test_several(fit: Fit) -> None:
    result = fit("agent", take=f"{ALONE}hostname pi; {OFF}")
    assert result.code == 72
    assert [line.split(": ")[2] for line in errors(result)] == [
        "no server is named",
        "no token is given",
        "there is no default route",
        "no control groups are mounted at /sys/fs/cgroup",
    ]


def test_cpuset_is_optional_for_armv6(payload: Pack, launcher_binary: Path, fit: Fit) -> None:
    pack = replace(payload, head={"target": "armv6"})
    pack.write(launcher_binary, fit.executable)
    less = 'echo cpu io memory pids >"$WORK/controllers"'
    assert fit("server", take=less).code == 0
    assert errors(fit("server", take='echo cpuset cpu memory >"$WORK/controllers"'))


def test_an_agent_that_has_joined_needs_no_token(fit: Fit) -> None:
    joined = 'mkdir -p "$DATA/agent"; echo x >"$DATA/agent/client-kubelet.crt"'
    assert fit(*AGENT[:2], take=joined).code == 0


def test_switch_has_one_word(fit: Fit) -> None:
    result = fit("server", take=ALONE, env={"K3S_NODE_CHECKS": "no"})
    assert result.code == 72
    assert "K3S_NODE_CHECKS is 'no', but only 'off' means something" in result.err


# ---- rootless ----


def test_rootless_is_asked_for_control_groups(fit: Fit) -> None:
    assert len(errors(fit("server", "--rootless", take=f"{OFF}{ALONE}"))) == 1


# ---- the clock ----


def authority(folder: Path, begins: str, ends: str) -> Path:
    """A self-signed certificate that begins then."""
    (folder / "ca.cnf").write_text(
        "[ca]\ndefault_ca=x\n[x]\ndatabase=index\nserial=serial\nnew_certs_dir=.\npolicy=p\n"
        "default_md=sha256\n[p]\ncommonName=supplied\n"
    )
    (folder / "index").write_text("")
    (folder / "serial").write_text("01")
    for argv in (
        "req -new -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout k -out r -subj /CN=ca",
        "ca -batch -config ca.cnf -selfsign -keyfile k -in r -out c -notext"
        f" -startdate {begins} -enddate {ends}",
    ):
        subprocess.run(["openssl", *argv.split()], cwd=folder, check=True, capture_output=True)
    return folder / "c"


@pytest.mark.skipif(not shutil.which("openssl"), reason="requires openssl")
@pytest.mark.parametrize(
    ("words", "place"),
    [(("server",), "server/tls"), (AGENT, "agent"), (("server", "--disable-agent"), "server/tls")],
)
def test_clock_before_the_certificates(
    fit: Fit, tmp_path: Path, words: tuple[str, ...], place: str
) -> None:
    """The clock is the machine's; the certificate is of a later day."""
    place = f'mkdir -p "$DATA/{place}"; cp %s "$DATA/{place}/server-ca.crt"'
    later = place % authority(tmp_path, "20440229120000Z", "20480101000000Z")
    (line,) = errors(fit(*words, take=later))
    assert "before this cluster's certificates begin (2044-02-29)" in line
    earlier = place % authority(tmp_path, "20200101000000Z", "20300101000000Z")
    assert fit(*words, take=earlier).code == 0


def test_certificate_that_is_none(fit: Fit) -> None:
    empty = (
        'mkdir -p "$DATA/server/tls";'
        ' echo -----BEGIN CERTIFICATE----- >"$DATA/server/tls/server-ca.crt"'
    )
    assert fit("server", take=empty).code == 0


# ---- ARMv6 ----


@pytest.mark.skipif(not shutil.which("qemu-arm-static"), reason="requires qemu-arm-static")
@pytest.mark.parametrize(
    ("take", "what"),
    [
        ("", ""),
        (ALONE, "there is no default route"),
        ("ip link set lo down", "the loopback interface lo is down"),
        (OFF, "no control groups are mounted at /sys/fs/cgroup"),
        ("mount -t tmpfs -o ro none /var/log", "read-only: /var/log/pods, /var/log/containers"),
        ("echo my_pi >/proc/sys/kernel/hostname", "the host name 'my_pi' has other characters"),
    ],
)
def test_on_armv6(payload: Pack, arm_launcher_binary: Path, fit: Fit, take: str, what: str) -> None:
    """Under the emulated CPU: what 32 bits and another kernel interface may get wrong."""
    head = {"target": "armv6", "cpu": "armv6"}
    replace(payload, head=head).write(arm_launcher_binary, fit.executable)
    via = '\nVIA="qemu-arm-static -cpu arm1176"'
    result = fit("server", take=take + via)
    assert result.code == (72 if what else 0), result.err
    assert len(errors(result)) == bool(what)
    assert not what or errors(result)[0].startswith(f"k3s: error: {what}")
