"""One failure stops what needs it and nothing else, and says all there is to know."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from buildsys.errors import CommandError, MissingToolError, PatchError, UnknownNameError

from .project import HELLO, Checkout, fill

pytestmark = pytest.mark.integration

PATCH = """\
--- a/main.c
+++ b/main.c
@@ -1,5 +1,5 @@
 #include <stdio.h>
 int main(int argc, char **argv) {
-    printf("something else\\n");
+    printf("patched\\n");
     return 0;
 }
"""

PATCHED = """
[[patch]]
file   = "0001-words.patch"
why    = "the test wants it"
origin = "ours"
"""


def test_others_go_on(checkout: Checkout, nonce: str) -> None:
    checkout.standard(text=nonce)
    (checkout.root / "recipes/greet/src/greet.c").write_text(f"int greet(int a) {{ {nonce} }}\n")
    done = checkout.cli("build", "--arch", "armv6")
    assert done.code == CommandError.exit_code, done.text
    rows = {line.split()[0]: line.rstrip() for line in done.text.splitlines() if " armv6 " in line}
    assert "waits for greet-armv6" in rows["tool"]
    assert rows["greet"].endswith("failed")
    for name in ("k3s", "launcher", "script"):
        assert rows[name].endswith("built"), rows
    assert "FAILED   greet-armv6: greet: make failed: exit code 2" in done.text
    assert re.search(rf"\| .*error: .*{nonce}", done.text), "the compiler's own words"
    log = re.search(r"next: see (\S+)", done.text)
    assert log and nonce in Path(log[1]).read_text()
    assert not (checkout.root / "artifacts/k3s-armv6").exists()
    assert "error: failed: greet-armv6" in done.text
    assert checkout.leftovers() == []

    # What did not fail is there: the next run, mended, builds the rest only.
    checkout.library()
    states = checkout.states(checkout.build())
    assert {n for n, state in states.items() if state == "built"} == {"greet", "tool"}


def test_another_target_goes_on(checkout: Checkout, nonce: str) -> None:
    checkout.other_target("aaa", {"arm1176jzf_s": "none"})
    checkout.standard(text=nonce)
    result = checkout.build(arch=["aaa", "armv6"])
    assert result.outcomes["k3s-aaa"].error and result.outcomes["k3s-armv6"].result
    assert [bundle.record["target"] for bundle in result.bundles] == ["armv6"]


def test_a_budget_stops_its_own_target_only(checkout: Checkout, nonce: str) -> None:
    checkout.other_target("aaa", {"budget_mib = 62": "budget_mib = 0.001"})
    checkout.standard(text=nonce)
    done = checkout.cli("build", "--arch", "aaa", "--arch", "armv6")
    assert done.code == 24, done.text
    assert "k3s-aaa" in done.text and "budget 0.001 MiB" in done.text
    assert (checkout.root / "artifacts/k3s-armv6").is_file(), "the other target was bundled"
    assert not (checkout.root / "artifacts/k3s-aaa").exists()
    assert checkout.leftovers() == []


def test_signal_is_named(checkout: Checkout) -> None:
    checkout.make("doomed", {"Makefile": "all:\n\tkill -SEGV $$$$\n"}, {"x": "x"})
    with pytest.raises(CommandError, match=r"Segmentation fault|SIGSEGV"):
        checkout.artifact("doomed-armv6")


def test_program_that_the_host_lacks_is_asked_for_before_a_compiler_starts(
    checkout: Checkout, nonce: str
) -> None:
    checkout.standard(text=nonce)
    recipe = checkout.root / "recipes/tool/recipe.toml"
    text = recipe.read_text()
    recipe.write_text(text.replace("memory_mib", 'host_tools = ["no-such-packer"]\nmemory_mib', 1))
    done = checkout.cli("build", "--arch", "armv6")
    assert done.code == MissingToolError.exit_code, done.text
    assert "programs are not installed: no-such-packer" in done.text
    assert not list((checkout.cache / "store").iterdir())


def test_output_that_was_not_made(checkout: Checkout, nonce: str) -> None:
    checkout.c("hello", {"main.c": fill(HELLO, text=nonce)})
    recipe = checkout.root / "recipes/hello/recipe.toml"
    recipe.write_text(recipe.read_text().replace('{ "hello" =', '{ "helo" ='))
    done = checkout.cli("build", "--arch", "armv6", "--only", "hello")
    assert done.code == 20, done.text
    assert "the build made no helo" in done.text and "there is: hello" in done.text


def test_patch_that_no_longer_applies(checkout: Checkout, nonce: str) -> None:
    checkout.c(
        "hello",
        {"main.c": fill(HELLO, text=nonce), "../patches/0001-words.patch": PATCH},
        extra=PATCHED,
    )
    with pytest.raises(PatchError) as caught:
        checkout.artifact("hello-armv6")
    text = str(caught.value)
    assert "recipes/hello/patches/0001-words.patch does not apply" in text
    assert "main.c, hunk at line 1; there stands now:" in text
    assert f'printf("{nonce} from' in text, "what is there now"
    # Mended, it applies.
    patch = checkout.root / "recipes/hello/patches/0001-words.patch"
    wanted = next(line for line in fill(HELLO, text=nonce).splitlines() if "printf" in line)
    patch.write_text(PATCH.replace('    printf("something else\\n");', wanted, 1))
    assert b"patched" in checkout.artifact("hello-armv6").path("bin/hello").read_bytes()


@pytest.mark.parametrize(
    ("option", "given", "near"), [("--arch", "armv66", "armv6"), ("--only", "laucher", "launcher")]
)
def test_unknown_name(checkout: Checkout, option: str, given: str, near: str) -> None:
    checkout.standard()
    done = checkout.cli("build", option, given)
    assert done.code == UnknownNameError.exit_code
    assert f"{given!r}" in done.text and f"did you mean {near}?" in done.text


def test_three_mistakes_are_reported_at_once(checkout: Checkout) -> None:
    checkout.standard()
    recipe = checkout.root / "recipes/k3s/recipe.toml"
    text = recipe.read_text().replace("memory_mib = 200", 'memory_mib = "much"\ncolour = 1')
    recipe.write_text(text.replace('path = "src"', 'path = "nowhere"'))
    (checkout.root / "recipes/tool/recipe.toml").write_text("not = = toml")
    done = checkout.cli("build", "--arch", "armv6")
    assert done.code == 10, done.text
    for part in ("k3s/recipe.toml: memory_mib", "k3s/recipe.toml: colour: unknown key", "tool/rec"):
        assert part in done.text
    assert not (checkout.cache / "store").exists() or not list((checkout.cache / "store").iterdir())


def test_paths_with_spaces(tmp_path: Path, checkout: Checkout, nonce: str) -> None:
    checkout.standard(text=nonce)
    spaced = checkout.root.rename(tmp_path / "a project with spaces")
    cache = checkout.cache.rename(tmp_path / "a cache with spaces")
    other = Checkout(spaced, cache)
    done = other.cli("build", "--arch", "armv6")
    assert done.code == 0, done.text
    assert (spaced / "artifacts/k3s-armv6").is_file()
