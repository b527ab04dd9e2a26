"""The plan: what will be built, in what order, under which keys. Pure: no tool, no disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from buildsys.errors import UnknownNameError
from buildsys.load import LoadedRecipe, Project
from buildsys.model import Recipe, Target

PLAN_VERSION = 1
"""Part of every key: raised when the meaning of a key changes."""

STYLE_VERSIONS: Mapping[str, int] = {
    "go": 1,
    "autotools": 1,
    "kconfig": 1,
    "make": 1,
    "c": 1,
    "copy": 1,
}
"""Raised when a style would make other bytes from the same recipe."""


@dataclass(frozen=True)
class Job:
    """One recipe for one target. `key` names its artifact in the store."""

    recipe: str
    target: str
    key: str
    needs: tuple[str, ...]
    loaded: LoadedRecipe

    @property
    def id(self) -> str:
        """Name for people and logs: recipe and target."""
        return f"{self.recipe}-{self.target}"


@dataclass(frozen=True)
class BundlePlan:
    """The executable of one target: which jobs' artifacts it is made of."""

    target: str
    key: str
    launcher: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Jobs in an order in which each follows what it needs, and the executables to make."""

    jobs: tuple[Job, ...]
    bundles: tuple[BundlePlan, ...]

    def as_json(self) -> dict[str, Any]:
        """The plan as plain data, for `--json`."""
        return {
            "jobs": [
                {"recipe": j.recipe, "target": j.target, "key": j.key, "needs": list(j.needs)}
                for j in self.jobs
            ],
            "bundles": [
                {"target": b.target, "key": b.key, "members": [*b.members, b.launcher]}
                for b in self.bundles
            ],
        }


def make_plan(
    project: Project,
    targets: Iterable[str],
    toolchain: Mapping[str, str],
    only: Iterable[str] = (),
) -> Plan:
    """Plan the build of `targets`; `only` restricts it to some recipes and what they need.

    `toolchain` maps each tool to its version. Raises `UnknownNameError`. With `only`, or where no
    recipe is a launcher, no executable is planned.
    """
    chosen = tuple(only)
    for name in chosen:
        if name not in project.recipes:
            raise UnknownNameError("component", name, project.recipes)
    jobs: list[Job] = []
    bundles: list[BundlePlan] = []
    for target_name in dict.fromkeys(targets):
        if target_name not in project.targets:
            raise UnknownNameError("arch", target_name, project.targets)
        target = project.targets[target_name]
        of_target = _jobs(project, target, toolchain, chosen or tuple(project.recipes))
        jobs += of_target
        if not chosen and any(job.loaded.recipe.output.into == "launcher" for job in of_target):
            bundles.append(_bundle(target, of_target))
    return Plan(tuple(jobs), tuple(bundles))


def digest(value: object) -> str:
    """Sha256 of the canonical JSON of `value`, in hex."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _jobs(
    project: Project, target: Target, toolchain: Mapping[str, str], names: tuple[str, ...]
) -> list[Job]:
    wanted: dict[str, tuple[str, ...]] = {}
    queue = list(names)
    while queue:
        name = queue.pop()
        if name not in wanted:
            wanted[name] = project.recipes[name].recipe.needs
            queue += wanted[name]
    ordered = TopologicalSorter({name: wanted[name] for name in sorted(wanted)}).static_order()
    made: dict[str, Job] = {}
    for name in ordered:
        loaded = project.recipes[name]
        needs = {need: made[need].key for need in loaded.recipe.needs}
        key = _key(loaded, target, toolchain, needs)
        made[name] = Job(name, target.name, key, loaded.recipe.needs, loaded)
    return list(made.values())


def _key(
    loaded: LoadedRecipe, target: Target, toolchain: Mapping[str, str], needs: Mapping[str, str]
) -> str:
    recipe = loaded.recipe
    patches = {f"patches/{patch.file}" for patch in recipe.patches_for(target.name)}
    inputs = {
        name: sha
        for name, sha in loaded.inputs.items()
        if name in patches or not name.startswith("patches/")
    }
    return digest(
        {
            "plan": PLAN_VERSION,
            "recipe": building_part(recipe),
            "patches": [patch.file for patch in recipe.patches_for(target.name)],
            "inputs": inputs,
            "target": {
                "go": target.go,
                "c": c_flags(recipe, target),
                "elf": target.elf.model_dump(mode="json"),
            },
            "toolchain": dict(toolchain),
            "style": STYLE_VERSIONS[recipe.style],
            "needs": dict(needs),
        }
    )


def c_flags(recipe: Recipe, target: Target) -> dict[str, str]:
    """The target's triple and CPU for this recipe.

    A launcher may be made for an older CPU than its target, so that it lives to say so.
    """
    mcpu = target.c.mcpu
    if recipe.output.into == "launcher" and target.executable.launcher_mcpu:
        mcpu = target.executable.launcher_mcpu
    return {"triple": target.c.triple, "mcpu": mcpu}


def building_part(recipe: Recipe) -> dict[str, Any]:
    """What of a recipe can change the built bytes: not its texts, tests or budgets."""
    part = recipe.model_dump(mode="json", exclude={"summary", "license", "test", "patch"})
    part["output"].pop("budget_mib")
    part.pop("memory_mib")
    return part


def _bundle(target: Target, jobs: list[Job]) -> BundlePlan:
    by_place: dict[str, list[Job]] = {"executable": [], "launcher": [], "build": []}
    for job in jobs:
        by_place[job.loaded.recipe.output.into].append(job)
    launcher = by_place["launcher"][0].recipe
    members = tuple(sorted(job.recipe for job in by_place["executable"]))
    keys = {job.recipe: job.key for job in jobs}
    key = digest(
        {
            "plan": PLAN_VERSION,
            "target": target.name,
            "executable": target.executable.model_dump(mode="json"),
            "members": {name: keys[name] for name in members},
            "launcher": keys[launcher],
        }
    )
    return BundlePlan(target.name, key, launcher, members)
