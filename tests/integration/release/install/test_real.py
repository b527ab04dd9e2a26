"""install.sh with the executables that were built."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chosen import TARGETS

from ..flat import K3S, TAG, Published, Site
from ..server import Server
from .installing import TOOLSETS, WITH_BUILT, Make, as_armv6, executable_of, installed, with_old

pytestmark = WITH_BUILT


def real(tmp_path: Path, target: str) -> Published:
    """A release of the executable that was built."""
    made = Published(tmp_path / "real")
    made.release(TAG, target, programs={target: executable_of(target).read_bytes()})
    return made


@pytest.mark.parametrize("tools", TOOLSETS)
@pytest.mark.parametrize("target", TARGETS)
def test_an_executable_that_was_built_is_installed_and_runs(
    make: Make, tmp_path: Path, target: str, tools: str
) -> None:
    place = real(tmp_path, target)
    machine = with_old(make(tools))
    variables = as_armv6(machine) if target == "armv6" else {}
    with Server(Site(place.root).answer).served() as server:
        installed(machine, server, **variables)
    said = machine.run("k3s", "--version", variables=variables)
    assert said.stdout.startswith(f"k3s version {K3S} "), said.stderr
    assert machine.k3s.stat().st_size == executable_of(target).stat().st_size
