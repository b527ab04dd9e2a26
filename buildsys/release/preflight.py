"""What must hold before a release. Pure: everything that is wrong, each with its next action."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from buildsys.model import Target
from buildsys.release.version import Tag, first_tag

NOTES_FOLDER = "docs/releases"

SHOWN = 5
"""How many changed files are named."""

Problem = tuple[str, str]
"""What is wrong, and what to do about it."""


@dataclass(frozen=True)
class Facts:
    """What was found. `changed` are lines of git, `tagged` the commit that the tag names already.

    `making` are targets whose executables this run makes: nothing can be proven of them yet.
    `drafts` are those whose executable at hand is a draft.
    `verdicts` has none, passed, FAILED or stale for (target, kind). `elsewhere` is what stands
    against publishing where it is to go.
    """

    commit: str
    changed: tuple[str, ...]
    version: str
    tag: Tag | None
    notes: str
    tagged: str
    targets: tuple[Target, ...]
    making: frozenset[str]
    verdicts: Mapping[tuple[str, str], str]
    drafts: tuple[str, ...] = ()
    elsewhere: tuple[Problem, ...] = ()


def problems(facts: Facts) -> Iterator[Problem]:
    """All that stands against the release."""
    yield from _tree(facts)
    yield from _version(facts)
    yield from _targets(facts)
    yield from _drafts(facts)
    ready = [target for target in facts.targets if target.name not in facts.making]
    for target in ready:
        yield from unproven(target, facts.verdicts)
    yield from facts.elsewhere


def _tree(facts: Facts) -> Iterator[Problem]:
    if facts.changed:
        more = f" and {len(facts.changed) - SHOWN} more" if len(facts.changed) > SHOWN else ""
        named = ", ".join(line.strip() for line in facts.changed[:SHOWN])
        yield (
            f"the checkout is not what commit {facts.commit[:12]} says: {named}{more}",
            ("commit or remove what changed"),
        )


def _version(facts: Facts) -> Iterator[Problem]:
    first = first_tag(facts.version)
    if first is None:
        yield (
            f"no tag can be made of k3s's version {facts.version!r}",
            ("give recipes/k3s a version such as v1.35.0+k3s1"),
        )
    elif facts.tag is None:
        yield (
            f"k3s {facts.version} has no release notes",
            (f"write what is new for people to {NOTES_FOLDER}/{first}.md"),
        )
    elif not facts.notes.strip():
        yield f"the notes of {facts.tag} are empty", f"write {NOTES_FOLDER}/{facts.tag}.md"
    if facts.tag and facts.tagged and facts.tagged != facts.commit:
        yield (
            (
                f"the tag {facts.tag} exists already, at commit {facts.tagged[:12]}, and this is "
                f"{facts.commit[:12]}"
            ),
            open_next(facts.tag),
        )


def open_next(tag: Tag) -> str:
    """What to do where a tag is taken."""
    base, _, number = tag.text.rpartition(".")
    return f"open the next release: write {NOTES_FOLDER}/{base}.{int(number) + 1}.md"


def _targets(facts: Facts) -> Iterator[Problem]:
    if not facts.targets:
        yield "no target has a [release]", "say in toolchains/<target>.toml what must be proven"
    for target in facts.targets:
        if target.release is None:
            yield (
                f"{target.name} has no [release] in its toolchains/{target.name}.toml",
                ("say there what must be proven, or leave it out with --arch"),
            )


def _drafts(facts: Facts) -> Iterator[Problem]:
    for name in facts.drafts:
        yield (
            f"k3s-{name} is a draft: `invoke build --draft` made it, and no draft is released",
            f"`invoke build --arch {name}`, then its verdicts",
        )


def unproven(target: Target, verdicts: Mapping[tuple[str, str], str]) -> Iterator[Problem]:
    """Every verdict that a target's release needs and that is not there, failed, or stale."""
    words = {
        "none": "there is no verdict",
        "FAILED": "the verdict is FAILED",
        "stale": "the verdict is about other bytes",
        "draft": "the verdict is about a draft",
    }
    for kind in target.release.verdicts if target.release else ():
        state = verdicts.get((target.name, kind), "none")
        if state != "passed":
            yield f"k3s-{target.name}, {kind}: {words[state]}", f"`{command_of(target.name, kind)}`"


def command_of(target: str, kind: str) -> str:
    """What makes a verdict."""
    if kind in ("audit", "smoke"):
        return f"invoke {kind} --arch {target}"
    return f"invoke smoke --arch {target} --scenario {kind}"
