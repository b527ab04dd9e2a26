"""The verbs. Each parses its options, calls buildsys and prints; `invoke --list` shows them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from invoke.context import Context

from buildsys import show, testing
from buildsys.app import App, Settings, raise_all, raise_failures, reported
from buildsys.bench import run as bench_run
from buildsys.cache import write_atomic
from buildsys.ci import verbs as ci_verbs
from buildsys.ci.steps import GROUPS, steps
from buildsys.clean import clean as remove
from buildsys.clean import prune, shrink
from buildsys.cli.codes import PAGE, updated
from buildsys.cli.command import task
from buildsys.cli.program import run as run_commands
from buildsys.cli.scope import demand_scope
from buildsys.components import page as components_page
from buildsys.components import write_page
from buildsys.docker import verbs as docker_verbs
from buildsys.docker.backend import NATIVE, Order, is_docker
from buildsys.docker.backend import build as docker_build
from buildsys.docker.make import built
from buildsys.doctor import PURPOSES, chosen, verify_store
from buildsys.doctor import setup as install
from buildsys.download import asked as asked_for
from buildsys.download import download as receive
from buildsys.errors import UsageError
from buildsys.model import FULL
from buildsys.options import NAMED, texts
from buildsys.page import write as write_report
from buildsys.page.write import raise_untried
from buildsys.release import pipeline
from buildsys.release.context import asked
from buildsys.verify.narrow import narrow, raise_found
from buildsys.verify.proof import keep
from buildsys.verify.verbs import judge_foreign, verify


@task(iterable=["arch", "only"], help=texts("arch", "only", "profile", "json"))
def plan(_: Context, arch: Any, only: Any, profile: str = FULL, json: bool = False) -> None:
    """Show what would be built, in what order, and what the store already holds."""
    with reported():
        app = App(Settings())
        show.plan(app.plan(arch, only, profile), app.store, as_json=json)


@task(
    iterable=["arch", "only"],
    help={**texts("only", "cache", "debian-mirror", "go-proxy", "all"), "arch": NAMED},
)
def fetch(
    _: Context,
    arch: Any,
    only: Any,
    cache: str = "",
    debian_mirror: str = "",
    go_proxy: str = "",
    all: bool = False,  # noqa: A002  the name of the option
) -> None:
    """Get every source that a build needs, so that it can run without a network."""
    with reported():
        app = App(Settings(cache=cache, debian_mirror=debian_mirror, go_proxy=go_proxy))
        planned = app.plan(arch, only)
        demand_scope("fetch", arch, all, app.project.targets)
        with app.progress.running():
            failures = app.fetch(planned, everything=True)
        raise_all(failures.items())


@task(
    iterable=["arch", "only"],
    help={
        **texts("only", "profile", "jobs", "cache", "offline"),
        **texts("debian-mirror", "go-proxy", "json", "all"),
        "arch": NAMED,
        "backend": "docker: the same build in a container (docs/docker.md); else native",
        "draft": "compress quickly: larger files, for a try and never for a release",
    },
)
def build(
    _: Context,
    arch: Any,
    only: Any,
    profile: str = FULL,
    jobs: int = 0,
    cache: str = "",
    offline: bool = False,
    debian_mirror: str = "",
    go_proxy: str = "",
    backend: str = NATIVE,
    draft: bool = False,
    json: bool = False,
    all: bool = False,  # noqa: A002  the name of the option
) -> None:
    """Build k3s-ARCH and its airgap images: fetch, compile, bundle. Ends with a table."""
    with reported():
        app = App(Settings(cache, jobs, offline, debian_mirror, go_proxy))
        planned = app.plan(arch, only, profile, draft=draft)
        demand_scope("build", arch, all, app.project.targets)
        if is_docker(backend):
            app.announce(planned)
            order = Order(arch or list(app.project.targets), only, profile, jobs, draft, json)
            status = docker_build(app, order, planned)
            shrink(app)
            sys.exit(status)
        with app.progress.running():
            result = app.build(planned)
        shrink(app)
        show.built(result, app.write_timings(planned), as_json=json)
        raise_failures(result)


@task(
    iterable=["arch", "only"],
    help=texts("arch", "only", "cache", "offline", "go-proxy", "json"),
)
def check32(
    _: Context,
    arch: Any,
    only: Any,
    cache: str = "",
    offline: bool = False,
    go_proxy: str = "",
    json: bool = False,
) -> None:
    """Look through all packages of the Go components for what 32-bit CPUs alone cannot run."""
    with reported():
        found = narrow(App(Settings(cache=cache, offline=offline, go_proxy=go_proxy)), arch, only)
        show.narrow(found, as_json=json)
        raise_found(found)


# invoke knows no positional argument that may be left out, so FILE is one beside --against only.
FOREIGN = any(word.partition("=")[0] == "--against" for word in sys.argv)


@task(
    iterable=["arch"],
    positional=["file"] if FOREIGN else [],
    help={
        **texts("arch", "profile", "cache", "json"),
        "file": "with --against: any program, archive, image or folder; read, never run",
        "against": "target whose CPU FILE is judged for",
    },
)
def audit(
    _: Context,
    arch: Any,
    file: Any = None,
    against: str = "",
    profile: str = FULL,
    cache: str = "",
    json: bool = False,
) -> None:
    """Read and run every ELF in k3s-ARCH and its images: can the target's CPU run it all?

    `invoke audit FILE --against ARCH` says the same of a file that somebody else built.
    """
    with reported():
        if bool(file) != bool(against) or (file and arch):
            raise UsageError(
                "audit takes either --arch, or FILE and --against",
                action="invoke audit FILE --against ARCH",
            )
        app = App(Settings(cache=cache))
        if file:
            judge_foreign(app, Path(file), against, as_json=json)
        else:
            verify(app, arch, "audit", profile, as_json=json)


@task(
    iterable=["arch"],
    help={
        **texts("arch", "profile", "cache", "json"),
        "scenario": "boot the target's machine and run this scenario on it",
        "older": "the executable that an upgrade begins with (default: the one last replaced)",
        "list": "what scenarios there are, and the machines that they run on",
    },
)
def smoke(
    _: Context,
    arch: Any,
    scenario: str = "smoke",
    profile: str = FULL,
    older: str = "",
    cache: str = "",
    list: bool = False,  # noqa: A002  the name of the option
    json: bool = False,
) -> None:
    """Start the server of artifacts/k3s-ARCH under the target's CPU; kill it; start it again.

    With --scenario: boot the target's machine, under a kernel that its boards have.
    """
    with reported():
        app = App(Settings(cache=cache))
        if list:
            show.scenarios(app.project, app.targets(arch), app.artifacts, as_json=json)
        else:
            verify(app, arch, scenario, profile, older, as_json=json)


@task(
    iterable=["arch"],
    help={
        **texts("cache", "json"),
        "arch": NAMED,
        "push": "REGISTRY/REPOSITORY to push it to as well",
        "load": "load it into the Docker daemon as well",
        "all": "of every target whose executable is there, where none is named",
    },
)
def image(
    _: Context,
    arch: Any,
    push: str = "",
    load: bool = False,
    cache: str = "",
    json: bool = False,
    all: bool = False,  # noqa: A002  the name of the option
) -> None:
    """Make one image k3s:VERSION for all platforms from the executables (docs/docker.md)."""
    with reported():
        app = App(Settings(cache=cache))
        there = [] if arch else built(app.artifacts, app.targets(()))
        demand_scope("image", arch, all, [target.name for target in there])
        done = docker_verbs.image(app, arch, push, into_daemon=load)
        show.image(done, as_json=json)


@task(
    iterable=["arch"],
    help={
        **texts("cache", "json"),
        "arch": "target to register; may be given several times (default: only show)",
        "remove": "take back what was registered, of all targets where none is named",
        "backend": "docker: by a privileged container, where you are not root; else native",
    },
)
def binfmt(
    _: Context,
    arch: Any,
    remove: bool = False,
    backend: str = NATIVE,
    cache: str = "",
    json: bool = False,
) -> None:
    """Let this machine and its containers run a target's programs on its CPU (docs/docker.md)."""
    with reported():
        app = App(Settings(cache=cache))
        register = docker_verbs.binfmt
        if is_docker(backend):
            # What it imports is a tenth of every verb's start otherwise.
            from buildsys.docker.privileged import binfmt as register
        show.binfmt(register(app, arch, remove=remove), as_json=json)


@task(
    iterable=["arch", "to"],
    help={
        **texts("cache", "json"),
        "arch": NAMED,
        "dry-run": "make everything in artifacts/release, publish nothing",
        "to": "where to publish: folder:, github:, webdav:, s3: or oci: (docs/release.md)",
        "stable": "move the channel `stable` as well, not only `latest`",
        "all": "of every target that can be released, where none is named",
    },
)
def release(
    _: Context,
    arch: Any,
    to: Any,
    dry_run: bool = False,
    stable: bool = False,
    cache: str = "",
    json: bool = False,
    all: bool = False,  # noqa: A002  the name of the option
) -> None:
    """Prove, lay out and publish a release; a run that was cut short is gone on with."""
    with reported():
        wishes = asked(arch, to, os.environ, dry_run=dry_run, stable=stable)
        app = App(Settings(cache=cache))
        able = [target.name for target in app.targets(()) if target.release]
        demand_scope("release", arch, all, able)
        run, done = pipeline.release(app, wishes)
        show.released(run.tag, run.root, done, as_json=json)


@task(
    iterable=["arch"],
    help={
        **texts("arch", "cache", "json"),
        "release": "the targets of a release, those that are proven too",
    },
)
def matrix(
    _: Context, arch: Any, release: bool = False, cache: str = "", json: bool = False
) -> None:
    """The jobs of a CI: one for each target that is not proven as it is now (docs/ci.md)."""
    with reported():
        ci_verbs.matrix(App(Settings(cache=cache)), arch, release=release, as_json=json)


@task(
    iterable=["arch", "only", "without"],
    help={
        **texts("arch", "json"),
        "only": f"a step, or a part ({', '.join(GROUPS)}); may be given several times",
        "without": "a step or a part to leave out; may be given several times",
        "list": "the steps that it would run",
    },
)
def ci(
    _: Context,
    arch: Any,
    only: Any,
    without: Any,
    list: bool = False,  # noqa: A002  the name of the option
    json: bool = False,
) -> None:
    """Everything that must hold before a change lands: what CI runs, anywhere (docs/ci.md)."""
    with reported():
        app = App(Settings())
        ci_verbs.ci(app, steps(app.targets(arch), only, without), listed=list, as_json=json)


@task(
    help={
        **texts("cache", "json"),
        "arch": "target, or `auto` for what suits this machine",
        "version": "a release's tag, or a channel: stable, latest",
        "from": "address or folder of the releases (default: $GITHUB_URL, else origin's on GitHub)",
        "to": "folder (default: artifacts/download/<tag>)",
        "images": "the airgap images as well",
    },
)
def download(
    _: Context,
    arch: str = "auto",
    version: str = "stable",
    from_: str = "",
    to: str = "",
    images: bool = False,
    cache: str = "",
    json: bool = False,
) -> None:
    """Get a released k3s-ARCH, checked, with what installs it without a network; print its path."""
    with reported():
        app = App(Settings(cache=cache))
        request = asked_for(app, os.environ, from_, version, arch, to, images=images)
        show.downloaded(receive(app, request), as_json=json)


@task(iterable=["arch"], help=texts("arch", "json"))
def report(_: Context, arch: Any, json: bool = False) -> None:
    """Write artifacts/report.html: jobs, sizes, verdicts and memory of what is built, in one file.

    It asks no network when it is read. Without --arch it shows every target that is built.
    """
    with reported():
        path, facts = write_report(App(Settings()), arch)
        show.report(path, facts, as_json=json)
        raise_untried(facts)


@task(help=texts("json"))
def proof(_: Context, json: bool = False) -> None:
    """Write docs/proof.md, its pictures and README's table of targets from the verdicts at hand."""
    with reported():
        app = App(Settings())
        show.paths(keep(app.artifacts, app.root, app.project), as_json=json)


@task(
    name="list",
    iterable=["arch"],
    help={
        **texts("arch", "json"),
        "components": "only the components, with their sizes and last verdicts",
        "markdown": "the components as docs/components.md has them",
        "write": "write docs/components.md and the exit codes of docs/cli.md",
    },
)
def list_(
    _: Context,
    arch: Any,
    components: bool = False,
    markdown: bool = False,
    write: bool = False,
    json: bool = False,
) -> None:
    """List the targets, the profiles and the components; what is missing comes with its reason."""
    with reported():
        app = App(Settings())
        if write:
            codes = app.root / PAGE
            write_atomic(codes, updated(codes.read_text("utf-8")).encode())
            show.paths([write_page(app.root, app.project), codes], as_json=json)
        elif markdown:
            print(components_page(app.project), end="")
        else:
            targets = app.targets(arch)
            show.listing(app.project, targets, app.artifacts, only=components, as_json=json)


@task(
    iterable=["arch", "for_"],
    help={
        **texts("arch", "cache", "json"),
        "store": "compare every store entry with its record",
        "for": f"what this host is for ({', '.join(PURPOSES)}); may be given several times "
        "(default: show all, and fail for what builds require)",
    },
)
def doctor(
    _: Context,
    arch: Any,
    for_: Any,
    cache: str = "",
    store: bool = False,
    json: bool = False,
) -> None:
    """Name what this host is missing, and the command that cures it."""
    with reported():
        app = App(Settings(cache=cache))
        findings = chosen(app.examine(arch), for_ or PURPOSES)
        damaged = verify_store(app.cache, app.progress) if store else []
        purposes = for_ or ["build"]
        show.findings(findings, damaged, purposes, app.progress, as_json=json)


@task(
    iterable=["arch", "for_"],
    help={
        **texts("arch"),
        "for": f"what this host is for ({', '.join(PURPOSES)}); may be given several times "
        "(default: all of it)",
    },
)
def setup(_: Context, arch: Any, for_: Any) -> None:
    """Install the Debian packages that doctor misses, as root or by sudo."""
    with reported():
        app = App(Settings())
        install(chosen(app.examine(arch), for_ or PURPOSES), app.progress)


@task(
    help={
        "unit": "only the tests that need neither network nor toolchain",
        "all": "those too that compile k3s and its large images, or boot machines: hours",
        "built": "only what runs the large programs of this target, once it is built",
    }
)
def test(
    context: Context,
    unit: bool = False,  # noqa: PT028  a command, no test
    all: bool = False,  # noqa: A002, PT028  the name of the option
    built: str = "",  # noqa: PT028
) -> None:
    """Run the tests, one process for each CPU; what is left out is named at the end."""
    if unit + all + bool(built) > 1:
        raise UsageError(
            "test takes one of --unit, --all and --built, or none", action="leave out the others"
        )
    with reported():
        run = testing.command(App(Settings()).targets, unit=unit, everything=all, built=built)
    context.run(run.line, env=run.environment, pty=sys.stdout.isatty())


@task(
    iterable=["keep"],
    help={
        **texts("cache", "json"),
        "everything": "remove downloads, store and compiler caches as well",
        "verdicts": "remove verdicts and what is proven as well: they take hours of boots",
        "keep": "only shrink the store to what this target is made of; may be given several times",
        "dry-run": "only say what would go, and how much that is",
    },
)
def clean(
    _: Context,
    keep: Any,
    cache: str = "",
    everything: bool = False,
    verdicts: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """Remove artifacts, logs and what killed runs left; verdicts, store and downloads stay."""
    with reported():
        app = App(Settings(cache=cache))
        if keep:
            gone = prune(app, app.plan(keep), dry=dry_run)
            if not dry_run:
                shrink(app)
        else:
            gone = remove(app, everything=everything, verdicts=verdicts, dry=dry_run)
        show.removed(gone, as_json=json)


@task(positional=["name"], help={"name": "what to measure; `list` names what there is"})
def bench(_: Context, name: Any) -> None:
    """Measure, side by side in one run; `invoke bench list` names what there is."""
    with reported():
        bench_run(name)


# Started by `invoke`, whose own program says less and exits with 1 for all that it refuses.
if "invoke.main" in sys.modules:
    run_commands(sys.modules[__name__])
