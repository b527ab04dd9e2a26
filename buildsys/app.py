"""Puts the pieces together for one run of a verb: project, cache, toolchain, progress."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path, PurePath
from typing import cast

from rich.console import Console

from buildsys.actions import runner
from buildsys.archive import deb_member, deb_members
from buildsys.build import Builder, Built
from buildsys.bundle import Bundle, Bundler, BundleTasks
from buildsys.cache import Cache, default_root, disk_errors, write_atomic
from buildsys.doctor import Finding, examine
from buildsys.emulator import Emulator, find_emulator, runs
from buildsys.errors import BuildsysError, SomeFailedError, UnknownNameError
from buildsys.fetch import Fetcher, debian, fetch_all, wanted
from buildsys.forecast import Machine, forecast
from buildsys.inuse import alone, share
from buildsys.load import Project, load_project
from buildsys.model import FULL, DebianBinary, Target
from buildsys.output import Output
from buildsys.plan import Plan, make_plan
from buildsys.remove import Remover
from buildsys.report import Progress, Timeline
from buildsys.sandbox import can_isolate, demand_plain
from buildsys.scheduler import Outcome, available_memory_mib
from buildsys.store import Store
from buildsys.toolchain import Toolchain, find_toolchain

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""

NOT_ISOLATED = (
    "this machine allows no user namespaces: jobs run at their real paths and can reach the "
    "network; bytes may differ from an isolated build"
)


@dataclass(frozen=True)
class Settings:
    """What options and environment variables say."""

    cache: str = ""
    jobs: int = 0
    offline: bool = False
    debian_mirror: str = ""
    go_proxy: str = ""


@dataclass(frozen=True)
class BuildResult:
    """How everything in a plan ended."""

    plan: Plan
    outcomes: dict[str, Outcome[Built]]
    bundles: tuple[Bundle, ...]
    unbundled: Mapping[str, BuildsysError] = field(default_factory=dict)
    """Why a bundle was not made although all its components were."""


class App:
    """One run of a verb. Parts are made when first asked for."""

    def __init__(self, settings: Settings, root: Path = ROOT) -> None:
        self.settings, self.root = settings, root
        self.timeline = Timeline()
        self.began = time.time()
        self._unused: Callable[[], None] = lambda: None
        self.progress = Progress()

    @cached_property
    def project(self) -> Project:
        """Recipes and targets."""
        return load_project(self.root)

    @property
    def cache_at(self) -> Cache:
        """The cache as it is, created or not: for what only reads."""
        chosen = self.settings.cache
        return Cache(Path(chosen).absolute() if chosen else default_root(os.environ))

    @property
    def store(self) -> Store:
        """The store as it is, there or not: for what only reads."""
        return Store(self.cache_at)

    @cached_property
    def cache(self) -> Cache:
        """The cache, created where it is not there; nobody removes from it while this is alive."""
        cache = self.cache_at
        if cache.create():
            self.progress.line(f"note: {cache.root} is a cache of before; it is marked as one now")
        self._unused = share(cache.in_use, self, lambda: self._waiting("removes from"))
        return cache

    @contextmanager
    def alone(self, *, wait: bool = True) -> Iterator[bool]:
        """Run the block while no other run uses the cache; whether that is so without `wait`."""
        cache = self.cache
        self._unused()
        try:
            with alone(cache.in_use, partial(self._waiting, "uses") if wait else None) as got:
                yield got
        finally:
            if cache.locks.is_dir():
                self._unused = share(cache.in_use, self, lambda: self._waiting("removes from"))

    def _waiting(self, doing: str) -> None:
        self.progress.line(f"waiting: another run {doing} the cache {self.cache_at.root}")

    @cached_property
    def toolchain(self) -> Toolchain:
        """Go, zig, pkgconf."""
        return find_toolchain()

    @cached_property
    def fetcher(self) -> Fetcher:
        """What gets sources."""
        go_proxy = self.settings.go_proxy or None
        return Fetcher(self.cache, self.toolchain, self.debian_mirror, go_proxy)

    @property
    def debian_mirror(self) -> str | None:
        """The one that was named, by option or environment."""
        named = self.settings.debian_mirror or os.environ.get("K3S_BUILDSYS_DEBIAN_MIRROR")
        return named or None

    @property
    def artifacts(self) -> Path:
        """The output folder."""
        return self.root / "artifacts"

    def plan(
        self,
        targets: Sequence[str],
        only: Sequence[str] = (),
        profile: str = FULL,
        *,
        draft: bool = False,
    ) -> Plan:
        """The plan for `targets`, or for every target where none is named."""
        chosen = targets or tuple(self.project.targets)
        return make_plan(
            self.project,
            chosen,
            self.toolchain.versions,
            only,
            profile,
            self.toolchain.style_versions,
            draft=draft,
        )

    def builder(self, isolated: bool) -> Builder:
        """What builds, with all cores unless --jobs says otherwise."""
        return Builder(
            self.project,
            self.cache,
            self.toolchain,
            self.fetcher,
            self.progress,
            self.timeline,
            jobs=self.jobs,
            memory_mib=available_memory_mib(),
            isolated=isolated,
        )

    def bundler(self) -> Bundler:
        """What makes executables and airgap images."""
        return Bundler(
            self.project,
            self.cache,
            self.timeline,
            self.artifacts,
            self.toolchain.go_version,
            lambda name: self.progress.step("compress", name),
        )

    def fetch(self, plan: Plan, *, everything: bool = False) -> dict[str, BuildsysError]:
        """Get the sources that the plan's build will need, or those of all its jobs.

        Returns what could not be fetched, by the source's label.
        """
        if everything:
            self.sweep()
        builder = self.builder(isolated=True)
        jobs = plan.jobs if everything else builder.missing(plan)
        sources = [source for job in jobs for source in wanted(job.loaded)]
        return fetch_all(sources, self.fetcher, self.progress, self.timeline.add)

    def package(self, package: DebianBinary) -> Path:
        """The file of a Debian package, fetched if it is not at hand; raises what that raises."""
        if self.fetcher.lacks(package):
            raise_all(fetch_all([package], self.fetcher, self.progress, self.timeline.add).items())
        return debian.binary_path(package, self.cache)

    def emulator(self, target: Target) -> Emulator:
        """What runs the target's programs: its own emulator, or that of this host.

        Raises `MissingToolError`, and what `own_emulator` raises.
        """
        own = self.own_emulator(target)
        return Emulator(own, target.emulator.cpu) if own else find_emulator(target)

    def own_emulator(self, target: Target) -> Path | None:
        """The program of the emulator that the target brings, if it does for a host of this kind.

        Raises `CorruptError` for a package without it, and what fetching raises.
        """
        package = target.emulator.package
        if not (package and runs(package.architecture)):
            return None
        name = PurePath(package.program).name
        place = self.cache.emulators / package.sha256[:16] / name
        if not place.is_file():
            found = deb_members(self.package(package), name)
            data = deb_member(found, package.program, package.label, "emulator.package")
            place.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(place, data, mode=0o755)
        return place

    def sweep(self) -> None:
        """Remove what killed runs left, in the cache and beside the artifacts."""
        remover = Remover()
        self.cache.sweep(remover)
        for path, reason in remover.left.items():
            self.progress.line(f"note: {path} stays: {reason}")
        Output(self.artifacts, self.project).sweep()

    def build(self, plan: Plan) -> BuildResult:
        """Fetch, build, bundle. Raises only what stops everything; see `raise_failures`."""
        # A run that was killed at its very end left all that this one wants, and its folder.
        self.sweep()
        kept = self.kept(plan)
        if current := self.current(plan, kept):
            return current
        self.announce(plan)
        isolated = can_isolate()
        if not isolated:
            demand_plain(self.cache.root)
        unfetched = {} if self.settings.offline else self.fetch(plan)
        if not isolated:
            self.progress.line(f"note: {NOT_ISOLATED}", style="yellow")
            runner().warn("not isolated", NOT_ISOLATED)
        bundler = self.bundler()
        due = [
            BundleTasks(bundler, one, self.progress) for one in plan.bundles if one.key not in kept
        ]
        with disk_errors(self.cache.root, "building"):
            further = [task for one in due for task in one.tasks()]
            outcomes = self.builder(isolated).build(plan, unfetched, further)
        return _result(plan, outcomes, kept, due)

    def announce(self, plan: Plan) -> None:
        """Say what a build of the plan does; times are those that this store's artifacts took."""
        kept = {artifact.key: artifact for artifact in self.store.known()}
        stored = {job.id for job in plan.jobs if job.key in kept}
        seconds = {artifact.recipe: artifact.seconds for artifact in kept.values()}
        self.progress.line(forecast(plan, stored, Machine(self.jobs, seconds)))

    @property
    def jobs(self) -> int:
        """How many run at a time: all cores unless --jobs says otherwise."""
        return self.settings.jobs or len(os.sched_getaffinity(0))

    def kept(self, plan: Plan) -> dict[str, Bundle]:
        """The plan's bundles that a former run left unchanged, by their keys."""
        bundler = self.bundler()
        return {one.key: found for one in plan.bundles if (found := bundler.current(one))}

    def current(self, plan: Plan, kept: Mapping[str, Bundle]) -> BuildResult | None:
        """The result of a former run, if it left everything of the plan, `kept` among it."""
        store = Store(self.cache)
        found = {job.id: store.get(job.key) for job in plan.jobs}
        if not plan.bundles or len(kept) < len(plan.bundles):
            return None
        outcomes = {name: Outcome(Built(a, cached=True)) for name, a in found.items() if a}
        if len(outcomes) < len(found):
            return None
        return BuildResult(plan, outcomes, tuple(kept.values()))

    def targets(self, names: Sequence[str]) -> list[Target]:
        """The named targets, or all. Raises `UnknownNameError`."""
        for name in names:
            if name not in self.project.targets:
                raise UnknownNameError("arch", name, self.project.targets)
        return [self.project.targets[name] for name in names or self.project.targets]

    def examine(self, names: Sequence[str]) -> list[Finding]:
        """What the host has and lacks for the named targets."""
        return examine(self.targets(names), self.cache_at, self.debian_mirror)

    def write_timings(self, plan: Plan) -> Path:
        """Write the timings report of this run; its path. One that did nothing leaves the last."""
        names = "-".join(dict.fromkeys(job.target for job in plan.jobs)) or "none"
        path = self.artifacts / f"timings-{names}.json"
        self.artifacts.mkdir(exist_ok=True)
        times = self.timeline.as_json()
        if times["spans"] or not path.exists():
            write_atomic(path, (json.dumps(times, indent=1) + "\n").encode())
        return path


def built_of(outcomes: Mapping[str, Outcome[object]], plan: Plan) -> dict[str, Outcome[Built]]:
    """How the plan's jobs ended, of all that ended."""
    return {job.id: cast("Outcome[Built]", outcomes[job.id]) for job in plan.jobs}


def _result(
    plan: Plan,
    outcomes: Mapping[str, Outcome[object]],
    kept: Mapping[str, Bundle],
    due: Iterable[BundleTasks],
) -> BuildResult:
    made = {one.plan.key: one.made(outcomes) for one in due}
    ended = [(f"k3s-{one.suffix}", kept.get(one.key) or made[one.key]) for one in plan.bundles]
    return BuildResult(
        plan,
        built_of(outcomes, plan),
        tuple(bundle for _, bundle in ended if isinstance(bundle, Bundle)),
        {name: error for name, error in ended if isinstance(error, BuildsysError)},
    )


def raise_failures(result: BuildResult) -> None:
    """Raise the one failure of a build, or `SomeFailedError` for several."""
    failures: list[tuple[str, BuildsysError]] = []
    for name, outcome in result.outcomes.items():
        if isinstance(outcome.error, BuildsysError):
            failures.append((name, outcome.error))
        elif outcome.error:
            raise outcome.error
    raise_all([*failures, *result.unbundled.items()])


def raise_all(failures: Iterable[tuple[str, BuildsysError]]) -> None:
    """Raise `SomeFailedError` for failures that were shown already, if there are any."""
    if listed := tuple(failures):
        raise SomeFailedError(listed)


@contextmanager
def reported() -> Iterator[None]:
    """Print a `BuildsysError` to standard error and exit with its code.

    An interrupt leaves at once with 130: commands end with this process, and the next run sweeps.
    """
    try:
        yield
    except BuildsysError as error:
        runner().annotate(error)
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"error: {error}", style="bold red", markup=False
        )
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        os._exit(128 + signal.SIGINT)
