"""socat between two sockets, a terminal and a program."""

from __future__ import annotations

import random
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .conftest import Tool, ToolOf

pytestmark = pytest.mark.integration

DATA = random.Random(11).randbytes(2_000_000)


@pytest.fixture
def socat(tool: ToolOf) -> Tool:
    return tool("socat", "bin/socat")


def serve_backwards(server: socket.socket) -> None:
    """One connection: reads to the end, answers with the same, last byte first."""
    with server.accept()[0] as connection, connection.makefile("rb") as stream:
        connection.sendall(stream.read()[::-1])


@contextmanager
def backwards(
    family: socket.AddressFamily, place: str | tuple[str, int]
) -> Iterator[socket.socket]:
    with socket.socket(family) as server:
        server.bind(place)
        server.listen()
        thread = threading.Thread(target=serve_backwards, args=(server,), daemon=True)
        thread.start()
        yield server
        thread.join(30)


@contextmanager
def running(socat: Tool, *addresses: str) -> Iterator[None]:
    with subprocess.Popen(socat.command("-t", "30", *addresses)) as process:
        try:
            yield
        finally:
            process.terminate()


def send_all(client: socket.socket) -> None:
    """Sends everything and says that it is all."""
    client.sendall(DATA)
    client.shutdown(socket.SHUT_WR)


def ask(family: socket.AddressFamily, place: str | tuple[str, int]) -> bytes:
    """Connects as soon as somebody listens, sends all, reads the answer to its end."""
    deadline = time.monotonic() + 30
    with socket.socket(family) as client:
        while client.connect_ex(place):
            assert time.monotonic() < deadline, f"nobody listens at {place}"
            time.sleep(0.05)
        client.settimeout(60)
        sender = threading.Thread(target=send_all, args=(client,))
        sender.start()
        with client.makefile("rb") as stream:
            answer = stream.read()
        sender.join()
        return answer


def test_unix_to_tcp(socat: Tool, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with backwards(socket.AF_INET, ("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with running(socat, f"UNIX-LISTEN:{path},fork", f"TCP4:127.0.0.1:{port}"):
            assert ask(socket.AF_UNIX, path) == DATA[::-1]


def test_tcp_to_unix(socat: Tool, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listen = f"TCP4-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork"
    with backwards(socket.AF_UNIX, path), running(socat, listen, f"UNIX-CONNECT:{path}"):
        assert ask(socket.AF_INET, ("127.0.0.1", port)) == DATA[::-1]


def test_standard_input_and_output(socat: Tool) -> None:
    """The way that port forwarding calls it."""
    with backwards(socket.AF_INET, ("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert socat.run("-t", "30", "-", f"TCP4:127.0.0.1:{port}", given=DATA) == DATA[::-1]


def test_a_terminals_flags(socat: Tool) -> None:
    """Options that are only there if the recipe says where the fields lie; a pty is always cs8."""
    shown = socat.text("-t", "30", "-", "EXEC:/usr/bin/stty -a,pty,csize=2,tabdly=3,crdly=2")
    assert {"cs8", "tab3", "cr2"} <= set(shown.replace(";", " ").split())


def test_nobody_there(socat: Tool, tmp_path: Path) -> None:
    assert "No such file or directory" in socat.text(
        "-u", "/dev/null", f"UNIX-CONNECT:{tmp_path}/none", code=1
    )
