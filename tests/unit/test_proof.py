"""docs/proof: the verdicts that are kept, and the page and pictures that they make."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from buildsys.errors import NotBuiltError
from buildsys.load import load_project
from buildsys.verify import proof
from buildsys.verify.chart import Series, chart
from buildsys.verify.pictures import album, pictures
from buildsys.verify.proof_page import page
from buildsys.verify.status import BEGIN, END
from buildsys.verify.written import VerdictData

from .conftest import CHECKOUT

pytestmark = pytest.mark.unit

PROJECT = load_project(CHECKOUT)


def step(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "passed": True, "seconds": 1.0, "detail": "", "facts": {}, **more}


def data(kind: str = "single", **more: Any) -> dict[str, Any]:
    """A verdict as a verb leaves it."""
    beats = [
        {"uptime": float(n), "available": 400 - n, "rss": 2.0 * n, "swap": 0.0} for n in range(100)
    ]
    facts = {"machine": "raspi0", "kernel": "debian:x", "wall_seconds": 99, "boots": [beats]}
    memory = {"least_available_mib": 301, "most_resident_mib": 198.0, "most_swapped_mib": 0}
    steps = [
        step("ready", facts={"at": 50.0, "rss_mib": 100}),
        step("memory", facts=memory),
    ]
    usual = {"kind": kind, "target": "armv6", "file": "k3s-armv6", "sha256": "ab" * 32}
    times = {"size": 81 << 20, "passed": True, "started": "2026-01-01T00:00:00Z", "seconds": 99.0}
    return {**usual, **times, "log": "a.log", "facts": facts, "steps": steps, **more}


def verdict(**more: Any) -> VerdictData:
    return VerdictData.model_validate(data(**more))


def page_of(one: VerdictData) -> str:
    return page((), {"armv6-single": one}, PROJECT)


def test_page_says_what_passed_and_what_is_not_proven() -> None:
    text = page_of(verdict())
    assert "## armv6, single: passed" in text
    assert "| ready | passed |  | 50.0 |  | 100 |" in text
    assert "At the worst 301 MiB" in text
    unproven = text.partition("## Not proven")[2]
    assert "- armv6, server: " in unproven
    assert "- armv6, single: " not in unproven
    assert "- armv7: no scenario at all\n" in unproven
    assert "- armv6: " not in unproven
    assert "real hardware" in unproven


def test_page_shows_a_failure_by_its_words() -> None:
    failed = step("ready", passed=False, detail="stalled at 5 | x\nmore")
    text = page_of(verdict(passed=False, steps=[failed]))
    assert "## armv6, single: FAILED" in text
    assert "**FAILED**: stalled at 5" in text
    assert "- armv6, single: " in text.partition("## Not proven")[2]


def test_pictures_are_whole_and_name_their_lines() -> None:
    (picture,) = pictures(verdict()).values()
    root = ElementTree.fromstring(picture)
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"armv6: single", "available", "resident, k3s", "guest seconds", "MiB"} <= texts
    assert "swapped" not in texts


def test_page_says_how_often_the_same_bytes_were_tried() -> None:
    times = [(True, 612.5), (False, 90.0)]
    runs = [{"started": "", "passed": passed, "seconds": seconds} for passed, seconds in times]
    assert "were tried" not in page_of(verdict(runs=runs[:1]))
    text = page_of(verdict(runs=runs))
    assert "tried 2 times, 1 of them FAILED: 612.5, 90.0 FAILED seconds." in text


def test_each_board_has_a_picture_of_all_its_boots() -> None:
    facts = data()["facts"]
    (beats,) = facts["boots"]
    facts |= {"boots": [beats, beats, [], beats], "boards": ["a", "b", "a", "b"]}
    steps = [
        step("up", facts={"at": 50.0, "board": "a"}),
        step("joined", facts={"at": 60.0, "board": "b"}),
    ]
    two = verdict(facts=facts, steps=steps)
    drawn = pictures(two)
    titles = [text.partition('aria-label="')[2].partition('"')[0] for text in drawn.values()]
    assert titles == ["armv6: single, a", "armv6: single, b, 2 boots"]
    marks = [("up", "a"), ("joined", "b")]
    assert [name for name, board in marks if f"<title>{name}</title>" in drawn[board]] == ["up"], (
        "moments are those of one boot"
    )
    lines = [text.count("<polyline") for text in drawn.values()]
    assert lines == [2, 4], "available and resident, for each boot that said anything"
    assert [text.count("<circle") for text in drawn.values()] == [0, 4], "the ends of boots"
    text = page_of(two)
    assert "| a: up | passed |" in text
    assert all(f"(proof/{name})" in text for name in ("armv6-single-a.svg", "armv6-single-b.svg"))


def test_a_chart_of_nothing_is_still_a_picture() -> None:
    ElementTree.fromstring(chart("a & b", [Series("<none>", [])], []))


def test_the_page_in_docs_is_what_the_kept_verdicts_make() -> None:
    kept = proof.kept(CHECKOUT / "docs")
    assert kept.bootless and kept.boots
    text = page(kept.bootless.values(), kept.boots, PROJECT)
    assert (CHECKOUT / "docs/proof.md").read_text("utf-8") == text, "invoke proof"
    drawn = {path.name: path.read_text("utf-8") for path in (CHECKOUT / "docs/proof").glob("*.svg")}
    assert drawn == album(kept.boots), "invoke proof"


# ---- keeping them ----


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_text(f"{BEGIN}\n{END}\n")
    (tmp_path / "artifacts/verdicts").mkdir(parents=True)
    return tmp_path


def put(root: Path, kind: str, **more: Any) -> Path:
    path = root / f"artifacts/verdicts/armv6-{kind}.json"
    path.write_text(json.dumps(data(kind, **more)))
    return path


def keep(root: Path) -> set[str]:
    return {path.name for path in proof.keep(root / "artifacts", root, PROJECT)}


def test_audit_and_smoke_are_kept_in_short(root: Path) -> None:
    failed = step("bounds bin/k3s", passed=False, detail="CPU is v7\nmore")
    put(root, "audit", passed=False, steps=[step("unpack"), failed])
    assert keep(root) == {"armv6-audit.json", "proof.md", "README.md"}
    short = json.loads((root / "docs/proof/armv6-audit.json").read_text())
    assert short["tried"] == 2
    assert short["failed"] == {"bounds bin/k3s": "CPU is v7"}
    assert not short.keys() & {"steps", "facts", "log"}
    text = (root / "docs/proof.md").read_text()
    assert "| `k3s-armv6` | audit | **FAILED**: bounds bin/k3s: CPU is v7 | 2 |" in text
    assert "- armv6: no scenario at all" in text
    assert "| 81.0 MiB | **FAILED** | no | no |" in (root / "README.md").read_text()


def test_boots_are_kept_whole_with_their_pictures(root: Path) -> None:
    path = put(root, "single")
    names = {"armv6-single.json", "armv6-single.svg"}
    assert keep(root) == {*names, "proof.md", "README.md"}
    assert {path.name for path in (root / "docs/proof").iterdir()} == names
    kept = json.loads((root / "docs/proof" / path.name).read_text())
    assert {**kept, "log": "a.log"} == {**json.loads(path.read_text()), "runs": []}


def test_what_was_kept_before_stays(root: Path) -> None:
    path = put(root, "smoke")
    keep(root)
    path.unlink()
    put(root, "audit")
    keep(root)
    assert "| 81.0 MiB | yes | yes | no |" in (root / "README.md").read_text()


def test_what_is_on_file_is_enough(tmp_path: Path) -> None:
    """The page and its pictures are made anew without any artifact, and nothing is lost."""
    folder = tmp_path / "docs/proof"
    shutil.copytree(CHECKOUT / "docs/proof", folder)
    shutil.copy(CHECKOUT / "README.md", tmp_path)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "amd64-powercut.svg").unlink()
    (folder / "amd64-gone.svg").write_text("of no verdict")
    (folder / "drawing.svg").write_text("of somebody")
    keep(tmp_path)
    assert (folder / "drawing.svg").read_text() == "of somebody"
    (folder / "drawing.svg").unlink()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    for name in ("README.md", "docs/proof.md"):
        assert (tmp_path / name).read_bytes() == (CHECKOUT / name).read_bytes()


def test_nothing_to_keep_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotBuiltError, match="nothing has a verdict"):
        keep(tmp_path)
