"""The real launcher is asked where the data are: nothing in between knows it better."""

from __future__ import annotations

import shutil

import pytest

from ..server import Server
from .installing import MARKS, Make, with_launcher
from .removing import DATA, REMOVERS, fill, machine_with_k3s, start_file, tree, uninstall

pytestmark = MARKS


@pytest.mark.parametrize("shell", REMOVERS)
@pytest.mark.parametrize("way", ["flag", "configuration", "drop-in", "variable"])
def test_data_are_where_the_launcher_finds_them(
    make: Make, server: Server, shell: str, way: str
) -> None:
    machine = machine_with_k3s(make, server, shell)
    with_launcher(machine)
    config = machine.root / "etc/rancher/k3s"
    words = ["server"]
    if way == "flag":
        words += ["--data-dir", "/mnt/here"]
    elif way == "configuration":
        (config / "config.yaml").write_text("data-dir: &d /mnt/here\n")
    elif way == "variable":
        (machine.root / "etc/systemd/system/k3s.service.env").write_text(
            'K3S_DATA_DIR="/mnt/here"\n'
        )
    fill(machine)
    fill(machine, "/mnt/here")
    if way == "drop-in":
        (config / "config.yaml.d/a.yaml").write_text("data-dir: /mnt/here\n")
    else:
        shutil.rmtree(config / "config.yaml.d")
    start_file(machine, *words, data="/mnt/wrong")
    done = uninstall(machine)
    assert done.returncode == 0, done.stderr
    assert "taken for it" not in done.stderr
    assert tree(machine.root / "mnt") == set()
    assert (machine.root / DATA[1:] / "server/db/state.db").exists()
