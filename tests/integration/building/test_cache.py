"""A store hit is the whole cache: what is built again, and what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .project import HELLO, Checkout, fill

pytestmark = pytest.mark.integration

ALL = {"k3s", "launcher", "greet", "tool", "script"}


def built(states: dict[str, str]) -> set[str]:
    assert set(states.values()) <= {"built", "cached"}, states
    return {name for name, state in states.items() if state == "built"}


def test_only_what_changed_is_built_again(checkout: Checkout, nonce: str) -> None:
    checkout.standard(text=nonce)
    first = checkout.build()
    assert built(checkout.states(first)) == ALL
    assert not first.bundles[0].cached

    again = checkout.build()
    assert built(checkout.states(again)) == set()
    assert again.bundles[0].cached

    keys = checkout.keys()
    source = checkout.root / "recipes/greet/src/greet.c"
    source.write_text(source.read_text().replace("a * 3", "a * 4"))
    changed = checkout.build()
    assert built(checkout.states(changed)) == {"greet", "tool"}
    assert not changed.bundles[0].cached
    assert {n for n, key in checkout.keys().items() if key != keys[n]} == {"greet", "tool"}

    source.write_text(source.read_text().replace("a * 4", "a * 3"))
    assert built(checkout.states(checkout.build())) == set()


def test_words_about_a_component_are_no_part_of_its_key(checkout: Checkout, nonce: str) -> None:
    checkout.c("hello", {"main.c": fill(HELLO, text=nonce)})
    before = checkout.keys()
    recipe = checkout.root / "recipes/hello/recipe.toml"
    text = recipe.read_text()
    recipe.write_text(text.replace("A program of the test", "Other words"))
    assert checkout.keys() == before
    recipe.write_text(text.replace("flags   = []", 'flags   = ["-DX"]'))
    assert checkout.keys() != before


@pytest.mark.parametrize("change", ["mode", "file added", "file renamed", "flags", "mcpu"])
def test_what_counts_changes_the_key(checkout: Checkout, change: str) -> None:
    checkout.c("hello", {"main.c": fill(HELLO, text="x"), "other.h": ""})
    before = checkout.keys()
    folder = checkout.root / "recipes/hello"
    target = checkout.root / "toolchains/armv6.toml"
    if change == "mode":
        (folder / "src/other.h").chmod(0o755)
    elif change == "file added":
        (folder / "src/new.h").write_text("")
    elif change == "file renamed":
        (folder / "src/other.h").rename(folder / "src/another.h")
    elif change == "flags":
        recipe = folder / "recipe.toml"
        recipe.write_text(recipe.read_text().replace("flags   = []", 'flags   = ["-DX"]'))
    else:
        target.write_text(target.read_text().replace("arm1176jzf_s", "arm1136jf_s"))
    assert checkout.keys() != before


def test_changed_source_does_not_look_unchanged_to_a_compiler(checkout: Checkout) -> None:
    """Zig's cache goes by path, inode, size and time; paths are fixed and inodes come again."""
    seen = []
    for word in ("one", "two"):
        files = {"a.c": f"// {word}\n", "b.c": "", "Makefile": "report:\n\tstat -c %.9Y *.c >$@\n"}
        checkout.make("spy", files, {"report": "report"})
        times = checkout.artifact("spy-armv6").path("report").read_text().split()
        assert len(times) == 2
        assert len(set(times)) == 1, "make must see one time"
        seen.append(times[0])
    assert seen[0] != seen[1]
    assert seen[0].split(".")[0] == seen[1].split(".")[0]


def test_a_second_checkout_shares_the_store(checkout: Checkout, tmp_path: Path, nonce: str) -> None:
    checkout.c("hello", {"main.c": fill(HELLO, text=nonce)})
    assert checkout.states(checkout.build("hello")) == {"hello": "built"}
    moved = checkout.root.rename(tmp_path / "another place")
    other = Checkout(moved, checkout.cache)
    assert other.states(other.build("hello")) == {"hello": "cached"}


def test_the_command_line_says_built_then_cached(checkout: Checkout, nonce: str) -> None:
    checkout.standard(text=nonce)
    first = checkout.cli("build", "--arch", "armv6", "--json")
    assert first.code == 0, first.text
    data = json.loads(first.text[first.text.index("{\n") :])
    assert {row["result"] for row in data["components"]} == {"built"}
    assert [e["target"] for e in data["executables"]] == ["armv6"]
    timings = checkout.root / "artifacts/timings-armv6.json"
    report = timings.read_bytes()
    assert "compile" in {span["kind"] for span in json.loads(report)["spans"]}
    second = checkout.cli("build", "--arch", "armv6", "--json")
    assert second.code == 0, second.text
    data = json.loads(second.text)
    assert {row["result"] for row in data["components"]} == {"cached"}
    assert timings.read_bytes() == report, "of the run that did something"
