"""Runs the steps of `invoke ci`; what a target passed is remembered."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from buildsys.actions import SWITCH, Actions
from buildsys.app import App, raise_failures
from buildsys.ci import proven
from buildsys.ci.matrix import Proven, TargetJob, closure, proof_key, target_jobs
from buildsys.ci.steps import LEFT_OUT, PASSED, Ran, Step, of_target
from buildsys.errors import BuildsysError, StepsFailedError
from buildsys.run import cause_of, shown
from buildsys.verify.verbs import native_target

MODULES = ("invoke", "ruff", "mypy")
"""Programs that are modules of this Python."""

MATCHERS = ".github/matcher.json"
"""By these GitHub's runner annotates the lines of linters and compilers that name a file."""

LINTER = "actionlint"
"""The recipe, and its program."""


def jobs_due(app: App, names: Sequence[str], *, release: bool) -> tuple[TargetJob, ...]:
    """The matrix: a job for each target that is not proven; for a release, for all that it has."""
    chosen = {target.name for target in app.targets(names) if target.release or not release}
    return target_jobs(
        app.project,
        app.plan(()),
        chosen,
        proven.code_digest(app.root / "buildsys"),
        proven.read(app.artifacts),
        frozenset(app.store.keys()),
        everything=release,
    )


def run(app: App, steps: Iterable[Step], actions: Actions) -> list[Ran]:
    """Run all steps; one that fails keeps only those about the same target from running.

    A target whose every verdict passed in this run is remembered.
    """
    done: list[Ran] = []
    actions.match(app.root / MATCHERS)
    for step in steps:
        failed = {ran.step.target for ran in done if not ran.passed} - {""}
        if step.target:
            proven.forget(app.artifacts, step.target)
        if step.target in failed:
            done.append(Ran(step, LEFT_OUT, 0.0))
            continue
        begin = time.monotonic()
        with actions.folded(f"{step.name}: {step.typed}"):
            app.progress.line(f"== {step.name}: {step.typed}")
            result = _result(app, step)
        done.append(Ran(step, result, round(time.monotonic() - begin, 1)))
        if not done[-1].passed:
            app.progress.line(f"FAILED   {step.name}: {result}", style="red")
    for target in dict.fromkeys(ran.step.target for ran in done if ran.step.group == "prove"):
        if all(ran.passed for ran in done if ran.step.target == target):
            _remember(app, target, {ran.step.name for ran in done})
    return done


def raise_failed(done: Iterable[Ran]) -> None:
    """Raise `StepsFailedError` where a step did not pass."""
    if failed := [(ran.step.name, ran.step.typed) for ran in done if not ran.passed]:
        raise StepsFailedError(failed)


def _result(app: App, step: Step) -> str:
    try:
        status = shown(
            [*_program(app, step), *_files(app.root, step)], _environment(step), app.root
        )
    except BuildsysError as error:
        app.progress.failed(step.name, error)
        return f"exit code {error.exit_code}"
    return cause_of(status) if status else PASSED


def _program(app: App, step: Step) -> list[str]:
    program, *arguments = step.argv
    if program == LINTER:
        return [str(linter(app)), *arguments]
    if program in MODULES:
        return [sys.executable, "-m", program, *arguments]
    return [program, *arguments]


def _files(root: Path, step: Step) -> Iterator[str]:
    for pattern in step.files:
        yield from sorted(str(path.relative_to(root)) for path in root.glob(pattern))


def _environment(step: Step) -> Mapping[str, str]:
    hidden = {SWITCH} if step.tests else set()
    return {name: value for name, value in os.environ.items() if name not in hidden}


def linter(app: App) -> Path:
    """The linter of workflows, built for this host where the store does not have it."""
    plan = app.plan([native_target(app.project.targets)], [LINTER])
    raise_failures(app.build(plan))
    found = app.store.get(plan.jobs[-1].key)
    assert found is not None
    return found.path(f"bin/{LINTER}")


def _remember(app: App, target: str, names: Collection[str]) -> None:
    """Write down that a target passed, if all its verdicts are about what the plan makes."""
    wanted = {step.name for step in of_target(app.project.targets[target]) if step.group == "prove"}
    bundle = app.plan([target]).bundles[0]
    if wanted <= set(names) and app.bundler().current(bundle):
        code = proven.code_digest(app.root / "buildsys")
        proof = proof_key(bundle, app.project.targets[target], code)
        jobs = tuple(job.key for job in closure(bundle))
        proven.remember(app.artifacts, Proven(target, proof, jobs))
