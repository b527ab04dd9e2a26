"""What this machine has, lacks and runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from buildsys.docker.verbs import BinfmtResult
from buildsys.doctor import PURPOSES, Finding
from buildsys.errors import CorruptError, MissingToolError
from buildsys.report import Progress, print_table
from buildsys.show.common import print_json


def findings(
    found: Sequence[Finding],
    damaged: Sequence[str],
    purposes: Sequence[str],
    progress: Progress,
    *,
    as_json: bool,
) -> None:
    """What doctor saw.

    Raises `CorruptError`, or `MissingToolError` where something is missing that `purposes` require;
    of what only others require, a line says so.
    """
    if as_json:
        print_json({"findings": [asdict(f) for f in found], "damaged": list(damaged)})
    else:
        rows = [("ok" if f.good else "MISSING", f.name, _for(f.purposes), f.detail) for f in found]
        print_table("", ("", "what", "for", "found"), rows)
    if damaged:
        raise CorruptError(
            f"{len(damaged)} store entries were damaged", action="run the build again"
        )
    missing = [f for f in found if not f.good]
    required = [f for f in missing if {*f.purposes} & {*purposes}]
    for purpose in PURPOSES:
        if names := [f.name for f in missing if f not in required and f.purposes[0] == purpose]:
            progress.line(
                f"note: missing for {purpose} only: {', '.join(names)} "
                f"(`invoke setup --for {purpose}`)"
            )
    if required:
        raise MissingToolError(
            f"this host is missing, for {', '.join(purposes)}: "
            f"{', '.join(f.name for f in required)}",
            action=_cure(required, purposes),
        )


def _for(purposes: Sequence[str]) -> str:
    """Tests require everything, which is said of what only they require."""
    return ", ".join(name for name in purposes if name != "test") or "test"


def _cure(required: Sequence[Finding], purposes: Sequence[str]) -> str:
    packages = sorted({f.package for f in required if f.package})
    setup = " ".join(["invoke setup", *(f"--for {name}" for name in purposes)])
    install = [f"apt-get install {' '.join(packages)} (or `{setup}`)"] if packages else []
    return "; ".join([*install, *(f.cure for f in required if f.cure)])


RUNS = {
    "host": "this machine itself",
    "nobody": "nobody: not registered",
    "ours": "its emulator, on this CPU",
    "other": "another registration, on whatever CPU it names",
}
"""`State.runs` for people."""


def binfmt(result: BinfmtResult, *, as_json: bool) -> None:
    """Who runs which target's programs; other registrations for the same ones are named."""
    if as_json:
        print_json({"done": list(result.done), "targets": [asdict(s) for s in result.states]})
        return
    rows = [(s.target, s.cpu, RUNS[s.runs], s.interpreter or "-") for s in result.states]
    print_table("", ("target", "cpu", "its programs are run by", "entry"), rows)
    for line in result.done:
        print(line)
    for state in result.states:
        if state.runs == "ours" and state.others:
            names = ", ".join(state.others)
            print(f"{state.target}: {names}: for the same programs, kept, asked after ours")
