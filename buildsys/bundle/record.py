"""`k3s-<target>.json`: what is in the executable and the images, and whether it is too large."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from buildsys.bundle.images import MadeImage
from buildsys.bundle.manifest import Manifest
from buildsys.cache import file_sha256
from buildsys.errors import BudgetError
from buildsys.load import Project
from buildsys.model import Recipe, Target
from buildsys.plan import BundlePlan
from buildsys.store import Artifact

MIB = 1024 * 1024


def record_of(
    plan: BundlePlan,
    project: Project,
    manifest: Manifest,
    artifacts: Mapping[str, Artifact],
    images: Sequence[MadeImage],
    files: Mapping[str, Path],
) -> dict[str, Any]:
    """The record as plain data; sizes in bytes.

    `files` maps what was written to where it lies until the record is complete, the executable
    first.
    """
    written = {
        name: {"sha256": file_sha256(path), "size": path.stat().st_size}
        for name, path in files.items()
    }
    executable = next(iter(written.values()))
    frames = {file.path: file.length for file in manifest.files}
    embedded = {job.recipe for job in plan.embedded}
    return {
        "target": plan.target,
        "profile": plan.profile,
        "version": manifest.version,
        "go": manifest.go,
        "draft": manifest.draft,
        "key": plan.key,
        **executable,
        "embedded_size": sum(image.length for image in manifest.images),
        "data": manifest.data,
        "defaults": [asdict(default) for default in manifest.defaults],
        "files": written,
        "components": [
            {
                **_component(artifacts[job.recipe], project.recipes[job.recipe].recipe),
                "compressed": sum(frames.get(f.path, f.size) for f in artifacts[job.recipe].files),
            }
            for job in (*plan.members, plan.launcher)
        ],
        "images": [
            {
                **_component(
                    artifacts[made.image.recipe], project.recipes[made.image.recipe].recipe
                ),
                "compressed": made.frame.stat().st_size,
                "image": made.image.reference,
                "platform": made.image.platform,
                "digest": f"sha256:{made.image.manifest.sha256}",
                "embedded": made.image.recipe in embedded,
            }
            for made in images
        ],
        "left_out": list(project.profiles[plan.profile].leave_out),
        "lacking": dict(_lacking(plan.target, project)),
        "missing": missing_of(project),
    }


def is_draft(path: Path) -> bool:
    """Whether the bundle whose record lies at `path` is a draft; not where there is none."""
    try:
        return bool(json.loads(path.read_text("utf-8")).get("draft"))
    except (OSError, ValueError, AttributeError):
        return False


def missing_of(project: Project) -> dict[str, Any]:
    """What no target has, with its texts."""
    return {name: missing.model_dump() for name, missing in project.missing.items()}


def _component(artifact: Artifact, recipe: Recipe) -> dict[str, Any]:
    return {
        "name": artifact.recipe,
        "version": artifact.version,
        "source": recipe.source.label,
        "source_hash": artifact.source,
        "license": recipe.license,
        "key": artifact.key,
        "size": sum(file.size for file in artifact.files),
        "files": [file.path for file in artifact.files],
        "checks": dict(artifact.checks),
    }


def _lacking(target: str, project: Project) -> Iterator[tuple[str, str]]:
    for name, loaded in project.recipes.items():
        if reason := loaded.recipe.lacking.get(target):
            yield name, reason


def check_budgets(record: Mapping[str, Any], project: Project, target: Target) -> None:
    """Raise `BudgetError` that names everything larger than its budget.

    What is embedded counts apart from the executable that carries it.
    """
    sizes = [
        (c["name"], c["compressed"], project.recipes[c["name"]].recipe.output.budget_mib)
        for c in (*record["components"], *record["images"])
    ]
    table = target.executable
    own = record["size"] - record["embedded_size"]
    sizes.append((f"k3s-{target.name}", own, table.budget_mib))
    sizes.append(("embedded images", record["embedded_size"], table.embed_budget_mib))
    over = [
        (n, size, limit) for n, size, limit in sizes if limit is not None and size > limit * MIB
    ]
    if over:
        lines = [f"  {n}: {size / MIB:.3f} MiB, budget {limit} MiB" for n, size, limit in over]
        raise BudgetError(
            "larger than the budget:\n" + "\n".join(lines),
            cause="a component grew",
            action="shrink it, or raise budget_mib in its recipe or target with the reason",
        )
