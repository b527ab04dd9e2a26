"""Verdicts: what passed on which bytes, as JSON and JUnit."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from buildsys.bundle.layout import assemble
from buildsys.bundle.manifest import Manifest
from buildsys.errors import AuditError, CorruptError
from buildsys.jsonfile import read
from buildsys.verify.verdict import Verdict
from buildsys.verify.written import VerdictData, last_verdict

from .conftest import sha256

pytestmark = pytest.mark.unit


@pytest.fixture
def verdict(tmp_path: Path) -> Verdict:
    subject = tmp_path / "k3s-armv6"
    subject.write_bytes(b"the executable")
    return Verdict("audit", "armv6", subject, tmp_path / "armv6-audit.log", started=0.0)


def fail(verdict: Verdict, name: str, text: str) -> None:
    with verdict.step(name):
        raise AuditError(text)


def junit(verdict: Verdict, folder: Path) -> ElementTree.Element:
    return ElementTree.parse(verdict.write(folder).with_suffix(".xml")).getroot()


def test_empty_verdict_is_not_passed(verdict: Verdict) -> None:
    assert not verdict.passed
    assert verdict.as_json()["passed"] is False


def test_what_a_draft_passed_proves_nothing(verdict: Verdict, tmp_path: Path) -> None:
    manifest = Manifest("armv6", "v1", "0", "go1", "armv6", (), {}, draft=True)
    launcher = tmp_path / "launcher"
    launcher.write_bytes(b"ELF")
    with verdict.subject.open("wb") as out:
        assemble(out, launcher, manifest, [])
    of_draft = Verdict("audit", "armv6", verdict.subject, verdict.log)
    with of_draft.step("one"):
        pass
    of_draft.write(tmp_path / "verdicts")
    assert of_draft.passed
    assert last_verdict(tmp_path, "armv6", "audit") == "draft"
    fail(of_draft, "two", "why")
    of_draft.write(tmp_path / "verdicts")
    assert last_verdict(tmp_path, "armv6", "audit") == "FAILED"


def test_every_step_must_pass(verdict: Verdict) -> None:
    with verdict.step("one") as step:
        step.facts = {"elves": 3}
    assert verdict.passed
    fail(verdict, "two", "why")
    with verdict.step("three"):
        pass
    assert not verdict.passed
    assert [(step.name, step.detail) for step in verdict.failures] == [("two", "why")]
    assert [step.passed for step in verdict.steps] == [True, False, True]


def test_unforeseen_error_goes_on_and_its_step_is_not_passed(verdict: Verdict) -> None:
    with pytest.raises(ZeroDivisionError), verdict.step("one"):
        raise ZeroDivisionError
    assert not verdict.passed


def test_json_names_the_bytes(verdict: Verdict, tmp_path: Path) -> None:
    with verdict.step("one") as step:
        step.facts = {"elves": 3}
    path = verdict.write(tmp_path / "verdicts")
    assert path.name == "armv6-audit.json"
    data = json.loads(path.read_text())
    assert data["sha256"] == sha256(b"the executable")
    assert (data["file"], data["log"]) == ("k3s-armv6", "armv6-audit.log")
    assert (data["kind"], data["target"], data["passed"]) == ("audit", "armv6", True)
    assert data["started"] == "1970-01-01T00:00:00Z"
    assert data["steps"][0]["facts"] == {"elves": 3}


def test_junit_counts_and_explains(verdict: Verdict, tmp_path: Path) -> None:
    with verdict.step("one"):
        pass
    fail(verdict, "two", 'broken <&> "here"\nand é')
    suite = junit(verdict, tmp_path)
    assert suite.tag == "testsuite"
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert suite.get("name") == "audit armv6"
    prop = suite.find("properties/property")
    assert prop is not None
    assert (prop.get("name"), prop.get("value")) == ("sha256", sha256(b"the executable"))
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == ["one", "two"]
    assert cases[0].find("failure") is None
    assert cases[1].findtext("failure") == 'broken <&> "here"\nand é'


@pytest.mark.parametrize(
    "text", ["\x1b[31mred\x1b[0m", "nul \0 byte", "\x08\x0b\x0c", "\ufffe\uffff"]
)
def test_junit_stays_xml_whatever_a_program_prints(
    verdict: Verdict, tmp_path: Path, text: str
) -> None:
    fail(verdict, "run k3s", f"before {text} after")
    found = junit(verdict, tmp_path).findtext("testcase/failure")
    assert found is not None
    assert found.startswith("before ") and found.endswith(" after")


def test_a_verdict_is_about_the_bytes_that_were_tried(verdict: Verdict) -> None:
    before = verdict.as_json()["sha256"]
    verdict.subject.write_bytes(b"built anew meanwhile")
    assert verdict.as_json()["sha256"] == before


def test_runs_of_the_same_bytes_are_kept(verdict: Verdict, tmp_path: Path) -> None:
    """A run that failed is still to be seen when the next one passes."""
    fail(verdict, "one", "why")
    verdict.write(tmp_path)
    again = Verdict("audit", "armv6", verdict.subject, verdict.log, started=60.0)
    with again.step("one"):
        pass
    runs = json.loads(again.write(tmp_path).read_text("utf-8"))["runs"]
    assert [(run["started"], run["passed"]) for run in runs] == [
        ("1970-01-01T00:00:00Z", False),
        ("1970-01-01T00:01:00Z", True),
    ]


def test_runs_of_other_bytes_and_torn_files_are_not_kept(verdict: Verdict, tmp_path: Path) -> None:
    with verdict.step("one"):
        pass
    path = verdict.write(tmp_path)
    verdict.subject.write_bytes(b"another")
    another = Verdict("audit", "armv6", verdict.subject, verdict.log)
    assert len(json.loads(another.write(tmp_path).read_text("utf-8"))["runs"]) == 1
    path.write_bytes(b'{"sha256": ')
    assert len(json.loads(another.write(tmp_path).read_text("utf-8"))["runs"]) == 1


def test_how_it_ended_last_for_the_bytes_that_are_there(verdict: Verdict, tmp_path: Path) -> None:
    def last() -> str:
        return last_verdict(tmp_path, "armv6", "audit")

    assert last() == "none"
    with verdict.step("one"):
        pass
    path = verdict.write(tmp_path / "verdicts")
    assert last() == "passed"
    fail(verdict, "two", "why")
    verdict.write(tmp_path / "verdicts")
    assert last() == "FAILED"
    verdict.subject.write_bytes(b"another")
    assert last() == "stale"
    verdict.subject.unlink()
    assert last() == "none"
    verdict.subject.write_bytes(b"the executable")
    path.write_bytes(path.read_bytes()[:50])
    assert last() == "none"


def test_what_is_written_is_what_is_read(verdict: Verdict, tmp_path: Path) -> None:
    with verdict.step("one") as step:
        step.facts = {"elves": 3}
    path = verdict.write(tmp_path)
    assert read(VerdictData, path).model_dump(mode="json") == json.loads(path.read_text("utf-8"))


def test_a_torn_verdict_is_named_where_it_must_be_read(verdict: Verdict, tmp_path: Path) -> None:
    with verdict.step("one"):
        pass
    path = verdict.write(tmp_path)
    path.write_text(path.read_text("utf-8").replace('"passed": true', '"passed": "perhaps"'))
    with pytest.raises(CorruptError, match=r"armv6-audit.json is not what this version writes: pa"):
        read(VerdictData, path)
