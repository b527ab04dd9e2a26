"""install.sh from a folder, without a network."""

from __future__ import annotations

import subprocess

import pytest

from buildsys.errors import CorruptError

from ..flat import TAG, Published
from .installing import MARKS, NAME, OLD, RIGHT, SCRIPT, Make, install, installed, refused

pytestmark = MARKS


@pytest.mark.parametrize("tools", ["dash+curl", "busybox"])
def test_offline_from_a_folder(make: Make, public: Published, tools: str) -> None:
    images = "k3s-airgap-images-amd64.tar.zst"
    public.release(TAG, extra={images: b"images", "install.sh": SCRIPT.read_bytes()})
    machine = make(tools)
    for name in ("wget", "curl"):
        for folder in ("bin", "tools"):
            if not (machine.root / folder).is_symlink():
                (machine.root / folder / name).unlink(missing_ok=True)
    stick = machine.root / "stick"
    stick.mkdir()
    for name in ("install.sh", "release.json", "sha256sums.txt", NAME, images):
        (stick / name).write_bytes((public.flat() / name).read_bytes())
    done = machine.run("sh", "/stick/install.sh", "server")
    assert done.returncode == 0, done.stdout + done.stderr
    assert machine.k3s.read_bytes() == RIGHT
    assert machine.read(f"var/lib/rancher/k3s/agent/images/{images}") == "images"
    (stick / NAME).write_bytes(RIGHT[:-1] + b"x")
    machine.k3s.write_bytes(OLD)
    refused(install(machine, None, INSTALL_K3S_FROM="/stick"), CorruptError, "has the sha256")
    assert machine.k3s.read_bytes() == OLD


def test_folder_of_a_whole_place(make: Make, public: Published) -> None:
    machine = make()
    (machine.root / "mirror").mkdir()
    subprocess.run(["cp", "-r", public.root, machine.root / "mirror/k3s"], check=True)
    installed(machine, None, INSTALL_K3S_FROM="/mirror/k3s", INSTALL_K3S_CHANNEL="latest")
    assert machine.k3s.read_bytes() == RIGHT
