"""A verdict: what was tried on which bytes and how it ended, as JSON and as JUnit."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from buildsys.bundle.layout import is_draft
from buildsys.cache import file_sha256, write_atomic
from buildsys.errors import BuildsysError
from buildsys.verify.written import Run, readable

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What a program may print and XML 1.0 cannot hold."""


@dataclass
class Step:
    """One thing that was tried; `seconds` of wall time, `facts` what was measured."""

    name: str
    passed: bool = False
    seconds: float = 0.0
    detail: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class Verdict:
    """Steps about one file, which is named by its sha256. Passed if every step passed.

    That of a `draft` proves nothing for a release.
    """

    kind: str
    target: str
    subject: Path
    log: Path
    steps: list[Step] = field(default_factory=list)
    started: float = field(default_factory=time.time)
    facts: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""
    size: int = 0
    draft: bool = False

    def __post_init__(self) -> None:
        # Of the bytes that are tried: another build may put others in their place meanwhile.
        self.sha256 = self.sha256 or file_sha256(self.subject)
        self.size = self.subject.stat().st_size
        self.draft = is_draft(self.subject)

    @property
    def passed(self) -> bool:
        """Whether there are steps and all of them passed."""
        return bool(self.steps) and all(step.passed for step in self.steps)

    @property
    def failures(self) -> list[Step]:
        """The steps that did not pass."""
        return [step for step in self.steps if not step.passed]

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Run a step; a `BuildsysError` in it is its failure and goes no further."""
        step = Step(name)
        begin = time.monotonic()
        try:
            yield step
            step.passed = True
        except BuildsysError as error:
            step.detail = str(error)
        finally:
            step.seconds = round(time.monotonic() - begin, 3)
            self.steps.append(step)

    def as_json(self) -> dict[str, Any]:
        """The verdict as plain data."""
        return {
            "kind": self.kind,
            "target": self.target,
            "file": self.subject.name,
            "sha256": self.sha256,
            "size": self.size,
            "draft": self.draft,
            "passed": self.passed,
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
            "seconds": round(sum(step.seconds for step in self.steps), 3),
            "log": str(self.log.name),
            "facts": self.facts,
            "steps": [asdict(step) for step in self.steps],
        }

    def write(self, folder: Path) -> Path:
        """Write `<target>-<kind>.json` and `.xml` into `folder`; the JSON's path.

        For an executable of a smaller profile its name stands after the target's. Its `runs` are
        those of the same bytes before, and this one: what fails now and then is not forgotten.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.subject.name.removeprefix('k3s-')}-{self.kind}.json"
        before = readable(path)
        runs = before.all_runs if before and before.sha256 == self.sha256 else ()
        data = self.as_json()
        data["runs"] = [
            *(run.model_dump() for run in runs),
            {key: data[key] for key in Run.model_fields},
        ]
        write_atomic(path, (json.dumps(data, indent=2) + "\n").encode())
        write_atomic(path.with_suffix(".xml"), junit(data))
        return path


def junit(data: dict[str, Any]) -> bytes:
    """The verdict as a JUnit test suite."""
    failed = [step for step in data["steps"] if not step["passed"]]
    suite = ElementTree.Element(
        "testsuite",
        name=f"{data['kind']} {data['target']}",
        tests=str(len(data["steps"])),
        failures=str(len(failed)),
        time=str(data["seconds"]),
        timestamp=data["started"],
    )
    properties = ElementTree.SubElement(suite, "properties")
    ElementTree.SubElement(properties, "property", name="sha256", value=data["sha256"])
    for step in data["steps"]:
        case = ElementTree.SubElement(
            suite, "testcase", classname=data["kind"], name=step["name"], time=str(step["seconds"])
        )
        if not step["passed"]:
            detail = NOT_XML.sub("\ufffd", step["detail"])
            failure = ElementTree.SubElement(case, "failure", message=detail[:200])
            failure.text = detail
    ElementTree.indent(suite)
    text: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return text
