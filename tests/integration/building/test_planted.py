"""Code of another CPU is refused by name and attribute, wherever it hides."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from buildsys.errors import CheckError
from buildsys.toolchain import find_toolchain

from .project import HELLO, Checkout, fill

pytestmark = pytest.mark.integration

VENDOR = "int vendor(int a) { return a * 7; }\n"
MAIN = "int vendor(int);\nint main(int c, char **v) { (void)v; return vendor(c) - 7; }\n"
PROGRAM = "prog: main.o\n\t$(CC) main.o @VENDOR@ -o prog\n"


@pytest.fixture
def compile_object(warm: Path, tmp_path: Path) -> bytes:
    """An object for the CPU above: cortex-a7 is ARMv7-A."""
    source, built = tmp_path / "vendor.c", tmp_path / "vendor.o"
    source.write_text(VENDOR)
    flags = ["-target", "arm-linux-musleabihf", "-mcpu=cortex_a7", "-O2"]
    argv = [str(find_toolchain().zig / "zig"), "cc", *flags, "-c", str(source), "-o", str(built)]
    env = {"ZIG_GLOBAL_CACHE_DIR": str(warm / "zig"), "PATH": "/usr/bin:/bin"}
    subprocess.run(argv, check=True, env=env, cwd=tmp_path)
    return built.read_bytes()


def refusal(checkout: Checkout, name: str) -> str:
    with pytest.raises(CheckError) as caught:
        checkout.artifact(f"{name}-armv6")
    assert caught.value.exit_code == 20
    text = str(caught.value)
    assert f"{name} is not code for armv6" in text
    assert checkout.store.get(checkout.keys(name)[name]) is None
    return text


def test_prebuilt_object_in_a_makefile(checkout: Checkout, compile_object: bytes) -> None:
    files: dict[str, str | bytes] = {"main.c": MAIN, "vendor.o": compile_object}
    makefile = fill(PROGRAM, vendor="vendor.o")
    checkout.make("prog", {**files, "Makefile": makefile}, {"prog": "bin/prog"}, "executable")
    text = refusal(checkout, "prog")
    assert "linked object vendor.o: CPU_arch is v7, allowed is v6" in text


def test_prebuilt_object_hidden_in_an_archive(checkout: Checkout, compile_object: bytes) -> None:
    rule = "libvendor.a: vendor.o\n\t$(AR) rc $@ vendor.o\n\trm vendor.o\n"
    makefile = fill(PROGRAM, vendor="-L. -lvendor").replace("main.o\n", "main.o libvendor.a\n", 1)
    files: dict[str, str | bytes] = {
        "main.c": MAIN,
        "vendor.o": compile_object,
        "Makefile": makefile + rule,
    }
    checkout.make("prog", files, {"prog": "bin/prog"}, "executable")
    text = refusal(checkout, "prog")
    assert "libvendor.a" in text
    assert "vendor.o" in text
    assert "CPU_arch" in text


def test_archive_as_the_output_of_a_library(checkout: Checkout, compile_object: bytes) -> None:
    makefile = "libv.a: vendor.o\n\t$(AR) rc $@ vendor.o\n"
    checkout.make("v", {"Makefile": makefile, "vendor.o": compile_object}, {"libv.a": "lib/libv.a"})
    text = refusal(checkout, "v")
    assert "lib/libv.a" in text and "vendor.o" in text and "CPU_arch" in text


def test_prebuilt_object_in_a_c_recipe(checkout: Checkout, compile_object: bytes) -> None:
    files: dict[str, str | bytes] = {"main.c": MAIN, "vendor.o": compile_object}
    checkout.c("prog", files, flags=["vendor.o"])
    assert "CPU_arch is v7, allowed is v6" in refusal(checkout, "prog")


def test_flag_for_another_cpu(checkout: Checkout, nonce: str) -> None:
    checkout.c("prog", {"main.c": fill(HELLO, text=nonce)}, flags=["-mcpu=cortex_a7"])
    text = refusal(checkout, "prog")
    assert "main.c.o: CPU_arch" in text
    assert "-mcpu" in text


def test_prebuilt_program_that_is_only_copied(checkout: Checkout, compile_object: bytes) -> None:
    checkout.c("prog", {"main.c": MAIN, "prog": compile_object})
    recipe = checkout.root / "recipes/prog/recipe.toml"
    text = recipe.read_text().replace('style      = "c"', 'style      = "copy"')
    recipe.write_text(text[: text.index("[c]")] + text[text.index("[output]") :])
    assert "bin/prog: CPU_arch" in refusal(checkout, "prog")
