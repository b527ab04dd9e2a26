"""What a booted board must be, and what a step's output must be. Pure."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

from buildsys.errors import BootError
from buildsys.machine.console import Booted, Trouble, trouble_in
from buildsys.model import MachineTable, Step

ILLEGAL = 128 + signal.SIGILL
"""A shell's, and a container's, exit code for a program that an illegal instruction ended."""


def demand(
    step: Step,
    code: int,
    output: str,
    tries: int,
    second: float,
    troubles: Sequence[Trouble] = (),
) -> None:
    """Raise `BootError` unless a step's output is what it hopes for, whatever its exit code.

    Where what it printed, or its code, has a name of ours, the failure has it. What the kernel said
    may be about something else, so it is only told.
    """
    lines = output.splitlines()[-15:]
    if code:
        ended = "its time ran out" if code in (124, 137, 143) else f"code {code}"
        cause = _cause(code, output)
        said = "".join(f"; {trouble.line}" for trouble in (*troubles[-1:], *cause))
        kind = cause[0].kind if cause else "the command failed"
        raise BootError(kind, step.name, second, f"{ended} after {tries} tries{said}", lines)
    if not re.search(step.expect, output, re.MULTILINE):
        detail = f"{step.expect!r} is not in what it printed, after {tries} tries"
        raise BootError("not as expected", step.name, second, detail, lines)


def _cause(code: int, output: str) -> list[Trouble]:
    """Why a command failed, by what it printed last or else by its code; at most one."""
    printed = [found for line in output.splitlines() if (found := trouble_in(line))]
    ended = [Trouble("illegal instruction", "SIGILL ended it")] if code == ILLEGAL else []
    return printed[-1:] or ended


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
