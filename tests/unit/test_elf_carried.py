"""Archives that a program carries in its data: found by their bytes alone."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable

import pytest
import zstandard

from buildsys.elf import Part, carried, carried_in
from buildsys.elf.image import LimitError

from .test_elf_contents import ELF, tar

pytestmark = pytest.mark.unit

ZSTD, GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b\x08\x00"


def zstd(data: bytes, *, checksum: bool = False) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=checksum).compress(data)


def found(data: bytes) -> list[tuple[str, bytes]]:
    """The label and the bytes of each part."""
    parts = carried_in(io.BytesIO(data), "prog")
    return [(part.label, data[part.offset : part.offset + part.size]) for part in parts]


@pytest.mark.parametrize("checksum", [True, False])
def test_several_behind_one_another(checksum: bool) -> None:
    first = zstd(tar({"a": os.urandom(300_000)}), checksum=checksum)
    second = gzip.compress(tar({"b": os.urandom(100_000)}))
    third, fourth = zstd(tar({"c": bytes(500_000)})), zstd(ELF)
    data = b"text" + first + second + third + fourth + b"more text"
    places = [data.index(part) for part in (first, second, third, fourth)]
    assert list(carried_in(io.BytesIO(data), "prog")) == [
        Part(f"zstd at {places[0]:#x}", places[0], len(data) - places[0]),
        Part(f"gzip at {places[1]:#x}", places[1], len(second)),
        Part(f"zstd at {places[2]:#x}", places[2], len(data) - places[2]),
        Part(f"zstd at {places[3]:#x}", places[3], len(fourth)),
    ]


def test_what_only_looks_like_a_stream_is_passed_over() -> None:
    web_page = gzip.compress(b"<html>") + zstd(b"{}") + zstd(b"")
    noise = ZSTD + bytes(40) + GZIP + os.urandom(40) + ZSTD + b"\xff" * 40 + GZIP + ZSTD
    assert found(web_page + noise + ZSTD[:3]) == []
    assert [label for label, _ in found(noise + zstd(ELF) + noise)] == [f"zstd at {len(noise):#x}"]


def test_an_archive_stored_inside_an_archive_is_found_once() -> None:
    """Compressed data do not compress again: the inner one's bytes stand there as they are."""
    inner = gzip.compress(tar({"a": os.urandom(200_000)}))
    outer = zstd(tar({"inner.tar.gz": inner}))
    assert inner[:1000] in outer
    assert len(found(b"x" + outer)) == 1


def test_one_across_the_border_of_what_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carried, "_CHUNK_BYTES", 64)
    packed = zstd(ELF)
    for at in range(56, 70):
        data = bytes(at) + packed + bytes(100)
        assert found(data) == [(f"zstd at {at:#x}", packed)]


@pytest.mark.parametrize("pack", [zstd, gzip.compress])
def test_a_cut_one_is_found(pack: Callable[[bytes], bytes]) -> None:
    packed = pack(tar({"a": os.urandom(300_000)}))[:200_000]
    assert found(b"x" + packed) == [(f"{'zstd' if pack is zstd else 'gzip'} at 0x1", packed)]


def test_a_bomb_of_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carried, "_TRIES", 10)
    with pytest.raises(LimitError, match="more than 10 compressed streams"):
        found(zstd(b"x") * 11)
    monkeypatch.setattr(carried, "_OUTPUT_BYTES", 1 << 20)
    with pytest.raises(LimitError, match="unpacks to more than"):
        found(gzip.compress(tar({"a": bytes(2 << 20)})))
