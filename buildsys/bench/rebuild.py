"""One line of k3s changed: our whole way to a new executable, beside plain `go build`.

Both compile the same tree at the same path with the same cache; each run changes the line to
something that was never compiled before.
"""

from __future__ import annotations

import difflib
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from uuid import uuid4

from buildsys.app import App, Settings, raise_failures
from buildsys.errors import BuildsysError
from buildsys.model import GoOptions
from buildsys.plan import Job
from buildsys.report import print_table
from buildsys.styles.go import compile_package, stage

TARGET = "armv6"
RUNS = 3
FILE = "pkg/cli/server/server.go"
LINE = 'logrus.Info("Starting " + version.Program + " " + app.App.Version)'


@dataclass(frozen=True)
class Rebuild:
    """Seconds of one run: ours from plan to executable, of which compression; plain go build."""

    ours: float
    compression: float
    built: tuple[str, ...]
    plain: float

    @property
    def more(self) -> float:
        """What ours takes longer than plain go build, beyond compression."""
        return self.ours - self.compression - self.plain


def run() -> None:
    """Change one line of k3s for armv6 and build again, beside plain `go build`."""
    taken = [_once() for _ in range(RUNS)]
    rows = [
        (f"{r.ours:.1f}", f"{r.compression:.1f}", f"{r.plain:.1f}", f"{r.more:.1f}",
         " ".join(r.built))
        for r in taken
    ]  # fmt: skip
    middle = median(r.more for r in taken)
    columns = ("ours s", "compression s", "plain go build s", "more s", "built")
    print_table(f"one line of k3s changed, {TARGET}: {middle:.1f} s more", columns, rows)


def _once() -> Rebuild:
    app = App(Settings())
    plan = app.plan([TARGET])
    if not app.current(plan, app.kept(plan)):
        raise BuildsysError("nothing to change yet", action=f"run `invoke build --arch {TARGET}`")
    with app.cache.scratch("bench") as root:
        for folder in ("recipes", "toolchains"):
            shutil.copytree(app.root / folder, root / folder)
        plain = _plain(app, _word())
        _change(app, root, _word())
        changed = App(Settings(), root=root)
        begin = time.monotonic()
        result = changed.build(changed.plan([TARGET]))
        ours = time.monotonic() - begin
        raise_failures(result)
    built = tuple(
        outcome.result.artifact.recipe
        for outcome in result.outcomes.values()
        if outcome.result and not outcome.result.cached
    )
    compression = changed.timeline.covered(frozenset({"compress"}))
    return Rebuild(ours, compression, built, plain)


def _word() -> str:
    return f"Starting {uuid4().hex} "


def _plain(app: App, word: str) -> float:
    """Seconds of `go build` alone, in a tree that is all there."""
    plan = app.plan([TARGET], ["k3s"])
    job: Job = plan.jobs[-1]
    options = job.loaded.recipe.options
    assert isinstance(options, GoOptions)
    with app.builder(isolated=True).prepared(job) as context:
        stage(context, options)
        file = context.sandbox.host("src") / FILE
        file.write_text(file.read_text().replace(LINE, LINE.replace("Starting ", word)))
        ((name, package),) = options.build.items()
        begin = time.monotonic()
        compile_package(context, options, name, package)
        return time.monotonic() - begin


def _change(app: App, root: Path, word: str) -> None:
    """Add a patch to the recipe of k3s in `root`."""
    loaded = app.project.recipes["k3s"]
    with tempfile.TemporaryDirectory() as name:
        app.fetcher.unpack(loaded, Path(name), app.cache.logs / "bench.log")
        before = (Path(name) / FILE).read_text().splitlines(keepends=True)
    after = [line.replace(LINE, LINE.replace("Starting ", word)) for line in before]
    if before == after:
        raise BuildsysError(f"{FILE} of k3s has no line {LINE!r}", action="choose another line")
    patch = "".join(difflib.unified_diff(before, after, f"a/{FILE}", f"b/{FILE}"))
    (root / "recipes/k3s/patches/bench.patch").write_text(patch)
    recipe = root / "recipes/k3s/recipe.toml"
    entry = '[[patch]]\nfile = "bench.patch"\nwhy = "bench"\norigin = "bench"\n\n'
    recipe.write_text(recipe.read_text().replace("[output]\n", f"{entry}[output]\n", 1))
