"""The jobs of a CI run: one for each target that is not proven as it is now. Pure.

Not one for each component: a whole target builds in half an hour on two cores, a change of one
component builds only that, and every more job would fetch the same sources and pass its artifact
on through a cache.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from buildsys.errors import MatrixTooLargeError
from buildsys.load import Project
from buildsys.model import LocalSource, Target
from buildsys.plan import BundlePlan, Job, Plan, digest

LIMIT = 256
"""The most jobs that GitHub makes of one matrix (docs.github.com, "Actions limits")."""

BUILD_MINUTES = 120
"""For building. README: a first build takes half an hour to an hour on two cores."""

PROVE_MINUTES = 90
"""For all but building: setting up, bundling, audit, smoke and boots of an emulated target.

The server alone may take 15 of them (`READY_SECONDS` of buildsys/verify/smoke.py), and a booted
board with its agent 20 (docs/proof.md).
"""

SHOWN = 20
"""How many digits of a key stand in the name of a cache."""


@dataclass(frozen=True)
class Proven:
    """What a run remembers of a target that passed: what was proven, and its artifacts' keys."""

    target: str
    proof: str
    jobs: tuple[str, ...]


@dataclass(frozen=True)
class TargetJob:
    """One job of the matrix.

    `proof` stands for all that could change its verdicts. `build` are the components that are in no
    known cache. `cache` names the cache of its artifacts, `restore` what the names of the older
    ones begin with, `sources` the cache of all sources. It may take `minutes`.
    """

    target: str
    proof: str
    build: tuple[str, ...]
    cache: str
    restore: str
    sources: str
    minutes: int


def target_jobs(
    project: Project,
    plan: Plan,
    targets: Collection[str],
    code: str,
    known: Iterable[Proven] = (),
    stored: Collection[str] = (),
    *,
    everything: bool = False,
) -> tuple[TargetJob, ...]:
    """The jobs of `targets`, which the plan has, but for those that `known` says are proven.

    `code` stands for the programs that audit and boot, `stored` are keys of artifacts at hand.
    With `everything`, what is proven gets a job as well. Raises `MatrixTooLargeError`.
    """
    remembered = tuple(known)
    there = {*stored, *(key for one in remembered for key in one.jobs)}
    proven = {one.proof for one in remembered}
    sources = sources_cache(plan)
    made = (_job(project, b, code, there, sources) for b in plan.bundles if b.target in targets)
    jobs = tuple(job for job in made if everything or job.proof not in proven)
    if len(jobs) > LIMIT:
        raise MatrixTooLargeError(len(jobs), LIMIT)
    return jobs


def _job(
    project: Project, bundle: BundlePlan, code: str, there: Collection[str], sources: str
) -> TargetJob:
    build = tuple(job.recipe for job in closure(bundle) if job.key not in there)
    restore = f"store-{bundle.target}-"
    return TargetJob(
        target=bundle.target,
        proof=proof_key(bundle, project.targets[bundle.target], code),
        build=build,
        cache=f"{restore}{bundle.key[:SHOWN]}",
        restore=restore,
        sources=sources,
        minutes=PROVE_MINUTES + (BUILD_MINUTES if build else 0),
    )


def closure(bundle: BundlePlan) -> tuple[Job, ...]:
    """All jobs that a bundle takes, those of libraries too, by name."""
    found: dict[str, Job] = {}
    queue = list(bundle.jobs)
    while queue:
        job = queue.pop()
        if job.id not in found:
            found[job.id] = job
            queue += job.needs
    return tuple(found[name] for name in sorted(found))


def proof_key(bundle: BundlePlan, target: Target, code: str) -> str:
    """What stands for a target's verdicts: the same key, the same verdicts."""
    tests = {job.recipe: job.loaded.recipe.test for job in closure(bundle)}
    return digest(
        {
            "bundle": bundle.key,
            "target": target.model_dump(mode="json"),
            "tests": {name: test.model_dump(mode="json") for name, test in tests.items() if test},
            "code": code,
        }
    )


def sources_cache(plan: Plan) -> str:
    """The name of the cache of all that the plan's jobs fetch."""
    recipes = {job.recipe: job.loaded.recipe for job in plan.jobs}
    pins = {
        name: [recipe.source.digest, recipe.yarn.model_dump(mode="json") if recipe.yarn else {}]
        for name, recipe in recipes.items()
        if not isinstance(recipe.source, LocalSource)
    }
    return f"sources-{digest(pins)[:SHOWN]}"


def as_json(jobs: Iterable[TargetJob]) -> dict[str, Any]:
    """The jobs as GitHub's `strategy.matrix` takes them."""
    return {"include": [asdict(job) for job in jobs]}


def outputs(plan: Plan, jobs: Collection[TargetJob]) -> dict[str, str]:
    """What a workflow's other jobs are told. GitHub refuses a matrix of no jobs, hence `count`."""
    return {
        "matrix": json.dumps(as_json(jobs), separators=(",", ":")),
        "count": str(len(jobs)),
        "sources": sources_cache(plan),
    }
