"""The audit of a target's images: the airgap archive is read back as an importer would read it."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from buildsys.bundle.layout import read_manifest
from buildsys.bundle.manifest import Embedded
from buildsys.cache import disk_errors, file_sha256
from buildsys.check import elf_problems
from buildsys.errors import AuditError, CorruptError
from buildsys.image.oci import platform_fields
from buildsys.model import Target
from buildsys.verify.verdict import Verdict

BLOBS = "blobs/sha256/"


@dataclass(frozen=True)
class Contents:
    """An archive taken apart: where each of its members lies, by name."""

    members: Mapping[str, Path]

    def blob(self, digest: str) -> Path:
        """The blob of `sha256:…`, whose bytes have that digest. Raises `AuditError`."""
        path = self.members.get(f"{BLOBS}{digest.removeprefix('sha256:')}")
        if path is None or f"sha256:{file_sha256(path)}" != digest:
            raise AuditError(f"the archive has no good blob {digest}")
        return path

    def document(self, digest: str) -> Any:
        """The JSON document of `sha256:…`. Raises `AuditError`."""
        return json.loads(self.blob(digest).read_bytes())

    def index(self) -> list[dict[str, Any]]:
        """What index.json lists. Raises `AuditError`."""
        if "index.json" not in self.members:
            raise AuditError("the archive has no index.json")
        found: list[dict[str, Any]] = json.loads(self.members["index.json"].read_bytes())[
            "manifests"
        ]
        return found


def audit_images(
    verdict: Verdict, executable: Path, record: Mapping[str, Any], target: Target, scratch: Path
) -> None:
    """Judge every image of a bundle and every archive that its executable embeds."""
    contents = Contents({})
    for name in (name for name in record["files"] if name.endswith(".tar.zst")):
        with verdict.step(f"read {name}") as step:
            contents = take_apart(executable.parent / name, scratch)
            step.facts = {"members": len(contents.members)}
            _names(contents, record, executable.parent)
        for image in record["images"]:
            with verdict.step(f"image {image['image']}") as step:
                step.facts = _image(contents, image, target)
    for embedded in read_manifest(executable).images:
        with verdict.step(f"embedded {embedded.name}"):
            folder = scratch / embedded.name.removesuffix(".tar.zst")
            folder.mkdir()
            _embedded(executable, embedded, _configs(contents), folder)


def take_apart(archive: Path, scratch: Path) -> Contents:
    """Read a .tar.zst of images; its members go to `scratch` under names of ours.

    Raises `CorruptError` for what is cut or no plain file.
    """
    members: dict[str, Path] = {}
    with disk_errors(scratch, f"reading {archive.name}"), archive.open("rb") as file:
        reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        try:
            with tarfile.open(fileobj=reader, mode="r|") as tar:
                for member in tar:
                    source = tar.extractfile(member)
                    if source is None:
                        raise CorruptError(f"{archive}: {member.name} is no plain file")
                    members[member.name] = scratch / f"member-{len(members)}"
                    with members[member.name].open("wb") as out:
                        shutil.copyfileobj(source, out)
        except (tarfile.TarError, zstandard.ZstdError) as error:
            raise CorruptError(f"{archive} cannot be read: {error}") from error
    return Contents(members)


def _names(contents: Contents, record: Mapping[str, Any], folder: Path) -> None:
    """The archive, Docker's list in it, the record and the list beside it name the same images."""
    listing = next(name for name in record["files"] if name.endswith(".txt"))
    named = (folder / listing).read_text("utf-8").splitlines()
    docker = json.loads(contents.members["manifest.json"].read_bytes())
    others = {
        "index.json": [m["annotations"]["io.containerd.image.name"] for m in contents.index()],
        "manifest.json": [f"docker.io/{tag}" for entry in docker for tag in entry["RepoTags"]],
        "the record": [image["image"] for image in record["images"]],
    }
    for where, names in others.items():
        if names != named:
            raise AuditError(f"{where} names {names}, {listing} names {named}")


def _image(contents: Contents, image: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """Judge one image; the number of ELF files in it."""
    manifest = contents.document(image["digest"])
    config = contents.document(manifest["config"]["digest"])
    wanted = platform_fields(target.image.platform)
    found = {key: config[key] for key in ("os", "architecture", "variant") if key in config}
    described = next(m for m in contents.index() if m["digest"] == image["digest"])["platform"]
    if found != wanted or described != wanted:
        raise AuditError(f"it says {found} and {described}, not {wanted}")
    layers = [layer["digest"] for layer in manifest["layers"]]
    if layers != config["rootfs"]["diff_ids"]:
        raise AuditError(f"its layers are {layers}, its diff_ids {config['rootfs']['diff_ids']}")
    count = 0
    for digest in layers:
        elves, problems = elf_problems(contents.blob(digest), target.elf.bounds())
        count += elves
        if problems:
            raise AuditError("\n".join(problems))
    return {"elves": count, "user": config["config"]["User"]}


def _configs(contents: Contents) -> set[str]:
    """The digests that the images of an archive are known by to a container runtime."""
    return {contents.document(entry["digest"])["config"]["digest"] for entry in contents.index()}


def _embedded(executable: Path, embedded: Embedded, configs: set[str], scratch: Path) -> None:
    """Its images are those of the airgap archive, but for how their layers are compressed."""
    with executable.open("rb") as file:
        file.seek(embedded.offset)
        data = file.read(embedded.length)
    found = hashlib.sha256(data).hexdigest()
    if found != embedded.sha256:
        raise AuditError(f"it has sha256 {found}, not {embedded.sha256}")
    (scratch / embedded.name).write_bytes(data)
    contents = take_apart(scratch / embedded.name, scratch)
    for digest in _configs(contents):
        if digest not in configs:
            raise AuditError(f"it holds {digest}, which the airgap archive does not")
    for entry in contents.index():
        manifest = contents.document(entry["digest"])
        layers = [_plain(contents.blob(layer["digest"])) for layer in manifest["layers"]]
        wanted = contents.document(manifest["config"]["digest"])["rootfs"]["diff_ids"]
        if layers != wanted:
            raise AuditError(f"its layers unpack to {layers}, its diff_ids are {wanted}")


def _plain(layer: Path) -> str:
    """The digest of what a zstd layer unpacks to. Raises `CorruptError`."""
    digest = hashlib.sha256()
    try:
        with layer.open("rb") as file:
            for chunk in zstandard.ZstdDecompressor().read_to_iter(file):
                digest.update(chunk)
    except zstandard.ZstdError as error:
        raise CorruptError(f"{layer.name} is no zstd layer: {error}") from error
    return f"sha256:{digest.hexdigest()}"
