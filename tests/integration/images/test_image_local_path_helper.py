"""local-path-helper: runs the scripts that k3s's manifest gives the storage provisioner."""

from __future__ import annotations

import textwrap
from itertools import takewhile

from buildsys.app import App

from ..k3s_source import k3s_file
from .conftest import GetImage


def script(app: App, name: str) -> str:
    """The text under `name: |-` in manifests/local-storage.yaml of the k3s that is built."""
    manifest = k3s_file(app, "manifests/local-storage.yaml").decode()
    lines = manifest.split(f"\n  {name}: |-\n", 1)[1].split("\n")
    inside = takewhile(lambda line: line.startswith("    "), lines)
    return textwrap.dedent("\n".join(inside)) + "\n"


def test_makes_and_removes_a_volume(app: App, image: GetImage) -> None:
    helper = image("local-path-helper")
    volume = helper.root / "storage" / "pvc-1_default_data"
    volume.parent.mkdir(mode=0o755)
    (helper.root / "script").mkdir()
    for name in ("setup", "teardown"):
        (helper.root / "script" / name).write_text(script(app, name))
    environment = {"VOL_DIR": "/storage/pvc-1_default_data", "VOL_MODE": "Filesystem"}

    made = helper.run("/bin/sh", "/script/setup", env=environment)
    assert (made.code, made.err) == (0, "")
    assert volume.stat().st_mode & 0o7777 == 0o777
    assert volume.parent.stat().st_mode & 0o7777 == 0o700

    (volume / "file").write_text("kept by the pod")
    removed = helper.run("/bin/sh", "/script/teardown", env=environment)
    assert (removed.code, removed.err) == (0, "")
    assert not volume.exists()


def test_is_a_shell_for_people(image: GetImage) -> None:
    helper = image("local-path-helper")
    order = "id -un; echo a b | awk '{ print $2 }'; ls -d /tmp"
    done = helper.run(*helper.command("sh", "-c", order))
    assert (done.code, done.out) == (0, "root\nb\n/tmp\n")
