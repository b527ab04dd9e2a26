"""Hours of work on every target are asked for in words: by --arch, or by --all."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from buildsys.errors import ScopeError, UsageError


def demand_scope(doing: str, named: Sequence[str], every: bool, targets: Collection[str]) -> None:
    """See that work on several of `targets` was asked for; `doing` says what would be done.

    Raises `ScopeError`, or `UsageError` where both options were given.
    """
    if named and every:
        raise UsageError(
            "--arch and --all contradict each other", action="leave one of the two out"
        )
    if not named and not every and len(targets) > 1:
        raise ScopeError(doing, targets)
