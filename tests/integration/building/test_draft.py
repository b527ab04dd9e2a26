"""`build --draft`: larger files sooner, which say what they are, and give way to the real ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from buildsys.bundle.layout import read_manifest

from .project import Checkout

pytestmark = pytest.mark.integration


def made(checkout: Checkout, *options: str) -> tuple[str, dict[str, Any]]:
    """What `invoke build` said, and the record that it left."""
    done = checkout.cli("build", "--arch", "armv6", *options)
    assert done.code == 0, done.text
    return done.text, json.loads((checkout.root / "artifacts/k3s-armv6.json").read_text())


def test_draft_says_so_and_gives_way(checkout: Checkout, nonce: str) -> None:
    checkout.standard(text=nonce)
    executable = checkout.root / "artifacts/k3s-armv6"
    said, record = made(checkout, "--draft")
    assert record["draft"] is True
    assert "k3s-armv6  " in said and "made, a draft" in said
    assert read_manifest(executable).draft
    names = {path.name for path in executable.parent.iterdir()}

    said, record = made(checkout, "--draft")
    assert "unchanged, a draft" in said

    said, record = made(checkout)
    assert record["draft"] is False
    assert ", a draft" not in said
    assert {row["name"] for row in record["components"]} >= {"k3s", "tool"}
    assert not read_manifest(executable).draft
    assert {path.name for path in executable.parent.iterdir()} == names


def test_frames_are_made_while_compilers_run(checkout: Checkout, nonce: str) -> None:
    """At the end of the last compiler only what that one made is left to compress."""
    checkout.standard(text=nonce)
    late = {"Makefile": "late:\n\tsleep 1\n\techo late >$@\n"}
    recipe = checkout.make("late", late, {"late": "bin/late"}, into="executable") / "recipe.toml"
    recipe.write_text(f'needs = ["k3s"]\n{recipe.read_text()}')
    made(checkout)
    spans = json.loads((checkout.root / "artifacts/timings-armv6.json").read_text())["spans"]
    ends = {s["name"]: s["end"] for s in spans if s["kind"] == "compile"}
    begins = {s["name"]: s["begin"] for s in spans if s["kind"] == "compress"}
    assert set(begins) >= {"k3s", "late", "tool"}
    assert begins["k3s"] < ends["late-armv6"]


def test_cpu_seconds_are_told_apart(checkout: Checkout, nonce: str) -> None:
    spin = (
        "spin:\n\ttimeout 1 sh -c 'while :; do :; done' || :\n\thead -c 2000000 /dev/urandom >$@\n"
    )
    checkout.standard(text=nonce)
    checkout.make("spin", {"Makefile": spin}, {"spin": "bin/spin"}, into="executable")
    said, _ = made(checkout, "--json")
    spent = json.loads(said[said.index("{\n") :])["cpu_seconds"]
    assert set(spent) == {"compilers", "compression", "rest"}
    # A grandchild's, which its parents waited for.
    assert spent["compilers"] > 0.2
    assert spent["compression"] > 0
    assert spent["rest"] > 0
