"""A build in a container: the same bytes as one without, and no network in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from buildsys.app import ROOT

from .conftest import Docker

pytestmark = pytest.mark.integration

SMALL = ("busybox", "launcher")


def built(cache: Path, host: str, *arguments: str) -> dict[str, bytes]:
    """The files of all artifacts that a build leaves in an empty store, by key and path."""
    only = [f"--only={name}" for name in SMALL]
    argv = [sys.executable, "-m", "invoke", "build", "--arch=armv6", "--json", *only, *arguments]
    env = {**os.environ, "DOCKER_HOST": host, "K3S_BUILDSYS_CACHE": str(cache)}
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = {row["name"]: row["result"] for row in json.loads(done.stdout)["components"]}
    assert {results[name] for name in SMALL} == {"built"}
    store = cache / "store"
    return {
        path.relative_to(store).as_posix(): path.read_bytes()
        for path in store.rglob("files/**/*")
        if path.is_file()
    }


# The image that builds run in takes minutes to make.
@pytest.mark.slow
def test_same_bytes_as_without(docker: Docker, tmp_path: Path) -> None:
    if not shutil.which("mmdebstrap"):
        pytest.skip("no mmdebstrap: `invoke setup` installs it")
    first = built(tmp_path / "native", docker.host)
    assert built(tmp_path / "contained", docker.host, "--backend=docker") == first
    assert len(first) >= len(SMALL)


def test_no_daemon_is_named(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "invoke", "build", "--arch=armv6", "--only=busybox"]
    env = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/nothing"}
    done = subprocess.run(
        [*argv, "--backend=docker"], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert done.returncode == 40
    assert "no Docker daemon answers" in done.stderr
