"""install.sh with the executables that were built."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..flat import K3S, TAG, Published, Site
from ..server import Server
from .installing import MARKS, TOOLSETS, Make, as_armv6, executable_of, installed, with_old

pytestmark = MARKS


def real(tmp_path: Path, target: str) -> Published:
    """A release of the executable that was built."""
    made = Published(tmp_path / "real")
    made.release(TAG, target, programs={target: executable_of(target).read_bytes()})
    return made


@pytest.mark.parametrize("tools", TOOLSETS)
def test_real_executable_is_installed_and_runs(make: Make, tmp_path: Path, tools: str) -> None:
    place = real(tmp_path, "amd64")
    machine = with_old(make(tools))
    with Server(Site(place.root).answer).served() as server:
        installed(machine, server)
    said = machine.run("k3s", "--version")
    assert said.stdout.startswith(f"k3s version {K3S} "), said.stderr
    assert machine.k3s.stat().st_size == executable_of("amd64").stat().st_size


def test_real_armv6_is_installed_and_runs_under_its_cpu(make: Make, tmp_path: Path) -> None:
    place = real(tmp_path, "armv6")
    machine = make()
    variables = as_armv6(machine)
    with Server(Site(place.root).answer).served() as server:
        installed(machine, server, **variables)
    said = machine.run("k3s", "--version", variables=variables)
    assert said.stdout.startswith(f"k3s version {K3S} "), said.stderr
