"""Subcommands, aliases, help, version: which program gets which arguments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from .conftest import Call
from .pack import Pack

pytestmark = pytest.mark.integration


def nothing_made(tmp_path: Path) -> bool:
    folders = tmp_path / "work", tmp_path / "home"
    return (
        not any(list(folder.iterdir()) for folder in folders) and not (tmp_path / "data").exists()
    )


INTERNAL = [
    "server",
    "agent",
    "token",
    "etcd-snapshot",
    "secrets-encrypt",
    "certificate",
    "completion",
]
EXTERNAL = ["kubectl", "crictl", "ctr", "check-config"]


@pytest.mark.parametrize("command", INTERNAL)
def test_internal_commands_get_the_whole_command_line(k3s: Path, call: Call, command: str) -> None:
    result = call(k3s, "--debug", command, "-x", "a b", name="/usr/local/bin/k3s")
    assert result.arguments == ["/usr/local/bin/k3s", "--debug", command, "-x", "a b"]


@pytest.mark.parametrize("command", EXTERNAL)
def test_external_commands_get_their_own_part(k3s: Path, call: Call, command: str) -> None:
    result = call(k3s, "--debug", command, "--help", "a b", "")
    assert result.arguments == [command, "--help", "a b", ""]


@pytest.mark.parametrize("command", INTERNAL)
def test_each_internal_command_has_its_name_in_the_payload(
    payload: Pack, launcher_binary: Path, call: Call, tmp_path: Path, command: str
) -> None:
    others = {path: to for path, to in payload.links.items() if path != f"bin/k3s-{command}"}
    exe = replace(payload, links=others).write(launcher_binary, tmp_path / "without" / "k3s")
    result = call(exe, command)
    assert result.code == 127
    assert f"/bin/k3s-{command} cannot be run" in result.err
    assert "this k3s was packed without that program" in result.err


@pytest.mark.parametrize("alias", ["kubectl", "crictl", "ctr"])
@pytest.mark.parametrize("folder", ["", "/usr/local/bin/", "./"])
def test_aliases(k3s: Path, call: Call, alias: str, folder: str) -> None:
    result = call(k3s, "get", "--help", "-v", name=folder + alias)
    assert result.arguments == [alias, "get", "--help", "-v"]


@pytest.mark.parametrize("name", ["k3s", "k3s-armv6", "k3s-server", "check-config", "anything"])
def test_other_names_mean_k3s(k3s: Path, call: Call, name: str) -> None:
    assert call(k3s, "server", name=name).arguments == [name, "server"]


@pytest.mark.parametrize("word", ["--version", "-v", "-version", "--v", "version"])
def test_version_extracts_nothing(k3s: Path, call: Call, tmp_path: Path, word: str) -> None:
    result = call(k3s, word)
    assert (result.code, result.err) == (0, "")
    assert result.out == "k3s version v1.35.0+k3s-test (04e8f1b5)\ngo version go1.25.5\n"
    assert nothing_made(tmp_path)


def test_version_of_a_draft_says_so(
    payload: Pack, launcher_binary: Path, call: Call, tmp_path: Path
) -> None:
    def draft(text: str) -> str:
        return text.replace("\ndata ", "\ndraft yes\ndata ")

    exe = replace(payload, edit_manifest=draft).write(launcher_binary, tmp_path / "draft")
    result = call(exe, "--version")
    assert result.out.startswith("k3s version v1.35.0+k3s-test (04e8f1b5) draft\n")
    assert call(exe, "server").code == 0, "it runs as any other"


@pytest.mark.parametrize("words", [[], ["help"], ["h"], ["--help"], ["-h"], ["--debug", "-d", "x"]])
def test_help_extracts_nothing(k3s: Path, call: Call, tmp_path: Path, words: list[str]) -> None:
    result = call(k3s, *words)
    assert (result.code, result.err) == (0, "")
    assert all(f"   {name} " in result.out for name in INTERNAL + EXTERNAL)
    assert nothing_made(tmp_path)


@pytest.mark.parametrize("words", [["help", "server"], ["-h", "agent"], ["server", "--help"]])
def test_help_of_a_command_comes_from_inside(k3s: Path, call: Call, words: list[str]) -> None:
    assert call(k3s, *words).arguments == ["k3s", *words]


def test_help_of_check_config(k3s: Path, call: Call) -> None:
    assert "k3s check-config" in call(k3s, "help", "check-config").out


def test_unknown_command(k3s: Path, call: Call, tmp_path: Path) -> None:
    result = call(k3s, "sever")
    assert result.code == 3
    assert "No help topic for 'sever'" in result.err
    assert "did you mean 'k3s server'?" in result.err
    assert nothing_made(tmp_path)


def test_unknown_command_without_a_neighbour(k3s: Path, call: Call) -> None:
    result = call(k3s, "q")
    assert result.code == 3
    assert "did you mean" not in result.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nope", "server"], "flag provided but not defined: --nope"),
        (["--data-dir"], "flag needs an argument: --data-dir"),
        (["--debug=x", "server"], "not a boolean: --debug=x"),
    ],
)
def test_wrong_usage(k3s: Path, call: Call, words: list[str], message: str) -> None:
    result = call(k3s, *words)
    assert result.code == 1
    assert message in result.err


@pytest.mark.parametrize(
    ("words", "offers"),
    [
        ([], {"server", "kubectl", "help"}),
        (["token"], {"create", "rotate", "help"}),
        (["-"], {"--data-dir", "--version"}),
        (["server"], set()),
    ],
)
def test_shell_completion(k3s: Path, call: Call, words: list[str], offers: set[str]) -> None:
    result = call(k3s, *words, "--generate-bash-completion")
    assert result.code == 0
    assert offers <= set(result.out.split())


def test_completion_script_comes_without_log_lines(k3s: Path, call: Call) -> None:
    assert call(k3s, "completion", "bash").err == ""


def test_debug_shows_what_is_run(k3s: Path, call: Call) -> None:
    for options in ({"env": {"K3S_DEBUG": "true"}}, {}):
        words = ["server"] if options else ["--debug", "server"]
        result = call(k3s, *words, **options)
        assert 'level=debug msg="Running ' in result.err
    assert "level=debug" not in call(k3s, "server", env={"K3S_DEBUG": "false"}).err


def test_runs_without_proc(k3s: Path, call: Call) -> None:
    """The kernel's own word for our path serves instead."""
    result = call(k3s, "server", inside="mount -t tmpfs none /proc")
    assert result.arguments[-1] == "server", result.err
