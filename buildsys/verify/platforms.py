"""The platforms of the images in an archive, and which layers are for another one. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from buildsys.elf.contents import printable

DOCUMENT_BYTES = 4 << 20
"""What a registry takes for a manifest at most (distribution-spec); a larger JSON is data."""


@dataclass
class Documents:
    """The manifests and configurations met in an archive, by the sha256 of their bytes.

    Formats as in `buildsys/image/oci.py`; a document is told by its keys, wherever it lies.
    """

    configs: dict[str, str] = field(default_factory=dict)
    """Platform of each image: linux/arm/v6."""
    layers: dict[str, set[str]] = field(default_factory=dict)
    """Layers by the configuration that goes with them."""

    def add(self, data: bytes) -> None:
        """Take note of a document; anything else is passed over."""
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            return
        if not isinstance(found, dict):
            return
        if isinstance(found.get("rootfs"), dict) and "architecture" in found:
            self.configs[hashlib.sha256(data).hexdigest()] = _platform(found)
        elif isinstance(found.get("layers"), list) and isinstance(found.get("config"), dict):
            for config in _digests([found["config"]]):
                self.layers.setdefault(config, set()).update(_digests(found["layers"]))

    @property
    def platforms(self) -> tuple[str, ...]:
        """Of all images, each once; without what is no image (build attestations)."""
        found = dict.fromkeys(p for p in self.configs.values() if not p.startswith("unknown"))
        return tuple(found)

    def left_out(self, wanted: str) -> frozenset[str]:
        """Layers of other platforms only, in hex; none where no image is for `wanted`."""
        ours = [config for config, platform in self.configs.items() if runs(platform, wanted)]
        kept = {layer for config in ours for layer in self.layers.get(config, ())}
        every = {layer for layers in self.layers.values() for layer in layers}
        return frozenset(every - kept) if kept else frozenset()


def runs(platform: str, wanted: str) -> bool:
    """Whether a container runtime takes an image of `platform` for a host of `wanted`.

    As containerd's platforms package does: linux/arm alone means v7, and a host takes lower
    variants of arm; v8 of arm64 and v1 of amd64 go without saying.
    """
    found, host = _parts(platform), _parts(wanted)
    return found[:2] == host[:2] and found[2] <= host[2]


def _parts(platform: str) -> tuple[str, str, int]:
    system, architecture, variant = [*platform.split("/", 2), "", ""][:3]
    level = {"arm": 7, "arm64": 8}.get(architecture, 1)
    number = re.fullmatch("v([0-9]{1,3})", variant)
    return system, architecture, int(number[1]) if number else level


def _platform(config: Mapping[str, Any]) -> str:
    words = (config.get("os"), config.get("architecture"), config.get("variant"))
    return printable("/".join(str(word)[:40] for word in words if word))


def _digests(descriptors: Iterable[Any]) -> Iterator[str]:
    for descriptor in descriptors:
        if isinstance(descriptor, dict):
            yield str(descriptor.get("digest")).removeprefix("sha256:")
