"""Which images of an archive are for the board."""

from __future__ import annotations

import hashlib
import json

import pytest

from buildsys.verify.platforms import Documents, runs

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("platform", "wanted", "answer"),
    [
        ("linux/arm/v6", "linux/arm/v6", True),
        ("linux/arm/v5", "linux/arm/v6", True),
        ("linux/arm/v7", "linux/arm/v6", False),
        ("linux/arm", "linux/arm/v6", False),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/arm64", "linux/arm/v7", False),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm64/v9", "linux/arm64", False),
        ("linux/amd64", "linux/amd64", True),
        ("linux/amd64/v3", "linux/amd64", False),
        ("windows/amd64", "linux/amd64", False),
        ("linux/arm/vNext", "linux/arm/v6", False),
        ("", "linux/arm/v6", False),
    ],
)
def test_what_a_runtime_takes(platform: str, wanted: str, answer: bool) -> None:
    assert runs(platform, wanted) is answer


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def image(architecture: str, variant: str, *layers: str) -> tuple[bytes, bytes]:
    """Configuration and manifest."""
    config = json.dumps(
        {"os": "linux", "architecture": architecture, "variant": variant, "rootfs": {}}
    ).encode()
    described = [{"digest": f"sha256:{layer}"} for layer in layers]
    manifest = {"config": {"digest": f"sha256:{digest(config)}"}, "layers": described}
    return config, json.dumps(manifest).encode()


def documents(*images: tuple[bytes, bytes]) -> Documents:
    found = Documents()
    for config, manifest in images:
        # In any order: a layout sorts its blobs by their hashes.
        found.add(manifest)
        found.add(config)
    return found


def test_layers_of_other_platforms_are_left_out() -> None:
    found = documents(image("arm", "v6", "a", "shared"), image("arm", "v7", "b", "shared"))
    assert found.platforms == ("linux/arm/v6", "linux/arm/v7")
    assert found.left_out("linux/arm/v6") == {"b"}
    assert found.left_out("linux/arm/v7") == frozenset()


def test_nothing_is_left_out_where_no_image_is_for_the_target() -> None:
    found = documents(image("arm", "v7", "b"), image("amd64", "", "c"))
    assert found.left_out("linux/arm/v6") == frozenset()


def test_one_configuration_with_two_manifests() -> None:
    config, manifest = image("arm", "v6", "plain")
    packed = manifest.replace(b"plain", b"packed")
    found = documents((config, manifest), (config, packed), image("arm", "v7", "b"))
    assert found.left_out("linux/arm/v6") == {"b"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b'"text"',
        b'{"architecture": "arm"}',
        b'{"rootfs": [], "architecture": "arm"}',
        b'{"layers": {}, "config": {}}',
        b'{"layers": [1, null], "config": 7}',
        b'{"config": {"digest": 5}, "layers": ["x", {"digest": []}]}',
        b"\xff\xfe{",
    ],
)
def test_other_documents_are_passed_over(data: bytes) -> None:
    found = Documents()
    found.add(data)
    assert found.platforms == ()
    assert found.left_out("linux/arm/v6") == frozenset()


def test_a_platform_is_safe_to_print() -> None:
    found = documents(image("a\x1b[2Jm", "v" + "9" * 10_000))
    (platform,) = found.platforms
    assert platform.startswith("linux/a\\x1b[2Jm/v99")
    assert len(platform) < 100
    assert not runs(platform, "linux/arm/v6")


def test_attestations_are_no_platform() -> None:
    config, manifest = image("unknown", "", "x")
    found = documents((config.replace(b'"linux"', b'"unknown"'), manifest))
    assert found.platforms == ()
