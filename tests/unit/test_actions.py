"""What GitHub's runner is told, word by word; nothing where there is none."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest

from buildsys import errors
from buildsys.actions import Actions, command, markdown
from buildsys.app import reported
from buildsys.errors import BuildsysError, SomeFailedError
from buildsys.report import print_table

from .conftest import CHECKOUT, Golden

pytestmark = pytest.mark.unit

FAILURES: tuple[BuildsysError, ...] = (
    errors.ConfigError(
        [
            "recipes/k3s/recipe.toml: source.sum: is no hash, 100% sure",
            "toolchains/armv6.toml: elf.bits: 33",
        ]
    ),
    errors.PatchError(
        "recipes/k3s/patches/0001-a.patch no longer applies:\n  hunk 1, at line 12",
        action="make it anew",
    ),
    errors.CommandError("go failed: exit code 1\n  | x.go:1: no", action="see /c/logs/k3s.log"),
    SomeFailedError(
        [
            ("k3s-armv6", errors.CommandError("go failed: killed by SIGKILL", action="see a.log")),
            ("k3s-amd64", errors.CheckError("bin/k3s: NEON, beyond VFPv2")),
        ]
    ),
    errors.ReleaseRefusedError([("the notes are empty", "write docs/releases/v1.md")]),
    errors.StepsFailedError([("ruff", "ruff check .")]),
)


def test_annotations_are_pinned(golden: Golden) -> None:
    log = io.StringIO()
    actions = Actions({"GITHUB_ACTIONS": "true"}, log)
    for error in FAILURES:
        actions.annotate(error)
    actions.warn("not isolated", "bytes may differ")
    golden("annotations.txt", log.getvalue())


def test_a_command_is_one_line_whatever_it_holds() -> None:
    text = command("error", "50%\r\n::endgroup::", title="a:b,c\n", file="")
    assert text == "::error title=a%3Ab%2Cc%0A::50%25%0D%0A::endgroup::"


@pytest.mark.parametrize("value", [None, "", "false"])
def test_without_a_runner_nothing_is_said_or_written(tmp_path: Path, value: str | None) -> None:
    files = {name: str(tmp_path / name) for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
    log = io.StringIO()
    actions = Actions({**files, **({"GITHUB_ACTIONS": value} if value is not None else {})}, log)
    with actions.folded("a"):
        actions.annotate(FAILURES[0])
        actions.warn("a", "b")
        actions.match(Path("x"))
        actions.table("", ["a"], [["b"]])
        actions.output("a", "b")
    assert log.getvalue() == ""
    assert list(tmp_path.iterdir()) == []


def test_a_fold_ends_where_its_block_fails() -> None:
    log = io.StringIO()
    with pytest.raises(KeyError), Actions({"GITHUB_ACTIONS": "true"}, log).folded("build: k3s"):
        raise KeyError
    assert log.getvalue() == "::group::build: k3s\n::endgroup::\n"


def test_outputs_and_tables_are_added_to_what_is_there(tmp_path: Path) -> None:
    output, summary = tmp_path / "output", tmp_path / "summary"
    output.write_text("before=1\n")
    summary.write_text("before\n")
    actions = Actions(
        {
            "GITHUB_ACTIONS": "true",
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(summary),
        },
        io.StringIO(),
    )
    actions.output("count", "2")
    with pytest.raises(ValueError, match="output matrix: more than one line"):
        actions.output("matrix", "1\n2")
    actions.table("a title", ["step", "result"], [["a|b", "no\nyes"]])
    assert output.read_text() == "before=1\ncount=2\n"
    table = "| step | result |\n| --- | --- |\n| a\\|b | no<br>yes |\n"
    assert summary.read_text() == f"before\n**a title**\n\n{table}\n"
    assert markdown("", ["a"], []) == "\n\n| a |\n| --- |\n\n"


def test_every_printed_table_is_in_the_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    print_table("", ("component", "MiB"), [("k3s", "60.25")])
    assert "| k3s | 60.25 |" in (tmp_path / "summary").read_text()
    assert "60.25" in capsys.readouterr().out


def test_an_error_of_any_verb_is_annotated_beside_its_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    with pytest.raises(SystemExit) as caught, reported():
        raise FAILURES[1]
    shown = capsys.readouterr()
    assert caught.value.code == errors.PatchError.exit_code
    assert shown.out == ""
    first, *rest = shown.err.splitlines()
    assert first.startswith("::error file=recipes/k3s/patches/0001-a.patch,")
    assert rest[0].startswith("error: recipes/k3s/patches/0001-a.patch no longer applies")
    assert sys.stdout is not None


# ---- the problem matcher ----

MATCHER = json.loads((CHECKOUT / ".github/matcher.json").read_text("utf-8"))
PATTERN = MATCHER["problemMatcher"][0]["pattern"][0]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (
            "buildsys/app.py:215:28: SIM118 Use `key in dict`",
            ("buildsys/app.py", "215", "28", None, "SIM118 Use `key in dict`"),
        ),
        (
            "buildsys/app.py:3: error: Incompatible types  [return-value]",
            ("buildsys/app.py", "3", None, "error", "Incompatible types  [return-value]"),
        ),
        (
            ".ci/run:12:5: warning: x is unused. [SC2034]",
            (".ci/run", "12", "5", "warning", "x is unused. [SC2034]"),
        ),
        (
            ".github/workflows/check.yml:9:3: unexpected key [syntax-check]",
            (".github/workflows/check.yml", "9", "3", None, "unexpected key [syntax-check]"),
        ),
        (
            "tests/unit/test_x.py:7: AssertionError",
            ("tests/unit/test_x.py", "7", None, None, "AssertionError"),
        ),
    ],
)
def test_lines_of_the_linters_become_annotations(line: str, found: tuple[str | None, ...]) -> None:
    match = re.match(PATTERN["regexp"], line)
    assert match
    keys = ("file", "line", "column", "severity", "message")
    assert tuple(match[PATTERN[key]] for key in keys) == found


@pytest.mark.parametrize(
    "line",
    [
        "tests/unit/test_x.py:33: in test_y",
        "build    k3s-armv6  12.3 s",
        "  --> buildsys/app.py:215:28",
        "2026-11-25 17:00:01: error: x",
        "https://example.org:443/x: error",
    ],
)
def test_other_lines_do_not(line: str) -> None:
    assert not re.match(PATTERN["regexp"], line)
