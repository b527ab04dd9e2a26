"""README's table of targets, and keeping the verdicts that it is made of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from buildsys.errors import CorruptError, NotBuiltError
from buildsys.load import load_project
from buildsys.verify import proof
from buildsys.verify.status import BEGIN, END, NOTE, placed, table

from .conftest import CHECKOUT

pytestmark = pytest.mark.unit

PROJECT = load_project(CHECKOUT)
EMPTY = f"# k3s\n\n{BEGIN}\n{END}\n\nmore\n"


def verdict(kind: str, sha256: str = "new", **more: Any) -> dict[str, Any]:
    started = f"2026-01-0{2 if sha256 == 'new' else 1}T00:00:00Z"
    usual = {"kind": kind, "target": "armv6", "file": "k3s-armv6", "sha256": sha256}
    return usual | {"passed": True, "started": started, "seconds": 1.0} | more


def row(*verdicts: dict[str, Any], target: str = "armv6") -> list[str]:
    lines = table(verdicts, PROJECT).splitlines()
    (line,) = [line for line in lines if line.startswith(f"| {target} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][2:]


def test_what_nothing_is_on_file_for_says_so() -> None:
    assert row(verdict("audit"), target="armv7") == ["not yet", "no", "no", "no"]
    assert row() == ["not yet", "no", "no", "no"]
    assert NOTE not in table([], PROJECT)
    assert len(table([], PROJECT).splitlines()) == 2 + len(PROJECT.targets)


def test_each_kind_has_its_cell_and_failures_are_named() -> None:
    server, single = verdict("server"), verdict("single", passed=False)
    assert row(verdict("audit"), single, server) == [
        "yes",
        "yes",
        "no",
        "server, **FAILED** single",
    ]
    assert row(verdict("smoke", passed=False)) == ["yes", "no", "**FAILED**", "no"]


def test_a_verdict_on_an_earlier_build_is_marked() -> None:
    found = [verdict("audit"), verdict("smoke", "old"), verdict("server", "old")]
    assert row(*found) == ["yes", "yes", "yes¹", "server¹"]
    assert table(found, PROJECT).endswith(NOTE)


def test_a_smaller_profile_is_another_executable() -> None:
    assert row(verdict("audit", file="k3s-armv6-minimal")) == ["not yet", "no", "no", "no"]


def test_the_table_takes_its_place_and_nothing_else() -> None:
    once = placed(EMPTY, "| a |")
    assert once == f"# k3s\n\n{BEGIN}\n\n| a |\n\n{END}\n\nmore\n"
    assert placed(once, "| a |") == once


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}\n{BEGIN}"])
def test_a_readme_without_a_place_is_refused(text: str) -> None:
    with pytest.raises(CorruptError, match="no place"):
        placed(text, "| a |")


def test_the_readme_has_what_the_kept_verdicts_make() -> None:
    readme = (CHECKOUT / "README.md").read_text("utf-8")
    kept = proof.kept(CHECKOUT / "docs")
    assert {"audit", "smoke"} <= {one["kind"] for one in kept.values()}
    assert readme == placed(readme, table([*kept.values()], PROJECT)), "invoke proof"


def put(root: Path, name: str, data: dict[str, Any]) -> None:
    path = root / "artifacts/verdicts" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))


def test_audit_and_smoke_are_kept_in_short(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(EMPTY)
    steps = [
        {"name": "unpack", "passed": True, "detail": "", "facts": {"files": 26}},
        {"name": "bounds bin/k3s", "passed": False, "detail": "CPU is v7\nmore", "facts": {}},
    ]
    put(tmp_path, "armv6-audit.json", verdict("audit", passed=False, steps=steps, facts={}))
    written = proof.keep(tmp_path / "artifacts", tmp_path, PROJECT)
    assert {path.name for path in written} == {"armv6-audit.json", "proof.md", "README.md"}
    short = json.loads((tmp_path / "docs/proof/armv6-audit.json").read_text())
    assert short["tried"] == 2
    assert short["failed"] == {"bounds bin/k3s": "CPU is v7"}
    assert "steps" not in short
    page = (tmp_path / "docs/proof.md").read_text()
    assert "| `k3s-armv6` | audit | **FAILED**: bounds bin/k3s: CPU is v7 | 2 |" in page
    assert "- armv6: no scenario at all" in page
    assert "| yes | **FAILED** | no | no |" in (tmp_path / "README.md").read_text()


def test_what_was_kept_before_stays(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(EMPTY)
    put(tmp_path, "armv6-smoke.json", verdict("smoke", steps=[], facts={}))
    proof.keep(tmp_path / "artifacts", tmp_path, PROJECT)
    (tmp_path / "artifacts/verdicts/armv6-smoke.json").unlink()
    put(tmp_path, "armv6-audit.json", verdict("audit", steps=[], facts={}))
    proof.keep(tmp_path / "artifacts", tmp_path, PROJECT)
    assert "| yes | yes | yes | no |" in (tmp_path / "README.md").read_text()


def test_what_is_on_file_is_enough(tmp_path: Path) -> None:
    """The page and its pictures are made anew without any artifact, and nothing is lost."""
    folder = tmp_path / "docs/proof"
    shutil.copytree(CHECKOUT / "docs/proof", folder)
    shutil.copy(CHECKOUT / "README.md", tmp_path)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "amd64-powercut.svg").unlink()
    (folder / "amd64-gone.svg").write_text("of no verdict")
    proof.keep(tmp_path / "artifacts", tmp_path, PROJECT)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    for name in ("README.md", "docs/proof.md"):
        assert (tmp_path / name).read_bytes() == (CHECKOUT / name).read_bytes()


def test_nothing_to_keep_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotBuiltError, match="nothing has a verdict"):
        proof.keep(tmp_path / "artifacts", tmp_path, PROJECT)
