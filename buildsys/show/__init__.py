"""Printing of results on standard output: tables and trees for people, JSON for programs."""

from buildsys.show.builds import built, plan
from buildsys.show.host import binfmt, findings
from buildsys.show.lists import listing, scenarios
from buildsys.show.places import downloaded, image, paths, released, report
from buildsys.show.removed import removed
from buildsys.show.runs import ci, ci_steps, matrix
from buildsys.show.tried import foreign, narrow, verdicts

__all__ = [
    "binfmt",
    "built",
    "ci",
    "ci_steps",
    "downloaded",
    "findings",
    "foreign",
    "image",
    "listing",
    "matrix",
    "narrow",
    "paths",
    "plan",
    "released",
    "removed",
    "report",
    "scenarios",
    "verdicts",
]
