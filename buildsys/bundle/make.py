"""Making one target's bundle: the executable, the airgap images, and the JSON beside them."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from buildsys.bundle.frame import DRAFT, RELEASE, Compressor
from buildsys.bundle.images import ImageMaker, MadeImage, demand_space, size_of, write_parts
from buildsys.bundle.layout import assemble
from buildsys.bundle.manifest import Default, Embedded, Entry, Manifest
from buildsys.bundle.older import keep_older
from buildsys.bundle.record import check_budgets, missing_of, record_of
from buildsys.cache import Cache, disk_errors, file_sha256, unfinished, write_atomic
from buildsys.load import Project
from buildsys.model import FULL, BoardDefault, GoModuleSource
from buildsys.plan import BundlePlan
from buildsys.report import Timeline
from buildsys.store import Artifact, Store, StoredFile

EMBEDDED_NAME = "k3s-{}.tar.zst"
"""Name of an embedded image's archive in agent/images."""


@dataclass(frozen=True)
class Bundle:
    """A finished bundle: its executable, what its JSON says, and whether this run made it."""

    path: Path
    record: Mapping[str, Any]
    cached: bool


@dataclass(frozen=True)
class Pressed:
    """What a bundle takes of one artifact: the frame of each file by its sha256, or its image."""

    frames: Mapping[str, Path]
    image: MadeImage | None = None


@dataclass(frozen=True)
class Bundler:
    """Makes bundles in the folder `artifacts`; `shown` surrounds each compression by its name."""

    project: Project
    cache: Cache
    timeline: Timeline
    artifacts: Path
    go_version: str
    shown: Callable[[str], AbstractContextManager[object]] = nullcontext

    def current(self, plan: BundlePlan) -> Bundle | None:
        """The bundle of a former run, if it is there, unchanged and of this plan.

        Raises `BudgetError`: a budget may have become smaller since.
        """
        path = self.artifacts / f"k3s-{plan.suffix}"
        try:
            record = json.loads(self.record_path(plan).read_text("utf-8"))
            if record["key"] != plan.key or record["missing"] != missing_of(self.project):
                return None
            for name, file in record["files"].items():
                if file["sha256"] != file_sha256(self.artifacts / name):
                    return None
            check_budgets(record, self.project, self.project.targets[plan.target])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return Bundle(path, record, cached=True)

    def press(self, plan: BundlePlan, artifact: Artifact, threads: int = 1) -> Pressed:
        """Compress what the bundle takes of an artifact, unless that was done before.

        Raises `CorruptError` for a damaged store entry, `CheckError` for an image of another
        platform, `DiskFullError`.
        """
        Store(self.cache).verify(artifact)
        if any(job.recipe == artifact.recipe for job in plan.images):
            recipe = self.project.recipes[artifact.recipe].recipe
            with self.cache.scratch(f"layer-{artifact.recipe}") as scratch:
                made = self.images(plan).make(recipe, artifact, scratch, threads)
            return Pressed({}, made)
        compressor = self._compressor(plan)
        files = {file.sha256: artifact.path(file.path) for file in artifact.files if not file.link}
        return Pressed({sha: compressor.frame(path, sha, threads) for sha, path in files.items()})

    def make(
        self,
        plan: BundlePlan,
        artifacts: Mapping[str, Artifact],
        pressed: Mapping[str, Pressed] | None = None,
    ) -> Bundle:
        """Write the bundle's files; each appears whole or not at all, the JSON last.

        `pressed` has what `press` made of members and images, by their recipes; without it, that
        comes first. Raises what `press` raises, and `BudgetError`.
        """
        if current := self.current(plan):
            return current
        Store(self.cache).verify(artifacts[plan.launcher.recipe])
        with (
            self.cache.scratch(f"bundle-{plan.suffix}") as scratch,
            disk_errors(self.artifacts, f"bundling k3s-{plan.suffix}"),
        ):
            self.artifacts.mkdir(exist_ok=True)
            if pressed is None:
                pressed = {j.recipe: self.press(plan, artifacts[j.recipe]) for j in plan.pressed}
            return _Making(self, plan, artifacts, pressed, scratch).run()

    def images(self, plan: BundlePlan) -> ImageMaker:
        """What makes the plan's images."""
        return ImageMaker(self.project.targets[plan.target], self._compressor(plan))

    def _compressor(self, plan: BundlePlan) -> Compressor:
        window = self.project.targets[plan.target].executable.window_mib
        effort = DRAFT if plan.draft else RELEASE

        def shown(name: str) -> AbstractContextManager[object]:
            return self.shown(f"{name} for {plan.suffix}")

        return Compressor(self.cache, self.timeline, window, effort, shown)

    def record_path(self, plan: BundlePlan) -> Path:
        """Where the bundle's JSON lies."""
        return self.artifacts / f"k3s-{plan.suffix}.json"


class _Making:
    """One bundle in the making; its large files lie in the output folder under hidden names."""

    def __init__(
        self,
        bundler: Bundler,
        plan: BundlePlan,
        artifacts: Mapping[str, Artifact],
        pressed: Mapping[str, Pressed],
        scratch: Path,
    ) -> None:
        self.bundler, self.plan, self.artifacts = bundler, plan, artifacts
        self.pressed, self.scratch = pressed, scratch
        self.target = bundler.project.targets[plan.target]
        self.maker = bundler.images(plan)

    def run(self) -> Bundle:
        plan, bundler = self.plan, self.bundler
        found = (self.pressed[job.recipe].image for job in plan.images)
        images = [image for image in found if image]
        frames = list(self._frames())
        begin = time.monotonic()
        with self._written(images, frames) as (files, manifest):
            record = record_of(plan, bundler.project, manifest, self.artifacts, images, files)
            check_budgets(record, bundler.project, self.target)
            keep_older(bundler.artifacts / f"k3s-{plan.suffix}", manifest.data)
            for name, path in files.items():
                path.replace(bundler.artifacts / name)
        write_atomic(bundler.record_path(plan), (json.dumps(record, indent=2) + "\n").encode())
        bundler.timeline.add("bundle", plan.suffix, begin)
        return Bundle(bundler.artifacts / f"k3s-{plan.suffix}", record, cached=False)

    def _frames(self) -> Iterator[tuple[Entry, Path]]:
        """Each file of the executable and its frame, the listings last."""
        members = [self.artifacts[job.recipe] for job in self.plan.members]
        for artifact in members:
            for file in artifact.files:
                if not file.link:
                    yield entry_of(file), self.pressed[artifact.recipe].frames[file.sha256]
        for name, data in listings(f for artifact in members for f in artifact.files).items():
            path = self.scratch / Path(name).name
            path.write_bytes(self.maker.compressor.small_frame(data))
            yield Entry(name, 0o644, len(data), hashlib.sha256(data).hexdigest()), path

    @contextmanager
    def _written(
        self, images: Sequence[MadeImage], frames: Sequence[tuple[Entry, Path]]
    ) -> Iterator[tuple[dict[str, Path], Manifest]]:
        """All files under hidden names, by the names that they are to have; gone at the end."""
        suffix = self.plan.suffix
        embedded = list(self._embedded(images))
        archives: dict[str, list[bytes | Path]] = {}
        if images:
            listing = "".join(f"{made.image.reference}\n" for made in images).encode()
            archives = {
                f"k3s-airgap-images-{suffix}.tar.zst": self.maker.zstd(images),
                f"k3s-airgap-images-{suffix}.tar.gz": self.maker.gzip(images),
                _listing_name(self.plan.profile): [listing],
            }
        paths = [path for _, path in (*frames, *embedded)]
        needed = sum(map(size_of, archives.values())) + size_of(paths)
        demand_space(self.bundler.artifacts, needed, f"bundling k3s-{suffix}")
        name = f"k3s-{suffix}"
        with ExitStack() as hidden:
            files = {
                file: hidden.enter_context(unfinished(self.bundler.artifacts / file))
                for file in (name, *archives)
            }
            with _synced(files[name], 0o755) as out:
                manifest = self._executable(out, frames, embedded)
            for file, parts in archives.items():
                with _synced(files[file], 0o644) as out:
                    write_parts(parts, out)
            yield files, manifest

    def _embedded(self, images: Sequence[MadeImage]) -> Iterator[tuple[Embedded, Path]]:
        """An archive of its own for each image that the executable carries."""
        wanted = {job.recipe for job in self.plan.embedded}
        for made in images:
            if made.image.recipe in wanted:
                path = self.scratch / EMBEDDED_NAME.format(made.image.recipe)
                with path.open("wb") as out:
                    self.maker.pack(made, out)
                yield Embedded(path.name, path.stat().st_size, file_sha256(path)), path

    def _executable(
        self,
        out: BinaryIO,
        frames: Sequence[tuple[Entry, Path]],
        embedded: Sequence[tuple[Embedded, Path]],
    ) -> Manifest:
        launcher = self.artifacts[self.plan.launcher.recipe]
        program = next(file.path for file in launcher.files if not file.link)
        manifest = self._manifest(frames, embedded)
        return assemble(
            out,
            launcher.path(program),
            manifest,
            [path for _, path in frames],
            [path for _, path in embedded],
        )

    def _manifest(
        self, frames: Sequence[tuple[Entry, Path]], embedded: Sequence[tuple[Embedded, Path]]
    ) -> Manifest:
        k3s = self.bundler.project.recipes["k3s"].recipe
        commit = k3s.source.commit if isinstance(k3s.source, GoModuleSource) else None
        members = (self.artifacts[job.recipe] for job in self.plan.members)
        return Manifest(
            target=self.target.name,
            version=k3s.version,
            commit=(commit or "")[:8],
            go=self.bundler.go_version,
            draft=self.plan.draft,
            cpu=self.target.executable.cpu,
            files=tuple(entry for entry, _ in frames),
            links={f.path: f.link for member in members for f in member.files if f.link},
            images=tuple(image for image, _ in embedded),
            without=self.plan.without,
            defaults=tuple(map(default_of, self.target.executable.default)),
        )


@contextmanager
def _synced(path: Path, mode: int) -> Iterator[BinaryIO]:
    """A new file whose bytes have reached the disk at the end."""
    with path.open("wb") as out:
        yield out
        os.fchmod(out.fileno(), mode)
        out.flush()
        os.fsync(out.fileno())


def _listing_name(profile: str) -> str:
    """As upstream names the list of images, which is the same for all targets."""
    return "k3s-images.txt" if profile == FULL else f"k3s-images-{profile}.txt"


def listings(files: Iterable[StoredFile]) -> dict[str, bytes]:
    """`bin/.sha256sums` and `bin/.links`, by which check-config verifies what was unpacked.

    Format: that of k3s's scripts/package-cli, names relative to bin/, sorted by name.
    """
    inside = sorted(
        (file.path.removeprefix("bin/"), file) for file in files if file.path.startswith("bin/")
    )
    sums = "".join(f"{file.sha256}  {name}\n" for name, file in inside if not file.link)
    links = "".join(f"{name} {file.link}\n" for name, file in inside if file.link)
    return {"bin/.sha256sums": sums.encode(), "bin/.links": links.encode()}


def default_of(default: BoardDefault) -> Default:
    """The manifest's line for a target's default."""
    commands = ",".join(sorted(default.commands, reverse=True))
    name = default.env or default.flag or ""
    kind = "flag" if default.flag else "env"
    return Default(commands, default.below_mib, kind, name, default.value, default.why)


def entry_of(file: StoredFile) -> Entry:
    """The manifest's line for a stored file, without its frame's place."""
    return Entry(file.path, file.mode, file.size, file.sha256)
