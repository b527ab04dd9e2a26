"""Making the executable and the JSON beside it."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from buildsys.bundle.frame import Compressor
from buildsys.bundle.layout import Entry, Manifest, assemble
from buildsys.cache import Cache, disk_errors, file_sha256, write_atomic
from buildsys.errors import BudgetError
from buildsys.load import Project
from buildsys.model import GoModuleSource, Target
from buildsys.plan import BundlePlan
from buildsys.report import Timeline
from buildsys.store import Artifact, Store, StoredFile

MIB = 1024 * 1024


@dataclass(frozen=True)
class Bundle:
    """A finished executable, what its JSON says, and whether this run made it."""

    path: Path
    record: Mapping[str, Any]
    cached: bool


@dataclass(frozen=True)
class Bundler:
    """Makes executables in the folder `artifacts`."""

    project: Project
    cache: Cache
    timeline: Timeline
    artifacts: Path
    go_version: str

    def current(self, plan: BundlePlan) -> Bundle | None:
        """The executable of a former run, if it is there, unchanged and of this plan.

        Raises `BudgetError`: a budget may have become smaller since.
        """
        path, record_path = self._paths(plan.target)
        try:
            record = json.loads(record_path.read_text("utf-8"))
            if record["key"] != plan.key or record["sha256"] != file_sha256(path):
                return None
            _check_budgets(record, self.project, self.project.targets[plan.target])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return Bundle(path, record, cached=True)

    def make(self, plan: BundlePlan, artifacts: Mapping[str, Artifact]) -> Bundle:
        """Write `k3s-<target>` and `k3s-<target>.json`; both appear whole or not at all.

        Raises `CorruptError` for a damaged store entry, `BudgetError`, `DiskFullError`.
        """
        if current := self.current(plan):
            return current
        store = Store(self.cache)
        for artifact in artifacts.values():
            store.verify(artifact)
        target = self.project.targets[plan.target]
        compressor = Compressor(self.cache, self.timeline, target.executable.window_mib)
        members = [artifacts[name] for name in plan.members]
        files = [file for artifact in members for file in artifact.files]
        frames = [
            (entry_of(file), compressor.frame(artifact.path(file.path), file.sha256))
            for artifact in members
            for file in artifact.files
            if not file.link
        ]
        with self.cache.scratch(f"bundle-{uuid4().hex}") as folder:
            for name, data in listings(files).items():
                path = folder / Path(name).name
                path.write_bytes(data)
                entry = Entry(name, 0o644, len(data), hashlib.sha256(data).hexdigest())
                frames.append((entry, compressor.frame(path, entry.sha256)))
        begin = time.monotonic()
        path, manifest = self._write(target, artifacts[plan.launcher], members, frames)
        place, record_path = self._paths(plan.target)
        try:
            record = self._record(plan, manifest, members, artifacts[plan.launcher], path)
            _check_budgets(record, self.project, target)
            path.replace(place)
        finally:
            path.unlink(missing_ok=True)
        write_atomic(record_path, (json.dumps(record, indent=2) + "\n").encode())
        self.timeline.add("bundle", plan.target, begin)
        return Bundle(place, record, cached=False)

    def _paths(self, target: str) -> tuple[Path, Path]:
        return self.artifacts / f"k3s-{target}", self.artifacts / f"k3s-{target}.json"

    def _write(
        self,
        target: Target,
        launcher: Artifact,
        members: list[Artifact],
        frames: list[tuple[Entry, Path]],
    ) -> tuple[Path, Manifest]:
        """Write the executable beside its place; return its path and its manifest."""
        path = self.artifacts / f".k3s-{target.name}.{os.getpid()}.tmp"
        with disk_errors(self.artifacts, f"bundling k3s-{target.name}"):
            self.artifacts.mkdir(exist_ok=True)
            self._sweep(target.name)
            try:
                with path.open("wb") as out:
                    manifest = assemble(
                        out,
                        launcher.path(_program(launcher)),
                        self._manifest(target, members, frames),
                        [frame for _, frame in frames],
                    )
                    os.fchmod(out.fileno(), 0o755)
                    out.flush()
                    os.fsync(out.fileno())
            except BaseException:
                with suppress(OSError):
                    path.unlink()
                raise
        return path, manifest

    def _sweep(self, target: str) -> None:
        """Remove what killed runs left; the name tells whose it was."""
        for path in self.artifacts.glob(f".k3s-{target}.*.tmp"):
            if not Path("/proc", path.suffixes[-2].removeprefix(".")).exists():
                path.unlink(missing_ok=True)

    def _manifest(
        self,
        target: Target,
        members: list[Artifact],
        frames: list[tuple[Entry, Path]],
    ) -> Manifest:
        k3s = self.project.recipes["k3s"].recipe
        commit = k3s.source.commit if isinstance(k3s.source, GoModuleSource) else None
        return Manifest(
            target=target.name,
            version=k3s.version,
            commit=(commit or "")[:8],
            go=self.go_version,
            cpu=target.executable.cpu,
            files=tuple(entry for entry, _ in frames),
            links={f.path: f.link for m in members for f in m.files if f.link},
        )

    def _record(
        self,
        plan: BundlePlan,
        manifest: Manifest,
        members: list[Artifact],
        launcher: Artifact,
        path: Path,
    ) -> dict[str, Any]:
        """What `k3s-<target>.json` says; sizes in bytes."""
        frames = {file.path: file.length for file in manifest.files}
        components = [
            {
                "name": artifact.recipe,
                "version": artifact.version,
                "source": self.project.recipes[artifact.recipe].recipe.source.label,
                "source_hash": artifact.source,
                "license": self.project.recipes[artifact.recipe].recipe.license,
                "key": artifact.key,
                "size": sum(file.size for file in artifact.files),
                "compressed": sum(frames.get(f.path, f.size) for f in artifact.files),
                "files": [file.path for file in artifact.files],
                "checks": dict(artifact.checks),
            }
            for artifact in [*members, launcher]
        ]
        return {
            "target": plan.target,
            "version": manifest.version,
            "go": manifest.go,
            "key": plan.key,
            "sha256": file_sha256(path),
            "size": path.stat().st_size,
            "data": manifest.data,
            "components": components,
        }


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


def entry_of(file: StoredFile) -> Entry:
    """The manifest's line for a stored file, without its frame's place."""
    return Entry(file.path, file.mode, file.size, file.sha256)


def _program(launcher: Artifact) -> str:
    return next(file.path for file in launcher.files if not file.link)


def _check_budgets(record: Mapping[str, Any], project: Project, target: Target) -> None:
    over = []
    for component in record["components"]:
        budget = project.recipes[component["name"]].recipe.output.budget_mib
        if budget is not None and component["compressed"] > budget * MIB:
            over.append((component["name"], component["compressed"], budget))
    if record["size"] > target.executable.budget_mib * MIB:
        over.append((f"k3s-{target.name}", record["size"], target.executable.budget_mib))
    if over:
        lines = [f"  {n}: {size / MIB:.2f} MiB, budget {budget} MiB" for n, size, budget in over]
        raise BudgetError(
            "larger than the budget:\n" + "\n".join(lines),
            cause="a component grew",
            action="shrink it, or raise budget_mib in its recipe or target with the reason",
        )
