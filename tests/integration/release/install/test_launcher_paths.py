"""The real launcher says where the service will keep its data; install.sh believes nothing else."""

from __future__ import annotations

import pytest

from ..server import Server
from .installing import MARKS, Make, installed, with_launcher

pytestmark = MARKS


@pytest.mark.parametrize("tools", ["dash+curl", "busybox"])
@pytest.mark.parametrize("way", ["flag", "configuration", "drop-in", "variable", "link", "default"])
def test_data_are_where_the_launcher_finds_them(
    make: Make, server: Server, tools: str, way: str
) -> None:
    machine = make(tools)
    with_launcher(machine)
    config = machine.root / "etc/rancher/k3s"
    (config / "config.yaml.d").mkdir(parents=True)
    words, variables, right = ["server"], {"INSTALL_K3S_SKIP_DOWNLOAD": "true"}, "/mnt/my k3s"
    if way == "flag":
        words += ["--data-dir", right]
    elif way == "configuration":
        (config / "config.yaml").write_text(f"data-dir: &d {right}\n")
    elif way == "drop-in":
        (config / "config.yaml.d/a.yaml").write_text(f"data-dir: {right}\n")
    elif way == "variable":
        variables["K3S_DATA_DIR"] = right
    else:
        right = "/var/lib/rancher/k3s"
    if way == "link":
        (machine.root / "mnt/ssd").mkdir(parents=True)
        (machine.root / "var/lib").mkdir(parents=True, exist_ok=True)
        (machine.root / "var/lib/rancher").symlink_to("/mnt/ssd")
    done = installed(machine, server, *words, **variables)
    assert "cannot say" not in done.stderr
    assert f"recorded_data_dir='{right}' \n" in machine.read("etc/rancher/k3s/k3s.start")
