"""The release's notes and its record, from what was built and proven. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from buildsys.model import Target
from buildsys.release.version import Tag
from buildsys.verify.written import VerdictData

MIB = 1024 * 1024

Verdicts = Mapping[str, VerdictData]
"""The verdicts of one target, by kind."""


def release_record(
    tag: Tag,
    commit: str,
    targets: Sequence[Target],
    records: Mapping[str, Mapping[str, Any]],
    verdicts: Mapping[str, Verdicts],
    files: Mapping[str, tuple[str, int]],
) -> dict[str, Any]:
    """release.json as plain data: for programs, installers above all.

    `records` are the bundles' own, by target; `files` maps a name in the flat release to sha256 and
    size in bytes.
    """
    first = records[targets[0].name]
    return {
        "tag": tag.text,
        "k3s": first["version"],
        "go": first["go"],
        "commit": commit,
        "targets": {
            target.name: _target(target, records[target.name], verdicts[target.name])
            for target in targets
        },
        "files": {name: {"sha256": sha, "size": size} for name, (sha, size) in files.items()},
    }


def _target(target: Target, record: Mapping[str, Any], verdicts: Verdicts) -> dict[str, Any]:
    assert target.release
    upstream = target.release.upstream
    return {
        "summary": target.summary,
        "platform": target.image.platform,
        "uname": list(target.release.uname),
        "executable": f"k3s-{target.name}",
        "upstream": upstream.file if upstream else None,
        "sha256": record["sha256"],
        "size": record["size"],
        "required": list(target.release.verdicts),
        "verdicts": {kind: _verdict(found) for kind, found in sorted(verdicts.items())},
    }


def _verdict(found: VerdictData) -> dict[str, Any]:
    kept = {key: getattr(found, key) for key in ("passed", "sha256", "started", "seconds")}
    return {**kept, "steps": [{"name": one.name, "passed": one.passed} for one in found.steps]}


def notes(written: str, record: Mapping[str, Any], records: Mapping[str, Mapping[str, Any]]) -> str:
    """The notes: what somebody wrote, then targets, components and how to check a download."""
    return "\n".join(
        [
            f"# k3s {record['tag']}",
            "",
            written.strip(),
            "",
            "## Targets",
            "",
            *_targets(record),
            "",
            "## What is inside",
            "",
            *_components(records.values()),
            "",
            "## Check what you downloaded",
            "",
            "```sh",
            "sha256sum -c --ignore-missing sha256sums.txt",
            "```",
            "",
            "`release.json` has the verdicts, each with the sha256 of the executable that was "
            "tried, `k3s-sources.tar` the source of what is under the GPL or LGPL, and of this "
            "build.",
            "",
        ]
    )


def _targets(record: Mapping[str, Any]) -> Iterable[str]:
    yield "| target | for | MiB | passed on these bytes | sha256 |"
    yield "|---|---|---|---|---|"
    for name, target in record["targets"].items():
        passed = ", ".join(kind for kind, one in target["verdicts"].items() if one["passed"])
        size = f"{target['size'] / MIB:.1f}"
        cells = (f"`k3s-{name}`", target["summary"], size, passed, f"`{target['sha256']}`")
        yield f"| {' | '.join(cells)} |"


def _components(records: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    listed: dict[str, tuple[str, str]] = {}
    for record in records:
        for one in (*record["components"], *record["images"]):
            listed[one["name"]] = (one["version"], one["license"])
    yield "| component | version | licence |"
    yield "|---|---|---|"
    for name, (version, license_) in sorted(listed.items()):
        yield f"| {name} | {version} | {license_} |"
