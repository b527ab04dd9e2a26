"""What suits a machine, and what of a release's own words is believed."""

from __future__ import annotations

import hashlib
import json

import pytest

from buildsys.download.choose import AUTO, Host, choose, suitable
from buildsys.download.record import Record, read_record
from buildsys.errors import CorruptError, UnknownNameError
from buildsys.release.checksums import listing

pytestmark = pytest.mark.unit

ARM11 = frozenset(["half", "thumb", "fastmult", "vfp", "edsp", "java", "tls"])
CORTEX_A = frozenset([*ARM11, "neon", "vfpv3", "vfpv4"])
UNAMES = {
    "armv6": "armv6l",
    "armv7": "armv7l",
    "arm64": "aarch64",
    "amd64": "x86_64",
    "386": "i686",
    "riscv64": "riscv64",
}


def documents(*targets: str) -> tuple[bytes, bytes]:
    """The sums and the record of a release."""
    sums = {f"k3s-{name}": hashlib.sha256(name.encode()).hexdigest() for name in targets}
    record = {
        "tag": "v1.35.0+k3s1.1",
        "files": {name: {"sha256": sha, "size": 10} for name, sha in sums.items()},
        "targets": {
            name: {
                "platform": f"linux/{name}",
                "uname": [UNAMES[name]],
                "executable": f"k3s-{name}",
                "verdicts": {"audit": {"passed": True}},
            }
            for name in targets
        },
    }
    raw = json.dumps(record).encode()
    sums["release.json"] = hashlib.sha256(raw).hexdigest()
    return listing(sorted(sums), sums), raw


def release(*targets: str) -> Record:
    return read_record(*documents(*targets), "here")


@pytest.mark.parametrize(
    ("host", "target"),
    [
        (Host("armv6l", 32, ARM11), "armv6"),
        (Host("armv7l", 32, CORTEX_A), "armv7"),
        (Host("armv7l", 32, ARM11), "armv6"),
        (Host("armv7l", 32), "armv7"),
        (Host("armv8l", 32), "armv7"),
        (Host("aarch64", 64, frozenset(["fp", "asimd"])), "arm64"),
        (Host("aarch64", 32, frozenset(["fp", "asimd"])), "armv7"),
        (Host("x86_64", 64), "amd64"),
        (Host("x86_64", 32), "386"),
        (Host("i586", 32), "386"),
        (Host("riscv64", 64), "riscv64"),
    ],
)
def test_what_suits_a_machine(host: Host, target: str) -> None:
    assert choose(release(*UNAMES), AUTO, host).name == target


@pytest.mark.parametrize(
    ("host", "there", "target"),
    [
        (Host("armv7l", 32, CORTEX_A), ("armv6", "amd64"), "armv6"),
        (Host("aarch64", 32), ("armv6", "arm64"), "armv6"),
        (Host("aarch64", 32), ("arm64",), "arm64"),
        (Host("x86_64", 32), ("amd64",), "amd64"),
    ],
)
def test_next_best(host: Host, there: tuple[str, ...], target: str) -> None:
    assert choose(release(*there), AUTO, host).name == target


@pytest.mark.parametrize(
    ("host", "there"),
    [
        (Host("armv5tel", 32), tuple(UNAMES)),
        (Host("armv6l", 32, ARM11 - {"vfp"}), tuple(UNAMES)),
        (Host("armv6l", 32, ARM11), ("armv7", "amd64")),
        (Host("aarch64", 64), ("armv6", "armv7")),
    ],
)
def test_what_would_die_is_refused(host: Host, there: tuple[str, ...]) -> None:
    with pytest.raises(UnknownNameError, match=host.machine) as caught:
        choose(release(*there), AUTO, host)
    assert UNAMES[there[0]] in str(caught.value)


def test_arch_is_taken_by_its_name() -> None:
    assert choose(release("armv6", "amd64"), "armv6", Host("x86_64")).name == "armv6"
    with pytest.raises(UnknownNameError, match="armv7"):
        choose(release("armv6", "amd64"), "armv7", Host("x86_64"))


def test_nothing_suits_what_is_unknown() -> None:
    assert suitable(Host("mips")) == ("mips",)


def test_record_is_read() -> None:
    found = release("armv6")
    assert found.files["k3s-armv6"].size == 10
    assert found.targets["armv6"].verdicts == {"audit": True}


SUMS, RECORD = documents("armv6", "amd64")


@pytest.mark.parametrize(
    ("sums", "record", "words"),
    [
        (SUMS[:-30], RECORD, "it is no list of sums to its end"),
        (SUMS[:-2], RECORD, "it is no list of sums to its end"),
        (b"", RECORD, "it is no list of sums to its end"),
        (SUMS[: SUMS.rindex(b"\n", 0, -1) + 1], RECORD, "does not name the files"),
        (SUMS[SUMS.index(b"\n") + 1 :], RECORD, "does not name the files"),
        (SUMS, RECORD[:-9], "no record of a release"),
        (SUMS, b"[]", "no record of a release"),
        (SUMS, b"<html>", "no record of a release"),
        (SUMS, RECORD.replace(b"10", b"11"), "its sha256 is not the one"),
    ],
)
def test_documents_that_are_not_whole(sums: bytes, record: bytes, words: str) -> None:
    with pytest.raises(CorruptError, match=words):
        read_record(sums, record, "here")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"k3s-armv6"', '"../k3s"'),
        ('"k3s-armv6"', '".bashrc"'),
        ('"k3s-armv6"', '".."'),
        ('"tag": "', '"tag": "../../home/'),
    ],
)
def test_names_that_lead_elsewhere_are_refused(old: str, new: str) -> None:
    text = RECORD.decode()
    assert old in text
    record = text.replace(old, new).encode()
    sums = SUMS.decode().replace(old.strip('"'), new.strip('"'))
    sums = sums.replace(hashlib.sha256(RECORD).hexdigest(), hashlib.sha256(record).hexdigest())
    with pytest.raises(CorruptError, match="no record of a release"):
        read_record(sums.encode(), record, "here")


def test_sum_that_the_record_has_otherwise() -> None:
    other = SUMS.replace(hashlib.sha256(b"armv6").hexdigest().encode(), b"0" * 64)
    with pytest.raises(CorruptError, match="has other sums of k3s-armv6"):
        read_record(other, RECORD, "here")
