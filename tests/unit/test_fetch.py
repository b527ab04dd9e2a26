"""Sources on disk: what is missing is named, what is changed is kept aside, pins are checked."""

from __future__ import annotations

import io
import json
import time
import zipfile
from pathlib import Path

import pytest
from rich.console import Console

from buildsys.archive import module_zip_sum
from buildsys.cache import Cache
from buildsys.errors import (
    BuildsysError,
    CorruptError,
    FetchError,
    HashMismatchError,
    PatchError,
    UnsafeArchiveError,
)
from buildsys.fetch import (
    ATTEMPTS,
    Fetchable,
    Fetcher,
    copy_inputs,
    debian,
    fetch_all,
    go_module,
    log_name,
)
from buildsys.model import DebianBinary, DebianSource, GoModuleSource, LocalSource
from buildsys.report import Progress
from buildsys.toolchain import Toolchain

from .conftest import Tree, flip, listing, sha256, tar_member, write_tar

pytestmark = pytest.mark.unit

TOOLS = Toolchain(Path("/go"), Path("/zig"), Path("/pkgconf"), {"go": "1.25.5"})


# ---- the recipe's own files ----


def test_copy_takes_what_was_hashed_with_modes(tree: Tree, tmp_path: Path) -> None:
    tree.write("recipes/one/src/deep/script", "x")
    (tree.root / "recipes/one/src/deep/script").chmod(0o700)
    loaded = tree.load().recipes["one"]
    tree.write("recipes/one/src/later", "not hashed")
    copy_inputs(loaded, "src", tmp_path / "out")
    assert listing(tmp_path / "out") == {"tool": "program one\n", "deep/script": "x"}
    assert (tmp_path / "out/deep/script").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out/tool").stat().st_mode & 0o777 == 0o644


# ---- Debian ----

ORIG, DEBIAN, DSC = "tool_1.0.orig.tar.gz", "tool_1.0-1.debian.tar.xz", "tool_1.0-1.dsc"

CHANGE = b"--- a/file\n+++ b/file\n@@ -1 +1 @@\n-upstream\n+debian\n"


def debian_source(cache: Cache, tmp_path: Path, *patches: tuple[str, bytes]) -> DebianSource:
    """A source package as fetched, with these patches in its series."""
    names = "".join(f"{name} # why\n" for name, _ in patches)
    members = [tar_member(f"debian/patches/{name}", data) for name, data in patches]
    series = f"# a comment\n\n{names}".encode()
    write_tar(tmp_path / ORIG, tar_member("tool-1.0/file", b"upstream\n"))
    write_tar(
        tmp_path / DEBIAN,
        tar_member("debian/rules", b"never run"),
        tar_member("debian/patches/series", series),
        *members,
    )
    (tmp_path / DSC).write_text("Format: 3.0 (quilt)\n")
    files = {}
    for name in (ORIG, DEBIAN, DSC):
        data = (tmp_path / name).read_bytes()
        files[name] = sha256(data)
        place = debian.file_path(name, files[name], cache)
        place.parent.mkdir(parents=True)
        place.write_bytes(data)
    return DebianSource(
        kind="debian-source", package="tool", version="1.0-1", suite="trixie", files=files
    )


def test_debian_source_is_upstreams_with_debians_patches(
    cache: Cache, tmp_path: Path, log: Path
) -> None:
    source = debian_source(cache, tmp_path, ("a.patch", CHANGE))
    folder = tmp_path / "src"
    folder.mkdir()
    debian.unpack(source, cache, folder, log)
    assert listing(folder) == {"file": "debian\n"}
    assert list(cache.work.iterdir()) == []
    assert source.digest == f"sha256:{source.files[DSC]}"


def test_debian_patches_can_be_left_out(cache: Cache, tmp_path: Path, log: Path) -> None:
    source = debian_source(cache, tmp_path, ("a.patch", CHANGE))
    (folder := tmp_path / "src").mkdir()
    debian.unpack(source.model_copy(update={"debian_patches": False}), cache, folder, log)
    assert listing(folder) == {"file": "upstream\n"}


def test_debian_patch_that_does_not_apply(cache: Cache, tmp_path: Path, log: Path) -> None:
    source = debian_source(cache, tmp_path, ("a.patch", CHANGE), ("b.patch", CHANGE))
    (folder := tmp_path / "src").mkdir()
    with pytest.raises(PatchError, match=r"^debian:tool=1\.0-1: b\.patch does not apply"):
        debian.unpack(source, cache, folder, log)
    assert list(cache.work.iterdir()) == []


@pytest.mark.parametrize("name", [ORIG, DEBIAN, DSC])
def test_changed_debian_file_is_moved_aside(
    cache: Cache, tmp_path: Path, log: Path, name: str
) -> None:
    source = debian_source(cache, tmp_path)
    assert debian.lacks(source, cache) is None
    flip(debian.file_path(name, source.files[name], cache), 5)
    with pytest.raises(CorruptError, match=f"{name} is changed on disk"):
        debian.unpack(source, cache, tmp_path / "src", log)
    assert (cache.aside / name).is_file()
    assert debian.lacks(source, cache) == f"debian:tool=1.0-1: {name}"


# ---- Go modules ----


def go_source(cache: Cache, files: dict[str, bytes] | None = None) -> GoModuleSource:
    """A module with an upper-case letter in its path, as the go command leaves it."""
    label = "example.org/Tool@v1.0.0"
    folder = cache.gomod / "cache/download/example.org/!tool/@v"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "v1.0.0.zip", "w") as package:
        for name, data in (files or {"go.mod": b"module x\n"}).items():
            package.writestr(f"{label}/{name}", data)
    (folder / "v1.0.0.ziphash").write_text("h1:x")
    (folder / "v1.0.0.mod").write_text("module x\n")
    (cache.gomod / "example.org/!tool@v1.0.0").mkdir(parents=True)
    return GoModuleSource(
        kind="go-module",
        module="example.org/Tool",
        version="v1.0.0",
        sum=module_zip_sum(folder / "v1.0.0.zip"),
        mod_sum=f"h1:{'A' * 43}=",
    )


def write_receipt(source: GoModuleSource, cache: Cache, **changes: object) -> Path:
    archive = go_module.zip_path(source, cache)
    name = archive.relative_to(cache.gomod).as_posix()
    receipt = {"sum": source.sum, "mod_sum": source.mod_sum, "zips": {name: archive.stat().st_size}}
    path = go_module.receipt_path(source, cache)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(receipt | changes))
    return archive


def test_module_is_unpacked_from_its_checked_zip(cache: Cache, tmp_path: Path) -> None:
    source = go_source(cache, {"go.mod": b"module x\n", "a/b.go": b"package a\n"})
    go_module.unpack(source, cache, tmp_path / "src")
    assert listing(tmp_path / "src") == {"go.mod": "module x\n", "a/b.go": "package a\n"}


def test_zip_with_another_sum_is_kept_aside_and_the_cache_is_clean(
    cache: Cache, tmp_path: Path
) -> None:
    source = go_source(cache)
    write_receipt(source, cache)
    wrong = source.model_copy(update={"sum": f"h1:{'B' * 43}="})
    with pytest.raises(HashMismatchError) as caught:
        go_module.unpack(wrong, cache, tmp_path / "src")
    assert (caught.value.pinned, caught.value.found) == (wrong.sum, source.sum)
    assert caught.value.kept is not None
    assert caught.value.kept.is_file()
    assert caught.value.kept.parent == cache.aside
    assert [path for path in cache.gomod.rglob("*") if path.is_file()] == []
    assert not (cache.gomod / "example.org/!tool@v1.0.0").exists()
    assert go_module.lacks(source, cache) == "example.org/Tool@v1.0.0"
    assert not (tmp_path / "src").exists()


def test_hostile_module_is_refused(cache: Cache, tmp_path: Path) -> None:
    source = go_source(cache, {"../../victim": b"x"})
    with pytest.raises(UnsafeArchiveError):
        go_module.unpack(source, cache, tmp_path / "src")
    assert not (tmp_path / "victim").exists()


def test_what_a_module_lacks(cache: Cache) -> None:
    source = go_source(cache)
    assert go_module.lacks(source, cache) == "example.org/Tool@v1.0.0"
    archive = write_receipt(source, cache)
    assert go_module.lacks(source, cache) is None
    archive.write_bytes(archive.read_bytes()[:-1])
    assert "its dependency cache/download/example.org/!tool" in str(go_module.lacks(source, cache))
    archive.unlink()
    assert go_module.lacks(source, cache)


@pytest.mark.parametrize(
    "changes", [{"sum": "h1:other"}, {"mod_sum": "h1:other"}, {"zips": None}, {"zips": {"x": 1}}]
)
def test_receipt_of_another_pin_does_not_count(cache: Cache, changes: dict[str, object]) -> None:
    source = go_source(cache)
    write_receipt(source, cache, **changes)
    assert go_module.lacks(source, cache)


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_broken_receipt_does_not_count(cache: Cache, text: str) -> None:
    source = go_source(cache)
    write_receipt(source, cache)
    go_module.receipt_path(source, cache).write_text(text)
    assert go_module.lacks(source, cache)


def test_modified_dependencies_are_named_and_removed(cache: Cache) -> None:
    source = go_source(cache)
    write_receipt(source, cache)
    line = "example.org/Tool v1.0.0: zip has been modified (somewhere.zip)\n"
    error = go_module.report_modified(source, cache, f"{line}all else is fine\n")
    assert "changed on disk: example.org/Tool@v1.0.0" in str(error)
    assert not go_module.zip_path(source, cache).exists()
    assert go_module.lacks(source, cache)


# ---- retries, and several sources at once ----


class Counting(Fetcher):
    """Everything is missing; what is named bad cannot be fetched."""

    def lacks(self, source: Fetchable) -> str | None:
        return None if source.label == "local:here" else source.label

    def fetch(self, source: Fetchable, log: Path) -> None:
        log.write_text("fetched")
        if "bad" in source.label:
            raise FetchError(f"no {source.label}")


def local(name: str) -> LocalSource:
    return LocalSource(kind="local", path=name)


def fetched(cache: Cache, *names: str) -> tuple[list[str], dict[str, BuildsysError]]:
    """Fetch local stand-ins; the labels that were tried, and what failed."""
    spans: list[str] = []
    progress = Progress(Console(file=io.StringIO()))
    failures = fetch_all(
        [local(name) for name in names],
        Counting(cache, TOOLS),
        progress,
        lambda _kind, name, _start: spans.append(name),
    )
    return sorted(spans), failures


def test_each_missing_source_is_fetched_once(cache: Cache) -> None:
    assert fetched(cache, "a", "b", "a", "here") == (["local:a", "local:b"], {})
    assert {path.name for path in cache.logs.iterdir()} == {
        f"fetch-{log_name(local(name))}.log" for name in "ab"
    }


def test_failures_are_returned_and_the_others_fetched(cache: Cache) -> None:
    tried, failures = fetched(cache, "bad1", "good", "bad2")
    assert tried == ["local:bad1", "local:bad2", "local:good"]
    assert {name: str(error) for name, error in failures.items()} == {
        "local:bad1": "no local:bad1",
        "local:bad2": "no local:bad2",
    }


@pytest.mark.parametrize(("failures", "ends_well"), [(0, True), (ATTEMPTS - 1, True), (9, False)])
def test_download_is_tried_again(
    cache: Cache, log: Path, monkeypatch: pytest.MonkeyPatch, failures: int, ends_well: bool
) -> None:
    tries: list[int] = []
    waits: list[float] = []

    def attempt(*_: object) -> None:
        tries.append(1)
        if len(tries) <= failures:
            raise FetchError("no network")

    monkeypatch.setattr(go_module, "fetch", attempt)
    monkeypatch.setattr(time, "sleep", waits.append)
    fetcher, source = Fetcher(cache, TOOLS), go_source(cache)
    if ends_well:
        fetcher.fetch(source, log)
    else:
        with pytest.raises(FetchError):
            fetcher.fetch(source, log)
    assert len(tries) == min(failures + 1, ATTEMPTS)
    assert waits == [2**n for n in range(1, len(tries))]


def test_wrong_hash_is_not_tried_again(
    cache: Cache, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def attempt(*_: object) -> None:
        tries.append(1)
        raise HashMismatchError("x", pinned="a", found="b", kept=None)

    monkeypatch.setattr(go_module, "fetch", attempt)
    with pytest.raises(HashMismatchError):
        Fetcher(cache, TOOLS).fetch(go_source(cache), log)
    assert len(tries) == 1


@pytest.mark.parametrize(
    "name", ["../../../precious.zip", "/{}/precious.zip", "cache/download/../../../../precious.zip"]
)
def test_a_receipt_does_not_lead_out_of_the_cache(cache: Cache, tmp_path: Path, name: str) -> None:
    precious = tmp_path / "precious.zip"
    precious.write_text("mine")
    source = go_source(cache)
    write_receipt(source, cache, zips={name.format(tmp_path): 1})
    (cache.gomod / "cache/download/a/@v").mkdir(parents=True)
    go_module._drop_cut(source, cache)
    assert precious.read_text() == "mine"


def test_words_of_go_do_not_lead_out_of_the_cache(cache: Cache, tmp_path: Path) -> None:
    source = go_source(cache)
    precious = tmp_path / "precious@v1"
    precious.mkdir()
    for module in ("../../../precious", str(tmp_path / "precious"), "a/../../../../precious"):
        go_module.report_modified(source, cache, f"{module} v1: dir has been modified\n")
    assert precious.is_dir()


def test_downloads_of_two_pins_have_folders_of_their_own(
    cache: Cache, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed run's older package is no part of the next one's."""
    content = {"1.0": b"older", "1:2.0": b"newer"}
    monkeypatch.setattr("buildsys.fetch.apt.configured", lambda *_: ["apt"])
    monkeypatch.setattr(debian, "_known", lambda *_: True)

    def download(argv: list[str], source: DebianBinary, _: Path, folder: Path) -> None:
        version = source.version.replace(":", "%3a")
        name = f"{source.package}_{version}_{source.architecture}.deb"
        (folder / name).write_bytes(content[source.version])

    monkeypatch.setattr(debian, "_call", download)
    older, newer = (
        DebianBinary(
            package="one",
            version=version,
            suite="trixie",
            architecture=architecture,
            sha256=sha256(content[version]),
        )
        for version, architecture in (("1.0", "amd64"), ("1:2.0", "amd64"))
    )
    left = debian._download(["apt"], ("download",), older, cache, log)
    assert [path.name for path in left.iterdir()] == ["one_1.0_amd64.deb"]
    debian.fetch_binary(newer, cache, None, log)
    assert debian.binary_path(newer, cache).read_bytes() == b"newer"
    other = newer.model_copy(update={"architecture": "armhf"})
    assert debian._download(["apt"], ("download",), other, cache, log) != left
