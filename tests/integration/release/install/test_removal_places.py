"""The place of the data is asked of k3s itself; what is not k3s's there stays, whatever it is."""

from __future__ import annotations

import re
import shutil

import pytest

from ..server import Server
from .installing import MARKS, Make, installed
from .removing import (
    DATA,
    HASH,
    REMOVERS,
    answers,
    fill,
    machine_with_k3s,
    script,
    start_file,
    tree,
    uninstall,
    with_programs,
)

pytestmark = MARKS


@pytest.mark.parametrize("shell", REMOVERS)
def test_data_are_where_k3s_says(make: Make, server: Server, shell: str) -> None:
    machine = machine_with_k3s(make, server, shell)
    environment = machine.root / "etc/systemd/system/k3s.service.env"
    environment.write_text('K3S_DATA_DIR="/mnt/of the service"\n')
    start_file(machine, "server", "--data-dir", "/mnt/a b", "", "two  blanks\nit's")
    fill(machine, "/mnt/a b")
    answers(machine, "/mnt/a b")
    done = uninstall(machine, "export K3S_DATA_DIR=/mnt/of-the-caller")
    assert done.returncode == 0, done.stderr
    assert tree(machine.root / "mnt") == set(), done.stdout
    asked = (
        "<--show-paths><server><--data-dir></mnt/a b><><two  blanks\nit's> /mnt/of the service\n"
    )
    assert machine.read("/asked").replace(asked, "") == ""


def test_k3s_that_cannot_answer(make: Make, server: Server) -> None:
    """What was recorded at installation is taken, and that is said."""
    machine = machine_with_k3s(make, server)
    start_file(machine, "server", data="/mnt/k3s")
    fill(machine, "/mnt/k3s")
    fill(machine)
    machine.k3s.write_text("#!/bin/sh\nexit 79\n")
    done = uninstall(machine)
    assert done.returncode == 0, done.stderr
    assert "taken for it: /mnt/k3s" in done.stderr
    assert not (machine.root / "mnt/k3s").exists()
    assert (machine.root / DATA[1:] / "server/db/state.db").exists()


@pytest.mark.parametrize("variables", [{}, {"K3S_DATA_DIR": "/mnt/k3s"}])
def test_installed_by_an_older_script(
    make: Make, server: Server, variables: dict[str, str]
) -> None:
    machine = machine_with_k3s(make, server)
    installed(machine, server, **variables)
    (machine.root / "etc/rancher/k3s/k3s.start").unlink(missing_ok=True)
    machine.k3s.write_text("#!/bin/sh\nexit 1\n")
    data = variables.get("K3S_DATA_DIR", DATA)
    fill(machine, data)
    done = uninstall(machine)
    assert done.returncode == 0, done.stderr
    assert f"taken for it: {data}\n" in done.stderr
    assert not (machine.root / data[1:]).exists()


@pytest.mark.parametrize("shell", REMOVERS)
@pytest.mark.parametrize("link", ["/var/lib/rancher", DATA])
def test_data_behind_a_link(make: Make, server: Server, shell: str, link: str) -> None:
    machine = machine_with_k3s(make, server, shell)
    target = machine.root / "mnt/ssd" / link.rpartition("/")[2]
    target.mkdir(parents=True)
    (machine.root / link[1:]).parent.mkdir(parents=True, exist_ok=True)
    (machine.root / link[1:]).symlink_to("/" + target.relative_to(machine.root).as_posix())
    fill_behind = "/" + target.relative_to(machine.root).as_posix()
    fill(machine, fill_behind if link == DATA else fill_behind + "/k3s")
    done = uninstall(machine)
    assert done.returncode == 0, done.stderr
    left = {"rancher"} if link != DATA else set()
    assert tree(machine.root / "mnt/ssd") == left, done.stdout
    assert (machine.root / link[1:]).is_symlink() == (link != DATA)


PHOTOS = (
    "photos/a.jpg",
    "data/photos/b.jpg",
    "server/etc/passwords",
    "server/db/mine.db",
    "storage/backup/c",
    "agent/smith",
    f"data/{HASH[:-1]}/short",
    f"{HASH}/not-in-data",
)


@pytest.mark.parametrize("shell", REMOVERS)
def test_whole_disk_as_data_directory(make: Make, server: Server, shell: str) -> None:
    """k3s never ran a server there: names that are k3s's elsewhere are somebody's."""
    machine = machine_with_k3s(make, server, shell)
    answers(machine, "/mnt")
    for name in PHOTOS:
        path = machine.root / "mnt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    before = tree(machine.root / "mnt")
    for name in (f"data/{HASH}/bin/k3s", "agent/containerd/x", "agent/client-ca.crt"):
        path = machine.root / "mnt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("k3s's")
    done = uninstall(machine)
    assert done.returncode == 0, done.stderr
    assert tree(machine.root / "mnt") == before
    for name in ("photos", "server", "storage", "data/photos", "agent/smith"):
        assert f"stays: /mnt/{name} (not k3s's own)\n" in done.stdout


def test_folder_that_is_no_data_directory(make: Make, server: Server) -> None:
    machine = machine_with_k3s(make, server)
    answers(machine, "/home/me")
    for name in ("data/a", "server/b", "agent/c", "storage/d", "e"):
        path = machine.root / "home/me" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    before = tree(machine.root / "home/me")
    assert uninstall(machine).returncode == 0
    assert tree(machine.root / "home/me") == before


OTHERS = (
    "var/lib/cni/networks/podman/10.88.0.2",
    "var/lib/cni/results/podman-77aa-eth0",
    "var/lib/cni/results/cni-loopback-77aa-lo",
    "etc/rancher/k3s/audit-policy.yaml",
    "var/lib/kubelet/seccomp/mine.json",
    "run/flannel/other.env",
    "var/lib/rancher/k3s/data/cni/my-plugin",
)


@pytest.mark.parametrize("shell", REMOVERS)
def test_files_of_others_in_shared_folders_stay(make: Make, server: Server, shell: str) -> None:
    machine = machine_with_k3s(make, server, shell)
    fill(machine)
    ours = machine.root / "var/lib/cni/results/cni-loopback-5a4d-lo"
    ours.write_text("x")
    for name in OTHERS:
        (machine.root / name).parent.mkdir(parents=True, exist_ok=True)
        (machine.root / name).write_text("theirs")
    (machine.root / "var/lib/rancher/k3s/data/cni/bridge").symlink_to(
        f"{DATA}/data/current/bin/cni"
    )
    done = uninstall(machine)
    assert done.returncode == 0, done.stderr
    left = {
        path.relative_to(machine.root).as_posix()
        for folder in ("var/lib/cni", "var/lib/kubelet", "etc/rancher/k3s", "run/flannel", DATA[1:])
        for path in (machine.root / folder).rglob("*")
        if not path.is_dir()
    }
    assert left == set(OTHERS), done.stdout
    said = re.findall(r"^stays: /(.*) \(not k3s's own\)$", done.stdout, re.M)
    assert all(any(name.startswith(path) for path in said) for name in OTHERS), said


def test_another_kubelet_keeps_its_folders(make: Make, server: Server) -> None:
    machine = machine_with_k3s(make, server)
    fill(machine)
    (machine.root / "var/lib/kubelet/kubeadm-flags.env").write_text("x")
    before = tree(machine.root / "var/lib/kubelet")
    done = uninstall(machine)
    assert tree(machine.root / "var/lib/kubelet") == before
    assert "stays: /var/lib/kubelet (another kubelet has it too)\n" in done.stdout


def test_one_of_two_services(make: Make, server: Server) -> None:
    """The other one runs on; data of its own go, data that both use stay."""
    machine = machine_with_k3s(make, server)
    installed(machine, server, INSTALL_K3S_NAME="lab")
    start_file(machine, "server", "--data-dir", "/mnt/lab", service="k3s-lab", data="/mnt/lab")
    start_file(machine, "server")
    fill(machine)
    fill(machine, "/mnt/lab")
    calls = len(machine.calls)
    done = script(machine, "sh /usr/local/bin/k3s-lab-uninstall.sh")
    assert done.returncode == 0, done.stderr
    assert "systemctl stop k3s" not in machine.calls[calls:]
    assert "systemctl stop k3s-lab" in machine.calls[calls:]
    assert not (machine.root / "mnt/lab").exists()
    assert (machine.root / DATA[1:] / "server/db/state.db").exists()
    assert (machine.root / "var/lib/kubelet/cpu_manager_state").exists()
    assert machine.k3s.exists() and (machine.root / "etc/rancher/k3s/config.yaml.d").exists()
    shutil.rmtree(machine.root / "mnt")
    installed(machine, server, INSTALL_K3S_NAME="lab")
    (machine.root / "srv").mkdir()
    (machine.root / "srv/link").symlink_to(DATA)
    start_file(machine, "server", service="k3s-lab", data="/srv/link")
    done = script(machine, "sh /usr/local/bin/k3s-lab-uninstall.sh")
    assert f"stays: {DATA} (another service has its data there)\n" in done.stdout
    assert (machine.root / DATA[1:] / "server/db/state.db").exists()


# $1: a folder, as /proc/N/exe will name it; $2: what the program in it is.
SHIM = """\
mkdir -p "$1"
cp "$2" "$1/containerd-shim-runc-v2"
if [ -z "$3" ]; then name=""; else name="-a sh"; fi
(exec $name "$1/containerd-shim-runc-v2" -c 'sleep 300 & echo $! >/child; wait') &
shim=$!
for try in 1 2 3 4 5 6 7 8 9; do [ -s /child ] || sleep 1; done
[ -z "$4" ] || rm "$1/containerd-shim-runc-v2"
sh /usr/local/bin/k3s-killall.sh || exit
for pid in $shim $(cat /child); do
    ! grep -q '^State:.[^Z]' /proc/$pid/status 2>/dev/null || echo "$pid lives"
done
"""


BASH_GONE = ("bash", "gone")
"""That shims are known by deleted executables too is shown by dash and busybox."""


@pytest.mark.parametrize(
    ("shell", "gone"),
    [(shell, gone) for shell in REMOVERS for gone in ("", "gone") if (shell, gone) != BASH_GONE],
)
@pytest.mark.parametrize("way", ["flag", "link", "parent", "variable"])
def test_killall_ends_pods_wherever_the_data_are(
    make: Make, server: Server, shell: str, way: str, gone: str
) -> None:
    machine = machine_with_k3s(make, server, shell)
    real = "/mnt/k3s 1"
    if way == "flag":
        answers(machine, real)
    elif way == "variable":
        (machine.root / "etc/systemd/system/k3s.service.env").write_text(f'K3S_DATA_DIR="{real}"\n')
        (machine.root / "etc/rancher/k3s/k3s.start").unlink(missing_ok=True)
    else:
        link = machine.root / (DATA if way == "link" else "var/lib/rancher").lstrip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(real if way == "link" else "/mnt")
        real = real if way == "link" else "/mnt/k3s"
    machine.k3s.parent.mkdir(parents=True, exist_ok=True)
    (machine.root / "mnt").mkdir(exist_ok=True)
    program = "/bin/busybox" if shell == "busybox" else "/usr/bin/dash"
    words = [f"{real}/data/{HASH}/bin", program, "applet" if shell == "busybox" else "", gone]
    done = machine.run("sh", "-c", SHIM, "sh", *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "", done.stderr


@pytest.mark.parametrize("shell", REMOVERS)
def test_killall_leaves_what_only_looks_like_a_shim(make: Make, server: Server, shell: str) -> None:
    """Of another directory, or not below data/<hash>."""
    machine = with_programs(make, server, shell)
    for folder in (f"/opt/k3s/data/{HASH}/bin", f"{DATA}/data/abc/bin", f"{DATA}/{HASH}/bin"):
        (machine.root / "child").unlink(missing_ok=True)
        done = machine.run("sh", "-c", SHIM, "sh", folder, "/usr/bin/dash", "", "")
        assert done.stdout.count("lives") == 2, (folder, done.stderr)
