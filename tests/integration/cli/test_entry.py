"""`pip install -e .` brings `k3s-build`, which finds the checkout from anywhere inside it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from buildsys.app import ROOT
from buildsys.errors import UsageError

from ..building.project import new_checkout
from .typed import PATH, typed

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout that is installed as README's line does, but for the toolchains: those of here."""
    folder = tmp_path_factory.mktemp("entry")
    root = new_checkout(folder / "a checkout", folder / "cache").root
    for name in ("k3s_build.py", "README.md"):
        shutil.copy(ROOT / name, root / name)
    shutil.copytree(ROOT / "recipes", root / "recipes")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    (packages,) = (folder / "venv").glob("lib/python3*/site-packages")
    (packages / "of-here.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = str(folder / "venv/bin/python")
    pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", "-e", str(root)]
    subprocess.run(pip, check=True, cwd=folder)
    return root


@pytest.fixture(scope="module")
def path(checkout: Path) -> str:
    """PATH with the new environment's programs first."""
    return f"{checkout.parent / 'venv/bin'}:{PATH}"


def test_it_works_in_a_folder_of_the_checkout(checkout: Path, path: str) -> None:
    done = typed("k3s-build plan --arch armv6 --only zlib", cwd=checkout / "recipes", path=path)
    assert done.code == 0, done.err
    assert "zlib" in done.out


def test_it_works_from_elsewhere_by_name(checkout: Path, path: str, tmp_path: Path) -> None:
    done = typed(f"k3s-build -r '{checkout}' list --json", cwd=tmp_path, path=path)
    assert done.code == 0 and '"armv6"' in done.out


@pytest.mark.parametrize("given", ["", "-r /dev/null/x "])
def test_outside_it_says_so(path: str, tmp_path: Path, given: str) -> None:
    done = typed(f"k3s-build {given}plan", cwd=tmp_path, path=path)
    assert (done.code, done.out) == (UsageError.exit_code, "")
    assert done.err.startswith("error: ") and "next: go into the checkout" in done.err
    assert "Traceback" not in done.err


def test_what_invoke_says_before_it_has_our_commands(checkout: Path, path: str) -> None:
    done = typed("k3s-build --version", cwd=checkout, path=path)
    assert done.out.startswith("k3s-buildsys ") and "k3s v" in done.out
    done = typed("k3s-build --command-timeout x plan", cwd=checkout, path=path)
    assert (done.code, done.out) == (UsageError.exit_code, "") and "next: " in done.err
    done = typed("k3s-build --print-completion-script bash | true", cwd=checkout, path=path)
    assert (done.code, done.err) == (141, "")
    done = typed("k3s-build buid", cwd=checkout, path=path)
    assert done.code == UsageError.exit_code and "did you mean `build`?" in done.err
