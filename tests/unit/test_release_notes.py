"""Notes and record of a release: what was proven, on which bytes."""

from __future__ import annotations

from typing import Any

import pytest

from buildsys.model import Target
from buildsys.model.release import ReleaseTable, UpstreamTable
from buildsys.release.notes import notes, release_record
from buildsys.release.version import Tag
from buildsys.verify.written import StepData, VerdictData

from .conftest import Golden, Tree

pytestmark = pytest.mark.unit

TAG = Tag("v1.35.0+k3s1.1")
SHA = "a" * 64


@pytest.fixture
def target(tree: Tree) -> Target:
    upstream = UpstreamTable(file="k3s-armhf", arch="arm")
    table = ReleaseTable(verdicts=("audit",), uname=("armv6l",), upstream=upstream)
    return tree.load().targets["armv6"].model_copy(update={"release": table})


def bundle_record() -> dict[str, Any]:
    component = {"name": "busybox", "version": "1.35.0", "license": "GPL-2.0-only"}
    image = {"name": "pause", "version": "3.10.1", "license": "Apache-2.0"}
    return {
        "version": "v1.35.0+k3s1",
        "go": "go1.25.5",
        "sha256": SHA,
        "size": 3 << 20,
        "components": [component],
        "images": [image],
    }


def verdict(*, passed: bool = True) -> VerdictData:
    step = StepData(name="bounds", passed=passed, seconds=1.0, detail="", facts={"x": 1})
    return VerdictData(
        kind="audit",
        target="armv6",
        file="k3s-armv6",
        sha256=SHA,
        passed=passed,
        started="2026-01-01T00:00:00Z",
        seconds=1.0,
        facts={},
        steps=(step,),
    )


def record(target: Target, **verdicts: Any) -> dict[str, Any]:
    files = {"k3s-armv6": (SHA, 3 << 20)}
    records = {"armv6": bundle_record()}
    return release_record(TAG, "c" * 40, [target], records, {"armv6": verdicts}, files)


def test_record_has_what_an_installer_asks_for(target: Target) -> None:
    made = record(target, audit=verdict())
    one = made["targets"]["armv6"]
    assert made["tag"] == TAG.text
    assert made["files"]["k3s-armv6"] == {"sha256": SHA, "size": 3 << 20}
    assert (one["executable"], one["uname"], one["upstream"]) == (
        "k3s-armv6",
        ["armv6l"],
        "k3s-armhf",
    )
    assert one["required"] == ["audit"]


def test_verdicts_keep_the_bytes_and_the_steps_they_are_about(target: Target) -> None:
    kept = record(target, audit=verdict())["targets"]["armv6"]["verdicts"]["audit"]
    assert kept["sha256"] == SHA
    assert kept["passed"] is True
    assert kept["steps"] == [{"name": "bounds", "passed": True}]


def test_notes_are_pinned(target: Target, golden: Golden) -> None:
    made = record(target, audit=verdict(), utilities=verdict())
    golden("release-notes.md", notes("\nThe first one.\n", made, {"armv6": bundle_record()}))
