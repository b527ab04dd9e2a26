"""Images in one tar that is an OCI layout and a `docker save` at once.

containerd, skopeo and k3s read its index.json, Docker its manifest.json; both name the same blobs.
Images come in the given order, so that an import cut short has the first ones.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from buildsys.image.oci import Image, Layer, blob_path, docker_manifest, index_of

LAYOUT = json.dumps({"imageLayoutVersion": "1.0.0"}).encode()
"""Content of oci-layout (OCI image-spec, image-layout.md)."""


@dataclass(frozen=True)
class Archive:
    """The tar in pieces: bytes as they are, or a layer whose bytes lie in a file elsewhere."""

    pieces: tuple[bytes | Layer, ...]


def archive_of(images: Sequence[Image], seconds: int) -> Archive:
    """The archive of `images`; its members have the date `seconds` (Unix time)."""
    return Archive(tuple(_joined(_pieces(images, seconds))))


def _pieces(images: Sequence[Image], seconds: int) -> Iterator[bytes | Layer]:
    yield _member("oci-layout", LAYOUT, seconds)
    # Images may share blobs; each is there once.
    blobs = {
        blob.sha256: blob
        for image in images
        for blob in (image.layer, image.config, image.manifest)
    }
    for sha256, blob in blobs.items():
        if isinstance(blob, Layer):
            yield _header(blob_path(sha256), blob.size, seconds)
            yield blob
            yield _padding(blob.size)
        else:
            yield _member(blob_path(sha256), blob.data, seconds)
    yield _member("index.json", index_of(images).data, seconds)
    yield _member("manifest.json", docker_manifest(images).data, seconds)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _joined(pieces: Iterator[bytes | Layer]) -> Iterator[bytes | Layer]:
    """Neighbouring bytes as one piece."""
    held = b""
    for piece in pieces:
        if isinstance(piece, bytes):
            held += piece
            continue
        yield held
        yield piece
        held = b""
    yield held


def _member(name: str, data: bytes, seconds: int) -> bytes:
    return _header(name, len(data), seconds) + data + _padding(len(data))


def _header(name: str, size: int, seconds: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, seconds, 0o644
    return member.tobuf(tarfile.USTAR_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)
