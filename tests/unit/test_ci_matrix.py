"""The matrix is the plan's: a job for each target that is not proven as it is now."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from buildsys.ci import matrix, proven
from buildsys.ci.matrix import LIMIT, Proven, TargetJob, target_jobs
from buildsys.errors import MatrixTooLargeError

from .conftest import Tree

pytestmark = pytest.mark.unit

ONE, TWO = "recipes/one/recipe.toml", "recipes/two/recipe.toml"


@pytest.fixture(autouse=True)
def launcher(tree: Tree) -> None:
    """A bundle takes a launcher; "lib" goes into "two" only."""
    tree.recipe("launcher", into="launcher")
    tree.recipe("lib", into="build")
    tree.edit(TWO, "needs = ['one']", "needs = ['one', 'lib']")


def due(tree: Tree, *targets: str, code: str = "code", **options: object) -> tuple[TargetJob, ...]:
    plan = tree.plan()
    chosen = targets or {bundle.target for bundle in plan.bundles}
    return target_jobs(tree.load(), plan, chosen, code, **options)  # type: ignore[arg-type]


def passed(jobs: tuple[TargetJob, ...], tree: Tree) -> list[Proven]:
    """All that a run remembers whose every job passed."""
    keys = {b.target: [j.key for j in matrix.closure(b)] for b in tree.plan().bundles}
    return [Proven(job.target, job.proof, tuple(keys[job.target])) for job in jobs]


def test_every_target_of_the_plan_has_a_job_that_builds_all_it_takes(tree: Tree) -> None:
    jobs = due(tree)
    assert [job.target for job in jobs] == ["armv6", "other"]
    for job in jobs:
        assert job.build == ("launcher", "lib", "one", "two")
        assert job.minutes == matrix.BUILD_MINUTES + matrix.PROVE_MINUTES


def test_only_the_named_targets_have_jobs_but_the_sources_are_those_of_all(tree: Tree) -> None:
    (job,) = due(tree, "other")
    assert job == due(tree)[1]


def test_what_is_in_the_store_is_not_built(tree: Tree) -> None:
    keys = tree.keys()
    first, second = due(tree, stored={keys["one-armv6"], keys["lib-armv6"]})
    assert first.build == ("launcher", "two")
    assert len(second.build) == 4


def test_a_target_with_nothing_to_build_is_still_to_be_proven(tree: Tree) -> None:
    first, _ = due(tree, stored=set(tree.keys().values()))
    assert (first.build, first.minutes) == ((), matrix.PROVE_MINUTES)


def test_what_is_proven_has_no_job_unless_everything_is_asked_for(tree: Tree) -> None:
    known = passed(due(tree), tree)
    assert due(tree, known=known) == ()
    assert due(tree, known=known[:1]) == due(tree)[1:]
    assert [job.target for job in due(tree, known=known, everything=True)] == ["armv6", "other"]


def test_a_change_of_one_component_builds_only_that_and_what_takes_it(tree: Tree) -> None:
    known = passed(due(tree), tree)
    tree.edit(ONE, 'version = "1.0"', 'version = "1.1"')
    assert [job.build for job in due(tree, known=known)] == [("one", "two")] * 2


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        pytest.param(ONE, 'expect = "hello"', 'expect = "hello, you"', id="a test"),
        pytest.param("toolchains/armv6.toml", 'cpu = "arm1176"', 'cpu = "arm1136"', id="emulator"),
        pytest.param("toolchains/armv6.toml", "budget_mib = 62", "budget_mib = 6", id="budget"),
    ],
)
def test_what_changes_a_verdict_and_no_artifact_is_proven_again(
    tree: Tree, name: str, old: str, new: str
) -> None:
    known = passed(due(tree), tree)
    tree.edit(name, old, new)
    first = due(tree, known=known)[0]
    assert (first.target, first.build) == ("armv6", ())


def test_other_programs_that_judge_prove_all_again(tree: Tree) -> None:
    known = passed(due(tree), tree)
    again = due(tree, known=known, code="other")
    assert [job.build for job in again] == [(), ()]


def test_caches_are_named_by_keys_of_the_plan(tree: Tree) -> None:
    before = due(tree)
    bundles = {bundle.target: bundle.key for bundle in tree.plan().bundles}
    for job in before:
        assert job.cache == f"store-{job.target}-{bundles[job.target][: matrix.SHOWN]}"
        assert job.cache.startswith(job.restore)
    assert len({job.sources for job in before}) == 1
    tree.write("recipes/one/src/tool", "another program\n")
    after = due(tree)
    assert not {job.cache for job in after} & {job.cache for job in before}
    # A source that is a folder of the recipe is not fetched.
    assert {job.sources for job in after} == {job.sources for job in before}


def test_another_pin_is_another_cache_of_sources(tree: Tree) -> None:
    pins = [f"h1:{letter * 43}=" for letter in "ab"]
    table = 'kind = "go-module"\nmodule = "example.org/one"\nversion = "v1.0.0"\n'
    local = 'kind = "local"\npath = "src"\n'
    path = tree.root / ONE
    text = path.read_text()
    names = []
    for pin in pins:
        path.write_text(text.replace(local, f'{table}sum = "{pin}"\nmod_sum = "{pin}"\n'))
        names.append(due(tree)[0].sources)
    assert len({*names}) == 2


def test_a_matrix_of_more_than_github_makes_is_refused_by_name(tree: Tree) -> None:
    for number in range(LIMIT - 2):
        tree.target(f"board{number}")
    jobs = due(tree)
    assert len(jobs) == LIMIT
    tree.target("one-too-many")
    with pytest.raises(MatrixTooLargeError, match="257 jobs, and GitHub makes at most 256"):
        due(tree)
    # What is proven does not count.
    assert len(due(tree, known=passed(jobs, tree))) == 1


def test_outputs_are_the_printed_jobs_on_one_line(tree: Tree) -> None:
    jobs = due(tree)
    outputs = matrix.outputs(tree.plan(), jobs)
    assert json.loads(outputs["matrix"]) == json.loads(json.dumps(matrix.as_json(jobs)))
    assert outputs["count"] == "2"
    assert outputs["sources"] == jobs[0].sources
    assert not any("\n" in value for value in outputs.values())


def test_what_passed_is_remembered_and_forgotten(tmp_path: Path) -> None:
    first, second = Proven("armv6", "a" * 64, ("k", "l")), Proven("other", "b" * 64, ())
    for one in (first, second):
        path = proven.remember(tmp_path, one)
        assert json.loads(path.read_text()) == json.loads(json.dumps(asdict(one)))
    assert tuple(proven.read(tmp_path)) == (first, second)
    proven.forget(tmp_path, "armv6")
    assert tuple(proven.read(tmp_path)) == (second,)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"target": "armv6"}', '{"jobs": 1}'])
def test_a_damaged_memory_is_none(tmp_path: Path, text: str) -> None:
    path = proven.remember(tmp_path, Proven("armv6", "a", ()))
    path.write_text(text)
    assert tuple(proven.read(tmp_path)) == ()


def test_digest_of_the_code_knows_names_and_contents(tmp_path: Path) -> None:
    def digest(**files: str) -> str:
        folder = tmp_path / "-".join(["code", *files, *files.values()])
        (folder / "__pycache__").mkdir(parents=True)
        (folder / "__pycache__" / "x.pyc").write_text(str(folder))
        for name, text in files.items():
            (folder / name).write_text(text)
        return proven.code_digest(folder)

    digests = [digest(a="x"), digest(b="x"), digest(a="y"), digest(a="x", b="x")]
    assert len({*digests}) == 4
    assert digest(a="x", c="") != digests[0]
