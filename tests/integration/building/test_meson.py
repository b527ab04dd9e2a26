"""The style `meson` on its own: cross-compiled, with generators that run on the build machine."""

from __future__ import annotations

import struct

import pytest

from buildsys.errors import CommandError

from .meson_project import meson_recipes
from .project import Checkout, emulated, machine

pytestmark = pytest.mark.integration


def test_program_of_a_library_and_a_generated_header(checkout: Checkout, nonce: str) -> None:
    meson_recipes(checkout, nonce)
    artifact = checkout.artifact("mes-armv6")
    program = artifact.path("bin/mes")
    assert machine(program) == 40
    word, prefix, file, size, maker, stones, _ = emulated(program, "one").split()
    assert (word, prefix, stones) == (nonce, "bin", "42")
    assert (size, maker) == ("4", str(struct.calcsize("P")))
    assert file.endswith("src/main.c")


def test_probes_are_no_linked_objects(checkout: Checkout, nonce: str) -> None:
    """What meson links to get to know the compiler would be judged as part of the program."""
    meson_recipes(checkout, nonce)
    checks = checkout.artifact("mes-armv6").checks
    # main.c.o, stones.c.o in its archive, and the repairs of the C library.
    assert checks["linked_objects"] == 3


def test_nothing_is_downloaded_in_place_of_what_is_lacking(checkout: Checkout, nonce: str) -> None:
    meson_recipes(checkout, nonce)
    source = checkout.root / "recipes/mes/src"
    (source / "subprojects").mkdir()
    wrap = "[wrap-file]\ndirectory = pebbles-1\nsource_url = https://localhost/pebbles.tar\n"
    wrap += f"source_filename = pebbles.tar\nsource_hash = {'0' * 64}\n"
    (source / "subprojects/pebbles.wrap").write_text(f"{wrap}[provide]\npebbles = dep\n")
    build = source / "meson.build"
    build.write_text(build.read_text().replace("dependency('stones')", "dependency('pebbles')"))
    with pytest.raises(CommandError) as caught:
        checkout.artifact("mes-armv6")
    assert "pebbles" in caught.value.what
    assert "downloading is disabled" in caught.value.what


def test_style_c_finds_the_library_by_its_package(checkout: Checkout, nonce: str) -> None:
    meson_recipes(checkout, nonce)
    main = "#include <stdio.h>\n#include <stones.h>\n"
    main += f'int main(int argc, char **argv) {{ (void)argv; printf("{nonce} %d", stones(argc)); }}'
    recipe = checkout.c("user", {"main.c": main}, needs=["stones"]) / "recipe.toml"
    text = recipe.read_text()
    assert 'libs    = ["stones"]' in text
    recipe.write_text(text.replace('libs    = ["stones"]', 'packages = ["stones"]'))
    assert emulated(checkout.artifact("user-armv6").path("bin/user")) == f"{nonce} 41"
    recipe.write_text(text.replace('libs    = ["stones"]', 'packages = ["pebbles"]'))
    with pytest.raises(CommandError, match="pebbles"):
        checkout.artifact("user-armv6")
