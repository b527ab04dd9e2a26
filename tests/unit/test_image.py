"""Images: layers and documents are the same bytes for the same input, and say the truth."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from buildsys.errors import UnsafeArchiveError
from buildsys.image import Image, Layer, archive_of, image_of
from buildsys.image.layer import Entry, entries_of, write_layer
from buildsys.model import Recipe
from buildsys.store import StoredFile

from .conftest import Tree

pytestmark = pytest.mark.unit

DATE = 1577836800


@pytest.fixture
def recipe(tree: Tree) -> Recipe:
    tree.image("pause", "rancher/pause:3.6", 'entrypoint = ["/pause"]\nuser = "65535:65535"')
    return tree.load().recipes["pause"].recipe


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, list[StoredFile]]:
    """An artifact with a program and a link to it."""
    root = tmp_path / "files"
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/tool").write_bytes(b"tool")
    return root, [
        StoredFile("usr/bin/tool", 0o755, 4, hashlib.sha256(b"tool").hexdigest()),
        StoredFile("bin/sh", 0o777, 0, "", "../usr/bin/tool"),
    ]


def layer_of(entries: tuple[Entry, ...], path: Path) -> Layer:
    write_layer(entries, path, DATE)
    return Layer(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)


def test_layer_has_folders_before_files_and_belongs_to_root(
    files: tuple[Path, list[StoredFile]], tmp_path: Path
) -> None:
    root, stored = files
    entries = entries_of(stored, root, {"tmp": "1777"})
    layer_of(entries, tmp_path / "layer.tar")
    with tarfile.open(tmp_path / "layer.tar") as tar:
        members = [(m.name, m.type, m.mode, m.linkname) for m in tar]
        assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in tar.getmembers()} == {
            (0, 0, "", "", DATE)
        }
    assert members == [
        ("bin", tarfile.DIRTYPE, 0o755, ""),
        ("bin/sh", tarfile.SYMTYPE, 0o777, "../usr/bin/tool"),
        ("tmp", tarfile.DIRTYPE, 0o1777, ""),
        ("usr", tarfile.DIRTYPE, 0o755, ""),
        ("usr/bin", tarfile.DIRTYPE, 0o755, ""),
        ("usr/bin/tool", tarfile.REGTYPE, 0o755, ""),
    ]


def test_layer_does_not_depend_on_times_and_order(
    files: tuple[Path, list[StoredFile]], tmp_path: Path
) -> None:
    root, stored = files
    first = layer_of(entries_of(stored, root, {}), tmp_path / "1.tar")
    (root / "usr/bin/tool").touch()
    assert layer_of(entries_of(stored[::-1], root, {}), tmp_path / "2.tar") == first


@pytest.mark.parametrize("path", ["../evil", "/etc/passwd", "a/../../evil", ""])
def test_layer_path_that_leaves_the_image(path: str, tmp_path: Path) -> None:
    with pytest.raises(UnsafeArchiveError, match="a layer's path leaves the image"):
        entries_of([StoredFile(path, 0o644, 0, "")], tmp_path, {})


def test_configuration_says_platform_user_and_true_version(recipe: Recipe) -> None:
    image = image_of(recipe, "linux/arm/v6", Layer("a" * 64, 5))
    config = json.loads(image.config.data)
    assert {k: config[k] for k in ("os", "architecture", "variant")} == {
        "os": "linux",
        "architecture": "arm",
        "variant": "v6",
    }
    assert config["config"]["User"] == "65535:65535"
    assert config["config"]["Entrypoint"] == ["/pause"]
    assert config["config"]["Labels"]["org.opencontainers.image.version"] == "1.0"
    assert config["rootfs"]["diff_ids"] == [f"sha256:{'a' * 64}"]


def test_platform_without_variant_has_none(recipe: Recipe) -> None:
    config = json.loads(image_of(recipe, "linux/amd64", Layer("a" * 64, 5)).config.data)
    assert "variant" not in config


def named(recipe: Recipe, name: str) -> Recipe:
    """The recipe with another name of its image."""
    assert recipe.image
    return recipe.model_copy(update={"image": recipe.image.model_copy(update={"name": name})})


def written(images: list[Image], layers: dict[str, bytes]) -> bytes:
    pieces = archive_of(images, DATE).pieces
    return b"".join(p if isinstance(p, bytes) else layers[p.sha256] for p in pieces)


def test_archive_is_an_oci_layout_and_a_docker_archive(recipe: Recipe) -> None:
    data = b"the layer"
    layer = Layer(hashlib.sha256(data).hexdigest(), len(data))
    image = image_of(recipe, "linux/arm/v6", layer)
    other = image_of(named(recipe, "a/b:1"), "linux/arm/v6", layer)
    with tarfile.open(fileobj=io.BytesIO(written([image, other], {layer.sha256: data}))) as tar:
        names = tar.getnames()
        contents = {m.name: f.read() for m in tar if (f := tar.extractfile(m))}
    assert len(names) == len(set(names))
    for name, content in contents.items():
        if name.startswith("blobs/sha256/"):
            assert name.removeprefix("blobs/sha256/") == hashlib.sha256(content).hexdigest()
    index = json.loads(contents["index.json"])
    described = [m["annotations"]["io.containerd.image.name"] for m in index["manifests"]]
    assert described == ["docker.io/rancher/pause:3.6", "docker.io/a/b:1"]
    assert {m["platform"]["variant"] for m in index["manifests"]} == {"v6"}
    for entry, docker in zip(
        index["manifests"], json.loads(contents["manifest.json"]), strict=True
    ):
        manifest = json.loads(contents[f"blobs/sha256/{entry['digest'][7:]}"])
        assert docker["Config"] == f"blobs/sha256/{manifest['config']['digest'][7:]}"
        assert contents[docker["Layers"][0]] == data


def test_archive_begins_with_the_first_image(recipe: Recipe) -> None:
    # What a node needs first comes first: an import cut short is then still of use.
    blobs = [b"first", b"second"]
    layers = [Layer(hashlib.sha256(data).hexdigest(), len(data)) for data in blobs]
    images = [image_of(recipe, "linux/arm/v6", layer) for layer in layers]
    whole = written(images, dict(zip([layer.sha256 for layer in layers], blobs, strict=True)))
    assert whole.index(b"first") < whole.index(images[0].manifest.data) < whole.index(b"second")
