"""The verbs matrix and ci: what they do, print and tell the runner."""

from __future__ import annotations

from collections.abc import Sequence

from buildsys import show
from buildsys.actions import runner
from buildsys.app import App
from buildsys.ci import pipeline
from buildsys.ci.matrix import outputs
from buildsys.ci.steps import Step


def matrix(app: App, names: Sequence[str], *, release: bool, as_json: bool) -> None:
    """Print the jobs that are due, and set them as outputs of a workflow's step."""
    due = pipeline.jobs_due(app, names, release=release)
    show.matrix(due, app.targets(names), as_json=as_json)
    for name, value in outputs(app.plan(()), due).items():
        runner().output(name, value)


def ci(app: App, chosen: Sequence[Step], *, listed: bool, as_json: bool) -> None:
    """Run the `chosen` steps and print how they ended; or only list them.

    Raises `StepsFailedError` after all had their turn.
    """
    if listed:
        show.ci_steps(chosen, as_json=as_json)
        return
    done = pipeline.run(app, chosen, runner())
    show.ci(done, as_json=as_json)
    pipeline.raise_failed(done)
