"""Defaults of a board: what its executable sets where the user chose nothing."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from buildsys.model.base import Frozen

SPECIAL_FLAGS = frozenset(
    {"config", "data-dir", "debug", "node-ip", "server", "token", "write-kubeconfig"}
    | {f"write-kubeconfig-{part}" for part in ("mode", "group")}
)
"""Flags of k3s with a short form, or with a variable that is not K3S_ and their name.

The launcher would not see that the user gave them.
"""

_PRINTABLE = r"[ !#-\[\]-~]"
"""ASCII without quote and backslash: the launcher writes it to terminals and into JSON."""


class BoardDefault(Frozen):
    """One variable or flag for the start of `commands` on a machine with less than `below_mib`.

    `below_mib` is MemTotal of /proc/meminfo, in MiB.
    """

    commands: Annotated[tuple[Literal["server", "agent"], ...], Field(min_length=1)]
    env: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")] | None = None
    flag: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,63}$")] | None = None
    value: Annotated[str, StringConstraints(pattern=r"^[!#-\[\]-~]{1,500}$")]
    below_mib: Annotated[int, Field(ge=1)]
    why: Annotated[str, StringConstraints(pattern=f"^{_PRINTABLE}{{3,400}}$")]

    @model_validator(mode="after")
    def _one_of_each(self) -> BoardDefault:
        if (self.env is None) == (self.flag is None):
            raise ValueError("give env or flag, one of them")
        if self.flag in SPECIAL_FLAGS:
            raise ValueError(f"{self.flag} has another name as well, which the launcher overlooks")
        if len(set(self.commands)) < len(self.commands):
            raise ValueError("commands names one twice")
        return self

    @property
    def subjects(self) -> frozenset[tuple[str, str]]:
        """What is set for which command; of a list flag (`key=…`) the key."""
        key, equals, _ = self.value.partition("=")
        name = f"{self.flag}={key}" if self.flag and equals else str(self.env or self.flag)
        return frozenset((command, name) for command in self.commands)
