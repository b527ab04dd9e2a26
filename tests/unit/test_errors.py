"""Each kind of failure has its own exit code, and its text says what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from buildsys import errors
from buildsys.errors import BuildsysError, SomeFailedError

from .conftest import Golden

pytestmark = pytest.mark.unit

PLAIN = ("what failed, in words", "why it probably did", "what to do now")
"""For the classes that are raised with their texts."""

SPECIAL: dict[type[BuildsysError], BuildsysError] = {
    error.__class__: error
    for error in (
        errors.ConfigError(["recipes/a/recipe.toml: name: wrong", "toolchains/b.toml: c: wrong"]),
        errors.UnknownNameError("arch", "armv5", ["armv7", "armv6", "s390x"]),
        errors.ScopeError("build", ["armv7", "armv6"]),
        errors.HashMismatchError(
            "k3s@v1", pinned="h1:AAAA", found="h1:BBBB", kept=Path("/cache/aside/v1.zip.BBBB")
        ),
        errors.MissingSourceError(["k3s@v1", "debian:iptables=1"]),
        errors.LackingError("k3s", "s390x", "its assembler does not know it"),
        errors.DiskFullError(Path("/cache/store"), "storing k3s"),
        errors.BootError("stalled", "ready", 112.4, "no word for 240 wall seconds", ["last line"]),
        errors.ReleaseRefusedError(
            [("the notes are empty", "write them"), ("no token", "set one")]
        ),
        errors.MatrixTooLargeError(257, 256),
        errors.StepsFailedError([("mypy", "mypy"), ("smoke armv6", "invoke smoke --arch armv6")]),
        SomeFailedError([("a-armv6", errors.CheckError("x")), ("b-armv6", errors.PatchError("y"))]),
    )
}


def classes(base: type[BuildsysError] = BuildsysError) -> Iterator[type[BuildsysError]]:
    yield base
    for child in base.__subclasses__():
        yield from classes(child)


def sample(kind: type[BuildsysError]) -> BuildsysError:
    if kind in SPECIAL:
        return SPECIAL[kind]
    what, cause, action = PLAIN
    return kind(what, cause=cause, action=action)


def test_every_class_is_in_one_module() -> None:
    assert {kind.__module__ for kind in classes()} == {"buildsys.errors"}


def test_exit_codes_are_distinct() -> None:
    own = [kind for kind in classes() if kind not in (BuildsysError, SomeFailedError)]
    codes = [kind.exit_code for kind in own]
    assert len(own) >= 15
    assert len({*codes}) == len(codes)
    # 0 is success, 1 and 2 are Python's and invoke's own, from 126 on they are the shell's.
    assert all(2 < code < 126 for code in codes)
    assert all("exit_code" in vars(kind) for kind in own)


def test_several_failures_exit_as_the_first() -> None:
    error = SPECIAL[SomeFailedError]
    assert error.exit_code == errors.CheckError.exit_code
    assert SomeFailedError.exit_code == BuildsysError.exit_code


def test_texts_are_pinned(golden: Golden) -> None:
    parts = [
        f"== {kind.__name__}, exit code {sample(kind).exit_code}\n{sample(kind)}\n"
        for kind in sorted(classes(), key=lambda kind: kind.__name__)
    ]
    golden("errors.txt", "\n".join(parts))


@pytest.mark.parametrize("kind", list(classes()), ids=lambda kind: kind.__name__)
def test_every_text_names_the_next_action(kind: type[BuildsysError]) -> None:
    assert sample(kind).action
    assert str(sample(kind)).splitlines()[-1].startswith("next: ")


def test_text_without_cause_and_action_is_one_line() -> None:
    assert str(BuildsysError("it failed")) == "it failed"


def test_one_mistake_is_not_mistakes() -> None:
    assert str(errors.ConfigError(["x"])).startswith("1 mistake in ")
