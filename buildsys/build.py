"""Building a plan: each job from its sources to an artifact in the store, in parallel."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from buildsys.cache import Cache, disk_errors
from buildsys.check import check_outputs
from buildsys.doctor import packages_of
from buildsys.errors import BuildsysError, MissingSourceError, MissingToolError
from buildsys.fetch import Fetcher, copy_inputs, wanted
from buildsys.fetch.go_module import replace_module
from buildsys.load import Project
from buildsys.model import GoOptions, Recipe, Target
from buildsys.model.recipe import Patch
from buildsys.patch import apply_patch
from buildsys.plan import Job, Plan, c_flags
from buildsys.report import Progress, Timeline
from buildsys.sandbox import Sandbox
from buildsys.scheduler import Outcome, Task, run_graph
from buildsys.store import Artifact, Store
from buildsys.styles import CORE_MIB, HOST_TOOLS, STYLES, Context
from buildsys.toolchain import WRAPPERS, Toolchain


@dataclass(frozen=True)
class Built:
    """An artifact, and whether this run made it."""

    artifact: Artifact
    cached: bool


@dataclass(frozen=True)
class Builder:
    """What building needs to know. `jobs` is the number of cores: so many jobs run at most.

    How many cores each may use itself, the scheduler says.
    """

    project: Project
    cache: Cache
    toolchain: Toolchain
    fetcher: Fetcher
    progress: Progress
    timeline: Timeline
    jobs: int
    memory_mib: int
    isolated: bool

    @property
    def store(self) -> Store:
        """The cache's store."""
        return Store(self.cache)

    def missing(self, plan: Plan) -> list[Job]:
        """Jobs whose artifact is not in the store, with those that build needs first."""
        return [job for job in plan.jobs if self.store.get(job.key) is None]

    def build(
        self,
        plan: Plan,
        unfetched: Mapping[str, BuildsysError] | None = None,
        further: Iterable[Task[object]] = (),
    ) -> dict[str, Outcome[object]]:
        """Build every job of the plan, and do what is `further` to do; how each ended, by its name.

        A job's name is its id, and its result a `Built`. A job whose source is among `unfetched`
        (by label) ends with that error, the others go on. Raises `MissingSourceError` and
        `MissingToolError` before the first compiler starts.
        """
        failed = unfetched or {}
        missing = self.missing(plan)
        self._preflight([job for job in missing if not _unfetched(job, failed)])
        tasks = [
            task_of(job, lambda cores, job=job: self.make(job, failed, cores))  # type: ignore[misc]
            for job in plan.jobs
        ]
        return run_graph(joined(tasks, further), slots=self.jobs, memory_mib=self.memory_mib)

    def _preflight(self, missing: list[Job]) -> None:
        sources = [source for job in missing for source in wanted(job.loaded)]
        lacking = {text for source in sources if (text := self.fetcher.lacks(source))}
        if lacking:
            raise MissingSourceError(sorted(lacking))
        recipes = [job.loaded.recipe for job in missing]
        tools = {tool for r in recipes for tool in (*HOST_TOOLS[r.style], *r.host_tools)}
        tools |= {"git"} if any(r.patch for r in recipes) else set()
        absent = sorted(tool for tool in tools if not shutil.which(tool))
        if absent:
            raise MissingToolError(
                f"programs are not installed: {', '.join(absent)}",
                action=f"apt-get install {' '.join(packages_of(absent))} "
                "(or `invoke setup --for build`)",
            )

    def make(self, job: Job, unfetched: Mapping[str, BuildsysError], cores: int) -> Built:
        """The job's artifact: from the store, or built now. Raises any `BuildsysError`."""
        if stored := self.store.get(job.key):
            return Built(stored, cached=True)
        for error in _unfetched(job, unfetched):
            raise error
        try:
            with (
                disk_errors(self.cache.root, f"building {job.id}"),
                self.cache.lock(f"job-{job.key}"),
            ):
                # Another process may have built it while we waited.
                if stored := self.store.get(job.key):
                    return Built(stored, cached=True)
                with self.progress.step("build", job.id):
                    return Built(self._build(job, cores), cached=False)
        except BuildsysError as error:
            self.progress.failed(job.id, error)
            raise

    def _build(self, job: Job, cores: int) -> Artifact:
        start = time.monotonic()
        with self.prepared(job, cores) as context:
            begin = time.monotonic()
            STYLES[job.loaded.recipe.style](context)
            used = context.finished
            cpu = sum(one.cpu_seconds for one in used)
            peak = max((one.peak_mib for one in used), default=0.0)
            self.timeline.add("compile", job.id, begin, cpu, peak)
            return self._store(job, context, start)

    @contextmanager
    def prepared(self, job: Job, cores: int = 0) -> Iterator[Context]:
        """The job's sandbox with its source unpacked and patched, for as long as the block runs.

        Its commands use so many cores, or all.
        """
        log = self.cache.logs / f"{job.id}.log"
        log.write_bytes(b"")
        with self.cache.scratch(job.key[:32], exact=True) as work:
            context = self._context(job, work, self._needed(job), log, cores or self.jobs)
            context.sandbox.prepare()
            _install_wrappers(context)
            self._unpack(job, context)
            yield context

    def _needed(self, job: Job) -> dict[str, Artifact]:
        """Artifacts of the job's needs, verified."""
        needed = {}
        for need in job.needs:
            artifact = self.store.get(need.key)
            assert artifact is not None, f"{need.id} was built before {job.id}"
            self.store.verify(artifact)
            needed[need.recipe] = artifact
        return needed

    def _context(
        self, job: Job, work: Path, needed: Mapping[str, Artifact], log: Path, cores: int
    ) -> Context:
        shared = {
            "go": self.toolchain.go,
            "zig": self.toolchain.zig,
            "pkgconf": self.toolchain.pkgconf,
            "gomod": self.cache.gomod,
            "gocache": self.cache.gobuild,
            "zigcache": self.cache.zig,
            **self.toolchain.style_folders.get(job.loaded.recipe.style, {}),
            **{f"deps/{name}": artifact.folder / "files" for name, artifact in needed.items()},
        }
        sandbox = Sandbox(work, shared, self.isolated)
        recipe, target = job.loaded.recipe, self.project.targets.get(job.target)
        folders = [sandbox.path(f"deps/{name}/lib/pkgconfig") for name in needed]
        env = {
            "PATH": f"{sandbox.path('bin')}:{sandbox.path('go/bin')}:/usr/bin:/bin",
            "HOME": str(sandbox.path("home")),
            "TMPDIR": str(sandbox.path("tmp")),
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "SOURCE_DATE_EPOCH": str(int(recipe.date.timestamp())),
            "ROOM": str(sandbox.path("")),
            **(_c_environment(recipe, target) if target else {}),
            "ZIG_GLOBAL_CACHE_DIR": str(sandbox.path("zigcache")),
            "ZIG_LOCAL_CACHE_DIR": str(sandbox.path("zigcache")),
            "OBJECTS_DIR": str(sandbox.path("objects")),
            "PKG_CONFIG_LIBDIR": ":".join(str(folder) for folder in folders),
            "CC": "cc",
            # A configure script would else find the host's, and link its probes with it. libtool
            # wants a preprocessor even so, and ends where it finds none.
            "CXX": "false",
            "CXXCPP": "cc -E",
            "AR": "ar",
            "RANLIB": "ranlib",
            "STRIP": "strip",
        }
        return Context(recipe, target, sandbox, self.cache, self.toolchain, env, cores, log)

    def _unpack(self, job: Job, context: Context) -> None:
        begin = time.monotonic()
        recipe, folder = job.loaded.recipe, context.sandbox.host("src")
        self.fetcher.unpack(job.loaded, folder, context.log)
        if isinstance(recipe.options, GoOptions) and recipe.options.overlay:
            copy_inputs(job.loaded, recipe.options.overlay, folder)
        for patch in recipe.patches_for(job.target):
            name = f"recipes/{recipe.name}/patches/{patch.file}"
            place = self._patched(patch, context)
            apply_patch(job.loaded.folder / "patches" / patch.file, place, name, context.log)
        _set_times(folder, int(recipe.date.timestamp()), job.key)
        self.timeline.add("unpack", job.id, begin)

    def _patched(self, patch: Patch, context: Context) -> Path:
        """The tree that a patch is for."""
        folder = context.sandbox.host("src")
        if not patch.module:
            return folder
        return replace_module(patch.module, folder, self.cache, self.toolchain, context.log)

    def _store(self, job: Job, context: Context, start: float) -> Artifact:
        begin = time.monotonic()
        recipe = job.loaded.recipe
        picked = context.sandbox.root / "picked"
        with disk_errors(picked, f"collecting {job.id}"):
            checks = check_outputs(context, picked)
        artifact = self.store.add(
            picked,
            {
                "key": job.key,
                "recipe": job.recipe,
                "version": recipe.version,
                "target": job.target,
                "source": recipe.source.digest,
                "seconds": round(time.monotonic() - start, 2),
                "checks": checks,
            },
        )
        self.timeline.add("store", job.id, begin)
        return artifact


def task_of(job: Job, work: Callable[[int], object]) -> Task[object]:
    """The job in a graph."""
    recipe = job.loaded.recipe
    needs = tuple(need.id for need in job.needs)
    return Task(job.id, needs, recipe.memory_mib, work, CORE_MIB[recipe.style])


def joined(jobs: Iterable[Task[object]], further: Iterable[Task[object]]) -> list[Task[object]]:
    """All of them: what waits for one job only comes right behind it, before jobs as heavy."""
    rest = list(further)
    order: list[Task[object]] = []
    for job in jobs:
        order += [job, *(task for task in rest if task.needs == (job.name,))]
        rest = [task for task in rest if task.needs != (job.name,)]
    return [*order, *rest]


def _c_environment(recipe: Recipe, target: Target) -> dict[str, str]:
    """What the wrapper cc is told. Artifacts that are the same for all targets get no compiler."""
    return {f"ZIG_{name.upper()}": value for name, value in c_flags(recipe, target).items()}


def _unfetched(job: Job, failed: Mapping[str, BuildsysError]) -> list[BuildsysError]:
    """Why parts of the job's source could not be fetched."""
    labels = [source.label for source in wanted(job.loaded)]
    return [failed[label] for label in labels if label in failed]


def _set_times(folder: Path, seconds: int, key: str) -> None:
    """Give all files one date: make then takes what a release generated for up to date.

    Its nanoseconds are the job's own. Zig's cache takes a file of the same path, inode, size and
    time for unchanged, and inodes come again: another source must never have the same time.
    """
    time_ns = seconds * 10**9 + int(key[:16], 16) % 10**9
    for path in folder.rglob("*"):
        os.utime(path, ns=(time_ns, time_ns), follow_symlinks=False)


def _install_wrappers(context: Context) -> None:
    for wrapper in WRAPPERS.iterdir():
        shutil.copy(wrapper, context.sandbox.host("bin") / wrapper.name)
        (context.sandbox.host("bin") / wrapper.name).chmod(0o755)
