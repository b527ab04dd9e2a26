"""Builds in a container by one who is not root: whose the files are, and what is left of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildsys.app import ROOT

from .conftest import USER, WAIT_SECONDS, Docker, eventually, running

# The image that builds run in takes minutes to make.
pytestmark = [pytest.mark.integration, pytest.mark.slow]

CODE = ("buildsys", "toolchains", "tasks.py", "pyproject.toml")

RECIPE = """\
name       = "{name}"
summary    = "What plain make makes"
version    = "1.0"
license    = "Apache-2.0"
style      = "make"
memory_mib = 50

[source]
kind = "local"
path = "src"

[make]
install = {{ "{name}" = "bin/{name}" }}

[output]
into  = "build"
files = {{ "bin/{name}" = "bin/{name}" }}
"""


@dataclass(frozen=True)
class Checkout:
    """A checkout and a cache that belong to the user; a daemon that lets the user in."""

    root: Path
    cache: Path
    docker: Docker

    def recipe(self, name: str, command: str) -> None:
        """A component that this command makes."""
        source = self.root / "recipes" / name / "src"
        source.mkdir(parents=True)
        (source.parent / "recipe.toml").write_text(RECIPE.format(name=name))
        (source / "Makefile").write_text(f"{name}:\n\t{command}\n")

    def start(self, name: str, *arguments: str) -> subprocess.Popen[str]:
        """Start building it, as the user."""
        # The tests may run where these signals are ignored.
        hearing = ["env", "--default-signal=INT,TERM"]
        verb = [sys.executable, "-m", "invoke", "build", "--arch=armv6", f"--only={name}"]
        env = {**os.environ, "DOCKER_HOST": self.docker.host, "K3S_BUILDSYS_CACHE": str(self.cache)}
        return subprocess.Popen(
            [*hearing, *self.docker.user, *verb, *arguments],
            cwd=self.root,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def build(self, name: str, *arguments: str) -> tuple[int, str]:
        """Build it; the status and both outputs."""
        process = self.start(name, *arguments)
        text, _ = process.communicate()
        return process.returncode, text

    def not_theirs(self) -> list[str]:
        """The files that are not the user's, or not of the user's group."""
        files = [path for folder in (self.root, self.cache) for path in folder.rglob("*")]
        states = {str(path): path.lstat() for path in files}
        return [path for path, s in states.items() if (s.st_uid, s.st_gid) != (USER, USER)]

    def leftovers(self) -> list[Path]:
        """What unfinished work left behind."""
        hidden = [*self.cache.glob("store/.*"), *self.root.glob("artifacts/.*")]
        return [*hidden, *(self.cache / "work").iterdir()]


@pytest.fixture
def theirs(based: Docker, tmp_path: Path) -> Checkout:
    root, cache = tmp_path / "checkout", tmp_path / "cache"
    for path in (ROOT / name for name in CODE):
        if path.is_dir():
            skipped = shutil.ignore_patterns("__pycache__")
            shutil.copytree(path, root / path.name, ignore=skipped)
        else:
            shutil.copy(path, root / path.name)
    checkout = Checkout(root, cache, based)
    checkout.recipe("small", "echo small >small")
    for folder in (root / "artifacts", cache):
        folder.mkdir()
    subprocess.run(["chown", "-R", f"{USER}:{USER}", root, cache], check=True)
    return checkout


def containers(docker: Docker) -> str:
    return docker("ps", "--all", "--quiet")


def test_all_files_are_the_users(theirs: Checkout) -> None:
    status, text = theirs.build("small", "--backend=docker")
    assert status == 0, text
    (made,) = theirs.cache.glob("store/*/files/bin/small")
    assert made.read_text() == "small\n"
    assert theirs.not_theirs() == []
    assert containers(theirs.docker) == ""


def test_failure_inside_is_told_as_one_outside(theirs: Checkout) -> None:
    theirs.recipe("broken", "echo so it is; false")
    inside, text = theirs.build("broken", "--backend=docker")
    assert "so it is" in text
    assert inside == theirs.build("broken")[0] != 0
    assert containers(theirs.docker) == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_container_ends_with_the_verb(theirs: Checkout, number: signal.Signals) -> None:
    sleep = f"sleep {300 + time.monotonic_ns() % 1000 / 1000}"
    theirs.recipe("slow", sleep)
    process = theirs.start("slow", "--backend=docker")
    assert eventually(lambda: running(sleep), wanted=True), process.communicate()
    assert containers(theirs.docker) != ""
    process.send_signal(number)
    process.communicate(timeout=WAIT_SECONDS)
    assert eventually(lambda: containers(theirs.docker), wanted="")
    assert not running(sleep)
    status, text = theirs.build("small", "--backend=docker")
    assert status == 0, text
    assert theirs.leftovers() == [], "the next run swept"
    assert theirs.not_theirs() == []
