"""Readers that leave, full disks, old encodings, typing mistakes: a line and a code each."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildsys.errors import DiskFullError, ScopeError, UsageError

from .typed import typed

pytestmark = pytest.mark.integration

BROKEN_PIPE = 141
"""What a shell says of a program that SIGPIPE ended."""

LINES = ("invoke list --components --json", "invoke plan", "invoke --list")

OLD = {"PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "LC_ALL": "C", "LANG": "C"}
"""A locale that has ASCII only, which Python would leave for UTF-8 by itself."""


@pytest.mark.parametrize("line", LINES)
def test_a_reader_that_leaves_ends_it_quietly(line: str) -> None:
    # The reader has left before the first byte is written, whatever a pipe holds.
    done = typed(f"{line} | true")
    assert (done.code, done.out, done.err) == (BROKEN_PIPE, "", "")


def test_a_reader_of_the_beginning_gets_it() -> None:
    done = typed("invoke plan --json | head -c 10")
    assert done.out == '{\n  "jobs"'
    assert done.code in (0, BROKEN_PIPE) and done.err == ""


def test_progress_that_nobody_reads_ends_it_quietly() -> None:
    done = typed("invoke plan --arch armv66 2>&1 | true")
    assert (done.code, done.err) == (BROKEN_PIPE, "")


@pytest.mark.parametrize("env", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"])
def test_output_without_room_is_said(env: dict[str, str]) -> None:
    done = typed("invoke plan --json >/dev/full", env=env)
    assert done.code == DiskFullError.exit_code
    assert done.err.startswith("error: standard output cannot be written: No space left on device")
    assert "Traceback" not in done.err


def test_an_error_that_has_no_room_keeps_its_code() -> None:
    assert typed("invoke plan --arch armv66 2>/dev/full").code == 11


def test_closed_streams_end_in_no_traceback() -> None:
    done = typed("invoke plan --arch armv6 --only zlib <&- 2>&-")
    assert done.code == 0 and "zlib" in done.out


@pytest.mark.parametrize("env", [OLD, {"PYTHONIOENCODING": "latin-1"}], ids=["C", "latin-1"])
@pytest.mark.parametrize("line", ["plan --arch armv6", "doctor --arch armv6", "bench ≥"])
def test_old_encodings_lose_characters_and_nothing_else(line: str, env: dict[str, str]) -> None:
    done = typed(f"invoke {line}", env=env)
    assert "Traceback" not in done.err
    assert done.code == (11 if "bench" in line else 0)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("build --arch $TARGET", "--arch requires a value"),
        ('build --arch "$TARGET"', "--arch was given an empty value"),
        ("build --arch armv6 --cache ''", "--cache was given an empty value"),
        ("build --jobs x", "--jobs requires a whole number"),
        ("--help buid", "did you mean `build`?"),
        ("build --archs armv6", "did you mean --arch?"),
        ("setup boot", "did you mean `setup --for boot`?"),
        ("audit A B --against armv6", "one FILE is judged at a time"),
        ("audit /bin/ls --against armv6 --arch armv6", "either --arch, or FILE and --against"),
        ("build --all --arch armv6", "--arch and --all contradict"),
        ("--list nothing", "Sub-collection 'nothing' not found!"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_a_hint(line: str, said: str) -> None:
    done = typed(f"unset TARGET; invoke {line}")
    assert said in done.err
    assert (done.code, done.out) == (UsageError.exit_code, "")
    assert "next: " in done.err and "Traceback" not in done.err


@pytest.mark.parametrize("line", ["build", "fetch", "release --dry-run"])
def test_all_targets_are_asked_for_in_words(line: str, tmp_path: Path) -> None:
    done = typed(f"invoke {line} --cache {tmp_path}/cache")
    assert done.code == ScopeError.exit_code
    assert "--arch" in done.err and "--all" in done.err
    assert not [*tmp_path.glob("cache/store/*"), *tmp_path.glob("cache/downloads/*")]


def test_help_shows_which_options_take_a_value() -> None:
    done = typed("invoke --help build")
    assert "-a, --arch TARGET " in done.out and "-j, --jobs NUMBER " in done.out
    assert "-f, --offline  " in done.out


def test_what_only_reads_needs_no_target() -> None:
    done = typed("invoke list --json")
    assert done.code == 0 and '"s390x"' in done.out
