"""Publishing to a real registry on this machine, and pulling it back."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from socket import socket

import pytest
import requests

from buildsys.errors import NoRightsError, PublishedError, UploadCutError
from buildsys.release.publish import Destination, Release, destination
from buildsys.release.publish.oci import MANIFEST
from buildsys.release.version import Tag

from .conftest import TAG, MakeRelease
from .server import CUT, Answer, Request, Server

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not shutil.which("docker-registry"), reason="`invoke setup` installs it"),
]

CONFIG = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: "{folder}"}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""

WAIT_SECONDS = 30


@dataclass(frozen=True)
class Running:
    """A registry's address, and what it holds of the repository k3s."""

    url: str

    def manifest(self, reference: str) -> bytes:
        at = f"{self.url}/v2/k3s/manifests/{reference}"
        answer = requests.get(at, headers={"Accept": MANIFEST}, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.content

    def files(self, reference: str) -> dict[str, bytes]:
        """Every layer, pulled and compared with its digest, by its title."""
        found = {}
        for layer in json.loads(self.manifest(reference))["layers"]:
            blob = requests.get(f"{self.url}/v2/k3s/blobs/{layer['digest']}", timeout=10).content
            assert f"sha256:{hashlib.sha256(blob).hexdigest()}" == layer["digest"]
            assert len(blob) == layer["size"]
            found[layer["annotations"]["org.opencontainers.image.title"]] = blob
        return found


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Running]:
    """Debian's docker-registry with an empty folder."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = tmp_path / "registry.yml"
    config.write_text(CONFIG.format(folder=tmp_path / "registry", port=port))
    log = (tmp_path / "registry.log").open("wb")
    process = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    until = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            requests.get(f"{url}/v2/", timeout=1)
            break
        except requests.ConnectionError:
            assert process.poll() is None and time.monotonic() < until, log.name
            time.sleep(0.05)
    yield Running(url)
    process.send_signal(signal.SIGTERM)
    process.wait(WAIT_SECONDS)
    log.close()


@pytest.fixture
def place(registry: Running) -> Destination:
    return destination(f"oci:{registry.url}/k3s", {})


@pytest.fixture
def proxy(registry: Running) -> Iterator[Server]:
    """In front of the registry: passes everything on, and can be told to fail."""

    def forward(request: Request) -> Answer:
        answer = requests.request(
            request.method,
            f"{registry.url}{request.path}",
            data=request.body,
            headers={k: v for k, v in request.headers.items() if k.lower() != "host"},
            timeout=30,
        )
        kept = ("location", "docker-content-digest", "content-type")
        headers = {k: v for k, v in answer.headers.items() if k.lower() in kept}
        if "Location" in headers:
            headers["Location"] = headers["Location"].removeprefix(registry.url)
        return Answer(answer.status_code, answer.content, headers)

    with Server(forward).served() as running:
        yield running


def expected(release: Release) -> dict[str, bytes]:
    return {file.name: file.local.read_bytes() for file in release.flat}


def test_pulled_back_it_is_the_same(
    place: Destination, registry: Running, release: Release
) -> None:
    outcome = place.publish(release)
    assert (outcome.put, outcome.kept, outcome.channels) == (len(release.flat), 0, True)
    assert registry.files(TAG.oci) == expected(release)
    assert registry.manifest("latest") == registry.manifest(TAG.oci)


def test_second_run_puts_nothing(place: Destination, registry: Running, release: Release) -> None:
    place.publish(release)
    before = registry.manifest(TAG.oci)
    outcome = place.publish(release)
    assert (outcome.put, outcome.kept, outcome.channels) == (0, len(release.flat), False)
    assert registry.manifest(TAG.oci) == before


def test_published_bytes_are_never_overwritten(
    place: Destination, registry: Running, make: MakeRelease
) -> None:
    place.publish(make())
    before = registry.manifest(TAG.oci)
    with pytest.raises(PublishedError, match=f"has {TAG.oci} already"):
        place.publish(make(k3s_armv6=b"built again"))
    assert registry.manifest(TAG.oci) == registry.manifest("latest") == before


def test_next_release_moves_latest_and_not_stable(
    place: Destination, registry: Running, make: MakeRelease
) -> None:
    newer = Tag("v1.36.0+k3s1.1")
    place.publish(make(channels=("stable", "latest")))
    place.publish(make(newer))
    assert registry.manifest("latest") == registry.manifest(newer.oci)
    assert registry.manifest("stable") == registry.manifest(TAG.oci)
    # An older line later on: latest stays.
    place.publish(make(Tag("v1.35.0+k3s-04e8f1b5.2")))
    assert registry.manifest("latest") == registry.manifest(newer.oci)


def test_push_cut_in_the_middle_is_gone_on_with(
    proxy: Server, registry: Running, release: Release
) -> None:
    blob = next(file for file in release.flat if file.name == "k3s-armv6").sha256
    place = destination(f"oci:{proxy.url}/k3s", {})
    proxy.faults.plan("PUT", f"digest=sha256:{blob}", CUT, CUT, CUT)
    with pytest.raises(UploadCutError, match="uploading k3s-armv6, 3 times"):
        place.publish(release)
    # Without a manifest nobody sees a part.
    tags = requests.get(f"{registry.url}/v2/k3s/tags/list", timeout=10)
    assert tags.status_code == 404 or not tags.json()["tags"]
    assert place.publish(release).put == len(release.flat)
    assert registry.files(TAG.oci) == expected(release)


def test_token_is_bought_where_the_registry_asks(
    proxy: Server, registry: Running, release: Release
) -> None:
    forward = proxy.answer
    sold: list[Request] = []

    def guarded(request: Request) -> Answer:
        if request.path.startswith("/token"):
            sold.append(request)
            return Answer(200, b'{"token": "bought"}')
        if request.headers.get("Authorization") != "Bearer bought":
            challenge = f'Bearer realm="{proxy.url}/token",service="the registry"'
            return Answer(401, b"{}", {"WWW-Authenticate": challenge})
        return forward(request)

    proxy.answer = guarded
    environment = {"REGISTRY_USER": "someone", "REGISTRY_PASSWORD": "secret"}
    destination(f"oci:{proxy.url}/k3s", environment).publish(release)
    assert registry.files(TAG.oci) == expected(release)
    assert len(sold) == 1
    assert sold[0].headers["Authorization"].startswith("Basic ")
    assert "scope=repository%3Ak3s%3Apull%2Cpush" in sold[0].path


def test_wrong_password(proxy: Server) -> None:
    proxy.answer = lambda _: Answer(401, b"{}", {"WWW-Authenticate": 'Basic realm="r"'})
    environment = {"REGISTRY_USER": "someone", "REGISTRY_PASSWORD": "secret"}
    place = destination(f"oci:{proxy.url}/k3s", environment)
    [(what, action)] = place.obstacles(TAG, None)
    assert "401" in what
    assert "REGISTRY_USER" in action
    assert "secret" not in what + action


def test_realm_without_tls_gets_no_credentials(proxy: Server, release: Release) -> None:
    challenge = {"WWW-Authenticate": 'Bearer realm="http://192.0.2.1/token"'}
    proxy.answer = lambda _: Answer(401, b"{}", challenge)
    environment = {"REGISTRY_USER": "someone", "REGISTRY_PASSWORD": "secret"}
    with pytest.raises(NoRightsError, match=r"sent to 192.0.2.1"):
        destination(f"oci:{proxy.url}/k3s", environment).publish(release)


def test_obstacles(place: Destination, make: MakeRelease) -> None:
    assert list(place.obstacles(TAG, None)) == []
    place.publish(make())
    sums = expected(make())["sha256sums.txt"]
    assert list(place.obstacles(TAG, sums)) == []
    [(what, _)] = place.obstacles(TAG, None)
    assert f"has {TAG} already" in what
