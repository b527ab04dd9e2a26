"""The Go code of our conntrack: formatted, clean under vet, its own tests, also in 32 bits."""

from __future__ import annotations

import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildsys.app import ROOT, App, Settings
from buildsys.fetch import go_module
from buildsys.model import GoModuleSource
from buildsys.patch import apply_patch
from buildsys.toolchain import find_toolchain

from .conntrack_lab import FLOWS, V4, lab

pytestmark = pytest.mark.integration

RECIPE = ROOT / "recipes/conntrack"
PACKAGES = "./cmd/conntrack/..."


@dataclass(frozen=True)
class Module:
    """The library with our overlay, as the build lays it out."""

    folder: Path
    env: dict[str, str]

    def go(self, *arguments: str, arch: str = "") -> str:
        """Run a go command that must succeed; its output."""
        env = self.env | ({"GOARCH": arch} if arch else {})
        argv = [f"{env['GOROOT']}/bin/{arguments[0]}", *arguments[1:]]
        done = subprocess.run(argv, cwd=self.folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Module:
    app, toolchain = App(Settings()), find_toolchain()
    source = app.project.recipes["conntrack"].recipe.source
    assert isinstance(source, GoModuleSource)
    made = tmp_path_factory.mktemp("conntrack")
    folder, log = made / "src", made / "log"
    if go_module.lacks(source, app.cache):
        go_module.fetch(source, app.cache, toolchain, None, log)
    go_module.unpack(source, app.cache, folder)
    for patch in sorted((RECIPE / "patches").iterdir()):
        apply_patch(patch, folder, patch.name, log)
    shutil.copytree(RECIPE / "overlay", folder, dirs_exist_ok=True)
    env = toolchain.go_environment(app.cache, online=False)
    return Module(folder, {**env, "CGO_ENABLED": "0"})


def test_format(module: Module) -> None:
    assert module.go("gofmt", "-l", "cmd/conntrack") == ""


def test_vet(module: Module) -> None:
    for arch in ("amd64", "arm"):
        module.go("go", "vet", PACKAGES, arch=arch)


@pytest.mark.parametrize("arch", ["", "386"])
def test_unit_tests(module: Module, arch: str) -> None:
    """386 has the 32-bit numbers and alignments of ARM, and runs on amd64."""
    if arch and platform.machine() != "x86_64":
        pytest.skip("only x86-64 runs 386")
    assert "FAIL" not in module.go("go", "test", PACKAGES, arch=arch)


def test_32_bits_against_the_kernel(module: Module) -> None:
    """The emulator of ARM opens no netfilter sockets; a 32-bit program of this machine does."""
    if platform.machine() != "x86_64":
        pytest.skip("only x86-64 runs 386")
    path = module.folder / "conntrack-386"
    module.go("go", "build", "-o", str(path), "./cmd/conntrack", arch="386")
    with lab(path) as own:
        assert own.flows() == FLOWS
        assert own.flows("-f", "ipv6") == FLOWS - V4
        assert own.run("-C").out == f"{len(FLOWS)}\n"
        assert own.run("-S").out.startswith("cpu=0   \t")
        assert own.run("-D", "-w", "7").flows == {"5002"}
        assert own.flows() == FLOWS - {"5002"}
        assert own.run("-F").code == 0
        assert own.flows() == set()
