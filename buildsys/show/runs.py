"""What a CI runs, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from buildsys.ci.matrix import TargetJob
from buildsys.ci.matrix import as_json as matrix_json
from buildsys.ci.steps import Ran, Step
from buildsys.model import Target
from buildsys.report import print_table
from buildsys.show.common import print_json


def matrix(jobs: Sequence[TargetJob], targets: Sequence[Target], *, as_json: bool) -> None:
    """The jobs of a CI run, and the targets that need none."""
    if as_json:
        print_json(matrix_json(jobs))
        return
    known = {job.target: job for job in jobs}
    print_table(
        "",
        ("target", "job", "minutes at most", "builds"),
        [
            (target.name, "yes", str(job.minutes), _few(job.build))
            if (job := known.get(target.name))
            else (target.name, "proven already", "-", "-")
            for target in targets
        ],
    )


NAMED = 5
"""How many components a line of the matrix names; JSON has them all."""


def _few(names: Sequence[str]) -> str:
    rest = len(names) - NAMED
    return ", ".join([*names[:NAMED], *([f"{rest} more"] if rest > 0 else [])]) or "nothing"


def ci(done: Sequence[Ran], *, as_json: bool) -> None:
    """How each step ended."""
    if as_json:
        print_json([{"step": r.step.name, "result": r.result, "seconds": r.seconds} for r in done])
        return
    rows = [(r.step.name, r.result, f"{r.seconds:.1f}") for r in done]
    print_table("", ("step", "result", "seconds"), rows)


def ci_steps(chosen: Sequence[Step], *, as_json: bool) -> None:
    """What `invoke ci` would run."""
    if as_json:
        print_json([asdict(step) for step in chosen])
    else:
        print("\n".join(f"{step.name:<21}{step.group:<7}{step.typed}" for step in chosen))
