"""A scenario under way: each step done on the board, its power or the host, and written down."""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from buildsys.errors import BootError
from buildsys.machine.board import renew_disk
from buildsys.machine.console import Answer, State
from buildsys.machine.driver import Running, switch_on
from buildsys.machine.place import Place
from buildsys.machine.qemu import Files, command_line, kernel_line
from buildsys.model import MachineTable, ScenarioTable, Step
from buildsys.report import Progress
from buildsys.verify.demands import demand, demand_guest
from buildsys.verify.verdict import Verdict


@dataclass
class Walk:
    """One scenario under way."""

    machine: MachineTable
    progress: Progress
    scenario: ScenarioTable
    verdict: Verdict
    files: Files
    place: Place
    running: Running | None = None
    boots: list[Running] = field(default_factory=list)
    acked: int = 0
    more: Callable[[str], None] = lambda _: None

    @property
    def name(self) -> str:
        """The executable and the scenario, as lines of progress have them."""
        return f"{self.verdict.subject.name}: {self.scenario.name}"

    def told(self, state: State) -> None:
        """Let the bar say how the guest fares."""
        self.more(f"guest second {state.uptime:.0f}, {state.available:.0f} MiB available, wall")

    def all(self) -> None:
        """Take every step until one fails; the verdict then holds what was seen."""
        begin = time.monotonic()
        for step in self.scenario.steps(self.machine.rounds):
            with (
                self.progress.watched(f"boot     {self.name}: {step.name}") as self.more,
                self.verdict.step(step.name) as record,
            ):
                record.facts = self._do(step)
            self._report(record.passed)
            if not record.passed:
                break
        if self.verdict.passed:
            with self.verdict.step("no process was killed for want of memory") as record:
                record.facts = self._memory()
        self.verdict.facts = {
            "machine": self.machine.machine,
            "kernel": self.machine.kernel.label,
            "wall_seconds": round(time.monotonic() - begin, 1),
            "boots": [[asdict(state) for state in one.beats] for one in self.boots],
        }

    def end(self) -> None:
        """Leave nothing running."""
        if self.running:
            self.running.end()
        self.place.end()

    def _report(self, passed: bool) -> None:
        step = self.verdict.steps[-1]
        facts = ", ".join(f"{key} {value}" for key, value in step.facts.items() if key != "output")
        state = "passed" if passed else "FAILED"
        line = f"boot     {self.name}: {step.name}: {state}  {step.seconds:.1f} s  {facts}"
        self.progress.line(line, style="" if passed else "red")

    def _do(self, step: Step) -> dict[str, object]:
        within = round(step.within * self.machine.patience)
        if step.on == "host":
            return self._host(step, within)
        if step.power == "new":
            renew_disk(self.files)
            return {}
        if step.power == "boot":
            return self._boot(within)
        if self.running is None:
            raise BootError("no machine is on", step.name, 0, "the scenario is wrong", [])
        if step.wait:
            part = random.Random(f"{self.scenario.name} {step.name}").random()  # noqa: S311
            self.running.wait(step.name, step.wait * self.machine.patience * part)
            return {"at": self.running.uptime}
        if step.power:
            if step.power == "cut":
                self.running.cut()
            else:
                self.running.off(within)
            self.acked = max(self.acked, self.running.acked)
            return {"guest_seconds": self.running.uptime, "acked": self.acked}
        command = step.run.replace("{acked}", str(self.acked))
        answer = self.running.step(step.name, command, step.expect, within, step.every)
        code, output, tries = answer.code, answer.output, answer.tries
        demand(step, code, output, tries, answer.state.uptime, self.running.troubles)
        return measured(answer)

    def _host(self, step: Step, within: int) -> dict[str, object]:
        """Run a host step's command until it does what is hoped for."""
        until, tries = time.monotonic() + within, 0

        def meanwhile(seconds: float) -> None:
            if self.running:
                self.running.listen(step.name, seconds)
            else:
                time.sleep(seconds)

        while True:
            tries += 1
            code, output = self.place.call(step.run, max(1, until - time.monotonic()), meanwhile)
            hoped = not code and re.search(step.expect, output, re.MULTILINE)
            if hoped or not step.every or time.monotonic() + step.every > until:
                break
            meanwhile(step.every)
        second = self.running.uptime if self.running else 0.0
        demand(step, code, output, tries, second)
        return {"at": second, "tries": tries, "output": output[-500:]}

    def _boot(self, within: int) -> dict[str, object]:
        machine = self.machine
        nonce = uuid.uuid4().hex
        argv = command_line(
            machine,
            self.files,
            self.verdict.log.absolute(),
            kernel_line(machine, nonce, int(time.time())),
            network=self.scenario.network,
            steady=self.scenario.steady,
        )
        log = self.place.folder / "emulator.log"
        self.running = switch_on(self.place.wrap(argv), self.files, nonce, log, machine.timer)
        self.running.told = self.told
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
