"""A build in a container: the same bytes as one without, and no network in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer

import pytest

from buildsys.app import ROOT

from .conftest import Docker, as_user

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
def test_same_bytes_as_without(based: Docker, tmp_path: Path) -> None:
    first = built(tmp_path / "native", based.host)
    assert built(tmp_path / "contained", based.host, "--backend=docker") == first
    assert len(first) >= len(SMALL)


def refused(host: str, *before: str) -> tuple[int, str]:
    """How a build ends that the daemon does not take; `before` is a command that runs it."""
    argv = [sys.executable, "-m", "invoke", "build", "--arch=armv6", "--only=busybox"]
    env = {**os.environ, "DOCKER_HOST": host}
    done = subprocess.run(
        [*before, *argv, "--backend=docker"], cwd=ROOT, env=env, capture_output=True, text=True
    )
    return done.returncode, done.stderr


def test_no_daemon_is_named(tmp_path: Path) -> None:
    status, text = refused(f"unix://{tmp_path}/nothing")
    assert status == 40
    assert "no Docker daemon answers" in text


def test_user_outside_its_group_is_told_so(docker: Docker, tmp_path: Path) -> None:
    status, text = refused(docker.host, *as_user(), "env", f"K3S_BUILDSYS_CACHE={tmp_path}/cache")
    assert status == 40, text
    assert "does not let this user in" in text
    assert "the group `docker`" in text


class Old(BaseHTTPRequestHandler):
    """A daemon of 2019."""

    def do_GET(self) -> None:
        answer = json.dumps({"Version": "19.03.15", "ApiVersion": "1.40"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None: ...


def test_daemon_too_old_is_named(tmp_path: Path) -> None:
    with UnixStreamServer(str(tmp_path / "old.sock"), Old) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        status, text = refused(f"unix://{tmp_path}/old.sock")
        server.shutdown()
    assert status == 41
    assert "version 19.03.15" in text


@pytest.mark.slow
def test_daemon_elsewhere_is_refused_in_its_own_words(based: Docker, tmp_path: Path) -> None:
    """As one on another machine, it sees another folder at the cache's path, or none."""
    cache = tmp_path / "cache"
    cache.mkdir()
    hidden = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {tmp_path}; exec "$@"', "sh"]
    status, text = refused(based.host, *hidden, "env", f"K3S_BUILDSYS_CACHE={cache}/own")
    assert status == 44, text
    assert "bind source path does not exist" in text
