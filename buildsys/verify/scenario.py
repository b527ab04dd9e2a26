"""What smoke does, step by step, inside namespaces of its own; run as a program by `smoke.py`.

Reads a `Scenario` as JSON on standard input and prints one JSON line per step. Everything here is
in this process's own user, mount, process and network namespace: ports, mounts and the emulator's
registration are nobody else's, and all processes die with it.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PORT = 16443
READY_POLL_SECONDS = 0.5
STOP_SECONDS = 60
TAIL_BYTES = 4000

SERVER_FLAGS = (
    "--disable-agent",
    "--disable-cloud-controller",
    "--disable-network-policy",
    "--disable-kube-proxy",
    "--disable=coredns,servicelb,traefik,local-storage,metrics-server",
    "--flannel-backend=none",
    f"--https-listen-port={PORT}",
    "--bind-address=127.0.0.1",
    "--advertise-address=127.0.0.1",
    "--node-ip=127.0.0.1",
)
"""A server alone: qemu-user cannot carry an agent, which needs cgroups and a network of its own."""

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_BINFMT = Path("/proc/sys/fs/binfmt_misc")


@dataclass(frozen=True)
class Scenario:
    """What to run: the executable, a folder for its data, the emulator's registration if any."""

    executable: str
    folder: str
    registration: str
    environment: dict[str, str]
    ready_seconds: int


class StepError(Exception):
    """A step did not do what it must."""


@dataclass
class Server:
    """A running `k3s server` and its log."""

    scenario: Scenario
    process: subprocess.Popen[bytes]
    log: Path
    began: float = field(default_factory=time.monotonic)

    @property
    def data(self) -> Path:
        """The server's data directory."""
        return Path(self.scenario.folder) / "data"

    def wait_ready(self) -> float:
        """Seconds until `/readyz` answered "ok"."""
        deadline = self.began + self.scenario.ready_seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise StepError(f"the server ended: {self.process.returncode}\n{self.tail()}")
            if self._ready():
                return round(time.monotonic() - self.began, 2)
            time.sleep(READY_POLL_SECONDS)
        raise StepError(
            f"not ready after {self.scenario.ready_seconds} s; last lines:\n{self.tail()}"
        )

    def _ready(self) -> bool:
        tls = self.data / "server" / "tls"
        context = ssl.create_default_context()
        context.check_hostname = False
        try:
            context.load_verify_locations(tls / "server-ca.crt")
            context.load_cert_chain(tls / "client-admin.crt", tls / "client-admin.key")
            url = f"https://127.0.0.1:{PORT}/readyz"
            with urllib.request.urlopen(url, context=context, timeout=10) as answer:
                return bool(answer.read() == b"ok")
        except (OSError, ssl.SSLError):
            return False

    def memory_mib(self) -> dict[str, float]:
        """Resident memory now and at its peak, in MiB; the emulator's own included."""
        fields = {}
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            name, _, rest = line.partition(":")
            fields[name] = rest
        return {
            "rss_mib": round(int(fields["VmRSS"].split()[0]) / 1024, 1),
            "peak_mib": round(int(fields["VmHWM"].split()[0]) / 1024, 1),
        }

    def end(self, number: signal.Signals) -> None:
        """Send a signal to the server's whole group and wait for its end."""
        os.killpg(self.process.pid, number)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise StepError(f"still there {STOP_SECONDS} s after {number.name}") from error

    def tail(self) -> str:
        """The last lines of its log."""
        return self.log.read_bytes()[-TAIL_BYTES:].decode("utf-8", "replace")


def main() -> int:
    """Run the scenario of standard input; 0 if every step passed."""
    scenario = Scenario(**json.load(sys.stdin))
    servers: list[Server] = []
    steps: list[tuple[str, Callable[[], dict[str, Any]]]] = [
        ("prepare", lambda: prepare(scenario)),
        ("first start", lambda: start(scenario, servers)),
        ("write ConfigMap", lambda: write(scenario)),
        ("kill -9", lambda: kill(servers)),
        ("second start", lambda: start(scenario, servers)),
        ("ConfigMap is still there", lambda: read(scenario)),
        ("stop", lambda: stop(servers)),
    ]
    for name, work in steps:
        begin = time.monotonic()
        line: dict[str, Any] = {"name": name, "passed": True, "detail": "", "facts": {}}
        try:
            line["facts"] = work()
        except StepError as error:
            line.update(passed=False, detail=str(error))
        except Exception as error:  # whatever it is, the verdict must hold it
            line.update(passed=False, detail=f"{type(error).__name__}: {error}")
        line["seconds"] = round(time.monotonic() - begin, 3)
        print(json.dumps(line), flush=True)
        if not line["passed"]:
            return 1
    return 0


def prepare(scenario: Scenario) -> dict[str, Any]:
    """Bring the loopback interface up; register the emulator for the target's programs."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        request = bytearray(struct.pack("16sh14x", b"lo", 0))
        fcntl.ioctl(handle, _SIOCGIFFLAGS, request)
        flags = struct.unpack_from("h", request, 16)[0]
        struct.pack_into("h", request, 16, flags | _IFF_UP)
        fcntl.ioctl(handle, _SIOCSIFFLAGS, request)
    # The process identifiers of this namespace, for the servers' memory.
    subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=True, capture_output=True)
    _own_etc(Path(scenario.folder) / "etc")
    if scenario.registration:
        mounted = ["mount", "-t", "binfmt_misc", "none", str(_BINFMT)]
        done = subprocess.run(mounted, capture_output=True, text=True)
        if done.returncode:
            raise StepError(
                f"no binfmt_misc of our own: {done.stderr.strip()} (Linux 6.7 lets users mount it)"
            )
        (_BINFMT / "register").write_bytes(scenario.registration.encode())
    version = call(scenario, "--version")
    if list(Path(scenario.folder, "data").glob("*")):
        raise StepError("--version extracted something")
    return {"version": version.splitlines()}


def _own_etc(folder: Path) -> None:
    """Mount a small /etc of our own: k3s writes its node password there and nowhere else."""
    folder.mkdir()
    for name in ("passwd", "group", "hosts", "nsswitch.conf", "resolv.conf"):
        path = Path("/etc") / name
        if path.is_file():
            (folder / name).write_bytes(path.read_bytes())
    subprocess.run(["mount", "--bind", str(folder), "/etc"], check=True, capture_output=True)


def start(scenario: Scenario, servers: list[Server]) -> dict[str, Any]:
    """Start a server and wait until it is ready."""
    folder = Path(scenario.folder)
    log = folder / f"server-{len(servers) + 1}.log"
    argv = [scenario.executable, "server", f"--data-dir={folder / 'data'}", *SERVER_FLAGS]
    argv.append(f"--write-kubeconfig={folder / 'kubeconfig'}")
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=scenario.environment,
            cwd=folder,
            start_new_session=True,
        )
    server = Server(scenario, process, log)
    servers.append(server)
    return {"ready_seconds": server.wait_ready(), **server.memory_mib()}


def write(scenario: Scenario) -> dict[str, Any]:
    """Write a ConfigMap with the bundled kubectl."""
    kubectl(scenario, "create", "configmap", "smoke", "--from-literal=written=before-the-kill")
    return {}


def kill(servers: list[Server]) -> dict[str, Any]:
    """Kill the server as a power cut would."""
    memory = servers[-1].memory_mib()
    servers[-1].end(signal.SIGKILL)
    return memory


def read(scenario: Scenario) -> dict[str, Any]:
    """The ConfigMap that was written before the kill."""
    found = kubectl(scenario, "get", "configmap", "smoke", "-o", "jsonpath={.data.written}")
    if found != "before-the-kill":
        raise StepError(f"the ConfigMap holds {found!r}")
    return {"data": found}


def stop(servers: list[Server]) -> dict[str, Any]:
    """End the server in good order."""
    memory = servers[-1].memory_mib()
    servers[-1].end(signal.SIGTERM)
    return memory


def kubectl(scenario: Scenario, *arguments: str) -> str:
    """Run the executable's own kubectl as the server's admin."""
    return call(scenario, "kubectl", f"--kubeconfig={scenario.folder}/kubeconfig", *arguments)


def call(scenario: Scenario, *arguments: str) -> str:
    """Run the executable; its standard output."""
    data = f"{scenario.folder}/data"
    done = subprocess.run(
        [scenario.executable, *arguments],
        capture_output=True,
        text=True,
        env={**scenario.environment, "K3S_DATA_DIR": data},
        cwd=scenario.folder,
        timeout=scenario.ready_seconds,
    )
    if done.returncode:
        raise StepError(f"k3s {' '.join(arguments)}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
