"""find and xargs, on a tree with names that only a zero byte can separate."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .conftest import Tool, ToolOf

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.built]
"""Its configure script alone takes minutes."""

NAMES = ["plain", "two words", "new\nline", "-n", "'quoted\"", "sub/deep", "sub/é"]


@pytest.fixture
def find(tool: ToolOf) -> Tool:
    return tool("findutils", "bin/find")


@pytest.fixture
def xargs(tool: ToolOf) -> Tool:
    return tool("findutils", "bin/xargs")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        file = tmp_path / "tree" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(number * 1000))
    return tmp_path / "tree"


def test_find_into_xargs(find: Tool, xargs: Tool, tree: Path) -> None:
    found = find.run(tree, "-type", "f", "-print0")
    shown = xargs.run("-0", "-n", "2", "/usr/bin/stat", "-c", "%s", given=found)
    assert sorted(map(int, shown.split())) == [number * 1000 for number in range(len(NAMES))]


def test_xargs_runs_several_at_once(xargs: Tool, tmp_path: Path) -> None:
    """Each waits until the other has begun."""
    for name in ("one", "two"):
        os.mkfifo(tmp_path / name)
    script = 'cd "$1" && case $2 in 1) echo >one; read x <two;; 2) read x <one; echo >two;; esac'
    arguments: list[str | Path] = [
        "-P",
        "2",
        "-I",
        "{}",
        "/bin/sh",
        "-c",
        script,
        "sh",
        tmp_path,
        "{}",
    ]
    xargs.run(*arguments, given=b"1\n2\n")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (["-name", "*two*"], ["two words"]),
        (["-size", "+4000c", "-type", "f"], ["'quoted\"", "sub/deep", "sub/é"][1:]),
        (["-regex", ".*/[a-z]+/deep"], ["sub/deep"]),
        (["-mindepth", "2", "-iname", "DEEP"], ["sub/deep"]),
        (["-newermt", "2090-01-01"], ["plain"]),
        (["-perm", "/u+s"], ["-n"]),
        (["-empty"], ["plain"]),
        (["-links", "+1", "-type", "f"], []),
    ],
)
def test_questions(find: Tool, tree: Path, question: list[str], answer: list[str]) -> None:
    os.utime(tree / "plain", (4_102_444_800, 4_102_444_800))
    (tree / "-n").chmod(0o4755)
    found = find.run(tree, *question, "-printf", "%P\\0").decode().split("\0")[:-1]
    assert sorted(found) == sorted(answer)


def test_exec_and_delete(find: Tool, tree: Path) -> None:
    old = ["(", "-name", "deep", "-o", "-name", "plain", ")"]
    find.run(tree, *old, "-exec", "/bin/chmod", "600", "{}", "+")
    assert find.text(tree, *old, "-printf", "%m %s\n", "-delete") in (
        "600 0\n600 5000\n",
        "600 5000\n600 0\n",
    )
    assert not (tree / "sub/deep").exists() and not (tree / "plain").exists()
    assert (tree / "two words").exists()
