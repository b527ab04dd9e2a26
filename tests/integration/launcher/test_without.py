"""Components that a bundle does not have: the inner server is told not to deploy them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from .conftest import Call
from .pack import Pack

pytestmark = pytest.mark.integration

FLAGS = ["--disable=traefik", "--disable=metrics-server"]


@pytest.fixture
def small(payload: Pack, launcher_binary: Path, tmp_path: Path) -> Path:
    """An executable without two components, and without images."""
    pack = replace(payload, without=["traefik", "metrics-server"])
    return pack.write(launcher_binary, tmp_path / "bin" / "k3s")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], []),
        (["--debug"], ["--disable", "servicelb", "--token", "x y"]),
        (["--debug"], ["-v", "3"]),
        ([], ["--", "--help"]),
        ([], ["--token"]),
        ([], ["--node-name", "help"]),
    ],
)
def test_server_is_told(small: Path, call: Call, before: list[str], after: list[str]) -> None:
    """Right behind the command: what the user gives cannot end the flags before ours."""
    for _ in ("first", "steady"):
        result = call(small, *before, "server", *after)
        assert result.arguments == ["k3s", *before, "server", *FLAGS, *after]


@pytest.mark.parametrize(
    "words",
    [
        ["agent"],
        ["token", "list"],
        ["etcd-snapshot", "save"],
        ["server", "--help"],
        ["server", "--node-name", "x", "-h"],
        ["server", "help"],
        ["server", "--version"],
        ["help", "server"],
    ],
)
def test_nobody_else_is_told(small: Path, call: Call, words: list[str]) -> None:
    assert call(small, *words).arguments == ["k3s", *words]


def test_kubectl_is_not_told(small: Path, call: Call) -> None:
    assert call(small, "kubectl", "server").arguments == ["kubectl", "server"]


def test_nothing_is_left_in_agent_images(small: Path, call: Call, data_dir: Path) -> None:
    assert call(small, "server").code == 0
    assert not (data_dir / "agent").exists()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("without traefik", "without"),
        ("without traefik", "without Traefik"),
        ("without traefik", "without a,b"),
        ("without traefik", "without a b"),
        ("without traefik", "without " + "a" * 65),
        ("without traefik", "without a\x1bb"),
    ],
)
def test_names_that_make_no_sense(
    payload: Pack, launcher_binary: Path, call: Call, tmp_path: Path, old: str, new: str
) -> None:
    pack = replace(payload, without=["traefik"], edit_manifest=lambda text: text.replace(old, new))
    result = call(pack.write(launcher_binary, tmp_path / "k3s"), "server")
    assert result.code == 65
    assert "manifest" in result.err
    assert "\x1b" not in result.err


def test_a_line_in_the_wrong_place(
    payload: Pack, launcher_binary: Path, call: Call, tmp_path: Path
) -> None:
    """A steady start looks behind `data` only, so it must not be anywhere else."""
    pack = replace(
        payload, edit_manifest=lambda text: text.replace("end\n", "without traefik\nend\n")
    )
    result = call(pack.write(launcher_binary, tmp_path / "k3s"), "server")
    assert result.code == 65
    assert "in the wrong place" in result.err
