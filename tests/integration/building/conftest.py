"""Fixtures of the build's tests: warm compiler caches, a small checkout, a Go module proxy."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from buildsys.cache import default_root
from buildsys.toolchain import find_toolchain

from .goproxy import Proxy, go_recipe
from .meson_project import meson_recipes
from .project import Checkout, new_checkout


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiler caches with musl and Go's standard library for two ARMv6 CPUs in them.

    And musl for this machine, for which meson makes what a build runs itself.

    Made once per toolchain and kept in the user's cache (minutes); each session works on a copy,
    so that no test can spoil the kept ones.
    """
    versions = find_toolchain().versions
    name = f"go{versions['go']}-zig{versions['zig']}-armv6-armv6b-host"
    kept = default_root(os.environ) / "tests" / name
    kept.parent.mkdir(parents=True, exist_ok=True)
    # Another worker of the same run makes the same.
    with kept.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.is_dir():
            _warm(tmp_path_factory.mktemp("warm"), kept)
    copy = tmp_path_factory.mktemp("lent") / "warm"
    subprocess.run(["cp", "-a", kept, copy], check=True)
    return copy


def _warm(made: Path, kept: Path) -> None:
    checkout = new_checkout(made / "checkout", made / "cache")
    checkout.standard(text="warming")
    meson_recipes(checkout, "warming")
    proxy = Proxy(made / "proxy")
    go_recipe(checkout, proxy.standard("warming")[0])
    checkout.other_target("armv6b", {"arm1176jzf_s": "arm1136jf_s"})
    result = checkout.build(arch=["armv6", "armv6b"], go_proxy=proxy.url)
    assert all(outcome.result for outcome in result.outcomes.values()), result.outcomes
    temporary = kept.with_name(f"{kept.name}.{os.getpid()}")
    for name in ("zig", "go/build"):
        shutil.copytree(checkout.cache / name, temporary / name, symlinks=True)
    temporary.rename(kept)


@pytest.fixture
def checkout(tmp_path: Path, warm: Path) -> Checkout:
    """A checkout without recipes; its compiler caches are the session's."""
    return new_checkout(tmp_path / "checkout", tmp_path / "cache", warm)


@pytest.fixture
def nonce() -> str:
    """A word, and a C identifier, that no cache has seen."""
    return f"n{uuid4().hex}"


@pytest.fixture
def proxy(tmp_path: Path) -> Proxy:
    """An empty Go module proxy."""
    return Proxy(tmp_path / "proxy")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetching does not wait between its tries."""
    monkeypatch.setattr("buildsys.fetch.time.sleep", lambda _: None)
