"""How an artifact becomes a container image: `[image]` in a recipe."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from buildsys.model.base import Frozen, InnerPath

ImageName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)+:[A-Za-z0-9_][A-Za-z0-9._-]*$"
    ),
]
"""Repository and tag without a registry: what Docker completes to docker.io/<name>."""

Port = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,4}/(tcp|udp)$")]

Mode = Annotated[str, StringConstraints(pattern=r"^[01]?[0-7]{3}$")]
"""Permissions in octal."""

User = Annotated[str, StringConstraints(pattern=r"^[0-9]+(:[0-9]+)?$")]
"""uid or uid:gid; numbers, so that kubelet can see that it is not root."""


class ImageTable(Frozen):
    """The image's configuration; the words are those of the OCI image specification.

    `name` is what this k3s asks for by default. `folders` are empty folders with their modes.
    `rank` orders the airgap file: what a node needs first has the lowest.
    """

    name: ImageName
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    user: User = "0:0"
    workdir: str = "/"
    env: dict[str, str] = {}
    ports: tuple[Port, ...] = ()
    folders: dict[InnerPath, Mode] = {}
    rank: Annotated[int, Field(ge=0, le=1000)] = 100
