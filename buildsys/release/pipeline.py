"""A release from beginning to end: `STEPS`, in order. Each does nothing where all is done."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from buildsys.app import App, raise_all, raise_failures
from buildsys.errors import NotBuiltError, ReleaseRefusedError
from buildsys.fetch import fetch_all
from buildsys.model import FULL, LocalSource
from buildsys.release import channels as channels_file
from buildsys.release.checksums import listing
from buildsys.release.context import Releasing, Wishes
from buildsys.release.look import passed_verdicts, verdict_states
from buildsys.release.notes import notes as notes_text
from buildsys.release.notes import release_record
from buildsys.release.plan import (
    INSTALLER,
    NOTES,
    RECORD,
    SOURCES,
    SUMS,
    Done,
    owed,
)
from buildsys.release.preflight import Facts, problems, unproven
from buildsys.release.publish import Release, ReleaseFile
from buildsys.release.publish.base import sums_path
from buildsys.release.sources import write_sources
from buildsys.release.stage import place, write
from buildsys.verify.verbs import raise_failed, try_all

NOTHING = "nothing to do"


def preflight(run: Releasing) -> str:
    """Demand all that must hold before anything is made."""
    known = run.root / sums_path(run.tag) if run.tag else None
    sums = known.read_bytes() if known and known.is_file() else None
    facts = Facts(
        commit=run.checkout.commit,
        changed=run.checkout.changed,
        version=run.app.project.recipes["k3s"].recipe.version,
        tag=run.tag,
        notes=run.checkout.notes(run.tag),
        tagged=run.checkout.tagged(run.tag) if run.tag else "",
        targets=run.targets,
        making=run.making,
        verdicts=verdict_states(run.app.artifacts, run.targets),
        drafts=run.drafts,
        elsewhere=tuple(
            problem
            for place in run.wishes.destinations
            if run.tag
            for problem in place.obstacles(run.tag, sums)
        ),
    )
    if found := tuple(problems(facts)):
        raise ReleaseRefusedError(found)
    return f"{run.tag} of {', '.join(target.name for target in run.targets)}"


def build(run: Releasing) -> str:
    """Build every component of what is not there."""
    missing = run.unmade()
    if not missing:
        return NOTHING
    run.begin(run.making)
    with run.app.progress.running():
        raise_failures(run.app.build(replace(run.app.plan(missing), bundles=())))
    return f"components of {', '.join(missing)}"


def bundle(run: Releasing) -> str:
    """Make executables and airgap images."""
    missing = run.unmade()
    if not missing:
        return NOTHING
    with run.app.progress.running():
        raise_failures(run.app.build(run.app.plan(missing)))
    return f"k3s-{', k3s-'.join(missing)}"


def audit(run: Releasing) -> str:
    """Audit the executables that this release made."""
    return _try(run, "audit")


def smoke(run: Releasing) -> str:
    """Start the servers of the executables that this release made."""
    return _try(run, "smoke")


def _try(run: Releasing, kind: str) -> str:
    states = verdict_states(run.app.artifacts, run.targets)
    names = [target for (target, k), state in states.items() if k == kind and state != "passed"]
    if not names:
        return NOTHING
    raise_failed(kind, [verdict for verdict, _ in try_all(run.app, names, kind, FULL)])
    return f"{kind} of {', '.join(names)} passed"


def verdicts(run: Releasing) -> str:
    """Demand every verdict once more: now the executables that this release made are there."""
    states = verdict_states(run.app.artifacts, run.targets)
    if found := [problem for target in run.targets for problem in unproven(target, states)]:
        raise ReleaseRefusedError(found)
    run.end()
    return f"{len(states)} passed, about these bytes"


def layout(run: Releasing) -> str:
    """Lay the files out under the names that people and installers ask for."""
    placed = [
        path
        for path, name in run.release.copies.items()
        if place(run.app.artifacts / name, run.root / path)
    ]
    # Not a link to the checkout's: that may be edited in place.
    if write(run.path(INSTALLER), Path(__file__).with_name(INSTALLER).read_bytes()):
        placed.append(INSTALLER)
    return f"{len(placed)} files placed" if placed else NOTHING


def sources(run: Releasing) -> str:
    """Gather the corresponding source of what is under the GPL or LGPL."""
    recipes = owed(run.plan)
    fetched = [r.source for r in recipes if not isinstance(r.source, LocalSource)]
    with run.app.progress.running():
        failures = fetch_all(fetched, run.app.fetcher, run.app.progress, run.app.timeline.add)
    raise_all(failures.items())
    with run.app.cache.scratch("release-sources") as scratch:
        checkout = scratch / "checkout.tar"
        run.checkout.archive(checkout)
        tag, commit = str(run.tag), run.checkout.commit
        made = write_sources(run.path(SOURCES), tag, commit, recipes, run.app.cache, checkout)
    return f"{SOURCES}: {len(recipes)} components" if made else NOTHING


def checksums(run: Releasing) -> str:
    """Write the record for programs, then the sum files."""
    flat = f"{run.release.flat}/"
    sums, record = f"{flat}{SUMS}", f"{flat}{RECORD}"
    listings = dict(run.release.listings)
    everything = listings.pop(sums)
    changed = [_write_sums(run, path, paths) for path, paths in listings.items()]
    files = {
        path.removeprefix(flat): (run.sha256(run.root / path), (run.root / path).stat().st_size)
        for path in everything
        if path != record
    }
    changed.append(write(run.root / record, _json(_record(run, files))))
    changed.append(_write_sums(run, sums, everything))
    return f"{SUMS}, {RECORD}" if any(changed) else NOTHING


def _write_sums(run: Releasing, path: str, paths: Iterable[str]) -> bool:
    sums = {one: run.sha256(run.root / one) for one in paths}
    return write(run.root / path, listing(sums, sums))


def _record(run: Releasing, files: Mapping[str, tuple[str, int]]) -> dict[str, Any]:
    assert run.tag
    records = {target.name: run.record(target) for target in run.targets}
    passed = {
        target.name: passed_verdicts(run.app.artifacts, target, records[target.name]["sha256"])
        for target in run.targets
    }
    return release_record(run.tag, run.checkout.commit, run.targets, records, passed, files)


def notes(run: Releasing) -> str:
    """Write the release notes: somebody's words, and what is inside."""
    records = {target.name: run.record(target) for target in run.targets}
    record = json.loads(run.path(RECORD).read_text("utf-8"))
    text = notes_text(run.checkout.notes(run.tag), record, records)
    return NOTES if write(run.path(NOTES), text.encode()) else NOTHING


def channels(run: Releasing) -> str:
    """Move the channels of the local folder; every destination has its own."""
    assert run.tag
    path = run.root / channels_file.PATH
    before = path.read_bytes() if path.is_file() else None
    after = channels_file.moved(before, run.wishes.channels, run.tag)
    return channels_file.PATH if write(path, after) else NOTHING


def publish(run: Releasing) -> str:
    """Put it where it was asked to go."""
    if run.wishes.dry_run:
        return "left out: a dry run"
    release = _release(run)
    results = []
    for place_ in run.wishes.destinations:
        with run.app.progress.step("publish", place_.label):
            outcome = place_.publish(release)
        moved = ", channels moved" if outcome.channels else ""
        results.append(f"{place_.label}: {outcome.put} put, {outcome.kept} there already{moved}")
    return "; ".join(results)


def _release(run: Releasing) -> Release:
    assert run.tag
    paths = {path: run.root / path for path in run.release.paths}
    if lacking := [str(path) for path in paths.values() if not path.is_file()]:
        raise NotBuiltError(f"not there: {', '.join(lacking)}", action="run the same again")
    return Release(
        run.tag,
        run.checkout.commit,
        run.path(NOTES).read_text("utf-8"),
        tuple(
            ReleaseFile(path, local, run.sha256(local), local.stat().st_size)
            for path, local in paths.items()
        ),
        run.wishes.channels,
    )


STEPS: tuple[Callable[[Releasing], str], ...] = (
    preflight,
    build,
    bundle,
    audit,
    smoke,
    verdicts,
    layout,
    sources,
    checksums,
    notes,
    channels,
    publish,
)
"""The release. Each step returns what it did, in words, and raises what stops everything."""


def release(app: App, wishes: Wishes) -> tuple[Releasing, list[Done]]:
    """Run all steps; what each did. A run that was cut short is gone on with by the next."""
    app.sweep()
    run = Releasing(app, wishes)
    done = []
    for step in STEPS:
        begin = time.monotonic()
        result = step(run)
        seconds = time.monotonic() - begin
        app.progress.line(f"{step.__name__:<10}{result}  {seconds:.1f} s")
        done.append(Done(step.__name__, result, round(seconds, 3)))
    return run, done


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()
