"""What a build would do, and what it did."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.tree import Tree

from buildsys.app import BuildResult
from buildsys.build import Built
from buildsys.model import LocalSource
from buildsys.plan import ANY, Job, Plan
from buildsys.report import print_table
from buildsys.scheduler import Outcome
from buildsys.show.common import mib, print_json
from buildsys.store import Store


def plan(planned: Plan, store: Store, *, as_json: bool) -> None:
    """The plan as a tree: target, component, what it needs; or as JSON."""
    if as_json:
        print_json(planned.as_json())
        return
    by_target: dict[str, list[Job]] = {}
    for job in planned.jobs:
        by_target.setdefault(job.target, []).append(job)
    needed = {need.id for job in planned.jobs for need in job.needs}
    for target, jobs in by_target.items():
        roots = [job for job in jobs if job.id not in needed]
        if not roots:
            continue
        tree = Tree(f"k3s-{target}")
        for job in roots:
            _branch(tree, job, store)
        Console(highlight=False).print(tree)


def _branch(tree: Tree, job: Job, store: Store) -> None:
    state = "stored" if store.get(job.key) else "to build"
    version = job.loaded.recipe.version
    branch = tree.add(f"{job.recipe} {version}  [dim]{job.key[:12]}  {state}[/dim]")
    for need in job.needs:
        _branch(branch, need, store)


def built(result: BuildResult, timings: Path, *, as_json: bool) -> None:
    """How each component ended, then the executables."""
    rows = [_row(job, result.outcomes[job.id]) for job in result.plan.jobs]
    spent = json.loads(timings.read_text())
    reused = _reused(result, spent)
    if as_json:
        print_json(
            {
                "components": rows,
                "reused": reused,
                "executables": [dict(bundle.record) for bundle in result.bundles],
                "timings": str(timings),
                "cpu_seconds": spent.get("cpu_seconds", {}),
            }
        )
        return
    print_table(
        "",
        ("component", "target", "version", "MiB", "seconds", "result"),
        [
            (r["name"], r["target"], r["version"], mib(r["size"]), r["seconds"], r["result"])
            for r in rows
        ],
    )
    for bundle in result.bundles:
        state = "unchanged" if bundle.cached else "made"
        state += ", a draft" if bundle.record["draft"] else ""
        for name, file in bundle.record["files"].items():
            path = bundle.path.with_name(name)
            print(f"{path}  {mib(file['size'])} MiB  {state}  sha256 {file['sha256']}")
    if any(row["result"] == "built" for row in rows):
        shared = ", ".join(reused["artifacts"]) or "none"
        print(f"sources: {reused['fetched']} fetched, {reused['at_hand']} at hand from before")
        print(f"artifacts of all targets, at hand from before: {shared}")
        cpu = spent["cpu_seconds"]
        by_whom = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in cpu.items())
        print(f"CPU: {sum(cpu.values()):.0f} s: {by_whom}")
        share = f"{spent['tool_share']:.1%}"
        print(f"{timings}  {share} of the time in fetching, compilers, linkers, compression")


def _reused(result: BuildResult, spent: Mapping[str, Any]) -> dict[str, Any]:
    """What this run did not do again: sources of what it built, artifacts that targets share."""
    built = [job for job in result.plan.jobs if _is_new(result.outcomes[job.id])]
    sources = [job.loaded.recipe.source for job in built]
    labels = {s.label for s in sources if not isinstance(s, LocalSource)}
    fetched = labels & {span["name"] for span in spent["spans"] if span["kind"] == "fetch"}
    shared = [job for job in result.plan.jobs if job.target == ANY and job not in built]
    return {
        "fetched": len(fetched),
        "at_hand": len(labels - fetched),
        "artifacts": sorted(job.recipe for job in shared),
    }


def _is_new(outcome: Outcome[Built]) -> bool:
    return outcome.result is not None and not outcome.result.cached


def _row(job: Job, outcome: Outcome[Built]) -> dict[str, Any]:
    row = {"name": job.recipe, "target": job.target, "version": job.loaded.recipe.version}
    if outcome.result is None:
        text = f"waits for {outcome.waited_for}" if outcome.waited_for else "failed"
        return {**row, "size": None, "seconds": "-", "result": text}
    artifact = outcome.result.artifact
    size = sum(file.size for file in artifact.files)
    state = "cached" if outcome.result.cached else "built"
    return {**row, "size": size, "seconds": f"{artifact.seconds:.1f}", "result": state}
