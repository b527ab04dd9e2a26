"""A removal that was cut, or could not remove something: said, and the next run ends right."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import pytest

from ..machine import Machine
from ..server import Server
from .installing import MARKS, Make
from .removing import DATA, REMOVERS, UNINSTALL, fill, start_file, tree, uninstall, with_programs

pytestmark = MARKS

PLACES = ("usr/local/bin", "etc/rancher", "etc/systemd", "var/lib", "run", "mnt")
KILLS = 20


def copy(source: Path, target: Path) -> None:
    for place in PLACES:
        shutil.rmtree(target / place, ignore_errors=True)
        if (source / place).exists():
            shutil.copytree(source / place, target / place, symlinks=True)


def left(machine: Machine) -> set[str]:
    return {f"{place}/{name}" for place in PLACES for name in tree(machine.root / place)}


BOUND = f"mkdir -p {DATA}x /mnt/data/storage && mount --bind /srv/kept /mnt/data/storage || exit 97"


@pytest.mark.parametrize("shell", ["dash", "busybox"])
def test_killed_at_any_moment(make: Make, server: Server, tmp_path: Path, shell: str) -> None:
    """Data are where only k3s's own words lead; the default holds what is not this service's."""
    machine = with_programs(make, server, shell)
    start_file(machine, "server", "--data-dir", "/mnt/data", data="/mnt/data")
    (machine.root / "srv/kept").mkdir(parents=True)
    (machine.root / "srv/kept/f").write_text("precious")
    fill(machine, "/mnt/data")
    fill(machine)
    saved = tmp_path / "saved"
    copy(machine.root, saved)
    begun = time.monotonic()
    assert uninstall(machine, BOUND).returncode == 0
    whole, expected = time.monotonic() - begun, left(machine)
    assert "mnt/data/storage" in expected and "mnt/data/server" not in expected
    assert "var/lib/rancher/k3s/server/db/state.db" in expected
    moments = sorted(random.uniform(0, whole) for _ in range(KILLS))
    for moment in moments:
        copy(saved, machine.root)
        cut = f"{BOUND}\n/usr/bin/timeout -s KILL {moment:.3f} sh {UNINSTALL}\ntrue"
        machine.run("sh", "-c", cut)
        if (machine.bin / "k3s-uninstall.sh").exists():
            done = uninstall(machine, BOUND)
            assert done.returncode == 0, (moment, done.stdout, done.stderr)
        assert left(machine) == expected, moment
        assert (machine.root / "srv/kept/f").read_text() == "precious", moment


@pytest.mark.parametrize("shell", REMOVERS)
def test_what_cannot_be_removed_is_said(make: Make, server: Server, shell: str) -> None:
    """A file that may not be changed: not even root removes it."""
    if os.geteuid():
        pytest.skip("making a file immutable requires root")
    machine = with_programs(make, server, shell)
    fill(machine)
    kept = machine.root / DATA[1:] / "server/db/state.db"
    if os.system(f"chattr +i '{kept}' 2>/dev/null"):
        pytest.skip("this file system has no immutable files")
    try:
        done = uninstall(machine)
        assert done.returncode == 25, done.stderr
        for words in ("state.db", "Operation not permitted", "\nnext: "):
            assert words in done.stderr
        assert (machine.bin / "k3s-uninstall.sh").exists() and machine.k3s.exists()
        assert not (machine.root / DATA[1:] / "agent").exists()
    finally:
        os.system(f"chattr -i '{kept}'")
    done = uninstall(machine)
    assert done.returncode == 0, done.stderr
    assert list(machine.bin.iterdir()) == []
    assert not (machine.root / "var/lib/rancher").exists()
