"""A scenario: the steps of one boot, `buildsys/machine/scenarios/<name>.toml`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from buildsys.model.base import FileName, Frozen, Name, Sentence


def _regular(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    return text


Pattern = Annotated[str, AfterValidator(_regular)]

Power = Literal["boot", "cut", "off"]
"""What is done to a machine: switch it on, cut its power, let it end in good order."""


class Step(Frozen):
    """One thing that is tried: a shell command, or something done to the machine's power.

    A command runs in the guest, or on the host, where `within` and `every` are the host's seconds.

    The command passes if it ends with 0 and `expect` is found in what it printed. With `every` it
    is repeated until it passes. `within` and `every` are seconds of the guest's clock; `within` is
    multiplied by the machine's patience. What matches `refuse` fails at once.
    """

    name: Sentence
    run: Annotated[str, StringConstraints(max_length=2000)] = ""
    power: Power | None = None
    on: Literal["board", "host"] = "board"
    expect: Pattern = ""
    refuse: Pattern | None = None
    within: Annotated[int, Field(ge=1, le=7200)] = 60
    every: Annotated[int, Field(ge=0, le=600)] = 0

    @model_validator(mode="after")
    def _one_thing(self) -> Step:
        if bool(self.run) == bool(self.power):
            raise ValueError("a step has either run or power")
        return self


class ScenarioTable(Frozen):
    """Steps in their order; `memory_mib` is the least that a machine must have for them.

    `files` are those of scenarios/files that lie at /scenario in the guest.
    """

    name: Name
    summary: Sentence
    memory_mib: Annotated[int, Field(ge=64)]
    network: bool = True
    files: tuple[FileName, ...] = ()
    step: Annotated[tuple[Step, ...], Field(min_length=2)]

    @property
    def wants_host(self) -> bool:
        """Whether it runs k3s on the host as well."""
        return any(step.on == "host" for step in self.step)

    @model_validator(mode="after")
    def _begins_and_ends(self) -> ScenarioTable:
        """Without an end in good order nobody says the sentinel."""
        powers = [step.power for step in self.step if step.on == "board"]
        if not powers or (powers[0], self.step[-1].power) != ("boot", "off"):
            raise ValueError("a board is first booted, and the last step is power = 'off'")
        return self
