"""Boots: a scenario, step by step, on the target's own machine; ends in a verdict."""

from __future__ import annotations

import os
import re
import shutil
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from buildsys.cache import Cache
from buildsys.errors import BootError, MissingToolError, NotBuiltError
from buildsys.machine.board import Board
from buildsys.machine.console import Answer, Booted, State, Trouble
from buildsys.machine.driver import Running, switch_on
from buildsys.machine.kernel import read_kernel
from buildsys.machine.place import Place
from buildsys.machine.qemu import Files, command_line, kernel_line
from buildsys.model import MachineTable, ScenarioTable, Step
from buildsys.report import Progress
from buildsys.run import run
from buildsys.verify.verdict import Verdict

FILES = Path(__file__).parent.parent / "machine" / "scenarios" / "files"
"""What scenarios need in the guest, at /scenario."""

GUEST_LOG = "/var/log/k3s.log"


@dataclass(frozen=True)
class Booter:
    """Runs scenarios on one target's machine.

    `package` is the kernel's, `busybox` the target's, `native` a k3s that runs on the host.
    """

    target: str
    machine: MachineTable
    package: Path
    busybox: Path
    native: Path
    cache: Cache
    progress: Progress

    def boot(self, executable: Path, scenario: ScenarioTable) -> Verdict:
        """Run every step until one fails; failures are in the verdict.

        Raises `MissingToolError` for an emulator or a machine that cannot carry the scenario.
        """
        self._demand(scenario)
        suffix = executable.name.removeprefix("k3s-")
        log = executable.parent / "verdicts" / f"{suffix}-{scenario.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)
        verdict = Verdict(scenario.name, self.target, executable, log)
        with self.cache.scratch(f"boot-{suffix}-{scenario.name}-{os.getpid()}") as folder:
            begin = time.monotonic()
            board = self._board(executable, scenario)
            files = board.prepare(folder, folder / "prepare.log")
            self.progress.line(
                f"boot     k3s-{suffix}: {scenario.name}: board made "
                f"in {time.monotonic() - begin:.1f} s"
            )
            place = Place.made(folder, self.native if scenario.wants_host else None)
            run_ = _Run(self, scenario, verdict, files, place)
            try:
                run_.all()
            finally:
                run_.end()
                _append_logs(files, place, log)
        return verdict

    def _demand(self, scenario: ScenarioTable) -> None:
        if scenario.wants_host and not self.native.is_file():
            raise NotBuiltError(
                f"{scenario.name} runs servers on the host, and there is no {self.native}",
                action=f"run `invoke build --arch {self.native.name.removeprefix('k3s-')}`",
            )
        program = f"qemu-system-{self.machine.emulator}"
        if not shutil.which(program):
            raise MissingToolError(
                f"{program} is not installed, and boots of {self.target} run in it",
                action="run `invoke setup`",
            )
        if self.machine.memory_mib < scenario.memory_mib:
            raise MissingToolError(
                f"{self.target}'s machine has {self.machine.memory_mib} MiB, and {scenario.name} "
                f"wants {scenario.memory_mib}",
                action="choose another scenario; `invoke smoke --list` shows what each wants",
            )

    def _board(self, executable: Path, scenario: ScenarioTable) -> Board:
        wanted = (*self.machine.boot_modules, *self.machine.modules)
        kernel = read_kernel(self.package, self.machine.kernel, wanted)
        files = {f"scenario/{name}": (FILES / name).read_bytes() for name in scenario.files}
        return Board(self.machine, kernel, self.busybox, executable, files)


@dataclass
class _Run:
    """One scenario under way."""

    booter: Booter
    scenario: ScenarioTable
    verdict: Verdict
    files: Files
    place: Place
    running: Running | None = None
    boots: list[Running] = field(default_factory=list)

    def all(self) -> None:
        begin = time.monotonic()
        for step in self.scenario.step:
            with self.verdict.step(step.name) as record:
                record.facts = self._do(step)
            self._report(record.passed)
            if not record.passed:
                break
        if self.verdict.passed:
            with self.verdict.step("no process was killed for want of memory") as record:
                record.facts = self._memory()
        self.verdict.facts = {
            "machine": self.booter.machine.machine,
            "kernel": self.booter.machine.kernel.label,
            "wall_seconds": round(time.monotonic() - begin, 1),
            "boots": [[asdict(state) for state in one.beats] for one in self.boots],
        }

    def end(self) -> None:
        if self.running:
            self.running.end()
        self.place.end()

    def _report(self, passed: bool) -> None:
        step = self.verdict.steps[-1]
        facts = ", ".join(f"{key} {value}" for key, value in step.facts.items() if key != "output")
        state = "passed" if passed else "FAILED"
        name = f"k3s-{self.verdict.subject.name.removeprefix('k3s-')}: {self.scenario.name}"
        line = f"boot     {name}: {step.name}: {state}  {step.seconds:.1f} s  {facts}"
        self.booter.progress.line(line, style="" if passed else "red")

    def _do(self, step: Step) -> dict[str, object]:
        within = round(step.within * self.booter.machine.patience)
        if step.on == "host":
            return self._host(step, within)
        if step.power == "boot":
            return self._boot(within)
        if self.running is None:
            raise BootError("no machine is on", step.name, 0, "the scenario is wrong", [])
        if step.power == "cut":
            self.running.cut()
            return {"guest_seconds": self.running.uptime}
        if step.power == "off":
            self.running.off(within)
            return {"guest_seconds": self.running.uptime}
        answer = self.running.step(step.name, step.run, step.expect, within, step.every)
        code, output, tries = answer.code, answer.output, answer.tries
        demand(step, code, output, tries, answer.state.uptime, self.running.troubles)
        return measured(answer)

    def _host(self, step: Step, within: int) -> dict[str, object]:
        """Run a host step's command until it does what is hoped for."""
        until, tries = time.monotonic() + within, 0
        while True:
            tries += 1
            code, output = self.place.call(step.run, max(1, until - time.monotonic()))
            hoped = not code and re.search(step.expect, output, re.MULTILINE)
            if hoped or not step.every or time.monotonic() + step.every > until:
                break
            time.sleep(step.every)
        second = self.running.uptime if self.running else 0.0
        demand(step, code, output, tries, second)
        return {"at": second, "tries": tries, "output": output[-500:]}

    def _boot(self, within: int) -> dict[str, object]:
        machine = self.booter.machine
        nonce = uuid.uuid4().hex
        argv = command_line(
            machine,
            self.files,
            self.verdict.log.absolute(),
            kernel_line(machine, nonce, int(time.time())),
            network=self.scenario.network,
        )
        log = self.place.folder / "emulator.log"
        self.running = switch_on(self.place.wrap(argv), self.files, nonce, log, machine.timer)
        self.boots.append(self.running)
        booted = self.running.boot(within)
        demand_guest(machine, booted)
        return {
            "guest_seconds": booted.state.uptime,
            "available_mib": booted.state.available,
            "uname": booted.uname,
            "release": booted.release,
        }

    def _memory(self) -> dict[str, object]:
        beats = [state for one in self.boots for state in one.beats]
        killed = max((state.oom_kills for state in beats), default=0)
        least = min((state.available for state in beats), default=0.0)
        if killed:
            detail = f"{killed} processes were killed; least available {least} MiB"
            raise BootError("out of memory", self.scenario.name, beats[-1].uptime, detail, [])
        return {
            "least_available_mib": least,
            "most_resident_mib": max((state.rss for state in beats), default=0.0),
            "most_swapped_mib": max((state.swap for state in beats), default=0.0),
        }


def demand(
    step: Step,
    code: int,
    output: str,
    tries: int,
    second: float,
    troubles: Sequence[Trouble] = (),
) -> None:
    """Raise `BootError` unless a step's output is what it hopes for, whatever its exit code."""
    lines = output.splitlines()[-15:]
    if step.refuse and (found := re.search(step.refuse, output, re.MULTILINE)):
        raise BootError("refused", step.name, second, f"it printed {found[0]!r}", lines)
    if code:
        ended = "its time ran out" if code in (124, 137, 143) else f"code {code}"
        trouble = f"; {troubles[-1].line}" if troubles else ""
        detail = f"{ended} after {tries} tries{trouble}"
        raise BootError("the command failed", step.name, second, detail, lines)
    if not re.search(step.expect, output, re.MULTILINE):
        detail = f"{step.expect!r} is not in what it printed, after {tries} tries"
        raise BootError("not as expected", step.name, second, detail, lines)


def demand_guest(machine: MachineTable, booted: Booted) -> None:
    """Raise `BootError` unless the guest is the machine that it must be."""
    problems = []
    if booted.uname != machine.uname:
        problems.append(f"uname says {booted.uname}, not {machine.uname}")
    if lacking := set(machine.features) - booted.features:
        problems.append(f"its CPU lacks {', '.join(sorted(lacking))}")
    if newer := set(machine.lacks_features) & booted.features:
        problems.append(f"its CPU has {', '.join(sorted(newer))}, which the board's has not")
    if booted.missing:
        problems.append(f"modules did not load: {', '.join(booted.missing)}")
    if problems:
        raise BootError("wrong guest", "boot", booted.state.uptime, "; ".join(problems), [])


def measured(answer: Answer) -> dict[str, object]:
    """What a step's answer adds to the verdict: guest seconds, MiB."""
    state: State = answer.state
    return {
        "guest_seconds": round(state.uptime - answer.begin, 1),
        "at": state.uptime,
        "available_mib": state.available,
        "rss_mib": state.rss,
        "tries": answer.tries,
        "output": answer.output[-500:],
    }


def _append_logs(files: Files, place: Place, log: Path) -> None:
    """K3s's own log, read out of the disk that it wrote, and those of the host's programs."""
    command = f"dump {GUEST_LOG} {place.folder / 'guest-k3s.log'}"
    run(["debugfs", "-R", command, str(files.disk)], log=place.folder / "debugfs.log")
    with log.open("ab") as out:
        for part in place.logs():
            out.write(f"\n== {part.name}\n".encode() + part.read_bytes())
