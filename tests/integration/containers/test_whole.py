"""Everything of a target built once more, in a container and in a cache of its own: same bytes.

Sources come from the cache at hand and must be in it, and so does what was built without Docker,
or it is built there now. The other cache is made beside it, for it takes as much room.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildsys.app import ROOT, App
from buildsys.cache import Cache, file_sha256

from .conftest import Docker

pytestmark = [pytest.mark.integration, pytest.mark.slow]

LARGE = {"coredns", "k3s", "klipper-helm", "metrics-server", "traefik"}
"""What takes most of the time."""


@pytest.fixture
def other(app: App) -> Iterator[Cache]:
    """A cache with sources only, which are links to those at hand."""
    cache = Cache(app.cache.root / "tests/contained")
    shutil.rmtree(cache.root, ignore_errors=True)
    cache.create()
    for folder in ("downloads", "go/mod"):
        (cache.root / folder).rmdir()
        pair = [app.cache.root / folder, cache.root / folder]
        subprocess.run(["cp", "--archive", "--link", *pair], check=True)
    yield cache
    shutil.rmtree(cache.root)


def build(root: Path, cache: Cache, host: str, *arguments: str) -> None:
    argv = [sys.executable, "-m", "invoke", "build", "--offline", *arguments]
    env = {**os.environ, "DOCKER_HOST": host, "K3S_BUILDSYS_CACHE": str(cache.root)}
    subprocess.run(argv, cwd=root, env=env, check=True)


def hashes(folder: Path) -> dict[str, str]:
    """Mode and sha256 of each file, and the text of each link."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = f"{path.stat().st_mode:o} {file_sha256(path)}"
    return found


@pytest.mark.parametrize(
    ("target", "large"), [("armv6", False), ("amd64", True)], ids=["armv6-small", "amd64"]
)
def test_no_byte_is_another(
    app: App, based: Docker, other: Cache, tmp_path: Path, target: str, large: bool
) -> None:
    jobs = app.plan([target]).jobs
    only = [] if large else [f"--only={job.recipe}" for job in jobs if job.recipe not in LARGE]
    checkout = tmp_path / "checkout"
    unwanted = shutil.ignore_patterns(".git", ".venv", "artifacts", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, checkout, ignore=unwanted)
    build(ROOT, app.cache, based.host, f"--arch={target}", *only)
    build(checkout, other, based.host, f"--arch={target}", *only, "--backend=docker")
    keys = {job.id: job.key for job in jobs if large or job.recipe not in LARGE}
    files: dict[str, tuple[str | None, str | None]] = {}
    for name, key in keys.items():
        here, there = (hashes(cache.store / key / "files") for cache in (app.cache, other))
        assert here
        files |= {f"{name}: {p}": (here.get(p), there.get(p)) for p in {*here, *there}}
    if large:
        record = json.loads((app.artifacts / f"k3s-{target}.json").read_text())
        for name in record["files"]:
            one, two = (file_sha256(root / "artifacts" / name) for root in (ROOT, checkout))
            files[name] = one, two
    print(f"{len(files)} files of {len(keys)} components")
    assert {name: pair for name, pair in files.items() if pair[0] != pair[1]} == {}
