"""A Docker daemon and a registry of the tests' own, and small executables to make images of.

The daemon runs in a user namespace, which has a binfmt_misc of its own: what a test registers is
for that daemon's containers only.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket

import pytest
import requests
import zstandard

from buildsys.app import ROOT, App, Settings
from buildsys.bundle.layout import assemble
from buildsys.bundle.manifest import Entry, Manifest
from buildsys.docker.backend import base_image
from buildsys.docker.daemon import connect
from buildsys.docker.make import Maker
from buildsys.model import Target
from buildsys.verify.control import compile_control

INSIDE = Path(__file__).parents[1] / "images/inside.py"
VERSION = "v1.35.0+k3s-test"
TARGETS = ("amd64", "armv6")
WAIT_SECONDS = 60
USER = 1000

# In k3s's place: a script, so that the shell of the image runs it.
INNER = '#!/bin/sh\necho "k3s $* on $(uname -m)"\n'


@pytest.fixture(scope="session")
def app() -> App:
    return App(Settings())


def compiled(app: App, target: Target, mcpu: str, to: Path) -> bytes:
    """The audit's control program for a CPU of the target."""
    place, log = to / "room", to / "zig.log"
    return compile_control(app.toolchain, app.cache, target.c.triple, mcpu, place, log).read_bytes()


def write_executable(app: App, target: Target, folder: Path) -> None:
    """An executable with a shell, k3s's double, and the target's two controls."""
    result = app.build(app.plan([target.name], ["launcher", "busybox"]))
    artifacts = {
        o.result.artifact.recipe: o.result.artifact for o in result.outcomes.values() if o.result
    }
    contents = {
        "bin/k3s": INNER.encode(),
        "bin/busybox": artifacts["busybox"].path("bin/busybox").read_bytes(),
        "bin/control": compiled(app, target, target.c.mcpu, folder),
    }
    if target.control:
        contents["bin/control-next"] = compiled(app, target, target.control.mcpu, folder)
    entries, frames = [], []
    for path, data in contents.items():
        frame = folder / f"{Path(path).name}.zst"
        frame.write_bytes(zstandard.ZstdCompressor(write_checksum=True).compress(data))
        entries.append(Entry(path, 0o755, len(data), hashlib.sha256(data).hexdigest()))
        frames.append(frame)
    links = {f"bin/{name}": "busybox" for name in ("sh", "uname", "cat")}
    links |= {f"bin/{name}": "k3s" for name in ("kubectl", "k3s-agent", "k3s-server", "k3s-token")}
    manifest = Manifest(
        target=target.name,
        version=VERSION,
        commit="04e8f1b5",
        go="go1.25.5",
        cpu=target.executable.cpu,
        files=tuple(entries),
        links=links,
    )
    executable = folder / f"k3s-{target.name}"
    with executable.open("wb") as out:
        assemble(out, artifacts["launcher"].path("k3s-launcher"), manifest, frames)
    executable.chmod(0o755)


@pytest.fixture(scope="session")
def executables(app: App, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small executables of two targets."""
    folder = tmp_path_factory.mktemp("executables")
    for target in app.targets(TARGETS):
        write_executable(app, target, folder)
    return folder


@pytest.fixture
def maker(app: App, executables: Path, tmp_path: Path) -> Maker:
    """Makes the image in a folder of the test's own."""
    folder = tmp_path / "artifacts"
    shutil.copytree(executables, folder)
    certificates = tmp_path / "certificates"
    certificates.write_text("authorities\n")
    return Maker(app.project.recipes["k3s"].recipe, app.cache, folder, certificates)


def as_user(*groups: int) -> list[str]:
    """What runs a command as a user in these groups, who may read everything."""
    ids = [f"--reuid={USER}", f"--regid={USER}"]
    ids += [f"--groups={','.join(map(str, groups))}"] if groups else ["--clear-groups"]
    reading = [f"--{kind}=+dac_read_search" for kind in ("inh-caps", "ambient-caps")]
    return ["setpriv", *ids, *reading]


def running(word: str) -> bool:
    """Whether a process has this word in its command line."""
    lines = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(entry.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return any(word in line for line in lines)


def eventually(state: Callable[[], object], wanted: object) -> bool:
    """Whether the state becomes what is wanted."""
    until = time.monotonic() + WAIT_SECONDS
    while (found := state()) != wanted and time.monotonic() < until:
        time.sleep(0.1)
    return bool(found == wanted)


@dataclass(frozen=True)
class Docker:
    """A daemon: its socket, and a process in its namespaces."""

    socket: Path
    pid: int

    @property
    def host(self) -> str:
        """For DOCKER_HOST."""
        return f"unix://{self.socket}"

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a docker command."""
        env = {"PATH": os.environ["PATH"], "DOCKER_HOST": self.host, "HOME": "/nonexistent"}
        return subprocess.run(["docker", *argv], env=env, capture_output=True, text=True)

    def __call__(self, *argv: str) -> str:
        """Run a docker command that must end well; its output."""
        done = self.run(*argv)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def user(self) -> list[str]:
        """What runs a command as one who is in the daemon's group, and not root.

        It may read everything: Python and the socket may lie in folders that are root's.
        """
        return as_user(self.socket.stat().st_gid)

    def beside(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command as root of the daemon's namespaces."""
        entering = ["nsenter", f"--target={self.pid}", "--user", "--mount", f"--wd={ROOT}"]
        command = [*entering, "--preserve-credentials", *argv]
        return subprocess.run(command, capture_output=True, text=True)

    def invoke(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a verb there."""
        return self.beside(sys.executable, "-m", "invoke", *argv)


@pytest.fixture(scope="session")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    """A daemon without a network of its own, in folders of its own."""
    with started(tmp_path_factory.mktemp("docker")) as found:
        yield found


@pytest.fixture(scope="session")
def based(app: App, docker: Docker) -> Docker:
    """The daemon with the image that builds run in, which takes minutes to make."""
    for program in ("mmdebstrap", "newuidmap"):
        if not shutil.which(program):
            pytest.skip(f"no {program}: `invoke setup` installs it")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", docker.host)
        base_image(app, connect())
    return docker


@pytest.fixture
def unused_docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    """A daemon that started no container: one that did has threads in networks of these."""
    # A short name: the sockets below it have at most 108 bytes (unix(7)).
    with started(tmp_path_factory.mktemp("unused")) as found:
        yield found


@contextmanager
def started(folder: Path, *, bridge: bool = False) -> Iterator[Docker]:
    """A daemon in `folder`, with a network of its own if it is to have a bridge.

    Skips where there can be none.
    """
    if os.geteuid():
        pytest.skip("dockerd is started by root only")
    if not (shutil.which("dockerd") and shutil.which("docker")):
        pytest.skip("no dockerd: `invoke setup` installs it")
    place = folder / "docker.sock"
    argv = [shutil.which("dockerd") or "", f"--data-root={folder}/data"]
    argv += [f"--exec-root={folder}/exec", f"--pidfile={folder}/pid", f"--host=unix://{place}"]
    argv += ["--iptables=false", "--ip6tables=false", "--ip-forward=false"]
    argv += ["--storage-driver=vfs", *([] if bridge else ["--bridge=none"])]
    order = {
        "root": "/",
        "argv": argv,
        "env": {"PATH": os.environ["PATH"]},
        "user": "0:0",
        # It asks for a binfmt_misc; no program begins so.
        "registration": ":nothing:M::k3s-buildsys-nothing::/bin/false:",
        "net": bridge,
    }
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, INSIDE, json.dumps(order)], stdout=out, stderr=out
        )
    try:
        until = time.monotonic() + WAIT_SECONDS
        while not place.exists():
            if "binfmt_misc" in log.read_text() and process.poll() is not None:
                pytest.skip("this kernel gives user namespaces no binfmt_misc")
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield Docker(place, int(children[0]))
    finally:
        # unshare passes no other signal on; with it all in its process namespace ends.
        process.kill()
        process.wait()


REGISTRY = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: "{folder}"}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """The address of an empty registry: Debian's docker-registry."""
    if not shutil.which("docker-registry"):
        pytest.skip("no docker-registry: `invoke setup` installs it")
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config, log = tmp_path / "registry.yml", tmp_path / "registry.log"
    config.write_text(REGISTRY.format(folder=tmp_path / "registry", port=port))
    with log.open("wb") as out:
        process = subprocess.Popen(["docker-registry", "serve", config], stdout=out, stderr=out)
    try:
        until = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                requests.get(f"http://127.0.0.1:{port}/v2/", timeout=1)
                break
            except requests.ConnectionError:
                assert process.poll() is None and time.monotonic() < until, log.read_text()
                time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
