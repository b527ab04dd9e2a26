"""What the steps of a release share: what was asked for, and what is costly to know."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from buildsys.app import App
from buildsys.bundle import Bundler
from buildsys.bundle.record import is_draft
from buildsys.cache import file_sha256, write_atomic
from buildsys.errors import ReleaseRefusedError
from buildsys.model import Target
from buildsys.plan import Plan
from buildsys.release.channels import CHANNELS
from buildsys.release.look import Checkout
from buildsys.release.plan import ReleasePlan, plan_release
from buildsys.release.publish import Destination, destination
from buildsys.release.publish.choose import FORMS
from buildsys.release.version import Tag, tag_of


@dataclass(frozen=True)
class Wishes:
    """What was asked for. Without `dry_run` there is a destination."""

    targets: tuple[str, ...]
    dry_run: bool
    stable: bool
    destinations: tuple[Destination, ...]

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that the release moves to itself."""
        return CHANNELS if self.stable else ("latest",)


def asked(
    targets: Iterable[str],
    places: Iterable[str],
    environment: Mapping[str, str],
    *,
    dry_run: bool,
    stable: bool,
) -> Wishes:
    """What options say.

    Raises `UnknownNameError`, `NoRightsError`, or `ReleaseRefusedError` with nowhere to publish to.
    """
    found = tuple(destination(text, environment) for text in places)
    if not found and not dry_run:
        raise ReleaseRefusedError(
            [("nowhere to publish to", f"--dry-run, or --to with one of: {', '.join(FORMS)}")]
        )
    return Wishes(tuple(targets), dry_run, stable, found)


class Releasing:
    """One run of the verb: what the steps share. What is costly to know is asked for once."""

    def __init__(self, app: App, wishes: Wishes) -> None:
        self.app, self.wishes = app, wishes
        self.log = app.cache.logs / "release.log"
        self.log.unlink(missing_ok=True)
        self.checkout = Checkout(app.root, self.log)
        self.root = app.artifacts / "release"
        self._sums: dict[str, tuple[int, int, str]] = {}

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """Those that were named; else all that can be released."""
        found = self.app.targets(self.wishes.targets)
        return tuple(t for t in found if t.release or self.wishes.targets)

    @cached_property
    def plan(self) -> Plan:
        """What is built for them."""
        return self.app.plan([target.name for target in self.targets])

    @cached_property
    def tag(self) -> Tag | None:
        """The tag that notes were written for."""
        version = self.app.project.recipes["k3s"].recipe.version
        return tag_of(version, self.checkout.noted)

    @cached_property
    def release(self) -> ReleasePlan:
        """What it consists of; asked for after preflight, which demands a tag."""
        assert self.tag
        return plan_release(self.tag, self.targets)

    @property
    def bundler(self) -> Bundler:
        """What knows whether a bundle is there, unchanged and of this plan."""
        return self.app.bundler()

    def unmade(self) -> tuple[str, ...]:
        """Targets whose files are not there as the plan has them."""
        return tuple(b.target for b in self.plan.bundles if not self.bundler.current(b))

    @property
    def drafts(self) -> tuple[str, ...]:
        """Targets whose executable at hand is a draft."""
        folder = self.app.artifacts
        return tuple(t.name for t in self.targets if is_draft(folder / f"k3s-{t.name}.json"))

    def record(self, target: Target) -> Mapping[str, Any]:
        """What the bundle of a target says of itself."""
        path = self.app.artifacts / f"k3s-{target.name}.json"
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return found

    def path(self, name: str) -> Path:
        """A file of the flat release."""
        return self.root / self.release.flat / name

    def sha256(self, path: Path) -> str:
        """Of a file's content, hashed once in a run while the file stays the same."""
        status = path.stat()
        key = f"{status.st_dev}:{status.st_ino}"
        known = self._sums.get(key)
        if known is None or known[:2] != (status.st_size, status.st_mtime_ns):
            known = (status.st_size, status.st_mtime_ns, file_sha256(path))
            self._sums[key] = known
        return known[2]

    @property
    def _journal(self) -> Path:
        return self.app.artifacts / "release-making.json"

    @property
    def making(self) -> frozenset[str]:
        """Targets whose executable a release, this one or one that was cut short, makes itself.

        Their verdicts cannot be there before; of all others they must.
        """
        begun = json.loads(self._journal.read_text()) if self._journal.is_file() else []
        return frozenset(begun) | frozenset(self.unmade())

    def begin(self, targets: Iterable[str]) -> None:
        """Remember that this release makes the executables of `targets` itself."""
        self.app.artifacts.mkdir(exist_ok=True)
        write_atomic(self._journal, json.dumps(sorted(targets)).encode())

    def end(self) -> None:
        """All verdicts are there."""
        self._journal.unlink(missing_ok=True)
