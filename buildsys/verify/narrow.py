"""What breaks Go programs on 32-bit CPUs only, looked for in the sources of a whole module graph.

Two things do. A constant that overflows `int`: the compiler refuses it, in what it compiles. And a
64-bit atomic on a field that is not at a multiple of 8 bytes (sync/atomic, "Bugs"): ARM and x86
panic there when the line is reached, be it weeks later. Go's own analysis `atomicalign` finds it,
and loading the packages for it finds the constants. Types come from what the build has compiled.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from buildsys.app import App, raise_all
from buildsys.errors import AuditError, CommandError, NotBuiltError
from buildsys.model import GoOptions
from buildsys.plan import Job
from buildsys.run import output
from buildsys.sandbox import can_isolate
from buildsys.styles.context import Context
from buildsys.styles.go import environment, stage

TOOL = Path(__file__).with_name("vettool")
"""A Go module of few lines, its dependencies pinned by its go.sum."""

BATCH = 200
"""Packages that are read at a time: their syntax is in memory together."""

# Dependencies as well: a panic in one is as bad. Not Go's own library, which Go's people look
# after, and no tests, whose own dependencies nobody fetched.
_LOOK = f"""\
list="$ROOM/tmp/packages"
go list -deps -f '{{{{if not .Standard}}}}{{{{.ImportPath}}}}{{{{end}}}}' "$@" >"$list" &&
xargs -n {BATCH} "$ROOM/bin/vettool" -test=false <"$list"
"""

# Of a dependency, the place in the module cache: the tool writes it in two ways.
_FINDING = re.compile(r"^(?:\S+/gomod/)?(\S+\.go:\d+:\d+): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Narrow:
    """One component on one target: how many packages were read, and what was found in them."""

    component: str
    target: str
    packages: int
    findings: tuple[str, ...]


def narrow(app: App, names: Sequence[str], only: Sequence[str]) -> list[Narrow]:
    """Look through every Go component for the named targets, or all, that have 32 bits.

    Raises `NotBuiltError` where what a component needs is not built, and what fetching raises.
    """
    wanted = [target.name for target in app.targets(names) if target.elf.bits == 32]
    if not wanted:
        return []
    plan = app.plan(wanted, only)
    with app.progress.running(), app.cache.scratch("vettool") as folder:
        if not app.settings.offline:
            raise_all(app.fetch(plan, everything=True).items())
        tool = _compiled(app, folder)
        jobs = [job for job in plan.jobs if job.loaded.recipe.style == "go"]
        return [_one(app, job, tool) for job in jobs]


def raise_found(found: Sequence[Narrow]) -> None:
    """Raise `AuditError` if anything was found."""
    lines = [f"{one.component}-{one.target}: {text}" for one in found for text in one.findings]
    if lines:
        raise AuditError(
            "code that a 32-bit CPU cannot run:\n" + "\n".join(f"  {line}" for line in lines),
            cause="a constant that is no int there, or a 64-bit atomic on an odd place",
            action="patch the component: move the field to the front, or make it an atomic.Int64",
        )


def _compiled(app: App, folder: Path) -> Path:
    """The tool, for this host. It is fetched as Go modules are."""
    source = folder / "src"
    shutil.copytree(TOOL, source)
    env = app.toolchain.go_environment(
        app.cache, online=not app.settings.offline, proxy=app.settings.go_proxy or None
    )
    go = str(app.toolchain.go / "bin" / "go")
    argv = [go, "-C", str(source), "build", "-trimpath", "-o", str(folder / "vettool"), "."]
    output(argv, env={**env, "CGO_ENABLED": "0"}, log=app.cache.logs / "vettool.log")
    return folder / "vettool"


def _one(app: App, job: Job, tool: Path) -> Narrow:
    builder = app.builder(can_isolate())
    if lacking := [need.id for need in job.needs if builder.store.get(need.key) is None]:
        raise NotBuiltError(
            f"{job.id} needs what is not in the store: {', '.join(lacking)}",
            action=f"run `invoke build --arch {job.target} --only {job.recipe}`",
        )
    with app.progress.step("vet", job.id), builder.prepared(job) as context:
        shutil.copy2(tool, context.sandbox.host("bin") / tool.name)
        findings = tuple(_vetted(context))
        packages = (context.sandbox.host("tmp") / "packages").read_text("utf-8").split()
        return Narrow(job.recipe, job.target, len(packages), findings)


def _vetted(context: Context) -> Iterator[str]:
    options = context.recipe.options
    assert isinstance(options, GoOptions)
    stage(context, options)
    env = environment(options, context)
    # As they are compiled, so that types come out of Go's build cache.
    env["GOFLAGS"] += f" -trimpath -tags={','.join(options.tags)}"
    begin = context.log.stat().st_size
    try:
        context.run(["sh", "-c", _LOOK, "sh", *options.build.values()], env=env)
    except CommandError:
        text = context.log.read_bytes()[begin:].decode("utf-8", "replace")
        found = list(dict.fromkeys(findings(text)))
        if not found:
            raise
        yield from found


def findings(text: str) -> Iterator[str]:
    """What the tool's output says, one line each: place and sentence."""
    for place, sentence in _FINDING.findall(text):
        yield f"{place}: {sentence}"
