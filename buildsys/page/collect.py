"""What a report is made of, read from the output folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from buildsys.cache import file_sha256
from buildsys.errors import CorruptError, NotBuiltError
from buildsys.jsonfile import Data, read
from buildsys.load import Project
from buildsys.model import Target, bundle_suffix
from buildsys.plan import ANY
from buildsys.verify.written import VerdictData, place


class Component(Data):
    """A component of a bundle; sizes in bytes."""

    name: str
    version: str
    license: str
    size: int
    compressed: int
    embedded: bool = False


class Record(Data):
    """`k3s-<target>.json`."""

    target: str
    profile: str
    version: str
    go: str
    sha256: str
    size: int
    components: tuple[Component, ...]
    images: tuple[Component, ...]


class SpanData(Data):
    """A piece of work; begin and end in seconds of its run."""

    kind: str
    name: str
    begin: float
    end: float


class Times(Data):
    """`timings-<targets>.json`."""

    wall_seconds: float
    tool_share: float
    spans: tuple[SpanData, ...]


@dataclass(frozen=True)
class Judged:
    """A verdict and its state: passed, FAILED, or stale, which is about other bytes."""

    state: str
    data: VerdictData


@dataclass(frozen=True)
class Made:
    """A bundle at hand: its record, its verdicts, and the kinds that its release lacks."""

    suffix: str
    record: Record
    verdicts: tuple[Judged, ...]
    lacks: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """The timeline of a build; `name` is that of its targets."""

    name: str
    times: Times


@dataclass(frozen=True)
class Facts:
    """All that a report shows."""

    made: tuple[Made, ...]
    runs: tuple[Run, ...]


def collect(artifacts: Path, project: Project, targets: Sequence[Target], *, named: bool) -> Facts:
    """What is at hand of `targets`; of those that were `named`, each must be there.

    Raises `NotBuiltError`, and `CorruptError` for a file that is damaged.
    """
    made, empty = [], []
    for target in targets:
        found = list(_made(artifacts, project, target))
        made += found
        empty += [] if found else [target.name]
    if not made or (named and empty):
        raise NotBuiltError(
            f"there is nothing to report of {', '.join(empty)} in {artifacts}",
            cause="a report wants an executable with its JSON, as `invoke build` leaves them",
            action=f"run `invoke build --arch {empty[0]}`",
        )
    names = {one.record.target for one in made}
    return Facts(tuple(made), tuple(_runs(artifacts, names)))


def _made(artifacts: Path, project: Project, target: Target) -> Iterator[Made]:
    for profile in project.profiles:
        suffix = bundle_suffix(target.name, profile)
        executable = artifacts / f"k3s-{suffix}"
        path = executable.with_name(f"{executable.name}.json")
        if not (executable.is_file() and path.is_file()):
            continue
        record = read(Record, path)
        if record.sha256 != file_sha256(executable):
            raise CorruptError(
                f"{executable} is not what {path.name} says",
                cause="one of them was changed or copied alone",
                action=f"run `invoke build --arch {target.name} --profile {profile}`",
            )
        kinds = ("audit", "smoke", *project.scenarios)
        verdicts = tuple(_verdicts(artifacts, suffix, kinds, record.sha256))
        known = {one.data.kind for one in verdicts}
        wanted = target.release.verdicts if target.release else ("audit", "smoke")
        lacks = tuple(kind for kind in wanted if kind not in known)
        yield Made(suffix, record, verdicts, lacks)


def _verdicts(artifacts: Path, suffix: str, kinds: Sequence[str], sha256: str) -> Iterator[Judged]:
    for kind in kinds:
        path = place(artifacts, suffix, kind)
        if path.is_file():
            data = read(VerdictData, path)
            yield Judged(data.state(sha256), data)


def _runs(artifacts: Path, names: set[str]) -> Iterator[Run]:
    """The last run of each set of targets that has one of `names`."""
    for path in sorted(artifacts.glob("timings-*.json")):
        name = path.stem.removeprefix("timings-")
        if names & {part for part in name.split("-") if part != ANY}:
            yield Run(name, read(Times, path))
