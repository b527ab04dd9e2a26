"""The image that verbs run in: Debian packages, and this project's Python environment.

No registry is asked: mmdebstrap makes it from the mirror of the host's apt, and the wheels come by
the host's pip. It is named after all that went in, and made once per daemon.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import docker

from buildsys.cache import Cache
from buildsys.docker.daemon import daemon_errors
from buildsys.doctor import PACKAGES
from buildsys.errors import MissingToolError
from buildsys.fetch.apt import KEYRING, chosen_mirror
from buildsys.plan import digest
from buildsys.report import Progress
from buildsys.run import demand, run
from buildsys.sandbox import namespaces
from buildsys.toolchain import PYPROJECT

REPOSITORY = "k3s-buildsys-base"

SUITE, PYTHON, GLIBC = "bookworm", "3.11", 36
"""A Debian, the Python in it, and the second number of its glibc: what wheels must run on."""

ENVIRONMENT = "/opt/k3s-buildsys"
"""Where the Python environment lies in the image."""


def hooks(wheels: str, requirements: Iterable[str]) -> list[str]:
    """What mmdebstrap does when the packages are there; `wheels` is the folder of the wheels.

    It copies in from outside, where it is still the user: a home may be closed to others.
    """
    pip = f"{ENVIRONMENT}/bin/pip --isolated install --quiet --no-compile --no-index"
    return [
        'mkdir "$1/wheels"',
        f"sync-in {quote(wheels)} /wheels",
        f'chroot "$1" python3 -m venv {ENVIRONMENT}',
        f'chroot "$1" {pip} --find-links=/wheels {" ".join(map(quote, requirements))}',
        'rm -r "$1/wheels"',
    ]


ALWAYS = ("python3-venv", "qemu-user-static")
"""Packages that the image has besides those of doctor's that a build needs."""


@dataclass(frozen=True)
class Base:
    """What the image is made of."""

    packages: tuple[str, ...]
    requirements: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name, with what it is made of as the tag."""
        parts = [SUITE, PYTHON, *self.packages, *hooks("wheels", self.requirements)]
        return f"{REPOSITORY}:{digest(parts)[:20]}"


def base_of(pyproject: Path = PYPROJECT) -> Base:
    """What builds need, as doctor and pyproject.toml have it, and emulators to register."""
    project = tomllib.loads(pyproject.read_text("utf-8"))["project"]
    needed = {package for package, use in PACKAGES.values() if use == "build"}
    return Base(tuple(sorted({*needed, *ALWAYS})), tuple(project["dependencies"]))


def wheel_platforms(machine: str) -> list[str]:
    """Pip's options for wheels that run on this machine with the image's glibc."""
    names = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC, 4, -1)]
    names += [f"manylinux{year}_{machine}" for year in ("2014", "2010", "1")]
    return [part for name in names for part in ("--platform", name)]


def as_root() -> list[str]:
    """The command prefix for a root that may give files to all users of an image.

    Raises `MissingToolError` where this user has none to give to.
    """
    if not os.geteuid():
        return namespaces()
    entering = namespaces("map-auto")
    probe = subprocess.run([*entering, "true"], capture_output=True, text=True)
    if probe.returncode:
        raise MissingToolError(
            f"this user may not make files of other users, and the base image has such: "
            f"{probe.stderr.strip()}",
            cause="no range of user numbers is set aside for this user, or no newuidmap installed",
            action="apt-get install uidmap; as root: usermod --add-subuids 100000-165535 "
            "--add-subgids 100000-165535 USER",
        )
    return entering


@dataclass(frozen=True)
class BaseMaker:
    """Makes the base image; `mirror` is Debian's, or None for what `chosen_mirror` finds."""

    client: docker.DockerClient
    cache: Cache
    progress: Progress
    mirror: str | None

    def demand(self, base: Base) -> str:
        """The name of the image, which is made if the daemon does not have it.

        Raises `CommandError`, `MissingToolError`, `ContainerError`.
        """
        with self.cache.lock("docker-base"):
            with daemon_errors("looking for the base image"):
                found = self.client.images.list(base.name)
            if not found:
                self._make(base)
        return base.name

    def _make(self, base: Base) -> None:
        entering = as_root()
        demand("mmdebstrap", os.environ)
        log = self.cache.logs / "docker-base.log"
        log.unlink(missing_ok=True)
        with self.progress.step("base", base.name), self.cache.scratch("docker-base") as scratch:
            wheels = self._wheels(base, scratch, log)
            tar = scratch / "base.tar"
            self._bootstrap(entering, self._mmdebstrap(base, wheels, tar, log), log)
            repository, _, tag = base.name.partition(":")
            with daemon_errors("importing the base image"), tar.open("rb") as file:
                self.client.api.import_image(src=file, repository=repository, tag=tag)

    def _bootstrap(self, entering: Sequence[str], argv: Sequence[str], log: Path) -> None:
        """Run mmdebstrap in namespaces that end with us, and its processes and mounts with them.

        What one that was killed left may belong to several users: their root removes it.
        """
        tree = self.cache.root / "docker-base"
        left = sorted(map(str, tree.glob("mmdebstrap.*")))
        if left:
            run([*entering, "rm", "-rf", "--one-file-system", "--", *left], log=log, name="rm")
        tree.mkdir(exist_ok=True)
        run([*entering, "env", f"TMPDIR={tree}", *argv], log=log, name="mmdebstrap")

    def _wheels(self, base: Base, scratch: Path, log: Path) -> Path:
        """The folder of the wheels, kept for the next image of the same requirements."""
        kept = self.cache.downloads / f"wheels-{digest([PYTHON, GLIBC, *base.requirements])[:20]}"
        if not kept.is_dir():
            new = scratch / "wheels"
            run(self._download(base, new), log=log, name="pip download")
            new.replace(kept)
        return kept

    def _download(self, base: Base, wheels: Path) -> list[str]:
        options = ["--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}"]
        platforms = wheel_platforms(platform.machine())
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        return [*pip, *options, *platforms, "--dest", str(wheels), *base.requirements]

    def _mmdebstrap(self, base: Base, wheels: Path, tar: Path, log: Path) -> list[str]:
        mirror = chosen_mirror(self.mirror, log, self.progress)
        line = f"deb [signed-by={KEYRING}] {mirror} {SUITE} main"
        return [
            *("mmdebstrap", "--mode=root", "--variant=minbase"),
            f"--include={','.join(base.packages)}",
            *(f"--customize-hook={hook}" for hook in hooks(str(wheels), base.requirements)),
            *(SUITE, str(tar), line),
        ]
