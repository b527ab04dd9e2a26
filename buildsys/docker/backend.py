"""Building in a container: the same verb, inside, on the same checkout, cache and artifacts.

They lie at the same paths there, so that what it prints is right here as well. The container has no
network: sources are fetched before, on the host.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import docker
from docker.types import Mount

from buildsys.app import App, raise_all
from buildsys.docker.base import ENVIRONMENT, BaseMaker, base_of
from buildsys.docker.daemon import connect, daemon_errors
from buildsys.errors import UnknownNameError
from buildsys.plan import Plan
from buildsys.run import workers

NATIVE, DOCKER = "native", "docker"

# The daemon closes the container's standard input when this process is gone, and with the shell
# everything in there ends.
_ENDING_WITH_US = """exec 3<&0 </dev/null
"$@" 3<&- &
verb=$!
{ cat <&3 >/dev/null; kill -KILL "$verb"; } &
wait "$verb"
"""


def is_docker(backend: str) -> bool:
    """Whether `backend` asks for a container. Raises `UnknownNameError`."""
    if backend not in (NATIVE, DOCKER):
        raise UnknownNameError("backend", backend, (NATIVE, DOCKER))
    return backend == DOCKER


@dataclass(frozen=True)
class Order:
    """What `invoke build` was asked for, as it is asked inside again."""

    arch: Sequence[str]
    only: Sequence[str]
    profile: str
    jobs: int
    draft: bool
    json: bool

    def argv(self, cache: str) -> list[str]:
        """The command line inside."""
        words = [f"{ENVIRONMENT}/bin/python", "-m", "invoke", "build", "--offline"]
        words += [f"--cache={cache}", f"--profile={self.profile}"]
        words += [f"--arch={name}" for name in self.arch]
        words += [f"--only={name}" for name in self.only]
        words += [f"--jobs={self.jobs}"] if self.jobs else []
        words += ["--draft"] if self.draft else []
        return [*words, "--json"] if self.json else words


def build(app: App, order: Order, planned: Plan) -> int:
    """Build in a container; the exit status of the verb in there, which said what went wrong.

    Raises `NoDaemonError`, `DaemonTooOldError`, `ContainerError`, and what fetching raises.
    """
    client = connect()
    with app.progress.running():
        image = base_image(app, client)
        if not app.settings.offline:
            raise_all(app.fetch(planned).items())
    app.artifacts.mkdir(exist_ok=True)
    with daemon_errors("building in a container"):
        return _run(client, image, order.argv(str(app.cache.root)), options(app, os.geteuid()))


def base_image(app: App, client: docker.DockerClient) -> str:
    """The name of the base image, made where the daemon lacks it. Raises what making it raises."""
    return BaseMaker(client, app.cache, app.progress, app.debian_mirror).demand(base_of())


def options(app: App, user: int) -> dict[str, Any]:
    """How the container is started: as this user, with what jobs need to make namespaces."""
    root, artifacts, cache = map(str, (app.root, app.artifacts, app.cache.root))
    return {
        "user": f"{user}:{os.getegid()}",
        "working_dir": root,
        "mounts": [mounted(root, read_only=True), mounted(artifacts), mounted(cache)],
        "environment": environment(cache),
        "network_mode": "none",
        "init": True,
        # Docker's own profiles forbid mounts, which is how a job gets its fixed path.
        "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
        "cap_add": [] if user else ["SYS_ADMIN"],
    }


def mounted(folder: str, *, read_only: bool = False) -> Mount:
    """The folder at its own path; a daemon on another machine, which lacks it, says so."""
    return Mount(folder, folder, type="bind", read_only=read_only)


def environment(cache: str) -> Mapping[str, str]:
    """The environment inside; a read-only checkout takes no byte code."""
    path = f"{ENVIRONMENT}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "HOME": cache, "PYTHONDONTWRITEBYTECODE": "1"}


def _run(
    client: docker.DockerClient, image: str, argv: Sequence[str], how: Mapping[str, Any]
) -> int:
    """Run it, with its outputs as ours; when it or this process has ended, nothing is left."""
    container = client.containers.create(
        image, ["sh", "-c", _ENDING_WITH_US, "sh", *argv], stdin_open=True, auto_remove=True, **how
    )
    with workers(1) as waiting, closing(container.attach_socket(params={"stdin": 1, "stream": 1})):
        # All before it starts: no line is lost, nor how it ended.
        outputs = container.attach(stream=True, demux=True, logs=True)
        ended = waiting.submit(container.wait, condition="removed")
        container.start()
        for out, err in outputs:
            for data, stream in ((out, sys.stdout), (err, sys.stderr)):
                if data:
                    stream.buffer.write(data)
                    stream.flush()
        return int(ended.result()["StatusCode"])
