"""The executable's format, from both ends."""

from __future__ import annotations

import hashlib
import io
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from buildsys.bundle.layout import FOOTER, assemble, footer, frames, read_manifest
from buildsys.bundle.manifest import IMAGES_MAX, Default, Embedded, Entry, Manifest
from buildsys.errors import CorruptError

from .conftest import Golden, flip

pytestmark = pytest.mark.unit

LAUNCHER = b"\x7fELF launcher"
BODY = b"frame one, frame two"

MANIFEST = Manifest(
    target="armv6",
    version="v1.35.0+k3s-04e8f1b5",
    commit="04e8f1b5",
    go="go1.25.5",
    cpu="armv6",
    files=(
        Entry("bin/k3s", 0o755, 1000, "a" * 64, 13, 9),
        Entry("etc/ssl/certs", 0o644, 2000, "b" * 64, 24, 9),
    ),
    links={"bin/kubectl": "k3s", "bin/aux/ip": "../busybox"},
)

FULL = replace(
    MANIFEST,
    images=(
        Embedded("k3s-airgap-images-armv6.tar.zst", 3000, "c" * 64, 33),
        Embedded("more-1.2.tar.zst", 0, "d" * 64, 3033),
    ),
    without=("servicelb", "metrics-server"),
    defaults=(
        Default("server,agent", 1024, "env", "GOGC", "40", "Collects at 40 %: less memory."),
        Default("server", 600, "flag", "kubelet-arg", "max-pods=20", "Twenty pods fill it."),
    ),
)
"""With images, components left out, and defaults."""


def assembled(text: bytes) -> bytes:
    start = LAUNCHER + BODY
    return start + text + footer(text, len(start))


@pytest.fixture
def executable(tmp_path: Path) -> Path:
    path = tmp_path / "k3s-armv6"
    path.write_bytes(assembled(MANIFEST.encode()))
    return path


def refusal(executable: Path) -> str:
    with pytest.raises(CorruptError) as caught:
        read_manifest(executable)
    assert str(executable) in str(caught.value)
    return caught.value.what


def test_what_was_written_is_read(executable: Path) -> None:
    assert read_manifest(executable) == MANIFEST


def test_text_of_the_manifest(golden: Golden) -> None:
    golden("manifest.txt", MANIFEST.encode().decode())


def test_text_of_a_manifest_with_images(golden: Golden) -> None:
    golden("manifest-images.txt", FULL.encode().decode())


def test_manifest_with_images_is_read(executable: Path) -> None:
    executable.write_bytes(assembled(FULL.encode()))
    assert read_manifest(executable) == FULL


def test_images_do_not_change_the_data_hash() -> None:
    assert FULL.data == MANIFEST.data
    assert MANIFEST.encode() == replace(FULL, images=(), without=(), defaults=()).encode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b" more-1.2.tar.zst", b" ../more.tar.zst"),
        (b" more-1.2.tar.zst", b" a/more.tar.zst"),
        (b" more-1.2.tar.zst", b" .more.tar.zst"),
        (b" more-1.2.tar.zst", b" .tar.zst"),
        (b" more-1.2.tar.zst", b" more.tar"),
        (b" more-1.2.tar.zst", b" More.tar.zst"),
        (b" more-1.2.tar.zst", b" more.tar.zst "),
        (b" more-1.2.tar.zst", b" more 2.tar.zst"),
        (b" more-1.2.tar.zst", b" " + b"m" * 121 + b".tar.zst"),
        (b" more-1.2.tar.zst", b""),
        (b" more-1.2.tar.zst", b" k3s-airgap-images-armv6.tar.zst"),
        (b"image 3000 ", b"image many "),
        (b"without servicelb", b"without"),
        (b"without servicelb", b"without service lb"),
        (b"without servicelb", b"without ServiceLB"),
        (b"without servicelb", b"without a,b"),
        (b"without servicelb", b"without a=b"),
        (b"default server 600 ", b"default client 600 "),
        (b"default server 600 ", b"default server many "),
        (b" flag kubelet-arg", b" flags kubelet-arg"),
        (b" flag kubelet-arg", b" flag KUBELET"),
        (b" env GOGC=", b" env gogc="),
        (b" env GOGC=", b" env GOGC"),
        (b"Twenty pods fill it.", b""),
        (b"Twenty pods", b'"Twenty" pods'),
    ],
)
def test_images_and_components_that_make_no_sense(executable: Path, old: bytes, new: bytes) -> None:
    text = FULL.encode()
    assert text.count(old) == 1
    executable.write_bytes(assembled(text.replace(old, new)))
    assert "its manifest cannot be read" in refusal(executable)


def test_too_many_images(executable: Path) -> None:
    images = tuple(Embedded(f"{i}.tar.zst", 1, "a" * 64, 13) for i in range(IMAGES_MAX + 1))
    executable.write_bytes(assembled(replace(MANIFEST, images=images[:-1]).encode()))
    assert len(read_manifest(executable).images) == IMAGES_MAX
    executable.write_bytes(assembled(replace(MANIFEST, images=images).encode()))
    assert "more than 64 images" in refusal(executable)


def test_assembled_of_frames_and_images(tmp_path: Path) -> None:
    contents = {"launcher": LAUNCHER, "f1": b"frame one", "f2": b"two", "i1": b"image", "i2": b""}
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    out = io.BytesIO()
    placed = assemble(
        out,
        tmp_path / "launcher",
        FULL,
        [tmp_path / "f1", tmp_path / "f2"],
        [tmp_path / "i1", tmp_path / "i2"],
    )
    executable = tmp_path / "k3s"
    executable.write_bytes(out.getvalue())
    assert read_manifest(executable) == placed
    assert out.getvalue().startswith(LAUNCHER + b"frame onetwoimage" + b"k3s-bundle 1\n")
    assert [data for _, data in frames(executable, placed)] == [b"frame one", b"two"]
    start = len(LAUNCHER) + len(b"frame onetwo")
    assert [(i.offset, i.length) for i in placed.images] == [(start, 5), (start + 5, 0)]


def test_images_must_be_as_many_as_the_manifest_names() -> None:
    with pytest.raises(ValueError, match="shorter"):
        FULL.at([(1, 2), (3, 4)], [(5, 6)])


def test_footer_is_64_bytes_little_endian() -> None:
    raw = footer(b"text", 0x0102030405)
    assert len(raw) == FOOTER.size == 64
    assert raw[:8] == b"K3SBNDL\0"
    assert struct.unpack("<IIQQ", raw[8:32]) == (1, 1, 0x0102030405, 4)
    assert raw[32:] == hashlib.sha256(b"text").digest()


def test_frames_are_read_from_their_places(executable: Path) -> None:
    assert [data for _, data in frames(executable, MANIFEST)] == [b"frame one", b"frame two"]


def test_data_hash_does_not_depend_on_places() -> None:
    moved = MANIFEST.at([(5000, 7), (6000, 8)], [])
    assert [(f.offset, f.length) for f in moved.files] == [(5000, 7), (6000, 8)]
    assert moved.encode() != MANIFEST.encode()
    assert moved.data == MANIFEST.data


def test_data_hash_is_of_the_lines_without_places() -> None:
    lines = [
        f"file 0755 1000 {'a' * 64} bin/k3s",
        f"file 0644 2000 {'b' * 64} etc/ssl/certs",
        "link bin/aux/ip ../busybox",
        "link bin/kubectl k3s",
    ]
    wanted = hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
    assert wanted == MANIFEST.data


@pytest.mark.parametrize(
    "changed",
    [
        replace(MANIFEST, links={}),
        replace(MANIFEST, links={**MANIFEST.links, "bin/kubectl": "k3s2"}),
        replace(MANIFEST, files=MANIFEST.files[:1]),
        replace(MANIFEST, files=(replace(MANIFEST.files[0], mode=0o644), MANIFEST.files[1])),
        replace(MANIFEST, files=(replace(MANIFEST.files[0], sha256="c" * 64), MANIFEST.files[1])),
        replace(MANIFEST, files=(replace(MANIFEST.files[0], path="bin/k3t"), MANIFEST.files[1])),
    ],
)
def test_data_hash_depends_on_every_content(changed: Manifest) -> None:
    assert changed.data != MANIFEST.data


def test_version_alone_shares_the_data() -> None:
    assert replace(MANIFEST, version="v2", commit="x", go="y", cpu="z").data == MANIFEST.data


def test_places_must_be_as_many_as_files() -> None:
    with pytest.raises(ValueError, match="shorter"):
        MANIFEST.at([(1, 2)], [])


@pytest.mark.parametrize("length", [0, 1, 63, 64, 100, -1, -64, -65])
def test_truncated(executable: Path, length: int) -> None:
    executable.write_bytes(executable.read_bytes()[:length])
    assert "no footer" in refusal(executable)


def test_bytes_at_the_end(executable: Path) -> None:
    executable.write_bytes(executable.read_bytes() + b"\0")
    assert "no footer" in refusal(executable)


def test_bytes_missing_in_the_middle(executable: Path) -> None:
    executable.write_bytes(executable.read_bytes()[5:])
    assert "not where the footer says" in refusal(executable)


@pytest.mark.parametrize("back", [65, 200, 300])
def test_flipped_byte_of_the_manifest(executable: Path, back: int) -> None:
    flip(executable, -back)
    assert "its manifest is changed" in refusal(executable)


def test_every_flipped_byte_of_the_footer_is_found(executable: Path) -> None:
    good = executable.read_bytes()
    for back in range(1, FOOTER.size + 1):
        flip(executable, -back)
        refusal(executable)
        executable.write_bytes(good)


@pytest.mark.parametrize(("version", "kind"), [(2, 1), (0, 1), (1, 2), (1, 0)])
def test_unknown_format_or_payload(executable: Path, version: int, kind: int) -> None:
    text = MANIFEST.encode()
    raw = bytearray(executable.read_bytes())
    raw[-56:-48] = struct.pack("<II", version, kind)
    executable.write_bytes(raw)
    assert f"format {version}, payload kind {kind} is not known" in refusal(executable)
    assert text in raw


@pytest.mark.parametrize("path", ["../x", "bin/../../x", "/bin/x", "lib/x", "bin/a/../..", "", "."])
@pytest.mark.parametrize("kind", ["file", "link"])
def test_path_that_leaves(executable: Path, path: str, kind: str) -> None:
    if kind == "file":
        text = MANIFEST.encode().replace(b" bin/k3s\n", f" {path}\n".encode())
    else:
        text = MANIFEST.encode().replace(b"link bin/kubectl ", f"link {path} ".encode())
    executable.write_bytes(assembled(text))
    assert "its manifest cannot be read" in refusal(executable)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"k3s-bundle 1\n", b"k3s-bundle 2\n"),
        (b"k3s-bundle 1\n", b""),
        (b"target armv6\n", b""),
        (b"end\n", b""),
        (b"file 0755 ", b"file 0955 "),
        (b"file 0755 1000 ", b"file 0755 many "),
        (b"file 0755 1000 ", b"file 0755 "),
        (b"link bin/kubectl k3s", b"link bin/kubectl k3s too"),
        (b"data ", b"data 0"),
        (b"target armv6", b"target \xff"),
    ],
)
def test_manifest_that_makes_no_sense(executable: Path, old: bytes, new: bytes) -> None:
    text = MANIFEST.encode()
    assert text.count(old) == 1
    executable.write_bytes(assembled(text.replace(old, new)))
    assert "its manifest cannot be read" in refusal(executable)
