"""Making the executable and the JSON beside it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buildsys.bundle.frame import Compressor
from buildsys.bundle.layout import Entry, Manifest, footer
from buildsys.cache import Cache, disk_errors, write_atomic
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
        """The executable of a former run, if it is there, unchanged and of this plan."""
        path, record_path = self._paths(plan.target)
        try:
            record = json.loads(record_path.read_text("utf-8"))
            if record["key"] == plan.key and record["sha256"] == _sha256(path):
                return Bundle(path, record, cached=True)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

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
        frames = [
            (artifact, file, compressor.frame(artifact.path(file.path), file.sha256))
            for artifact in members
            for file in artifact.files
            if not file.link
        ]
        begin = time.monotonic()
        path, manifest = self._write(target, artifacts[plan.launcher], members, frames)
        record = self._record(plan, manifest, members, artifacts[plan.launcher], path)
        _check_budgets(record, self.project, target)
        place, record_path = self._paths(plan.target)
        path.replace(place)
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
        frames: list[tuple[Artifact, StoredFile, Path]],
    ) -> tuple[Path, Manifest]:
        """Write the executable beside its place; return its path and its manifest."""
        self.artifacts.mkdir(exist_ok=True)
        path = self.artifacts / f".k3s-{target.name}.{os.getpid()}.tmp"
        with disk_errors(path, f"bundling k3s-{target.name}"):
            try:
                with path.open("wb") as out:
                    out.write(launcher.path(_program(launcher)).read_bytes())
                    places = []
                    for _, _, frame in frames:
                        places.append((out.tell(), frame.stat().st_size))
                        with frame.open("rb") as source:
                            shutil.copyfileobj(source, out)
                    manifest = self._manifest(target, members, frames).at(places)
                    text = manifest.encode()
                    out.write(text + footer(text, out.tell()))
                    os.fchmod(out.fileno(), 0o755)
                    out.flush()
                    os.fsync(out.fileno())
            except BaseException:
                path.unlink(missing_ok=True)
                raise
        return path, manifest

    def _manifest(
        self,
        target: Target,
        members: list[Artifact],
        frames: list[tuple[Artifact, StoredFile, Path]],
    ) -> Manifest:
        k3s = self.project.recipes["k3s"].recipe
        commit = k3s.source.commit if isinstance(k3s.source, GoModuleSource) else None
        return Manifest(
            target=target.name,
            version=k3s.version,
            commit=(commit or "")[:8],
            go=self.go_version,
            cpu=target.executable.cpu,
            files=tuple(Entry(f.path, f.mode, f.size, f.sha256) for _, f, _ in frames),
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
            "sha256": _sha256(path),
            "size": path.stat().st_size,
            "data": manifest.data,
            "components": components,
        }


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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
