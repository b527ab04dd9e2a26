"""SIGKILL at random moments of every verb that writes: nothing is lost, the next run ends right.

Each run is a fork of this process, so that kills fall into the work and not into Python's start.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from buildsys.app import App, Settings, raise_all, raise_failures
from buildsys.clean import clean, prune
from buildsys.download import Place, Request, download
from tests.folders import PAUSE, Folders

from ..release.flat import NEXT, TAG, Published, program, version
from .goproxy import Proxy, go_recipe
from .project import Checkout, new_checkout, settled
from .test_kill import moments

pytestmark = [pytest.mark.integration, pytest.mark.slow]

KILLS = int(os.environ.get("K3S_TEST_KILLS", "40"))
"""Of each verb."""

THEIRS = ("photos/a.jpg", "work/thesis/t.tex", "logs/l", "store/letters/l")
"""Files of somebody in the cache, and of the artifacts `NOTES`."""

NOTES = "my-notes.txt"

VERSION = "v1.35.0+k3s-04e8f1b5"


def forked(doing: Callable[[], object]) -> int:
    """Start `doing` in a session of its own; its process. It ends with 0 if nothing was raised."""
    child = os.fork()
    if child:
        return child
    code = 1
    with suppress(BaseException):
        os.setsid()
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        doing()
        code = 0
    os._exit(code)


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed(doing: Callable[[], object], seconds: float) -> bool:
    """Kill a run of `doing` after so many seconds; whether it still ran."""
    child = forked(doing)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return ended(child) == -signal.SIGKILL


def kill_all(
    prepare: Callable[[int], object],
    doing: Callable[[], object],
    right: Callable[[int], object],
    folders: tuple[Path, ...],
) -> None:
    """Prepare, kill, let the next run end, look; `KILLS` times."""
    places, count = moments(), 0
    wholes: list[float] = []
    for turn in range(KILLS + 1):
        prepare(turn)
        begin = time.monotonic()
        if turn:
            # Early ones more often: some turns have less to do than the first.
            moment = places.random() ** 2 * max(wholes)
            hit = killed(doing, moment)
            count += hit
            print(f"kill {turn} after {moment:.4f} s of {max(wholes):.4f}: {hit}", flush=True)
            assert settled(*folders) == [], "outlived its parent"
        assert ended(forked(doing)) == 0, f"turn {turn}: the next run failed"
        if not turn:
            wholes.append(time.monotonic() - begin)
        right(turn)
    print(f"{count} of {KILLS} runs were killed before their end", flush=True)
    assert count > KILLS / 4


def with_theirs(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def demand_theirs(root: Path, *names: str) -> None:
    for name in names:
        assert (root / name).read_text() == name, "lost"


class Small(Folders):
    """A checkout of three recipes that are copied, and its cache; both with files of somebody."""

    @property
    def cache(self) -> Path:
        return self.root.parent / "cache"

    def fill(self) -> None:
        for name, into in (("k3s", "executable"), ("launcher", "launcher")):
            self.recipe(name, into=into, version=VERSION)
        self.image("pause", PAUSE)
        self.armv6()
        self.app().cache  # noqa: B018  it is made
        with_theirs(self.cache, *THEIRS)
        with_theirs(self.root / "artifacts", NOTES)

    def app(self) -> App:
        return App(Settings(cache=str(self.cache), jobs=2), self.root)

    def build(self) -> None:
        app = self.app()
        plan = app.plan(["armv6"])
        raise_failures(app.build(plan))
        app.write_timings(plan)

    def renew(self, turn: int) -> None:
        for name in ("k3s", "launcher", "pause"):
            self.write(f"recipes/{name}/src/tool", f"program {name} {turn}\n" * 20_000)

    def look(self) -> None:
        """Nothing is lost or left, and what is there is right."""
        demand_theirs(self.cache, *THEIRS)
        demand_theirs(self.root / "artifacts", NOTES)
        assert {p.name for p in (self.cache / "work").iterdir()} == {"thesis"}
        hidden = [*(self.cache / "frames").glob(".*"), *(self.cache / "store").glob(".*")]
        assert [*hidden, *(self.root / "artifacts").rglob(".*")] == []
        assert not [*self.cache.glob("aside/*")], "nothing was found damaged"
        app = self.app()
        for key in (path.name for path in (self.cache / "store").glob("[0-9a-f]" * 64)):
            entry = app.store.get(key)
            assert entry, key
            app.store.verify(entry)


@pytest.fixture
def small(tmp_path: Path) -> Small:
    made = Small(tmp_path / "checkout")
    made.fill()
    return made


def test_build(small: Small) -> None:
    def right(turn: int) -> None:
        small.look()
        app = small.app()
        plan = app.plan(["armv6"])
        assert app.current(plan, app.kept(plan)), "all is there"

    kill_all(small.renew, small.build, right, (small.root, small.cache))


def test_clean_and_prune(small: Small) -> None:
    turns = [0]

    def prepare(turn: int) -> None:
        turns[0] = turn
        small.renew(turn)
        small.build()
        small.renew(turn + 1000)
        small.build()

    def run() -> None:
        app = small.app()
        if turns[0] % 2:
            prune(app, app.plan(["armv6"]))
        else:
            clean(app, everything=turns[0] % 4 == 0, verdicts=False, dry=False)

    def right(turn: int) -> None:
        if turn % 2:
            app = small.app()
            plan = app.plan(["armv6"])
            assert {*app.store.keys()} == {job.key for job in plan.jobs}
            assert app.current(plan, app.kept(plan)), "what is needed was not taken"
        small.build()
        small.look()

    kill_all(prepare, run, right, (small.root, small.cache))


def test_download(tmp_path: Path) -> None:
    public = Published(tmp_path / "public")
    folder = tmp_path / "here"
    with_theirs(folder, NOTES)
    tags = (TAG, NEXT)
    programs = [program("armv6", version("armv6", tag), padding=24 << 20) for tag in tags]
    for tag, one in zip(tags, programs, strict=True):
        public.release(tag, "armv6", programs={"armv6": one}, extra={"install.sh": b"#!/bin/sh\n"})
    state = {"turn": 0}

    def run() -> None:
        app = App(Settings(cache=str(tmp_path / "cache")))
        tag = str(tags[state["turn"] % 2])
        download(app, Request(Place(str(public.root)), tag, "armv6", folder, images=False))

    def right(turn: int) -> None:
        assert (folder / "k3s-armv6").read_bytes() == programs[turn % 2]
        names = {"k3s-armv6", "install.sh", "release.json", "sha256sums.txt", NOTES}
        assert {path.name for path in folder.iterdir()} == names
        demand_theirs(folder, NOTES)

    kill_all(lambda turn: state.update(turn=turn), run, right, (folder,))


def test_fetch(tmp_path: Path, proxy: Proxy, nonce: str) -> None:
    checkout: Checkout = new_checkout(tmp_path / "checkout", tmp_path / "cache")
    checkout.c("k3s", {"main.c": "int main(void) { return 0; }\n"})
    with_theirs(checkout.cache, *THEIRS)

    def app() -> App:
        return App(Settings(str(checkout.cache), go_proxy=proxy.url), checkout.root)

    def prepare(turn: int) -> None:
        # Other modules in each turn: a version of a module has one content.
        name = f"example.test/{nonce}{turn}"
        big = random.Random(turn).randbytes(1 << 20).hex()
        files = {"go.mod": f"module {name}dep\n", "dep.go": "package dep\n", "big.txt": big}
        dep = proxy.add(f"{name}dep", "v1.0.0", files)
        mod = f"module {name}\n\ngo 1.25\n\nrequire {dep.name} {dep.version}\n"
        files = {"go.mod": mod, "go.sum": dep.sums, "main.go": "package main\n", "big.txt": big}
        go_recipe(checkout, proxy.add(name, "v1.2.3", files))

    def run() -> None:
        one = app()
        raise_all(one.fetch(one.plan(["armv6"]), everything=True).items())

    def right(_: int) -> None:
        one = app()
        sources = [job.loaded.recipe.source for job in one.plan(["armv6"]).jobs]
        assert [one.fetcher.lacks(source) for source in sources] == [None] * len(sources)
        demand_theirs(checkout.cache, *THEIRS)
        assert {path.name for path in one.cache.work.iterdir()} == {"thesis"}
        assert not [*checkout.cache.glob("aside/*")], "nothing was found damaged"

    kill_all(prepare, run, right, (checkout.root, checkout.cache))
