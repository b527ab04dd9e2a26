"""Defaults of a small board: applied where the user chose nothing, and shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from .conftest import Call, Result
from .pack import Pack

pytestmark = pytest.mark.integration

GOGC = "server,agent 1024 env GOGC=40 Less memory for more CPU."
PODS = "server 600 flag kubelet-arg=max-pods=20 Twenty pods fill it."
RESOLV = "agent 1024 flag resolv-conf=/etc/resolv.board A flag that is no list."
ALL = [GOGC, PODS, RESOLV]

PI_ZERO_KIB = 447_520


@pytest.fixture
def board(payload: Pack, launcher_binary: Path, tmp_path: Path) -> Path:
    """An executable with defaults of every kind."""
    pack = replace(payload, defaults=ALL, without=["traefik"])
    return pack.write(launcher_binary, tmp_path / "bin" / "k3s")


Start = Callable[..., Result]


@pytest.fixture
def start(board: Path, call: Call, tmp_path: Path) -> Start:
    """Calls it on a machine with so much memory."""

    def run(
        *words: str, kib: int = PI_ZERO_KIB, env: dict[str, str] | None = None, config: str = ""
    ) -> Result:
        meminfo = tmp_path / "meminfo"
        meminfo.write_text(f"MemTotal:       {kib:>8} kB\nMemFree:          1024 kB\n")
        file = tmp_path / "config.yaml"
        file.write_text(config)
        inside = f'mount --bind "{meminfo}" /proc/meminfo'
        result = call(
            board, *words, env={"K3S_CONFIG_FILE": str(file), **(env or {})}, inside=inside
        )
        assert result.code == 0, result.err
        return result

    return run


def gogc(result: Result) -> str | None:
    return result.environment.get("GOGC")


# ---- applied ----


def test_server(start: Start) -> None:
    for _ in ("first", "steady"):
        result = start("--debug", "server", "--token", "x y")
        assert gogc(result) == "40"
        assert result.arguments[1:] == [
            "--debug",
            "server",
            "--disable=traefik",
            "--kubelet-arg=max-pods=20",
            "--token",
            "x y",
        ]
        assert "Default of a small board: GOGC=40" in result.err
        assert "K3S_BOARD_DEFAULTS=off" in result.err


def test_agent(start: Start) -> None:
    result = start("agent")
    assert gogc(result) == "40"
    assert result.arguments[1:] == ["agent", "--resolv-conf=/etc/resolv.board"]


@pytest.mark.parametrize(
    "words",
    [["token", "list"], ["kubectl", "server"], ["server", "--help"], ["server", "--version"]],
)
def test_nobody_else(start: Start, words: list[str]) -> None:
    result = start(*words)
    assert gogc(result) is None
    assert not any("max-pods" in word for word in result.arguments)


@pytest.mark.parametrize(
    ("kib", "variable", "pods"),
    [
        (1, True, True),
        (600 * 1024 - 1, True, True),
        (600 * 1024, True, False),
        (1024 * 1024 - 1, True, False),
        (1024 * 1024, False, False),
        (64 << 30, False, False),
    ],
)
def test_bounds(start: Start, kib: int, variable: bool, pods: bool) -> None:
    result = start("server", kib=kib)
    assert ("GOGC" in result.environment) == variable
    assert ("--kubelet-arg=max-pods=20" in result.arguments) == pods


def test_unknown_memory(board: Path, call: Call) -> None:
    result = call(board, "server", inside="mount -t tmpfs none /proc")
    assert gogc(result) is None


def test_switch(start: Start) -> None:
    result = start("server", env={"K3S_BOARD_DEFAULTS": "off"})
    assert gogc(result) is None
    assert result.arguments[1:] == ["server", "--disable=traefik"]
    result = start("server", env={"K3S_BOARD_DEFAULTS": "no"})
    assert gogc(result) == "40"
    assert "K3S_BOARD_DEFAULTS is 'no', but only 'off' means something" in result.err


# ---- the user's choice ----


@pytest.mark.parametrize("value", ["100", ""])
def test_variable_of_the_user(start: Start, value: str) -> None:
    assert gogc(start("server", env={"GOGC": value})) == value


@pytest.mark.parametrize(
    "words",
    [
        ["--kubelet-arg=max-pods=30"],
        ["--kubelet-arg", "max-pods=30"],
        ["-kubelet-arg", "max-pods=30"],
        ["-kubelet-arg=max-pods=30"],
        ["--kubelet-arg=--max-pods=30"],
        ["--kubelet-arg=max_pods=30"],
        ["--kubelet-arg=max-pods+=30"],
        ["--kubelet-arg=v=2", "--debug", "--kubelet-arg=max-pods=30"],
    ],
)
def test_flag_of_the_user(start: Start, words: list[str]) -> None:
    result = start("server", *words)
    assert result.arguments[1:] == ["server", "--disable=traefik", *words]
    assert gogc(result) == "40"


@pytest.mark.parametrize(
    "words",
    [
        ["--kubelet-arg=v=2"],
        ["--kubelet-arg", "max-pods-more=30"],
        ["--kubelet-args=max-pods=30"],
        ["--kube-proxy-arg=max-pods=30"],
        ["kubelet-arg=max-pods=30"],
        ["--", "--kubelet-arg=max-pods=30"],
        ["--kubelet-arg"],
    ],
)
def test_other_flags(start: Start, words: list[str]) -> None:
    assert "--kubelet-arg=max-pods=20" in start("server", *words).arguments


@pytest.mark.parametrize(
    "config",
    [
        "kubelet-arg: max-pods=30\n",
        "kubelet-arg: 'max-pods=30' # comment\n",
        "kubelet-arg+: [v=2, max-pods=30]\n",
        "kubelet-arg:\n- v=2\n- max-pods=30\ntoken: x\n",
        "kubelet-arg:\n  # comment\n\n  - v=2\n  - 'max-pods=30'\n",
        'kubelet-arg:\n  ["v=2",\n  # comment\n  "max-pods=30"]\n',
        "kubelet-arg: [\n  v=2, # one\nmax-pods=30\n]\n",
        "kubelet-arg: !!seq [v=2, max-pods=30]\n",
        '{"token": "x", "kubelet-arg": ["v=2", "max-pods=30"]}\n',
        "kubelet-arg: v=2\nkubelet-arg+: max-pods=30\n",
    ],
)
def test_configuration_of_the_user(start: Start, config: str) -> None:
    assert start("server", config=config).arguments[1:] == ["server", "--disable=traefik"]


@pytest.mark.parametrize(
    "config",
    [
        "kubelet-arg: [v=2]\n",
        "kubelet-arg:\n- v=2\nkube-proxy-arg:\n- max-pods=30\n",
        "other: [\n{kubelet-arg: max-pods=30}\n]\n",
        "other:\n  kubelet-arg: max-pods=30\n",
        "other: {kubelet-arg: max-pods=30}\n",
        "# kubelet-arg: max-pods=30\n",
        "kubelet-arg: [{a: max-pods=30}]\n",
        "kubelet-arg: []\n",
        "kubelet-arg:\n",
    ],
)
def test_other_configuration(start: Start, config: str) -> None:
    assert "--kubelet-arg=max-pods=20" in start("server", config=config).arguments


def test_dropin_of_the_user(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "config.yaml.d"
    folder.mkdir()
    (folder / "10-pods.yaml").write_text("kubelet-arg+:\n- max-pods=30\n")
    assert start("server").arguments[1:] == ["server", "--disable=traefik"]


@pytest.mark.parametrize(
    ("words", "config", "env"),
    [
        (["--resolv-conf", "/x"], "", {}),
        ([], "resolv-conf: /x\n", {}),
        ([], "resolv-conf:\n", {}),
        ([], "", {"K3S_RESOLV_CONF": "/x"}),
        ([], "", {"K3S_RESOLV_CONF": ""}),
    ],
)
def test_flag_that_is_no_list(
    start: Start, words: list[str], config: str, env: dict[str, str]
) -> None:
    assert start("agent", *words, config=config, env=env).arguments[1:] == ["agent", *words]


def test_configuration_that_is_a_url(start: Start) -> None:
    """Only the inner program reads it, so flags are left alone; variables cannot be in it."""
    env = {"K3S_CONFIG_FILE": "http://127.0.0.1:1/config.yaml"}
    result = start("server", env=env)
    assert "--kubelet-arg=max-pods=20" not in result.arguments
    assert gogc(result) == "40"
    assert "not applied: the configuration is a URL" in start("--show-defaults", env=env).out


# ---- shown ----


def test_show(start: Start, tmp_path: Path) -> None:
    result = start("--show-defaults", env={"GOGC": "60"}, kib=700 * 1024)
    assert result.err == ""
    assert result.out.splitlines() == [
        "GOGC=40 (server, agent) not applied: you set it. Less memory for more CPU.",
        "kubelet-arg=max-pods=20 (server) not applied: 700 MiB of memory, not less than 600."
        " Twenty pods fill it.",
        "resolv-conf=/etc/resolv.board (agent) applied: 700 MiB of memory, less than 1024."
        " A flag that is no list.",
    ]
    assert not (tmp_path / "data").exists()


def test_show_for_one_start(start: Start) -> None:
    result = start("--show-defaults", "server", "--kubelet-arg=max-pods=9")
    assert "kubelet-arg=max-pods=20 (server) not applied: you set it." in result.out
    assert "resolv-conf" not in result.out
    assert "max-pods" not in start("--show-defaults", "agent").out


def test_show_when_switched_off(start: Start) -> None:
    out = start("--show-defaults", env={"K3S_BOARD_DEFAULTS": "off"}).out
    assert out.count("not applied: K3S_BOARD_DEFAULTS=off.") == len(ALL)


def test_show_as_json(start: Start) -> None:
    shown = json.loads(start("--show-defaults", "--json", env={"K3S_RESOLV_CONF": ""}).out)
    assert [(d["name"], d["applied"]) for d in shown] == [
        ("GOGC", True),
        ("kubelet-arg", True),
        ("resolv-conf", False),
    ]
    assert shown[0] == {
        "name": "GOGC",
        "value": "40",
        "kind": "env",
        "server": True,
        "agent": True,
        "below_mib": 1024,
        "applied": True,
        "because": "437 MiB of memory, less than 1024",
        "why": "Less memory for more CPU.",
    }


def test_show_where_there_are_none(k3s: Path, call: Call) -> None:
    assert call(k3s, "--show-defaults").out == "This k3s has no defaults of its own for amd64\n"
    assert json.loads(call(k3s, "--json", "--show-defaults").out) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--show-defaults", "kubectl"], "only server and agent have defaults: kubectl"),
        (["--show-defaults", "sever"], "only server and agent have defaults: sever"),
        (
            ["--json", "server"],
            "it belongs to --show-defaults, --show-paths or --check-node: --json",
        ),
    ],
)
def test_wrong_usage(board: Path, call: Call, words: list[str], message: str) -> None:
    result = call(board, *words)
    assert result.code == 1
    assert message in result.err


# ---- lines that make no sense ----


@pytest.mark.parametrize(
    "line",
    [
        "",
        "server",
        "server 1024 env GOGC=40",
        "client 1024 env GOGC=40 why",
        "agent,server 1024 env GOGC=40 why",
        "server many env GOGC=40 why",
        "server 1024 var GOGC=40 why",
        "server 1024 env GOGC why",
        "server 1024 env =40 why",
        "server 1024 env gogc=40 why",
        "server 1024 flag Kubelet=40 why",
        "server 1024 env GO\x1bGC=40 why",
        "server 1024 ram GOGC=40 why",
        'server 1024 env GOGC=40 say "why"',
        "server 1024 env GOGC=4\x1b0 why",
        "server 1024 env GOGC=" + "4" * 600 + " why",
    ],
)
def test_lines_that_make_no_sense(
    payload: Pack, launcher_binary: Path, call: Call, tmp_path: Path, line: str
) -> None:
    pack = replace(payload, defaults=[line])
    result = call(pack.write(launcher_binary, tmp_path / "k3s"), "server")
    assert result.code == 65
    assert "manifest" in result.err
    assert "\x1b" not in result.err


def test_a_line_in_the_wrong_place(
    payload: Pack, launcher_binary: Path, call: Call, tmp_path: Path
) -> None:
    pack = replace(
        payload, edit_manifest=lambda text: text.replace("end\n", f"default {GOGC}\nend\n")
    )
    result = call(pack.write(launcher_binary, tmp_path / "k3s"), "server")
    assert result.code == 65
    assert "in the wrong place" in result.err


def test_too_many(payload: Pack, launcher_binary: Path, call: Call, tmp_path: Path) -> None:
    pack = replace(payload, defaults=[GOGC] * 33)
    result = call(pack.write(launcher_binary, tmp_path / "k3s"), "server")
    assert result.code == 65
    assert "33 defaults, more than 32" in result.err


# ---- ARMv6 ----


def test_on_armv6(payload: Pack, arm_launcher_binary: Path, call: Call, tmp_path: Path) -> None:
    """Under the emulated CPU: the memory is right with 32 bits as well."""
    pack = replace(payload, defaults=ALL, head={"target": "armv6", "cpu": "armv6"})
    exe = pack.write(arm_launcher_binary, tmp_path / "k3s")
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(f"MemTotal: {600 * 1024 - 1} kB\n")
    inside = f'mount --bind "{meminfo}" /proc/meminfo; exec qemu-arm-static "{exe}" "$@"'
    result = call(exe, "server", env={"QEMU_CPU": "arm1176"}, inside=inside)
    assert result.code == 0, result.err
    assert gogc(result) == "40"
    assert "--kubelet-arg=max-pods=20" in result.arguments
