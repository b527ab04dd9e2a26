"""A machine with Debian's own OpenRC: nothing of it is pretended."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from subprocess import run

import pytest

from buildsys.app import App, Settings
from buildsys.errors import BuildsysError
from buildsys.model import DebianBinary

from ..machine import Machine

VERSION = "0.45.2-2+deb12u1"

PACKAGES = {
    "openrc": "9f640e175b1c5c56f20528940b231d44f1cafca1fd6d523becc9f1e8f0a44a6b",
    "libeinfo1": "d8bbf623b67f309172d582962dcd77efaca05ea8c173484c418afcb4ce78d394",
    "librc1": "ea3176be633d5dd6866dfef6c078612ab296a670ba793b77fb1d0fb548f3453b",
}


@cache
def packages() -> tuple[Path, ...]:
    """Their files; skips where they cannot be fetched."""
    app = App(Settings())
    try:
        return tuple(
            app.package(
                DebianBinary(
                    package=name,
                    version=VERSION,
                    suite="bookworm",
                    architecture="amd64",
                    sha256=sha256,
                )
            )
            for name, sha256 in PACKAGES.items()
        )
    except BuildsysError as error:
        pytest.skip(f"Debian's openrc cannot be fetched: {error.what}")


def with_openrc(machine: Machine) -> Machine:
    """Lay OpenRC over the system's folders, and make it one that runs."""
    over = machine.root / "over"
    for package in packages():
        run(["dpkg-deb", "-x", package, over], check=True)
    for name in ("bin", "sbin", "lib"):
        if (over / name).is_dir():
            run(["cp", "-a", f"{over / name}/.", over / "usr" / name], check=True)
    run(["cp", "-a", f"{over}/etc/.", machine.root / "etc"], check=True)
    for name in ("rc-service", "rc-update", "openrc-run"):
        (machine.root / "fake" / name).unlink()
    for name in ("started", "starting", "daemons", "options", "exclusive", "tmp", "failed"):
        (machine.root / "run/openrc" / name).mkdir()
    # Of no other service: what stands in the runlevels needs a whole machine.
    run(["sh", "-c", 'rm -f "$0"/etc/runlevels/*/*', machine.root], check=True)
    machine.path += ":/usr/sbin:/usr/bin"
    return machine
