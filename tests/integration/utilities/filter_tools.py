"""What the packet filters' tests share: the programs as they lie in the executable, networks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from buildsys.app import App, Settings

COMPONENTS = ("ebtables", "ipset", "iptables", "iptables-detect", "libmnl")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces want root here")
needs_ip = pytest.mark.skipif(shutil.which("ip") is None, reason="`ip` (iproute2) is not installed")
needs_qemu = pytest.mark.skipif(
    shutil.which("qemu-arm-static") is None, reason="qemu-arm-static is not installed"
)

SERVER = """\
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
server = socket.create_server((sys.argv[1], int(sys.argv[2])), family=family)
print("ready", flush=True)
while True:
    server.accept()[0].sendall(b"hello")
"""

CLIENT = """\
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3])) as c:
        print(c.recv(100).decode())
except OSError as error:
    print(type(error).__name__)
"""


@dataclass(frozen=True)
class Done:
    """How a program ended."""

    code: int
    out: str
    err: str


def run(
    argv: Sequence[str | Path], *, stdin: str = "", env: Mapping[str, str] | None = None
) -> Done:
    """Run a program to its end."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, env=env, timeout=60)
    return Done(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Tools:
    """The components of one target, laid out as the launcher unpacks them."""

    target: str
    folder: Path
    _keep: tempfile.TemporaryDirectory[str]

    @property
    def aux(self) -> Path:
        """Where iptables and ebtables lie."""
        return self.folder / "bin/aux"

    def argv(self, name: str, *arguments: str) -> list[str]:
        """The command line of a program below bin, under its emulated CPU where it needs one."""
        path = str(self.folder / "bin" / name)
        if self.target == "amd64":
            return [path, *arguments]
        return ["qemu-arm-static", "-cpu", "arm1176", "-0", name, path, *arguments]

    def run(self, name: str, *arguments: str, stdin: str = "") -> Done:
        """Run a program outside of any test network."""
        return run(self.argv(name, *arguments), stdin=stdin)


@cache
def tools(target: str) -> Tools:
    """The components, built as `invoke build --only` builds them; once a session."""
    app = App(Settings())
    result = app.build(app.plan([target], COMPONENTS))
    keep = tempfile.TemporaryDirectory(prefix=f"filter-{target}-")
    for name in COMPONENTS:
        outcome = result.outcomes[f"{name}-{target}"]
        assert outcome.result, outcome.error
        files = outcome.result.artifact.folder / "files"
        shutil.copytree(files, keep.name, symlinks=True, dirs_exist_ok=True)
    return Tools(target, Path(keep.name), keep)


@dataclass(frozen=True)
class Network:
    """A network namespace, for as long as its holder lives."""

    pid: int

    def run(self, *argv: str | Path, stdin: str = "", env: Mapping[str, str] | None = None) -> Done:
        """Run a program in it."""
        return run(self.inside(*argv), stdin=stdin, env=env)

    def ok(self, *argv: str | Path, stdin: str = "") -> str:
        """Run a program that must succeed and be silent on standard error; its output."""
        done = self.run(*argv, stdin=stdin)
        assert (done.code, done.err) == (0, ""), (argv, done)
        return done.out

    def inside(self, *argv: str | Path) -> list[str | Path]:
        """The command line that runs `argv` in it."""
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", *argv]

    def reach(self, address: str, port: int, seconds: float = 1) -> str:
        """What a server says, or the name of the error."""
        return self.ok(sys.executable, "-c", CLIENT, address, str(port), str(seconds)).strip()

    @contextmanager
    def server(self, address: str, port: int) -> Iterator[None]:
        """A TCP server that says hello."""
        argv = self.inside(sys.executable, "-c", SERVER, address, str(port))
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout and server.stdout.readline() == "ready\n"
                yield
            finally:
                server.kill()


HOLDER = """\
for folder; do
    [ -L "$folder" ] || mount -t tmpfs none "$folder" || exit
done
echo ready
exec sleep 600
"""


@contextmanager
def network(hidden: Sequence[str] = ()) -> Iterator[Network]:
    """A fresh network namespace; the folders in `hidden` are empty in it."""
    argv = ["unshare", "--net", "--mount", "sh", "-c", HOLDER, "sh", *hidden]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout and holder.stdout.readline() == "ready\n"
            yield Network(holder.pid)
        finally:
            holder.kill()


@contextmanager
def wired() -> Iterator[tuple[Network, Network]]:
    """Two networks with a cable between them: 10.9.0.1 and fd09::1, 10.9.0.2 and fd09::2."""
    with network() as one, network() as two:
        ends = [
            "eth0",
            "netns",
            str(one.pid),
            "type",
            "veth",
            "peer",
            "eth0",
            "netns",
            str(two.pid),
        ]
        done = run(["ip", "link", "add", *ends])
        assert done.code == 0, done
        for number, net in enumerate((one, two), 1):
            net.ok("ip", "address", "add", f"10.9.0.{number}/24", "dev", "eth0")
            net.ok("ip", "address", "add", f"fd09::{number}/64", "dev", "eth0", "nodad")
            for device in ("lo", "eth0"):
                net.ok("ip", "link", "set", device, "up")
        yield one, two
