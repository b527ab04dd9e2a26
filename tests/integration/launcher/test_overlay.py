"""Data in the lower layer of an overlay, as images and Raspberry Pi's overlay root have it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .conftest import Call
from .pack import Pack
from .state import version_dir
from .test_stage import versions

pytestmark = pytest.mark.integration


@pytest.fixture(params=["", ",userxattr"], ids=["no folder renamed", "new folders renamed"])
def overlay(data_dir: Path, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Shell commands that lay an empty layer over the data directory, for `inside`.

    Where the upper layer keeps no attributes, the kernel renames no folder at all.
    """
    layers = tmp_path / "layers"
    layers.mkdir()
    options = f"lowerdir={data_dir},upperdir={layers}/upper,workdir={layers}/work{request.param}"
    mount = f"""
        mount -t tmpfs none "{layers}" && mkdir "{layers}/upper" "{layers}/work" &&
        mount -t overlay -o "{options}" none "{data_dir}" || exit 99"""
    probe = ["unshare", "-Urm", "sh", "-c", f'mkdir -p "{data_dir}"; {mount}']
    if subprocess.run(probe, check=False, capture_output=True).returncode == 99:
        pytest.skip("this kernel lets no user mount an overlay")
    return mount


@pytest.mark.parametrize("gone", ["bin/k3s", "bin", "bin/aux/mount"])
def test_a_gutted_version_in_the_lower_layer(
    k3s: Path, call: Call, payload: Pack, data_dir: Path, overlay: str, gone: str
) -> None:
    """A folder of the lower layer cannot be renamed, files can be placed in it."""
    call(k3s, "server")
    subprocess.run(["rm", "-r", version_dir(data_dir, payload) / gone], check=True)
    result = call(k3s, "server", inside=overlay)
    assert result.code == 0, result.err
    assert result.program and "again" in result.err
    assert "disk" not in result.err and "cannot" not in result.err


def test_an_old_version_in_the_lower_layer(
    launcher_binary: Path, call: Call, tmp_path: Path, data_dir: Path, overlay: str
) -> None:
    """It is taken away although it cannot be renamed."""
    old, *newer = versions(launcher_binary, tmp_path, 3)
    call(tmp_path / old.data_hash(), "kubectl", "0")
    starts = [f'"{tmp_path / pack.data_hash()}" kubectl 0' for pack in newer]
    show = f'ls "{data_dir}/data" >&2; find "{version_dir(data_dir, old)}" ! -type d >&2; exit 0'
    inside = "\n".join([overlay, *starts, show])
    listed = call(Path("/bin/true"), inside=inside).err.splitlines()
    assert {pack.data_hash() for pack in newer} <= {*listed}, "\n".join(listed)
    assert not [line for line in listed if line.startswith(f"{version_dir(data_dir, old)}/")]
    if "userxattr" in overlay:
        # without attributes the kernel can take away files of that layer, but no folder
        assert old.data_hash() not in listed
        assert not [line for line in listed if "cannot" in line]
    assert version_dir(data_dir, old).is_dir()
