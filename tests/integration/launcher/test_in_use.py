"""An old version stays while a process runs from it or a record of containerd's names it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .pack import Pack
from .test_stage import versions

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.geteuid() != 0, reason="a /run of the test's own needs root"),
]

TASKS = "k3s/containerd/io.containerd.runtime.v2.task"
RECORD = f"{TASKS}/k8s.io/abc/shim-binary-path"


@dataclass(frozen=True)
class Host:
    """Three versions' executables, and namespaces with a /run and a first process of their own."""

    tmp: Path
    packs: list[Pack]
    first: int
    """The process whose namespaces they are."""

    @property
    def data(self) -> Path:
        return self.tmp / "data/data"

    @property
    def run(self) -> Path:
        return Path(f"/proc/{self.first}/root/run")

    def start(self, version: int, *words: str) -> str:
        """Start a version there, what it says on standard error."""
        inside = ["nsenter", f"--target={self.first}", "--mount", "--pid", *words]
        exe = self.tmp / self.packs[version].data_hash()
        environment = {"PATH": os.environ["PATH"], "K3S_DATA_DIR": str(self.tmp / "data")}
        command = [*inside, str(exe), "kubectl", "0"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def record(self, content: str, name: str = RECORD) -> Path:
        """What containerd writes when it starts a container's shim."""
        path = self.run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def shim(self, version: int) -> str:
        """The path that containerd resolved for it."""
        return f"{self.data}/{self.packs[version].data_hash()}/bin/containerd-shim-runc-v2"

    def is_there(self, version: int) -> bool:
        return (self.data / self.packs[version].data_hash() / "bin/k3s").exists()


@pytest.fixture
def host(launcher_binary: Path, tmp_path: Path) -> Iterator[Host]:
    script = "mount -t tmpfs none /run && echo ready && exec sleep 600"
    unshare = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
    keeper = subprocess.Popen([*unshare, "sh", "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert keeper.stdout and keeper.stdout.readline() == "ready\n"
        children = Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children").read_text().split()
        yield Host(tmp_path, versions(launcher_binary, tmp_path, 4), int(children[0]))
    finally:
        keeper.kill()
        keeper.communicate()


def test_nothing_names_it(host: Host) -> None:
    """The control: without a record it goes."""
    host.start(0)
    host.record(host.shim(1))
    host.start(1)
    assert "Removing the old version" in host.start(2)
    assert [host.is_there(i) for i in range(3)] == [False, True, True]


@pytest.mark.parametrize("plugin", ["io.containerd.runtime.v2.task", "io.containerd.other.v9"])
def test_a_record_names_it(host: Host, plugin: str) -> None:
    """No process runs from it: the shim is of the version before, the record of this one."""
    host.start(0)
    name = f"k3s/containerd/{plugin}/k8s.io/abc/shim-binary-path"
    record = host.record(host.shim(0), name)
    host.start(1)
    said = host.start(2)
    assert host.is_there(0)
    assert f"containerd's record of a container names it: /run/{name}" in said
    record.unlink()
    host.start(3)
    assert not host.is_there(0)


def test_a_record_that_cannot_be_read(host: Host) -> None:
    host.start(0)
    (host.run / RECORD).mkdir(parents=True)
    host.start(1)
    assert "cannot be read" in host.start(2)
    assert host.is_there(0)


def test_records_in_the_first_process_namespace(host: Host) -> None:
    """Started where /run is another one: what containerd has is seen nevertheless."""
    host.start(0)
    host.record(host.shim(0))
    host.start(1)
    elsewhere = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh"]
    assert "names it: /proc/1/root/run" in host.start(2, *elsewhere)
    assert host.is_there(0)
    host.start(3)
    assert host.is_there(0)


BLIND = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", "unshare", "--mount"]
"""Root without the right to look into the first process."""


@pytest.mark.parametrize("shim", [True, False])
def test_a_first_process_that_cannot_be_seen(host: Host, shim: bool) -> None:
    """Nothing is taken away while a container's shim runs, wherever its records are."""
    host.start(0)
    host.start(1)
    name = "shim -address /run/k3s/containerd/containerd.sock" if shim else "other"
    script = f'echo; exec -a "{name}" sleep 600 >/dev/null'
    inside = ["nsenter", f"--target={host.first}", "--mount", "--pid", "bash", "-c", script]
    running = subprocess.Popen(inside, stdout=subprocess.PIPE)
    try:
        assert running.stdout and running.stdout.readline()
        said = host.start(2, *BLIND)
    finally:
        running.kill()
        running.communicate()
    assert host.is_there(0) == shim
    assert ("records cannot be seen from here" in said) == shim


def test_records_of_a_namespace_in_which_one_of_ours_runs(host: Host) -> None:
    """As rootless k3s has them: a shim lives with a /run of its own."""
    host.start(0)
    host.start(1)
    script = f"""
        mount -t tmpfs none /run && mkdir -p /run/{TASKS}/k8s.io/abc &&
        printf %s {host.shim(0)} >/run/{RECORD} && cp /bin/sleep {host.shim(1)} &&
        echo ready && exec {host.shim(1)} 600 >/dev/null"""
    inside = ["nsenter", f"--target={host.first}", "--mount", "--pid", "unshare", "--mount"]
    shim = subprocess.Popen([*inside, "sh", "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert shim.stdout and shim.stdout.readline() == "ready\n"
        said = host.start(2)
    finally:
        shim.kill()
        shim.communicate()
    assert host.is_there(0) and "root/run/k3s/containerd" in said
