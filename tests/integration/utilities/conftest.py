"""What the utilities' tests share: each tool on its target's CPU, a fresh network namespace."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from buildsys.app import App, Settings
from buildsys.emulator import find_emulator, is_native
from tests.chosen import TARGETS

FIRST = "armv6"
"""The target whose programs every run of the tests builds; others are slow."""


@dataclass(frozen=True)
class Tool:
    """One built program: its command line begins with `argv`."""

    argv: tuple[str, ...]
    native: bool
    """Whether this machine runs it without an emulator."""

    def command(self, *arguments: str | Path, inside: tuple[str, ...] = ()) -> list[str]:
        """The command line; `inside` is a namespace's prefix."""
        return [*inside, *self.argv, *map(str, arguments)]

    def run(
        self,
        *arguments: str | Path,
        given: bytes = b"",
        inside: tuple[str, ...] = (),
        code: int = 0,
    ) -> bytes:
        """What the program prints for the input `given`; it must end with `code`."""
        done = subprocess.run(
            self.command(*arguments, inside=inside),
            input=given,
            capture_output=True,
            timeout=120,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TZ": "UTC"},
        )
        assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr if code else done.stdout

    def text(
        self, *arguments: str | Path, given: str = "", inside: tuple[str, ...] = (), code: int = 0
    ) -> str:
        """`run` for text."""
        return self.run(*arguments, given=given.encode(), inside=inside, code=code).decode()


ToolOf = Callable[[str, str], Tool]


@cache
def artifact(recipe: str, target: str) -> Path:
    """The component's files, built as `invoke build --only` builds them."""
    app = App(Settings())
    outcome = app.build(app.plan([target], [recipe])).outcomes[f"{recipe}-{target}"]
    assert outcome.result, outcome.error
    return outcome.result.artifact.folder / "files"


def tool_of(recipe: str, path: str, target: str) -> Tool:
    """The program `path` of a recipe's artifact, to run as the target's CPU would run it."""
    folder = artifact(recipe, target)
    machine = App(Settings()).project.targets[target]
    if is_native(machine):
        return Tool((str(folder / path),), native=True)
    return Tool(tuple(find_emulator(machine).wrap([path], folder)), native=False)


@pytest.fixture(
    params=[pytest.param(t, marks=[] if t == FIRST else pytest.mark.slow) for t in TARGETS]
)
def target(request: pytest.FixtureRequest) -> str:
    """Each target in turn; its tests run natively where this machine can."""
    return str(request.param)


@pytest.fixture
def tool(target: str) -> ToolOf:
    """A program by its recipe and its path in the artifact."""
    return lambda recipe, path: tool_of(recipe, path, target)


@dataclass(frozen=True)
class Network:
    """A network namespace with a /run of its own; it ends with the process `pid`."""

    pid: int
    inside: tuple[str, ...]
    """The command prefix that enters it."""


@pytest.fixture
def network() -> Iterator[Network]:
    """A fresh network namespace with nothing but `lo` in it."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    script = "mount -t tmpfs none /run && echo ready && exec sleep 600"
    argv = ["unshare", *user, "--net", "--mount", "sh", "-c", script]
    enter = ["nsenter", *(["--user", "--preserve-credentials"] if user else []), "--net", "--mount"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as holder:
        try:
            if not holder.stdout or holder.stdout.readline() != b"ready\n":
                pytest.skip("this machine lets this user make no network namespaces")
            yield Network(holder.pid, (*enter, f"--target={holder.pid}"))
        finally:
            holder.kill()
