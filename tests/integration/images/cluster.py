"""A k3s server in namespaces of its own, for tests that need a Kubernetes API.

Run as a program it starts the server of a `Scenario` (first argument, JSON), prints "ready", and
then answers requests: one JSON line each on standard input, one on standard output. `Cluster` is
the other end. No node joins: pods are made, but nothing starts them.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from buildsys.app import ROOT
from buildsys.emulator import find_emulator, is_native
from buildsys.model import Target
from buildsys.sandbox import namespaces
from buildsys.verify.scenario import PORT, Scenario, Server, prepare, start, stop
from buildsys.verify.smoke import READY_SECONDS

MODULE = "tests.integration.images.cluster"
"""This module's name as seen from the checkout; pytest knows it by another."""


@dataclass(frozen=True)
class Cluster:
    """A running server; leave it by closing it."""

    process: subprocess.Popen[str]
    folder: Path

    @property
    def net(self) -> str:
        """Its network namespace, in which the API listens on 127.0.0.1."""
        return f"/proc/{self.process.pid}/ns/net"

    @property
    def authority(self) -> str:
        """The certificate of the API's authority."""
        return (self.folder / "data" / "server" / "tls" / "server-ca.crt").read_text()

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Call the API as its administrator; status and answer."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps([method, path, body]) + "\n")
        self.process.stdin.flush()
        status, answer = json.loads(self.process.stdout.readline())
        return status, answer

    def close(self) -> None:
        """Stop the server."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def open_cluster(executable: Path, target: Target, folder: Path) -> Cluster:
    """Start the server of `executable` below `folder` and wait until it is ready."""
    (folder / "data").mkdir()
    registration, environment = "", {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder)}
    if not is_native(target):
        emulator = find_emulator(target)
        registration = emulator.registration(f"cluster-{target.name}", executable).decode()
        environment["QEMU_CPU"] = emulator.cpu
    seconds = READY_SECONDS["native" if is_native(target) else "emulated"]
    scenario = Scenario(str(executable.resolve()), str(folder), registration, environment, seconds)
    argv = [*namespaces("net", force_user=True), sys.executable, "-m", MODULE]
    process = subprocess.Popen(
        [*argv, json.dumps(asdict(scenario))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n", "the server did not start"
    return Cluster(process, folder)


def main() -> None:
    """Start the server, answer until standard input ends, stop it."""
    scenario = Scenario(**json.loads(sys.argv[1]))
    servers: list[Server] = []
    prepare(scenario)
    start(scenario, servers)
    print("ready", flush=True)
    context = administrator(Path(scenario.folder) / "data" / "server" / "tls")
    for line in sys.stdin:
        method, path, body = json.loads(line)
        print(json.dumps(asked(context, method, path, body)), flush=True)
    stop(servers)


def administrator(folder: Path) -> ssl.SSLContext:
    """What proves to the API that we are its administrator."""
    context = ssl.create_default_context(cafile=str(folder / "server-ca.crt"))
    context.load_cert_chain(folder / "client-admin.crt", folder / "client-admin.key")
    return context


def asked(context: ssl.SSLContext, method: str, path: str, body: object) -> tuple[int, Any]:
    """The API's status and answer; that of a refusal is text."""
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"https://127.0.0.1:{PORT}{path}", data, {"Content-Type": kind}, method=method
    )
    try:
        with urllib.request.urlopen(request, context=context, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


if __name__ == "__main__":
    main()
