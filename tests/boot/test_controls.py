"""Executables with one wrong part boot, and fail by the name of what is wrong with them.

Each boots what `invoke smoke --arch armv6 --scenario parts` boots; with the right parts it passes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from buildsys.app import App, Settings
from buildsys.store import Artifact
from buildsys.verify.verbs import booter_of
from buildsys.verify.verdict import Verdict

from .wrong import app_of, artifact_of, executable_with, without_bounds, without_patch

pytestmark = [pytest.mark.boot, pytest.mark.slow]

TARGET = "armv6"

NEWER = "armv7"
"""Whose code must die there."""


@pytest.fixture(scope="module")
def app() -> App:
    return App(Settings())


Parts = Callable[..., Verdict]


@pytest.fixture
def parts(app: App, tmp_path: Path) -> Parts:
    """Boots the target's executable with these parts in place of its own; the verdict."""

    def run(**wrong: Artifact) -> Verdict:
        executable = executable_with(app, TARGET, wrong, tmp_path / "artifacts")
        booter = booter_of(app, app.project.targets[TARGET])
        verdict = booter.boot(executable, app.project.scenarios["parts"])
        verdict.write(executable.parent / "verdicts")
        return verdict

    return run


def failed(verdict: Verdict) -> tuple[str, str]:
    """The step that failed, and by what name."""
    (step,) = verdict.failures
    kind, _, _ = step.detail.partition(" at guest second ")
    return step.name, kind


def test_with_the_right_parts_it_passes(parts: Parts) -> None:
    verdict = parts()
    assert verdict.passed, verdict.failures


def test_control_a_newer_pause(app: App, parts: Parts) -> None:
    verdict = parts(pause=artifact_of(app, "pause", NEWER))
    assert failed(verdict) == ("pause holds a container", "illegal instruction")


def test_control_no_cpuset_patch(app: App, parts: Parts) -> None:
    """Compiles what depends on one package, and links: minutes."""
    unpatched = app_of(without_patch(app.project, "k3s", "cpuset"))
    verdict = parts(k3s=artifact_of(unpatched, "k3s", TARGET))
    assert failed(verdict) == ("all that it lacks is a server", "cgroup controller missing")


def test_control_a_newer_k3s(app: App, parts: Parts) -> None:
    """Compiles the whole of k3s where that target was not built yet."""
    free = app_of(without_bounds(app.project, NEWER))
    verdict = parts(k3s=artifact_of(free, "k3s", NEWER))
    assert failed(verdict) == ("the program runs", "illegal instruction")
