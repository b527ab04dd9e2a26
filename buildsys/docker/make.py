"""From finished executables to one image for all their platforms, as an OCI layout."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from buildsys.bundle.images import demand_space
from buildsys.bundle.layout import content, frames, read_manifest
from buildsys.bundle.manifest import Manifest
from buildsys.cache import Cache, disk_errors, file_sha256
from buildsys.docker import contract
from buildsys.errors import CheckError, NotBuiltError
from buildsys.image import Image, Layer
from buildsys.image.layer import entries_of, write_layer
from buildsys.image.layout import add_layer, blob_file, finish
from buildsys.image.oci import REGISTRY, Blob, config_of, platforms_index
from buildsys.model import Recipe, Target
from buildsys.store import StoredFile


@dataclass(frozen=True)
class Made:
    """The image: its name with the tag, its layout's folder, and the part of each target."""

    name: str
    folder: Path
    parts: Mapping[str, Image]

    @property
    def images(self) -> tuple[Image, ...]:
        """The parts in their order."""
        return tuple(self.parts.values())

    @property
    def index(self) -> Blob:
        """What the name stands for: it names the parts by their platforms."""
        return platforms_index(self.images)

    def layer(self, target: str) -> Path:
        """The file of a part's layer."""
        return blob_file(self.folder, self.parts[target].layer.sha256)


@dataclass(frozen=True)
class Maker:
    """Makes the image of `recipe`, which is k3s's, from the executables in `artifacts`.

    `certificates` is the file of certificate authorities.
    """

    recipe: Recipe
    cache: Cache
    artifacts: Path
    certificates: Path

    def make(self, targets: Sequence[Target]) -> Made:
        """Write `artifacts/image`; the same executables make the same bytes.

        Raises `NotBuiltError`, `CorruptError`, `DiskFullError`, and `CheckError` where executables
        are of different versions.
        """
        manifests = {target.name: self._manifest(target) for target in targets}
        version = _one_version(manifests)
        name = f"{contract.NAME}:{contract.tag_of(version)}"
        folder = self.artifacts / "image"
        doing = f"making the image {name}"
        with disk_errors(folder, doing), self.cache.scratch("image") as scratch:
            folder.mkdir(exist_ok=True)
            parts = {}
            for target in targets:
                manifest = manifests[target.name]
                # The programs' frames are unpacked, the executable is linked to.
                needed = 3 * self._executable(target).stat().st_size
                demand_space(folder, needed, doing)
                parts[target.name] = self._part(
                    target, manifest, scratch / target.name, folder, name
                )
            made = Made(name, folder, parts)
            finish(folder, made.images, made.index, f"{REGISTRY}/library/{name}")
        return made

    def _executable(self, target: Target) -> Path:
        return self.artifacts / f"k3s-{target.name}"

    def _manifest(self, target: Target) -> Manifest:
        path = self._executable(target)
        if not path.is_file():
            raise NotBuiltError(
                f"there is no {path}", action=f"run `invoke build --arch {target.name}` first"
            )
        return read_manifest(path)

    def _part(
        self, target: Target, manifest: Manifest, scratch: Path, folder: Path, name: str
    ) -> Image:
        seconds = int(self.recipe.date.timestamp())
        files = [*self._files(self._executable(target), manifest, scratch)]
        tar = scratch.with_suffix(".tar")
        write_layer(entries_of(files, scratch, contract.FOLDERS), tar, seconds)
        layer = Layer(file_sha256(tar), tar.stat().st_size)
        add_layer(folder, tar, layer)
        created = self.recipe.date.strftime("%Y-%m-%dT%H:%M:%SZ")
        config = contract.configuration(self.recipe, created)
        platform = target.image.platform
        document = config_of(platform, layer, created, config, f"k3s {manifest.version}")
        return Image("k3s", f"{name}-{target.name}", platform, document, layer)

    def _files(self, executable: Path, manifest: Manifest, scratch: Path) -> Iterator[StoredFile]:
        """The layer's files, which lie below `scratch` afterwards."""
        kept = contract.tools(manifest)
        for entry, frame in frames(executable, manifest):
            if entry.path in kept:
                data = content(executable, entry, frame)
                yield _file(scratch, entry.path, data, entry.mode)
        for path, text in contract.links(manifest, kept).items():
            yield StoredFile(path, 0o777, 0, "", text)
        for path, text in contract.texts(manifest.version).items():
            yield _file(scratch, path, text.encode(), 0o644)
        certificates = self.certificates.read_bytes()
        yield _file(scratch, "etc/ssl/certs/ca-certificates.crt", certificates, 0o644)
        (scratch / contract.PROGRAM).symlink_to(executable.absolute())
        yield StoredFile(contract.PROGRAM, 0o755, executable.stat().st_size, "")


def _file(scratch: Path, path: str, data: bytes, mode: int) -> StoredFile:
    place = scratch / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return StoredFile(path, mode, len(data), hashlib.sha256(data).hexdigest())


def _one_version(manifests: Mapping[str, Manifest]) -> str:
    versions = {manifest.version for manifest in manifests.values()}
    if len(versions) == 1:
        return versions.pop()
    listing = "\n".join(f"  k3s-{name}: {m.version}" for name, m in sorted(manifests.items()))
    raise CheckError(
        f"the executables are of different versions:\n{listing}",
        cause="some were built before the recipe was changed",
        action="build all of them, or name with --arch those of one version",
    )


def built(artifacts: Path, targets: Iterable[Target]) -> list[Target]:
    """The targets whose executable is in `artifacts`. Raises `NotBuiltError` if none is."""
    found = [target for target in targets if (artifacts / f"k3s-{target.name}").is_file()]
    if not found:
        raise NotBuiltError(
            f"no executable is in {artifacts}", action="run `invoke build` with an --arch first"
        )
    return found
