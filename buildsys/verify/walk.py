"""A scenario under way: each step done on a board, its power or the host, and written down."""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import PurePath

from buildsys.errors import BootError
from buildsys.machine.board import renew_disk
from buildsys.machine.console import Answer, State
from buildsys.machine.driver import Running, switch_on
from buildsys.machine.place import Place
from buildsys.machine.qemu import Files, Plug, command_line, kernel_line
from buildsys.model import HOST, MachineTable, ScenarioTable, Step
from buildsys.report import Progress
from buildsys.verify.demands import demand, demand_guest
from buildsys.verify.verdict import Verdict

_APART = frozenset({"output", "board"})
"""Facts of a step that its line of progress has elsewhere or not at all."""


@dataclass
class Walk:
    """One scenario under way. `files` are each board's, `on` the boards that are on."""

    machine: MachineTable
    progress: Progress
    scenario: ScenarioTable
    verdict: Verdict
    files: Mapping[str, Files]
    place: Place
    on: dict[str, Running] = field(default_factory=dict)
    boots: list[Running] = field(default_factory=list)
    acked: int = 0
    more: Callable[[str], None] = lambda _: None

    @property
    def name(self) -> str:
        """The executable and the scenario, as lines of progress have them."""
        return f"{self.verdict.subject.name}: {self.scenario.name}"

    @property
    def alone(self) -> bool:
        """Whether there is one board, which need not be named then."""
        return len(self.scenario.boards) == 1

    def told(self, board: str, state: State) -> None:
        """Let the bar say how a guest fares."""
        of = "" if self.alone else f"{board}: "
        fares = f"guest second {state.uptime:.0f}, {state.available:.0f} MiB available, wall"
        self.more(f"{of}{fares}")

    def all(self) -> None:
        """Take every step until one fails; the verdict then holds what was seen."""
        begin = time.monotonic()
        for step in self.scenario.steps(self.machine.rounds):
            with (
                self.progress.watched(f"boot     {self.name}: {step.name}") as self.more,
                self.verdict.step(step.name) as record,
            ):
                record.facts = self._whose(step)
                record.facts |= self._do(step)
            self._report(record.passed)
            if not record.passed:
                break
        if self.verdict.passed:
            with self.verdict.step("no process was killed for want of memory") as record:
                record.facts = self._memory()
        self.verdict.facts |= {
            "machine": self.machine.machine,
            "kernel": self.machine.kernel.label,
            "wall_seconds": round(time.monotonic() - begin, 1),
            "boots": [[asdict(state) for state in one.beats] for one in self.boots],
            **({} if self.alone else {"boards": [one.name for one in self.boots]}),
        }

    def end(self) -> None:
        """Leave nothing running."""
        for running in self.on.values():
            running.end()
        self.place.end()

    def _report(self, passed: bool) -> None:
        step = self.verdict.steps[-1]
        facts = ", ".join(f"{key} {step.facts[key]}" for key in step.facts if key not in _APART)
        state = "passed" if passed else "FAILED"
        of = f"{step.facts['board']}: " if "board" in step.facts else ""
        line = f"boot     {self.name}: {of}{step.name}: {state}  {step.seconds:.1f} s  {facts}"
        self.progress.line(line, style="" if passed else "red")

    def _do(self, step: Step) -> dict[str, object]:
        within = round(step.within * self.machine.patience)
        if step.on == HOST:
            return self._host(step, within)
        return self._power(step, within) if step.power else self._guest(step, within)

    def _whose(self, step: Step) -> dict[str, object]:
        """The board whose seconds a step's are, where there are more than one."""
        board = next(iter(self.on), None) if step.on == HOST else step.on
        return {} if self.alone or board is None else {"board": board}

    def _power(self, step: Step, within: int) -> dict[str, object]:
        if step.power == "new":
            renew_disk(self.files[step.on])
            return {}
        if step.power == "boot":
            return self._boot(step.on, within)
        running = self._running(step)
        if step.power == "cut":
            running.cut()
        else:
            running.off(within)
        del self.on[step.on]
        self.acked = max(self.acked, running.acked)
        return {"guest_seconds": running.uptime, "acked": self.acked}

    def _guest(self, step: Step, within: int) -> dict[str, object]:
        """Have the guest run a step's command, or let its time pass."""
        running = self._running(step)
        if step.wait:
            part = random.Random(f"{self.scenario.name} {step.name}").random()  # noqa: S311
            running.wait(step.name, step.wait * self.machine.patience * part)
            return {"at": running.uptime}
        command = step.run.replace("{acked}", str(self.acked))
        answer = running.step(step.name, command, step.expect, within, step.every)
        code, output, tries = answer.code, answer.output, answer.tries
        demand(step, code, output, tries, answer.state.uptime, running.troubles)
        return measured(answer)

    def _running(self, step: Step) -> Running:
        if step.on not in self.on:
            raise BootError(f"no {step.on} is on", step.name, 0, "the scenario is wrong", [])
        return self.on[step.on]

    def _host(self, step: Step, within: int) -> dict[str, object]:
        """Run a host step's command until it does what is hoped for."""
        until, tries = time.monotonic() + within, 0
        running = next(iter(self.on.values()), None)

        def meanwhile(seconds: float) -> None:
            if running:
                running.listen(step.name, seconds)  # all others are heard as well
            else:
                time.sleep(seconds)

        while True:
            tries += 1
            code, output = self.place.call(step.run, max(1, until - time.monotonic()), meanwhile)
            hoped = not code and re.search(step.expect, output, re.MULTILINE)
            if hoped or not step.every or time.monotonic() + step.every > until:
                break
            meanwhile(step.every)
        second = running.uptime if running else 0.0
        demand(step, code, output, tries, second)
        return {"at": second, "tries": tries, "output": output[-500:]}

    def _boot(self, board: str, within: int) -> dict[str, object]:
        machine, files = self.machine, self.files[board]
        nonce = uuid.uuid4().hex
        argv = command_line(
            machine,
            files,
            self._log(board),
            kernel_line(machine, board, nonce, int(time.time())),
            network=plugs(self.scenario).get(board, self.scenario.network),
            steady=self.scenario.steady,
        )
        errors = self.place.folder / "emulator.log"
        running = switch_on(self.place.wrap(argv), files, nonce, errors, machine.timer, board)
        running.told = partial(self.told, board)
        running.company = self.on.values()
        self.on[board] = running
        self.boots.append(running)
        booted = running.boot(within)
        demand_guest(machine, booted)
        return {
            "guest_seconds": booted.state.uptime,
            "available_mib": booted.state.available,
            "uname": booted.uname,
            "release": booted.release,
        }

    def _log(self, board: str) -> PurePath:
        """Where a board's console goes: of the first to the verdict's log, to which others come."""
        first = board == self.scenario.boards[0]
        return self.verdict.log.absolute() if first else self.files[board].folder / "console.log"

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


def plugs(scenario: ScenarioTable) -> dict[str, Plug]:
    """Each board's end of the wire; none where there is no wire."""
    boards = scenario.boards if scenario.wired else ()
    return {board: Plug(number) for number, board in enumerate(boards, 1)}


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
