"""The cache: scratch folders, what killed runs left, atomic writes, where it lies."""

from __future__ import annotations

import errno
import os
import re
import signal
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from buildsys import ours
from buildsys.cache import ENVIRONMENT, Cache, default_root, disk_errors, unfinished, write_atomic
from buildsys.errors import BuildsysError, DiskFullError
from buildsys.inuse import alone, share
from buildsys.mounts import mount_points, mounted_within
from buildsys.remove import Remover

from .conftest import CHECKOUT

pytestmark = pytest.mark.unit

JOB = "0123456789abcdef" * 2
"""The scratch folder of a job."""


def killed_owner(cache: Cache, name: str) -> None:
    """Let another process make a scratch folder and die in it by kill -9."""
    child = os.fork()
    if not child:
        with suppress(BaseException), cache.scratch(name, exact=True) as folder:
            (folder / "half").write_text("done")
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_scratch_is_empty_and_gone_at_the_end(cache: Cache) -> None:
    with cache.scratch("fetch") as folder:
        assert list(folder.iterdir()) == []
        (folder / "deep").mkdir()
        (folder / "deep/file").write_text("x")
    assert list(cache.work.iterdir()) == []


def test_scratch_is_gone_after_a_failure(cache: Cache) -> None:
    with pytest.raises(ZeroDivisionError), cache.scratch("fetch"):
        raise ZeroDivisionError
    assert list(cache.work.iterdir()) == []


def test_scratch_of_a_killed_run_is_taken_over_empty(cache: Cache) -> None:
    killed_owner(cache, JOB)
    assert (cache.work / JOB / "half").exists()
    with cache.scratch(JOB, exact=True) as folder:
        assert folder == cache.work / JOB
        assert list(folder.iterdir()) == []


def test_two_runs_of_one_name_have_folders_of_their_own(cache: Cache) -> None:
    """As two checkouts that audit the same target at once, with one cache."""
    with cache.scratch("audit") as ours:
        (ours / "file").write_text("ours")
        with cache.scratch("audit") as theirs:
            assert list(theirs.iterdir()) == []
        assert (ours / "file").read_text() == "ours"
        assert ours.name.startswith("audit-")


def test_sweep_takes_only_what_killed_runs_left(cache: Cache) -> None:
    killed_owner(cache, JOB)
    killed_owner(cache, "audit-armv6-0123abcd")
    with cache.scratch("smoke-armv6") as folder:
        (folder / "file").write_text("x")
        assert cache.sweep() == 2
        assert [*cache.work.iterdir()] == [folder]
        assert (folder / "file").read_text() == "x"
    assert cache.sweep() == 0


def test_sweep_spares_the_folder_of_another_living_process(cache: Cache) -> None:
    ready_read, ready_write = os.pipe()
    end_read, end_write = os.pipe()
    child = os.fork()
    if not child:
        os.close(end_write)
        with cache.scratch(JOB, exact=True):
            os.write(ready_write, b"x")
            os.read(end_read, 1)
        os._exit(0)
    assert os.read(ready_read, 1) == b"x"
    try:
        assert cache.sweep() == 0
        assert (cache.work / JOB).is_dir()
    finally:
        for handle in (end_write, end_read, ready_read, ready_write):
            os.close(handle)
        os.waitpid(child, 0)
    assert not (cache.work / JOB).exists()


def test_sweep_bears_folders_that_vanish_under_it(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run may end, and remove its folder, while this one looks at it."""
    killed_owner(cache, JOB)
    there = list(cache.work.iterdir())
    monkeypatch.setattr(Path, "iterdir", lambda self: iter([self / "vanished", *there]))
    assert cache.sweep() == 1


def test_lock_keeps_others_out(cache: Cache) -> None:
    seen: list[str] = []

    def other() -> None:
        with cache.lock("name"):
            seen.append("other")

    with cache.lock("name"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.1)
        seen.append("first")
    thread.join()
    assert seen == ["first", "other"]


def test_locks_of_other_names_are_free(cache: Cache) -> None:
    with cache.lock("one"), cache.lock("two"):
        pass


def test_write_atomic_writes_content_and_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"old", 0o644)
    write_atomic(path, b"new", mode=0o755)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o755)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_write_atomic_takes_away_what_a_killed_run_left(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    child = os.fork()
    if not child:
        with unfinished(path) as temporary:
            temporary.write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (left,) = tmp_path.iterdir()
    assert left.read_bytes() == b"half"
    other = tmp_path / ".other.json.1.tmp"
    other.touch()
    with unfinished(path) as running:
        write_atomic(path, b"whole")
        assert {*tmp_path.iterdir()} == {path, other, running}
    assert {*tmp_path.iterdir()} == {path, other}


def test_processes_of_the_same_number_do_not_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verb of every container is, say, process 8."""
    monkeypatch.setattr(os, "getpid", lambda: 8)
    with unfinished(tmp_path / "file") as one, unfinished(tmp_path / "file") as other:
        one.write_bytes(b"one")
        other.write_bytes(b"other")
        assert one.read_bytes() == b"one"


@pytest.mark.parametrize(("code", "raised"), [(errno.ENOSPC, DiskFullError), (errno.EIO, OSError)])
def test_write_atomic_keeps_the_old_content_on_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, raised: type[Exception]
) -> None:
    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    path = tmp_path / "file"
    write_atomic(path, b"old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(raised):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_named_with_place_and_purpose(code: int) -> None:
    with (
        pytest.raises(DiskFullError, match=r"of /some/where while doing this"),
        disk_errors(Path("/some/where"), "doing this"),
    ):
        raise OSError(code, os.strerror(code))


def test_other_errors_of_the_disk_stay_what_they_are() -> None:
    with pytest.raises(FileNotFoundError), disk_errors(Path("/x"), "doing this"):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_forbidden_place_is_named(code: int) -> None:
    with (
        pytest.raises(BuildsysError, match=r"^/some/where: .* while doing this"),
        disk_errors(Path("/some/where"), "doing this"),
    ):
        raise OSError(code, os.strerror(code))


def test_default_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert default_root({}) == tmp_path / ".cache/k3s-buildsys"
    assert default_root({"XDG_CACHE_HOME": "/xdg"}) == Path("/xdg/k3s-buildsys")
    assert default_root({"XDG_CACHE_HOME": "/xdg", ENVIRONMENT: "/own"}) == Path("/own")
    assert default_root({ENVIRONMENT: "relative"}) == tmp_path / "relative"
    assert default_root({ENVIRONMENT: "", "XDG_CACHE_HOME": ""}) == tmp_path / ".cache/k3s-buildsys"


def test_cache_that_cannot_be_made_says_how_to_move_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildsysError, match="cannot create the cache folder") as caught:
        Cache(tmp_path / "file").create()
    assert ENVIRONMENT in caught.value.action


def test_sweep_leaves_what_is_not_ours(cache: Cache, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    (cache.work / "thesis").mkdir()
    (cache.work / "thesis-20261130").mkdir()
    (cache.work / JOB).symlink_to(precious)
    remover = Remover()
    assert cache.sweep(remover) == 0
    assert {*remover.left} == {cache.work / n for n in ("thesis", "thesis-20261130", JOB)}
    assert {p.name for p in cache.work.iterdir()} == {"thesis", "thesis-20261130", JOB}
    assert (precious / "file").exists()


def test_a_scratch_folder_has_a_name_that_sweeping_knows(cache: Cache) -> None:
    with pytest.raises(ValueError, match="no name of a scratch folder"), cache.scratch("new"):
        pass


def test_a_claim_that_was_cut_goes_on(tmp_path: Path) -> None:
    root = tmp_path / "cache"
    root.mkdir()
    (root / f".{ours.MARKER}.{JOB}.tmp").touch()
    (root / ours.TAG).write_text(ours.TAG_TEXT)
    assert not Cache(root).create()
    assert {*ours.names_in(root)} >= {ours.MARKER, ours.TAG, "store"}


def test_full_disk_while_marking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fail)
        with pytest.raises(DiskFullError):
            Cache(tmp_path / "cache").create()
    assert list((tmp_path / "cache").iterdir()) == []
    assert not Cache(tmp_path / "cache").create()


def test_who_removes_waits_for_who_uses(cache: Cache) -> None:
    class Run:
        pass

    said: list[str] = []
    run = Run()
    release = share(cache.in_use, run, lambda: said.append("no"))
    with alone(cache.in_use, None) as got:
        assert not got
    other = share(cache.in_use, Run, lambda: said.append("no"))
    other()
    thread = threading.Timer(0.05, release)

    def wait() -> None:
        said.append("waits")
        thread.start()

    with alone(cache.in_use, wait) as got:
        assert got
    thread.join()
    assert said == ["waits"]


def test_mount_points_are_decoded() -> None:
    text = rb"36 35 0:1 / /mnt/a\040b\134c rw shared:1 - tmpfs none rw" + b"\n"
    assert mount_points(text) == [Path("/mnt/a b\\c")]
    assert mounted_within(Path("/mnt"), mount_points(text))
    assert not mounted_within(Path("/mnt/a"), mount_points(text))


def test_every_scratch_folder_of_the_code_has_a_name_that_sweeping_knows() -> None:
    """A folder that sweeping does not know would stay for ever after a kill."""
    found = {
        name
        for path in (CHECKOUT / "buildsys").rglob("*.py")
        for name in re.findall(r'\.scratch\(f?"([a-z-]+)', path.read_text("utf-8"))
    }
    assert len(found) > 10
    assert {name.rstrip("-") for name in found} <= set(ours.SCRATCHES)
