"""What a release consists of, and where each file lies. Pure: no disk, no network.

    download/<tag>/                  the flat release, as GitHub has it
    <target>/download/<tag>/         the names that upstream's install.sh asks for on that target
    latest/download/channels.json    which tag is stable, which is the latest

Every place that has download/<tag>/ serves both of upstream's URL forms: GITHUB_URL=<place>, and
INSTALL_K3S_ARTIFACT_URL=<place>/download.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from buildsys.model import Recipe, Target
from buildsys.plan import Plan
from buildsys.release.version import Tag

SUMS = "sha256sums.txt"
"""Over all of the flat release but the notes, which may be written anew. Its bytes stand for it."""

SOURCES = "k3s-sources.tar"
INSTALLER = "install.sh"
RECORD = "release.json"
NOTES = "release-notes.md"


@dataclass(frozen=True)
class ReleasePlan:
    """The tag, the targets, and for each file that is only placed: its path and where it is from.

    `copies` maps a path below the root to a name in the artifacts folder, `listings` the path of a
    sum file to the paths that it is about. Beside these, the flat release has what is made for it.
    """

    tag: Tag
    targets: tuple[Target, ...]
    copies: Mapping[str, str]
    listings: Mapping[str, tuple[str, ...]]

    @property
    def flat(self) -> str:
        """The folder of the flat release, below the root."""
        return f"download/{self.tag}"

    @property
    def paths(self) -> tuple[str, ...]:
        """All files in the order in which they are published: what names others comes last."""
        made = tuple(f"{self.flat}/{name}" for name in (SOURCES, INSTALLER, RECORD, NOTES))
        sums = f"{self.flat}/{SUMS}"
        return (*self.copies, *made, *(path for path in self.listings if path != sums), sums)


@dataclass(frozen=True)
class Done:
    """A step that ended well: what it did, and in how many seconds."""

    name: str
    result: str
    seconds: float


def plan_release(tag: Tag, targets: Iterable[Target]) -> ReleasePlan:
    """Plan the release of `targets`, each of which has a [release] table."""
    chosen = tuple(targets)
    copies: dict[str, str] = {}
    listings: dict[str, tuple[str, ...]] = {}
    flat = f"download/{tag}"
    for target in chosen:
        copies |= {f"{flat}/{name}": name for name in artifacts_of(target)}
        upstream = target.release.upstream if target.release else None
        if upstream is None:
            continue
        folders = [f"{target.name}/{flat}", *([flat] if upstream.flat else [])]
        for folder in folders:
            copies[f"{folder}/{upstream.file}"] = f"k3s-{target.name}"
            listings[f"{folder}/sha256sum-{upstream.arch}.txt"] = (f"{folder}/{upstream.file}",)
    own = [path for path in (*copies, *listings) if path.startswith(f"{flat}/")]
    made = [f"{flat}/{name}" for name in (SOURCES, INSTALLER, RECORD)]
    listings[f"{flat}/{SUMS}"] = tuple(sorted([*own, *made]))
    return ReleasePlan(tag, chosen, copies, listings)


def artifacts_of(target: Target) -> tuple[str, ...]:
    """What of the artifacts folder is released for a target: the whole of its full profile."""
    images = f"k3s-airgap-images-{target.name}.tar"
    name = f"k3s-{target.name}"
    return (name, f"{name}.json", f"{images}.zst", f"{images}.gz", "k3s-images.txt")


def is_copyleft(license_: str) -> bool:
    """Whether an SPDX expression leaves no choice but a licence of the GPL's family.

    In parentheses it is taken for one as soon as it names one.
    """
    if "(" in license_:
        return "GPL-" in license_
    terms = license_.split(" AND ")
    return any(all("GPL-" in choice for choice in term.split(" OR ")) for term in terms)


def owed(plan: Plan) -> tuple[Recipe, ...]:
    """The recipes whose corresponding source goes with the release, by name.

    A library counts as what it is linked into: everything here is linked statically.
    """
    recipes = {job.recipe: job.loaded.recipe for job in plan.jobs}
    return tuple(recipes[name] for name in sorted(recipes) if is_copyleft(recipes[name].license))
