"""Containers of another CPU: its programs run, those of the next CPU die, and it can be undone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildsys.app import ROOT as CHECKOUT
from buildsys.app import App
from buildsys.cache import Cache
from buildsys.docker import daemon
from buildsys.docker.binfmt import ROOT
from buildsys.docker.make import Maker

from .conftest import USER, Docker

pytestmark = pytest.mark.integration

SIGILL = 128 + 4
IMAGE = "k3s:v1.35.0-k3s-test-armv6"
MACHINE_NAME = """\
package main

import "syscall"

func main() {
	var name syscall.Utsname
	syscall.Uname(&name)
	for _, letter := range name.Machine[:] {
		if letter == 0 {
			break // qemu writes over the machine's own name, which may be longer
		}
		print(string(rune(letter)))
	}
	println()
}
"""
ALONE = ("run", "--rm", "--network=none", "--platform=linux/arm/v6")


@pytest.fixture
def unregistered(docker: Docker) -> Iterator[Docker]:
    """The daemon with nothing registered before and after."""
    docker.invoke("binfmt", "--remove")
    yield docker
    docker.invoke("binfmt", "--remove")


@pytest.fixture
def container(
    app: App, maker: Maker, unregistered: Docker, monkeypatch: pytest.MonkeyPatch
) -> Docker:
    """The same, with an image for ARMv6."""
    monkeypatch.setenv("DOCKER_HOST", unregistered.host)
    daemon.load(daemon.connect(), maker.make(app.targets(["armv6"])), 0)
    return unregistered


def state_of(done: subprocess.CompletedProcess[str], target: str) -> dict[str, object]:
    assert done.returncode == 0, done.stderr
    (found,) = [s for s in json.loads(done.stdout)["targets"] if s["target"] == target]
    assert isinstance(found, dict)
    return found


def state(docker: Docker, *arguments: str) -> dict[str, object]:
    return state_of(docker.invoke("binfmt", "--arch=armv6", "--json", *arguments), "armv6")


def test_container_runs_on_the_targets_cpu_and_on_no_newer_one(container: Docker) -> None:
    refused = container.run(*ALONE, IMAGE, "--version")
    assert "exec format error" in refused.stdout + refused.stderr
    found = state(container)
    assert (found["runs"], found["cpu"]) == ("ours", "arm1176")
    # The launcher answers the first itself, the second it unpacks for.
    assert "k3s-test" in container(*ALONE, IMAGE, "--version")
    assert container(*ALONE, IMAGE, "token", "list") == "k3s token list on armv6l\n"
    assert container(*ALONE, "--entrypoint=control", IMAGE).startswith("control ")
    # Not as the container's first process, from which the kernel keeps fatal signals.
    newer = ("--entrypoint=sh", IMAGE, "-c", "control-next; exit $?")
    assert container.run(*ALONE, *newer).returncode == SIGILL
    # argv[0] is the program's own, not its path.
    named = container(*ALONE, "--entrypoint=sh", IMAGE, "-c", 'sh -c "echo \\$0"')
    assert named == "sh\n"
    again = container.invoke("binfmt", "--arch=armv6")
    assert "registered again" in again.stdout
    removed = container.invoke("binfmt", "--remove", "--arch=armv6")
    assert "armv6: removed" in removed.stdout
    refused = container.run(*ALONE, IMAGE, "--version")
    assert "exec format error" in refused.stdout + refused.stderr


def test_other_registrations_are_named_and_kept(container: Docker) -> None:
    container.invoke("binfmt", "--arch=armv7")
    found = state(container)
    assert found["others"] == ["k3s-buildsys-armv7"]
    shown = container.invoke("binfmt", "--arch=armv7", "--remove", "--json")
    assert json.loads(shown.stdout)["targets"][0]["interpreter"] == "k3s-buildsys-armv6"
    assert state(container)["others"] == []


def machine_name(app: App, folder: Path) -> Path:
    """A Go program for 386 that prints the machine's name as `uname -m` does."""
    (folder / "main.go").write_text(MACHINE_NAME)
    env = app.toolchain.go_environment(app.cache, online=False)
    env |= {"GOOS": "linux", "GOARCH": "386", "GO386": "sse2", "CGO_ENABLED": "0"}
    argv = [str(app.toolchain.go / "bin/go"), "build", "-o", "machine", "main.go"]
    subprocess.run(argv, cwd=folder, env=env, check=True)
    return folder / "machine"


@pytest.fixture
def own_emulator(app: App, tmp_path: Path) -> Path:
    """The emulator that 386 brings, in a cache of the test's own."""
    if not (own := app.own_emulator(app.project.targets["386"])):
        pytest.skip("386 has an emulator of its own on amd64 only")
    Cache(tmp_path / "cache").create()
    place = tmp_path / "cache" / own.relative_to(app.cache.root)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(own, place)
    return place


def test_targets_own_emulator_is_the_one_and_its_file_may_go(
    app: App, unregistered: Docker, tmp_path: Path, own_emulator: Path
) -> None:
    done = unregistered.invoke("binfmt", "--arch=386", f"--cache={tmp_path}/cache")
    assert "386: registered" in done.stdout, done.stderr
    entry = unregistered.beside("cat", f"{ROOT}/k3s-buildsys-386-emulator").stdout
    assert f"interpreter {own_emulator}\n" in entry
    own_emulator.unlink()
    # The machine itself runs it as well, but says x86_64.
    assert unregistered.beside(str(machine_name(app, tmp_path))).stderr == "i686\n"


def test_own_programs_of_the_machine_are_never_registered(container: Docker) -> None:
    done = container.invoke("binfmt", "--arch=amd64")
    assert done.returncode == 42
    assert "none of them would run any more" in done.stderr
    assert container.invoke("binfmt").returncode == 0


# ---- through the daemon ----


def through(docker: Docker, cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The verb, from a container, for a user who is not root."""
    subprocess.run(["chown", "-R", f"{USER}:{USER}", cache], check=True)
    verb = [sys.executable, "-m", "invoke", "binfmt", "--backend=docker", f"--cache={cache}"]
    env = {**os.environ, "DOCKER_HOST": docker.host}
    argv = [*docker.user, *verb, *arguments]
    return subprocess.run(argv, env=env, cwd=CHECKOUT, capture_output=True, text=True)


@pytest.mark.slow
def test_the_daemons_group_is_enough(
    app: App, container: Docker, based: Docker, tmp_path: Path, own_emulator: Path
) -> None:
    cache = tmp_path / "cache"
    done = through(based, cache, "--arch=armv6", "--arch=386", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["done"] == ["armv6: registered", "386: registered"]
    assert {state["target"]: state["runs"] for state in found["targets"]} == {
        "armv6": "ours",
        "386": "ours",
    }
    assert state_of(through(based, cache, "--json"), "armv7")["runs"] == "other"
    # The container is gone; what it opened is not, and stays open without the image and the file.
    own_emulator.unlink()
    assert container(*ALONE, IMAGE, "token", "list") == "k3s token list on armv6l\n"
    assert container.beside(str(machine_name(app, tmp_path))).stderr == "i686\n"
    assert container("ps", "--all", "--quiet") == ""
    removed = through(based, cache, "--remove")
    assert "armv6: removed" in removed.stdout
    refused = container.run(*ALONE, IMAGE, "--version")
    assert "exec format error" in refused.stdout + refused.stderr


@pytest.mark.slow
def test_errors_inside_are_those_of_the_verb(based: Docker, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    done = through(based, tmp_path / "cache", "--arch=amd64")
    assert done.returncode == 42
    assert "error: this machine's own programs are amd64's" in done.stderr


@pytest.mark.slow
def test_what_the_kernel_does_not_keep_is_named(
    unregistered: Docker, based: Docker, tmp_path: Path
) -> None:
    """Where nobody else has binfmt_misc mounted, it goes with the container (Linux 6.7)."""
    (tmp_path / "cache").mkdir()
    assert unregistered.beside("umount", str(ROOT)).returncode == 0
    try:
        done = through(based, tmp_path / "cache", "--arch=armv6")
    finally:
        mount = ("mount", "-t", "binfmt_misc", "none", str(ROOT))
        assert unregistered.beside(*mount).returncode == 0
    assert done.returncode == 42, done.stderr
    assert "armv6: the registration was gone with the container" in done.stderr
