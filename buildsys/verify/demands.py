"""What a booted board must be, and what a step's output must be. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from buildsys.errors import BootError
from buildsys.machine.console import Booted, Trouble
from buildsys.model import MachineTable, Step


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
