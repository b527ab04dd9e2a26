"""Files that somebody else built, of every kind, judged for a board; and what is none."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import json
import lzma
import os
import random
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from buildsys import show
from buildsys.bundle.layout import assemble
from buildsys.bundle.manifest import Embedded, Entry, Manifest
from buildsys.elf import Limits
from buildsys.errors import (
    BuildsysError,
    CorruptError,
    NotBuiltError,
    NothingToJudgeError,
    UnsafeArchiveError,
)
from buildsys.load import load_project
from buildsys.model import Target
from buildsys.verify import foreign
from buildsys.verify.foreign import Foreign, judge

from .conftest import CHECKOUT, tar_member, write_tar
from .test_elf_contents import archive, member, put, tar, zipped
from .test_elf_fit import V6, V7, program
from .test_platforms import digest, image

pytestmark = pytest.mark.unit

ONE, SEVEN = program(V6), program(V7)


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


@pytest.fixture(scope="module")
def target() -> Target:
    return load_project(CHECKOUT).targets["armv6"]


def results(found: Foreign) -> dict[str, str]:
    return {fit.name: fit.result for fit in found.fits}


def deb(*members: tuple[str, bytes]) -> bytes:
    return archive(*(member(name.encode(), data) for name, data in members))


CONTAINERS: dict[str, tuple[Callable[[dict[str, bytes]], bytes], str]] = {
    "x.tar": (tar, "x.tar({})"),
    "x.tar.gz": (lambda files: gzip.compress(tar(files)), "x.tar.gz({})"),
    "x.tar.bz2": (lambda files: bz2.compress(tar(files)), "x.tar.bz2({})"),
    "x.tar.xz": (lambda files: lzma.compress(tar(files)), "x.tar.xz({})"),
    "x.tar.zst": (lambda files: zstd(tar(files)), "x.tar.zst({})"),
    "x.zip": (zipped, "x.zip({})"),
    "x.deb": (
        lambda files: deb(
            ("debian-binary", b"2.0\n"),
            ("control.tar.xz", lzma.compress(tar({"control": b"Package: x\n"}))),
            ("data.tar.xz", lzma.compress(tar(files))),
        ),
        "x.deb(data.tar.xz)({})",
    ),
    "image.tar": (
        lambda files: tar({"1/json": b"{}", "1/layer.tar": tar(files)}),
        "image.tar(1/layer.tar)({})",
    ),
    "release.tar": (
        lambda files: tar({"k3s-armhf": upstream(files)[0]}),
        "release.tar(k3s-armhf)(zstd at {at})({})",
    ),
}
"""By name: how it is packed, and how a file inside is called."""


def upstream(files: dict[str, bytes], *, before: bytes = b"") -> tuple[bytes, int]:
    """A program in upstream's layout, v6 itself, and where in it the tarball begins."""
    packed = zstd(tar(files))
    data = program(V6, code=bytes(8) + before + packed + b"more of the program")
    return data, data.index(packed)


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_kind_of_container(tmp_path: Path, target: Target, name: str) -> None:
    pack, label = CONTAINERS[name]
    files = {"bin/good": ONE, "readme": b"text", "bin/bad": SEVEN}
    found = judge(put(tmp_path, name, pack(files)), target)
    at = f"{upstream(files)[1]:#x}"
    inside = {name: result for name, result in results(found).items() if name.endswith("d)")}
    assert inside == {
        label.format("bin/good", at=at): "runs",
        label.format("bin/bad", at=at): "refused",
    }
    assert not found.passed
    assert judge(put(tmp_path, name, pack({"bin/good": ONE})), target).passed


def test_a_single_program(tmp_path: Path, target: Target) -> None:
    assert judge(put(tmp_path, "good", ONE), target).passed
    assert judge(put(tmp_path, "good.gz", gzip.compress(ONE)), target).passed
    bad = judge(put(tmp_path, "bad", SEVEN), target)
    assert bad.summary == "would not run on armv6: 1 of 1 files"
    assert bad.sha256 == hashlib.sha256(SEVEN).hexdigest()


def test_a_folder(tmp_path: Path, target: Target) -> None:
    put(tmp_path, "f/bin/good", ONE)
    put(tmp_path, "f/lib/bad.so", SEVEN)
    (tmp_path / "f/loop").symlink_to(".", target_is_directory=True)
    (tmp_path / "f/self").symlink_to("self")
    (tmp_path / "f/away").symlink_to("/bin/sh")
    os.mkfifo(tmp_path / "f/pipe")
    found = judge(tmp_path / "f", target)
    assert results(found) == {"bin/good": "runs", "lib/bad.so": "refused"}
    assert found.sha256 is None


def test_upstreams_layout(tmp_path: Path, target: Target) -> None:
    """Each tarball, wherever it lies, and what only looks like one before it."""
    data, at = upstream({"bin/k3s": SEVEN, "bin/runc": ONE})
    assert results(judge(put(tmp_path, "k3s-armhf", data), target)) == {
        "k3s-armhf": "runs",
        f"k3s-armhf(zstd at {at:#x})(bin/k3s)": "refused",
        f"k3s-armhf(zstd at {at:#x})(bin/runc)": "runs",
    }
    old = gzip.compress(tar({"old": ONE}))
    others = b"\x28\xb5\x2f\xfd" + bytes(20) + zstd(b"text") + old
    both, at = upstream({"bin/k3s": SEVEN}, before=others)
    assert results(judge(put(tmp_path, "both", both), target)) == {
        "both": "runs",
        f"both(gzip at {at - len(old):#x})(old)": "runs",
        f"both(zstd at {at:#x})(bin/k3s)": "refused",
    }


def test_a_cut_tarball_inside_a_program_is_named(tmp_path: Path, target: Target) -> None:
    packed = zstd(tar({"bin/good": ONE, "bin/k3s": os.urandom(300_000)}))[:-2000]
    found = judge(put(tmp_path, "k3s", program(V6, code=bytes(8) + packed)), target)
    assert not found.passed
    (bad,) = (fit for fit in found.fits if fit.result != "runs")
    assert bad.result == "unknown"
    assert "cannot be read: " in bad.doubts[0]
    assert found.summary == f"not to be told for armv6: 1 of {len(found.fits)} files"


def ours(path: Path, files: dict[str, bytes], images: dict[str, bytes]) -> Path:
    """An executable of this project."""
    folder = path.parent / "parts"
    entries = [Entry(n, 0o755, len(d), hashlib.sha256(d).hexdigest()) for n, d in files.items()]
    embedded = [Embedded(n, len(d), hashlib.sha256(d).hexdigest()) for n, d in images.items()]
    manifest = Manifest(
        "armv6", "v1", "c0ffee", "go1", "armv6", tuple(entries), {"bin/sh": "k3s"}, tuple(embedded)
    )
    with path.open("wb") as out:
        assemble(
            out,
            put(folder, "launcher", ONE),
            manifest,
            [put(folder, f"f-{n}", zstd(d)) for n, d in files.items()],
            [put(folder, n, d) for n, d in images.items()],
        )
    return path


def test_our_own_executable_and_its_images(tmp_path: Path, target: Target) -> None:
    files = {"bin/k3s": ONE, "bin/runc": SEVEN, "etc/list": b"text"}
    images = {"pause.tar.zst": zstd(tar({"l": tar({"pause": ONE})}))}
    path = ours(tmp_path / "k3s-armv6", files, images)
    assert results(judge(path, target)) == {
        "k3s-armv6": "runs",
        "k3s-armv6(bin/k3s)": "runs",
        "k3s-armv6(bin/runc)": "refused",
        "k3s-armv6(pause.tar.zst)(l)(pause)": "runs",
    }
    packed = put(tmp_path, "x.tar", tar({"k3s": path.read_bytes()}))
    assert len(judge(packed, target).fits) == 4


def test_our_own_executable_that_is_changed_is_not_passed(tmp_path: Path, target: Target) -> None:
    path = ours(tmp_path / "k3s-armv6", {"bin/k3s": ONE}, {})
    data = path.read_bytes()
    path.write_bytes(data.replace(b"commit c0ffee", b"commit c0ff33"))
    with pytest.raises(CorruptError, match="its manifest is changed"):
        judge(path, target)
    path.write_bytes(data[:-70])  # without its end it is a program that carries something
    assert results(judge(path, target)).popitem()[1] == "runs"


def layout(*platforms: tuple[str, str, bytes]) -> bytes:
    """An OCI layout in a tar: an image for each platform, of one layer."""
    blobs = {}
    for architecture, variant, binary in platforms:
        layer = gzip.compress(tar({"app": binary, ".wh.gone": b"", "bin/.wh..wh..opq": b""}))
        config, manifest = image(architecture, variant, digest(layer))
        blobs.update({f"blobs/sha256/{digest(b)}": b for b in (layer, manifest, config)})
    return tar({"index.json": b"{}", "oci-layout": b"{}", **blobs})


def test_an_image_for_the_board(tmp_path: Path, target: Target) -> None:
    found = judge(put(tmp_path, "i.tar", layout(("arm", "v6", ONE))), target)
    assert (found.passed, found.platforms, found.odd_platforms) == (True, ("linux/arm/v6",), ())


def test_of_an_image_for_many_platforms_only_the_boards_own_is_judged(
    tmp_path: Path, target: Target
) -> None:
    many = layout(("arm", "v7", SEVEN), ("arm", "v6", ONE), ("amd64", "", SEVEN + b" "))
    found = judge(put(tmp_path, "i.tar", many), target)
    assert (found.passed, len(found.fits), found.left_out) == (True, 1, 2)
    assert found.odd_platforms == ()
    none = judge(put(tmp_path, "i.tar", layout(("arm", "v7", SEVEN), ("amd64", "", ONE))), target)
    assert (none.passed, len(none.fits), none.left_out) == (False, 2, 0)
    assert none.odd_platforms == ("linux/arm/v7", "linux/amd64")


def test_an_image_whose_platform_disagrees_is_told(
    tmp_path: Path, target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    found = judge(put(tmp_path, "i.tar", layout(("arm", "", ONE))), target)
    assert found.passed
    show.foreign(found, as_json=False)
    assert "an image says linux/arm: a runtime on armv6 does not take it" in capsys.readouterr().out


def test_hostile_names_and_links_are_labels(tmp_path: Path, target: Target) -> None:
    path = write_tar(
        tmp_path / "x.tar",
        tar_member("../../etc/passwd", ONE),
        tar_member("/etc/shadow", ONE),
        tar_member("a\n\x1b[2Jb", ONE),
        tar_member("loop", type=tarfile.SYMTYPE, linkname="loop"),
        tar_member("away", type=tarfile.SYMTYPE, linkname="/etc"),
        tar_member("away/x", ONE),
        tar_member("hard", type=tarfile.LNKTYPE, linkname="../../etc/passwd"),
        tar_member("dev", type=tarfile.CHRTYPE),
        tar_member("pipe", type=tarfile.FIFOTYPE),
    )
    before = sorted(tmp_path.rglob("*"))
    assert list(results(judge(path, target))) == [
        "x.tar(../../etc/passwd)",
        "x.tar(/etc/shadow)",
        "x.tar(a\\n\\x1b[2Jb)",
        "x.tar(away/x)",
    ]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd])
def test_bombs_are_named(
    tmp_path: Path, target: Target, pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "LIMITS", Limits(member_bytes=1 << 20, total_bytes=4 << 20))
    for name, data in {
        "bomb": pack(bytes(2 << 20)),
        "nested.tar": tar({"a": pack(bytes(2 << 20))}),
        "many.tar": tar({f"{n}": pack(bytes(1 << 20)) for n in range(6)}),
        "carried": program(V6, code=bytes(8) + zstd(tar({"a": bytes(2 << 20)}))),
    }.items():
        with pytest.raises(UnsafeArchiveError, match="unpacks to too much"):
            judge(put(tmp_path, name, data), target)


def test_nesting_without_end_is_named(tmp_path: Path, target: Target) -> None:
    data = ONE
    for _ in range(9):
        data = gzip.compress(tar({"x": data}))
    with pytest.raises(UnsafeArchiveError, match="nested deeper than 8"):
        judge(put(tmp_path, "x", data), target)


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.tar.xz", "x.tar.zst", "x.zip", "x.deb"])
def test_a_cut_file_is_named(tmp_path: Path, target: Target, name: str) -> None:
    data = CONTAINERS[name][0]({"bin/good": ONE, "noise": os.urandom(5000)})
    with pytest.raises(CorruptError, match=r"cannot be read: x\."):
        judge(put(tmp_path, name, data[: len(data) // 2]), target)


def test_a_cut_layer_is_not_passed(tmp_path: Path, target: Target) -> None:
    layer = gzip.compress(tar({"a": ONE, "b": os.urandom(5000)}))[:-1000]
    found = judge(put(tmp_path, "i.tar", tar({"good": ONE, "layer.tar.gz": layer})), target)
    assert not found.passed
    assert results(found)["i.tar(layer.tar.gz)"] == "unknown"


def test_a_broken_elf_file_is_not_to_be_told(tmp_path: Path, target: Target) -> None:
    found = judge(put(tmp_path, "x", ONE[:-30]), target)
    assert found.summary == "not to be told for armv6: 1 of 1 files"
    assert found.fits[0].doubts[0].startswith("cannot be read: truncated")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"#!/bin/sh\n",
        b"MZ\x90\0",
        tar({"readme": b"text"}),
        gzip.compress(b"text", mtime=0),
        zipped({"a": b"text"}),
        bytes(10_240),
    ],
)
def test_what_holds_no_executable_is_named(tmp_path: Path, target: Target, data: bytes) -> None:
    path = put(tmp_path, "thing", data)
    with pytest.raises(NothingToJudgeError, match="holds no executable") as caught:
        judge(path, target)
    assert str(path) in caught.value.what


def test_what_is_not_there_or_not_to_be_read(tmp_path: Path, target: Target) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(NothingToJudgeError, match="pipe is no plain file"):
        judge(tmp_path / "pipe", target)
    for name in ("nothing", "dangling"):
        with pytest.raises(NotBuiltError, match=f"there is no file or folder .*{name}"):
            judge(tmp_path / name, target)
    with pytest.raises(NothingToJudgeError):
        judge(tmp_path, target)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(tmp_path: Path, target: Target) -> None:
    path = put(tmp_path, "closed", ONE)
    path.chmod(stat.S_IWUSR)
    with pytest.raises(CorruptError, match="cannot be read: Permission denied"):
        judge(path, target)


def test_json_is_for_programs(
    tmp_path: Path, target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tar({"good": program(V6, interpreter=b"/lib/ld.so"), "bad": SEVEN})
    show.foreign(judge(put(tmp_path, "x.tar", data), target), as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["sha256"] == hashlib.sha256(data).hexdigest()
    good, bad = found.pop("elves")
    assert found == {
        "schema": 1,
        "kind": "foreign-audit",
        "file": "x.tar",
        "sha256": found["sha256"],
        "against": "armv6",
        "passed": False,
        "executed": False,
        "files": 2,
        "refused": 1,
        "unknown": 0,
        "left_out": 0,
        "platforms": [],
    }
    assert good == {
        "name": "x.tar(good)",
        "machine": "arm",
        "kind": "EXEC",
        "interpreter": "/lib/ld.so",
        "barriers": [],
        "doubts": [],
        "notes": ["needs /lib/ld.so on the board"],
        "result": "runs",
    }
    assert (bad["name"], bad["result"], len(bad["barriers"])) == ("x.tar(bad)", "refused", 3)


def test_lines_are_for_people(
    tmp_path: Path, target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    """What does not run comes first, in whole lines however long they are."""
    name = "d" * 200 + "/bad"
    out = tmp_path / "x.tar"
    out.write_bytes(tar({"good": ONE, name: SEVEN}))
    show.foreign(judge(out, target), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"does not run x.tar({name}): CPU_arch is v7, allowed is v6; ")
    assert lines[1] == "runs         x.tar(good)"
    assert lines[-1] == "x.tar: would not run on armv6: 1 of 2 files"


def test_no_change_of_a_file_is_an_unknown_error(tmp_path: Path, target: Target) -> None:
    """Whatever is wrong with a file: a result, or an error with its own name and exit code."""
    choose = random.Random(7)
    originals = [upstream({"bin/a": ONE, "b.zip": zipped({"c": SEVEN})})[0]]
    originals.append(ours(tmp_path / "k3s", {"bin/k3s": ONE}, {}).read_bytes())
    originals += [pack({"bin/a": ONE}) for pack, _ in CONTAINERS.values()]
    for original in originals:
        for _ in range(40):
            data = bytearray(original)
            for _ in range(choose.randrange(1, 6)):
                data[choose.randrange(len(data))] = choose.randrange(256)
            with contextlib.suppress(BuildsysError):
                judge(put(tmp_path, "x", bytes(data)), target)
