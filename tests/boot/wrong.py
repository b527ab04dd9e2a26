"""Executables with one wrong part, made by the project's own means: for controls that must fail."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from buildsys.app import App, BuildResult, Settings, built_of, raise_failures
from buildsys.build import Built
from buildsys.bundle import Bundler
from buildsys.load import Project
from buildsys.model.target import ElfTable
from buildsys.plan import Plan
from buildsys.sandbox import can_isolate
from buildsys.scheduler import Outcome
from buildsys.store import Artifact


def without_bounds(project: Project, name: str) -> Project:
    """The project, in which code for any CPU is right for the target."""
    target = project.targets[name]
    elf = ElfTable(machine=target.elf.machine, bits=target.elf.bits)
    free = target.model_copy(update={"elf": elf})
    return dataclasses.replace(project, targets={**project.targets, name: free})


def without_patch(project: Project, recipe: str, word: str) -> Project:
    """The project without the patch of `recipe` whose file is named so."""
    loaded = project.recipes[recipe]
    left = tuple(patch for patch in loaded.recipe.patch if word not in patch.file)
    assert len(left) == len(loaded.recipe.patch) - 1
    changed = dataclasses.replace(loaded, recipe=loaded.recipe.model_copy(update={"patch": left}))
    return dataclasses.replace(project, recipes={**project.recipes, recipe: changed})


def app_of(project: Project) -> App:
    """An app that knows another project than the checkout's."""
    app = App(Settings())
    app.project = project
    return app


def artifact_of(app: App, recipe: str, target: str) -> Artifact:
    """The artifact, built if need be."""
    return _built(app, app.plan([target], [recipe]))[recipe]


def executable_with(app: App, target: str, wrong: Mapping[str, Artifact], artifacts: Path) -> Path:
    """The target's executable in the folder `artifacts`, but with these artifacts in it.

    The bundler would refuse an image for another CPU, so it is told of no bounds.
    """
    plan = app.plan([target])
    bundler = Bundler(
        without_bounds(app.project, target),
        app.cache,
        app.timeline,
        artifacts,
        app.toolchain.go_version,
    )
    return bundler.make(plan.bundles[0], {**_built(app, plan), **wrong}).path


def _built(app: App, plan: Plan) -> dict[str, Artifact]:
    """Every artifact of the plan by its recipe; nothing is bundled."""
    outcomes: dict[str, Outcome[Built]] = built_of(
        app.builder(can_isolate()).build(plan, app.fetch(plan)), plan
    )
    raise_failures(BuildResult(plan, outcomes, ()))
    return {
        job.recipe: outcome.result.artifact
        for job in plan.jobs
        if (outcome := outcomes[job.id]).result
    }
