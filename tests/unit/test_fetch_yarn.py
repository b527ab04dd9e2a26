"""What a yarn.lock names, on disk: what is missing or changed is named; nothing is run here."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from buildsys.cache import Cache
from buildsys.errors import CorruptError, FetchError
from buildsys.fetch import Fetcher, log_name, npm, wanted, yarn
from buildsys.load import LoadedRecipe
from buildsys.model import Recipe
from buildsys.toolchain import Toolchain

from .conftest import Tree, flip, listing, sha256

pytestmark = pytest.mark.unit

PACKAGES = {"a-npm-1.0.0.zip": b"package a", "b-npm-1.0.0.zip": b"package b"}
PROGRAM = b"yarn itself"
LABEL = "web/yarn.lock of one"


def integrity(data: bytes) -> str:
    return f"sha512-{base64.b64encode(hashlib.sha512(data).digest()).decode()}"


def listed(packages: dict[str, bytes]) -> str:
    return "".join(f"{len(data)} {sha256(data)} {name}\n" for name, data in packages.items())


@pytest.fixture
def loaded(tree: Tree) -> LoadedRecipe:
    """A recipe of the style, with pins of what `fetched` lays down."""
    pins = [
        'version = "4.9.1"',
        f'integrity = "{integrity(PROGRAM)}"',
        f'packages = "{sha256(listed(PACKAGES).encode())}"',
        'folder = "web"',
        'output = "made"',
    ]
    table = "\n".join(["[yarn]", *pins, "[output]"])
    tree.edit("recipes/one/recipe.toml", 'style = "copy"', 'style = "yarn"')
    tree.edit("recipes/one/recipe.toml", "[output]", table)
    return tree.load().recipes["one"]


@pytest.fixture
def recipe(loaded: LoadedRecipe) -> Recipe:
    return loaded.recipe


@pytest.fixture
def fetched(recipe: Recipe, cache: Cache) -> Path:
    """The folder of the packages, complete, with yarn in its own."""
    program = npm.file_path(yarn.program_of(recipe), cache)
    program.parent.mkdir(parents=True)
    program.write_bytes(PROGRAM)
    folder = yarn.folder_of(recipe, cache)
    folder.mkdir(parents=True)
    for name, data in PACKAGES.items():
        (folder / name).write_bytes(data)
    (folder / yarn.LISTING).write_text(listed(PACKAGES))
    return folder


def test_recipe_wants_its_source_and_what_the_lock_names(loaded: LoadedRecipe, tree: Tree) -> None:
    assert [source.label for source in wanted(loaded)] == ["local:src", LABEL]
    assert [source.label for source in wanted(tree.load().recipes["two"])] == ["local:src"]
    assert log_name(yarn.LockedPackages(loaded)) == "web_yarn.lock_of_one"


def test_complete_and_intact(recipe: Recipe, cache: Cache, fetched: Path) -> None:
    assert yarn.lacks(recipe, cache) is None
    yarn.verify(recipe, cache)


def test_nothing_is_there(recipe: Recipe, cache: Cache) -> None:
    assert yarn.lacks(recipe, cache) == f"{LABEL}: @yarnpkg/cli-dist@4.9.1"


@pytest.mark.parametrize("text", ["", "1 x\n", "1 x y\n"])
def test_listing_that_is_not_the_pinned_one(
    recipe: Recipe, cache: Cache, fetched: Path, text: str
) -> None:
    (fetched / yarn.LISTING).write_text(text)
    assert yarn.lacks(recipe, cache) == LABEL


@pytest.mark.parametrize("how", ["cut", "gone"])
def test_package_that_is_cut_or_gone_is_lacking(
    recipe: Recipe, cache: Cache, fetched: Path, how: str
) -> None:
    path = fetched / "b-npm-1.0.0.zip"
    path.write_bytes(b"pack") if how == "cut" else path.unlink()
    assert yarn.lacks(recipe, cache) == f"{LABEL}: b-npm-1.0.0.zip"


def test_changed_package_and_yarn_are_named_and_moved_aside(
    recipe: Recipe, cache: Cache, fetched: Path
) -> None:
    flip(fetched / "a-npm-1.0.0.zip", 3)
    flip(npm.file_path(yarn.program_of(recipe), cache), 3)
    assert yarn.lacks(recipe, cache) is None, "sizes alone do not tell"
    with pytest.raises(CorruptError, match=r"cli-dist-4\.9\.1\.tgz, a-npm-1\.0\.0\.zip"):
        yarn.verify(recipe, cache)
    assert listing(cache.aside).keys() == {"cli-dist-4.9.1.tgz", "a-npm-1.0.0.zip"}
    assert yarn.lacks(recipe, cache)


def test_source_without_a_lock_is_named(
    loaded: LoadedRecipe, cache: Cache, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npm, "fetch", lambda *_: None)
    monkeypatch.setattr("buildsys.fetch.ATTEMPTS", 1)
    tools = Toolchain(Path("/go"), Path("/zig"), Path("/pkgconf"), {})
    with pytest.raises(FetchError, match=r"the source has no web/package\.json"):
        Fetcher(cache, tools).fetch(yarn.LockedPackages(loaded), log)
    assert list(cache.work.iterdir()) == []


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('"4.9.1"', '"1.22.22"', "yarn.version"),
        ("sha512-", "sha1-", "yarn.integrity"),
        ('"web"', '"../web"', "yarn.folder"),
        ('output = "made"', 'outputs = "made"', "yarn.output"),
    ],
)
def test_mistakes_in_the_table_are_named(
    loaded: LoadedRecipe, tree: Tree, old: str, new: str, key: str
) -> None:
    tree.edit("recipes/one/recipe.toml", old, new)
    assert any(problem.startswith(f"recipes/one/recipe.toml: {key}") for problem in tree.problems())
