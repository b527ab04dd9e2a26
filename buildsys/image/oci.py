"""The documents of an image: configuration, manifest, index. Pure; bytes are canonical JSON.

Formats: github.com/opencontainers/image-spec v1.1 (config.md, manifest.md, image-index.md,
annotations.md); manifest.json is Docker's own (`docker save`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from buildsys.model import Recipe

REGISTRY = "docker.io"
"""What a name without a registry means to containerd and Docker."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where a container without an [image.env] looks for programs, as with Docker."""

_TYPES = "application/vnd.oci.image"
MANIFEST = f"{_TYPES}.manifest.v1+json"
INDEX = f"{_TYPES}.index.v1+json"


@dataclass(frozen=True)
class Blob:
    """A document and what it is called by: its sha256."""

    data: bytes

    @property
    def sha256(self) -> str:
        """In hex."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Layer:
    """A layer as it lies in an archive: plain, or its zstd frame; size in bytes."""

    sha256: str
    size: int
    zstd: bool = False

    @property
    def media_type(self) -> str:
        """What a manifest calls it."""
        return f"{_TYPES}.layer.v1.tar{'+zstd' if self.zstd else ''}"


@dataclass(frozen=True)
class Image:
    """One image for one platform. `name` is without a registry: rancher/mirrored-pause:3.6."""

    recipe: str
    name: str
    platform: str
    config: Blob
    layer: Layer

    @property
    def reference(self) -> str:
        """The full name, as containerd stores it."""
        return f"{REGISTRY}/{self.name}"

    @property
    def manifest(self) -> Blob:
        """The image's manifest."""
        return _blob(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": _descriptor(f"{_TYPES}.config.v1+json", self.config),
                "layers": [
                    {
                        "mediaType": self.layer.media_type,
                        "digest": f"sha256:{self.layer.sha256}",
                        "size": self.layer.size,
                    }
                ],
            }
        )


def image_of(recipe: Recipe, platform: str, layer: Layer) -> Image:
    """The image of a recipe with an [image] table, whose files are in the plain `layer`."""
    table = recipe.image
    assert table, "only recipes with [image] become images"
    created = recipe.date.strftime("%Y-%m-%dT%H:%M:%SZ")
    environment = table.env or {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    }
    config = {
        "User": table.user,
        "ExposedPorts": {port: {} for port in table.ports},
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "Entrypoint": list(table.entrypoint),
        "Cmd": list(table.cmd),
        "WorkingDir": table.workdir,
        "Labels": labels(recipe, created),
    }
    document = config_of(platform, layer, created, config, f"{recipe.name} {recipe.version}")
    return Image(recipe.name, table.name, platform, document, layer)


def config_of(
    platform: str, layer: Layer, created: str, config: Mapping[str, Any], comment: str
) -> Blob:
    """An image's configuration: what a container of it is started with, and its one plain layer."""
    return _blob(
        {
            "created": created,
            **platform_fields(platform),
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.sha256}"]},
            "history": [{"created": created, "comment": comment}],
        }
    )


def platforms_index(images: Sequence[Image]) -> Blob:
    """One image for several platforms: a machine takes the manifest that names its own."""
    manifests = [
        {**_descriptor(MANIFEST, image.manifest), "platform": platform_fields(image.platform)}
        for image in images
    ]
    return _blob({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})


def layout_index(index: Blob, reference: str) -> Blob:
    """index.json of a layout that holds one image for several platforms.

    `ref.name` is the tag alone, as the image-spec wants it; containerd reads the whole name.
    """
    annotations = {
        "io.containerd.image.name": reference,
        "org.opencontainers.image.ref.name": reference.rpartition(":")[2],
    }
    descriptor = {**_descriptor(INDEX, index), "annotations": annotations}
    return _blob({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor]})


def index_of(images: Sequence[Image]) -> Blob:
    """index.json: each image with its platform and its full name, in the given order.

    containerd's importer reads the name from `io.containerd.image.name`, skopeo from `ref.name`.
    """
    manifests = [
        {
            **_descriptor(MANIFEST, image.manifest),
            "platform": platform_fields(image.platform),
            "annotations": {
                "io.containerd.image.name": image.reference,
                "org.opencontainers.image.ref.name": image.reference,
            },
        }
        for image in images
    ]
    return _blob({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})


def docker_manifest(images: Sequence[Image]) -> Blob:
    """manifest.json, by which `docker load` finds configurations and layers among the blobs."""
    return _blob(
        [
            {
                "Config": blob_path(image.config.sha256),
                "RepoTags": [image.name],
                "Layers": [blob_path(image.layer.sha256)],
            }
            for image in images
        ]
    )


def blob_path(sha256: str) -> str:
    """Where a blob lies in the layout."""
    return f"blobs/sha256/{sha256}"


def platform_fields(platform: str) -> dict[str, str]:
    """`linux/arm/v6` as the fields of a configuration or descriptor."""
    names = ("os", "architecture", "variant")
    return dict(zip(names, platform.split("/"), strict=False))


def labels(recipe: Recipe, created: str) -> dict[str, str]:
    """The image's labels. Its tag is what k3s asks for; what is inside is said here."""
    prefix = "org.opencontainers.image"
    return {
        f"{prefix}.title": recipe.name,
        f"{prefix}.description": recipe.summary,
        f"{prefix}.version": recipe.version,
        f"{prefix}.licenses": recipe.license,
        f"{prefix}.created": created,
    }


def _descriptor(kind: str, blob: Blob) -> dict[str, Any]:
    return {"mediaType": kind, "digest": f"sha256:{blob.sha256}", "size": len(blob.data)}


def _blob(value: object) -> Blob:
    return Blob(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())
