"""The plan is a pure value; keys change exactly when the bytes could."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from buildsys import plan as plan_module
from buildsys.errors import UnknownNameError
from buildsys.load import load_project
from buildsys.plan import make_plan

from .conftest import CHECKOUT, Tree

pytestmark = pytest.mark.unit

ONE, TWO = "recipes/one/recipe.toml", "recipes/two/recipe.toml"
ARMV6, OTHER = "toolchains/armv6.toml", "toolchains/other.toml"
ALL = {"one-armv6", "two-armv6", "one-other", "two-other"}


def changed(tree: Tree, before: dict[str, str], **versions: str) -> set[str]:
    """The jobs whose key is another one now."""
    after = tree.keys(**versions)
    assert set(after) == set(before)
    return {name for name in before if before[name] != after[name]}


@pytest.fixture
def before(tree: Tree) -> dict[str, str]:
    """The keys of the untouched tree, with a patch of "one" for each target."""
    tree.patch("one", "0001-armv6.patch", "armv6")
    tree.patch("one", "0002-other.patch", "other")
    return tree.keys()


def test_same_input_same_plan(tree: Tree) -> None:
    assert tree.plan() == tree.plan()


def test_where_the_checkout_lies_does_not_matter(tree: Tree, tmp_path: Path) -> None:
    before = tree.keys()
    moved = tree.root.rename(tmp_path / "elsewhere")
    assert Tree(moved).keys() == before


def test_order_of_loading_does_not_matter(tree: Tree) -> None:
    project = tree.load()
    turned = replace(
        project,
        recipes=dict(reversed([*project.recipes.items()])),
        targets=dict(reversed([*project.targets.items()])),
    )
    first, second = (make_plan(p, ["armv6"], {"go": "1"}) for p in (project, turned))
    assert first == second


def test_each_job_follows_what_it_needs(tree: Tree) -> None:
    tree.recipe("aaa", needs=["zzz", "two"])
    tree.recipe("zzz", needs=["one"])
    plan = tree.plan()
    for target in ("armv6", "other"):
        order = [job.recipe for job in plan.jobs if job.target == target]
        assert sorted(order) == ["aaa", "one", "two", "zzz"]
        for job in plan.jobs:
            assert all(order.index(need.recipe) < order.index(job.recipe) for need in job.needs)


def test_tool_of_a_style_changes_the_keys_of_that_style_only(tree: Tree) -> None:
    tree.edit(TWO, 'style = "copy"', 'style = "certdata"')
    tree.edit(TWO, "[output]", '[certdata]\nfile = "tool"\n[output]')
    project = tree.load()

    def keys(style: str, version: str) -> dict[str, str]:
        tools = {style: {"tool": version}}
        plan = make_plan(project, project.targets, {"go": "1"}, style_tools=tools)
        return {job.id: job.key for job in plan.jobs}

    assert keys("meson", "1") == keys("meson", "2")
    first, second = keys("certdata", "1"), keys("certdata", "2")
    mine = {"two-armv6", "two-other"}
    assert {name for name in ALL if first[name] != second[name]} == mine
    assert {name for name in ALL if first[name] != keys("meson", "1")[name]} == mine


def test_key_is_sha256_and_each_job_has_its_own(tree: Tree) -> None:
    keys = tree.keys()
    assert set(keys) == ALL
    assert len({*keys.values()}) == len(keys)
    assert all(len(key) == 64 and int(key, 16) for key in keys.values())


def test_targets_that_compile_alike_share_artifacts(tree: Tree) -> None:
    tree.target("twin", goarm=6)
    keys = tree.keys()
    assert keys["one-twin"] == keys["one-armv6"] != keys["one-other"]


# ---- what must change a key ----


def test_byte_of_a_patch(tree: Tree, before: dict[str, str]) -> None:
    tree.write("recipes/one/patches/0001-armv6.patch", "a Change\n")
    assert changed(tree, before) == {"one-armv6", "two-armv6"}


def test_name_of_a_patch(tree: Tree, before: dict[str, str]) -> None:
    patches = tree.root / "recipes/one/patches"
    (patches / "0001-armv6.patch").rename(patches / "0003-armv6.patch")
    tree.edit(ONE, "0001-armv6", "0003-armv6")
    assert changed(tree, before) == {"one-armv6", "two-armv6"}


def test_order_of_patches(tree: Tree) -> None:
    tree.patch("two", "0001-a.patch")
    tree.patch("two", "0002-b.patch")
    before = tree.keys()
    text = (tree.root / TWO).read_text()
    tree.write(TWO, text.replace("0001-a", "#").replace("0002-b", "0001-a").replace("#", "0002-b"))
    assert changed(tree, before) == {"two-armv6", "two-other"}


def test_byte_of_a_local_file_goes_on_to_those_that_need_it(
    tree: Tree, before: dict[str, str]
) -> None:
    tree.write("recipes/one/src/tool", "Program one\n")
    assert changed(tree, before) == ALL


def test_byte_of_a_local_file_leaves_what_it_needs(tree: Tree, before: dict[str, str]) -> None:
    tree.write("recipes/two/src/tool", "Program two\n")
    assert changed(tree, before) == {"two-armv6", "two-other"}


def test_mode_of_a_local_file(tree: Tree, before: dict[str, str]) -> None:
    (tree.root / "recipes/two/src/tool").chmod(0o755)
    assert changed(tree, before) == {"two-armv6", "two-other"}


def test_new_and_renamed_local_file(tree: Tree, before: dict[str, str]) -> None:
    tree.write("recipes/two/src/deep/er", "")
    assert changed(tree, before) == {"two-armv6", "two-other"}
    between = tree.keys()
    (tree.root / "recipes/two/src/deep/er").rename(tree.root / "recipes/two/src/deep/est")
    assert changed(tree, between) == {"two-armv6", "two-other"}


def test_toolchain_version(tree: Tree, before: dict[str, str]) -> None:
    assert changed(tree, before, zig="0.16.1") == ALL
    assert changed(tree, before, wrappers="a new tool") == ALL


def test_tools_of_a_style_are_in_its_keys_alone(tree: Tree) -> None:
    def keys(**style_tools: dict[str, str]) -> list[str]:
        made = make_plan(tree.load(), ["armv6"], {"go": "1"}, style_tools=style_tools)
        return [job.key for job in made.jobs]

    assert keys(yarn={"node": "24"}) == keys() == keys(copy={})
    assert not set(keys(copy={"node": "24"})) & set(keys())
    assert keys(copy={"node": "24"}) != keys(copy={"node": "25"})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('GOARM = "6"', 'GOARM = "6"\nGOOTHER = "1"'),
        ("arm1176jzf_s", "cortex_a7"),
        ("eabihf", "eabi"),
        ("bits = 32", 'bits = 32\ncpu_arch = "v6"'),
    ],
)
def test_go_c_or_elf_table_of_a_target(
    tree: Tree, before: dict[str, str], old: str, new: str
) -> None:
    tree.edit(ARMV6, old, new)
    assert changed(tree, before) == {"one-armv6", "two-armv6"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('version = "1.0"', 'version = "1.1"'),
        ('"bin/two" }', '"bin/to" }'),
        ("[test]", '[output.links]\n"bin/too" = "two"\n[test]'),
        ("needs = ['one']", "needs = []"),
    ],
)
def test_building_part_of_a_recipe(tree: Tree, before: dict[str, str], old: str, new: str) -> None:
    tree.edit(TWO, old, new)
    assert changed(tree, before) == {"two-armv6", "two-other"}


def test_version_of_the_style(
    tree: Tree, before: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module, "STYLE_VERSIONS", {"copy": 99})
    assert changed(tree, before) == ALL


def test_launchers_cpu_is_the_launchers_alone(tree: Tree) -> None:
    tree.recipe("start", into="launcher")
    before = tree.keys()
    tree.edit(ARMV6, "[executable]", '[executable]\nlauncher_mcpu = "generic"')
    assert changed(tree, before) == {"start-armv6"}


def test_floating_point_unit_is_the_compilers_and_not_the_older_launchers(tree: Tree) -> None:
    tree.recipe("start", into="launcher")
    tree.edit(ARMV6, "[executable]", '[executable]\nlauncher_mcpu = "generic"')
    before = tree.keys()
    tree.edit(ARMV6, "[elf]", 'fpu = "vfpv2"\n\n[elf]')
    assert changed(tree, before) == {key for key in before if "armv6" in key} - {"start-armv6"}


# ---- what must not ----


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        (ONE, "A component of the tests", "Something else"),
        (ONE, 'license = "MIT"', 'license = "ISC"'),
        (ONE, 'expect = "hello"', 'expect = "bye"'),
        (ONE, "memory_mib = 50", "memory_mib = 60"),
        (ONE, "memory_mib = 50", 'memory_mib = 50\nhost_tools = ["bzip2"]'),
        (ONE, "[output]", "[output]\nbudget_mib = 1.5"),
        (ARMV6, "A board of the tests", "Something else"),
        (ARMV6, "budget_mib = 62", "budget_mib = 61"),
        (ARMV6, 'cpu = "arm1176"', 'cpu = "arm1136"'),
    ],
)
def test_text_test_or_budget(
    tree: Tree, before: dict[str, str], path: str, old: str, new: str
) -> None:
    tree.edit(path, old, new)
    assert changed(tree, before) == set()


def test_reason_of_a_patch(tree: Tree, before: dict[str, str]) -> None:
    text = (tree.root / ONE).read_text()
    tree.write(ONE, text.replace("the tests want it", "another reason"))
    assert changed(tree, before) == set()


def test_patch_of_another_target(tree: Tree, before: dict[str, str]) -> None:
    tree.write("recipes/one/patches/0002-other.patch", "a Change\n")
    assert changed(tree, before) == {"one-other", "two-other"}


def test_file_that_no_patch_entry_names(tree: Tree, before: dict[str, str]) -> None:
    tree.write("recipes/one/patches/0009-unused.patch", "x")
    tree.write("recipes/one/README.md", "x")
    assert changed(tree, before) == set()


def test_new_target_and_new_recipe(tree: Tree, before: dict[str, str]) -> None:
    tree.target("third")
    tree.recipe("three", needs=["two"])
    after = tree.keys()
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {
        "one-third",
        "two-third",
        "three-third",
        "three-armv6",
        "three-other",
    }


# ---- choosing ----


def test_only_takes_what_it_needs_along_and_bundles_nothing(tree: Tree) -> None:
    tree.recipe("three")
    plan = tree.plan("armv6", only=["two"])
    assert [job.id for job in plan.jobs] == ["one-armv6", "two-armv6"]
    assert plan.bundles == ()
    everything = {job.id: job.key for job in tree.plan("armv6").jobs}
    assert all(everything[job.id] == job.key for job in plan.jobs)


def test_target_named_twice_counts_once(tree: Tree) -> None:
    assert tree.plan("armv6", "armv6") == tree.plan("armv6")


def test_unknown_target_offers_the_nearest(tree: Tree) -> None:
    with pytest.raises(UnknownNameError, match="unknown arch 'armv5'") as caught:
        tree.plan("armv5")
    assert caught.value.action == "did you mean armv6? known: armv6, other"


def test_unknown_component_offers_the_nearest(tree: Tree) -> None:
    with pytest.raises(UnknownNameError, match="unknown component 'tow'") as caught:
        tree.plan("armv6", only=["tow"])
    assert caught.value.action == "did you mean two? known: one, two"


def test_far_off_name_is_offered_nothing(tree: Tree) -> None:
    with pytest.raises(UnknownNameError) as caught:
        tree.plan("zzzzzz")
    assert caught.value.action == "known: armv6, other"


# ---- bundles and JSON ----


def test_bundle_holds_executables_and_one_launcher(tree: Tree) -> None:
    tree.recipe("lib", into="build")
    tree.recipe("start", into="launcher", needs=["lib"])
    first, second = tree.plan().bundles
    assert (first.target, first.launcher.recipe) == ("armv6", "start")
    assert [job.recipe for job in first.members] == ["one", "two"]
    assert first.key != second.key


@pytest.mark.parametrize(
    ("path", "old", "new", "armv6_only"),
    [
        ("recipes/start/src/tool", "program", "Program", False),
        ("recipes/two/src/tool", "program", "Program", False),
        (ARMV6, "window_mib = 8", "window_mib = 4", True),
        (ARMV6, "budget_mib = 62", "budget_mib = 61", True),
    ],
)
def test_bundle_key_follows_all_that_is_in_it(
    tree: Tree, path: str, old: str, new: str, armv6_only: bool
) -> None:
    tree.recipe("start", into="launcher")
    first = {b.target: b.key for b in tree.plan().bundles}
    tree.edit(path, old, new)
    second = {b.target: b.key for b in tree.plan().bundles}
    assert first["armv6"] != second["armv6"]
    assert (first["other"] == second["other"]) == armv6_only


def test_no_launcher_no_executable(tree: Tree) -> None:
    assert tree.plan().bundles == ()


def test_as_json_is_plain_data(tree: Tree) -> None:
    tree.recipe("start", into="launcher")
    plan = tree.plan("armv6")
    data = json.loads(json.dumps(plan.as_json()))
    assert data["jobs"] == [
        {"recipe": "one", "target": "armv6", "key": plan.jobs[0].key, "needs": []},
        {"recipe": "start", "target": "armv6", "key": plan.jobs[1].key, "needs": []},
        {"recipe": "two", "target": "armv6", "key": plan.jobs[2].key, "needs": ["one"]},
    ]
    assert [b["target"] for b in data["bundles"]] == ["armv6"]


def test_the_repository_has_a_plan() -> None:
    project = load_project(CHECKOUT)
    plan = make_plan(project, project.targets, {"go": "1", "zig": "1"})
    assert {job.id for job in plan.jobs} >= {"k3s-armv6", "k3s-amd64"}
    keys = {job.id: job.key for job in plan.jobs}
    assert len({*keys.values()}) == len(keys)
