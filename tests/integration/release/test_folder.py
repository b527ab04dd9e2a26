"""Publishing to a folder: whole or not at all, never over what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildsys.errors import PublishedError
from buildsys.release.channels import PATH, read_channels
from buildsys.release.publish import Release
from buildsys.release.publish.folder import Folder
from buildsys.release.version import Tag

from .conftest import FLAT, TAG, MakeRelease

pytestmark = pytest.mark.integration


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "public")


def contents(folder: Folder) -> dict[str, bytes]:
    return {
        path.relative_to(folder.root).as_posix(): path.read_bytes()
        for path in folder.root.rglob("*")
        if path.is_file()
    }


def test_every_file_is_there_and_the_second_run_does_nothing(
    folder: Folder, release: Release
) -> None:
    first = folder.publish(release)
    assert (first.put, first.kept, first.channels) == (len(release.files), 0, True)
    found = contents(folder)
    assert read_channels(found.pop(PATH)) == {"latest": TAG}
    assert found == {file.path: file.local.read_bytes() for file in release.files}
    inodes = {path: (folder.root / path).stat().st_ino for path in found}
    second = folder.publish(release)
    assert (second.put, second.kept, second.channels) == (0, len(release.files), False)
    assert {path: (folder.root / path).stat().st_ino for path in found} == inodes


def test_published_bytes_are_never_overwritten(folder: Folder, make: MakeRelease) -> None:
    folder.publish(make())
    before = contents(folder)
    with pytest.raises(PublishedError, match="k3s-armv6 already, with other bytes"):
        folder.publish(make(k3s_armv6=b"other"))
    assert contents(folder) == before


def test_file_that_was_removed_is_named(folder: Folder, release: Release) -> None:
    folder.publish(release)
    (folder.root / FLAT / "k3s-armv6").unlink()
    with pytest.raises(PublishedError, match="has no k3s-armv6"):
        folder.publish(release)


def test_copy_that_was_cut_short_is_gone_on_with(folder: Folder, release: Release) -> None:
    """Nobody sees a part; what is whole is kept, what is cut or not of the release is not."""
    unfinished = folder.root / f"download/.{TAG}.unfinished"
    unfinished.mkdir(parents=True)
    whole = next(f for f in release.flat if f.name == "k3s-armv6")
    (unfinished / whole.name).write_bytes(whole.local.read_bytes())
    inode = (unfinished / whole.name).stat().st_ino
    (unfinished / "sha256sums.txt").write_bytes(b"su")
    (unfinished / "stranger").write_bytes(b"x")
    folder.publish(release)
    found = contents(folder)
    del found[PATH]
    assert found == {file.path: file.local.read_bytes() for file in release.files}
    assert (folder.root / whole.path).stat().st_ino == inode


def test_flat_release_appears_last(
    folder: Folder, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed: list[str] = []
    rename = Path.rename

    def watched(self: Path, target: Path) -> Path:
        renamed.append(target.relative_to(folder.root).as_posix())
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", watched)
    folder.publish(release)
    assert renamed == [f"armv6/{FLAT}", FLAT]


def test_obstacles(folder: Folder, make: MakeRelease) -> None:
    assert list(folder.obstacles(TAG, None)) == []
    folder.publish(make())
    sums = (folder.root / FLAT / "sha256sums.txt").read_bytes()
    assert list(folder.obstacles(TAG, sums)) == []
    [(what, action)] = folder.obstacles(TAG, b"others\n")
    assert f"{TAG} already" in what
    assert action.endswith(".2.md")
    assert len(list(folder.obstacles(TAG, None))) == 1


def test_place_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    [(what, _)] = Folder(tmp_path / "file").obstacles(TAG, None)
    assert "cannot be written" in what


def test_channels_of_an_older_release_stay(folder: Folder, make: MakeRelease) -> None:
    newer = Tag("v1.36.0+k3s1.1")
    folder.publish(make(newer, channels=("stable", "latest")))
    folder.publish(make())
    assert read_channels((folder.root / PATH).read_bytes()) == {"stable": newer, "latest": newer}


def test_a_link_in_place_of_the_hidden_folder_is_not_followed(
    folder: Folder, release: Release, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    flat = folder.root / FLAT
    hidden = flat.with_name(f".{flat.name}.unfinished")
    hidden.parent.mkdir(parents=True)
    hidden.symlink_to(precious)
    with pytest.raises(PublishedError, match="is a link to"):
        folder.publish(release)
    assert [path.name for path in precious.iterdir()] == ["file"]
