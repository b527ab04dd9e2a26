"""The command that runs this project's tests: which of them, in how many processes. Pure."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from buildsys.model import Target

TARGETS = "K3S_TEST_IMAGE_TARGETS"
"""Environment variable: the targets, with blanks between them, whose images are tested."""


@dataclass(frozen=True)
class Run:
    """A command line for a shell, and what its environment has beside ours."""

    line: str
    environment: Mapping[str, str] = field(default_factory=dict)


def command(
    targets: Callable[[Sequence[str]], Sequence[Target]],
    *,
    unit: bool = False,
    everything: bool = False,
    built: str = "",
) -> Run:
    """The tests that a newcomer waits for, or those that the options name.

    `targets` finds targets by name. Raises `UnknownNameError` for a target that is not there.
    """
    words = [sys.executable, "-m", "pytest"]
    if unit:
        return _run([*words, "tests/unit"])
    # Of one file at a time: its tests share what is slow to set up.
    words += ["-n", str(len(os.sched_getaffinity(0))), "--dist", "loadfile"]
    if built:
        (target,) = targets([built])
        return _run([*words, "-m", "built", "tests"], {TARGETS: target.name})
    return _run([*words, *(["-m", ""] if everything else []), "tests"])


def _run(words: Sequence[str], environment: Mapping[str, str] | None = None) -> Run:
    return Run(shlex.join(words), environment or {})
