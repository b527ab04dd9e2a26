"""C of this project is clean under clang-tidy, with the launcher's own rules."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from buildsys.app import ROOT, App

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.built]

RULES = ROOT / "recipes/launcher/.clang-tidy"


@pytest.fixture(scope="module")
def zstd_headers(app: App) -> Path:
    result = app.build(app.plan(["amd64"], ["zstd"]))
    outcome = result.outcomes["zstd-amd64"]
    assert outcome.result, outcome.error
    return outcome.result.artifact.path("include")


def tidy(source: Path, *flags: str) -> None:
    if not shutil.which("clang-tidy"):
        pytest.skip("clang-tidy is not installed: `invoke setup`")
    argv = [
        "clang-tidy",
        "--quiet",
        f"--config-file={RULES}",
        str(source),
        "--",
        "-std=c11",
        *flags,
    ]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "source", sorted((ROOT / "recipes/launcher/src").glob("*.c")), ids=lambda path: path.name
)
def test_launcher(source: Path, zstd_headers: Path) -> None:
    tidy(source, f"-I{zstd_headers}")


@pytest.mark.parametrize("name", ["buildsys/verify/control.c", "buildsys/wrappers/libc.c"])
def test_rest(name: str) -> None:
    tidy(ROOT / name)
