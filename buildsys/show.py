"""Printing of results on standard output: tables and trees for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.tree import Tree

from buildsys.app import BuildResult
from buildsys.build import Built
from buildsys.ci.matrix import TargetJob
from buildsys.ci.matrix import as_json as matrix_json
from buildsys.ci.steps import Ran, Step
from buildsys.components import rows
from buildsys.docker.verbs import BinfmtResult, ImageResult
from buildsys.doctor import Finding
from buildsys.download import Downloaded
from buildsys.errors import CorruptError, MissingToolError
from buildsys.load import Project
from buildsys.model import LocalSource, Target, bundle_suffix
from buildsys.page.collect import Facts
from buildsys.plan import ANY, Job, Plan
from buildsys.release.plan import Done
from buildsys.report import print_table
from buildsys.scheduler import Outcome
from buildsys.store import Store
from buildsys.verify.foreign import Foreign
from buildsys.verify.narrow import Narrow
from buildsys.verify.verdict import Verdict
from buildsys.verify.written import last_verdict

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
    for bundle in result.bundles:
        state = "unchanged" if bundle.cached else "made"
        for name, file in bundle.record["files"].items():
            path = bundle.path.with_name(name)
            print(f"{path}  {_mib(file['size'])} MiB  {state}  sha256 {file['sha256']}")
    if any(row["result"] == "built" for row in rows):
        shared = ", ".join(reused["artifacts"]) or "none"
        print(f"sources: {reused['fetched']} fetched, {reused['at_hand']} at hand from before")
        print(f"artifacts of all targets, at hand from before: {shared}")
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


def _mib(size: int | None) -> str:
    return "-" if size is None else f"{size / MIB:.2f}"


def narrow(found: Sequence[Narrow], *, as_json: bool) -> None:
    """How much was read of each component, and what was found."""
    if as_json:
        print_json([asdict(one) for one in found])
        return
    rows = [(o.component, o.target, str(o.packages), str(len(o.findings))) for o in found]
    print_table("", ("component", "target", "packages", "findings"), rows)


def listing(
    project: Project, targets: Sequence[Target], artifacts: Path, *, only: bool, as_json: bool
) -> None:
    """Targets and profiles, unless `only` components are asked for; components; what is missing."""
    table = rows(project, targets, artifacts)
    if as_json:
        everything = {
            "targets": [t.model_dump(mode="json") for t in targets],
            "profiles": {n: p.model_dump(mode="json") for n, p in project.profiles.items()},
            "components": table,
            "missing": {n: m.model_dump(mode="json") for n, m in project.missing.items()},
        }
        print_json({k: v for k, v in everything.items() if not only or k in PARTS})
        return
    if not only:
        print_table("", ("target", "for"), [(t.name, t.summary) for t in targets])
        print()
        profiles = [
            (n, _profile_size(targets, artifacts, n), p.summary)
            for n, p in project.profiles.items()
        ]
        print_table("", ("profile", "MiB", "holds"), profiles)
        print()
    columns = ("component", "version", "style", "place", "license", "target", "MiB", "verdict")
    print_table("", columns, [line for row in table for line in _component(row, targets)])
    print("\nmissing, on every target:")
    for name, missing in project.missing.items():
        print(f"{name}: {missing.costs}\n  instead: {missing.instead}")


PARTS = ("components", "missing")


def _component(
    row: Mapping[str, Any], targets: Sequence[Target]
) -> Iterator[tuple[str, str, str, str, str, str, str, str]]:
    """A line per target; what they share stands in the first only."""
    shared = (row["name"], row["version"], row["style"], row["place"], row["license"])
    for target in targets:
        built = row["built"].get(target.name)
        state = ("-", "lacks it") if built is None else (_mib(built["size"]), built["verdict"])
        if built and built["embedded"]:
            shared = (*shared[:3], "embedded image", shared[4])
        yield (*shared, target.name, *state)
        shared = ("", "", "", "", "")


def _profile_size(targets: Sequence[Target], artifacts: Path, profile: str) -> str:
    """Sizes of the profile's executables at hand."""
    paths = [artifacts / f"k3s-{bundle_suffix(t.name, profile)}" for t in targets]
    return " ".join(f"{p.name} {p.stat().st_size / MIB:.1f}" for p in paths if p.is_file()) or "-"


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


def foreign(found: Foreign, *, as_json: bool) -> None:
    """Each ELF of a file that somebody else built, the ones that do not run first."""
    if as_json:
        print_json(found.as_json())
        return
    for fit in sorted(found.fits, key=lambda fit: RESULTS.index(fit.result)):
        why = "; ".join((*fit.barriers, *fit.doubts, *(f"note: {note}" for note in fit.notes)))
        print(f"{WORDS[fit.result]:<13}{fit.name}{': ' if why else ''}{why}")
    for platform in found.odd_platforms:
        print(f"note: an image says {platform}: a runtime on {found.target} does not take it")
    if found.left_out:
        print(f"note: {found.left_out} files of images for other platforms are left out")
    print("note: read, not run: what a program does on the board is not proven")
    print(f"{found.path.name}: {found.summary}")


RESULTS = ("refused", "unknown", "runs")
WORDS = {"refused": "does not run", "unknown": "unknown", "runs": "runs"}


def downloaded(done: Downloaded, *, as_json: bool) -> None:
    """The path of the executable."""
    if as_json:
        print_json(done.as_json())
    else:
        print(done.path)


def scenarios(
    project: Project, targets: Sequence[Target], artifacts: Path, *, as_json: bool
) -> None:
    """What can be booted where, and how it ended last."""
    table = [
        {
            "scenario": scenario.name,
            "summary": scenario.summary,
            "memory_mib": scenario.memory_mib,
            "boards": len(scenario.boards),
            "target": target.name,
            "machine": target.machine.machine if target.machine else None,
            "verdict": last_verdict(artifacts, target.name, scenario.name),
        }
        for scenario in project.scenarios.values()
        for target in targets
    ]
    if as_json:
        print_json(table)
        return
    columns = ("scenario", "boards", "MiB each", "target", "machine", "last verdict", "summary")
    print_table(
        "",
        columns,
        [
            (
                str(row["scenario"]),
                str(row["boards"]),
                str(row["memory_mib"]),
                str(row["target"]),
                str(row["machine"] or "none"),
                str(row["verdict"]),
                str(row["summary"]),
            )
            for row in table
        ],
    )


def matrix(jobs: Sequence[TargetJob], targets: Sequence[Target], *, as_json: bool) -> None:
    """The jobs of a CI run, and the targets that need none."""
    if as_json:
        print_json(matrix_json(jobs))
        return
    known = {job.target: job for job in jobs}
    print_table(
        "",
        ("target", "job", "minutes at most", "builds"),
        [
            (target.name, "yes", str(job.minutes), _few(job.build))
            if (job := known.get(target.name))
            else (target.name, "proven already", "-", "-")
            for target in targets
        ],
    )


NAMED = 5
"""How many components a line of the matrix names; JSON has them all."""


def _few(names: Sequence[str]) -> str:
    rest = len(names) - NAMED
    return ", ".join([*names[:NAMED], *([f"{rest} more"] if rest > 0 else [])]) or "nothing"


def ci(done: Sequence[Ran], *, as_json: bool) -> None:
    """How each step ended."""
    if as_json:
        print_json([{"step": r.step.name, "result": r.result, "seconds": r.seconds} for r in done])
        return
    rows = [(r.step.name, r.result, f"{r.seconds:.1f}") for r in done]
    print_table("", ("step", "result", "seconds"), rows)


def ci_steps(chosen: Sequence[Step], *, as_json: bool) -> None:
    """What `invoke ci` would run."""
    if as_json:
        print_json([asdict(step) for step in chosen])
    else:
        print("\n".join(f"{step.name:<21}{step.group:<7}{step.typed}" for step in chosen))


def paths(written: Sequence[Path], *, as_json: bool) -> None:
    """Files that a verb wrote."""
    if as_json:
        print_json([str(path) for path in written])
    else:
        print("\n".join(str(path) for path in written))


def report(path: Path, facts: Facts, *, as_json: bool) -> None:
    """Where the report lies, and in short what it shows."""
    if not as_json:
        print(path)
        return
    made = [
        {
            "file": f"k3s-{one.suffix}",
            "target": one.record.target,
            "sha256": one.record.sha256,
            "size": one.record.size,
            "verdicts": {v.data.kind: v.state for v in one.verdicts}
            | dict.fromkeys(one.lacks, "none"),
        }
        for one in facts.made
    ]
    print_json({"report": str(path), "executables": made})


def released(tag: object, root: Path, done: Sequence[Done], *, as_json: bool) -> None:
    """What each step of a release did, and where it lies."""
    if as_json:
        print_json({"tag": str(tag), "folder": str(root), "steps": [asdict(d) for d in done]})
        return
    rows = [(d.name, f"{d.seconds:.1f}", d.result) for d in done]
    print_table("", ("step", "seconds", "result"), rows)
    print(f"{tag}  {root}")


def image(done: ImageResult, *, as_json: bool) -> None:
    """The image: a line for each platform, then where it lies and where it went."""
    made = done.made
    parts = [
        {
            "target": target,
            "platform": part.platform,
            "manifest": f"sha256:{part.manifest.sha256}",
            "layer": f"sha256:{part.layer.sha256}",
            "size": part.layer.size,
        }
        for target, part in made.parts.items()
    ]
    if as_json:
        print_json(
            {
                "name": made.name,
                "layout": str(made.folder),
                "index": f"sha256:{made.index.sha256}",
                "images": parts,
                "loaded": list(done.loaded),
                "pushed": done.pushed,
                "layers_put": done.put,
            }
        )
        return
    columns = ("target", "platform", "MiB", "manifest")
    rows = [
        (target, part.platform, _mib(part.layer.size), f"sha256:{part.manifest.sha256}")
        for target, part in made.parts.items()
    ]
    print_table("", columns, rows)
    print(f"{made.name}  {made.folder}  index sha256:{made.index.sha256}")
    for name in done.loaded:
        print(f"loaded  {name}")
    if done.pushed:
        print(f"pushed  {done.pushed}  {done.put} layers were not there")


RUNS = {
    "host": "this machine itself",
    "nobody": "nobody: not registered",
    "ours": "its emulator, on this CPU",
    "other": "another registration, on whatever CPU it names",
}
"""`State.runs` for people."""


def binfmt(result: BinfmtResult, *, as_json: bool) -> None:
    """Who runs which target's programs; other registrations for the same ones are named."""
    if as_json:
        print_json({"done": list(result.done), "targets": [asdict(s) for s in result.states]})
        return
    rows = [(s.target, s.cpu, RUNS[s.runs], s.interpreter or "-") for s in result.states]
    print_table("", ("target", "cpu", "its programs are run by", "entry"), rows)
    for line in result.done:
        print(line)
    for state in result.states:
        if state.runs == "ours" and state.others:
            names = ", ".join(state.others)
            print(f"{state.target}: {names}: for the same programs, kept, asked after ours")
