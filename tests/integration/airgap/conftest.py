"""What the tests of the airgap file share: a bundle of the two smallest images, per target."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from buildsys.app import App, Settings
from buildsys.bundle import Bundle, Bundler
from buildsys.plan import digest

SMALL = ("pause", "local-path-helper")
"""Images that take seconds to build; large ones differ in nothing that a reader sees."""


@pytest.fixture(scope="session")
def app() -> App:
    return App(Settings())


@dataclass(frozen=True)
class Airgap:
    """A bundle's airgap files; `names` are what the list beside them says."""

    bundle: Bundle
    zst: Path
    gz: Path
    names: list[str]

    @property
    def images(self) -> list[dict[str, Any]]:
        """What the record says of each image."""
        found: list[dict[str, Any]] = self.bundle.record["images"]
        return found


MakeAirgap = Callable[[str], Airgap]


@pytest.fixture(scope="session")
def airgap(app: App, tmp_path_factory: pytest.TempPathFactory) -> MakeAirgap:
    """Make the airgap files of a target with the small images only."""

    def make(target: str) -> Airgap:
        small = app.build(app.plan([target], ["launcher", *SMALL]))
        artifacts = {
            o.result.artifact.recipe: o.result.artifact for o in small.outcomes.values() if o.result
        }
        (whole,) = app.plan([target]).bundles
        images = tuple(job for job in whole.images if job.recipe in SMALL)
        embedded = tuple(job for job in whole.embedded if job.recipe in SMALL)
        plan = replace(whole, members=(), images=images, embedded=embedded, key=digest(target))
        folder = tmp_path_factory.mktemp(f"airgap-{target}")
        bundler = Bundler(app.project, app.cache, app.timeline, folder, app.toolchain.go_version)
        bundle = bundler.make(plan, artifacts)
        stem = folder / f"k3s-airgap-images-{target}.tar"
        names = (folder / "k3s-images.txt").read_text().split()
        return Airgap(bundle, Path(f"{stem}.zst"), Path(f"{stem}.gz"), names)

    return make


@dataclass(frozen=True)
class Docker:
    """A Docker daemon of the test's own."""

    socket: Path

    def __call__(self, *argv: str) -> str:
        """Run a docker command; its output."""
        done = subprocess.run(
            ["docker", *argv],
            env={
                "PATH": os.environ["PATH"],
                "DOCKER_HOST": f"unix://{self.socket}",
                "HOME": "/nonexistent",
            },
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    """A daemon without network, in folders of its own."""
    if os.geteuid():
        pytest.skip("dockerd is started by root only")
    folder = tmp_path_factory.mktemp("docker")
    socket = folder / "docker.sock"
    argv = ["dockerd", f"--data-root={folder}/data", f"--exec-root={folder}/exec"]
    argv += [f"--pidfile={folder}/pid", f"--host=unix://{socket}"]
    argv += ["--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs"]
    with ExitStack() as stack:
        log = stack.enter_context((folder / "log").open("wb"))
        daemon = stack.enter_context(subprocess.Popen(argv, stdout=log, stderr=log))
        stack.callback(daemon.terminate)
        started = Docker(socket)
        for _ in range(300):
            if socket.exists() or daemon.poll() is not None:
                break
            time.sleep(0.1)
        assert daemon.poll() is None and socket.exists(), (folder / "log").read_text()
        yield started
