"""The corresponding source: complete, what the pins say, and the same bytes every time."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from buildsys.cache import Cache
from buildsys.errors import CorruptError
from buildsys.fetch.debian import file_path
from buildsys.model import DebianSource, Recipe
from buildsys.release.sources import write_sources

from .conftest import Tree, sha256

pytestmark = pytest.mark.unit

FILES = {
    "one_1.orig.tar.xz": b"the source",
    "one_1-1.debian.tar.xz": b"patches",
    "one_1-1.dsc": b"d",
}
TAG, COMMIT = "v1.35.0+k3s1.1", "c" * 40


@pytest.fixture
def recipe(tree: Tree, cache: Cache) -> Recipe:
    """A recipe from Debian whose files are fetched."""
    pins = {name: sha256(data) for name, data in FILES.items()}
    for name, data in FILES.items():
        path = file_path(name, pins[name], cache)
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    source = DebianSource(
        kind="debian-source", package="one", version="1-1", suite="trixie", files=pins
    )
    bare = tree.load().recipes["one"].recipe
    return bare.model_copy(update={"source": source, "license": "GPL-2.0-only"})


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    path = tmp_path / "checkout.tar"
    path.write_bytes(b"recipes and all")
    return path


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        found = {}
        for member in tar:
            assert (member.uid, member.gid, member.mode) == (0, 0, 0o644)
            file = tar.extractfile(member)
            assert file
            found[member.name] = file.read()
    return found


def test_every_fetched_file_and_the_build_itself(
    recipe: Recipe, cache: Cache, checkout: Path, tmp_path: Path
) -> None:
    path = tmp_path / "out/sources.tar"
    assert write_sources(path, TAG, COMMIT, [recipe], cache, checkout)
    found = members(path)
    readme = found.pop("k3s-sources/README").decode()
    assert "one 1.0, GPL-2.0-only: debian:one=1-1" in readme
    assert COMMIT in readme
    assert found == {
        "k3s-sources/k3s-buildsys.tar": b"recipes and all",
        **{f"k3s-sources/one/{name}": data for name, data in FILES.items()},
    }


def test_same_bytes_are_not_written_again(
    recipe: Recipe, cache: Cache, checkout: Path, tmp_path: Path
) -> None:
    path = tmp_path / "sources.tar"
    assert write_sources(path, TAG, COMMIT, [recipe], cache, checkout)
    first = path.read_bytes(), path.stat().st_ino
    assert not write_sources(path, TAG, COMMIT, [recipe], cache, checkout)
    assert (path.read_bytes(), path.stat().st_ino) == first
    path.write_bytes(first[0][:-1])
    assert write_sources(path, TAG, COMMIT, [recipe], cache, checkout)
    assert path.read_bytes() == first[0]


def test_changed_file_is_refused(
    recipe: Recipe, cache: Cache, checkout: Path, tmp_path: Path
) -> None:
    name = "one_1-1.dsc"
    file_path(name, sha256(FILES[name]), cache).write_bytes(b"edited")
    path = tmp_path / "sources.tar"
    with pytest.raises(CorruptError, match=name):
        write_sources(path, TAG, COMMIT, [recipe], cache, checkout)
    assert not path.exists()


def test_own_sources_are_in_the_build_system(
    tree: Tree, cache: Cache, checkout: Path, tmp_path: Path
) -> None:
    path = tmp_path / "sources.tar"
    own = tree.load().recipes["one"].recipe
    write_sources(path, TAG, COMMIT, [own], cache, checkout)
    assert set(members(path)) == {"k3s-sources/README", "k3s-sources/k3s-buildsys.tar"}
