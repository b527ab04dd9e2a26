"""Embedded images go where the inner program works, wherever the payload is unpacked."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from .conftest import Call
from .pack import Pack

pytestmark = pytest.mark.integration

NAME = "core.tar.zst"


@pytest.fixture
def k3s_with_image(payload: Pack, launcher_binary: Path, tmp_path: Path) -> Path:
    pack = replace(payload, images={NAME: b"image"})
    return pack.write(launcher_binary, tmp_path / "bin" / "k3s")


def node_folder(call: Call, exe: Path, *words: str, tmp_path: Path, **env: str) -> str:
    """Where a start placed its images: a path below tmp_path, with /var/lib below it, too."""
    system = tmp_path / "system"
    system.mkdir(exist_ok=True)
    result = call(
        exe,
        *words,
        env={"K3S_DATA_DIR": "", **env},
        inside=f'mount --bind "{system}" /var/lib',
    )
    assert result.code == 0, result.err
    (found,) = tmp_path.rglob(NAME)
    shutil.rmtree(found.parents[2])
    return str(found.parents[2].relative_to(tmp_path))


SYSTEM, HOME = "system/rancher/k3s", "home/.rancher/k3s"


@pytest.mark.parametrize(
    ("words", "config", "env", "wanted"),
    [
        (["server"], "", "", SYSTEM),
        (["agent"], "", "", SYSTEM),
        (["server", "--data-dir", "{}/flag"], "", "", "flag"),
        (["server", "-d={}/flag"], "", "", "flag"),
        (["server", "--data-dir", "{}/no", "--data-dir={}/flag"], "", "", "flag"),
        (["agent", "--data-dir={}/flag"], "", "", "flag"),
        (["server", "--data-dir", "relative"], "", "", "work/relative"),
        (["server", "--data-dir", "~/x"], "", "", "home/x"),
        (["server", "--data-dir="], "data-dir: {}/config", "", SYSTEM),
        (["server"], "", "{}/env", "env"),
        (["agent"], "", "{}/env", "env"),
        (["server"], "data-dir: {}/config", "", "config"),
        (["agent"], "data-dir: {}/config", "", "config"),
        # here the launcher unpacks somewhere else than the inner program works
        (["server", "--data-dir={}/flag"], "", "{}/env", "flag"),
        (["server"], "data-dir: {}/config", "{}/env", "config"),
        (["server", "--data-dir={}/flag"], "data-dir: {}/config", "{}/env", "flag"),
        (["--data-dir={}/flag", "server"], "", "", SYSTEM),
        (["-d", "{}/flag", "agent"], "", "", SYSTEM),
        (["--data-dir={}/flag", "server"], "data-dir: {}/config", "", "config"),
        (["server", "--rootless"], "", "", HOME),
        (["server"], "rootless: true", "", HOME),
        (["server"], "rootless: yes", "", HOME),
        (["server", "--rootless=false"], "rootless: true", "", SYSTEM),
        (["server", "--rootless"], "", "{}/env", "env"),
        (["server", "--rootless", "--data-dir={}/flag"], "", "", "flag"),
        (["agent", "--rootless"], "", "", SYSTEM),
        (["agent", "--rootless", "--data-dir="], "", "", HOME),
    ],
)
def test_the_inner_programs_data_dir(
    k3s_with_image: Path,
    call: Call,
    tmp_path: Path,
    words: list[str],
    config: str,
    env: str,
    wanted: str,
) -> None:
    """Each case was compared with what k3s's own parser makes of it."""
    file = tmp_path / "config.yaml"
    file.write_text(config.format(tmp_path))
    found = node_folder(
        call,
        k3s_with_image,
        *(word.format(tmp_path) for word in words),
        tmp_path=tmp_path,
        K3S_DATA_DIR=env.format(tmp_path),
        K3S_CONFIG_FILE=str(file),
    )
    assert found == wanted
