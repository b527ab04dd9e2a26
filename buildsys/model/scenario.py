"""A scenario: steps on one board or more, `buildsys/machine/scenarios/<name>.toml`."""

from __future__ import annotations

import re
from collections.abc import Iterator
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

Power = Literal["new", "boot", "cut", "off"]
"""What is done to a machine: a new disk, switch it on, cut its power, end in good order."""

HOST = "host"
"""Where a step runs that runs on no board."""


class Step(Frozen):
    """One thing that is tried: a shell command, something done to the machine's power, or a wait.

    A command runs `on` a board of the scenario, or on the host, where `within` and `every` are the
    host's seconds.
    It passes if it ends with 0 and `expect` is found in what it printed; with `every` it is
    repeated until then. `{acked}` in it is the number that the guest acknowledged last.

    `within` and `every` are seconds of the guest's clock; `within` and `wait`, of which a random
    part is waited, are multiplied by the machine's patience.
    """

    name: Sentence
    run: Annotated[str, StringConstraints(max_length=2000)] = ""
    power: Power | None = None
    on: Name = "board"
    expect: Pattern = ""
    wait: Annotated[int, Field(ge=0, le=3600)] = 0
    within: Annotated[int, Field(ge=1, le=7200)] = 60
    every: Annotated[int, Field(ge=0, le=600)] = 0

    @model_validator(mode="after")
    def _one_thing(self) -> Step:
        if [bool(self.run), bool(self.power), bool(self.wait)].count(True) != 1:
            raise ValueError("a step has one of run, power and wait")
        return self


class ScenarioTable(Frozen):
    """Steps in their order; `memory_mib` is the least that a machine must have for them.

    `boards` are machines of the same kind, each with its own disk. With a `network` one board is
    behind QEMU's user network; more than one are on a wire, which the host is on as well.
    `files` are those of scenarios/files that lie at /scenario in the guest. With `images` the
    airgap archive lies where k3s imports it, if the executable embeds none. With `older` another
    version's executable lies at /scenario/older. After the steps come those of `round`, as often as
    the machine's table says but no more than `most_rounds`, then those of `last`. What runs k3s is
    `steady`: its own time limits are part of what is tried, so the board's speed must not depend
    on what else the host does; see `MachineTable.icount`.
    """

    name: Name
    summary: Sentence
    memory_mib: Annotated[int, Field(ge=64)]
    boards: Annotated[tuple[Name, ...], Field(min_length=1, max_length=9)] = ("board",)
    network: bool = True
    files: tuple[FileName, ...] = ()
    images: bool = False
    older: bool = False
    steady: bool = False
    step: Annotated[tuple[Step, ...], Field(min_length=1)]
    round: tuple[Step, ...] = ()
    most_rounds: Annotated[int, Field(ge=1)] | None = None
    last: tuple[Step, ...] = ()

    @property
    def wants_host(self) -> bool:
        """Whether it runs k3s on the host as well."""
        return any(step.on == HOST for step in self.steps(1))

    @property
    def wired(self) -> bool:
        """Whether boards are on a wire with each other."""
        return self.network and len(self.boards) > 1

    @property
    def renewed(self) -> frozenset[str]:
        """The boards that get a new disk on the way."""
        return frozenset(step.on for step in self.steps(1) if step.power == "new")

    def steps(self, rounds: int) -> Iterator[Step]:
        """Every step of a run with that many rounds, named so that no two are alike."""
        yield from self.step
        rounds = min(rounds, self.most_rounds or rounds)
        for number in range(1, rounds + 1) if self.round else ():
            for step in self.round:
                yield step.model_copy(update={"name": f"{step.name}, round {number}"})
        yield from self.last

    @model_validator(mode="after")
    def _names_its_boards(self) -> ScenarioTable:
        if len({*self.boards, HOST}) != len(self.boards) + 1:
            raise ValueError(f"boards have names of their own, and none is {HOST}")
        for step in self.steps(1):
            if step.on not in (*self.boards, HOST):
                raise ValueError(f"{step.name}: there is no board {step.on}")
            if step.on == HOST and not step.run:
                raise ValueError(f"{step.name}: the {HOST} runs commands and does nothing else")
        return self

    @model_validator(mode="after")
    def _begins_and_ends(self) -> ScenarioTable:
        """Without an end in good order nobody says the sentinel."""
        for board in self.boards:
            powers = [step.power for step in self.steps(1) if step.on == board]
            if not powers or (powers[0], powers[-1]) != ("boot", "off"):
                raise ValueError(f"{board}: its first step is a boot, its last is power = 'off'")
        return self
