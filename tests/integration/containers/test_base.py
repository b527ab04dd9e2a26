"""The image that builds run in: made once, made again when its recipe changes, and cut off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from buildsys.app import ROOT, App
from buildsys.docker.base import Base, BaseMaker, base_of
from buildsys.docker.daemon import connect

from .conftest import Docker, eventually, running

# Each image takes minutes to make.
pytestmark = [pytest.mark.integration, pytest.mark.slow]

SMALL = Base(("python3-venv",), ("invoke==3.0.3",))


@pytest.fixture
def maker(app: App, docker: Docker, monkeypatch: pytest.MonkeyPatch) -> BaseMaker:
    monkeypatch.setenv("DOCKER_HOST", docker.host)
    return BaseMaker(connect(), app.cache, app.progress, None)


def test_it_is_made_again_when_its_recipe_changes(maker: BaseMaker, docker: Docker) -> None:
    first = maker.demand(SMALL)
    images = docker("image", "ls", "--all", "--quiet")
    assert maker.demand(SMALL) == first
    assert docker("image", "ls", "--all", "--quiet") == images
    second = maker.demand(replace(SMALL, packages=("less", *SMALL.packages)))
    assert second != first
    alone = ("run", "--rm", "--network=none")
    assert docker(*alone, second, "less", "--version").startswith("less ")
    assert docker.run(*alone, first, "less", "--version").returncode == 127
    assert docker(*alone, first, "/opt/k3s-buildsys/bin/invoke", "--version") == "Invoke 3.0.3\n"


def test_it_holds_what_builds_and_emulators_need(based: Docker) -> None:
    alone = ("run", "--rm", "--network=none", base_of().name)
    assert "version 7.2" in based(*alone, "qemu-arm-static", "--version")
    assert based(*alone, "/opt/k3s-buildsys/bin/python", "-c", "import ziglang, go") == ""


def trees(cache: Path) -> list[Path]:
    """What mmdebstrap is unpacking, or was."""
    return [path.parent for path in cache.glob("docker-base/mmdebstrap.*/usr")]


@contextmanager
def making(docker: Docker, cache: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A build for which mmdebstrap is at work, in an empty folder."""
    argv = [sys.executable, "-m", "invoke", "build", "--arch=armv6", "--only=check-config"]
    env = {**os.environ, "DOCKER_HOST": docker.host, "K3S_BUILDSYS_CACHE": str(cache)}
    process = subprocess.Popen([*argv, "--backend=docker"], cwd=ROOT, env=env)
    try:
        assert eventually(lambda: bool(trees(cache)), wanted=True)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_cut_off_it_leaves_no_process_no_mount_and_its_folder_goes(
    app: App, unused_docker: Docker, tmp_path: Path, number: signal.Signals
) -> None:
    cache = tmp_path / "cache"
    (cache / "downloads").mkdir(parents=True)
    for wheels in app.cache.downloads.glob("wheels-*"):
        (cache / "downloads" / wheels.name).symlink_to(wheels)
    for _ in range(2):
        with making(unused_docker, cache) as process:
            (left,) = trees(cache)
            process.send_signal(number)
            process.wait()
        assert eventually(lambda: running(str(cache)), wanted=False)
        assert str(cache) not in Path("/proc/self/mountinfo").read_text()
        assert unused_docker("image", "ls", "--quiet") == ""
    # The second run took away what the first one left, and left its own.
    assert trees(cache) == [left]
