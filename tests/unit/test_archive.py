"""Archives from outside: nothing leaves the folder, nothing but plain files, cuts are named."""

from __future__ import annotations

import base64
import hashlib
import io
import random
import tarfile
import zipfile
from pathlib import Path

import pytest

from buildsys.archive import module_file_sum, module_zip_sum, unpack_module_zip, unpack_tar
from buildsys.errors import CorruptError, UnsafeArchiveError

from .conftest import Golden, flip, listing, tar_member, write_tar

pytestmark = pytest.mark.unit

GOOD = tar_member("p/good", b"good")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where to unpack; beside it lies a file that nothing may touch."""
    (tmp_path / "victim").write_text("safe")
    made = tmp_path / "room" / "folder"
    made.mkdir(parents=True)
    return made


def unpacked(folder: Path, *members: tuple[tarfile.TarInfo, bytes], name: str = "a.tar") -> Path:
    unpack_tar(write_tar(folder.parent / name, *members), folder)
    return folder


# ---- what is right ----


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".xz"])
def test_unpacks_without_the_first_component(folder: Path, suffix: str) -> None:
    members = [
        tar_member("p", type=tarfile.DIRTYPE),
        tar_member("p/bin/tool", b"tool", mode=0o4775),
        tar_member("p/doc/text", b"text", mode=0o600),
        tar_member("p/bin/alias", type=tarfile.SYMTYPE, linkname="../doc/text"),
        tar_member("p/more/hard", type=tarfile.LNKTYPE, linkname="p/bin/tool"),
    ]
    unpacked(folder, *members, name=f"a.tar{suffix}")
    assert listing(folder) == {
        "bin/alias": "-> ../doc/text",
        "bin/tool": "tool",
        "doc/text": "text",
        "more/hard": "tool",
    }
    assert (folder / "bin/tool").stat().st_mode & 0o7777 == 0o755
    assert (folder / "doc/text").stat().st_mode & 0o7777 == 0o644
    assert (folder / "more/hard").stat().st_mode & 0o7777 == 0o755


def test_leading_dot_is_no_component(folder: Path) -> None:
    unpacked(folder, tar_member("./p/a", b"x"))
    assert listing(folder) == {"a": "x"}


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names(folder: Path, kind: int) -> None:
    name = "/".join(["d" * 90] * 3 + ["é" * 60])
    members = [
        tar_member(f"p/{name}", b"long"),
        tar_member("p/link", type=tarfile.SYMTYPE, linkname=name),
    ]
    unpack_tar(write_tar(folder.parent / "a.tar", *members, kind=kind), folder)
    assert listing(folder) == {name: "long", "link": f"-> {name}"}


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_name_that_leaves(folder: Path, kind: int) -> None:
    path = write_tar(
        folder.parent / "a.tar", tar_member(f"p/{'d' * 120}/../../../victim"), kind=kind
    )
    with pytest.raises(UnsafeArchiveError):
        unpack_tar(path, folder)


# ---- what is hostile ----

HOSTILE = {
    "parent": [tar_member("p/../../victim", b"x")],
    "parent as first component": [tar_member("../victim", b"x")],
    "parent that comes back": [tar_member("p/a/../b", b"x")],
    "absolute": [tar_member("/etc/victim", b"x")],
    "absolute directory": [tar_member("/p/d", type=tarfile.DIRTYPE)],
    "backslash": [tar_member("p/..\\victim", b"x")],
    "symlink to the parent": [tar_member("p/up", type=tarfile.SYMTYPE, linkname="..")],
    "symlink outside by detour": [
        tar_member("p/d/up", type=tarfile.SYMTYPE, linkname="x/../../../victim")
    ],
    "absolute symlink": [tar_member("p/abs", type=tarfile.SYMTYPE, linkname="/etc")],
    "file through a symlink": [
        tar_member("p/d", type=tarfile.DIRTYPE),
        tar_member("p/s", type=tarfile.SYMTYPE, linkname="d"),
        tar_member("p/s/file", b"x"),
    ],
    "directory through a symlink": [
        tar_member("p/s", type=tarfile.SYMTYPE, linkname="d"),
        tar_member("p/s/dir", type=tarfile.DIRTYPE),
    ],
    "file over a symlink": [
        tar_member("p/s", type=tarfile.SYMTYPE, linkname="d"),
        tar_member("p/s", b"x"),
    ],
    "symlinks in a chain": [
        tar_member("p/d/s", type=tarfile.SYMTYPE, linkname=".."),
        tar_member("p/d/s/t", type=tarfile.SYMTYPE, linkname="../.."),
    ],
    "hard link outside": [tar_member("p/h", type=tarfile.LNKTYPE, linkname="p/../../victim")],
    "hard link outside as first": [tar_member("p/h", type=tarfile.LNKTYPE, linkname="../victim")],
    "absolute hard link": [tar_member("p/h", type=tarfile.LNKTYPE, linkname="/etc/passwd")],
    "hard link to nothing": [tar_member("p/h", type=tarfile.LNKTYPE, linkname="p/none")],
    "hard link to a symlink": [
        tar_member("p/s", type=tarfile.SYMTYPE, linkname="good"),
        tar_member("p/h", type=tarfile.LNKTYPE, linkname="p/s"),
    ],
    "character device": [tar_member("p/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)],
    "block device": [tar_member("p/disk", type=tarfile.BLKTYPE, devmajor=8, devminor=0)],
    "pipe": [tar_member("p/pipe", type=tarfile.FIFOTYPE)],
    "file in place of the folder": [tar_member("p", b"x")],
    "file over a directory": [tar_member("p/d", type=tarfile.DIRTYPE), tar_member("p/d", b"x")],
    "directory over a file": [tar_member("p/good", type=tarfile.DIRTYPE)],
    "file below a file": [tar_member("p/good/x", b"x")],
}


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE)
def test_hostile_member_is_refused(
    folder: Path, members: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    with pytest.raises(UnsafeArchiveError, match=r"^a\.tar: member "):
        unpacked(folder, GOOD, *members)
    assert (folder / "good").read_text() == "good"
    around = {path.name for path in folder.parent.parent.rglob("*") if folder not in path.parents}
    assert around == {"victim", "room", "folder", "a.tar"}
    assert (folder.parent.parent / "victim").read_text() == "safe"


def test_text_of_a_refusal(folder: Path, golden: Golden) -> None:
    with pytest.raises(UnsafeArchiveError) as caught:
        unpacked(folder, *HOSTILE["symlink outside by detour"])
    golden("archive.txt", f"{caught.value}\n")


# ---- what is damaged ----


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_cut_archive_is_corrupt(folder: Path, suffix: str, share: float) -> None:
    data = random.Random(1).randbytes(40_000)
    path = write_tar(folder.parent / f"a.tar{suffix}", tar_member("p/a", data))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(CorruptError, match=r"^a\.tar\.\w+ cannot be unpacked"):
        unpack_tar(path, folder)


def test_cut_plain_tar_is_corrupt(folder: Path) -> None:
    path = write_tar(folder.parent / "a.tar", tar_member("p/a", b"x" * 5000))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(CorruptError):
        unpack_tar(path, folder)


@pytest.mark.parametrize("suffix", [".bz2", ".xz"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_flipped_byte_is_corrupt(folder: Path, suffix: str, share: float) -> None:
    data = random.Random(1).randbytes(40_000)
    path = write_tar(folder.parent / f"a.tar{suffix}", tar_member("p/a", data))
    flip(path, int(path.stat().st_size * share))
    with pytest.raises(CorruptError):
        unpack_tar(path, folder)


def test_broken_deflate_stream_is_corrupt(folder: Path) -> None:
    path = write_tar(folder.parent / "a.tar.gz", tar_member("p/a", b"text " * 30_000))
    raw = bytearray(path.read_bytes())
    raw[60:80] = b"\xff" * 20
    path.write_bytes(raw)
    with pytest.raises(CorruptError):
        unpack_tar(path, folder)


def test_no_archive_at_all_is_corrupt(folder: Path) -> None:
    path = folder.parent / "a.tar.xz"
    path.write_text("<html>not found</html>")
    with pytest.raises(CorruptError):
        unpack_tar(path, folder)


# ---- module zips ----

FILES = {"m@v1.0.0/go.mod": b"module m\n", "m@v1.0.0/A.go": b"package m\n", "m@v1.0.0/a/b": b""}


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, data in files.items():
            package.writestr(name, data)
    return path


def h1(files: dict[str, bytes]) -> str:
    """As golang.org/x/mod/sumdb/dirhash describes it, without the code under test."""
    text = io.StringIO()
    for name in sorted(files, key=lambda name: name.encode()):
        print(hashlib.sha256(files[name]).hexdigest(), name, sep="  ", file=text)
    return f"h1:{base64.b64encode(hashlib.sha256(text.getvalue().encode()).digest()).decode()}"


def test_sum_of_a_module_zip(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "m.zip", dict(reversed(FILES.items())))
    assert module_zip_sum(path) == h1(FILES)
    # The same by hand: sha256sum of the three files, sorted, sha256sum of that, base64.
    assert module_zip_sum(path) == "h1:/4bIv64Joab8cIOa0g7MAc7EeGcMzgzKMnJd2vkbz4U="


def test_sum_of_a_go_mod_file_is_gos_own() -> None:
    """The line of golang.org/x/sync v0.7.0 in any go.sum, and its go.mod."""
    assert module_file_sum(b"module golang.org/x/sync\n\ngo 1.18\n") == (
        "h1:Czt+wKu1gCyEFDUtn0jG5QVvpJ6rzVqr5aXyt9drQfk="
    )


def test_sum_changes_with_name_and_byte(tmp_path: Path) -> None:
    sums = {
        module_zip_sum(write_zip(tmp_path / "m.zip", files))
        for files in (
            FILES,
            FILES | {"m@v1.0.0/A.go": b"package n\n"},
            {name.replace("A.go", "B.go"): data for name, data in FILES.items()},
            FILES | {"m@v1.0.0/more": b""},
        )
    }
    assert len(sums) == 4


def test_any_damage_to_a_zip_is_corrupt_or_another_sum(tmp_path: Path) -> None:
    files = FILES | {"m@v1.0.0/big": " ".join(str(n) for n in range(3000)).encode()}
    path = write_zip(tmp_path / "m.zip", files)
    good, size = path.read_bytes(), path.stat().st_size
    outcomes: set[object] = set()
    for position in [*range(0, size, 97), *range(size - 350, size, 2)]:
        flip(path, position)
        try:
            outcomes.add(module_zip_sum(path) == h1(files))
        except CorruptError:
            outcomes.add("corrupt")
        path.write_bytes(good)
    # True: bytes that no reader looks at, such as time stamps.
    assert outcomes >= {"corrupt", True}


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_cut_zip_is_corrupt(tmp_path: Path, share: float) -> None:
    path = write_zip(tmp_path / "m.zip", FILES)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(CorruptError):
        module_zip_sum(path)


def test_unpacks_a_module_zip(folder: Path) -> None:
    path = write_zip(folder.parent / "m.zip", FILES | {"m@v1.0.0/dir/": b""})
    unpack_module_zip(path, "m@v1.0.0/", folder)
    assert listing(folder) == {"go.mod": "module m\n", "A.go": "package m\n", "a/b": ""}
    assert {p.stat().st_mode & 0o777 for p in folder.rglob("*") if p.is_file()} == {0o644}


@pytest.mark.parametrize(
    "name",
    [
        "m@v1.0.0/../../victim",
        "m@v1.0.0//etc/victim",
        "m@v1.0.0/a/../../victim",
        "m@v1.0.0/a\\..\\b",
        "other@v1.0.0/file",
        "/etc/victim",
        "../victim",
    ],
)
def test_hostile_zip_is_refused(folder: Path, name: str) -> None:
    path = write_zip(folder.parent / "m.zip", {name: b"x"})
    with pytest.raises(UnsafeArchiveError):
        unpack_module_zip(path, "m@v1.0.0/", folder)
    assert listing(folder) == {}
    assert (folder.parent.parent / "victim").read_text() == "safe"


def test_link_in_a_zip_becomes_a_plain_file(folder: Path) -> None:
    info = zipfile.ZipInfo("m@v1.0.0/link")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(folder.parent / "m.zip", "w") as package:
        package.writestr(info, "../../victim")
    unpack_module_zip(folder.parent / "m.zip", "m@v1.0.0/", folder)
    assert listing(folder) == {"link": "../../victim"}
