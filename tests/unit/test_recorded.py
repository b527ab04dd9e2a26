"""Consoles as real boots wrote them, read as the driver reads them: in pieces of any size."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from buildsys.machine.console import Acked, Answer, Booted, Console, Ended, Event, State, Trouble

pytestmark = pytest.mark.unit

RECORDED = Path(__file__).parent / "golden" / "console"


def replay(name: str, size: int) -> list[Event]:
    """The events of a recorded console that comes `size` bytes at a time."""
    data = (RECORDED / f"{name}.log").read_bytes()
    console = Console()
    return [
        event for at in range(0, len(data), size) for event in console.feed(data[at : at + size])
    ]


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_raspi0_from_its_first_word_to_the_sentinel(size: int) -> None:
    events = replay("armv6-server", size)
    booted, *others, ended = events
    assert isinstance(booted, Booted)
    assert booted.uname == "armv6l"
    assert not booted.features & {"neon", "vfpv3"}
    assert "cpuset" not in booted.controllers, "a kernel without SMP has none"
    assert isinstance(ended, Ended)
    assert len(ended.nonce) == 32
    answers = [event for event in others if isinstance(event, Answer)]
    assert [answer.id for answer in answers] == list(range(1, len(answers) + 1))
    assert {answer.code for answer in answers} == {0}
    assert answers[1].output.startswith("k3s version v")
    assert answers[-1].output == "before", "what was written before the restart"
    beats = [state for event in events if (state := state_of(event))]
    assert all(one.uptime <= other.uptime for one, other in pairwise(beats))
    assert 100 < min(beat.available for beat in beats) < 437
    assert not [event for event in events if isinstance(event, Trouble)]


@pytest.mark.parametrize("size", [1, 4096])
def test_power_cuts_end_boots_without_a_sentinel(size: int) -> None:
    events = replay("amd64-powercut", size)
    boots = [at for at, event in enumerate(events) if isinstance(event, Booted)]
    assert len(boots) == 4
    assert not [event for event in events if isinstance(event, Ended)]
    acked = [event.number for event in events if isinstance(event, Acked)]
    assert acked == list(range(1, 11))
    first = events[boots[1] : boots[2]]
    assert [event.number for event in first if isinstance(event, Acked)] == acked
    again = state_of(events[boots[2]])
    assert again is not None
    assert again.uptime < 30, "its clock begins anew"


def state_of(event: Event) -> State | None:
    """How the guest fared when it said that."""
    return event if isinstance(event, State) else getattr(event, "state", None)
