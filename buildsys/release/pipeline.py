"""A release from beginning to end: `STEPS`, in order. Each does nothing where all is done."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from buildsys.app import App, raise_all, raise_failures
from buildsys.bundle import Bundler
from buildsys.cache import file_sha256, write_atomic
from buildsys.errors import NotBuiltError, ReleaseRefusedError
from buildsys.fetch import fetch_all
from buildsys.model import FULL, LocalSource, Target
from buildsys.plan import Plan
from buildsys.release import channels as channels_file
from buildsys.release.checksums import listing
from buildsys.release.look import Checkout, passed_verdicts, verdict_states
from buildsys.release.notes import notes as notes_text
from buildsys.release.notes import release_record
from buildsys.release.plan import (
    NOTES,
    RECORD,
    SOURCES,
    SUMS,
    Done,
    ReleasePlan,
    owed,
    plan_release,
)
from buildsys.release.preflight import Facts, problems, unproven
from buildsys.release.publish import Destination, Release, ReleaseFile, destination
from buildsys.release.publish.base import sums_path
from buildsys.release.publish.choose import FORMS
from buildsys.release.sources import write_sources
from buildsys.release.stage import place, write
from buildsys.release.version import Tag, tag_of
from buildsys.verify.verbs import raise_failed, try_all

NOTHING = "nothing to do"


@dataclass(frozen=True)
class Wishes:
    """What was asked for. Without `dry_run` there is a destination."""

    targets: tuple[str, ...]
    dry_run: bool
    stable: bool
    destinations: tuple[Destination, ...]

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that the release moves to itself."""
        return channels_file.CHANNELS if self.stable else ("latest",)


def wishes(
    targets: Iterable[str],
    places: Iterable[str],
    environment: Mapping[str, str],
    *,
    dry_run: bool,
    stable: bool,
) -> Wishes:
    """What options say.

    Raises `UnknownNameError`, `NoRightsError`, or `ReleaseRefusedError` with nowhere to publish to.
    """
    found = tuple(destination(text, environment) for text in places)
    if not found and not dry_run:
        raise ReleaseRefusedError(
            [("nowhere to publish to", f"--dry-run, or --to with one of: {', '.join(FORMS)}")]
        )
    return Wishes(tuple(targets), dry_run, stable, found)


class Releasing:
    """One run of the verb: what the steps share. What is costly to know is asked for once."""

    def __init__(self, app: App, wishes: Wishes) -> None:
        self.app, self.wishes = app, wishes
        self.log = app.cache.logs / "release.log"
        self.log.unlink(missing_ok=True)
        self.checkout = Checkout(app.root, self.log)
        self.root = app.artifacts / "release"
        self._sums: dict[str, tuple[int, int, str]] = {}

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """Those that were named; else all that can be released."""
        found = self.app.targets(self.wishes.targets)
        return tuple(t for t in found if t.release or self.wishes.targets)

    @cached_property
    def plan(self) -> Plan:
        """What is built for them."""
        return self.app.plan([target.name for target in self.targets])

    @cached_property
    def tag(self) -> Tag | None:
        """The tag that notes were written for."""
        version = self.app.project.recipes["k3s"].recipe.version
        return tag_of(version, self.checkout.noted)

    @cached_property
    def release(self) -> ReleasePlan:
        """What it consists of; asked for after preflight, which demands a tag."""
        assert self.tag
        return plan_release(self.tag, self.targets)

    @property
    def bundler(self) -> Bundler:
        """What knows whether a bundle is there, unchanged and of this plan."""
        return self.app.bundler()

    def unmade(self) -> tuple[str, ...]:
        """Targets whose files are not there as the plan has them."""
        return tuple(b.target for b in self.plan.bundles if not self.bundler.current(b))

    def record(self, target: Target) -> Mapping[str, Any]:
        """What the bundle of a target says of itself."""
        path = self.app.artifacts / f"k3s-{target.name}.json"
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return found

    def path(self, name: str) -> Path:
        """A file of the flat release."""
        return self.root / self.release.flat / name

    def sha256(self, path: Path) -> str:
        """Of a file's content, hashed once in a run while the file stays the same."""
        status = path.stat()
        key = f"{status.st_dev}:{status.st_ino}"
        known = self._sums.get(key)
        if known is None or known[:2] != (status.st_size, status.st_mtime_ns):
            known = (status.st_size, status.st_mtime_ns, file_sha256(path))
            self._sums[key] = known
        return known[2]

    @property
    def _journal(self) -> Path:
        return self.app.artifacts / "release-making.json"

    @property
    def making(self) -> frozenset[str]:
        """Targets whose executable a release, this one or one that was cut short, makes itself.

        Their verdicts cannot be there before; of all others they must.
        """
        begun = json.loads(self._journal.read_text()) if self._journal.is_file() else []
        return frozenset(begun) | frozenset(self.unmade())

    def begin(self, targets: Iterable[str]) -> None:
        """Remember that this release makes the executables of `targets` itself."""
        self.app.artifacts.mkdir(exist_ok=True)
        write_atomic(self._journal, json.dumps(sorted(targets)).encode())

    def end(self) -> None:
        """All verdicts are there."""
        self._journal.unlink(missing_ok=True)


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
    record = f"{flat}{RECORD}"
    listed = [p for p in run.release.listings[f"{flat}{SUMS}"] if p != record]
    sums = f"{flat}{SUMS}"
    changed = [
        write(run.root / path, listing(paths, {p: run.sha256(run.root / p) for p in paths}))
        for path, paths in run.release.listings.items()
        if path != sums
    ]
    files = {
        path.removeprefix(flat): (run.sha256(path_), path_.stat().st_size)
        for path in listed
        if (path_ := run.root / path)
    }
    changed.append(write(run.root / record, _json(_record(run, files))))
    everything = run.release.listings[sums]
    lines = listing(everything, {p: run.sha256(run.root / p) for p in everything})
    changed.append(write(run.root / sums, lines))
    return f"{SUMS}, {RECORD}" if any(changed) else NOTHING


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
    app.cache.sweep()
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
