"""Making an executable from a store: whole or not at all, within its budgets."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from buildsys.bundle import Bundler
from buildsys.bundle.frame import DRAFT, PART_MIB, Compressor
from buildsys.bundle.layout import frames, read_manifest
from buildsys.cache import Cache
from buildsys.errors import BudgetError, CorruptError, DiskFullError
from buildsys.plan import BundlePlan, Job
from buildsys.report import Timeline
from buildsys.store import Artifact

from .conftest import Add, Golden, Tree, flip, sha256

pytestmark = pytest.mark.unit

PROGRAM = b"program " * 500


@pytest.fixture
def made_of(add: Add) -> dict[str, Artifact]:
    """The artifacts of a target."""
    return {
        "k3s": add("1" * 64, {"bin/k3s": PROGRAM}, {"bin/kubectl": "k3s"}, recipe="k3s"),
        "one": add("2" * 64, {"bin/one": b"other", "bin/same": PROGRAM}, recipe="one"),
        "start": add("3" * 64, {"launcher": b"\x7fELF start"}, recipe="start"),
    }


@pytest.fixture
def planned(bundler: MakeBundler) -> BundlePlan:
    """The plan of what `made_of` holds."""
    jobs = {
        name: Job(name, "armv6", key * 64, (), bundler().project.recipes[name])
        for name, key in (("k3s", "1"), ("one", "2"), ("start", "3"))
    }
    members = (jobs["k3s"], jobs["one"])
    return BundlePlan("armv6", "full", "f" * 64, jobs["start"], members, (), (), ())


MakeBundler = Callable[[], Bundler]


@pytest.fixture
def bundler(tree: Tree, cache: Cache, tmp_path: Path) -> MakeBundler:
    """A bundler of the project as it is then."""
    tree.recipe("k3s")
    tree.recipe("start", into="launcher")
    return lambda: Bundler(tree.load(), cache, Timeline(), tmp_path / "artifacts", "go1.25.5")


def test_executable_holds_launcher_and_every_file(
    bundler: MakeBundler, made_of: dict[str, Artifact], planned: BundlePlan
) -> None:
    bundle = bundler().make(planned, made_of)
    assert bundle.path.read_bytes().startswith(b"\x7fELF start")
    assert bundle.path.stat().st_mode & 0o777 == 0o755
    manifest = read_manifest(bundle.path)
    contents = {
        entry.path: zstandard.ZstdDecompressor().decompress(frame)
        for entry, frame in frames(bundle.path, manifest)
    }
    sums = f"{sha256(PROGRAM)}  k3s\n{sha256(b'other')}  one\n{sha256(PROGRAM)}  same\n"
    assert contents == {
        "bin/k3s": PROGRAM,
        "bin/one": b"other",
        "bin/same": PROGRAM,
        "bin/.sha256sums": sums.encode(),
        "bin/.links": b"kubectl k3s\n",
    }
    assert {entry.path: entry.sha256 for entry in manifest.files} == {
        name: sha256(data) for name, data in contents.items()
    }
    assert manifest.links == {"bin/kubectl": "k3s"}
    assert (manifest.target, manifest.version, manifest.go) == ("armv6", "1.0", "go1.25.5")


def test_frames_have_size_checksum_and_a_small_window(
    bundler: MakeBundler, made_of: dict[str, Artifact], planned: BundlePlan
) -> None:
    bundle = bundler().make(planned, made_of)
    for entry, frame in frames(bundle.path, read_manifest(bundle.path)):
        parameters = zstandard.get_frame_parameters(frame)
        assert parameters.content_size == entry.size
        assert parameters.has_checksum
        assert parameters.window_size <= 8 << 20


def test_record_tells_what_is_inside(
    bundler: MakeBundler, made_of: dict[str, Artifact], planned: BundlePlan
) -> None:
    bundle = bundler().make(planned, made_of)
    record = json.loads(bundle.path.with_suffix(".json").read_text())
    assert record == dict(bundle.record)
    assert record["sha256"] == sha256(bundle.path.read_bytes())
    assert record["size"] == bundle.path.stat().st_size
    assert record["data"] == read_manifest(bundle.path).data
    components = {component["name"]: component for component in record["components"]}
    assert list(components) == ["k3s", "one", "start"]
    assert components["one"]["key"] == "2" * 64
    assert components["one"]["size"] == len(PROGRAM) + 5
    assert components["one"]["checks"] == {"elves": 1}


def test_defaults_of_the_board_are_inside(
    tree: Tree, bundler: MakeBundler, made_of: dict[str, Artifact], planned: BundlePlan
) -> None:
    give = '[[executable.default]]\ncommands = ["server"]\nenv = "GOGC"\nvalue = "40"\n'
    target = tree.root / "toolchains/armv6.toml"
    target.write_text(f'{target.read_text()}\n{give}below_mib = 1024\nwhy = "A small board."\n')
    bundle = bundler().make(planned, made_of)
    (default,) = read_manifest(bundle.path).defaults
    assert default.line == "server 1024 env GOGC=40 A small board."
    assert bundle.record["defaults"][0]["why"] == "A small board."


def test_same_artifacts_same_bytes(
    bundler: MakeBundler, made_of: dict[str, Artifact], planned: BundlePlan, cache: Cache
) -> None:
    path = bundler().make(planned, made_of).path
    first = path.read_bytes()
    path.unlink()
    for frame in cache.frames.iterdir():
        frame.unlink()
    assert bundler().make(planned, made_of).path.read_bytes() == first


def test_draft_says_so_and_is_replaced(
    bundler: MakeBundler, made_of: dict[str, Artifact], planned: BundlePlan, cache: Cache
) -> None:
    draft = bundler().make(replace(planned, draft=True, key="d" * 64), made_of)
    manifest = read_manifest(draft.path)
    assert draft.record["draft"] and manifest.draft
    assert manifest.said == "k3s version 1.0 () draft\ngo version go1.25.5"
    assert {path.name.split("-")[1] for path in cache.frames.iterdir()} == {"l12"}
    assert bundler().current(planned) is None, "it is no build of this plan"
    again = bundler().make(planned, made_of)
    assert not again.record["draft"] and not read_manifest(again.path).draft
    assert again.record["data"] == draft.record["data"], "it unpacks to the same"
    assert not (again.path.parent / "older").exists()


def test_number_of_threads_does_not_change_the_bytes(cache: Cache, tmp_path: Path) -> None:
    """What has several parts has several threads."""
    path = tmp_path / "large"
    path.write_bytes(random.Random(1).randbytes(1 << 20) * (PART_MIB + 2))
    sha = sha256(path.read_bytes())
    frames = []
    for threads in (1, 3):
        made = Compressor(cache, Timeline(), 8, DRAFT).frame(path, sha, threads)
        frames.append(made.read_bytes())
        made.unlink()
    assert frames[0] == frames[1]
    assert zstandard.ZstdDecompressor().stream_reader(frames[0]).read() == path.read_bytes()


def test_cpu_of_a_frame_is_that_of_zstds_threads(cache: Cache, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(random.Random(1).randbytes(4 << 20))
    line = Timeline()
    begin = time.process_time()
    Compressor(cache, line, 8).frame(path, sha256(path.read_bytes()))
    (span,) = line.spans
    assert 0.1 < span.cpu <= time.process_time() - begin + 0.02, "clocks of threads tick in 10 ms"


def test_frame_that_was_made_before_is_not_unpacked_again(
    bundler: MakeBundler,
    made_of: dict[str, Artifact],
    planned: BundlePlan,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To ask for one that is there is to unpack it, which the last step need not."""
    one = bundler()
    pressed = {job.recipe: one.press(planned, made_of[job.recipe]) for job in planned.pressed}
    monkeypatch.setattr("buildsys.bundle.frame._holds", lambda *_: pytest.fail("unpacked again"))
    assert one.make(planned, made_of, pressed).path.is_file()


def test_unchanged_executable_is_kept(
    bundler: MakeBundler, made_of: dict[str, Artifact], planned: BundlePlan
) -> None:
    first = bundler().make(planned, made_of)
    stamp = first.path.stat().st_mtime_ns
    second = bundler().make(planned, made_of)
    assert (first.cached, second.cached) == (False, True)
    assert second.path.stat().st_mtime_ns == stamp


@pytest.mark.parametrize("harm", ["flip", "record", "other key"])
def test_changed_executable_is_made_anew(
    bundler: MakeBundler, made_of: dict[str, Artifact], planned: BundlePlan, harm: str
) -> None:
    path = bundler().make(planned, made_of).path
    good = path.read_bytes()
    plan = planned
    if harm == "flip":
        flip(path, 20)
    elif harm == "record":
        path.with_suffix(".json").write_text("[]")
    else:
        plan = replace(planned, key="e" * 64)
    again = bundler().make(plan, made_of)
    assert not again.cached
    assert again.path.read_bytes() == good


@pytest.mark.parametrize(
    ("path", "old", "new", "named"),
    [
        ("recipes/one/recipe.toml", "[output]", "[output]\nbudget_mib = 0.000001", "one: "),
        ("toolchains/armv6.toml", "budget_mib = 62", "budget_mib = 0.000001", "k3s-armv6: "),
    ],
)
def test_budget_names_what_is_too_large_and_leaves_nothing(
    bundler: MakeBundler,
    made_of: dict[str, Artifact],
    planned: BundlePlan,
    tree: Tree,
    path: str,
    old: str,
    new: str,
    named: str,
) -> None:
    tree.edit(path, old, new)
    with pytest.raises(BudgetError, match=named):
        bundler().make(planned, made_of)
    assert list(bundler().artifacts.iterdir()) == []


def test_all_budgets_are_judged_at_once(
    bundler: MakeBundler,
    made_of: dict[str, Artifact],
    planned: BundlePlan,
    tree: Tree,
    golden: Golden,
) -> None:
    for name in ("k3s", "one"):
        tree.edit(f"recipes/{name}/recipe.toml", "[output]", "[output]\nbudget_mib = 0.000001")
    with pytest.raises(BudgetError) as caught:
        bundler().make(planned, made_of)
    golden("budget.txt", f"{caught.value}\n")


def test_budget_keeps_the_executable_of_before(
    bundler: MakeBundler, made_of: dict[str, Artifact], planned: BundlePlan, tree: Tree
) -> None:
    old = bundler().make(planned, made_of)
    good = old.path.read_bytes()
    tree.edit("toolchains/armv6.toml", "budget_mib = 62", "budget_mib = 0.000001")
    with pytest.raises(BudgetError):
        bundler().make(replace(planned, key="e" * 64), made_of)
    assert old.path.read_bytes() == good
    assert {p.name for p in old.path.parent.iterdir()} == {"k3s-armv6", "k3s-armv6.json"}


def test_what_another_version_replaces_is_kept(
    bundler: MakeBundler, made_of: dict[str, Artifact], planned: BundlePlan, add: Add
) -> None:
    first = bundler().make(planned, made_of).path
    kept = first.parent / "older/k3s-armv6"
    former = first.read_bytes()
    bundler().make(replace(planned, key="e" * 64), made_of)
    assert not kept.parent.exists(), "the same version is no older one"
    made_of["one"] = add("4" * 64, {"bin/one": b"another"}, recipe="one")
    bundler().make(replace(planned, key="d" * 64), made_of)
    assert kept.read_bytes() == former
    assert first.read_bytes() != former


def test_a_damaged_executable_is_not_kept(
    bundler: MakeBundler, made_of: dict[str, Artifact], planned: BundlePlan, add: Add
) -> None:
    first = bundler().make(planned, made_of).path
    flip(first, -1)
    made_of["one"] = add("4" * 64, {"bin/one": b"another"}, recipe="one")
    bundler().make(replace(planned, key="d" * 64), made_of)
    assert not (first.parent / "older").exists()


def test_damaged_store_entry_stops_it(
    bundler: MakeBundler, made_of: dict[str, Artifact], planned: BundlePlan
) -> None:
    flip(made_of["one"].path("bin/one"), 0)
    with pytest.raises(CorruptError, match="bin/one has sha256"):
        bundler().make(planned, made_of)


def test_full_disk_leaves_nothing(
    bundler: MakeBundler,
    made_of: dict[str, Artifact],
    planned: BundlePlan,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(DiskFullError, match="while bundling k3s-armv6"):
        bundler().make(planned, made_of)
    assert list(bundler().artifacts.iterdir()) == []
