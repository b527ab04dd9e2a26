"""The airgap file, read as it is by those who import such files."""

from __future__ import annotations

import gzip
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from buildsys.app import App
from buildsys.bundle import Bundler
from buildsys.errors import CheckError
from buildsys.plan import digest

from .conftest import Airgap, Docker, MakeAirgap

pytestmark = pytest.mark.integration

PLATFORMS = {"amd64": ("amd64", None), "armv6": ("arm", "v6")}


@pytest.fixture(scope="module", params=list(PLATFORMS))
def made(request: pytest.FixtureRequest, airgap: MakeAirgap) -> tuple[str, Airgap]:
    return request.param, airgap(request.param)


def skopeo(*argv: str) -> str:
    done = subprocess.run(["skopeo", *argv], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


# Not docker-archive with gzip: Debian 12's skopeo 1.9 cannot read that from anyone.
@pytest.mark.parametrize(
    ("transport", "suffix"),
    [("docker-archive", "zst"), ("oci-archive", "zst"), ("oci-archive", "gz")],
)
def test_skopeo_reads_both_halves(
    made: tuple[str, Airgap], transport: str, suffix: str, tmp_path: Path
) -> None:
    target, airgap = made
    path = {"zst": airgap.zst, "gz": airgap.gz}[suffix]
    for image in airgap.images:
        source = f"{transport}:{path}:{image['image']}"
        config = json.loads(skopeo("inspect", "--config", source))
        assert (config["architecture"], config.get("variant")) == PLATFORMS[target]
        copy = tmp_path / image["name"]
        skopeo("copy", "--override-arch", config["architecture"], source, f"dir:{copy}")
        assert (copy / "manifest.json").is_file()


def test_docker_loads_it(made: tuple[str, Airgap], docker: Docker) -> None:
    target, airgap = made
    # .tar.gz, because Docker reads zstd from version 23 on only, and Debian 12 has 20.10.
    docker("load", "--input", str(airgap.gz))
    for name in airgap.names:
        short = name.removeprefix("docker.io/")
        found = json.loads(docker("image", "inspect", short))[0]
        assert (found["Architecture"], found.get("Variant") or None) == PLATFORMS[target]


def test_gzip_reads_what_zstd_reads(made: tuple[str, Airgap]) -> None:
    _, airgap = made
    with airgap.zst.open("rb") as file:
        reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        assert gzip.decompress(airgap.gz.read_bytes()) == reader.read()


def test_list_record_and_order(made: tuple[str, Airgap]) -> None:
    _, airgap = made
    assert airgap.names == [
        "docker.io/rancher/mirrored-pause:3.6",
        "docker.io/rancher/mirrored-library-busybox:1.37.0",
    ]
    assert [image["image"] for image in airgap.images] == airgap.names


def test_same_images_same_bytes(made: tuple[str, Airgap], airgap: MakeAirgap) -> None:
    target, first = made
    second = airgap(target)
    assert second.bundle.record["files"] == first.bundle.record["files"]


def test_program_of_another_platform_is_refused_before_anything_is_written(
    app: App, tmp_path: Path
) -> None:
    other = app.build(app.plan(["amd64"], ["launcher", "pause"]))
    artifacts = {
        o.result.artifact.recipe: o.result.artifact for o in other.outcomes.values() if o.result
    }
    (whole,) = app.plan(["armv6"]).bundles
    pause = tuple(job for job in whole.images if job.recipe == "pause")
    plan = replace(whole, members=(), images=pause, embedded=(), key=digest("other"))
    folder = tmp_path / "artifacts"
    bundler = Bundler(app.project, app.cache, app.timeline, folder, app.toolchain.go_version)
    with pytest.raises(
        CheckError, match=r"(?s)image of pause would say linux/arm/v6, but.*pause: machine"
    ):
        bundler.make(plan, artifacts)
    assert list(folder.iterdir()) == []
