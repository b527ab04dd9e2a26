"""The store: an entry is whole or not there, and damage is found."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from buildsys import store as store_module
from buildsys.cache import Cache
from buildsys.errors import CorruptError, DiskFullError
from buildsys.store import RECORD, Artifact, Store

from .conftest import Add, flip, make_files, record, sha256

pytestmark = pytest.mark.unit

KEY = "0" * 64
FILES = {"bin/tool": b"tool", "lib/empty": b""}
LINKS = {"bin/alias": "tool"}


@pytest.fixture
def artifact(add: Add) -> Artifact:
    return add(KEY, FILES, LINKS)


def test_unknown_key(store: Store) -> None:
    assert store.get(KEY) is None


def test_what_was_added_is_got(store: Store, artifact: Artifact) -> None:
    assert store.get(KEY) == artifact
    store.verify(artifact)
    assert {file.path: file.sha256 for file in artifact.files if not file.link} == {
        name: sha256(data) for name, data in FILES.items()
    }
    assert [(file.path, file.link) for file in artifact.files if file.link] == [
        ("bin/alias", "tool")
    ]
    assert artifact.path("bin/tool").read_bytes() == b"tool"
    assert list(store.keys()) == [KEY]


def test_modes_become_0644_or_0755(cache: Cache, store: Store) -> None:
    files = make_files(cache.work / "picked", FILES, {})
    (files / "bin/tool").chmod(0o4710)
    (files / "lib/empty").chmod(0o600)
    made = store.add(files, record(KEY))
    assert {file.path: file.mode for file in made.files} == {"bin/tool": 0o755, "lib/empty": 0o644}
    assert {made.path(file.path).stat().st_mode & 0o7777 for file in made.files} == {0o755, 0o644}


def damage_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("other")


def replace_link(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"tool")


DAMAGE: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "flipped byte": ("bin/tool", lambda path: flip(path, 2), "has sha256"),
    "cut": ("bin/tool", lambda path: path.write_bytes(b"to"), "has 2 bytes, not 4"),
    "longer": ("lib/empty", lambda path: path.write_bytes(b"x"), "has 1 bytes, not 0"),
    "gone": ("bin/tool", Path.unlink, "is missing"),
    "link to another file": ("bin/alias", damage_link, "is another link"),
    "file in place of a link": (
        "bin/alias",
        replace_link,
        "is another link",
    ),
    "link gone": ("bin/alias", Path.unlink, "is missing"),
}


@pytest.mark.parametrize(("name", "harm", "text"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_named_and_moved_aside(
    cache: Cache,
    store: Store,
    artifact: Artifact,
    name: str,
    harm: Callable[[Path], object],
    text: str,
) -> None:
    harm(artifact.path(name))
    with pytest.raises(CorruptError, match=f"of one for armv6: {name} {text}"):
        store.verify(artifact)
    assert store.get(KEY) is None
    assert list(store.keys()) == []
    assert len(list(cache.aside.glob(f"*/{KEY}/{RECORD}"))) == 1


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"files": []}', '{"files": [{"path": 1}]}', "\xff"]
)
def test_unreadable_record_is_discarded(
    cache: Cache, store: Store, artifact: Artifact, text: str
) -> None:
    (artifact.folder / RECORD).write_text(text, "latin-1")
    assert store.get(KEY) is None
    assert not artifact.folder.exists()
    assert len(list(cache.aside.iterdir())) == 1


@pytest.mark.parametrize("text", [None, "{"])
def test_damaged_record_can_be_built_anew(
    store: Store, artifact: Artifact, add: Add, text: str | None
) -> None:
    if text is None:
        (artifact.folder / RECORD).unlink()
    else:
        (artifact.folder / RECORD).write_text(text)
    assert store.get(KEY) is None
    add(KEY, FILES, LINKS)
    again = store.get(KEY)
    assert again is not None
    store.verify(again)


def test_two_adders_of_one_key(cache: Cache, store: Store) -> None:
    folders = [make_files(cache.work / f"picked-{n}", FILES, LINKS) for n in range(8)]
    made: list[Artifact] = []
    together = threading.Barrier(len(folders))

    def adder(folder: Path) -> None:
        together.wait()
        made.append(store.add(folder, record(KEY)))

    threads = [threading.Thread(target=adder, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert all(one == store.get(KEY) for one in made)
    store.verify(made[0])
    assert [path.name for path in cache.store.iterdir()] == [KEY]
    assert list(cache.work.iterdir()) == []


@pytest.mark.parametrize("step", ["scan", "_write_synced", "_sync_folder"])
def test_full_disk_leaves_nothing_half(
    cache: Cache, add: Add, store: Store, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store_module, step, full)
    with pytest.raises(DiskFullError, match="while storing one"):
        add(KEY, FILES)
    monkeypatch.undo()
    assert not list(cache.store.glob(".*"))
    assert list(cache.work.iterdir()) == []
    # Either all of it was there before the disk was full, or nothing is.
    kept = store.get(KEY)
    assert (kept is None) == (step != "_sync_folder")
    if kept:
        store.verify(kept)


def test_record_that_is_no_json_leaves_nothing(cache: Cache, store: Store) -> None:
    files = make_files(cache.work / "picked", FILES, {})
    with pytest.raises(TypeError):
        store.add(files, {**record(KEY), "checks": {"set": set()}})
    assert list(cache.store.iterdir()) == []
    assert list(cache.work.iterdir()) == []


def test_keys_leave_out_what_is_being_added(cache: Cache, store: Store, artifact: Artifact) -> None:
    (cache.store / ".new-x").mkdir()
    assert list(store.keys()) == [KEY]


def test_discarding_twice_is_no_failure(store: Store, artifact: Artifact) -> None:
    store.discard(KEY)
    store.discard(KEY)
    assert store.get(KEY) is None


@pytest.mark.parametrize("change", ["key", "path", "absolute path"])
def test_a_record_that_leads_elsewhere_is_none(
    store: Store, cache: Cache, artifact: Artifact, tmp_path: Path, change: str
) -> None:
    """By its key an entry would be moved aside, by their paths files be read."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    path = cache.store / KEY / RECORD
    data = json.loads(path.read_text())
    if change == "key":
        data["key"] = "../../precious"
    else:
        data["files"][0]["path"] = "../" * 9 + "x" if change == "path" else str(precious / "file")
    path.write_text(json.dumps(data))
    assert store.get(KEY) is None
    assert (precious / "file").read_text() == "mine"
    assert not (cache.store / KEY).exists()
