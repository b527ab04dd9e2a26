"""Smoke: the executable's server, started for real under the target's CPU, or natively."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from buildsys.cache import Cache
from buildsys.emulator import Emulator
from buildsys.errors import MissingToolError, SmokeError
from buildsys.model import Target
from buildsys.report import Progress
from buildsys.run import ending_with_us
from buildsys.sandbox import can_isolate, namespaces
from buildsys.verify.scenario import Scenario
from buildsys.verify.verdict import Verdict

READY_SECONDS = {"emulated": 900, "native": 180}
"""How long a server may take: 52 s were measured for ARMv6 on an idle 2-core machine."""


@dataclass(frozen=True)
class Smoker:
    """Runs the smoke scenario on executables of one target; without an emulator natively."""

    target: Target
    emulator: Emulator | None
    cache: Cache
    root: Path
    progress: Progress

    def smoke(self, executable: Path) -> Verdict:
        """Run every step; failures are in the verdict. Raises `MissingToolError`."""
        if not can_isolate():
            raise MissingToolError(
                "this machine allows no user namespaces, and smoke runs in its own",
                action="sysctl kernel.unprivileged_userns_clone=1 or "
                "kernel.apparmor_restrict_unprivileged_userns=0, or run it as root",
            )
        log = executable.parent / "verdicts" / f"{executable.name.removeprefix('k3s-')}-smoke.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        verdict = Verdict("smoke", self.target.name, executable, log)
        with self.cache.scratch(f"smoke-{self.target.name}") as folder:
            (folder / "data").mkdir()
            self._run(verdict, self._scenario(executable, folder), log)
            with log.open("ab") as out:
                for part in sorted(folder.glob("server-*.log")):
                    out.write(f"== {part.name}\n".encode() + part.read_bytes())
        return verdict

    def _scenario(self, executable: Path, folder: Path) -> Scenario:
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder)}
        registration = ""
        if self.emulator:
            name = f"k3s-{self.target.name}"
            registration = self.emulator.registration(name, executable).decode()
            environment["QEMU_CPU"] = self.emulator.cpu
        return Scenario(
            executable=str(executable.absolute()),
            folder=str(folder),
            registration=registration,
            environment=environment,
            ready_seconds=READY_SECONDS["emulated" if self.emulator else "native"],
        )

    def _run(self, verdict: Verdict, scenario: Scenario, log: Path) -> None:
        argv = [
            *namespaces("net", force_user=True),
            sys.executable,
            "-m",
            "buildsys.verify.scenario",
        ]
        with log.open("wb") as err:
            process = subprocess.Popen(
                ending_with_us(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                cwd=self.root,
            )
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(asdict(scenario)).encode())
            process.stdin.close()
            for line in process.stdout:
                self._step(verdict, json.loads(line))
            status = process.wait()
        # The lines say what passed; the end must agree, or something died unseen.
        if status and verdict.passed:
            with verdict.step("end"):
                raise SmokeError(f"the scenario ended with status {status} after its last step")

    def _step(self, verdict: Verdict, line: dict[str, object]) -> None:
        with verdict.step(str(line["name"])) as step:
            facts = line["facts"]
            step.facts = dict(facts) if isinstance(facts, dict) else {}
            if not line["passed"]:
                raise SmokeError(str(line["detail"]))
        step.seconds = float(str(line["seconds"]))
        facts_text = ", ".join(f"{k} {v}" for k, v in step.facts.items() if k != "version")
        state = "passed" if step.passed else "FAILED"
        name = f"k3s-{self.target.name}: {step.name}"
        self.progress.line(f"smoke    {name}: {state}  {step.seconds:.1f} s  {facts_text}")
