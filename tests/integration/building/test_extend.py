"""A target is one file, a component one folder; nothing of buildsys is touched."""

from __future__ import annotations

import pytest

from .project import HELLO, Checkout, emulated, fill, machine

pytestmark = pytest.mark.integration


def test_new_component_builds_and_runs(checkout: Checkout, nonce: str) -> None:
    checkout.c("hello", {"main.c": fill(HELLO, text=nonce)})
    artifact = checkout.artifact("hello-armv6")
    assert artifact.checks["elves"] == 1
    assert artifact.checks["highest_cpu_arch"] == "v6"
    assert emulated(artifact.path("bin/hello"), "me") == f"{nonce} from me\n"


def test_new_target_builds_and_runs(checkout: Checkout, nonce: str) -> None:
    checkout.other_target("armv6b", {"arm1176jzf_s": "arm1136jf_s"})
    checkout.library()
    main = "#include <greet.h>\n#include <stdio.h>\nint main() { printf(TEXT, greet(2)); }\n"
    checkout.c("hello", {"main.c": f'#define TEXT "{nonce} %d"\n{main}'}, needs=["greet"])
    artifact = checkout.artifact("hello-armv6b")
    assert artifact.target == "armv6b"
    assert machine(artifact.path("bin/hello")) == 40
    assert emulated(artifact.path("bin/hello"), cpu="arm1136") == f"{nonce} 6"
    assert checkout.keys("hello") != {j.recipe: j.key for j in checkout.plan(arch=["armv6b"]).jobs}


def test_both_in_the_listing_and_the_plan(checkout: Checkout) -> None:
    checkout.other_target("armv6b", {})
    checkout.standard()
    listed = checkout.cli("list")
    assert listed.code == 0
    assert "armv6b" in listed.text and "script" in listed.text
    planned = checkout.cli("plan", "--arch", "armv6b")
    assert planned.code == 0, planned.text
    assert "k3s-armv6b" in planned.text and "greet" in planned.text
