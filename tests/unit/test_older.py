"""The older build that an upgrade begins with: found, named, or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from buildsys.bundle.layout import assemble
from buildsys.bundle.manifest import Entry, Manifest
from buildsys.errors import CorruptError, NotBuiltError
from buildsys.verify.older import find_older

pytestmark = pytest.mark.unit

NEWER = Manifest("armv6", "1.0", "c0ffee", "go1.25.5", "armv6", (), {"bin/kubectl": "k3s"})
OLDER = replace(NEWER, links={"bin/ctr": "k3s"})


def write(path: Path, manifest: Manifest) -> Path:
    launcher = path.with_name("launcher")
    path.parent.mkdir(exist_ok=True)
    launcher.write_bytes(b"launcher")
    with path.open("wb") as out:
        assemble(out, launcher, manifest, [])
    return path


@pytest.fixture
def executable(tmp_path: Path) -> Path:
    return write(tmp_path / "k3s-armv6", NEWER)


def test_it_is_what_the_last_build_replaced(executable: Path) -> None:
    path = write(executable.parent / "older/k3s-armv6", OLDER)
    assert find_older(executable, None) == path


def test_a_given_one_goes_first(executable: Path, tmp_path: Path) -> None:
    write(executable.parent / "older/k3s-armv6", OLDER)
    path = write(tmp_path / "release", OLDER)
    assert find_older(executable, path) == path


def test_without_any_the_text_says_how_to_get_one(executable: Path) -> None:
    with pytest.raises(NotBuiltError, match="older/k3s-armv6") as raised:
        find_older(executable, None)
    assert "--older FILE" in raised.value.action


def test_a_given_one_that_is_not_there_is_named(executable: Path, tmp_path: Path) -> None:
    with pytest.raises(NotBuiltError, match="nowhere"):
        find_older(executable, tmp_path / "nowhere")


def test_one_for_another_target_is_refused(executable: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "other", replace(OLDER, target="amd64"))
    with pytest.raises(NotBuiltError, match="is for amd64, not for armv6"):
        find_older(executable, path)


def test_the_same_version_is_refused(executable: Path, tmp_path: Path) -> None:
    entry = Entry("bin/k3s", 0o755, 1, "a" * 64)
    assert replace(NEWER, files=(entry,)).data != NEWER.data
    path = write(tmp_path / "same", replace(NEWER, without=("traefik",)))
    with pytest.raises(NotBuiltError, match="unpacks to the same"):
        find_older(executable, path)


def test_what_is_no_executable_is_refused(executable: Path, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("no executable")
    with pytest.raises(CorruptError, match="no footer"):
        find_older(executable, path)
