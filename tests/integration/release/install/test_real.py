"""install.sh with the executables that were built."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildsys.app import ROOT
from buildsys.emulator import find_emulator, is_elf
from buildsys.errors import MissingToolError
from buildsys.load import load_project

from ..flat import K3S, TAG, Published, Site
from ..server import Server
from .installing import ARM11, MARKS, TOOLSETS, Make, installed, with_old

pytestmark = MARKS


def real(tmp_path: Path, target: str) -> Published:
    """A release of the executable that was built."""
    path = ROOT / f"artifacts/k3s-{target}"
    if not path.is_file():
        pytest.skip(f"artifacts/k3s-{target} is not built")
    made = Published(tmp_path / "real")
    made.release(TAG, target, programs={target: path.read_bytes()})
    return made


@pytest.mark.parametrize("tools", TOOLSETS)
def test_real_executable_is_installed_and_runs(make: Make, tmp_path: Path, tools: str) -> None:
    place = real(tmp_path, "amd64")
    machine = with_old(make(tools))
    with Server(Site(place.root).answer).served() as server:
        installed(machine, server)
    said = machine.run("k3s", "--version")
    assert said.stdout.startswith(f"k3s version {K3S} "), said.stderr
    assert machine.k3s.stat().st_size == (ROOT / "artifacts/k3s-amd64").stat().st_size


def test_real_armv6_is_installed_and_runs_under_its_cpu(make: Make, tmp_path: Path) -> None:
    target = load_project(ROOT).targets["armv6"]
    try:
        emulator = find_emulator(target)
    except MissingToolError:
        pytest.skip("no emulator of armv6: invoke doctor")
    place = real(tmp_path, "armv6")
    executable = ROOT / "artifacts/k3s-armv6"
    assert is_elf(executable)
    machine = make()
    machine.is_a("armv6l", 32, ARM11)
    machine.formats(emulator.registration("arm", executable).decode())
    with Server(Site(place.root).answer).served() as server:
        installed(machine, server, QEMU_CPU=emulator.cpu)
    said = machine.run("k3s", "--version", variables={"QEMU_CPU": emulator.cpu})
    assert said.stdout.startswith(f"k3s version {K3S} "), said.stderr
