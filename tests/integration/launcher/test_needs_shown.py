"""`k3s --check-node`, `k3s check-config`, docs/node.md, and output that cannot be written."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildsys.app import ROOT, App

from .conftest import Call
from .fit import Fit, errors, unfit
from .pack import k3s_like

_WHY_NOT = unfit()
pytestmark = pytest.mark.integration
on_a_machine = pytest.mark.skipif(bool(_WHY_NOT), reason=f"no machine can be made here: {_WHY_NOT}")

SOURCES = ROOT / "recipes/launcher/src"
PAGE = ROOT / "docs/node.md"
SCRIPT = b'#!/bin/sh\necho "the script: $# $*"\nexit "${SCRIPT_CODE:-0}"\n'


@pytest.fixture
def fit(inner_program: bytes, launcher_binary: Path) -> Iterator[Fit]:
    """With a script as check-config."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        pack = k3s_like(inner_program, {"bin/check-config": SCRIPT})
        yield Fit(pack.write(launcher_binary, folder / "bin" / "k3s"), folder)


# ---- k3s --check-node ----


@on_a_machine
def test_list(fit: Fit) -> None:
    result = fit("--check-node")
    assert (result.code, result.err) == (0, "")
    names = [line.split()[-1] for line in result.out.splitlines()]
    assert names == list(fit.rows()) and len(set(names)) == len(names)
    assert "not asked  token" in result.out and "ok         token" not in result.out
    assert "ok         token" in fit("--check-node", "agent", "--token", "x").out


@on_a_machine
def test_list_names_what_is_missing(fit: Fit) -> None:
    row = fit.rows(take="ip link set lo down")["loopback"]
    assert row["state"] == "missing"
    result = fit("--check-node", take="ip link set lo down")
    assert result.code == 72
    line = f"missing    loopback: {row['what']}: {row['why']}; do: {row['cure']}"
    assert line in result.out.splitlines()


@on_a_machine
def test_list_is_json_whatever_the_names(fit: Fit) -> None:
    rows = fit.rows("server", "--node-name", 'a"\\\t\x01')
    assert rows["node-name"]["what"].startswith("the node name 'a\"\\\t\x01'")
    assert set(rows["node-name"]) == {"name", "state", "what", "why", "cure", "refused_by"}


@on_a_machine
def test_list_writes_nothing(fit: Fit) -> None:
    assert fit("--check-node", "server", take="find $DATA >&2").err.splitlines() == [
        str(fit.work / "data")
    ]


@on_a_machine
def test_inotify_instances(fit: Fit) -> None:
    """Their limit is taken down in a user namespace of its own, where other things lack, too."""
    script = fit.work / "inside.sh"
    script.write_text('#!/bin/sh\necho 0 >/proc/sys/user/max_inotify_instances\nexec "$@"\n')
    script.chmod(0o755)
    take = f'VIA="unshare --user --map-root-user {script}"'
    row = fit.rows(take=take)["inotify"]
    assert (row["state"], row["what"]) == (
        "missing",
        "all inotify instances of this user are taken",
    )
    assert any("all inotify instances" in line for line in errors(fit("server", take=take)))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--check-node", "kubectl"], "only server and agent make a node: kubectl"),
        (
            ["--json", "server"],
            "it belongs to --show-defaults, --show-paths or --check-node: --json",
        ),
    ],
)
def test_wrong_usage(k3s: Path, call: Call, words: list[str], message: str) -> None:
    result = call(k3s, *words)
    assert result.code == 1 and message in result.err


# ---- k3s check-config ----


@on_a_machine
@pytest.mark.parametrize(
    ("take", "script", "code"),
    [("", "0", 0), ("", "3", 3), ("ip link set lo down", "0", 72), ("ip link set lo down", "3", 3)],
)
def test_check_config(fit: Fit, take: str, script: str, code: int) -> None:
    """First the launcher's list, then the script; the code is the script's, or 72."""
    result = fit("check-config", "/boot/config", "x", take=take, env={"SCRIPT_CODE": script})
    assert result.code == code
    head, *rows = result.out.splitlines()
    assert head.startswith("What a node must have, for `k3s server` here (docs/node.md;")
    assert rows[-2:] == ["", "the script: 2 /boot/config x"]
    assert ("missing    loopback: " in result.out) == bool(take)


@on_a_machine
def test_check_config_of_a_user(fit: Fit) -> None:
    """The service will be root's."""
    via = 'chmod 777 "$DATA"\nVIA="setpriv --reuid=65534 --regid=65534 --clear-groups"'
    result = fit("check-config", take=via)
    assert result.code == 0 and "not asked  root" in result.out


# ---- the clock ----


def test_clock_of_a_board_without_one(app: App, tmp_path: Path) -> None:
    """1970, by the launcher's own function: the clock of the machine stays as it is."""
    names = [
        "needs_identity",
        "needs_file",
        "needs_given",
        "given",
        "config",
        *(path.stem for path in SOURCES.glob("yaml*.c")),
        "path",
        "message",
    ]
    program = tmp_path / "clock"
    subprocess.run(
        [
            *(
                app.toolchain.zig / "zig",
                "cc",
                "-target",
                "x86_64-linux-musl",
                "-O1",
                "-Dtime=test_time",
            ),
            *(f"-I{SOURCES}", "-o", program, Path(__file__).with_name("clock.c")),
            *(SOURCES / f"{name}.c" for name in [*names, "flags"]),
        ],
        check=True,
    )

    def say(seconds: int) -> tuple[int, str]:
        done = subprocess.run(
            [program, tmp_path, str(seconds)], capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout

    assert say(100) == (1, "the clock says 1970-01-01, years before this k3s was made\n")
    assert say(1451606399)[0] == 1
    assert say(1451606400) == (0, "")
    assert say(1 << 33) == (0, "")


# ---- docs/node.md ----


@on_a_machine
def test_page_has_every_row(fit: Fit) -> None:
    """In the launcher's order and words."""
    cells = [
        [cell.strip() for cell in line.strip("|\n ").split(" | ")]
        for line in PAGE.read_text().splitlines()
        if line.startswith("| `")
    ]
    wanted = [
        [
            f"`{row['name']}`",
            *(row[key].replace("|", "\\|") for key in ("why", "cure", "refused_by")),
        ]
        for row in fit.rows().values()
    ]
    assert cells == wanted


# ---- output that cannot be written ----

QUESTIONS = [
    ["--version"],
    ["version"],
    ["help"],
    ["help", "check-config"],
    ["--show-defaults"],
    ["--show-defaults", "--json"],
    ["--check-node"],
    ["--check-node", "--json"],
    ["check-config"],
    ["--generate-bash-completion"],
    ["certificate", "--generate-bash-completion"],
    ["-", "--generate-bash-completion"],
]


def ask(
    k3s: Path, words: list[str], stdout: int, tmp_path: Path
) -> subprocess.CompletedProcess[str]:
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "K3S_DATA_DIR": str(tmp_path / "data")}
    env["K3S_CONFIG_FILE"] = str(tmp_path / "none")
    return subprocess.run(
        [k3s, *words], stdout=stdout, stderr=subprocess.PIPE, text=True, env=env, check=False
    )


@pytest.mark.parametrize("words", QUESTIONS, ids=" ".join)
def test_full_disk(k3s: Path, tmp_path: Path, words: list[str]) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        result = ask(k3s, words, full, tmp_path)
    finally:
        os.close(full)
    assert result.returncode == 74
    assert "k3s: cannot write standard output: No space left on device\n" in result.stderr


@pytest.mark.parametrize("words", QUESTIONS, ids=" ".join)
@pytest.mark.parametrize("ignored", [False, True])
def test_closed_pipe(k3s: Path, tmp_path: Path, words: list[str], ignored: bool) -> None:
    """As usual: by the signal, and quietly."""
    reader, writer = os.pipe()
    os.close(reader)
    before = signal.signal(signal.SIGPIPE, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        env = {
            "PATH": "/usr/bin:/bin",
            "K3S_DATA_DIR": str(tmp_path / "data"),
            "K3S_CONFIG_FILE": "/x",
        }
        done = subprocess.run(
            [k3s, *words],
            stdout=writer,
            stderr=subprocess.PIPE,
            env=env,
            restore_signals=not ignored,
            check=False,
        )
    finally:
        signal.signal(signal.SIGPIPE, before)
        os.close(writer)
    assert done.returncode == -signal.SIGPIPE
    assert b"cannot write" not in done.stderr
