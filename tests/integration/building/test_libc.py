"""The repair of zig's C library: needed still, and at work in what is built."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from buildsys.toolchain import find_toolchain

from .project import Checkout

pytestmark = pytest.mark.integration

EDGE = """\
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
int main(void) {
    char *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page + 4096, 4096);
    for (size_t size = 1; size < 200; size++) {
        char *text = page + 4096 - size - 1;
        memset(text, 'a', size);
        text[size] = 0;
        printf("%s %d\\n", text, memchr(text, 0, 4096) == text + size);
    }
    return 0;
}
"""
"""Strings that end where memory ends."""


def test_bare_zig_still_has_the_fault(warm: Path, tmp_path: Path) -> None:
    """If this fails, zig is repaired: remove buildsys/wrappers/libc.c and this file."""
    source, program = tmp_path / "edge.c", tmp_path / "edge"
    source.write_text(EDGE)
    argv = [str(find_toolchain().zig / "zig"), "cc", "-target", "x86_64-linux-musl", "-O2"]
    env = {"ZIG_GLOBAL_CACHE_DIR": str(warm / "zig"), "PATH": "/usr/bin:/bin"}
    flags = ["-fno-sanitize=undefined", "-static", "-o", str(program), str(source)]
    subprocess.run([*argv, *flags], check=True, env=env, cwd=tmp_path)
    assert subprocess.run([program], capture_output=True).returncode == -signal.SIGSEGV


def test_what_is_built_reads_no_further_than_the_string(checkout: Checkout) -> None:
    checkout.c("edge", {"main.c": EDGE})
    artifact = checkout.artifact("edge-amd64")
    done = subprocess.run([artifact.path("bin/edge")], capture_output=True, text=True)
    assert done.returncode == 0
    assert all(line.endswith("a 1") for line in done.stdout.splitlines())
    assert len(done.stdout.splitlines()) == 199
