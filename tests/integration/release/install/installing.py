"""Piping our install.sh into a shell on a machine of its own, and what comes of it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from buildsys.app import ROOT, App, Settings
from buildsys.emulator import find_emulator
from buildsys.errors import BuildsysError, MissingToolError
from buildsys.load import load_project
from buildsys.sandbox import can_isolate

from ...launcher.pack import Pack
from ..flat import program, version
from ..machine import Machine
from ..server import Server

MARKS = [
    pytest.mark.integration,
    pytest.mark.skipif(not can_isolate(), reason="no user namespaces"),
]
"""Of every test that has a machine of its own."""

WITH_BUILT = [*MARKS, pytest.mark.slow, pytest.mark.built]
"""Of those that install an executable that was built."""

SCRIPT = ROOT / "buildsys/release/install.sh"
TOOLSETS = ("dash+curl", "dash+wget", "busybox")
OLD = b"#!/bin/sh\necho old\n"

NAME = "k3s-amd64"
RIGHT = program("amd64", version("amd64"))
"""Of the release, what an x86-64 gets."""

ARM11 = "half thumb fastmult vfp edsp java tls"

Make = Callable[..., Machine]
Done = subprocess.CompletedProcess[str]


def install(machine: Machine, server: Server | None, *arguments: str, **variables: str) -> Done:
    """Pipe the script into a shell, as people do."""
    place = {"GITHUB_URL": server.url} if server else {}
    given = SCRIPT.read_bytes()
    return machine.run("sh", "-s", "-", *arguments, given=given, variables={**place, **variables})


def installed(machine: Machine, server: Server | None, *arguments: str, **variables: str) -> Done:
    done = install(machine, server, *arguments, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def with_old(machine: Machine) -> Machine:
    machine.k3s.write_bytes(OLD)
    machine.k3s.chmod(0o755)
    return machine


def with_launcher(machine: Machine) -> Machine:
    """Its k3s is the real launcher, around a program that only ends."""
    app = App(Settings())
    outcome = app.build(app.plan(["amd64"], ["launcher"])).outcomes["launcher-amd64"]
    assert outcome.result, outcome.error
    launcher = outcome.result.artifact.path("k3s-launcher")
    Pack(files={"bin/k3s": b"#!/bin/sh\nexit 1\n"}).write(launcher, machine.k3s)
    return machine


def executable_of(target: str) -> Path:
    """The one that was built."""
    path = ROOT / f"artifacts/k3s-{target}"
    if not path.is_file():
        pytest.skip(f"artifacts/k3s-{target} is not built")
    return path


def as_armv6(machine: Machine) -> Mapping[str, str]:
    """Make it a Pi Zero whose kernel starts ARM programs; what they find in their environment."""
    try:
        emulator = find_emulator(load_project(ROOT).targets["armv6"])
    except MissingToolError:
        pytest.skip("no emulator of armv6: invoke doctor")
    machine.is_a("armv6l", 32, ARM11)
    machine.formats(emulator.registration("arm", executable_of("armv6")).decode())
    assert emulator.cpu
    return {"QEMU_CPU": emulator.cpu}


def everything(machine: Machine) -> dict[str, str]:
    """What lies on the machine beside its system, with its content."""
    system = ("bin", "lib", "usr/bin", "usr/lib", "usr/share", "usr/sbin", "fake", "tools", "proc")
    found = {}
    for path in sorted(machine.root.rglob("*")):
        name = path.relative_to(machine.root).as_posix()
        if not name.startswith((*system, "etc/alternatives", "calls", "formats", "cpuinfo")):
            content = path.read_text("latin-1") if path.is_file() else "folder"
            found[name] = str(path.readlink()) if path.is_symlink() else content
    return found


def refused(done: Done, error: type[BuildsysError], *words: str) -> None:
    """It ended with the code of the error, and said what, and what to do."""
    text = done.stdout + done.stderr
    assert done.returncode == error.exit_code, text
    assert "\nnext: " in done.stderr
    for word in words:
        assert word in done.stderr, text
