"""The image: the same bytes each time, what rancher/k3s promises, what a registry gives back."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import requests

from buildsys.app import App
from buildsys.docker import daemon
from buildsys.docker.make import Made, Maker
from buildsys.docker.push import push
from buildsys.errors import CheckError, CorruptError, NotBuiltError, PublishedError
from buildsys.image.oci import INDEX, MANIFEST

from .conftest import TARGETS, VERSION, Docker

pytestmark = pytest.mark.integration

NAME = "k3s:v1.35.0-k3s-test"


@pytest.fixture
def made(app: App, maker: Maker) -> Made:
    return maker.make(app.targets(TARGETS))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_same_executables_same_bytes(app: App, made: Made, maker: Maker) -> None:
    before = contents(made.folder)
    # What another run left goes; what is there already is not trusted, but read.
    (made.folder / "blobs/sha256" / ("0" * 64)).write_text("older")
    made.layer("armv6").write_bytes(b"damaged")
    maker.make(app.targets(TARGETS))
    assert contents(made.folder) == before
    for path, data in before.items():
        if path.startswith("blobs/"):
            assert hashlib.sha256(data).hexdigest() == Path(path).name


def test_layout_names_one_image_of_both_platforms(made: Made) -> None:
    files = contents(made.folder)
    (named,) = json.loads(files["index.json"])["manifests"]
    assert named["annotations"] == {
        "io.containerd.image.name": f"docker.io/library/{NAME}",
        "org.opencontainers.image.ref.name": "v1.35.0-k3s-test",
    }
    index = json.loads(files[f"blobs/sha256/{named['digest'].partition(':')[2]}"])
    assert [m["platform"] for m in index["manifests"]] == [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm", "variant": "v6"},
    ]


def test_damaged_executable_makes_no_image(app: App, maker: Maker) -> None:
    path = maker.artifacts / "k3s-armv6"
    data = bytearray(path.read_bytes())
    data[-5000] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptError, match="k3s-armv6"):
        maker.make(app.targets(TARGETS))
    assert not (maker.artifacts / "image/index.json").exists()


def test_missing_executable_is_named(app: App, maker: Maker) -> None:
    (maker.artifacts / "k3s-armv6").unlink()
    with pytest.raises(NotBuiltError, match=r"k3s-armv6(.|\n)*invoke build --arch armv6"):
        maker.make(app.targets(TARGETS))


def test_two_versions_are_no_image(app: App, maker: Maker) -> None:
    path = maker.artifacts / "k3s-armv6"
    # The manifest's hash stands in the footer: changed with it.
    data = path.read_bytes()
    other = data.replace(VERSION.encode(), VERSION.encode()[:-1] + b"u")
    start = other.rindex(b"k3s-bundle 1\n")
    text = other[start:-64]
    path.write_bytes(other[:-32] + hashlib.sha256(text).digest())
    with pytest.raises(CheckError, match=r"different versions(.|\n)*k3s-armv6: .*k3s-tesu"):
        maker.make(app.targets(TARGETS))


def test_docker_runs_it_as_people_run_rancher_k3s(
    made: Made, docker: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", docker.host)
    names = daemon.load(daemon.connect(), made, 0)
    assert names == [f"{NAME}-amd64", f"{NAME}-armv6", NAME]
    config = json.loads(docker("image", "inspect", NAME))[0]["Config"]
    assert config["Entrypoint"] == ["/bin/k3s"]
    assert config["Cmd"] == ["agent"]
    assert set(config["Volumes"]) == {
        "/var/lib/kubelet",
        "/var/lib/rancher/k3s",
        "/var/lib/cni",
        "/var/log",
    }
    env = dict(line.split("=", 1) for line in config["Env"])
    assert env["CRI_CONFIG_FILE"] == "/var/lib/rancher/k3s/agent/etc/crictl.yaml"
    path = env["PATH"].split(":")
    assert path[0] == "/var/lib/rancher/k3s/data/cni"
    assert path.index("/bin") < path.index("/bin/aux")
    alone = ("run", "--rm", "--privileged", "--network=none", "--env=K3S_NODE_CHECKS=off")
    assert docker(*alone, NAME, "server", "--debug") == "k3s server --debug on x86_64\n"
    assert docker(*alone, NAME) == "k3s agent on x86_64\n"
    # As kubectl, and with a shell before anything is unpacked.
    assert "get nodes" in docker(*alone, "--entrypoint=kubectl", NAME, "get", "nodes")
    shell = docker(*alone, "--entrypoint=sh", NAME, "-c", "cat /etc/passwd /etc/ssl/certs/*")
    assert shell == "root:x:0:0:root:/:/bin/sh\nauthorities\n"


def test_pulled_back_from_a_registry_it_is_the_same(
    made: Made, registry: str, unused_docker: Docker
) -> None:
    name, put = push(made, f"{registry}/k3s", {})
    assert (name, put) == (f"{registry}/k3s:v1.35.0-k3s-test", 2)
    docker = unused_docker
    at = f"http://{registry}/v2/k3s"
    index = requests.get(f"{at}/manifests/v1.35.0-k3s-test", headers={"Accept": INDEX}, timeout=10)
    assert index.content == made.index.data
    for part in json.loads(index.content)["manifests"]:
        accept = {"Accept": MANIFEST}
        manifest = requests.get(f"{at}/manifests/{part['digest']}", headers=accept, timeout=10)
        pulled = json.loads(manifest.content)
        for blob in (pulled["config"], *pulled["layers"]):
            data = requests.get(f"{at}/blobs/{blob['digest']}", timeout=30).content
            sha256 = blob["digest"].partition(":")[2]
            assert data == (made.folder / "blobs/sha256" / sha256).read_bytes()
    for platform, variant in (("linux/amd64", None), ("linux/arm/v6", "v6")):
        docker("pull", "--quiet", f"--platform={platform}", name)
        assert json.loads(docker("image", "inspect", name))[0].get("Variant") in (variant, "")


def test_second_push_puts_nothing_and_another_image_is_refused(
    app: App, made: Made, maker: Maker, registry: str
) -> None:
    push(made, f"{registry}/k3s", {})
    assert push(made, f"{registry}/k3s", {})[1] == 0
    fewer = maker.make(app.targets(["armv6"]))
    with pytest.raises(PublishedError, match=r"v1\.35\.0-k3s-test is there already"):
        push(fewer, f"{registry}/k3s", {})
