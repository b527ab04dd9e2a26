"""Builds executables in the bundle format, whole ones and broken ones."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

MAGIC = b"K3SBNDL\0"
HEAD = {
    "target": "amd64",
    "version": "v1.35.0+k3s-test",
    "commit": "04e8f1b5",
    "go": "go1.25.5",
    "cpu": "amd64",
}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Pack:
    """What goes into one executable; every field can be bent by a test."""

    files: Mapping[str, bytes]
    links: Mapping[str, str] = field(default_factory=dict)
    modes: Mapping[str, int] = field(default_factory=dict)
    head: Mapping[str, str] = field(default_factory=dict)
    format_version: int = 1
    kind: int = 1
    level: int = 3
    window_log: int = 21
    checksum: bool = True
    edit_manifest: Callable[[str], str] | None = None
    images: Mapping[str, bytes] = field(default_factory=dict)
    without: Sequence[str] = ()
    defaults: Sequence[str] = ()

    def data_hash(self) -> str:
        lines = [
            f"file {self.mode(path)} {len(data)} {_sha256(data)} {path}\n"
            for path, data in self.files.items()
        ]
        lines += [f"link {path} {target}\n" for path, target in self.links.items()]
        return _sha256("".join(lines).encode())

    def write(self, launcher: Path, to: Path) -> Path:
        body = bytearray(launcher.read_bytes())
        lines: list[str] = []
        for path, data in self.files.items():
            frame = self._compress(data)
            about = f"{self.mode(path)} {len(data)} {_sha256(data)} {len(body)} {len(frame)}"
            lines.append(f"file {about} {path}\n")
            body += frame
        lines += [f"link {path} {target}\n" for path, target in self.links.items()]
        extras = [f"default {default}\n" for default in self.defaults]
        extras += [f"without {component}\n" for component in self.without]
        for name, data in self.images.items():
            extras.append(f"image {len(data)} {_sha256(data)} {len(body)} {name}\n")
            body += data
        text = self._head() + "".join([*extras, *lines]) + "end\n"
        manifest = (self.edit_manifest(text) if self.edit_manifest else text).encode()
        footer = MAGIC + struct.pack(
            "<IIQQ", self.format_version, self.kind, len(body), len(manifest)
        )
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(bytes(body) + manifest + footer + hashlib.sha256(manifest).digest())
        to.chmod(0o755)
        return to

    def mode(self, path: str) -> str:
        """Four octal digits, as in the manifest."""
        usual = 0o644 if "/." in path or path.startswith("etc/") else 0o755
        return f"{self.modes.get(path, usual):04o}"

    def _head(self) -> str:
        fields = {**HEAD, "data": self.data_hash(), **self.head}
        return "k3s-bundle 1\n" + "".join(f"{name} {value}\n" for name, value in fields.items())

    def _compress(self, data: bytes) -> bytes:
        parameters = zstandard.ZstdCompressionParameters.from_level(
            self.level,
            source_size=len(data),
            window_log=self.window_log,
            write_content_size=True,
            write_checksum=self.checksum,
        )
        return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


INNER_NAMES = [
    "containerd",
    "crictl",
    "ctr",
    "kubectl",
    "k3s-agent",
    "k3s-server",
    "k3s-token",
    "k3s-etcd-snapshot",
    "k3s-secrets-encrypt",
    "k3s-certificate",
    "k3s-completion",
]
CNI_NAMES = ["bandwidth", "bridge", "firewall", "flannel", "host-local", "loopback", "portmap"]


def k3s_like(inner: bytes, extra: Mapping[str, bytes] | None = None, **options: Any) -> Pack:
    """The shape of a real payload: multi-call programs, sums and links as upstream has them."""
    files = {
        "bin/k3s": inner,
        "bin/cni": b"#!/bin/sh\n",
        "bin/check-config": inner,
        **(extra or {}),
    }
    links = {f"bin/{name}": "k3s" for name in INNER_NAMES}
    links |= {f"bin/{name}": "cni" for name in CNI_NAMES}
    links["bin/aux/mount"] = "../k3s"
    sums = sorted(
        (path[4:], _sha256(data)) for path, data in files.items() if path.startswith("bin/")
    )
    files["bin/.sha256sums"] = "".join(f"{digest}  {path}\n" for path, digest in sums).encode()
    files["bin/.links"] = "".join(f"{path[4:]} {links[path]}\n" for path in sorted(links)).encode()
    return Pack(files, links, **options)
