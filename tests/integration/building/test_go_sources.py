"""Go modules: every hash is checked, damage is named and heals, no network means no network."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from buildsys.errors import (
    BuildsysError,
    CommandError,
    CorruptError,
    FetchError,
    HashMismatchError,
    MissingSourceError,
)
from buildsys.sandbox import namespaces

from .goproxy import DEPENDENCY, PROGRAM, Module, Proxy, go_recipe
from .project import Checkout, emulated, fill

pytestmark = pytest.mark.integration

OTHER = "h1:" + "A" * 43 + "="
LABEL = f"{PROGRAM}@v1.2.3"
DEP_LABEL = f"{DEPENDENCY}@v1.0.0"

PATCHED_MODULE = """
[[patch]]
file   = "0001-three.patch"
module = "@MODULE@"
why    = "Twice is not enough."
origin = "ours"
"""

THREE = (
    "--- a/dep.go\n+++ b/dep.go\n@@ -1,3 +1,3 @@\n package dep\n \n"
    "-func Twice(a int) int { return a * 2 }\n+func Twice(a int) int { return a * 3 }\n"
)


@pytest.fixture
def module(checkout: Checkout, proxy: Proxy, nonce: str) -> Module:
    """The program, served, with a recipe that pins it."""
    program, _ = proxy.standard(nonce)
    go_recipe(checkout, program)
    return program


def fetch(checkout: Checkout, proxy: Proxy) -> None:
    app = checkout.app(go_proxy=proxy.url)
    app.fetch(app.plan(["armv6"], ["gotool"]), everything=True)


def build(checkout: Checkout, proxy: Proxy) -> bytes:
    return checkout.artifact("gotool-armv6", go_proxy=proxy.url).path("bin/gotool").read_bytes()


def caught(checkout: Checkout, proxy: Proxy) -> BuildsysError:
    with pytest.raises(BuildsysError) as raised:
        build(checkout, proxy)
    return raised.value


def in_cache(checkout: Checkout, name: str) -> Path:
    return checkout.cache / "go/mod" / name


def flip(path: Path, position: int | None = None) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if position is None else position] ^= 0xFF
    path.chmod(0o644)  # Go's are read-only
    path.write_bytes(data)


def inside_zip(path: Path, name: str) -> int:
    """A place in the compressed bytes of a member."""
    with zipfile.ZipFile(path) as package:
        info = next(i for i in package.infolist() if i.filename.endswith(name))
        return info.header_offset + 30 + len(info.filename) + info.compress_size // 2


def test_builds_and_runs(checkout: Checkout, proxy: Proxy, module: Module, nonce: str) -> None:
    artifact = checkout.artifact("gotool-armv6", go_proxy=proxy.url)
    assert emulated(artifact.path("bin/gotool")) == f"{nonce} 42\n"
    assert artifact.source == module.sum


def test_dependency_with_a_patch(
    checkout: Checkout, proxy: Proxy, module: Module, nonce: str
) -> None:
    folder = go_recipe(checkout, module)
    (folder / "patches").mkdir()
    (folder / "patches/0001-three.patch").write_text(THREE)
    with (folder / "recipe.toml").open("a") as recipe:
        recipe.write(fill(PATCHED_MODULE, module=DEPENDENCY))
    artifact = checkout.artifact("gotool-armv6", go_proxy=proxy.url)
    assert emulated(artifact.path("bin/gotool")) == f"{nonce} 63\n"


def test_patch_for_a_module_that_is_no_dependency(
    checkout: Checkout, proxy: Proxy, module: Module
) -> None:
    folder = go_recipe(checkout, module)
    (folder / "patches").mkdir()
    (folder / "patches/0001-three.patch").write_text(THREE)
    with (folder / "recipe.toml").open("a") as recipe:
        recipe.write(fill(PATCHED_MODULE, module="example.com/other"))
    error = caught(checkout, proxy)
    assert isinstance(error, CommandError)
    assert "example.com/other" in str(error)


@pytest.mark.parametrize("which", ["zip", "go.mod"])
def test_hash_that_does_not_match(
    checkout: Checkout, proxy: Proxy, module: Module, which: str
) -> None:
    go_recipe(checkout, module, **{"sum" if which == "zip" else "mod_sum": OTHER})
    done = checkout.cli("fetch", "--arch", "armv6", "--go-proxy", proxy.url)
    assert done.code == HashMismatchError.exit_code, done.text
    found = module.sum if which == "zip" else module.mod_sum
    assert LABEL in done.text and f"({which})" in done.text
    assert f"pinned {OTHER}" in done.text and f"found  {found}" in done.text
    kept = list((checkout.cache / "aside").iterdir())
    assert len(kept) == 1 and str(kept[0]) in done.text
    assert kept[0].read_bytes() == module.zip.read_bytes()
    rest = [p for p in in_cache(checkout, "").rglob("*") if "gotool" in str(p) and p.is_file()]
    assert [p for p in rest if p.suffix != ".lock" and p.name != "list"] == []
    go_recipe(checkout, module)
    assert build(checkout, proxy)


def test_dependency_that_go_sum_does_not_know(checkout: Checkout, proxy: Proxy, nonce: str) -> None:
    _, dep = proxy.standard(nonce)
    wrong = dep.sums.replace(dep.sum, OTHER)
    go_recipe(checkout, proxy.program(dep, nonce, sums=wrong))
    error = caught(checkout, proxy)
    assert isinstance(error, HashMismatchError)
    assert (error.pinned, error.found) == (OTHER, dep.sum)
    assert LABEL in error.what
    # The origin mends its mistake and the pin follows.
    go_recipe(checkout, proxy.program(dep, nonce))
    error = caught(checkout, proxy)
    assert isinstance(error, HashMismatchError), "the old zip is still the cached one"
    assert build(checkout, proxy)


def test_offline_names_what_is_missing(checkout: Checkout, module: Module) -> None:
    done = checkout.cli("build", "--arch", "armv6", "--offline")
    assert done.code == MissingSourceError.exit_code, done.text
    assert LABEL in done.text and "invoke fetch" in done.text


def test_no_network_names_the_source(checkout: Checkout, module: Module) -> None:
    arguments = ("build", "--arch", "armv6", "--only", "gotool", "--go-proxy", "http://127.0.0.1:9")
    done = checkout.cli(*arguments, before=namespaces("net", force_user=True))
    assert done.code == FetchError.exit_code, done.text
    assert f"cannot fetch {LABEL}" in done.text
    assert "no network or no Go module proxy" in done.text
    assert "Traceback" not in done.text


def test_fetch_then_build_without_a_network(
    checkout: Checkout, proxy: Proxy, module: Module
) -> None:
    done = checkout.cli("fetch", "--arch", "armv6", "--go-proxy", proxy.url)
    assert done.code == 0, done.text
    shutil.rmtree(proxy.folder)
    off = namespaces("net", force_user=True)
    done = checkout.cli("build", "--arch", "armv6", "--only", "gotool", before=off)
    assert done.code == 0, done.text
    done = checkout.cli("build", "--arch", "armv6", "--only", "gotool", "--offline", before=off)
    assert done.code == 0, done.text


@pytest.mark.parametrize("what", ["folder", "zip", "zip's directory", "cut", "gone"])
def test_damaged_dependency(checkout: Checkout, proxy: Proxy, module: Module, what: str) -> None:
    fetch(checkout, proxy)
    archive = in_cache(checkout, f"cache/download/{DEPENDENCY}/@v/v1.0.0.zip")
    if what == "folder":
        flip(in_cache(checkout, f"{DEP_LABEL}/go.mod"), 8)
    elif what == "zip":
        flip(archive, inside_zip(archive, "dep.go"))
    elif what == "zip's directory":
        flip(archive, archive.stat().st_size - 40)
    elif what == "cut":
        archive.write_bytes(archive.read_bytes()[:-50])
    else:
        archive.unlink()
    if what in ("cut", "gone"):
        with pytest.raises(MissingSourceError, match=DEPENDENCY):
            checkout.build("gotool", offline=True)
    else:
        error = caught(checkout, proxy)
        assert isinstance(error, CorruptError)
        assert DEP_LABEL in error.what and LABEL in error.what
        assert checkout.store.get(checkout.keys("gotool")["gotool"]) is None
        with pytest.raises(MissingSourceError, match=PROGRAM):
            checkout.build("gotool", offline=True)
    assert build(checkout, proxy), "the next run with a network heals"


@pytest.mark.parametrize("what", ["content", "directory", "cut", "gone"])
def test_damaged_main_module(checkout: Checkout, proxy: Proxy, module: Module, what: str) -> None:
    fetch(checkout, proxy)
    archive = in_cache(checkout, f"cache/download/{PROGRAM}/@v/v1.2.3.zip")
    if what == "content":
        flip(archive, inside_zip(archive, "main.go"))
    elif what == "directory":
        flip(archive, archive.stat().st_size - 40)
    elif what == "cut":
        archive.write_bytes(archive.read_bytes()[:-50])
    else:
        archive.unlink()
    with pytest.raises(BuildsysError) as raised:
        checkout.artifact("gotool-armv6", offline=True)
    assert isinstance(raised.value, CorruptError | HashMismatchError | MissingSourceError)
    assert PROGRAM in str(raised.value)
    assert build(checkout, proxy), "the next run with a network heals"


def test_cut_download(checkout: Checkout, proxy: Proxy, module: Module, impatient: None) -> None:
    whole = module.zip.read_bytes()
    module.zip.write_bytes(whole[: len(whole) // 2])
    error = caught(checkout, proxy)
    assert isinstance(error, FetchError | CorruptError | HashMismatchError)
    assert LABEL in str(error)
    module.zip.write_bytes(whole)
    assert build(checkout, proxy)


def test_zip_that_leaves_its_folder(
    checkout: Checkout, proxy: Proxy, module: Module, impatient: None, tmp_path: Path
) -> None:
    whole = module.zip.read_bytes()
    with zipfile.ZipFile(module.zip, "a") as package:
        package.writestr(f"{LABEL}/../../../../../escaped", "x")
    before = sorted(tmp_path.rglob("escaped"))
    error = caught(checkout, proxy)
    assert error.exit_code in (12, 13, 19), error
    assert LABEL in str(error)
    assert sorted(tmp_path.rglob("escaped")) == before == []
    module.zip.write_bytes(whole)
    assert build(checkout, proxy)


def test_module_that_is_not_served(checkout: Checkout, proxy: Proxy, module: Module) -> None:
    (module.zip.parent / "v1.2.3.info").unlink()
    (module.zip.parent / "v1.2.3.mod").unlink()
    module.zip.unlink()
    done = checkout.cli("fetch", "--arch", "armv6", "--go-proxy", proxy.url)
    assert done.code == FetchError.exit_code
    assert f"cannot fetch {LABEL}" in done.text


def test_source_that_is_not_served_stops_no_other_job(
    checkout: Checkout, module: Module, impatient: None
) -> None:
    checkout.c("other", {"main.c": "int main(void) { return 0; }\n"})
    result = checkout.build(go_proxy="file:///nowhere")
    assert checkout.states(result) == {"gotool": "failed", "other": "built"}
    assert isinstance(result.outcomes["gotool-armv6"].error, FetchError)
