"""One image for several platforms as a folder: an OCI layout whose tar `docker load` reads as well.

Blobs are named by what they hold, so each is written once; the index comes last, and then goes what
no index names any more. Format: OCI image-spec, image-layout.md.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from buildsys.cache import file_sha256, unfinished, write_atomic
from buildsys.image.archive import LAYOUT
from buildsys.image.oci import Blob, Image, Layer, blob_path, docker_manifest, layout_index


def blob_file(folder: Path, sha256: str) -> Path:
    """Where a blob lies."""
    return folder / blob_path(sha256)


def add_layer(folder: Path, tar: Path, layer: Layer) -> None:
    """Put the layer in `tar` there, unless it is there, whole."""
    place = blob_file(folder, layer.sha256)
    if place.is_file() and file_sha256(place) == layer.sha256:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    with unfinished(place) as temporary:
        shutil.copyfile(tar, temporary)
        temporary.replace(place)


def finish(folder: Path, images: Sequence[Image], index: Blob, reference: str) -> None:
    """Write all that is not a layer, the layout's index last, and remove other blobs.

    `index` names `images` by their platforms; `reference` is its full name.
    """
    documents = [index, *(b for image in images for b in (image.config, image.manifest))]
    for blob in documents:
        write_atomic(blob_file(folder, blob.sha256), blob.data)
    write_atomic(folder / "oci-layout", LAYOUT)
    write_atomic(folder / "manifest.json", docker_manifest(images).data)
    write_atomic(folder / "index.json", layout_index(index, reference).data)
    wanted = {blob.sha256 for blob in documents} | {image.layer.sha256 for image in images}
    for path in (folder / "blobs/sha256").iterdir():
        if re.fullmatch("[0-9a-f]{64}", path.name) and path.name not in wanted:
            path.unlink()
