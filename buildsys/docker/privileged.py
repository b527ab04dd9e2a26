"""Registering emulators from a privileged container, for those in Docker's group who are not root.

The same verb runs in there, on the same checkout, with the emulators that the base image has. What
it registers outlives the container and its image, for the kernel holds the files open. It keeps an
entry as long as binfmt_misc is mounted anywhere; before Linux 6.7, until a reboot.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass

from python_on_whales import DockerClient
from python_on_whales.exceptions import DockerException

from buildsys.app import App
from buildsys.docker.backend import base_image, environment
from buildsys.docker.base import ENVIRONMENT
from buildsys.docker.binfmt import ROOT, State
from buildsys.docker.daemon import connect
from buildsys.docker.verbs import BinfmtResult
from buildsys.errors import BinfmtError, BuildsysError, ContainerError
from buildsys.run import demand

LOCAL = "unix:///var/run/docker.sock"
"""Where the SDK looks for the daemon if DOCKER_HOST is not set; Docker's CLI has contexts."""

CACHE = "/var/cache/k3s-buildsys"
"""The cache in the container; it has the host's emulators."""

OF_DOCKER = (125, 126, 127)
"""What `docker run` exits with if the program did not even start."""

# Where it cannot be mounted the verb tries again, and says why.
_MOUNTED = 'mount -t binfmt_misc none "$1" 2>/dev/null; shift; exec "$@"'


def binfmt(app: App, names: Sequence[str], *, remove: bool) -> BinfmtResult:
    """What `verbs.binfmt` does, with the daemon's rights.

    Raises `NoDaemonError`, `DaemonTooOldError`, `MissingToolError`, `ContainerError`, `BinfmtError`
    where nothing was kept, and what making the base image and fetching an emulator raise.
    """
    targets = app.targets(names)
    demand("docker", os.environ)
    client = connect()
    with app.progress.running():
        image = base_image(app, client)
        for target in targets if names and not remove else ():
            app.own_emulator(target)
    app.cache.emulators.mkdir(exist_ok=True)
    # Where systemd mounts it for the first who looks, it is mounted now.
    (ROOT / "register").exists()
    host = os.environ.get("DOCKER_HOST") or LOCAL
    container = Container(DockerClient(host=host), image, str(app.root), str(app.cache.emulators))
    found = container.binfmt(names, remove=remove)
    if remove or not names:
        return found
    return BinfmtResult(kept(container.binfmt(()).states, names), found.done)


def kept(states: Sequence[State], names: Sequence[str]) -> list[State]:
    """Those of the named targets, as another container finds them.

    Raises `BinfmtError` where what was registered went with the container that did it.
    """
    named = [state for state in states if state.target in names]
    if lost := [state.target for state in named if state.runs == "nobody"]:
        raise BinfmtError(
            f"{', '.join(lost)}: the registration was gone with the container that made it",
            cause="binfmt_misc is mounted nowhere else, and the kernel keeps no entries then",
            action=f"have root `mount -t binfmt_misc none {ROOT}` on the daemon's machine",
        )
    return named


@dataclass(frozen=True)
class Container:
    """The verb in a container of `image`, each time a new one; the folders are the host's."""

    client: DockerClient
    image: str
    checkout: str
    emulators: str

    def binfmt(self, names: Sequence[str], *, remove: bool = False) -> BinfmtResult:
        """What the verb says there. Raises its error, or `ContainerError`."""
        try:
            found = json.loads(self._output(argv(names, remove=remove)))
        except DockerException as error:
            raise failure(error.return_code, error.stderr or "") from error
        return BinfmtResult([State(**state) for state in found["targets"]], found["done"])

    def _output(self, words: Sequence[str]) -> bytes:
        outputs = self.client.run(
            self.image,
            ["sh", "-c", _MOUNTED, "sh", str(ROOT), *words],
            stream=True,
            remove=True,
            pull="never",
            privileged=True,
            # A daemon may give containers users of their own, and privileges in vain with them.
            userns="host",
            networks=["none"],
            workdir=self.checkout,
            envs=environment(CACHE),
            mounts=[
                ["type=bind", f"source={self.checkout}", f"target={self.checkout}", "readonly"],
                ["type=bind", f"source={self.emulators}", f"target={CACHE}/emulators", "readonly"],
            ],
        )
        return b"".join(line for stream, line in outputs if stream == "stdout")


def argv(names: Sequence[str], *, remove: bool) -> list[str]:
    """The verb's command line inside."""
    words = [f"{ENVIRONMENT}/bin/python", "-m", "invoke", "binfmt", "--json", f"--cache={CACHE}"]
    return [*words, *(f"--arch={name}" for name in names), *(["--remove"] if remove else [])]


def failure(status: int, words: str) -> BuildsysError:
    """The error of a container that ended with `status`: the verb's own, or Docker's."""
    if status in OF_DOCKER:
        return ContainerError(
            "the Docker daemon failed while registering emulators",
            cause=words.strip(),
            action="the daemon's log says more (`journalctl -u docker`)",
        )
    error = BuildsysError(words.strip().removeprefix("error: "))
    error.exit_code = status
    return error
