"""Findings are about purposes; programs are named by their packages."""

from __future__ import annotations

import pytest

from buildsys.doctor import PACKAGES, PURPOSES, Finding, chosen, packages_of
from buildsys.errors import CorruptError, MissingToolError, UnknownNameError
from buildsys.report import Progress
from buildsys.show.host import findings

pytestmark = pytest.mark.unit

GOOD = Finding("python", good=True, detail="3.11")
NO_MAKE = Finding("make", good=False, detail="-", package="make", purposes=("build", "test"))
NO_QEMU = Finding("qemu", good=False, detail="-", package="qemu-arm", purposes=("boot", "test"))
NO_LINT = Finding("lint", good=False, detail="-", package="clang", purposes=("test",))


def test_programs_are_named_by_their_packages() -> None:
    assert packages_of(["setpriv", "unshare", "mkfs.ext4"]) == ["e2fsprogs", "util-linux"]
    assert packages_of(["own-tool", "make"]) == ["make", "own-tool"]


def test_every_program_is_for_a_purpose_that_can_be_named() -> None:
    assert {use for _, use in PACKAGES.values()} <= {*PURPOSES}


def test_a_purpose_chooses_what_it_requires() -> None:
    found = [GOOD, NO_MAKE, NO_QEMU, NO_LINT]
    assert chosen(found, ["build"]) == [GOOD, NO_MAKE]
    assert chosen(found, ["build", "boot"]) == [GOOD, NO_MAKE, NO_QEMU]
    assert chosen(found, ["test"]) == found
    with pytest.raises(UnknownNameError, match="purpose 'boat'"):
        chosen(found, ["boat"])


def test_only_the_purpose_decides(capsys: pytest.CaptureFixture[str]) -> None:
    findings([GOOD, NO_QEMU, NO_LINT], [], ["build"], Progress(), as_json=False)
    shown = capsys.readouterr()
    assert "MISSING" in shown.out
    assert "missing for boot only: qemu (`invoke setup --for boot`)" in shown.err
    assert "missing for test only: lint (`invoke setup --for test`)" in shown.err
    with pytest.raises(MissingToolError, match="missing, for build: make") as caught:
        findings([GOOD, NO_MAKE, NO_LINT], [], ["build"], Progress(), as_json=True)
    assert caught.value.action == "apt-get install make (or `invoke setup --for build`)"
    with pytest.raises(CorruptError):
        findings([GOOD], ["an entry"], ["build"], Progress(), as_json=True)
