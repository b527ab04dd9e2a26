"""The launcher reads YAML as k3s's own reader does, or refuses: compared with that reader.

The reader is gopkg.in/yaml.v2, built from its own source; every text goes through both.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from buildsys.app import ROOT, App

from ..k3s_source import k3s_file
from .yaml_texts import REFUSED, SPELLINGS, document, mutated, soup

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent
SOURCES = ROOT / "recipes/launcher/src"


@dataclass(frozen=True)
class Item:
    """One value of a key, as k3s makes a flag of it; `value` is None for an empty list."""

    key: str
    value: str | None
    first: bool
    appends: bool


def _run(program: Path, texts: Sequence[bytes]) -> list[dict[str, Any]]:
    feed = b"".join(b"%d\n%s" % (len(text), text) for text in texts)
    done = subprocess.run([program], input=feed, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    answers = [json.loads(line) for line in done.stdout.split(b"\n")[:-1]]
    assert len(answers) == len(texts)
    return answers


@pytest.fixture(scope="module")
def go_yaml(app: App, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """k3s's reader; its source comes from the cache, or from the proxy."""
    folder = tmp_path_factory.mktemp("reader")
    env = app.toolchain.go_environment(app.cache, online=True)
    go = str(app.toolchain.go / "bin/go")
    proxy = subprocess.run([go, "env", "GOPROXY"], env=env, check=True, capture_output=True)
    env["GOPROXY"] = f"file://{app.cache.gomod}/cache/download,{proxy.stdout.decode().strip()}"
    env |= {"GOMODCACHE": str(folder / "mod"), "CGO_ENABLED": "0"}
    got = subprocess.run(
        [go, "mod", "download"], cwd=HERE / "yaml_reader", env=env, capture_output=True, text=True
    )
    if got.returncode:
        pytest.skip(f"gopkg.in/yaml.v2 is neither in the cache nor to be reached: {got.stderr}")
    argv = [go, "build", "-o", str(folder / "reader"), "."]
    subprocess.run(argv, cwd=HERE / "yaml_reader", env=env, check=True)
    return folder / "reader"


@pytest.fixture(scope="module")
def ours(app: App, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The launcher's reader alone, with undefined behaviour trapped."""
    program = tmp_path_factory.mktemp("yaml") / "dump"
    sources = [HERE / "yaml_dump.c", *sorted(SOURCES.glob("yaml*.c"))]
    options = ["-target", "x86_64-linux-musl", "-g", "-std=c11", "-Wall", "-Werror", f"-I{SOURCES}"]
    zig = str(app.toolchain.zig / "zig")
    argv = [zig, "cc", *options, "-static", "-o", str(program), *map(str, sources)]
    subprocess.run(argv, check=True)
    return program


def _of_go(answer: dict[str, Any]) -> list[Item]:
    return [
        Item(item["key"], value, at == 0, item["appends"])
        for item in answer["items"]
        for at, value in enumerate(item["values"] or [None])
    ]


def _differs(mine: list[list[Any]], theirs: list[Item]) -> bool:
    """A key that may be a number is told as empty, an inexact value is not compared."""
    if len(mine) != len(theirs):
        return True
    for (key, value, first, appends, _null, none, exact, _line), other in zip(
        mine, theirs, strict=True
    ):
        item = Item(key or other.key, None if none else value, bool(first), bool(appends))
        if not exact:
            item = Item(item.key, other.value, item.first, item.appends)
        if item != other:
            return True
    return False


def _compare(ours: Path, go_yaml: Path, texts: Iterable[bytes]) -> Counter[str]:
    """Counts of what became of the texts. Raises for a text that only k3s refuses or reads."""
    batch = list(texts)
    counts: Counter[str] = Counter()
    for text, mine, theirs in zip(batch, _run(ours, batch), _run(go_yaml, batch), strict=True):
        if "refused" in mine:
            counts["both refuse" if "error" in theirs else "only ours refuses"] += 1
            continue
        assert "error" not in theirs, (text, theirs["error"])
        assert not _differs(mine["items"], _of_go(theirs)), (text, mine, theirs)
        counts["the same"] += 1
    return counts


@pytest.mark.parametrize("text", SPELLINGS)
def test_spelling(ours: Path, go_yaml: Path, text: str) -> None:
    assert _compare(ours, go_yaml, [text.encode()]) == {"the same": 1}


@pytest.mark.parametrize(("text", "line"), REFUSED)
def test_refused_although_k3s_reads_it(ours: Path, go_yaml: Path, text: str, line: int) -> None:
    assert "error" not in _run(go_yaml, [text.encode()])[0]
    (answer,) = _run(ours, [text.encode()])
    assert answer["refused"] and answer["line"] == line


@pytest.mark.parametrize("seed", range(3))
def test_generated(ours: Path, go_yaml: Path, seed: int) -> None:
    """Never another answer, and a document of people's own kind is read."""
    r = Random(seed)
    documents = [document(r) for _ in range(4000)]
    counts = _compare(ours, go_yaml, documents)
    assert counts["the same"] > counts["only ours refuses"]
    _compare(ours, go_yaml, [soup(r) for _ in range(4000)])
    _compare(ours, go_yaml, [mutated(r, text) for text in documents])
    _compare(ours, go_yaml, [mutated(r, r.choice(SPELLINGS).encode()) for _ in range(4000)])


def test_it_is_the_reader_that_k3s_has(app: App) -> None:
    line = next(
        line
        for line in (HERE / "yaml_reader/go.mod").read_text().splitlines()
        if "gopkg.in/yaml.v2" in line
    ).removeprefix("require ")
    assert f"\t{line}\n" in k3s_file(app, "go.mod").decode()


def test_time_is_linear(ours: Path) -> None:
    """Judged by steps that a quadratic reader never finishes: 4 MiB took four hours."""
    for text in (b"- k:\n" * 800_000, b"x: {y: [" + b"[a]," * 900_000 + b"?"):
        assert _run(ours, [text])[0]["refused"]
