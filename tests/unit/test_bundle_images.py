"""Images in a bundle: airgap files, embedded archives, and what is refused before writing."""

from __future__ import annotations

import gzip
import io
import json
import random
import shutil
import tarfile
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from buildsys.bundle import Bundler
from buildsys.bundle.layout import read_manifest
from buildsys.cache import Cache
from buildsys.errors import BudgetError, DiskFullError
from buildsys.plan import BundlePlan, Job
from buildsys.report import Timeline
from buildsys.store import Artifact

from .conftest import Add, Tree, sha256

pytestmark = pytest.mark.unit

MakeBundler = Callable[[], Bundler]

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def made_of(add: Add) -> dict[str, Artifact]:
    return {
        "k3s": add("1" * 64, {"bin/k3s": b"program"}, recipe="k3s"),
        "start": add("3" * 64, {"launcher": b"\x7fELF start"}, recipe="start"),
        "pause": add("4" * 64, {"pause": b"pause"}, recipe="pause"),
        "dns": add("5" * 64, {"dns": b"dns " * 9000, "etc/ca": b"ca"}, recipe="dns"),
    }


@pytest.fixture
def bundler(tree: Tree, cache: Cache, tmp_path: Path) -> MakeBundler:
    tree.recipe("k3s")
    tree.recipe("start", into="launcher")
    tree.image("dns", "rancher/dns:1.14")
    tree.image("pause", "rancher/pause:3.6", "rank = 0")
    tree.edit("toolchains/armv6.toml", "budget_mib = 62", "budget_mib = 62\nembed_budget_mib = 1")
    return lambda: Bundler(tree.load(), cache, Timeline(), tmp_path / "artifacts", "go1.25.5")


@pytest.fixture
def planned(bundler: MakeBundler) -> BundlePlan:
    recipes = bundler().project.recipes
    jobs = {
        name: Job(name, "armv6", key * 64, (), recipes[name])
        for name, key in (("k3s", "1"), ("start", "3"), ("pause", "4"), ("dns", "5"))
    }
    images = (jobs["pause"], jobs["dns"])
    return BundlePlan(
        "armv6", "full", "f" * 64, jobs["start"], (jobs["k3s"],), images, images[:1], ("traefik",)
    )


def first_layer(archive: Path) -> tuple[str, bytes]:
    """The media type and bytes of the first image's layer."""
    with tar_of(archive) as tar:

        def blob(name: str) -> bytes:
            file = tar.extractfile(name)
            assert file
            return file.read()

        def document(digest: str) -> Any:
            return json.loads(blob(f"blobs/sha256/{digest.removeprefix('sha256:')}"))

        entry = json.loads(blob("index.json"))["manifests"][0]
        layer = document(entry["digest"])["layers"][0]
        data = blob(f"blobs/sha256/{layer['digest'].removeprefix('sha256:')}")
        return layer["mediaType"], data


def tar_of(path: Path) -> tarfile.TarFile:
    if path.suffix == ".gz":
        data = gzip.decompress(path.read_bytes())
    else:
        with path.open("rb") as file:
            reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            data = reader.read()
    return tarfile.open(fileobj=io.BytesIO(data))


def references(path: Path) -> list[str]:
    with tar_of(path) as tar:
        member = tar.extractfile("index.json")
        assert member
        index = json.load(member)
    return [m["annotations"]["io.containerd.image.name"] for m in index["manifests"]]


def test_airgap_files_and_list_name_the_same_images(
    bundler: MakeBundler, made_of: dict[str, Artifact], planned: BundlePlan
) -> None:
    bundle = bundler().make(planned, made_of)
    folder = bundle.path.parent
    assert {path.name for path in folder.iterdir()} == {
        "k3s-armv6",
        "k3s-armv6.json",
        "k3s-airgap-images-armv6.tar.zst",
        "k3s-airgap-images-armv6.tar.gz",
        "k3s-images.txt",
    }
    names = ["docker.io/rancher/pause:3.6", "docker.io/rancher/dns:1.14"]
    assert (folder / "k3s-images.txt").read_text().split() == names
    for suffix in ("zst", "gz"):
        assert references(folder / f"k3s-airgap-images-armv6.tar.{suffix}") == names
    assert [image["image"] for image in bundle.record["images"]] == names
    assert bundle.record["files"]["k3s-armv6"]["sha256"] == bundle.record["sha256"]


def test_executable_carries_the_embedded_archive_as_it_is(
    bundler: MakeBundler, made_of: dict[str, Artifact], planned: BundlePlan, tmp_path: Path
) -> None:
    bundle = bundler().make(planned, made_of)
    manifest = read_manifest(bundle.path)
    (image,) = manifest.images
    assert image.name == "k3s-pause.tar.zst"
    archive = bundle.path.read_bytes()[image.offset : image.offset + image.length]
    assert sha256(archive) == image.sha256
    (tmp_path / image.name).write_bytes(archive)
    assert references(tmp_path / image.name) == ["docker.io/rancher/pause:3.6"]
    airgap = bundle.path.parent / "k3s-airgap-images-armv6.tar.zst"
    (plain_type, plain), (packed_type, packed) = map(first_layer, (airgap, tmp_path / image.name))
    assert packed_type == f"{plain_type}+zstd"
    assert zstandard.decompress(packed) == plain, "an import finds it compressed"
    assert manifest.without == ("traefik",)
    assert bundle.record["embedded_size"] == image.length
    assert [i["embedded"] for i in bundle.record["images"]] == [True, False]


def test_layer_is_not_compressed_twice(
    bundler: MakeBundler, made_of: dict[str, Artifact], planned: BundlePlan, add: Add
) -> None:
    """The archive around a compressed layer costs a fast level's time, and no more bytes."""
    made_of["pause"] = add("6" * 64, {"pause": random.Random(1).randbytes(1 << 19)}, recipe="pause")
    one = bundler()
    bundle = one.make(planned, made_of)
    spans = [span.name for span in one.timeline.spans if span.kind == "compress"]
    assert spans.count("pause.tar") == 2, "its frame and its gzip member"
    (image,) = read_manifest(bundle.path).images
    assert image.length < (1 << 19) + 8192


def test_images_do_not_change_the_data_directory(
    bundler: MakeBundler, made_of: dict[str, Artifact], planned: BundlePlan
) -> None:
    first = bundler().make(planned, made_of).record
    second = bundler().make(replace(planned, embedded=(), key="e" * 64), made_of).record
    assert first["data"] == second["data"]
    assert first["sha256"] != second["sha256"]


def test_profile_stands_in_the_names(
    bundler: MakeBundler, made_of: dict[str, Artifact], planned: BundlePlan, tree: Tree
) -> None:
    tree.write("recipes/profiles.toml", '[small]\nsummary = "Less"\n')
    bundle = bundler().make(replace(planned, profile="small"), made_of)
    assert {path.name for path in bundle.path.parent.iterdir()} == {
        "k3s-armv6-small",
        "k3s-armv6-small.json",
        "k3s-airgap-images-armv6-small.tar.zst",
        "k3s-airgap-images-armv6-small.tar.gz",
        "k3s-images-small.txt",
    }


def test_embedded_images_have_a_budget_of_their_own(
    bundler: MakeBundler, made_of: dict[str, Artifact], planned: BundlePlan, tree: Tree
) -> None:
    tree.edit("toolchains/armv6.toml", "embed_budget_mib = 1", "embed_budget_mib = 0.00001")
    with pytest.raises(BudgetError, match=r"embedded images: 0\.001 MiB, budget 1e-05 MiB"):
        bundler().make(planned, made_of)
    assert list(bundler().artifacts.iterdir()) == []


@pytest.mark.parametrize("full", ["work", "artifacts"])
def test_no_space_is_said_before_anything_is_written(
    bundler: MakeBundler,
    made_of: dict[str, Artifact],
    planned: BundlePlan,
    monkeypatch: pytest.MonkeyPatch,
    full: str,
) -> None:
    def usage(path: Path) -> Usage:
        return Usage(0, 0, 1000 if full in Path(path).parts else 1 << 40)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(DiskFullError, match=r"takes \d+ MiB"):
        bundler().make(planned, made_of)
    assert list(bundler().artifacts.iterdir()) == []


@pytest.mark.parametrize("name", ["k3s-airgap-images-armv6.tar.zst", "k3s-images.txt"])
def test_changed_airgap_file_is_made_anew(
    bundler: MakeBundler, made_of: dict[str, Artifact], planned: BundlePlan, name: str
) -> None:
    path = bundler().make(planned, made_of).path.with_name(name)
    good = path.read_bytes()
    path.write_bytes(good + b"x")
    again = bundler().make(planned, made_of)
    assert not again.cached
    assert path.read_bytes() == good
    assert bundler().make(planned, made_of).cached
