"""Fixtures of install.sh's tests: a release, and machines that install it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from buildsys.app import App, Settings

from ..flat import Published
from ..machine import Machine
from .installing import TOOLSETS, Make


@cache
def busybox() -> Path:
    """The project's own, for this machine."""
    app = App(Settings())
    outcome = app.build(app.plan(["amd64"], ["busybox"])).outcomes["busybox-amd64"]
    assert outcome.result, outcome.error
    return outcome.result.artifact.folder / "files/bin/busybox"


@pytest.fixture
def public(tmp_path: Path) -> Published:
    made = Published(tmp_path / "public")
    made.release()
    return made


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A machine that is an x86-64 of 64 bits, unless it is told otherwise."""

    def made(tools: str = "busybox", init: str = "systemd", disk: str = "") -> Machine:
        machine = Machine(tmp_path / f"{tools}-{init}", tools, busybox(), init, disk)
        machine.is_a("x86_64")
        return machine

    return made


@pytest.fixture(params=TOOLSETS)
def machine(request: pytest.FixtureRequest, make: Make) -> Machine:
    """Each shell and downloader in turn."""
    return make(str(request.param))
