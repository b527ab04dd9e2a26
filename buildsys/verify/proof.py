"""docs/proof.md: what was tried, on which bytes, and what is not proven. From verdicts only."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from buildsys.cache import write_atomic
from buildsys.errors import NotBuiltError
from buildsys.load import Project
from buildsys.verify import status
from buildsys.verify.chart import Series, chart

HEADER = """# Proof

Made by `invoke proof` from the verdicts in `docs/proof/`, which are those of `invoke audit` and
`invoke smoke`, with and without a scenario; a test compares it. `docs/verdicts.md` explains them.
A guest second is the emulated board's; memory is what its kernel calls available, and what is
resident of k3s. A picture has all boots of a board, each from its own first second. The sha256
names the executable that was tried.
"""

BOOTLESS = ("audit", "smoke")
"""The kinds of verdict that boot no machine. Of these only the failures are kept by name."""

MEASURED = {"available": "available", "rss": "resident, k3s", "swap": "swapped"}
"""What a picture shows of a boot's beats, and its words for it."""

Beats = Sequence[Mapping[str, Any]]
"""What a guest said of itself in one boot, in its order."""

_KEPT = ("kind", "target", "file", "sha256", "passed", "started", "seconds")


def keep(artifacts: Path, root: Path, project: Project) -> list[Path]:
    """Copy verdicts to `docs/proof` below `root`; write pictures, page and README's table anew.

    Those are made of all verdicts on file, whether `artifacts` has them still or not. Returns what
    was written. Raises `NotBuiltError` where there is no verdict at all, and `CorruptError` for a
    README without a place for the table.
    """
    docs, readme = root / "docs", root / "README.md"
    folder = docs / "proof"
    folder.mkdir(parents=True, exist_ok=True)
    written = [_keep_one(path, folder) for path in _at_hand(artifacts, project)]
    verdicts = kept(docs)
    if not verdicts:
        raise NotBuiltError(
            f"nothing has a verdict, neither in {artifacts / 'verdicts'} nor in {folder}",
            action="run `invoke audit --arch ARCH`, `invoke smoke --arch ARCH`, or with --scenario "
            "NAME; `invoke smoke --list` has them",
        )
    table = status.placed(readme.read_text("utf-8"), status.table([*verdicts.values()], project))
    drawn = {folder / name: text for name, text in album(verdicts).items()}
    for path, text in {**drawn, docs / "proof.md": page(verdicts, project), readme: table}.items():
        write_atomic(path, text.encode())
        written.append(path)
    for path in {*folder.glob("*.svg")} - drawn.keys():
        path.unlink()
    return written


def _at_hand(artifacts: Path, project: Project) -> Iterator[Path]:
    for name in (*BOOTLESS, *project.scenarios):
        yield from sorted((artifacts / "verdicts").glob(f"*-{name}.json"))


def _keep_one(path: Path, folder: Path) -> Path:
    short = shortened(json.loads(path.read_text("utf-8")))
    place = folder / path.name
    write_atomic(place, (json.dumps(short, indent=1) + "\n").encode())
    return place


def shortened(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a verdict."""
    short = {key: verdict[key] for key in (*_KEPT, "runs") if key in verdict}
    if verdict["kind"] not in BOOTLESS:
        return {**short, "facts": verdict["facts"], "steps": verdict["steps"]}
    failed = {s["name"]: _first_line(s["detail"]) for s in verdict["steps"] if not s["passed"]}
    return {**short, "tried": len(verdict["steps"]), "failed": failed}


def kept(docs: Path) -> dict[str, Any]:
    """The verdicts that the page is made of, by name."""
    paths = sorted((docs / "proof").glob("*.json"))
    return {path.stem: json.loads(path.read_text("utf-8")) for path in paths}


def album(verdicts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """All pictures of the page, by their files' names."""
    return {
        _file(name, board): picture
        for name, verdict in verdicts.items()
        for board, picture in pictures(verdict).items()
    }


def _file(name: str, board: str) -> str:
    return f"{name}-{board}.svg" if board else f"{name}.svg"


def pictures(verdict: Mapping[str, Any]) -> dict[str, str]:
    """A picture for each board that booted, with all its boots; a single board has no name."""
    facts = verdict.get("facts", {})
    beats = facts.get("boots", ())
    boards = facts.get("boards", [""] * len(beats))  # one board is not named
    booted: dict[str, list[Beats]] = {}
    for board, boot in zip(boards, beats, strict=True):
        if boot:
            booted.setdefault(board, []).append(boot)
    return {board: _of_board(verdict, board, boots) for board, boots in booted.items()}


def _of_board(verdict: Mapping[str, Any], board: str, boots: Sequence[Beats]) -> str:
    title = f"{verdict['target']}: {verdict['kind']}" + (f", {board}" if board else "")
    series = [
        Series(name, [[(beat["uptime"], beat[key]) for beat in boot] for boot in boots])
        for key, name in MEASURED.items()
        if any(beat[key] for boot in boots for beat in boot)
    ]
    if len(boots) > 1:
        return chart(f"{title}, {len(boots)} boots", series, [])
    marks = [
        (step["facts"]["at"], step["name"])
        for step in verdict["steps"]
        if "at" in step["facts"] and step["facts"].get("board", board) == board
    ]
    return chart(title, series, marks)


def page(verdicts: Mapping[str, Mapping[str, Any]], project: Project) -> str:
    """The whole page."""
    boots = {n: v for n, v in verdicts.items() if v["kind"] not in BOOTLESS}
    lines = [HEADER, *_bootless([v for v in verdicts.values() if v["kind"] in BOOTLESS])]
    for name, verdict in boots.items():
        lines += _section(name, verdict)
    lines += ["## Not proven", "", *_unproven(boots.values(), project), ""]
    return "\n".join(lines)


def _bootless(verdicts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not verdicts:
        return
    yield "## Audited and served, without a machine"
    yield ""
    yield "| executable | what | result | steps | seconds | started | sha256 |"
    yield "|---|---|---|---|---|---|---|"
    for one in verdicts:
        failed = "; ".join(f"{name}: {detail}" for name, detail in one["failed"].items())
        result = "passed" if one["passed"] else f"**FAILED**: {failed}"
        cells = (one["tried"], one["seconds"], one["started"], f"`{one['sha256']}`")
        yield f"| `{one['file']}` | {one['kind']} | {result} | {' | '.join(map(str, cells))} |"
    yield ""


def _section(name: str, verdict: Mapping[str, Any]) -> Iterator[str]:
    facts = verdict["facts"]
    state = "passed" if verdict["passed"] else "FAILED"
    yield f"## {verdict['target']}, {verdict['kind']}: {state}"
    yield ""
    yield (
        f"`{verdict['file']}`, sha256 `{verdict['sha256']}`, {verdict['started']}, on "
        f"{facts['machine']} under {facts['kernel']}; {facts['wall_seconds']} wall seconds."
    )
    runs = verdict.get("runs", ())
    if len(runs) > 1:
        yield _of_runs(runs)
    if "older" in facts:
        yield f"The older executable has the sha256 `{facts['older']}`."
    yield ""
    yield "| step | result | guest seconds | at | available MiB | k3s MiB |"
    yield "|---|---|---|---|---|---|"
    for step in verdict["steps"]:
        known = step["facts"]
        cells = [known.get(key, "") for key in ("guest_seconds", "at", "available_mib", "rss_mib")]
        result = "passed" if step["passed"] else f"**FAILED**: {_first_line(step['detail'])}"
        of = f"{known['board']}: " if "board" in known else ""
        yield f"| {of}{step['name']} | {result} | {' | '.join(str(cell) for cell in cells)} |"
    yield ""
    least = verdict["steps"][-1]["facts"]
    if "least_available_mib" in least:
        yield (
            f"At the worst {least['least_available_mib']} MiB were available, of k3s "
            f"{least['most_resident_mib']} MiB resident, {least['most_swapped_mib']} swapped."
        )
        yield ""
    for board in pictures(verdict):
        yield f"![memory over guest time](proof/{_file(name, board)})"
        yield ""


def _of_runs(runs: Sequence[Mapping[str, Any]]) -> str:
    ended = ", ".join(f"{run['seconds']}{'' if run['passed'] else ' FAILED'}" for run in runs)
    failed = sum(not run["passed"] for run in runs)
    said = f"{failed} of them FAILED" if failed else "all passed"
    return f"These bytes were tried {len(runs)} times, {said}: {ended} seconds."


def _first_line(text: str) -> str:
    return re.sub(r"[|\n].*", "", text.splitlines()[0] if text else "")


def _unproven(verdicts: Collection[Mapping[str, Any]], project: Project) -> Iterator[str]:
    tried = {verdict["target"] for verdict in verdicts}
    passed = {(v["target"], v["kind"]) for v in verdicts if v["passed"]}
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
