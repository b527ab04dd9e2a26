"""What the launcher's tests share: the launcher under test, a payload, a way to call it."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildsys.app import App, Settings

from .pack import Pack, k3s_like

# ---- the programs under test: built as `invoke build --only launcher` builds them ----


@pytest.fixture(scope="session")
def app() -> App:
    return App(Settings())


def _built(app: App, target: str) -> Path:
    result = app.build(app.plan([target], ["launcher"]))
    outcome = result.outcomes[f"launcher-{target}"]
    assert outcome.result, outcome.error
    return outcome.result.artifact.path("k3s-launcher")


@pytest.fixture(scope="session")
def launcher_binary(app: App) -> Path:
    """The launcher for this machine."""
    return _built(app, "amd64")


@pytest.fixture(scope="session")
def arm_launcher_binary(app: App) -> Path:
    """The launcher for ARMv6, run by qemu-arm-static."""
    return _built(app, "armv6")


@pytest.fixture(scope="session")
def inner_program(app: App, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A static program in k3s's place, which prints its arguments and environment."""
    built = tmp_path_factory.mktemp("inner") / "inner"
    source = Path(__file__).with_name("inner.c")
    options = ["-target", "x86_64-linux-musl", "-O2", "-static", "-s", "-o"]
    subprocess.run([app.toolchain.zig / "zig", "cc", source, *options, built], check=True)
    return built.read_bytes()


# ---- calling it ----


@dataclass(frozen=True)
class Result:
    """What one call did, with the inner program's report taken apart."""

    code: int
    out: str
    err: str

    @property
    def arguments(self) -> list[str]:
        return [line[9:] for line in self.out.splitlines() if line.startswith("argument ")]

    @property
    def environment(self) -> dict[str, str]:
        pairs = (line[12:] for line in self.out.splitlines() if line.startswith("environment "))
        return dict(pair.split("=", 1) for pair in pairs)

    @property
    def program(self) -> str:
        """Which of the payload's names was executed, by the bin folder on PATH."""
        return self.environment["PATH"].split(":")[1]


Call = Callable[..., Result]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Runs an executable in an empty environment, home and working directory."""
    home = tmp_path / "home"
    work = tmp_path / "work"
    home.mkdir()
    work.mkdir()

    def run(
        executable: Path,
        *arguments: str,
        name: str = "k3s",
        env: dict[str, str] | None = None,
        inside: str = "",
    ) -> Result:
        """inside: shell commands to run first, in a mount namespace of our own."""
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(home),
            "K3S_CONFIG_FILE": str(tmp_path / "no-config.yaml"),
            "K3S_DATA_DIR": str(tmp_path / "data"),
            "K3S_NODE_CHECKS": "off",  # the machine of a test need not be fit to be a node
            **(env or {}),
        }
        argv, program = [name, *arguments], str(executable)
        if inside:
            argv = ["unshare", "-Urm", "sh", "-c", f'{inside}\nexec "$0" "$@"', program, *arguments]
            program = "/usr/bin/unshare"
        done = subprocess.run(
            argv,
            executable=program,
            env=environment,
            cwd=work,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Where `call` lets the launcher unpack."""
    return tmp_path / "data"


# ---- moments ----


@pytest.fixture
def moments() -> random.Random:
    """Chooses the moments of kills: others in each run, unless K3S_TEST_SEED has a former run's."""
    seed = os.environ.get("K3S_TEST_SEED") or str(random.SystemRandom().randrange(10**9))
    print(f"K3S_TEST_SEED={seed}")
    return random.Random(seed)


# ---- executables ----


@pytest.fixture
def payload(inner_program: bytes) -> Pack:
    return k3s_like(inner_program)


@pytest.fixture
def k3s(payload: Pack, launcher_binary: Path, tmp_path: Path) -> Path:
    """A whole executable with a small payload."""
    return payload.write(launcher_binary, tmp_path / "bin" / "k3s")
