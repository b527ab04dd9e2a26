"""What is mounted below k3s's folders is entered by no removal, whatever its name holds."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from ..server import Server
from .installing import MARKS, Make
from .removing import DATA, REMOVERS, fill, machine_with_k3s, tree, uninstall

pytestmark = MARKS

ODD = (
    b"my dir",
    b"a\tb",
    b"line\nbreak",
    b"end\n",
    b"back\\slash",
    b"\\040",
    b"it's",
    b'a "quote"',
    b"*",
    b"[ab]?",
    b"-rf",
    b"$HOME`id`",
    b"#\xff\x81\x88",
)


def quoted(path: bytes) -> bytes:
    return b"'" + path.replace(b"'", b"'\\''") + b"'"


def bound(source: bytes, target: bytes) -> bytes:
    """Lines that put a file into a folder of somebody's, and bind that where `target` is."""
    a, b = quoted(source), quoted(target)
    return b"mkdir -p %s %s && echo precious >%s/f && mount --bind %s %s || exit 97\n" % (
        a,
        b,
        a,
        a,
        b,
    )


@pytest.mark.parametrize("shell", REMOVERS)
def test_nothing_behind_five_bind_mounts_is_gone(make: Make, server: Server, shell: str) -> None:
    machine = machine_with_k3s(make, server, shell)
    fill(machine)
    at = [
        f"{DATA}/storage",
        f"{DATA}/agent/containerd/in/side",
        "/var/lib/kubelet/pods/u/volumes/my dir",
        "/var/lib/kubelet/other",
        "/etc/rancher/k3s/certs",
    ]
    lines = b"".join(bound(b"/srv/%d" % i, path.encode()) for i, path in enumerate(at))
    # One inside another, and one that was there before: the file of which has to stay as well.
    lines += bound(b"/srv/nested", DATA.encode() + b"/storage/nested")
    done = uninstall(machine, lines)
    assert done.returncode == 0, done.stderr
    for name in ("0", "1", "2", "3", "4", "nested"):
        assert machine.read(f"/srv/{name}/f") == "precious\n", done.stdout
    for path in (at[0], at[1], at[3], at[4]):
        assert f"stays: {path} (mounted)\n" in done.stdout
    # The mounts ended with the machine: what they covered is there, and the way to it.
    ways = {
        "agent",
        "agent/containerd",
        "agent/containerd/in",
        "agent/containerd/in/side",
        "storage",
    }
    left = tree(machine.root / DATA[1:])
    assert {name for name in left if not name.startswith("storage/")} == ways
    assert "storage/pvc-1_default_claim/-rf" in left
    assert tree(machine.root / "etc/rancher/k3s") == {"certs"}
    assert list(machine.bin.iterdir()) == []


@pytest.mark.parametrize("shell", REMOVERS)
def test_names_of_mount_points_hold_anything(make: Make, server: Server, shell: str) -> None:
    machine = machine_with_k3s(make, server, shell)
    fill(machine)
    folder = DATA.encode() + b"/server/tls/"
    lines = b"".join(bound(b"/srv/%d" % i, folder + name) for i, name in enumerate(ODD))
    # What looks like one of them and is none has to go.
    lines += b"mkdir -p '%s/my' '%s/ ' '%s/x*'\n" % (folder, folder, folder)
    done = uninstall(machine, lines)
    assert done.returncode == 0, done.stderr
    for i, name in enumerate(ODD):
        assert machine.read(f"/srv/{i}/f") == "precious\n", name
    left = (machine.root / DATA[1:] / "server/tls").iterdir()
    assert {os.fsencode(path.name) for path in left} == set(ODD)


@pytest.mark.parametrize("shell", REMOVERS)
def test_killall_unmounts_whatever_the_name(make: Make, server: Server, shell: str) -> None:
    machine = machine_with_k3s(make, server, shell)
    folders = (b"/run/k3s/", b"/var/lib/kubelet/pods/u/volumes/", b"/var/lib/kubelet/plugins/")
    lines = b""
    for i, folder in enumerate(folders):
        for k, name in enumerate(ODD):
            lines += bound(b"/srv/%d-%d" % (i, k), folder + name)
    lines += bound(b"/srv/other", b"/var/lib/kubelet/other")
    lines += b"sh /usr/local/bin/k3s-killall.sh || exit\n"
    lines += b"cut -d' ' -f5 /proc/self/mountinfo | grep -e ^/run/k3s -e ^/var/lib/kubelet\n"
    done = machine.run("sh", "-s", given=lines)
    assert done.stdout == "/var/lib/kubelet/other\n", done.stderr
    assert machine.read("/srv/1-0/f") == "precious\n"


@pytest.mark.parametrize("shell", REMOVERS)
def test_links_are_removed_and_never_followed(make: Make, server: Server, shell: str) -> None:
    machine = machine_with_k3s(make, server, shell)
    fill(machine)
    kept = machine.root / "srv/kept"
    kept.mkdir(parents=True)
    (kept / "f").write_text("precious")
    for path in ("server/db/link", "agent/containerd/link", "storage/pvc-1_default_claim/link"):
        (machine.root / DATA[1:] / path).symlink_to("/srv/kept")
    done = uninstall(machine)
    assert done.returncode == 0, done.stderr
    assert (kept / "f").read_text() == "precious"
    assert not (machine.root / "var/lib/rancher").exists(), done.stdout


@pytest.mark.parametrize("shell", REMOVERS)
def test_data_on_a_disk_of_their_own(make: Make, server: Server, shell: str) -> None:
    machine = machine_with_k3s(make, server, shell)
    folders = ("server/db", "server/tls", "lost+found", "photos")
    mount = f"mkdir -p {DATA} {' '.join(f'/srv/ssd/{name}' for name in folders)}"
    mount += f"\ntouch /srv/ssd/server/db/state.db /srv/ssd/photos/a\nmount --bind /srv/ssd {DATA}"
    done = uninstall(machine, mount)
    assert done.returncode == 0, done.stderr
    assert tree(machine.root / "srv/ssd") == {"lost+found", "photos", "photos/a"}
    assert f"stays: {DATA}/photos (not k3s's own)\n" in done.stdout


# $1: folder and link that change places as fast as the kernel can, renameat2(…, RENAME_EXCHANGE).
RACER = """\
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
while True:
    for i in range(int(sys.argv[2])):
        a, b = (f"{sys.argv[1]}/{kind}{i}".encode() for kind in ("d", "l"))
        libc.renameat2(-100, a, -100, b, 2)
"""


@pytest.mark.parametrize("shell", REMOVERS)
def test_folder_that_becomes_a_link_on_the_way(make: Make, server: Server, shell: str) -> None:
    """A process that was left in a volume exchanges folders for links to what is not k3s's."""
    machine = machine_with_k3s(make, server, shell)
    fill(machine)
    volume = machine.root / DATA[1:] / "storage/pvc-1_default_claim"
    kept = machine.root / "srv/kept"
    for name in ("", "x", "x/y"):
        (kept / name).mkdir(parents=True, exist_ok=True)
        for i in range(20):
            (kept / name / f"f{i}").write_text("precious")
    before = tree(kept)
    for i in range(40):
        for name in ("x/y", "x/z"):
            (volume / f"d{i}" / name).mkdir(parents=True)
        for k in range(20):
            (volume / f"d{i}/f{k}").write_text("k3s's")
        (volume / f"l{i}").symlink_to("/srv/kept")
    # From outside of the machine: in it there may be no Python.
    racer = subprocess.Popen([sys.executable, "-c", RACER, volume, "40"])
    try:
        done = uninstall(machine)
    finally:
        racer.kill()
        racer.wait()
    assert tree(kept) == before, shlex.join(sorted(before - tree(kept))) + done.stderr
