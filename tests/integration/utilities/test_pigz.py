"""pigz and unpigz against Python's gzip, which shares no code with them but the format."""

from __future__ import annotations

import gzip
import random

import pytest

from .conftest import Tool, ToolOf

pytestmark = pytest.mark.integration

TEXT = b"".join(b"line %d of a layer\n" % number for number in range(60_000))
NOISE = random.Random(7).randbytes(700_000)
DATA = [b"", b"x", TEXT, NOISE]
"""More than one of pigz's blocks of 128 KiB, which its threads share out."""


@pytest.fixture
def pigz(tool: ToolOf) -> Tool:
    return tool("pigz", "bin/pigz")


@pytest.fixture
def unpigz(tool: ToolOf) -> Tool:
    return tool("pigz", "bin/unpigz")


@pytest.mark.parametrize("data", DATA, ids=["nothing", "byte", "text", "noise"])
@pytest.mark.parametrize("options", [["-1"], ["-9", "-p", "4"], ["-i", "-b", "32", "-p", "3"]])
def test_gzip_reads_what_pigz_wrote(pigz: Tool, data: bytes, options: list[str]) -> None:
    assert gzip.decompress(pigz.run(*options, given=data)) == data


@pytest.mark.parametrize("data", DATA, ids=["nothing", "byte", "text", "noise"])
def test_unpigz_reads_what_gzip_wrote(unpigz: Tool, data: bytes) -> None:
    """By the arguments that containerd gives it for a layer."""
    assert unpigz.run("-d", "-c", given=gzip.compress(data)) == data


def test_two_members_are_one_stream(unpigz: Tool) -> None:
    assert unpigz.run("-d", "-c", given=gzip.compress(TEXT) + gzip.compress(NOISE)) == TEXT + NOISE


def test_zopfli(pigz: Tool) -> None:
    """The slow level is other code, with floating point in it."""
    best, good = pigz.run("-11", given=TEXT[:40_000]), pigz.run("-9", given=TEXT[:40_000])
    assert gzip.decompress(best) == TEXT[:40_000]
    assert len(best) < len(good)


def test_damage_is_seen(unpigz: Tool) -> None:
    whole = gzip.compress(TEXT)
    for broken in (whole[:-9], whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:]):
        assert b"unpigz: " in unpigz.run("-t", given=broken, code=1)
