"""docs/proof.md: what was tried, on which bytes, and what is not proven. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from buildsys.load import Project
from buildsys.verify.pictures import file_name, pictures
from buildsys.verify.written import Run, ShortVerdict, VerdictData

HEADER = """# Proof

Made by `invoke proof` from the verdicts in `docs/proof/`, which are those of `invoke audit` and
`invoke smoke`, with and without a scenario; a test compares it. `docs/verdicts.md` explains them.
A guest second is the emulated board's; memory is what its kernel calls available, and what is
resident of k3s. A picture has all boots of a board, each from its own first second. The sha256
names the executable that was tried.
"""


def page(
    bootless: Collection[ShortVerdict], boots: Mapping[str, VerdictData], project: Project
) -> str:
    """The whole page; `boots` by the names of their files."""
    lines = [HEADER, *_bootless(bootless)]
    for name, verdict in boots.items():
        lines += _section(name, verdict)
    lines += ["## Not proven", "", *_unproven(boots.values(), project), ""]
    return "\n".join(lines)


def _bootless(verdicts: Collection[ShortVerdict]) -> Iterator[str]:
    if not verdicts:
        return
    yield "## Audited and served, without a machine"
    yield ""
    yield "| executable | what | result | steps | seconds | started | sha256 |"
    yield "|---|---|---|---|---|---|---|"
    for one in verdicts:
        failed = "; ".join(f"{name}: {detail}" for name, detail in one.failed.items())
        result = "passed" if one.passed else f"**FAILED**: {failed}"
        cells = (one.tried, one.seconds, one.started, f"`{one.sha256}`")
        yield f"| `{one.file}` | {one.kind} | {result} | {' | '.join(map(str, cells))} |"
    yield ""


def _section(name: str, verdict: VerdictData) -> Iterator[str]:
    facts = verdict.facts
    state = "passed" if verdict.passed else "FAILED"
    yield f"## {verdict.target}, {verdict.kind}: {state}"
    yield ""
    yield (
        f"`{verdict.file}`, sha256 `{verdict.sha256}`, {verdict.started}, on "
        f"{facts['machine']} under {facts['kernel']}; {facts['wall_seconds']} wall seconds."
    )
    if len(verdict.runs) > 1:
        yield _of_runs(verdict.runs)
    if "older" in facts:
        yield f"The older executable has the sha256 `{facts['older']}`."
    yield ""
    yield "| step | result | guest seconds | at | available MiB | k3s MiB |"
    yield "|---|---|---|---|---|---|"
    for step in verdict.steps:
        known = step.facts
        cells = [known.get(key, "") for key in ("guest_seconds", "at", "available_mib", "rss_mib")]
        result = "passed" if step.passed else f"**FAILED**: {first_line(step.detail)}"
        of = f"{known['board']}: " if "board" in known else ""
        yield f"| {of}{step.name} | {result} | {' | '.join(str(cell) for cell in cells)} |"
    yield ""
    least = verdict.steps[-1].facts
    if "least_available_mib" in least:
        yield (
            f"At the worst {least['least_available_mib']} MiB were available, of k3s "
            f"{least['most_resident_mib']} MiB resident, {least['most_swapped_mib']} swapped."
        )
        yield ""
    for board in pictures(verdict):
        yield f"![memory over guest time](proof/{file_name(name, board)})"
        yield ""


def _of_runs(runs: Sequence[Run]) -> str:
    ended = ", ".join(f"{run.seconds}{'' if run.passed else ' FAILED'}" for run in runs)
    failed = sum(not run.passed for run in runs)
    said = f"{failed} of them FAILED" if failed else "all passed"
    return f"These bytes were tried {len(runs)} times, {said}: {ended} seconds."


def first_line(text: str) -> str:
    """What of a failure's words fits into a table."""
    return re.sub(r"[|\n].*", "", text.splitlines()[0] if text else "")


def _unproven(verdicts: Collection[VerdictData], project: Project) -> Iterator[str]:
    tried = {verdict.target for verdict in verdicts}
    passed = {(one.target, one.kind) for one in verdicts if one.passed}
    found = [
        f"- {target}, {scenario.name}: {scenario.summary[0].lower()}{scenario.summary[1:]}"
        for target in sorted(tried & project.targets.keys())
        for scenario in project.scenarios.values()
        if (target, scenario.name) not in passed
    ]
    found += [
        f"- {target}: no scenario at all" for target in project.targets if target not in tried
    ]
    yield from found or ["Nothing that has a scenario."]
    yield "- any target on real hardware: everything above ran in an emulator"
