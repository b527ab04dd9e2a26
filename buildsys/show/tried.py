"""What was tried or read, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from buildsys.report import print_table
from buildsys.show.common import print_json
from buildsys.verify.foreign import Foreign
from buildsys.verify.narrow import Narrow
from buildsys.verify.verdict import Verdict


def verdicts(done: Sequence[Verdict], paths: Sequence[Path], *, as_json: bool) -> None:
    """Each verdict: its steps, then the file that holds it."""
    if as_json:
        print_json([verdict.as_json() for verdict in done])
        return
    for verdict, path in zip(done, paths, strict=True):
        rows = [
            (step.name, "passed" if step.passed else "FAILED", f"{step.seconds:.2f}")
            for step in verdict.steps
        ]
        print_table(f"{verdict.kind} {verdict.subject.name}", ("step", "result", "seconds"), rows)
        state = "passed" if verdict.passed else "FAILED"
        print(f"{verdict.kind} k3s-{verdict.target}: {state}  {path}")


def foreign(found: Foreign, *, as_json: bool) -> None:
    """Each ELF of a file that somebody else built, the ones that do not run first."""
    if as_json:
        print_json(found.as_json())
        return
    for fit in sorted(found.fits, key=lambda fit: RESULTS.index(fit.result)):
        why = "; ".join((*fit.barriers, *fit.doubts, *(f"note: {note}" for note in fit.notes)))
        print(f"{WORDS[fit.result]:<13}{fit.name}{': ' if why else ''}{why}")
    for platform in found.odd_platforms:
        print(f"note: an image says {platform}: a runtime on {found.target} does not take it")
    if found.left_out:
        print(f"note: {found.left_out} files of images for other platforms are left out")
    print("note: read, not run: what a program does on the board is not proven")
    print(f"{found.path.name}: {found.summary}")


RESULTS = ("refused", "unknown", "runs")


WORDS = {"refused": "does not run", "unknown": "unknown", "runs": "runs"}


def narrow(found: Sequence[Narrow], *, as_json: bool) -> None:
    """How much was read of each component, and what was found."""
    if as_json:
        print_json([asdict(one) for one in found])
        return
    rows = [(o.component, o.target, str(o.packages), str(len(o.findings))) for o in found]
    print_table("", ("component", "target", "packages", "findings"), rows)
