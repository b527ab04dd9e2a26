"""README's table: what is built, audited, served and booted, by the verdicts on file. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from buildsys.bundle.record import MIB
from buildsys.errors import CorruptError
from buildsys.load import Project
from buildsys.verify.written import VerdictHead

BEGIN = "<!-- `invoke proof` writes this table from docs/proof; a test compares it -->"
END = "<!-- until here -->"

EARLIER = "¹"
NOTE = (
    f"{EARLIER} on an earlier build than the last with a verdict; `docs/proof.md` names the bytes."
)

Verdicts = Sequence[VerdictHead]


def table(verdicts: Verdicts, project: Project) -> str:
    """The table. A target that nothing is on file for says so; nothing is guessed."""
    lines = ["| target | for | built | audited | served | booted |", "|---|---|---|---|---|---|"]
    for target in project.targets.values():
        found = [verdict for verdict in verdicts if verdict.file == f"k3s-{target.name}"]
        cells = _cells(found, project) if found else ("not yet", "no", "no", "no")
        lines.append(f"| {target.name} | {target.summary} | {' | '.join(cells)} |")
    text = "\n".join(lines)
    return f"{text}\n\n{NOTE}" if EARLIER in text else text


def placed(readme: str, made: str) -> str:
    """`readme` with the table in its place. Raises `CorruptError` where it has none."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise CorruptError(
            "README.md has no place for the table of targets",
            cause="one of the two comments around it is gone",
            action=f"put `{BEGIN}` and `{END}` back, each on a line of its own",
        )
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


def _cells(found: Verdicts, project: Project) -> tuple[str, str, str, str]:
    last = max(found, key=lambda verdict: verdict.started).sha256
    sizes = (one.size for one in found if one.sha256 == last and one.size)
    known = {verdict.kind: verdict for verdict in found}
    boots = [kind for kind in project.scenarios if kind in known]
    audit, smoke = (_word(known[k], last) if k in known else "no" for k in ("audit", "smoke"))
    return _built(next(sizes, None)), audit, smoke, ", ".join(_boots(boots, known, last)) or "no"


def _built(size: int | None) -> str:
    return f"{size / MIB:.1f} MiB" if size else "yes"


def _word(verdict: VerdictHead, last: str) -> str:
    word = "yes" if verdict.passed else "**FAILED**"
    return word if verdict.sha256 == last else f"{word}{EARLIER}"


def _boots(kinds: Sequence[str], known: Mapping[str, VerdictHead], last: str) -> Iterator[str]:
    for kind in kinds:
        failed = "" if known[kind].passed else "**FAILED** "
        yield f"{failed}{kind}{'' if known[kind].sha256 == last else EARLIER}"
