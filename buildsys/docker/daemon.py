"""The Docker daemon, by Docker's own SDK; what goes wrong with it gets a name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import docker
from docker.errors import DockerException
from requests import RequestException

from buildsys.docker.make import Made
from buildsys.errors import ContainerError, DaemonTooOldError, NoDaemonError
from buildsys.image import Image, Layer, archive_of
from buildsys.image.archive import Archive

OLDEST = (20, 10)
"""The daemon that this was tried with; it is Debian 12's."""

TIMEOUT_SECONDS = 600
"""For one answer: a daemon on an SD card takes minutes to take in a layer."""

CHUNK = 1 << 20


def connect() -> docker.DockerClient:
    """The daemon that DOCKER_HOST names, else the one of this machine.

    Raises `NoDaemonError` or `DaemonTooOldError`.
    """
    try:
        client = docker.from_env(timeout=TIMEOUT_SECONDS)
        version = str(client.version()["Version"])
    except (DockerException, RequestException) as error:
        raise _no_daemon(error) from error
    demand_version(version)
    return client


def demand_version(version: str) -> None:
    """Raise `DaemonTooOldError` for what is older than `OLDEST`; "20.10.24+dfsg1" is not."""
    found = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if found and found < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise DaemonTooOldError(
            f"the Docker daemon is version {version}, and {oldest} is the oldest that will do",
            cause="older ones do not tell ARMv6 from ARMv7, or keep builds from namespaces",
            action="upgrade Docker, or point DOCKER_HOST at a newer daemon",
        )


def _no_daemon(error: Exception) -> NoDaemonError:
    words = str(error)
    if "Permission denied" in words or "PermissionError" in words:
        return NoDaemonError(
            "the Docker daemon does not let this user in",
            cause=words,
            action="add the user to the group `docker` and log in again, or run it as root",
        )
    return NoDaemonError(
        "no Docker daemon answers",
        cause=words,
        action="start Docker (`invoke setup` installs it), or set DOCKER_HOST to where it listens",
    )


@contextmanager
def daemon_errors(doing: str) -> Iterator[None]:
    """Turn the SDK's errors into `ContainerError` with the daemon's own words."""
    try:
        yield
    except (DockerException, RequestException) as error:
        raise ContainerError(
            f"the Docker daemon failed while {doing}",
            cause=str(getattr(error, "explanation", None) or error),
            action="the daemon's log says more (`journalctl -u docker`)",
        ) from error


def load(client: docker.DockerClient, made: Made, seconds: int) -> list[str]:
    """Load each part into the daemon, as NAME-TARGET; what it is called there.

    The part of the daemon's own platform gets the name as well, or the only one.
    """
    repository, _, tag = made.name.partition(":")
    with daemon_errors(f"loading {made.name}"):
        names = []
        for target, image in made.parts.items():
            client.api.load_image(_stream(archive_of([image], seconds), made, target))
            names.append(image.name)
        if part := part_for(str(client.version()["Arch"]), made.images):
            client.api.tag(part.name, repository, tag, force=True)
            names.append(made.name)
        return names


def part_for(architecture: str, images: Sequence[Image]) -> Image | None:
    """What a daemon of this architecture runs by the image's plain name, or the only one.

    Of several ARMs the lowest: it runs on all of them.
    """
    own = f"linux/{architecture}"
    fitting = [i for i in images if i.platform == own or i.platform.startswith(f"{own}/")]
    if len(images) == 1:
        return images[0]
    return min(fitting, key=lambda image: image.platform, default=None)


def _stream(archive: Archive, made: Made, target: str) -> Iterator[bytes]:
    for piece in archive.pieces:
        if isinstance(piece, Layer):
            with made.layer(target).open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        else:
            yield piece
