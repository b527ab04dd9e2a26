"""The component table: what each component is, where it goes, and what is known of it on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from buildsys.cache import write_atomic
from buildsys.load import Project
from buildsys.model import Recipe, Target
from buildsys.verify.written import VerdictData, place, readable

PLACES = {
    "executable": "executable",
    "launcher": "launcher",
    "image": "image",
    "build": "build only",
}

HEADER = """# Components

Made by `invoke list --write` from the recipes; a test compares it. Sizes and verdicts change
with every build: `invoke list --components` shows those of the artifacts at hand.
"""


def rows(project: Project, targets: Sequence[Target], artifacts: Path) -> list[dict[str, Any]]:
    """Every component: what its recipe says, and per target its size in bytes and last verdict.

    Sizes are the compressed ones of `artifacts/k3s-<target>.json`; what was not built has none.
    """
    records = {target.name: _read(artifacts / f"k3s-{target.name}.json") for target in targets}
    verdicts = {target.name: readable(place(artifacts, target.name, "audit")) for target in targets}
    return [
        {
            **described(loaded.recipe, project),
            "built": {
                target.name: _state(loaded.recipe, records[target.name], verdicts[target.name])
                for target in targets
                if target.name not in loaded.recipe.lacking
            },
        }
        for _, loaded in sorted(project.recipes.items())
    ]


def described(recipe: Recipe, project: Project) -> dict[str, Any]:
    """What the recipe says of a component, as plain data."""
    return {
        "name": recipe.name,
        "summary": recipe.summary,
        "version": recipe.version,
        "date": recipe.date.isoformat(),
        "source": recipe.source.label,
        "license": recipe.license,
        "style": recipe.style,
        "needs": list(recipe.needs),
        "place": PLACES[recipe.output.into],
        "image": recipe.image.name if recipe.image else None,
        "targets": [name for name in project.targets if name not in recipe.lacking],
        "lacking": dict(recipe.lacking),
    }


def write_page(root: Path, project: Project) -> Path:
    """Write `docs/components.md` below `root`, whole or not at all; its path."""
    path = root / "docs/components.md"
    write_atomic(path, page(project).encode())
    return path


def page(project: Project) -> str:
    """docs/components.md."""
    lines = [HEADER, "| component | version | place | targets | style | license | source |"]
    lines.append("|---|---|---|---|---|---|---|")
    for _, loaded in sorted(project.recipes.items()):
        one = described(loaded.recipe, project)
        place = f"{one['place']} `{one['image']}`" if one["image"] else one["place"]
        on = ", ".join(one["targets"]) if one["lacking"] else "all"
        cells = (one["version"], place, on, one["style"], one["license"])
        lines.append(
            f"| **{one['name']}**: {one['summary']} | {' | '.join(cells)} | {one['source']} |"
        )
    lines += ["", "## What a target lacks", "", *_lacking(project)]
    lines += [
        "",
        "## Missing",
        "",
        "Upstream bundles these; no source of them can be had here.",
        "",
    ]
    for name, missing in project.missing.items():
        lines.append(
            f"- **{name}**, {missing.summary}. {missing.why} What it costs: {missing.costs} "
            f"What works instead: {missing.instead}"
        )
    lines += ["", "## Profiles", "", *_profiles(project), ""]
    return "\n".join(lines)


def _lacking(project: Project) -> Iterator[str]:
    found = [
        f"- {target} has no **{name}**: {reason}"
        for name, loaded in sorted(project.recipes.items())
        for target, reason in loaded.recipe.lacking.items()
    ]
    yield from found or ["Nothing: every target has every component."]


def _profiles(project: Project) -> Iterator[str]:
    for name, profile in project.profiles.items():
        without = ", ".join(profile.leave_out) or "nothing"
        yield f"- `{name}`: {profile.summary}. Left out: {without}."


def _state(
    recipe: Recipe, record: Mapping[str, Any], verdict: VerdictData | None
) -> dict[str, Any]:
    known = {c["name"]: c for c in (*record.get("components", ()), *record.get("images", ()))}
    found = known.get(recipe.name)
    if found is None:
        return {"size": None, "embedded": False, "verdict": "not built"}
    return {
        "size": found["compressed"],
        "embedded": found.get("embedded", False),
        "verdict": _verdict(recipe.name, found, record, verdict),
    }


def _verdict(
    name: str, found: Mapping[str, Any], record: Mapping[str, Any], verdict: VerdictData | None
) -> str:
    """How the last audit of this very executable judged the component."""
    if verdict is None or verdict.sha256 != record.get("sha256"):
        return "not audited"
    own = {f"run {name}", f"run {name}, not of the executable", f"linked objects {name}"}
    own |= {f"bounds {path}" for path in found["files"]} | {f"image {found.get('image')}"}
    steps = [step for step in verdict.steps if step.name in own]
    if not steps:
        return "not audited"
    return "passed" if all(step.passed for step in steps) else "FAILED"


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found
