"""Keeping verdicts in docs/proof, and making from them what people read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buildsys.cache import write_atomic
from buildsys.errors import NotBuiltError
from buildsys.jsonfile import read
from buildsys.load import Project
from buildsys.verify import status
from buildsys.verify.pictures import album, is_picture
from buildsys.verify.proof_page import first_line, page
from buildsys.verify.written import ShortVerdict, VerdictData, VerdictHead

BOOTLESS = ("audit", "smoke")
"""The kinds of verdict that boot no machine. Of these only the failures are kept by name."""


@dataclass(frozen=True)
class Kept:
    """The verdicts on file, by name."""

    bootless: Mapping[str, ShortVerdict]
    boots: Mapping[str, VerdictData]

    @property
    def heads(self) -> tuple[VerdictHead, ...]:
        """All of them."""
        return (*self.bootless.values(), *self.boots.values())


def keep(artifacts: Path, root: Path, project: Project) -> list[Path]:
    """Copy verdicts to `docs/proof` below `root`; write pictures, page and README's table anew.

    Verdicts about drafts are passed over. Those are made of all verdicts on file, whether
    `artifacts` has them still or not. Returns what was written. Raises `NotBuiltError` where there
    is no verdict at all, and `CorruptError` for a README without a place for the table.
    """
    docs, readme = root / "docs", root / "README.md"
    folder = docs / "proof"
    folder.mkdir(parents=True, exist_ok=True)
    found = ((path, read(VerdictData, path)) for path in _at_hand(artifacts, project))
    written = [_keep_one(path.name, one, folder) for path, one in found if not one.draft]
    verdicts = kept(docs)
    if not verdicts.heads:
        raise NotBuiltError(
            f"nothing has a verdict, neither in {artifacts / 'verdicts'} nor in {folder}",
            action="run `invoke audit --arch ARCH`, `invoke smoke --arch ARCH`, or with --scenario "
            "NAME; `invoke smoke --list` has them",
        )
    table = status.placed(readme.read_text("utf-8"), status.table(verdicts.heads, project))
    text = page(verdicts.bootless.values(), verdicts.boots, project)
    drawn = {folder / name: picture for name, picture in album(verdicts.boots).items()}
    made = {**drawn, docs / "proof.md": text, readme: table}
    for path, content in made.items():
        write_atomic(path, content.encode())
    for path in {*folder.glob("*.svg")} - drawn.keys():
        if is_picture(path.name, project):
            path.unlink()
    return [*written, *made]


def _at_hand(artifacts: Path, project: Project) -> Iterator[Path]:
    for name in (*BOOTLESS, *project.scenarios):
        yield from sorted((artifacts / "verdicts").glob(f"*-{name}.json"))


def _keep_one(name: str, verdict: VerdictData, folder: Path) -> Path:
    short = shortened(verdict)
    place = folder / name
    write_atomic(place, (json.dumps(short, indent=1) + "\n").encode())
    return place


def shortened(verdict: VerdictData) -> dict[str, Any]:
    """What is kept of a verdict, as plain data: a `VerdictData` or a `ShortVerdict`."""
    if verdict.kind not in BOOTLESS:
        return verdict.model_dump(exclude={"log", "draft"})
    failed = {one.name: first_line(one.detail) for one in verdict.steps if not one.passed}
    head = verdict.model_dump(include={*VerdictHead.model_fields} - {"draft"})
    return {**head, "tried": len(verdict.steps), "failed": failed}


def kept(docs: Path) -> Kept:
    """The verdicts that the page is made of. Raises `CorruptError`."""
    paths = sorted((docs / "proof").glob("*.json"))
    short = [path for path in paths if path.stem.rpartition("-")[2] in BOOTLESS]
    return Kept(
        {path.stem: read(ShortVerdict, path) for path in short},
        {path.stem: read(VerdictData, path) for path in paths if path not in short},
    )
