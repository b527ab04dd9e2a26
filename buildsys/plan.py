"""The plan: what will be built, in what order, under which keys. Pure: no tool, no disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from types import MappingProxyType
from typing import Any

from buildsys.errors import LackingError, UnknownNameError
from buildsys.load import LoadedRecipe, Project
from buildsys.model import FULL, Profile, Recipe, Target, bundle_suffix
from buildsys.model.recipe import Patch
from buildsys.model.target import ElfTable

ANY = "any"
"""In place of a target's name where an artifact is the same for all."""

PLAN_VERSION = 1
"""Part of every key: raised when the meaning of a key changes."""

BUNDLE_VERSION = 3
"""Part of every bundle's key: raised when the same artifacts are put together differently."""

STYLE_VERSIONS: Mapping[str, int] = {
    "go": 2,
    "autotools": 1,
    "kconfig": 1,
    "make": 1,
    "c": 1,
    "certdata": 1,
    "copy": 1,
    "yarn": 1,
    "meson": 1,
}
"""Raised when a style would make other bytes from the same recipe."""


@dataclass(frozen=True)
class Job:
    """One recipe for one target, or for all. `key` names its artifact in the store."""

    recipe: str
    target: str
    key: str
    needs: tuple[Job, ...]
    loaded: LoadedRecipe

    @property
    def id(self) -> str:
        """Name for people and logs: recipe and target."""
        return f"{self.recipe}-{self.target}"


@dataclass(frozen=True)
class BundlePlan:
    """What one target's users get in one profile: the executable and the airgap images.

    `members` go into the executable, as do `embedded`, a part of `images`, as image archives.
    `images` are in the order of the airgap file. `without` are k3s's names of what is left out.
    A `draft` is compressed quickly, and never released.
    """

    target: str
    profile: str
    key: str
    launcher: Job
    members: tuple[Job, ...]
    images: tuple[Job, ...]
    embedded: tuple[Job, ...]
    without: tuple[str, ...]
    draft: bool = False

    @property
    def suffix(self) -> str:
        """What the files' names end in."""
        return bundle_suffix(self.target, self.profile)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All jobs whose artifacts it is made of."""
        return (*self.pressed, self.launcher)

    @property
    def pressed(self) -> tuple[Job, ...]:
        """Those whose files are compressed."""
        return (*self.members, *self.images)


@dataclass(frozen=True)
class Plan:
    """Jobs in an order in which each follows what it needs, and the bundles to make."""

    jobs: tuple[Job, ...]
    bundles: tuple[BundlePlan, ...]

    def as_json(self) -> dict[str, Any]:
        """The plan as plain data, for `--json`."""
        return {
            "jobs": [
                {
                    "recipe": j.recipe,
                    "target": j.target,
                    "key": j.key,
                    "needs": [need.recipe for need in j.needs],
                }
                for j in self.jobs
            ],
            "bundles": [
                {
                    "target": b.target,
                    "profile": b.profile,
                    "draft": b.draft,
                    "key": b.key,
                    "members": [job.recipe for job in (*b.members, b.launcher)],
                    "images": [job.recipe for job in b.images],
                    "embedded": [job.recipe for job in b.embedded],
                    "without": list(b.without),
                }
                for b in self.bundles
            ],
        }


def make_plan(
    project: Project,
    targets: Iterable[str],
    toolchain: Mapping[str, str],
    only: Iterable[str] = (),
    profile: str = FULL,
    style_tools: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    *,
    draft: bool = False,
) -> Plan:
    """Plan the build of `targets`; `only` restricts it to some recipes and what they need.

    `toolchain` maps each tool to its version, `style_tools` those of single styles. Raises
    `UnknownNameError`, or `LackingError` where a target cannot have what `only` names. With `only`,
    or where no recipe is a launcher, no bundle is planned.
    """
    chosen = tuple(only)
    for name in chosen:
        if name in project.missing:
            missing = project.missing[name]
            raise LackingError(name, "this project", missing.why, missing.instead)
        if name not in project.recipes:
            raise UnknownNameError("component", name, project.recipes.keys())
    if profile not in project.profiles:
        raise UnknownNameError("profile", profile, project.profiles)
    jobs: dict[str, Job] = {}
    bundles: list[BundlePlan] = []
    for target_name in dict.fromkeys(targets):
        if target_name not in project.targets:
            raise UnknownNameError("arch", target_name, project.targets)
        target = project.targets[target_name]
        names = chosen or _kept(project, target, project.profiles[profile])
        of_target = _jobs(project, target, toolchain, style_tools, names)
        jobs |= {job.id: job for job in of_target}
        if not chosen and any(job.loaded.recipe.output.into == "launcher" for job in of_target):
            bundles.append(_bundle(project, target, profile, of_target, draft=draft))
    return Plan(tuple(jobs.values()), tuple(bundles))


def _kept(project: Project, target: Target, profile: Profile) -> tuple[str, ...]:
    """What goes to a target's users; libraries and the like come along with what needs them."""
    return tuple(
        name
        for name, loaded in project.recipes.items()
        if name not in profile.leave_out
        and target.name not in loaded.recipe.lacking
        and loaded.recipe.output.into != "build"
    )


def digest(value: object) -> str:
    """Sha256 of the canonical JSON of `value`, in hex."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _jobs(
    project: Project,
    target: Target,
    toolchain: Mapping[str, str],
    style_tools: Mapping[str, Mapping[str, str]],
    names: tuple[str, ...],
) -> list[Job]:
    wanted: dict[str, tuple[str, ...]] = {}
    queue = list(names)
    while queue:
        name = queue.pop()
        if name not in wanted:
            if reason := project.recipes[name].recipe.lacking.get(target.name):
                raise LackingError(name, target.name, reason)
            wanted[name] = project.recipes[name].recipe.needs
            queue += wanted[name]
    ordered = TopologicalSorter({name: wanted[name] for name in sorted(wanted)}).static_order()
    made: dict[str, Job] = {}
    for name in ordered:
        loaded = project.recipes[name]
        needs = tuple(made[need] for need in loaded.recipe.needs)
        tools = {**toolchain, **style_tools.get(loaded.recipe.style, {})}
        key = _key(loaded, target, tools, {need.recipe: need.key for need in needs})
        of = ANY if loaded.recipe.shared else target.name
        made[name] = Job(name, of, key, needs, loaded)
    return list(made.values())


def _key(
    loaded: LoadedRecipe, target: Target, toolchain: Mapping[str, str], needs: Mapping[str, str]
) -> str:
    recipe = loaded.recipe
    of = ANY if recipe.shared else target.name
    patches = {f"patches/{patch.file}" for patch in recipe.patches_for(of)}
    inputs = {
        name: sha
        for name, sha in loaded.inputs.items()
        if name in patches or not name.startswith("patches/")
    }
    machine = {
        "go": target.go,
        "c": c_flags(recipe, target),
        "elf": elf_part(target.elf),
    }
    return digest(
        {
            "plan": PLAN_VERSION,
            "recipe": building_part(recipe),
            "patches": [_patch(patch) for patch in recipe.patches_for(of)],
            "inputs": inputs,
            "target": of if recipe.shared else machine,
            "toolchain": dict(toolchain),
            "style": STYLE_VERSIONS[recipe.style],
            "needs": dict(needs),
        }
    )


def elf_part(table: ElfTable) -> dict[str, Any]:
    """The bounds that a job's check enforces.

    What came later than the others is left out where it is not set, so that no old key changes.
    """
    later = {"riscv_isa"} if table.riscv_isa is None else set()
    return table.model_dump(mode="json", exclude=later)


def _patch(patch: Patch) -> str:
    return f"{patch.module} {patch.file}" if patch.module else patch.file


def c_flags(recipe: Recipe, target: Target) -> dict[str, str]:
    """The target's triple, CPU and floating-point unit, where it names one, for this recipe.

    A launcher may be made for an older CPU than its target, so that it lives to say so.
    """
    if recipe.output.into == "launcher" and target.executable.launcher_mcpu:
        return {"triple": target.c.triple, "mcpu": target.executable.launcher_mcpu}
    return target.c.model_dump(exclude_none=True)


def building_part(recipe: Recipe) -> dict[str, Any]:
    """What of a recipe can change the built bytes: not its texts, tests or budgets.

    Defaults are left out, so that a new key, or another style's new table, changes no old key. A
    changed default goes with a new number in STYLE_VERSIONS.
    """
    texts = {"summary", "license", "test", "patch", "image"}
    choices = {"requires", "disable", "lacking", "shared", "memory_mib", "host_tools"}
    part = recipe.model_dump(mode="json", exclude=texts | choices, exclude_defaults=True)
    part["output"].pop("budget_mib", None)
    return part


def _bundle(
    project: Project, target: Target, profile: str, jobs: list[Job], *, draft: bool
) -> BundlePlan:
    by_place: dict[str, list[Job]] = {"executable": [], "launcher": [], "image": [], "build": []}
    for job in jobs:
        by_place[job.loaded.recipe.output.into].append(job)
    launcher = by_place["launcher"][0]
    members = tuple(sorted(by_place["executable"], key=lambda job: job.recipe))
    images = tuple(sorted(by_place["image"], key=_rank))
    embedded = tuple(job for job in images if job.recipe in target.executable.embed)
    without = _without(project, project.profiles[profile])
    key = digest(
        {
            "plan": PLAN_VERSION,
            "bundle": BUNDLE_VERSION,
            "target": target.name,
            "profile": profile,
            "executable": target.executable.model_dump(mode="json"),
            "platform": target.image.platform,
            "members": {job.recipe: job.key for job in members},
            "launcher": launcher.key,
            "images": {job.recipe: [job.key, _image_part(job)] for job in images},
            "without": without,
            "draft": draft,
        }
    )
    return BundlePlan(
        target.name, profile, key, launcher, members, images, embedded, tuple(without), draft
    )


def _rank(job: Job) -> tuple[int, str]:
    assert job.loaded.recipe.image
    return job.loaded.recipe.image.rank, job.recipe


def _image_part(job: Job) -> dict[str, Any]:
    recipe = job.loaded.recipe
    assert recipe.image
    texts = {"summary": recipe.summary, "license": recipe.license, "version": recipe.version}
    return {**recipe.image.model_dump(mode="json"), **texts}


def _without(project: Project, profile: Profile) -> list[str]:
    names = (project.recipes[name].recipe.disable for name in profile.leave_out)
    return sorted({name for name in names if name})
