"""Preflight: every reason not to release, all at once, each with what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from buildsys.errors import ReleaseRefusedError
from buildsys.model.release import ReleaseTable
from buildsys.release.preflight import Facts, Problem, problems
from buildsys.release.version import Tag

from .conftest import Golden, Tree

pytestmark = pytest.mark.unit

VERSION = "v1.35.0+k3s1"
TAG = Tag(f"{VERSION}.1")
KINDS = ("audit", "smoke", "utilities")


@pytest.fixture
def good(tree: Tree) -> Facts:
    """Nothing stands against it."""
    table = ReleaseTable(verdicts=KINDS, uname=("armv6l",))
    target = tree.load().targets["armv6"].model_copy(update={"release": table})
    return Facts(
        commit="c" * 40,
        changed=(),
        version=VERSION,
        tag=TAG,
        notes="New: everything.\n",
        tagged="",
        targets=(target,),
        making=frozenset(),
        verdicts={("armv6", kind): "passed" for kind in KINDS},
    )


def found(facts: Facts, **changes: object) -> list[Problem]:
    return list(problems(replace(facts, **changes)))  # type: ignore[arg-type]


def test_good_is_good(good: Facts) -> None:
    assert found(good) == []
    assert found(good, tagged="c" * 40) == []


def test_changed_tree_names_the_first_files(good: Facts) -> None:
    changed = tuple(f"?? file{number}" for number in range(7))
    [(what, action)] = found(good, changed=changed)
    assert "?? file0, ?? file1" in what
    assert "file5" not in what
    assert what.endswith("and 2 more")
    assert "commit" in action


def test_missing_notes_name_the_file_to_write(good: Facts) -> None:
    [(what, action)] = found(good, tag=None, notes="")
    assert VERSION in what
    assert action.endswith(f"docs/releases/{VERSION}.1.md")


def test_empty_notes(good: Facts) -> None:
    assert [what for what, _ in found(good, notes=" \n")] == [f"the notes of {TAG} are empty"]


def test_version_that_makes_no_tag(good: Facts) -> None:
    [(what, _)] = found(good, version="1.35", tag=None)
    assert "'1.35'" in what


def test_tag_of_another_commit(good: Facts) -> None:
    [(what, action)] = found(good, tagged="d" * 40)
    assert f"{TAG} exists already, at commit dddddddddddd" in what
    assert action.endswith(f"{VERSION}.2.md")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("none", "there is no verdict"),
        ("FAILED", "the verdict is FAILED"),
        ("stale", "the verdict is about other bytes"),
        ("draft", "the verdict is about a draft"),
    ],
)
@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("audit", "invoke audit --arch armv6"),
        ("smoke", "invoke smoke --arch armv6"),
        ("utilities", "invoke smoke --arch armv6 --scenario utilities"),
    ],
)
def test_verdict_is_named_with_its_command(
    good: Facts, state: str, words: str, kind: str, command: str
) -> None:
    verdicts = {**good.verdicts, ("armv6", kind): state}
    assert found(good, verdicts=verdicts) == [(f"k3s-armv6, {kind}: {words}", f"`{command}`")]


def test_draft_is_refused_by_name(good: Facts) -> None:
    """Also where the release would make another in its place: somebody meant something else."""
    for making in (frozenset[str](), frozenset({"armv6"})):
        [(what, action)] = found(good, drafts=("armv6",), making=making)
        assert what.startswith("k3s-armv6 is a draft")
        assert action.startswith("`invoke build --arch armv6`")


def test_nothing_can_be_proven_of_what_this_run_makes(good: Facts) -> None:
    assert found(good, verdicts={}, making=frozenset({"armv6"})) == []
    assert len(found(good, verdicts={}, making=frozenset({"amd64"}))) == len(KINDS)


def test_target_without_a_release_table(good: Facts) -> None:
    bare = good.targets[0].model_copy(update={"release": None})
    [(what, _)] = found(good, targets=(bare,))
    assert "armv6 has no [release]" in what


def test_no_target_at_all(good: Facts) -> None:
    assert [what for what, _ in found(good, targets=())] == ["no target has a [release]"]


def test_all_at_once(good: Facts, golden: Golden) -> None:
    everything = found(
        good,
        changed=(" M tasks.py",),
        notes="",
        tagged="d" * 40,
        verdicts={("armv6", "audit"): "stale", ("armv6", "smoke"): "passed"},
        elsewhere=(("somewhere: 401 Unauthorized", "set a token"),),
    )
    assert len(everything) == 6
    golden("release-refused.txt", f"{ReleaseRefusedError(everything)}\n")
