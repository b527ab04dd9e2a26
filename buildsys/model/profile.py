"""A profile: what of the whole is left out; and what no target can have at all."""

from __future__ import annotations

from buildsys.model.base import Frozen, Name, Sentence

FULL = "full"
"""The profile that leaves nothing out; its files carry no profile in their names."""


def bundle_suffix(target: str, profile: str) -> str:
    """What the names of a bundle's files end in."""
    return target if profile == FULL else f"{target}-{profile}"


class Profile(Frozen):
    """A choice of components, by what it leaves out."""

    summary: Sentence
    leave_out: tuple[Name, ...] = ()


class Missing(Frozen):
    """A component of upstream's that is not built: why, what it costs, what works instead."""

    summary: Sentence
    why: Sentence
    costs: Sentence
    instead: Sentence
