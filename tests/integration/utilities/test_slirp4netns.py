"""slirp4netns: bytes between a namespace without root and the host, through its tap."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from buildsys.app import App, Settings
from buildsys.emulator import find_emulator, is_native

from .slirp_frames import ACK, PSH, URG, Connection

needs_tun = pytest.mark.skipif(not os.access("/dev/net/tun", os.W_OK), reason="no /dev/net/tun")
pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.built]
"""glib, which it is linked with, takes minutes."""

SANDBOX, SECCOMP = "--enable-sandbox", "--enable-seccomp"
DATA = os.urandom(300_000)

# What is sent is read from standard input, what comes back goes to standard output.
CLIENT = """\
import socket, sys, threading
data = sys.stdin.buffer.read()
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=60) as peer:
    def send():
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
    threading.Thread(target=send).start()
    while part := peer.recv(65536):
        sys.stdout.buffer.write(part)
"""

SERVER = """\
import socket, sys
with socket.create_server(("0.0.0.0", int(sys.argv[1]))) as server:
    print("ready", flush=True)
    peer = server.accept()[0]
    data = b""
    while part := peer.recv(65536):
        data += part
    peer.sendall(data[::-1])
"""


@cache
def command(target: str) -> tuple[str, ...]:
    """The program, built as `invoke build --only` builds it, as the target's CPU would run it."""
    app = App(Settings())
    outcome = app.build(app.plan([target], ["slirp4netns"])).outcomes[f"slirp4netns-{target}"]
    assert outcome.result, outcome.error
    folder, path = outcome.result.artifact.folder / "files", "bin/slirp4netns"
    machine = app.project.targets[target]
    if is_native(machine):
        return (str(folder / path),)
    return tuple(find_emulator(machine).wrap([path], folder))


@dataclass(frozen=True)
class Namespace:
    """A user and a network namespace with nothing but `lo`; it ends with the process `pid`."""

    pid: int

    def inside(self, *argv: str) -> list[str]:
        """The command line that runs `argv` in it."""
        enter = ["nsenter", "--user", "--preserve-credentials", "--net", f"--target={self.pid}"]
        return [*enter, *argv]

    def talk(self, address: str, port: int, data: bytes) -> subprocess.CompletedProcess[bytes]:
        """Send `data` to a server; the answer is in `stdout`."""
        argv = self.inside(sys.executable, "-c", CLIENT, address, str(port))
        return subprocess.run(argv, input=data, capture_output=True, timeout=120)


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """What rootless k3s lives in, as far as the network goes."""
    argv = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", "echo; exec sleep 600"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as holder:
        try:
            if not holder.stdout or holder.stdout.readline() != b"\n":
                pytest.skip("this machine lets this user make no network namespaces")
            yield Namespace(holder.pid)
        finally:
            holder.kill()


@contextmanager
def slirp(
    target: str, *arguments: str, inherited: Sequence[int] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """slirp4netns, for as long as the block runs, from when it says that it is ready."""
    ready, writer = os.pipe()
    argv = [*command(target), f"--ready-fd={writer}", *arguments]
    with subprocess.Popen(
        argv, pass_fds=[writer, *inherited], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        os.close(writer)
        try:
            with os.fdopen(ready, "rb") as pipe:
                if pipe.read(1) != b"1":
                    assert process.stdout
                    raise AssertionError(process.stdout.read().decode())
            yield process
        finally:
            process.kill()


@contextmanager
def mirror() -> Iterator[int]:
    """A server on the host's loopback that sends back what it got, last byte first; its port."""

    def serve(server: socket.socket) -> None:
        try:
            peer, _ = server.accept()
        except OSError:
            return  # nobody came
        with peer, peer.makefile("rb") as file:
            peer.sendall(file.read()[::-1])

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=[server], daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            # Closing alone would not wake it, and its number soon names another file.
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def exchange(namespace: Namespace) -> None:
    """Bytes go out through the tap to the host's loopback, and come back."""
    with mirror() as port:
        done = namespace.talk("10.0.2.2", port, DATA)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == DATA[::-1]


def status(pid: int) -> dict[str, str]:
    """What the kernel says of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_version(target: str) -> None:
    done = subprocess.run([*command(target), "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "slirp4netns version 1.2.1"


def test_namespace_alone_reaches_nothing(namespace: Namespace) -> None:
    with mirror() as port:
        assert b"Network is unreachable" in namespace.talk("10.0.2.2", port, b"x").stderr


@needs_tun
def test_bytes_go_out_and_come_back(target: str, namespace: Namespace) -> None:
    with slirp(target, "--configure", "--mtu=65520", str(namespace.pid), "tap0"):
        exchange(namespace)


@needs_tun
def test_host_loopback_can_be_closed(target: str, namespace: Namespace) -> None:
    options = ["--configure", "--disable-host-loopback"]
    with slirp(target, *options, str(namespace.pid), "tap0"), mirror() as port:
        done = namespace.talk("10.0.2.2", port, b"x")
        assert done.returncode and b"Error" in done.stderr


@needs_tun
@pytest.mark.parametrize("options", [[SANDBOX], [SECCOMP], [SANDBOX, SECCOMP]])
def test_confined(options: list[str], namespace: Namespace) -> None:
    """On amd64 alone: qemu-user has no seccomp, and its own memory and files would be confined."""
    with slirp("amd64", "--configure", *options, str(namespace.pid), "tap0") as process:
        exchange(namespace)
        told = status(process.pid)
        assert told["Seccomp"] == ("2" if SECCOMP in options else "0")
        if SANDBOX in options:
            assert int(told["CapEff"], 16) & ~(1 << 10) == 0  # CAP_NET_BIND_SERVICE at most
            assert {p.name for p in Path(f"/proc/{process.pid}/root").iterdir()} <= {"etc", "run"}


@needs_tun
def test_host_forwards_a_port_into_the_namespace(
    target: str, namespace: Namespace, tmp_path: Path
) -> None:
    control = str(tmp_path / "api")
    serve = namespace.inside(sys.executable, "-c", SERVER, "8080")
    options = ["--configure", f"--api-socket={control}"]
    with slirp(target, *options, str(namespace.pid), "tap0"), closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        addresses = {"host_addr": "127.0.0.1", "guest_addr": "10.0.2.100"}
        ports = {"proto": "tcp", "host_port": port, "guest_port": 8080}
        assert ask(control, "add_hostfwd", **addresses, **ports) == {"return": {"id": 1}}
        with subprocess.Popen(serve, stdout=subprocess.PIPE) as server:
            try:
                assert server.stdout and server.stdout.readline() == b"ready\n"
                client = [sys.executable, "-c", CLIENT, "127.0.0.1", str(port)]
                done = subprocess.run(client, input=DATA, capture_output=True, timeout=120)
                assert done.stdout == DATA[::-1], done.stderr
            finally:
                server.kill()
        assert ask(control, "remove_hostfwd", id=1) == {"return": {}}


def ask(path: str, execute: str, **arguments: object) -> object:
    """One question to the API socket."""
    with socket.socket(socket.AF_UNIX) as peer, peer.makefile("rb") as answer:
        peer.connect(path)
        peer.sendall(json.dumps({"execute": execute, "arguments": arguments}).encode())
        peer.shutdown(socket.SHUT_WR)
        return json.load(answer)


def test_a_guest_that_lies_about_urgent_data_gets_nobodys_memory(target: str) -> None:
    """CVE-2026-9539. The tap is a socket here: an honest kernel would not send such a segment."""
    tap, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with tap, ours, socket.create_server(("127.0.0.1", 0)) as server:
        ours.settimeout(30)
        arguments = ["--netns-type=tapfd", str(tap.fileno())]
        with slirp(target, *arguments, inherited=[tap.fileno()]):
            guest = Connection(ours, server.getsockname()[1])
            guest.connect()
            peer, _ = server.accept()
            with peer:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
                peer.settimeout(30)
                guest.send(ACK | PSH | URG, b"0123456789", urgent=2000)
                guest.send(ACK | PSH, b"and more")
                assert received(peer, b"and more") == b"0123456789and more"


def received(peer: socket.socket, end: bytes) -> bytes:
    """All that comes, up to `end`, or as much as no honest sender sends."""
    data = b""
    while not data.endswith(end) and len(data) < 10_000 and (part := peer.recv(65536)):
        data += part
    return data
