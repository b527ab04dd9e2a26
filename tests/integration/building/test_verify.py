"""Audit and smoke must fail on what is wrong, and say what it is."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from buildsys.errors import AuditError, SmokeError
from buildsys.model import FULL
from buildsys.verify.verbs import verify

from .project import HELLO, MAKE_RECIPE, Checkout, fill, quoted

pytestmark = pytest.mark.integration

LAUNCHER = """\
#include <stdio.h>
int main(void) { puts("k3s version 1.0 ()\\ngo version @GO@"); return 0; }
"""
TEST = '\n[test]\nargv = ["bin/k3s", "me"]\nexpect = "^hello from me$"\n'

# Its v7 code is behind a v6 start file, so that no attribute of the linked file tells.
DISGUISED = """\
prog: main.c far.c
\t$(CC) -c main.c -o main.o
\t"$(ROOM)/zig/zig" cc -target arm-linux-musleabihf -mcpu=cortex_a7 -O2 -c far.c -o far.o
\t"$(ROOM)/zig/zig" cc -target arm-linux-musleabihf -mcpu=arm1176jzf_s -O2 -static \\
\t\t-Wl,--strip-all -fno-sanitize=undefined main.o far.o -o prog
"""
FAR = "unsigned far(unsigned a) { return a ^ 0x12345678u; }\n"
NEAR = "unsigned far(unsigned);\nint main(int c, char **v) { (void)v; return far(c) == 7; }\n"


@pytest.fixture
def built(checkout: Checkout) -> Checkout:
    """A checkout whose executable is sound."""
    checkout.c("k3s", {"main.c": fill(HELLO, text="hello")}, extra=TEST)
    go = checkout.app().toolchain.go_version
    checkout.c("launcher", {"main.c": fill(LAUNCHER, go=go)}, into="launcher")
    return checkout


def executable(checkout: Checkout) -> Path:
    result = checkout.build()
    assert result.bundles, result.outcomes
    return result.bundles[0].path


def audit_failure(checkout: Checkout) -> str:
    executable(checkout)
    with pytest.raises(AuditError) as caught:
        verify(checkout.app(), ["armv6"], "audit", FULL, as_json=False)
    return str(caught.value)


def verdict(checkout: Checkout, kind: str) -> dict[str, object]:
    path = checkout.root / f"artifacts/verdicts/armv6-{kind}.json"
    found: dict[str, object] = json.loads(path.read_text())
    suite = ElementTree.parse(path.with_suffix(".xml")).getroot()
    steps = found["steps"]
    assert isinstance(steps, list)
    assert suite.get("tests") == str(len(steps))
    assert suite.get("failures") == str(sum(not step["passed"] for step in steps))
    return found


def test_sound_executable_passes(built: Checkout, capsys: pytest.CaptureFixture[str]) -> None:
    path = executable(built)
    verify(built.app(), ["armv6"], "audit", FULL, as_json=True)
    found = verdict(built, "audit")
    assert found["passed"] is True
    record = json.loads(path.with_name("k3s-armv6.json").read_text())
    assert found["sha256"] == record["sha256"]
    assert json.loads(capsys.readouterr().out)[0]["passed"] is True


def test_control_that_lives_fails_the_audit(built: Checkout) -> None:
    target = built.root / "toolchains/armv6.toml"
    target.write_text(target.read_text().replace('"cortex_a7"', '"arm1136jf_s"'))
    text = audit_failure(built)
    assert "control of the next CPU dies" in text
    assert "this emulator proves nothing" in text


def test_component_that_says_something_else(built: Checkout) -> None:
    recipe = built.root / "recipes/k3s/recipe.toml"
    recipe.write_text(recipe.read_text().replace("^hello from me$", "^goodbye$"))
    text = audit_failure(built)
    assert "run k3s" in text
    assert "hello from me" in text


def test_component_without_a_test(built: Checkout) -> None:
    recipe = built.root / "recipes/k3s/recipe.toml"
    recipe.write_text(recipe.read_text().replace(TEST, ""))
    assert "the recipe of k3s has no test" in audit_failure(built)


def test_launcher_of_another_version(built: Checkout) -> None:
    source = built.root / "recipes/launcher/src/main.c"
    source.write_text(source.read_text().replace("version 1.0", "version 1.1"))
    assert "run launcher" in audit_failure(built)


def test_damaged_frame_is_named(built: Checkout) -> None:
    path = executable(built)
    data = bytearray(path.read_bytes())
    data[len(data) - 2500] ^= 1
    path.write_bytes(data)
    with pytest.raises(AuditError, match="unpack"):
        verify(built.app(), ["armv6"], "audit", FULL, as_json=False)
    assert verdict(built, "audit")["passed"] is False


def test_disguised_code_of_another_cpu(built: Checkout) -> None:
    """What the build's check cannot see, because no wrapper linked it, the audit finds."""
    makefile = DISGUISED
    files = ", ".join(quoted([name]) + " = " + quoted(["bin/prog"]) for name in ["prog"])
    text = fill(MAKE_RECIPE, name="prog", install=files, files='"bin/prog" = "bin/prog"',
                into="executable")  # fmt: skip
    test = '\n[test]\nargv = ["bin/prog"]\nexpect = "^$"\n'
    built.recipe("prog", text + test, {"Makefile": makefile, "main.c": NEAR, "far.c": FAR})
    found = audit_failure(built)
    assert "bounds bin/prog" in found
    assert "MOVW and MOVT" in found
    assert "run prog" in found
    assert "SIGILL" in found


def test_smoke_of_what_is_no_server(built: Checkout) -> None:
    executable(built)
    with pytest.raises(SmokeError, match="first start"):
        verify(built.app(), ["armv6"], "smoke", FULL, as_json=False)
    steps = verdict(built, "smoke")["steps"]
    assert isinstance(steps, list)
    assert [step["name"] for step in steps if step["passed"]] == ["prepare"]
