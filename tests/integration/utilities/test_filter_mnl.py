"""Our libmnl: its own test program on both CPUs, and that this program finds faults."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from buildsys.app import ROOT, App, Settings

from .filter_tools import needs_qemu, tools

pytestmark = pytest.mark.integration

SOURCE = ROOT / "recipes/libmnl/src"


@pytest.mark.parametrize("target", ["amd64", pytest.param("armv6", marks=needs_qemu)])
def test_its_own_test(target: str) -> None:
    done = tools(target).run("mnl-test")
    assert done.code == 0, done
    assert done.out.startswith("all ") and done.out.endswith(" checks passed\n")


def built(folder: Path, *flags: str) -> Path:
    """The test program from the sources in `folder`, for this machine."""
    files = [str(path) for path in [*folder.glob("*.c"), *folder.glob("test/*.c")]]
    app = App(Settings())
    zig = [str(app.toolchain.zig / "zig"), "cc", "-target", "x86_64-linux-musl", "-static"]
    language = ["-std=c11", "-D_GNU_SOURCE", "-O1", "-fno-sanitize=undefined"]
    env = {"ZIG_GLOBAL_CACHE_DIR": str(app.cache.zig), "PATH": "/usr/bin:/bin"}
    program = folder / "mnl-test"
    subprocess.run(
        [*zig, *language, *flags, f"-I{folder}", *files, "-o", str(program)], check=True, env=env
    )
    return program


TRAPS = ["-fsanitize=undefined", "-fsanitize-trap=undefined"]


@pytest.mark.parametrize("flags", [[], TRAPS], ids=["plain", "traps"])
def test_no_fault_without_a_change(tmp_path: Path, flags: list[str]) -> None:
    """Also with the compiler's traps for overflow, misaligned reads and so on."""
    shutil.copytree(SOURCE, tmp_path / "src")
    done = subprocess.run([built(tmp_path / "src", *flags)], capture_output=True, text=True)
    assert done.returncode == 0, done


FAULTS = [
    ("attr.c", " && attr->nla_len <= len", ""),
    ("attr.c", "attr->nla_len >= sizeof *attr && ", ""),
    ("attr.c", "attr->nla_type & NLA_TYPE_MASK", "attr->nla_type"),
    ("nlmsg.c", "nlh->nlmsg_len <= (uint32_t)len", "(int)nlh->nlmsg_len <= len"),
    ("nlmsg.c", "len >= (int)sizeof *nlh && ", ""),
    ("put.c", "	memset(payload + len, 0, MNL_ALIGN(len) - len);\n", ""),
    ("put.c", "MNL_ALIGN(len) > buflen", "len > buflen"),
    ("put.c", "	demand(len <= LONGEST);\n", ""),
    ("put.c", "	demand(size <= UINT16_MAX);\n", ""),
    ("put.c", "type | NLA_F_NESTED", "type"),
    ("validate.c", "payload[len - 1] != 0", "0"),
    ("validate.c", "len < shortest[type] || ", ""),
    ("callback.c", "abs(message->error)", "message->error"),
    ("callback.c", "nlh->nlmsg_len < mnl_nlmsg_size(sizeof message->error)", "0"),
    ("callback.c", "nlh->nlmsg_type < r->controls && ", ""),
    ("callback.c", "differs(nlh->nlmsg_seq, seq)", "0"),
    ("socket.c", "sender.nl_pid != 0", "0"),
    ("socket.c", "message.msg_flags & MSG_TRUNC", "0"),
]


@pytest.mark.parametrize(
    ("file", "right", "wrong"), FAULTS, ids=[f"{f}: {r}" for f, r, _ in FAULTS]
)
def test_a_fault_is_found(tmp_path: Path, file: str, right: str, wrong: str) -> None:
    folder = tmp_path / "src"
    shutil.copytree(SOURCE, folder)
    text = (folder / file).read_text()
    assert text.count(right) == 1, "the sources changed, this list did not"
    (folder / file).write_text(text.replace(right, wrong))
    program = built(folder)
    try:
        done = subprocess.run([program], capture_output=True, text=True, timeout=5)
    except subprocess.TimeoutExpired:
        return  # found as well: it does not end
    assert done.returncode != 0, done.stdout
