"""Every target's compilers, bounds, emulator and control, by two components that cost little.

Slow where nothing of a target is compiled yet: its C library comes first, for three CPUs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from buildsys.app import App, Settings, raise_failures
from buildsys.load import load_project
from buildsys.store import Store
from buildsys.verify.audit import Auditor
from buildsys.verify.verdict import Verdict

pytestmark = [pytest.mark.integration, pytest.mark.slow]

COMPONENTS = ("busybox", "pause")


@pytest.mark.parametrize("name", load_project(Path(__file__).parents[3]).targets)
def test_own_code_runs_and_newer_code_dies(name: str, tmp_path: Path) -> None:
    app = App(Settings())
    target = app.project.targets[name]
    plan = app.plan([name], COMPONENTS)
    raise_failures(app.build(plan))
    auditor = Auditor(
        app.project, target, app.cache, app.toolchain, app.emulator(target), beside={}
    )
    log = tmp_path / "log"
    log.touch()
    verdict = Verdict("audit", name, tmp_path, log, sha256="of nothing")
    auditor._controls(verdict, tmp_path, log)
    for job in plan.jobs:
        artifact = Store(app.cache).get(job.key)
        assert artifact
        assert artifact.checks["linked_objects"] > 0
        with verdict.step(f"run {job.recipe}"):
            auditor._test(job.loaded.recipe, artifact.folder / "files", log)
    assert verdict.passed, verdict.failures
    assert len(verdict.steps) == 2 + len(COMPONENTS)
