"""The table of exit codes in docs/cli.md, made from the errors. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from buildsys.errors import BuildsysError, SomeFailedError

PAGE = "docs/cli.md"
"""The page, in the checkout."""

BEGIN, END = "<!-- `invoke list --write` writes this table -->\n\n", "\n<!-- until here -->\n"


def table() -> str:
    """Every exit code and what it means."""
    rows = {kind.exit_code: _meaning(kind) for kind in _kinds(BuildsysError)}
    rows |= {
        0: "It went well.",
        1: "Something that has no code of its own; a mistake of this program's.",
        130: "Interrupted; the same again goes on where it stopped.",
        141: "Whoever read its output left.",
    }
    lines = ["| exit code | means |", "|---|---|"]
    return "\n".join([*lines, *(f"| {code} | {rows[code]} |" for code in sorted(rows))]) + "\n"


def _kinds(kind: type[BuildsysError]) -> Iterator[type[BuildsysError]]:
    for child in kind.__subclasses__():
        if child is not SomeFailedError:
            yield child
        yield from _kinds(child)


def _meaning(kind: type[BuildsysError]) -> str:
    return " ".join((kind.__doc__ or "").split("\n\n")[0].split())


def updated(page: str) -> str:
    """The text of the page with the table as it is now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"
