"""A server's data directory as a power loss leaves it, and what a start makes of it.

Run as a program, in namespaces of its own, it reads `Cuts` as JSON on standard input: it makes one
whole first start, and then for each cut a copy of what that wrote, with some files emptied or
gone, which it starts twice. One JSON line on standard output for each cut.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from buildsys.verify.scenario import Scenario, Server, StepError, prepare, start

MODULE = "tests.integration.launcher.cut"
"""This module's name as seen from the checkout; pytest knows it by another."""

BOOTSTRAP = frozenset(
    f"server/{name}"
    for name in (
        "tls/etcd/server-ca.crt",
        "tls/etcd/server-ca.key",
        "tls/etcd/peer-ca.crt",
        "tls/etcd/peer-ca.key",
        "tls/server-ca.crt",
        "tls/server-ca.key",
        "tls/client-ca.crt",
        "tls/client-ca.key",
        "tls/service.key",
        "tls/request-header-ca.crt",
        "tls/request-header-ca.key",
        "cred/passwd",
        "cred/ipsec.psk",
    )
)
"""What k3s keeps in its datastore as well, and restores from there."""


@dataclass(frozen=True)
class Cut:
    """Patterns below the data directory: files that are empty, and what is not there yet."""

    name: str
    empty: tuple[str, ...]
    gone: tuple[str, ...] = ()
    program: str = ""
    """Instead of the executable: k3s itself, which nobody heals before."""


@dataclass(frozen=True)
class Outcome:
    """What two starts made of a cut.

    `removed` are the files that the launcher says it removed, `changed` those of `BOOTSTRAP` that
    are not what the first start wrote.
    """

    name: str
    error: str
    log: str
    ready_seconds: tuple[float, ...] = ()
    emptied: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cuts:
    """What to try in `folder`."""

    scenario: Scenario
    cuts: tuple[Cut, ...]

    def encode(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))


def decode(text: str) -> Cuts:
    """From JSON."""
    value = json.loads(text)
    cuts = (
        Cut(**{**cut, "empty": tuple(cut["empty"]), "gone": tuple(cut["gone"])})
        for cut in value["cuts"]
    )
    return Cuts(Scenario(**value["scenario"]), tuple(cuts))


@dataclass
class Lab:
    """The whole first start, kept aside, and the place where its copies are started."""

    scenario: Scenario
    servers: list[Server] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return Path(self.scenario.folder) / "data"

    @property
    def whole(self) -> Path:
        return Path(self.scenario.folder) / "whole"

    def first_start(self) -> None:
        """Make it, and keep what it wrote."""
        prepare(self.scenario)
        self.run(self.scenario)
        self.data.rename(self.whole)

    def run(self, scenario: Scenario) -> float:
        """Seconds until the server was ready; then it is killed."""
        try:
            facts = start(scenario, self.servers)
        finally:
            if self.servers[-1].process.poll() is None:
                self.servers[-1].end(signal.SIGKILL)
        return float(facts["ready_seconds"])

    def attempt(self, cut: Cut) -> Outcome:
        """Start twice: what is healed must not be refused by the next start."""
        shutil.rmtree(self.data, ignore_errors=True)
        sockets = shutil.ignore_patterns("*.sock")
        shutil.copytree(self.whole, self.data, symlinks=True, ignore=sockets)
        emptied = cut_files(self.data, cut)
        scenario = replace(self.scenario, executable=cut.program or self.scenario.executable)
        first, seconds, error = len(self.servers), [], ""
        try:
            seconds = [self.run(scenario), self.run(scenario)]
        except StepError as failure:
            error = str(failure)
        log = "".join(server.log.read_text("utf-8", "replace") for server in self.servers[first:])
        was, now = contents(self.whole), contents(self.data)
        return Outcome(
            cut.name,
            error,
            log,
            tuple(seconds),
            emptied,
            tuple(
                name for name in emptied if f"Removed {self.data}/{name}, which was empty" in log
            ),
            tuple(sorted(name for name in was if was[name] != now.get(name))),
        )


def cut_files(data: Path, cut: Cut) -> tuple[str, ...]:
    """Do to the copy what the cut says; the files that are empty now."""
    for pattern in cut.gone:
        for path in data.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    emptied = []
    for pattern in cut.empty:
        for path in sorted(data.glob(pattern)):
            if path.is_file() and not path.is_symlink() and path.stat().st_size:
                times = path.stat()
                os.truncate(path, 0)
                # A power loss takes the content alone: k3s compares times with its datastore's.
                os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
                emptied.append(str(path.relative_to(data)))
    return tuple(emptied)


def contents(data: Path) -> dict[str, bytes]:
    """The bootstrap files."""
    return {n: (data / n).read_bytes() for n in BOOTSTRAP if (data / n).is_file()}


def main() -> None:
    """Do all cuts of standard input."""
    cuts = decode(sys.stdin.read())
    lab = Lab(cuts.scenario)
    lab.first_start()
    names = sorted(str(p.relative_to(lab.whole)) for p in lab.whole.rglob("*") if p.is_file())
    print(json.dumps(names), flush=True)
    for cut in cuts.cuts:
        print(json.dumps(asdict(lab.attempt(cut))), flush=True)


def outcome(line: str) -> Outcome:
    """One line of a run."""
    value: dict[str, Any] = json.loads(line)
    lists = {name: tuple(v) for name, v in value.items() if isinstance(v, list)}
    return Outcome(**{**value, **lists})


if __name__ == "__main__":
    main()
