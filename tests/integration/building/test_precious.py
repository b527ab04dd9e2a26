"""Folders that somebody names by mistake: nothing in them is written, emptied or removed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from buildsys.app import App, Settings
from buildsys.cache import ENVIRONMENT
from buildsys.errors import NotWritableError
from buildsys.ours import MARKER, SIGNATURE, TAG
from buildsys.sandbox import namespaces

from .project import Checkout, new_checkout, tree

pytestmark = pytest.mark.integration

KEY = "0123456789abcdef" * 4
REFUSED = NotWritableError.exit_code


@pytest.fixture
def plain(tmp_path: Path) -> Checkout:
    """A checkout whose cache is not there yet."""
    made = new_checkout(tmp_path / "checkout", tmp_path / "lent")
    made.standard()
    made.cache = tmp_path / "cache"
    return made


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name}, which nobody has twice\n")
    return folder


F1 = {
    "clean --everything": (("photos/a.jpg",), ("clean", "--everything")),
    "clean": (("work/thesis/t.tex", "logs/l"), ("clean",)),
    "build": (
        ("work/thesis/t.tex",),
        ("build", "--arch", "armv6", "--only", "script", "--offline"),
    ),
    "audit": (("work/thesis/t.tex",), ("audit", "--arch", "armv6")),
    "fetch": (("store/apples/a",), ("fetch", "--arch", "armv6")),
    "clean --keep": (("store/apples/a",), ("clean", "--keep", "armv6")),
}


@pytest.mark.parametrize("case", F1)
def test_a_folder_of_somebody_is_refused_as_the_cache(
    plain: Checkout, tmp_path: Path, case: str
) -> None:
    names, words = F1[case]
    precious = fill(tmp_path / "precious", *names)
    before = tree(precious)
    done = plain.cli(*words, "--cache", str(precious))
    assert done.code == REFUSED, done.text
    assert tree(precious) == before
    assert f"{precious} is no cache of this project" in done.text
    assert "next: " in done.text and "--cache" in done.text
    assert "Traceback" not in done.text


@pytest.mark.parametrize("words", [("clean", "--everything"), ("build", "--arch", "armv6")])
def test_a_home_is_refused(plain: Checkout, tmp_path: Path, words: tuple[str, ...]) -> None:
    names = ("work/thesis/t.tex", "go/pkg/x", ".config/go/env", "downloads/film", ".ssh/id")
    home = fill(tmp_path / "home", *names)
    before = tree(home)
    plain.environment = {"HOME": str(home)}
    done = plain.cli(*words, "--cache", str(home))
    assert done.code == REFUSED, done.text
    assert tree(home) == before


def test_the_variable_is_refused_as_well(plain: Checkout, tmp_path: Path) -> None:
    data = fill(tmp_path / "data", "work/thesis/t.tex", "logs/l")
    before = tree(data)
    plain.environment = {ENVIRONMENT: str(data)}
    for words in (("build", "--arch", "armv6"), ("clean", "--everything"), ("clean",)):
        done = plain.cli(*words)
        assert done.code == REFUSED, done.text
    assert tree(data) == before


def test_what_only_reads_writes_nothing(plain: Checkout, tmp_path: Path) -> None:
    data = fill(tmp_path / "data", "work/thesis/t.tex")
    plain.environment = {ENVIRONMENT: str(data)}
    assert plain.cli("plan", "--arch", "armv6").code == 0
    assert plain.cli("list").code == 0
    assert [path.name for path in data.iterdir()] == ["work"]
    plain.environment = {ENVIRONMENT: str(tmp_path / "none")}
    assert plain.cli("plan", "--arch", "armv6").code == 0
    assert not (tmp_path / "none").exists()


def test_a_read_only_cache_serves_what_only_reads(plain: Checkout) -> None:
    """A damaged entry, which a build would move aside, included."""
    assert plain.cli("build", "--arch", "armv6", "--only", "script").code == 0
    (entry,) = (plain.cache / "store").iterdir()
    (entry / "artifact.json").write_text("{}")
    script = 'mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; shift; exec "$@"'
    before = [*namespaces(force_user=True), "sh", "-c", script, "sh", str(plain.cache)]
    for words in (
        ("plan", "--arch", "armv6"),
        ("list", "--arch", "armv6"),
        ("smoke", "--list"),
        ("matrix", "--arch", "armv6"),
        ("doctor", "--arch", "armv6", "--json"),
    ):
        done = plain.cli(*words, before=before)
        assert done.code == 0 or words[0] == "doctor", done.text
        assert "Read-only" not in done.text and "Traceback" not in done.text, done.text
    assert "disk" in done.text
    for writing in (("fetch", "--arch", "armv6"), ("clean",)):
        done = plain.cli(*writing, before=before)
        assert done.code == REFUSED and "it is read-only" in done.text, done.text


def test_a_link_to_nowhere_is_no_place_for_a_cache(plain: Checkout, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    done = plain.cli("fetch", "--arch", "armv6", "--cache", str(tmp_path / "link"))
    assert done.code == REFUSED and "cannot create the cache folder" in done.text, done.text


@pytest.mark.parametrize("kind", ["new", "empty", "new disk", "link"])
def test_a_folder_that_holds_nothing_becomes_one(
    plain: Checkout, tmp_path: Path, kind: str
) -> None:
    folder = tmp_path / "somewhere"
    if kind != "new":
        folder.mkdir()
    if kind == "new disk":
        (folder / "lost+found").mkdir()
    if kind == "link":
        (tmp_path / "link").symlink_to(folder)
        folder = tmp_path / "link"
    done = plain.cli("fetch", "--arch", "armv6", "--cache", str(folder))
    assert done.code == 0, done.text
    assert (folder / TAG).read_text().startswith(f"{SIGNATURE}\n")
    assert (folder / MARKER).is_file()
    assert "is a cache of before" not in done.text
    names = ("photos/a.jpg", "work/thesis/t.tex", "store/apples", "logs/l")
    fill(folder, *names)
    before = {name: (folder / name).read_bytes() for name in names}
    for words in (("build", "--arch", "armv6", "--only", "script"), ("clean", "--everything")):
        done = plain.cli(*words, "--cache", str(folder))
        assert done.code == 0, done.text
    assert {name: (folder / name).read_bytes() for name in before} == before
    for name in ("photos", "work/thesis", "store/apples", "logs/l"):
        assert f"stays: {folder}/{name}: its name is none of ours" in done.text
    top = {"photos", "work", "store", "logs", TAG, MARKER}
    assert {path.name for path in folder.iterdir()} - {"lost+found"} == top
    assert kind != "link" or folder.is_symlink()


def test_a_cache_of_before_is_taken_and_said(plain: Checkout, tmp_path: Path) -> None:
    home = tmp_path / "home"
    place = home / ".cache/k3s-buildsys"
    fill(place, "downloads/debian/0123456789abcdef/a.dsc", "go/mod/cache/download/x")
    plain.environment = {"HOME": str(home), ENVIRONMENT: "", "XDG_CACHE_HOME": ""}
    done = plain.cli("fetch", "--arch", "armv6")
    assert done.code == 0, done.text
    assert done.text.count("is a cache of before") == 1
    assert (place / MARKER).is_file()
    assert "is a cache of before" not in plain.cli("fetch", "--arch", "armv6").text


def test_a_restored_cache_in_another_place_is_taken(plain: Checkout, tmp_path: Path) -> None:
    restored = fill(tmp_path / "restored", f"store/{KEY}/artifact.json")
    done = plain.cli("fetch", "--arch", "armv6", "--cache", str(restored))
    assert done.code == 0 and "is a cache of before" in done.text, done.text
    mixed = fill(tmp_path / "mixed", f"store/{KEY}/artifact.json", "store/letters/a")
    assert plain.cli("fetch", "--arch", "armv6", "--cache", str(mixed)).code == REFUSED


def test_everything_goes_but_links_and_what_is_mounted(plain: Checkout, tmp_path: Path) -> None:
    assert plain.cli("fetch", "--arch", "armv6").code == 0
    elsewhere = fill(tmp_path / "elsewhere", "a")
    mounted = fill(tmp_path / "mounted", "b")
    job = KEY[:32]
    (plain.cache / "store" / KEY).symlink_to(elsewhere)
    (plain.cache / "work" / job).symlink_to(elsewhere)
    (plain.cache / "zig/z/place with a blank").mkdir(parents=True)
    place = str(plain.cache / "zig/z/place with a blank")
    script = 'mount --bind "$1" "$2"; shift 2; exec "$@"'
    before = [*namespaces(force_user=True), "sh", "-c", script, "sh", str(mounted), place]
    for words in (("build", "--arch", "armv6", "--only", "script"), ("clean", "--everything")):
        done = plain.cli(*words, before=before)
        assert done.code == 0, done.text
    assert [p.name for p in elsewhere.iterdir()] == ["a"]
    assert [p.name for p in mounted.iterdir()] == ["b"]
    assert f"something is mounted at {place}" in done.text
    assert f"{KEY}: it is a link to {elsewhere}" in done.text
    (plain.cache / "store" / KEY).unlink()
    (plain.cache / "work" / job).unlink()
    assert plain.cli("clean", "--everything").code == 0
    assert not plain.cache.exists()


def test_clean_says_what_goes_and_keeps_verdicts(plain: Checkout) -> None:
    assert plain.cli("build", "--arch", "armv6", "--only", "script").code == 0
    artifacts = plain.root / "artifacts"
    theirs = ("my-notes.txt", "k3s-mine", "older/k3s-mine", "verdicts/mine.txt", "release/mine")
    hours = ("verdicts/armv6-audit.json", "verdicts/armv6-smoke.log", "proven/armv6.json")
    ours = (
        *("k3s-armv6", "k3s-armv6.json", "older/k3s-armv6", "report.html"),
        *("release/latest/download/channels.json", "download/v1.35.0+k3s1.1/install.sh"),
        "timings-armv6-any.json",
    )
    fill(artifacts, "README.md", *theirs, *hours, *ours)
    dry = plain.cli("clean", "--dry-run", "--json")
    assert dry.code == 0, dry.text
    data = json.loads(dry.text)
    assert {str(artifacts / name) for name in ours} <= {one["path"] for one in data["removed"]}
    assert all((artifacts / name).exists() for name in (*theirs, *hours, *ours))

    done = plain.cli("clean")
    assert done.code == 0, done.text
    assert all((artifacts / name).exists() for name in ("README.md", *theirs, *hours))
    assert not any((artifacts / name).exists() for name in ours)
    assert f"MiB  {artifacts / 'report.html'}" in done.text
    assert f"stays: {artifacts / 'my-notes.txt'}" in done.text
    assert "removed " in done.text and f"{plain.cache / 'logs'}" in done.text
    assert not [*(plain.cache / "logs").iterdir()]
    assert [*(plain.cache / "store").iterdir()], "the store stays"

    done = plain.cli("clean", "--verdicts")
    assert done.code == 0, done.text
    assert not any((artifacts / name).exists() for name in hours)
    assert all((artifacts / name).exists() for name in theirs)
    assert plain.cli("clean", "--everything").code == 0
    assert not plain.cache.exists()
    assert plain.cli("clean", "--everything").code == 0, "twice is as good"


def test_pruning_waits_for_who_uses_the_cache(plain: Checkout) -> None:
    """And a build that has ended does not shrink what another one may use."""
    assert plain.cli("build", "--arch", "armv6", "--only", "script").code == 0
    (entry,) = (plain.cache / "store").iterdir()
    other = fill(plain.cache / "store" / KEY, "artifact.json")
    frame = fill(plain.cache / "frames", f"{KEY}-old") / f"{KEY}-old"
    os.utime(frame, (0, 0))
    plain.environment = {"K3S_BUILDSYS_CACHE_GIB": "1"}
    user = App(Settings(str(plain.cache)), plain.root)
    assert user.cache.store.is_dir()  # from here on it uses the cache
    with frame.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, (1 << 30) + (1 << 20))
    os.utime(frame, (0, 0))
    assert plain.cli("build", "--arch", "armv6", "--only", "script").code == 0
    assert frame.exists(), "another run is at work"
    process = plain.start("clean", "--keep", "armv6")
    assert process.stdout is not None
    assert b"waiting: another run uses the cache" in process.stdout.readline()
    assert other.exists() and entry.exists() and process.poll() is None
    del user
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out.decode()
    assert not other.exists()
    assert entry.exists()
    assert not frame.exists()
    assert b"not used for the longest time removed, to stay below 1 GiB" in out
