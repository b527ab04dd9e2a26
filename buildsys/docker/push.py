"""Pushing the image to a registry: blobs, the manifest of each platform, the index by its tag."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from buildsys.docker.make import Made
from buildsys.errors import PublishedError
from buildsys.image.oci import INDEX, MANIFEST
from buildsys.release.publish.choose import registry
from buildsys.release.publish.http import demand_url
from buildsys.release.publish.oci import Registry

_LOCAL = ("127.0.0.1", "::1", "localhost")


def push(made: Made, address: str, environment: Mapping[str, str]) -> tuple[str, int]:
    """Push to `address`; the name to pull it by, and how many layers were not there.

    Credentials are REGISTRY_USER and REGISTRY_PASSWORD in `environment`. Raises `PublishedError`
    where the tag stands for other bytes, and the errors of uploads.
    """
    place = registry(url_of(address), environment)
    tag = made.name.rpartition(":")[2]
    name = f"{place.label}:{tag}"
    found = place.manifest_bytes(tag, INDEX)
    if found == made.index.data:
        return name, 0
    if found is not None or place.manifest_bytes(tag, MANIFEST) is not None:
        raise PublishedError(
            f"{name} is there already, with other bytes",
            cause="an image of this version was pushed before, of other targets or another build",
            action="push to another repository, or remove the tag at the registry",
        )
    put = sum(_push_part(place, made, target) for target in made.parts)
    place.put_manifest(tag, made.index.data, INDEX)
    return name, put


def _push_part(place: Registry, made: Made, target: str) -> bool:
    image = made.parts[target]
    put = place.push(made.layer(target), f"sha256:{image.layer.sha256}", f"the layer of {target}")
    config, manifest = image.config, image.manifest
    place.push(config.data, f"sha256:{config.sha256}", f"the configuration of {target}")
    place.put_manifest(f"sha256:{manifest.sha256}", manifest.data)
    return put


def url_of(address: str) -> str:
    """REGISTRY/REPOSITORY as a URL: https, but for this machine as Docker has it.

    Raises `NoRightsError` for plain http to another machine.
    """
    if "://" in address:
        return demand_url(address)
    local = urlsplit(f"//{address}").hostname in _LOCAL
    return demand_url(f"{'http' if local else 'https'}://{address}")
