"""README's table of targets, from the verdicts on file."""

from __future__ import annotations

import pytest

from buildsys.errors import CorruptError
from buildsys.load import load_project
from buildsys.verify import proof
from buildsys.verify.status import BEGIN, END, NOTE, placed, table
from buildsys.verify.written import VerdictHead

from .conftest import CHECKOUT

pytestmark = pytest.mark.unit

PROJECT = load_project(CHECKOUT)
EMPTY = f"# k3s\n\n{BEGIN}\n{END}\n\nmore\n"


def verdict(
    kind: str, sha256: str = "new", *, passed: bool = True, file: str = "k3s-armv6"
) -> VerdictHead:
    return VerdictHead(
        kind=kind,
        target="armv6",
        file=file,
        sha256=sha256,
        passed=passed,
        started=f"2026-01-0{2 if sha256 == 'new' else 1}T00:00:00Z",
        seconds=1.0,
    )


def row(*verdicts: VerdictHead, target: str = "armv6") -> list[str]:
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


def test_its_size_is_that_of_the_last_build() -> None:
    old, new = (
        verdict("audit", name).model_copy(update={"size": 81 << 20}) for name in ("old", "new")
    )
    assert row(old, verdict("smoke"))[0] == "yes"
    assert row(verdict("smoke"), new)[0] == "81.0 MiB"


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
    kept = proof.kept(CHECKOUT / "docs").heads
    assert {"audit", "smoke"} <= {one.kind for one in kept}
    assert readme == placed(readme, table(kept, PROJECT)), "invoke proof"
