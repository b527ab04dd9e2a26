"""The verbs audit and smoke: find the executables, judge or try them, show the verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from buildsys import show
from buildsys.app import App
from buildsys.emulator import is_native
from buildsys.errors import AuditError, LackingError, NotBuiltError, SmokeError, UnknownNameError
from buildsys.model import Target, bundle_suffix
from buildsys.store import Store
from buildsys.verify.audit import Auditor
from buildsys.verify.boot import Booter, demand_boot
from buildsys.verify.foreign import judge
from buildsys.verify.older import find_older
from buildsys.verify.smoke import Smoker
from buildsys.verify.verdict import Verdict


def verify(
    app: App, names: Sequence[str], kind: str, profile: str, older: str = "", *, as_json: bool
) -> None:
    """Audit, smoke or boot the executables of the named targets; write and print the verdicts.

    `kind` is "audit", "smoke" or a scenario's name, `older` the executable that an upgrade begins
    with. Raises `AuditError` or `SmokeError` after all targets had their turn.
    """
    tried = try_all(app, names, kind, profile, older)
    verdicts = [verdict for verdict, _ in tried]
    show.verdicts(verdicts, [path for _, path in tried], as_json=as_json)
    raise_failed(kind, verdicts)


def try_all(
    app: App, names: Sequence[str], kind: str, profile: str, older: str = ""
) -> list[tuple[Verdict, Path]]:
    """Give all targets their turn and write the verdicts; each with where it was written."""
    if kind not in ("audit", "smoke", *app.project.scenarios):
        raise UnknownNameError("scenario", kind, app.project.scenarios)
    upgrades = [scenario.name for scenario in app.project.scenarios.values() if scenario.older]
    if older and kind not in upgrades:
        raise UnknownNameError("scenario for --older", kind, upgrades)
    app.sweep()
    with app.progress.running():
        verdicts = [_one(app, target, profile, kind, older) for target in app.targets(names)]
    return [(verdict, verdict.write(app.artifacts / "verdicts")) for verdict in verdicts]


def raise_failed(kind: str, verdicts: Iterable[Verdict]) -> None:
    """Raise `AuditError` or `SmokeError` where a verdict did not pass."""
    failed = [v for v in verdicts if not v.passed]
    if failed:
        error = AuditError if kind == "audit" else SmokeError
        lines = [f"{v.target}: {s.name}: {s.detail}" for v in failed for s in v.failures]
        raise error(
            f"{kind} failed:\n" + "\n".join(f"  {line}" for line in lines),
            action=f"see {', '.join(str(v.log) for v in failed)}",
        )


def judge_foreign(app: App, path: Path, against: str, *, as_json: bool) -> None:
    """Judge a file that somebody else built, and print what of it the target's CPU does not run.

    Raises `AuditError` if that is anything, and what `judge` raises.
    """
    (target,) = app.targets([against])
    with app.progress.running(), app.progress.step("audit", path.name):
        found = judge(path, target)
    show.foreign(found, as_json=as_json)
    if not found.passed:
        raise AuditError(
            found.summary,
            cause="the files are named above, each with its reason",
            action=f"take or build them for {target.name}; docs/audit.md explains the reasons",
        )


def _one(app: App, target: Target, profile: str, kind: str, older: str) -> Verdict:
    executable = app.artifacts / f"k3s-{bundle_suffix(target.name, profile)}"
    record = executable.with_name(f"{executable.name}.json")
    if not (executable.is_file() and record.is_file()):
        raise NotBuiltError(
            f"there is no {executable}",
            action=f"run `invoke build --arch {target.name} --profile {profile}`",
        )
    if kind == "smoke":
        emulator = None if is_native(target) else app.emulator(target)
        return Smoker(target, emulator, app.cache, app.root, app.progress).smoke(executable)
    if kind != "audit":
        given = Path(older).absolute() if older else None
        scenario = app.project.scenarios[kind]
        # All of it before the kernel is fetched.
        if target.machine:
            native = app.artifacts / f"k3s-{native_target(app.project.targets)}"
            demand_boot(target.name, target.machine, native, executable, scenario)
        if scenario.older:
            find_older(executable, given)
        return booter_of(app, target).boot(executable, scenario, given)
    emulator = app.emulator(target)
    beside = dict(_beside(app, target, profile))
    auditor = Auditor(app.project, target, app.cache, app.toolchain, emulator, beside)
    return auditor.audit(executable, json.loads(record.read_text("utf-8")))


def booter_of(app: App, target: Target) -> Booter:
    """What boots the target's machine; fetches its kernel where that is not at hand."""
    if target.machine is None:
        raise LackingError("machine", target.name, "nobody has described one in its [machine] yet")
    job = next(job for job in app.plan([target.name], ["busybox"]).jobs if job.recipe == "busybox")
    busybox = Store(app.cache).get(job.key)
    if busybox is None:
        raise NotBuiltError(
            f"the guest's busybox for {target.name} is not in the store",
            action=f"run `invoke build --arch {target.name} --only busybox`",
        )
    return Booter(
        target.name,
        target.machine,
        app.package(target.machine.kernel),
        busybox.path("bin/busybox"),
        app.artifacts / f"k3s-{native_target(app.project.targets)}",
        app.cache,
        app.progress,
    )


def native_target(targets: Mapping[str, Target]) -> str:
    """The target whose programs this host runs itself; "native" where there is none."""
    return next((name for name, target in targets.items() if is_native(target)), "native")


def _beside(app: App, target: Target, profile: str) -> Iterator[tuple[str, Path]]:
    """Images, libraries and the bare launcher, where they have tests: they lie in the store."""
    store = Store(app.cache)
    for job in app.plan([target.name], profile=profile).jobs:
        recipe = job.loaded.recipe
        if recipe.test and recipe.output.into != "executable" and (found := store.get(job.key)):
            yield job.recipe, found.folder / "files"
