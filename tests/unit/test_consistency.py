"""What recipes, targets and profiles must agree on; each disagreement is named with its file."""

from __future__ import annotations

import pytest

from buildsys.errors import LackingError, UnknownNameError

from .conftest import Tree

pytestmark = pytest.mark.unit

ONE, TWO, ARMV6 = "recipes/one/recipe.toml", "recipes/two/recipe.toml", "toolchains/armv6.toml"
PROFILES = "recipes/profiles.toml"


def top(tree: Tree, recipe: str, line: str) -> None:
    """Add a line to the top table of a recipe."""
    tree.edit(f"recipes/{recipe}/recipe.toml", 'license = "MIT"', f'license = "MIT"\n{line}')


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("pause:3.6", "image.name: String should match pattern"),
        ("docker.io:5000/pause:3.6", "image.name: String should match pattern"),
        ("rancher/pause", "image.name: String should match pattern"),
        ("rancher/../pause:3", "image.name: String should match pattern"),
    ],
)
def test_image_name_has_a_repository_and_a_tag(tree: Tree, name: str, problem: str) -> None:
    tree.image("pause", name)
    assert tree.problems()[0].startswith(f"recipes/pause/recipe.toml: {problem}")


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('folders = { "../tmp" = "1777" }', "image.folders"),
        ('folders = { "tmp" = "2777" }', "image.folders"),
        ('user = "nobody"', "image.user"),
        ('ports = ["0/tcp"]', "image.ports"),
        ("rank = -1", "image.rank"),
    ],
)
def test_image_table_is_checked(tree: Tree, line: str, key: str) -> None:
    tree.image("pause", "rancher/pause:3.6", line)
    assert tree.problems()[0].startswith(f"recipes/pause/recipe.toml: {key}")


def test_image_table_goes_with_images(tree: Tree) -> None:
    tree.recipe("pause", into="image")
    tree.edit(ONE, "[test]", '[image]\nname = "a/b:1"\n[test]')
    wrong = "[image] goes with output.into = 'image', and the other way round"
    assert {
        f"{ONE}: (whole file): {wrong}",
        f"recipes/pause/recipe.toml: (whole file): {wrong}",
    } <= {*tree.problems()}


def test_two_images_of_one_name(tree: Tree) -> None:
    tree.image("pause", "rancher/pause:3.6")
    tree.image("rest", "rancher/pause:3.6")
    assert tree.problems() == ("recipes/rest/recipe.toml: image.name: is already pause's",)


def test_platform_is_what_go_makes(tree: Tree) -> None:
    tree.edit(ARMV6, '"linux/arm/v6"', '"linux/arm/v7"')
    (problem,) = tree.problems()
    assert "linux/arm/v7 is not what [go] makes: linux/arm/v6" in problem


def test_bare_arm_is_no_platform(tree: Tree) -> None:
    # containerd takes linux/arm for v7.
    tree.edit(ARMV6, '"linux/arm/v6"', '"linux/arm"')
    assert tree.problems()[0].startswith(f"{ARMV6}: image.platform: String should match pattern")


def test_go_from_begins_with_a_need(tree: Tree) -> None:
    tree.edit(TWO, 'style = "copy"', 'style = "go"')
    table = '[go]\nbuild = { "x" = "." }\nfrom = { "three/page" = "embed" }\n[test]'
    tree.edit(TWO, "[test]", table)
    assert tree.problems() == (
        f"{TWO}: (whole file): go.from: three/page begins with none of what it needs",
    )


def test_output_from_begins_with_a_need(tree: Tree) -> None:
    tree.edit(TWO, "[test]", '[output.from]\n"three/bin/tool" = "bin/tool"\n[test]')
    assert tree.problems() == (
        f"{TWO}: (whole file): output.from: three/bin/tool begins with none of what it needs",
    )


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('requires = ["onee"]', "requires: no recipe is named 'onee'"),
        ('lacking = { armv9 = "no compiler" }', "lacking: no target is named 'armv9'"),
        ("shared = true", "shared: one, which it needs, is not"),
    ],
)
def test_references_of_a_recipe(tree: Tree, line: str, problem: str) -> None:
    top(tree, "two", line)
    assert tree.problems() == (f"{TWO}: {problem}",)


def test_what_needs_a_lacking_component_lacks_it_too(tree: Tree) -> None:
    top(tree, "one", 'lacking = { armv6 = "no compiler" }')
    assert tree.problems() == (f"{TWO}: lacking: armv6 has no one, which it needs",)


def test_lacking_component_is_left_out_of_its_target_only(tree: Tree) -> None:
    top(tree, "two", 'lacking = { armv6 = "no compiler" }')
    assert {job.id for job in tree.plan().jobs} == {"one-armv6", "one-other", "two-other"}


def test_lacking_component_asked_for_is_named_with_its_reason(tree: Tree) -> None:
    top(tree, "two", 'lacking = { armv6 = "no compiler" }')
    with pytest.raises(LackingError, match="armv6 has no two\ncause: no compiler"):
        tree.plan("armv6", only=["two"])


def embed(tree: Tree, names: str) -> None:
    tree.edit(ARMV6, "budget_mib = 62", f"budget_mib = 62\nembed = {names}")


def test_embedded_is_an_image_with_what_it_requires(tree: Tree) -> None:
    tree.image("pause", "rancher/pause:3.6")
    tree.image("dns", "rancher/dns:1")
    top(tree, "dns", 'requires = ["pause"]')
    embed(tree, '["dns", "one", "two2"]')
    where = f"{ARMV6}: executable.embed"
    assert tree.problems() == (
        f"{where}: dns requires pause, which is not embedded",
        f"{where}: no image is named 'one'",
        f"{where}: no image is named 'two2'",
    )


def test_embedded_image_that_the_target_lacks(tree: Tree) -> None:
    tree.image("pause", "rancher/pause:3.6")
    top(tree, "pause", 'lacking = { armv6 = "no compiler" }')
    embed(tree, '["pause"]')
    assert tree.problems() == (f"{ARMV6}: executable.embed: armv6 has no pause: no compiler",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('leave_out = ["onee"]', "small: leave_out: no recipe is named 'onee'"),
        ('leave_out = ["lib"]', "small: leave_out: lib goes into neither the executable nor an "),
        ('leave_out = ["one"]', "small: leave_out: one is left out, but two requires it"),
        ("leave = []", ": small: leave: unknown key"),
    ],
)
def test_profile_leaves_out_what_nothing_needs(tree: Tree, text: str, problem: str) -> None:
    tree.recipe("lib", into="build")
    top(tree, "two", 'requires = ["one"]')
    tree.write(PROFILES, f'[small]\nsummary = "Less of it"\n{text}\n')
    (found,) = tree.problems()
    assert problem in found


def test_full_profile_is_full(tree: Tree) -> None:
    tree.write(PROFILES, '[full]\nsummary = "Less of it"\nleave_out = ["two"]\n')
    assert tree.problems() == (f"{PROFILES}: full: leave_out: full leaves nothing out",)


def test_component_is_missing_or_there(tree: Tree) -> None:
    table = 'summary = "a tool"\nwhy = "no source"\ncosts = "a feature"\ninstead = "another"\n'
    tree.write("recipes/missing.toml", f"[one]\n{table}[nft]\n{table}")
    assert tree.problems() == ("recipes/missing.toml: one: there is a recipe of that name",)


def test_unknown_profile_is_offered_the_nearest(tree: Tree) -> None:
    with pytest.raises(UnknownNameError, match="unknown profile 'ful'\nnext: did you mean full"):
        tree.plan("armv6", profile="ful")


@pytest.mark.parametrize("name", ["glib_1.orig-data.tar.xz", "old_1.diff.gz"])
def test_debian_file_that_unpacking_does_not_know(tree: Tree, name: str) -> None:
    sha = "0" * 64
    source = f"""
kind = "debian-source"
package = "glib"
version = "1-1"
suite = "bookworm"
files = {{ "glib_1.dsc" = "{sha}", "{name}" = "{sha}" }}"""
    tree.edit(ONE, '\nkind = "local"\npath = "src"', source)
    problem, *_ = tree.problems()
    assert f"{name}: neither .dsc, .asc, nor a whole archive" in problem
