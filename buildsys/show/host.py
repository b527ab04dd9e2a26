"""What this machine has, lacks and runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from buildsys.docker.verbs import BinfmtResult
from buildsys.doctor import Finding
from buildsys.errors import CorruptError, MissingToolError
from buildsys.report import print_table
from buildsys.show.common import print_json


def findings(found: Sequence[Finding], damaged: Sequence[str], *, as_json: bool) -> None:
    """What doctor saw. Raises `MissingToolError` or `CorruptError` where something is wrong."""
    if as_json:
        print_json({"findings": [asdict(f) for f in found], "damaged": list(damaged)})
    else:
        rows = [("ok" if f.good else "MISSING", f.name, f.detail) for f in found]
        print_table("", ("", "what", "found"), rows)
    if damaged:
        raise CorruptError(
            f"{len(damaged)} store entries were damaged", action="run the build again"
        )
    lacking = [f for f in found if not f.good]
    if lacking:
        packages = sorted({f.package for f in lacking if f.package})
        cures = [f.cure for f in lacking if f.cure]
        install = [f"apt-get install {' '.join(packages)} (or `invoke setup`)"] if packages else []
        raise MissingToolError(
            f"this host lacks: {', '.join(f.name for f in lacking)}",
            action="; ".join([*install, *cures]),
        )


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
