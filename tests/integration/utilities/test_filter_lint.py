"""C of the packet filters is clean under clang-tidy, with the launcher's rules."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from buildsys.app import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.built]

RULES = ROOT / "recipes/launcher/.clang-tidy"
MNL = ROOT / "recipes/libmnl/src"
SOURCES = [*MNL.rglob("*.c"), *(ROOT / "recipes/iptables-detect/src").glob("*.c")]


@pytest.mark.parametrize(
    "source", sorted(SOURCES), ids=lambda path: f"{path.parents[1].name}-{path.name}"
)
def test_is_clean(source: Path) -> None:
    if not shutil.which("clang-tidy"):
        pytest.skip("clang-tidy is not installed: `invoke setup`")
    tidy = ["clang-tidy", "--quiet", f"--config-file={RULES}", str(source), "--"]
    flags = ["-std=c11", "-D_GNU_SOURCE", f"-I{MNL}"]
    done = subprocess.run([*tidy, *flags], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
