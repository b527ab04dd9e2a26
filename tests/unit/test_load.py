"""Loading is strict, and every mistake of every file comes in one go, with its file and key."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from buildsys.load import load_project

from .conftest import CHECKOUT, Tree

pytestmark = pytest.mark.unit

ONE = "recipes/one/recipe.toml"
TWO = "recipes/two/recipe.toml"


def test_loads_what_is_right(tree: Tree) -> None:
    project = tree.load()
    assert set(project.recipes) == {"one", "two"}
    assert set(project.targets) == {"armv6", "other"}
    assert project.recipes["two"].recipe.needs == ("one",)
    assert set(project.recipes["one"].inputs) == {"src/tool"}


def test_the_repository_loads() -> None:
    project = load_project(CHECKOUT)
    assert {"armv6", "amd64"} <= set(project.targets)
    assert "k3s" in project.recipes


def test_values_are_frozen(tree: Tree) -> None:
    recipe = tree.load().recipes["one"].recipe
    with pytest.raises(ValueError, match="frozen"):
        recipe.version = "2"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('license = "MIT"', 'license = "MIT"\ncolour = "red"', "colour: unknown key"),
        ('license = "MIT"\n', "", "license: Field required"),
        ("memory_mib = 50", 'memory_mib = "50"', "memory_mib: Input should be a valid integer"),
        ("memory_mib = 50", "memory_mib = 50.0", "memory_mib: Input should be a valid integer"),
        ("memory_mib = 50", "memory_mib = 0", "memory_mib: Input should be greater than 0"),
        ("needs = []", 'needs = "two"', "needs: Input should be a valid "),
        ('path = "src"', 'path = "src"\nsum = "x"', "source.sum: unknown key"),
        ('path = "src"', 'path = "gone"', "source.path: the folder gone does not exist"),
        ('kind = "local"', 'kind = "ftp"', "source: Input tag 'ftp'"),
        ('kind = "local"\n', "", "source: Unable to extract tag"),
        ('style = "copy"', 'style = "cmake"', "style: Input should be 'go'"),
        ('into = "executable"', 'into = "nowhere"', "output.into: Input should be 'executable'"),
        ('files = { "tool" = "bin/one" }', "files = {}", "output: files: there are none"),
        ('name = "one"', 'name = "uno"', "name: 'uno' is not the folder's name"),
        ('name = "one"', 'name = "One"', "name: String should match pattern"),
        ("needs = []", 'needs = ["thre"]', "needs: no recipe is named 'thre'"),
    ],
)
def test_one_mistake_with_file_and_key(tree: Tree, old: str, new: str, problem: str) -> None:
    tree.edit(ONE, old, new)
    problems = tree.problems()
    mine = [text for text in problems if text.startswith(f"{ONE}: {problem}")]
    assert len(mine) == 1, problems
    # A recipe that cannot be read leaves those that need it without it; nothing else is said.
    assert set(problems) - set(mine) <= {f"{TWO}: needs: no recipe is named 'one'"}


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a/../../b", "a b", "a/", "./a", "", "a//b"]
)
@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('path = "src"', "path = {}", "source.path"),
        ('{ "tool" =', "{{ {} =", "output.files"),
        ('"bin/one" }', "{} }}", "output.files.tool"),
        ("[test]", "[output.links]\n{} = 'one'\n[test]", "output.links"),
    ],
)
def test_path_that_leaves_is_refused(tree: Tree, old: str, new: str, key: str, path: str) -> None:
    tree.edit(ONE, old, new.format(f'"{path}"'))
    where = f"{key}.{path}" if key in ("output.files", "output.links") else key
    assert any(
        text.startswith(f"{ONE}: {where}: must be a relative path without")
        for text in tree.problems()
    ), tree.problems()


def test_executable_takes_only_bin_and_etc(tree: Tree) -> None:
    tree.edit(ONE, '"bin/one" }', '"lib/one" }')
    assert f"{ONE}: output: lib/one: files of the executable lie below bin/ or etc/" in (
        tree.problems()
    )


@pytest.mark.parametrize(
    ("style", "table"),
    [
        ("copy", '[c]\nprogram = "x"\nsources = ["*.c"]\n'),
        ("go", ""),
        ("go", '[c]\nprogram = "x"\nsources = ["*.c"]\n'),
        ("autotools", "[autotools]\n[make]\ninstall = { 'a' = 'b' }\n"),
    ],
)
def test_style_and_table_must_agree(tree: Tree, style: str, table: str) -> None:
    tree.edit(ONE, 'style = "copy"', f'style = "{style}"')
    tree.edit(ONE, "[test]", f"{table}[test]")
    assert any(f"style '{style}' goes with the table" in text for text in tree.problems())


def test_only_go_has_modules_to_patch(tree: Tree) -> None:
    tree.patch("one", "0001-a.patch")
    tree.edit(ONE, 'file = "0001-a.patch"', 'file = "0001-a.patch"\nmodule = "example.com/dep"')
    assert any("patch.module goes with style = 'go'" in text for text in tree.problems())


def test_three_mistakes_are_three_problems(tree: Tree) -> None:
    tree.edit(ONE, 'license = "MIT"', 'licence = "MIT"')
    tree.edit(ONE, "memory_mib = 50", "memory_mib = true")
    tree.edit(TWO, "needs = ['one']", "needs = []")
    problems = tree.problems()
    assert len(problems) == 3
    assert [text.split(": ")[1] for text in problems] == ["license", "memory_mib", "licence"]
    assert all(text.startswith(f"{ONE}: ") for text in problems)


def test_mistakes_of_several_files_come_in_one_go(tree: Tree) -> None:
    tree.recipe("three")
    tree.edit(ONE, "memory_mib = 50", "memory_mib = -1")
    tree.edit("recipes/three/recipe.toml", 'version = "1.0"', 'version = "1 0"')
    tree.edit("toolchains/armv6.toml", "window_mib = 8", "window_mib = 1000")
    tree.edit("toolchains/other.toml", 'cpu = "armv6"', 'cpu = "armv5"')
    tree.write("recipes/four/recipe.toml", "name = ")
    found = {": ".join(text.split(": ")[:2]) for text in tree.problems()}
    assert found == {
        f"{ONE}: memory_mib",
        f"{TWO}: needs",
        "recipes/three/recipe.toml: version",
        "recipes/four/recipe.toml: not readable as TOML",
        "toolchains/armv6.toml: executable.window_mib",
        "toolchains/other.toml: executable.cpu",
    }


def test_not_utf8_is_a_problem_of_its_file(tree: Tree) -> None:
    (tree.root / ONE).write_bytes(b'name = "\xff"')
    assert any(text.startswith(f"{ONE}: not readable as TOML") for text in tree.problems())


def test_date_in_toml_is_a_problem_of_its_file(tree: Tree) -> None:
    tree.edit(ONE, 'version = "1.0"', "version = 2020-01-01")
    assert any(text.startswith(f"{ONE}: ") for text in tree.problems())


def test_missing_patch_file(tree: Tree) -> None:
    tree.patch("two", "0001-here.patch")
    tree.patch("two", "0002-gone.patch")
    (tree.root / "recipes/two/patches/0002-gone.patch").unlink()
    assert tree.problems() == (f"{TWO}: patch.1.file: patches/0002-gone.patch does not exist",)


def test_patch_for_an_unknown_target(tree: Tree) -> None:
    tree.patch("two", "0001-a.patch", "armv6", "armv9")
    assert tree.problems() == (f"{TWO}: patch.0.targets: no target is named 'armv9'",)


@pytest.mark.parametrize("file", ["../../one/src/tool", "/etc/passwd", "a b.patch", ".hidden"])
def test_patch_outside_its_folder(tree: Tree, file: str) -> None:
    tree.patch("two", "0001-a.patch")
    tree.edit(TWO, 'file = "0001-a.patch"', f'file = "{file}"')
    assert [text.split(": ")[1] for text in tree.problems()] == ["patch.0.file"]


def test_patch_needs_why_and_origin(tree: Tree) -> None:
    tree.patch("two", "0001-a.patch")
    tree.edit(TWO, 'why = "the tests want it"', 'why = ""')
    tree.edit(TWO, 'origin = "ours"\n', "")
    assert [text.split(": ")[1] for text in tree.problems()] == ["patch.0.why", "patch.0.origin"]


@pytest.mark.parametrize("key", ["files", "links"])
def test_one_path_made_by_two_recipes(tree: Tree, key: str) -> None:
    if key == "files":
        tree.edit(TWO, '"bin/two" }', '"bin/one" }')
    else:
        tree.edit(TWO, "[test]", '[output.links]\n"bin/one" = "two"\n[test]')
    assert tree.problems() == (f"{TWO}: output.{key}: bin/one is already one's",)


def test_one_path_made_twice_by_one_recipe(tree: Tree) -> None:
    tree.edit(TWO, '{ "tool" = "bin/two" }', '{ "tool" = "bin/two", "more" = "bin/two" }')
    tree.edit(TWO, "[test]", '[output.links]\n"bin/two" = "one"\n[test]')
    assert tree.problems() == (
        f"{TWO}: output.files: bin/two is already two's",
        f"{TWO}: output.links: bin/two is already two's",
    )


def test_paths_of_libraries_may_be_alike(tree: Tree) -> None:
    for name in ("liba", "libb"):
        tree.recipe(name, into="build")
        tree.edit(f"recipes/{name}/recipe.toml", f'"bin/{name}" }}', '"lib/lib.a" }')
    assert set(tree.load().recipes) == {"one", "two", "liba", "libb"}


def test_cycle_is_shown_as_a_chain(tree: Tree) -> None:
    tree.recipe("three", needs=["two"])
    tree.edit(ONE, "needs = []", "needs = ['three']")
    (problem,) = tree.problems()
    chain = problem.split("a cycle: ")[1].split(" → ")
    assert chain[0] == chain[-1]
    assert set(chain) == {"one", "two", "three"}
    # Read from left to right, each needs the next.
    needs = {"one": "three", "three": "two", "two": "one"}
    assert all(needs[a] == b for a, b in pairwise(chain))


def test_need_of_itself_is_a_cycle(tree: Tree) -> None:
    tree.edit(ONE, "needs = []", "needs = ['one']")
    assert tree.problems() == (f"{ONE}: needs: a cycle: one → one",)


def test_target_name_is_its_files(tree: Tree) -> None:
    tree.edit("toolchains/other.toml", 'name = "other"', 'name = "another"')
    assert tree.problems() == ("toolchains/other.toml: name: 'another' is not the file's",)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("bits = 32", "bits = 16", "elf.bits"),
        ("bits = 32", 'bits = "32"', "elf.bits"),
        ("bits = 32", 'bits = 32\ncpu_arch = "v99"', "elf"),
        ('machine = "arm"', 'machine = "vax"', "elf"),
        ('user = "arm"', 'user = "arm"\nspeed = 1', "emulator.speed"),
        ('triple = "arm-linux-musleabihf"\n', "", "c.triple"),
        ('GOARM = "6"', "GOARM = 6", "go.GOARM"),
    ],
)
def test_target_mistake_with_file_and_key(tree: Tree, old: str, new: str, key: str) -> None:
    tree.edit("toolchains/armv6.toml", old, new)
    assert [text.split(": ")[:2] for text in tree.problems()] == [["toolchains/armv6.toml", key]]


GO_SOURCE = """kind = "go-module"
module = "example.org/m"
version = "v1.0.0"
sum = "h1:{0}="
mod_sum = "h1:{0}="
"""


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("h1:", "h2:", "source.sum"),
        ('version = "v1.0.0"', 'version = "1.0.0"', "source.version"),
        ('module = "example.org/m"', 'module = "../m"', "source.module"),
        ("mod_sum", "modsum", "source.mod_sum"),
    ],
)
def test_go_source_is_pinned(tree: Tree, old: str, new: str, key: str) -> None:
    good = GO_SOURCE.format("A" * 43)
    tree.edit(TWO, 'kind = "local"\npath = "src"\n', good)
    assert tree.load().recipes["two"].recipe.source.label == "example.org/m@v1.0.0"
    tree.edit(TWO, good, good.replace(old, new, 1))
    assert f"{TWO}: {key}" in {": ".join(text.split(": ")[:2]) for text in tree.problems()}


def test_mode_and_content_of_inputs_are_seen(tree: Tree) -> None:
    path = tree.root / "recipes/one/src/tool"
    first = tree.load().recipes["one"].inputs["src/tool"]
    path.chmod(0o755)
    second = tree.load().recipes["one"].inputs["src/tool"]
    assert (first[0], second[0]) == ("-", "x")
    assert first[1:] == second[1:]


def test_bytecode_of_a_local_source_does_not_count(tree: Tree) -> None:
    tree.write("recipes/one/src/__pycache__/a.pyc", "junk")
    assert set(tree.load().recipes["one"].inputs) == {"src/tool"}


def test_an_empty_folder_has_no_recipes(tmp_path: Path) -> None:
    assert not load_project(tmp_path).recipes
