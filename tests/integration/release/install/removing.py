"""A machine with an installed k3s and what one leaves on it, for the tests of what removes it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from ..machine import Machine
from ..server import Server
from .installing import Done, Make, installed

REMOVERS = ("dash", "bash", "busybox")
"""Shells, the first two with GNU's tools."""

DATA = "/var/lib/rancher/k3s"
HASH = "0123456789abcdef" * 4
UNINSTALL = "/usr/local/bin/k3s-uninstall.sh"
KILLALL = "/usr/local/bin/k3s-killall.sh"


def machine_with_k3s(make: Make, server: Server, shell: str = "busybox") -> Machine:
    """It has mount(8), and its clock runs: the scripts wait for the kernel."""
    machine = make("busybox" if shell == "busybox" else "dash+curl")
    if shell != "busybox":
        # This machine's own init system is not that machine's.
        (machine.root / "sbin").unlink()
        (machine.root / "sbin").mkdir()
    installed(machine, server)
    if shell != "busybox":
        machine.path += ":/usr/bin:/usr/sbin"
        (machine.root / "tools/sh").unlink()
        (machine.root / "tools/sh").symlink_to(f"/usr/bin/{shell}")
    sleep = "/bin/busybox sleep" if shell == "busybox" else "/usr/bin/sleep"
    machine.fake("sleep", f'#!/bin/sh\nexec {sleep} "$@"\n')
    return machine


def with_programs(make: Make, server: Server, shell: str) -> Machine:
    """The same with this machine's programs in /usr/bin, such as Python, whatever removes k3s."""
    machine = machine_with_k3s(make, server, "dash" if shell == "busybox" else shell)
    if shell == "busybox":
        folder = machine.root / "busybox"
        folder.mkdir()
        shutil.copy(machine.busybox, folder / "busybox")
        listed = subprocess.run([machine.busybox, "--list"], capture_output=True, text=True)
        for name in listed.stdout.split():
            if name != "busybox":
                (folder / name).symlink_to("busybox")
        machine.path = "/fake:/usr/local/bin:/busybox"
    return machine


def fill(machine: Machine, data: str = DATA) -> None:
    """What k3s leaves behind in its folders."""
    files = (
        f"{data}/data/{HASH}/bin/k3s",
        f"{data}/data/.lock",
        f"{data}/server/db/state.db",
        f"{data}/server/tls/a b\nc",
        f"{data}/server/token",
        f"{data}/agent/containerd/io.containerd.grpc.v1.cri/sandboxes/5a4d/status",
        f"{data}/agent/etc/containerd/config.toml",
        f"{data}/agent/containerd/.hidden/..x/...",
        f"{data}/storage/pvc-1_default_claim/-rf",
        "/var/lib/kubelet/pods/u/etc-hosts",
        "/var/lib/kubelet/cpu_manager_state",
        "/var/lib/cni/networks/cbr0/10.42.0.2",
        "/var/lib/cni/results/cbr0-5a4d-eth0",
        "/run/k3s/containerd/x",
        "/run/flannel/subnet.env",
        "/etc/rancher/k3s/config.yaml.d/a.yaml",
    )
    for name in files:
        path = machine.root / name[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (machine.root / data[1:] / "data/current").symlink_to(f"{data}/data/{HASH}")


def answers(machine: Machine, data: str, real: str | None = None) -> None:
    """The executable says where its data are; with what it was asked is in /asked."""
    said = f"config\t/c\ndata-dir\t{data}\nreal-data-dir\t{real or data}\nunpack-dir\t{data}\n"
    said += f"real-unpack-dir\t{real or data}\nimages-dir\t{data}/agent/images\n"
    lines = 'printf \'<%s>\' "$@" >>/asked; echo " $K3S_DATA_DIR" >>/asked'
    machine.k3s.write_text(f"#!/bin/sh\n{lines}\nprintf %s {shlex.quote(said)}\n")


def start_file(machine: Machine, *argv: str, service: str = "k3s", data: str = DATA) -> None:
    """As install.sh leaves it for a service."""
    path = machine.root / f"etc/rancher/k3s/{service}.start"
    unit = f"/etc/systemd/system/{service}.service.env"
    words = " ".join(shlex.quote(word) for word in argv)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"environment={shlex.quote(unit)}\nrecorded_data_dir={shlex.quote(data)}\nset -- {words}\n"
    )
    path.chmod(0o600)


def script(machine: Machine, text: str | bytes, shell: str = "sh") -> Done:
    """Run lines in the machine's shell."""
    given = text.encode() if isinstance(text, str) else text
    return machine.run(shell, "-s", given=given)


def uninstall(machine: Machine, before: str | bytes = "", after: str = "") -> Done:
    """Remove k3s in one life of the machine: mounts of `before` are there, `after` sees them."""
    lines = before.encode() if isinstance(before, str) else before
    return script(machine, lines + f"\nsh {UNINSTALL}\ncode=$?\n{after}\nexit $code\n".encode())


def tree(root: Path) -> set[str]:
    """All below a folder, links not followed."""
    found = set()
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        found |= {(here / name).relative_to(root).as_posix() for name in (*folders, *files)}
    return found
