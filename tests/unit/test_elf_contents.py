"""ELF files inside archives, compressed files and folders; bombs and broken ones."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from buildsys.elf.contents import Limits, contents_of, elves_in, printable
from buildsys.elf.image import ElfError, LimitError

pytestmark = pytest.mark.unit

# The smallest ELF file: the header of an ARM object without sections.
ELF = b"\x7fELF\x01\x01\x01" + bytes(9) + bytes.fromhex("01002800" + "00" * 32)


def member(name: bytes, data: bytes) -> bytes:
    """A member of a static archive, padded to an even length."""
    header = name.ljust(16) + b"0".ljust(12) + b"0".ljust(6) + b"0".ljust(6) + b"644".ljust(8)
    return header + str(len(data)).encode().ljust(10) + b"`\n" + data + b"\n" * (len(data) % 2)


def archive(*members: bytes, magic: bytes = b"!<arch>\n") -> bytes:
    return magic + b"".join(members)


def tar(files: dict[str, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as file:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return out.getvalue()


def names(path: Path, limits: Limits | None = None) -> list[str]:
    return [name for name, _ in elves_in(path, limits or Limits())]


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_single_file(tmp_path: Path) -> None:
    ((name, facts),) = elves_in(put(tmp_path, "a.o", ELF))
    assert (name, facts.machine, facts.kind) == ("a.o", "arm", "REL")


def test_other_files_hold_none(tmp_path: Path) -> None:
    assert names(put(tmp_path, "readme", b"text")) == []
    assert names(put(tmp_path, "empty", b"")) == []


def test_folder_in_order_without_links(tmp_path: Path) -> None:
    put(tmp_path, "b/x", ELF)
    put(tmp_path, "a/y", ELF)
    put(tmp_path, "z", ELF)
    put(tmp_path, "note", b"text")
    (tmp_path / "link").symlink_to("z")
    (tmp_path / "folder").symlink_to("a", target_is_directory=True)
    os.mkfifo(tmp_path / "pipe")
    assert names(tmp_path) == ["z", "a/y", "b/x"]


def test_archive_with_long_and_repeated_names(tmp_path: Path) -> None:
    long_names = b"a_name_of_more_than_sixteen.o/\nanother_rather_long_name.o/\n"
    data = archive(
        member(b"/", b"\0\0\0\0"),
        member(b"//", long_names),
        member(b"same.o/", ELF),
        member(b"same.o/", ELF),
        member(b"notes.txt/", b"odd"),
        member(b"/0", ELF),
        member(b"/31", ELF),
    )
    assert names(put(tmp_path, "lib.a", data)) == [
        "lib.a(same.o)",
        "lib.a(same.o)#2",
        "lib.a(a_name_of_more_than_sixteen.o)",
        "lib.a(another_rather_long_name.o)",
    ]


def test_archive_with_bsd_names(tmp_path: Path) -> None:
    data = archive(
        member(b"#1/20", b"__.SYMDEF SORTED\0\0\0\0" + bytes(8)),
        member(b"#1/24", b"a_rather_long_name.o\0\0\0\0" + ELF),
    )
    assert names(put(tmp_path, "lib.a", data)) == ["lib.a(a_rather_long_name.o)"]


def thin(name: bytes, size: int) -> bytes:
    table = name + b"/\n"
    return archive(member(b"//", table), member(b"/0", bytes(size))[:60], magic=b"!<thin>\n")


def test_thin_archive_finds_members_beside_it(tmp_path: Path) -> None:
    put(tmp_path, "sub/one.o", ELF)
    assert names(put(tmp_path, "lib.a", thin(b"sub/one.o", 52))) == ["lib.a(sub/one.o)"]


@pytest.mark.parametrize("name", [b"../secret.o", b"/etc/passwd", b"missing.o", b"sub/../one.o"])
def test_thin_archive_names_are_no_paths(tmp_path: Path, name: bytes) -> None:
    put(tmp_path, "secret.o", ELF)
    put(tmp_path, "in/one.o", ELF)
    path = put(tmp_path, "in/lib.a", thin(name, 52))
    with pytest.raises(ElfError, match="not a file in the archive"):
        names(path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (archive(b"short"), "broken archive header"),
        (archive(b"x" * 60), "broken archive header"),
        (archive(member(b"a.o/", ELF)[:80]), "truncated: 20 of 52 bytes"),
        (archive(member(b"/7", ELF)), "no long name /7"),
        (archive(member(b"a.o/", ELF[:30])), "truncated"),
    ],
)
def test_broken_archives_name_the_file(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(ElfError, match=rf"^lib\.a.*{reason}"):
        names(put(tmp_path, "lib.a", data))


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_tar(tmp_path: Path, form: int) -> None:
    data = tar({"bin/a": ELF, "readme": b"text", "../../etc/b": ELF}, form)
    assert names(put(tmp_path, "x.tar", data)) == ["x.tar(bin/a)", "x.tar(../../etc/b)"]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_with_long_names(tmp_path: Path, form: int) -> None:
    name = "d" * 120 + "/" + "e" * 120
    assert names(put(tmp_path, "x.tar", tar({name: ELF, "b": ELF}, form))) == [
        f"x.tar({name})",
        "x.tar(b)",
    ]


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("x.tar.gz", gzip.compress),
        ("x.tar.bz2", bz2.compress),
        ("x.tar.xz", lzma.compress),
        ("x.tar.zst", zstandard.ZstdCompressor().compress),
    ],
)
def test_compressed(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    assert names(put(tmp_path, name, pack(tar({"a": ELF})))) == [f"{name}(a)"]
    assert names(put(tmp_path, "one", pack(ELF))) == ["one"]
    assert names(put(tmp_path, "text", pack(b"only text"))) == []
    cut = pack(tar({"a": os.urandom(4096)}))[:2000]
    with pytest.raises(ElfError, match=r"^cut"):
        names(put(tmp_path, "cut", cut))


def test_zstd_of_several_frames(tmp_path: Path) -> None:
    pack = zstandard.ZstdCompressor().compress
    data = tar({"a": ELF, "b": ELF})
    packed = pack(data[:700]) + pack(b"") + pack(data[700:])
    assert names(put(tmp_path, "x", packed)) == ["x(a)", "x(b)"]
    with pytest.raises(ElfError, match="inside a frame"):
        names(put(tmp_path, "x", packed[:-1]))


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return out.getvalue()


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_zip(tmp_path: Path, method: int) -> None:
    files = {"bin/": b"", "bin/a": ELF, "../../etc/b": ELF, "t.tar": tar({"c": ELF}), "n": b"text"}
    path = put(tmp_path, "x.zip", zipped(files, method))
    assert names(path) == ["x.zip(bin/a)", "x.zip(../../etc/b)", "x.zip(t.tar)(c)"]


def test_broken_zips_name_the_file(tmp_path: Path) -> None:
    good = zipped({"a": ELF * 20})
    with pytest.raises(ElfError, match=r"^x\.zip: cannot be unpacked"):
        names(put(tmp_path, "x.zip", good[:-10]))
    locked = good.replace(b"PK\1\2\x14\3\x14\0\0", b"PK\1\2\x14\3\x14\0\1")
    assert locked != good
    with pytest.raises(ElfError, match=r"^x\.zip\(a\): cannot be unpacked: .*encrypted"):
        names(put(tmp_path, "x.zip", locked))
    with pytest.raises(ElfError, match=r"^x\.zip\(a\): 1040 bytes, the limit is 1000"):
        names(put(tmp_path, "x.zip", good), Limits(member_bytes=1000))


def test_no_change_of_a_zip_is_an_unknown_error(tmp_path: Path) -> None:
    good = zipped({"a": ELF * 20, "b": b"text"})
    choose = random.Random(1)
    for _ in range(300):
        data = bytearray(good)
        for _ in range(3):
            data[choose.randrange(len(data))] = choose.randrange(256)
        with contextlib.suppress(ElfError):
            names(put(tmp_path, "x.zip", bytes(data)))


def test_broken_files_inside_are_told_and_passed_over(tmp_path: Path) -> None:
    cut = gzip.compress(os.urandom(2000))[:1000]
    told: list[str] = []

    def inside(path: Path) -> list[str]:
        told.clear()
        found = contents_of(path, broken=lambda error: told.append(error.name))
        return [content.name for content in found if content.magic.startswith(b"\x7fELF")]

    whole = {"a": ELF, "cut.gz": cut, "b": ELF}
    assert inside(put(tmp_path, "x.tar", tar(whole))) == ["x.tar(a)", "x.tar(b)"]
    assert told == ["x.tar(cut.gz)"]
    assert inside(put(tmp_path, "x.zip", zipped(whole))) == ["x.zip(a)", "x.zip(b)"]
    assert told == ["x.zip(cut.gz)"]
    for name, data in whole.items():
        put(tmp_path, f"folder/{name}", data)
    assert inside(tmp_path / "folder") == ["a", "b"]
    assert told == ["cut.gz"]
    with pytest.raises(ElfError, match=r"^cut\.gz: "):
        inside(tmp_path / "folder/cut.gz")


def test_what_is_over_a_limit_is_never_passed_over(tmp_path: Path) -> None:
    bomb = put(tmp_path, "x.tar", tar({"bomb.gz": gzip.compress(bytes(2_000_000))}))
    with pytest.raises(LimitError, match=r"x\.tar\(bomb\.gz\): unpacks to more"):
        list(contents_of(bomb, Limits(member_bytes=1_000_000), broken=lambda _: None))


def test_layers_inside_an_image(tmp_path: Path) -> None:
    layer = gzip.compress(tar({"lib.a": archive(member(b"a.o/", ELF))}))
    path = put(tmp_path, "image.tar", tar({"layer.tar.gz": layer}))
    assert names(path) == ["image.tar(layer.tar.gz)(lib.a)(a.o)"]


def test_nesting_has_an_end(tmp_path: Path) -> None:
    data = ELF
    for _ in range(5):
        data = tar({"x": data})
    with pytest.raises(ElfError, match="nested deeper than 4"):
        names(put(tmp_path, "x.tar", data))


def test_bombs(tmp_path: Path) -> None:
    bomb = put(tmp_path, "bomb.gz", gzip.compress(bytes(2_000_000)))
    with pytest.raises(ElfError, match="more than 1000000 bytes"):
        names(bomb, Limits(member_bytes=1_000_000))
    with pytest.raises(ElfError, match="limit on all files together"):
        names(bomb, Limits(total_bytes=1_000_000))
    big = put(tmp_path, "big.tar", tar({"a": bytes(5000)}))
    with pytest.raises(ElfError, match=r"big\.tar\(a\): 5000 bytes, the limit is 4000"):
        names(big, Limits(member_bytes=4000))
    many = put(tmp_path, "many.a", archive(*[member(b"a.o/", ELF)] * 50))
    with pytest.raises(ElfError, match="more members than the limit"):
        names(many, Limits(members=20))


def test_a_long_name_that_is_a_bomb(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    with pytest.raises(ElfError, match="name or header has 1099511627776 bytes"):
        names(put(tmp_path, "x.tar", info.tobuf(tarfile.GNU_FORMAT)))


def test_cut_tar(tmp_path: Path) -> None:
    data = tar({"a": ELF})
    for length, reason in ((540, "truncated: 28 of 52"), (600, "truncated"), (1024, "no end mark")):
        with pytest.raises(ElfError, match=reason):
            names(put(tmp_path, "x.tar", data[:length]))


def test_names_are_safe_to_print(tmp_path: Path) -> None:
    assert printable("a\x1b[2J\nb\udcff") == "a\\x1b[2J\\nb\\udcff"
    path = put(tmp_path, "x.tar", tar({"a\n\x07": ELF}))
    assert names(path) == ["x.tar(a\\n\\x07)"]
