"""Runs that are cut off, by kill -9 at any moment or by Ctrl-C."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from buildsys.cache import unfinished
from buildsys.run import ending_with_us

from .project import (
    HELLO,
    USER,
    Checkout,
    fill,
    kill_group,
    lend,
    new_checkout,
    processes_below,
    settled,
    tree,
)

pytestmark = pytest.mark.integration

KILLS = int(os.environ.get("K3S_TEST_KILLS", "5"))
"""How many kills: few are enough to see that it works, `test_a_hundred_kills` has the others."""

SEED = os.environ.get("K3S_TEST_SEED", "")
"""Chooses the moments; without it they are others in each run, and its own seed is printed."""


def moments() -> random.Random:
    """Where kills come from; what is printed repeats a run that failed."""
    seed = SEED or str(random.SystemRandom().randrange(10**9))
    print(f"K3S_TEST_SEED={seed}")
    return random.Random(seed)


def renew(checkout: Checkout, text: str) -> None:
    """Components that no store has: every phase of a build is gone through again."""
    checkout.c("k3s", {"main.c": fill(HELLO, text=text)})
    checkout.c("tool", {"main.c": fill(USER, text=text)}, needs=["greet"])
    (checkout.root / "recipes/script/src/script.sh").write_text(f"#!/bin/sh\necho {text}\n")


def wait_for(word: str, process: subprocess.Popen[bytes], seconds: float = 30) -> None:
    """Until a process below the checkout runs `word`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if word in (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode():
                        return
                except (OSError, UnicodeDecodeError):
                    continue
        time.sleep(0.02)
    raise AssertionError(f"no {word}: {process.communicate()[0].decode()}")


def test_random_kills(tmp_path: Path, warm: Path, nonce: str) -> None:
    many_kills(tmp_path, warm, nonce, KILLS)


@pytest.mark.slow
def test_a_hundred_kills(tmp_path: Path, warm: Path, nonce: str) -> None:
    many_kills(tmp_path, warm, nonce, 100)


def many_kills(tmp_path: Path, warm: Path, nonce: str, count: int) -> None:
    checkout = new_checkout(tmp_path / "checkout", tmp_path / "cache", warm, own=True)
    checkout.standard(text=nonce)
    places = moments()
    begin = time.monotonic()
    assert checkout.cli("build", "--arch", "armv6").code == 0
    whole = time.monotonic() - begin
    killed = 0
    for turn in range(count):
        renew(checkout, f"{nonce}-{turn}")
        process = checkout.start("build", "--arch", "armv6")
        moment = places.uniform(0, whole)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            killed += 1
        print(f"kill {turn} after {moment:.3f} s of {whole:.3f}")
        kill_group(process, signal.SIGKILL)
        assert settled(checkout.root, checkout.cache) == [], "outlived its parent"

        done = checkout.cli("build", "--arch", "armv6", "--json")
        assert done.code == 0, (turn, done.text)
        assert checkout.leftovers() == [], turn
        data = json.loads(done.text[done.text.index("{\n") :])
        assert {row["result"] for row in data["components"]} <= {"built", "cached"}
    assert checkout.damaged() == []
    assert count < 20 or killed > count / 4, (killed, whole)
    assert list(checkout.cache.glob("aside/*")) == [], "nothing was found damaged"
    # A cache that was never disturbed gives the same bytes.
    calm = Checkout(tmp_path / "calm", tmp_path / "calm cache")
    shutil.copytree(checkout.root, calm.root, ignore=shutil.ignore_patterns("artifacts"))
    lend(calm.cache, warm, own=True)
    assert calm.cli("build", "--arch", "armv6").code == 0
    keys = checkout.keys()
    assert calm.keys() == keys
    for name, key in keys.items():
        trees = [tree(c.cache / "store" / key / "files") for c in (checkout, calm)]
        assert trees[0] == trees[1], name
    executables = [(c.root / "artifacts/k3s-armv6").read_bytes() for c in (checkout, calm)]
    assert executables[0] == executables[1]


def test_orphan_does_not_start(tmp_path: Path) -> None:
    """A parent may die between the fork and the call that ties the child to its life."""
    command = ending_with_us(["touch", str(tmp_path / "started")])
    assert subprocess.run(command).returncode == 0
    (tmp_path / "started").unlink()
    adopted = subprocess.run(["sh", "-c", '"$@"; exit $?', "sh", *command])
    assert adopted.returncode == 1
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("to", ["process", "group"])
def test_interrupt(checkout: Checkout, nonce: str, to: str) -> None:
    seconds = 300 + int(nonce[1:5], 16) / 7
    checkout.make("slow", {"Makefile": f"slow:\n\tsleep {seconds}\n"}, {"slow": "slow"})
    checkout.c("k3s", {"main.c": fill(HELLO, text=nonce)})
    process = checkout.start("build", "--arch", "armv6", "--only", "slow", "--only", "k3s")
    wait_for(f"sleep {seconds}", process)
    begin = time.monotonic()
    if to == "group":
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert time.monotonic() - begin < 10, "it waited for the job"
    assert process.returncode == 130, out.decode()
    assert "Traceback" not in out.decode()
    assert settled(checkout.root, checkout.cache) == []
    assert checkout.cli("build", "--arch", "armv6", "--only", "k3s").code == 0
    assert checkout.leftovers() == [], "the next run swept"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_death_takes_the_job_with_it(
    checkout: Checkout, nonce: str, number: signal.Signals
) -> None:
    seconds = 300 + int(nonce[1:5], 16) / 7
    checkout.make("slow", {"Makefile": f"slow:\n\tsleep {seconds}\n"}, {"slow": "slow"})
    process = checkout.start("build", "--arch", "armv6", "--only", "slow")
    wait_for(f"sleep {seconds}", process)
    assert any(
        f"sleep {seconds}" in line for line in processes_below(checkout.root, checkout.cache)
    )
    process.send_signal(number)
    process.communicate(timeout=10)
    assert settled(checkout.root, checkout.cache) == []
    checkout.c("k3s", {"main.c": fill(HELLO, text=nonce)})
    assert checkout.cli("build", "--arch", "armv6", "--only", "k3s").code == 0
    assert checkout.leftovers() == [], "the next run swept"


def killed_writer(path: Path) -> None:
    """Let another process die by kill -9 while it writes a file; its hidden beginning is left."""
    child = os.fork()
    if not child:
        with suppress(BaseException), unfinished(path) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(1)
    os.waitpid(child, 0)


def test_the_next_run_sweeps_beside_the_artifacts(checkout: Checkout, nonce: str) -> None:
    """Also beside files that it does not write itself; what is another's stays."""
    checkout.standard(text=nonce)
    checkout.build()
    artifacts = checkout.root / "artifacts"
    tag = "release/download/v1.35.0+k3s-04e8f1b5.1"
    ours = (
        *("timings-armv6.json", "k3s-armv6", "k3s-armv6.json", "report.html"),
        *("verdicts/armv6-audit.json", "verdicts/armv6-smoke.xml", "proven/armv6.json"),
        *("image/index.json", f"image/blobs/sha256/{'0' * 64}"),
        *(f"{tag}/release.json", f"{tag}/k3s-armv6", "release/latest/download/channels.json"),
    )
    theirs = [artifacts / ".mine.json.tmp", artifacts / f".mine.json.{'0' * 32}.tmp"]
    for name in ours:
        (artifacts / name).parent.mkdir(parents=True, exist_ok=True)
        killed_writer(artifacts / name)
    for path in theirs:
        path.touch()
    with unfinished(artifacts / "k3s-armv7.json") as living:
        living.write_text("theirs")
        assert len([*artifacts.rglob(".*")]) == len(ours) + len(theirs) + 1
        checkout.build()
        assert {*artifacts.rglob(".*")} == {*theirs, living}
