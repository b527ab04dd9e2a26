"""Printing of results on standard output: tables and trees for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.tree import Tree

from buildsys.app import BuildResult
from buildsys.build import Built
from buildsys.doctor import Finding
from buildsys.errors import CorruptError, MissingToolError
from buildsys.load import Project
from buildsys.plan import Job, Plan
from buildsys.report import print_table
from buildsys.scheduler import Outcome
from buildsys.store import Store
from buildsys.verify.verdict import Verdict

MIB = 1024 * 1024


def print_json(value: object) -> None:
    """`value` as JSON on standard output."""
    print(json.dumps(value, indent=2))


def plan(planned: Plan, store: Store, *, as_json: bool) -> None:
    """The plan as a tree: target, component, what it needs; or as JSON."""
    if as_json:
        print_json(planned.as_json())
        return
    by_target: dict[str, list[Job]] = {}
    for job in planned.jobs:
        by_target.setdefault(job.target, []).append(job)
    for target, jobs in by_target.items():
        tree = Tree(f"k3s-{target}")
        named = {job.recipe: job for job in jobs}
        needed = {need for job in jobs for need in job.needs}
        for job in jobs:
            if job.recipe not in needed:
                _branch(tree, job, named, store)
        Console(highlight=False).print(tree)


def _branch(tree: Tree, job: Job, named: Mapping[str, Job], store: Store) -> None:
    state = "stored" if store.get(job.key) else "to build"
    version = job.loaded.recipe.version
    branch = tree.add(f"{job.recipe} {version}  [dim]{job.key[:12]}  {state}[/dim]")
    for need in job.needs:
        _branch(branch, named[need], named, store)


def built(result: BuildResult, timings: Path, *, as_json: bool) -> None:
    """How each component ended, then the executables."""
    rows = [_row(job, result.outcomes[job.id]) for job in result.plan.jobs]
    if as_json:
        print_json(
            {
                "components": rows,
                "executables": [dict(bundle.record) for bundle in result.bundles],
                "timings": str(timings),
            }
        )
        return
    print_table(
        "",
        ("component", "target", "version", "MiB", "seconds", "result"),
        [
            (r["name"], r["target"], r["version"], _mib(r["size"]), r["seconds"], r["result"])
            for r in rows
        ],
    )
    share = json.loads(timings.read_text())["tool_share"]
    for bundle in result.bundles:
        state = "unchanged" if bundle.cached else "made"
        size = bundle.record["size"] / MIB
        print(f"{bundle.path}  {size:.2f} MiB  {state}  sha256 {bundle.record['sha256']}")
    if any(row["result"] == "built" for row in rows):
        print(f"{timings}  {share:.1%} of the time in fetching, compilers, linkers, compression")


def _row(job: Job, outcome: Outcome[Built]) -> dict[str, Any]:
    row = {"name": job.recipe, "target": job.target, "version": job.loaded.recipe.version}
    if outcome.result is None:
        text = f"waits for {outcome.waited_for}" if outcome.waited_for else "failed"
        return {**row, "size": None, "seconds": "-", "result": text}
    artifact = outcome.result.artifact
    size = sum(file.size for file in artifact.files)
    state = "cached" if outcome.result.cached else "built"
    return {**row, "size": size, "seconds": f"{artifact.seconds:.1f}", "result": state}


def _mib(size: int | None) -> str:
    return "-" if size is None else f"{size / MIB:.2f}"


def listing(project: Project, names: Sequence[str], *, as_json: bool) -> None:
    """Targets, then components."""
    targets = [t for name, t in project.targets.items() if not names or name in names]
    recipes = [loaded.recipe for _, loaded in sorted(project.recipes.items())]
    if as_json:
        print_json(
            {
                "targets": [t.model_dump(mode="json") for t in targets],
                "components": [
                    {**r.model_dump(mode="json", exclude_none=True), "date": r.date.isoformat()}
                    for r in recipes
                ],
            }
        )
        return
    print_table("", ("target", "for"), [(t.name, t.summary) for t in targets])
    print()
    print_table(
        "",
        ("component", "version", "style", "license", "goes into", "source"),
        [(r.name, r.version, r.style, r.license, r.output.into, r.source.label) for r in recipes],
    )


def findings(found: Sequence[Finding], damaged: Sequence[str], *, as_json: bool) -> None:
    """What doctor saw. Raises `MissingToolError` or `CorruptError` where something is wrong."""
    if as_json:
        print_json({"findings": [asdict(f) for f in found], "damaged": list(damaged)})
    else:
        rows = [("ok" if f.good else "MISSING", f.name, f.detail) for f in found]
        print_table("", ("", "what", "found"), rows)
    if damaged:
        raise CorruptError(
            f"{len(damaged)} store entries were damaged", action="run the build again"
        )
    lacking = [f for f in found if not f.good]
    if lacking:
        packages = sorted({f.package for f in lacking if f.package})
        cures = [f.cure for f in lacking if f.cure]
        install = [f"apt-get install {' '.join(packages)} (or `invoke setup`)"] if packages else []
        raise MissingToolError(
            f"this host lacks: {', '.join(f.name for f in lacking)}",
            action="; ".join([*install, *cures]),
        )


def verdicts(done: Sequence[Verdict], paths: Sequence[Path], *, as_json: bool) -> None:
    """Each verdict: its steps, then the file that holds it."""
    if as_json:
        print_json([verdict.as_json() for verdict in done])
        return
    for verdict, path in zip(done, paths, strict=True):
        rows = [
            (step.name, "passed" if step.passed else "FAILED", f"{step.seconds:.2f}")
            for step in verdict.steps
        ]
        print_table(f"{verdict.kind} {verdict.subject.name}", ("step", "result", "seconds"), rows)
        state = "passed" if verdict.passed else "FAILED"
        print(f"{verdict.kind} k3s-{verdict.target}: {state}  {path}")
