"""coreutils: what it computes equals the host's own or is known; files come out as they should."""

from __future__ import annotations

import os
import random
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Tool, ToolOf, artifact

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.built]
"""Its configure script alone takes minutes."""

LINES = "".join(
    f"{word}:{number}:{size}\n"
    for word, number, size in [
        ("pod", 30, "2G"),
        ("node", 4, "512M"),
        ("pod", 30, "2G"),
        ("zone", 100, "1K"),
        ("Agent", 22, "900"),
    ]
)

SAME = [
    "sort",
    "sort -u",
    "sort -t: -k2,2n -k1,1r",
    "sort -t: -k3,3h",
    "uniq -c",
    "cut -d: -f2-",
    "tr a-z A-Z",
    "tac",
    "head -n 2",
    "tail -c 20",
    "wc",
    "nl",
    "od -A x -t x1z",
    "base64 -w 20",
    "base32",
    "fold -w 5",
    "paste -s -d,",
    "sum",
    "cksum",
    "md5sum",
    "sha1sum",
    "sha224sum",
    "sha256sum",
    "sha384sum",
    "sha512sum",
    "b2sum",
    "seq -w 8 11",
    "seq 0.1 0.1 1",
    "factor 18446744073709551557 1000000016000000063",
    "expr 9223372036854775807 * 2",
    "numfmt --to=iec 5368709120",
    "printf %s-%05.2f-%x-\\u00e9\\n a 3.14159 255",
    "date -u -d @1700000000 +%FT%T.%N",
    "date -u -d @4102444800 +%FT%T",
    "date -u -d 2096-02-29T12:00+1year +%s",
    "basename /a/b.c .c",
    "dirname /a/b.c",
    "stat -c %n:%s:%a:%u:%F:%i:%Y:%b /usr/bin/env",
    "stat -L -c %t:%T:%F /dev/null",
    "stat -f -c %s:%b:%c /",
    "readlink -f /proc/self/../../usr/./bin",
    "ls -ldn --time-style=full-iso /usr /etc/passwd",
    "id",
    "nproc",
    "uname -srvn",
    "test 5 -gt 4",
]


@pytest.fixture
def coreutils(tool: ToolOf) -> Callable[[str], Tool]:
    """A program by its name, called by its link."""
    return lambda name: tool("coreutils", f"bin/{name}")


Coreutils = Callable[[str], Tool]


@pytest.mark.parametrize("line", SAME)
def test_as_the_hosts_own(coreutils: Coreutils, line: str) -> None:
    name, *arguments = line.split()
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
    argv = [f"/usr/bin/{name}", *arguments]
    host = subprocess.run(argv, input=LINES.encode(), env=env, capture_output=True, check=True)
    assert coreutils(name).run(*arguments, given=LINES.encode()) == host.stdout


def test_each_link_is_a_program_of_it(coreutils: Coreutils, target: str) -> None:
    links = sorted(path.name for path in (artifact("coreutils", target) / "bin").iterdir())
    assert len(links) > 95
    for name in set(links) - {"coreutils", "[", "test", "false"}:
        first = coreutils(name).text("--version").splitlines()[0]
        assert first.replace("GNU ", "") == f"{name} (coreutils) 9.7"
    coreutils("test").run("", code=1)
    coreutils("[").run("1", "-lt", "2", "]")
    coreutils("false").run(code=1)


def test_more_than_its_memory_is_sorted(coreutils: Coreutils, tmp_path: Path) -> None:
    numbers = random.Random(3).sample(range(10**9), 100_000)
    given = "".join(f"{number}\n" for number in numbers)
    options: list[str | Path] = ["-n", "-S", "200K", "--parallel=2", "-T", tmp_path]
    assert coreutils("sort").text(*options, given=given).split() == [
        str(number) for number in sorted(numbers)
    ]


def test_a_tree_is_copied_whole(coreutils: Coreutils, tmp_path: Path) -> None:
    tree, copy = tmp_path / "tree", tmp_path / "copy"
    (tree / "inner").mkdir(parents=True)
    (tree / "inner" / "a b").write_bytes(bytes(range(256)) * 1000)
    (tree / "inner" / "a b").chmod(0o4750)
    (tree / "same").hardlink_to(tree / "inner" / "a b")
    (tree / "link").symlink_to("inner/a b")
    os.mkfifo(tree / "pipe")
    later = 4_102_444_800 * 10**9 + 123_456_789  # past what 32 bits of seconds can say
    os.utime(tree / "inner" / "a b", ns=(later, later))
    coreutils("cp").run("-a", tree, copy)
    new = copy / "inner" / "a b"
    assert new.read_bytes() == (tree / "same").read_bytes()
    assert stat.filemode(new.stat().st_mode) == "-rwsr-x---"
    assert new.stat().st_mtime_ns == later
    assert new.stat().st_ino == (copy / "same").stat().st_ino
    assert (copy / "link").readlink() == Path("inner/a b")
    assert (copy / "pipe").is_fifo()
    assert coreutils("stat").text("-c", "%Y", new) == "4102444800\n"


def test_files_of_more_than_four_gib(coreutils: Coreutils, tmp_path: Path) -> None:
    big, copy = tmp_path / "big", tmp_path / "copy"
    coreutils("truncate").run("-s", "5G", big)
    with big.open("r+b") as file:
        file.seek(5 * 2**30 - 4)
        file.write(b"end\n")
    coreutils("cp").run("--sparse=always", big, copy)
    assert copy.stat().st_size == 5 * 2**30
    assert copy.stat().st_blocks < 1000
    assert coreutils("tail").text("-c", "4", copy) == "end\n"
    assert coreutils("du").text("-B1", "--apparent-size", copy).split()[0] == str(5 * 2**30)


def test_moving_linking_removing(coreutils: Coreutils, tmp_path: Path) -> None:
    coreutils("mkdir").run("-p", tmp_path / "a/b/c")
    coreutils("install").run("-D", "-m", "640", "/etc/passwd", tmp_path / "a/x/passwd")
    assert stat.S_IMODE((tmp_path / "a/x/passwd").stat().st_mode) == 0o640
    coreutils("ln").run("-s", "-r", tmp_path / "a/x/passwd", tmp_path / "a/b/c/link")
    assert coreutils("realpath").text(tmp_path / "a/b/c/link") == f"{tmp_path}/a/x/passwd\n"
    coreutils("mv").run("-T", tmp_path / "a", tmp_path / "new")
    made = Path(coreutils("mktemp").text("-d", "-p", tmp_path / "new").strip())
    assert made.is_dir() and stat.S_IMODE(made.stat().st_mode) == 0o700
    coreutils("rm").run("-rf", tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_dd_moves_blocks(coreutils: Coreutils, tmp_path: Path) -> None:
    data = random.Random(5).randbytes(40_000)
    (tmp_path / "in").write_bytes(data)
    files = [f"if={tmp_path}/in", f"of={tmp_path}/out"]
    coreutils("dd").run(*files, "bs=1000", "skip=3", "count=30", "seek=2", "status=none")
    assert (tmp_path / "out").read_bytes() == bytes(2000) + data[3000:33000]


def test_programs_that_start_others(coreutils: Coreutils, tmp_path: Path) -> None:
    sleep = shutil.which("sleep") or "sleep"
    coreutils("timeout").run("0.3", sleep, "30", code=124)
    assert coreutils("env").text("-i", "A=b", "/usr/bin/env") == "A=b\n"
    assert coreutils("nice").text("-n", "3", "/usr/bin/nice") == "3\n"
    coreutils("tee").run(tmp_path / "one", tmp_path / "two", given=b"both")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes() == b"both"


@pytest.mark.parametrize("name", ["users", "who"])
def test_an_empty_list_takes_no_memory(coreutils: Coreutils, name: str) -> None:
    """The C library's realloc(p, 0) is NULL, which is not "memory exhausted"."""
    assert coreutils(name).text() in ("", "\n")
