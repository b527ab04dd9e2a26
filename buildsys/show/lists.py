"""What there is: targets, profiles, components, scenarios."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from buildsys.components import rows
from buildsys.load import Project
from buildsys.model import Target, bundle_suffix
from buildsys.report import print_table
from buildsys.show.common import MIB, mib, print_json
from buildsys.verify.written import last_verdict


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
        state = ("-", "lacks it") if built is None else (mib(built["size"]), built["verdict"])
        if built and built["embedded"]:
            shared = (*shared[:3], "embedded image", shared[4])
        yield (*shared, target.name, *state)
        shared = ("", "", "", "", "")


def _profile_size(targets: Sequence[Target], artifacts: Path, profile: str) -> str:
    """Sizes of the profile's executables at hand."""
    paths = [artifacts / f"k3s-{bundle_suffix(t.name, profile)}" for t in targets]
    return " ".join(f"{p.name} {p.stat().st_size / MIB:.1f}" for p in paths if p.is_file()) or "-"


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
