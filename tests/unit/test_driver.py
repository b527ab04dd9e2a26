"""The driver against guests that are played: each kind of end has its own name."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buildsys.errors import BootError
from buildsys.machine import driver
from buildsys.machine.console import Booted
from buildsys.machine.driver import Running
from buildsys.machine.qemu import Files

from .played import Guest, Reply, answer, booted, say, state

pytestmark = pytest.mark.unit

Play = Callable[..., Guest]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    monkeypatch.setattr(driver, "QUIT_SECONDS", 1)
    monkeypatch.setattr(driver, "SILENCE_SECONDS", 30)
    monkeypatch.setattr(driver, "CONNECT_SECONDS", 3)
    guests: list[Guest] = []

    def start(first: list[str], reply: Reply = lambda _: []) -> Guest:
        folder = tmp_path / str(len(guests))
        folder.mkdir()
        guests.append(Guest(folder, first, reply))
        return guests[-1]

    yield start
    for guest in guests:
        guest.end()


def kind_of(call: Callable[[], object]) -> str:
    with pytest.raises(BootError) as raised:
        call()
    return raised.value.kind


def test_a_step_has_its_answer(play: Play) -> None:
    running = play([booted()], lambda words: [answer(words[0])]).running()
    assert isinstance(running.boot(60), Booted)
    assert running.step("s", "true", "ok", 10, 0).output == "ok\n"
    assert [beat.uptime for beat in running.beats] == [9.0, 20.0]


def test_answers_of_other_steps_are_passed_over(play: Play) -> None:
    running = play([booted(), answer("41")], lambda words: [answer(words[0])]).running()
    running.boot(60)
    assert running.step("s", "true", "", 10, 0).id == 1


def test_a_garbled_answer_is_asked_for_again(play: Play) -> None:
    def reply(words: list[str]) -> list[str]:
        return [answer("1")] if words[0] == "again" else [answer("1")[:50] + "[ 1.2] kernel"]

    guest = play([booted()], reply)
    running = guest.running()
    running.boot(60)
    assert running.step("s", "true", "", 10, 0).code == 0
    assert guest.heard == ["1", "again"]


def test_a_guest_is_heard_while_the_host_is_busy(play: Play) -> None:
    """Else the console's socket fills and the guest waits for it."""
    beats = [say(state(float(n))) for n in range(10, 4000)]
    running = play([booted(), *beats]).running()
    running.boot(60)
    for _ in range(100):  # how much is heard at a time depends on this host
        if running.uptime < 3999:
            running.listen("host", 0.1)
    assert running.uptime == 3999.0


def together(*runnings: Running) -> None:
    for number, running in enumerate(runnings):
        running.name, running.company = f"board-{number}", runnings
        running.boot(60)


def test_all_boards_are_heard_while_one_is_waited_for(play: Play) -> None:
    beats = [say(state(float(n))) for n in range(10, 4000)]
    talker = play([booted()], lambda _: beats).running()

    def reply(words: list[str]) -> list[str]:
        """Only when the other has been heard to its end."""
        while talker.uptime < 3999:
            time.sleep(0.01)
        return [answer(words[0])]

    asked = play([booted()], reply).running()
    together(talker, asked)
    talker._send(b"anything\n")
    assert asked.step("s", "true", "ok", 10, 0).output == "ok\n"


def test_a_panic_of_another_board_is_named_with_it(play: Play) -> None:
    other = play([booted()], lambda _: ["Kernel panic - not syncing: x"]).running()
    asked = play([booted()]).running()
    together(other, asked)
    other._send(b"anything\n")
    with pytest.raises(BootError, match="board-0: Kernel panic") as raised:
        asked.step("s", "true", "", 10, 0)
    assert raised.value.kind == "kernel panic"


def test_another_board_that_dies_is_named(play: Play) -> None:
    guest = play([booted()])
    other, asked = guest.running(), play([booted()]).running()
    together(other, asked)
    guest.process.kill()
    with pytest.raises(BootError, match="board-0: QEMU ended with status -9"):
        asked.step("s", "true", "", 10, 0)


def test_a_board_that_is_off_is_not_heard_any_more(play: Play) -> None:
    other = play([booted()]).running()
    asked = play([booted()], lambda words: [answer(words[0])]).running()
    together(other, asked)
    other.cut()
    assert asked.step("s", "true", "ok", 10, 0).code == 0


def test_a_panic_while_the_host_is_busy_is_named(play: Play) -> None:
    guest = play([booted()], lambda _: ["Kernel panic - not syncing: x"])
    running = guest.running()
    running.boot(60)
    running._send(b"anything\n")
    assert kind_of(lambda: running.listen("host", 5)) == "kernel panic"


def test_nothing_that_comes_with_the_first_word_is_lost(play: Play) -> None:
    killed = "Out of memory: Killed process 41 (coredns)"
    running = play([booted(), killed, say(state(11.0))]).running()
    running.boot(60)
    assert running.uptime == 11.0
    assert [trouble.kind for trouble in running.troubles] == ["out of memory"]


def test_a_guest_without_a_word_has_stalled(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "SILENCE_SECONDS", 1)
    assert kind_of(lambda: play([]).running().boot(60)) == "stalled"


def test_a_guest_that_the_host_kept_waiting_has_not_stalled(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = time.monotonic()
    monkeypatch.setattr(driver, "SILENCE_SECONDS", 0.2)
    monkeypatch.setattr(driver, "kept_waiting", lambda _: time.monotonic() - begin)

    def reply(words: list[str]) -> list[str]:
        time.sleep(2)
        return [answer(words[0])]

    running = play([booted()], reply).running()
    running.boot(60)
    assert running.step("s", "true", "ok", 10, 0).output == "ok\n"


def test_a_step_past_its_time_names_the_second(play: Play) -> None:
    running = play([booted()], lambda _: [say(state(2000.0))]).running()
    running.boot(60)
    with pytest.raises(BootError, match=r"timeout at guest second 2000, in step 'slow'"):
        running.step("slow", "true", "", 10, 0)


def test_a_panic_ends_the_step_at_once(play: Play) -> None:
    panic = "[ 12.1] Kernel panic - not syncing: Attempted to kill init!"
    running = play([booted()], lambda _: ["earlier", panic]).running()
    running.boot(60)
    with pytest.raises(BootError, match="Attempted to kill init") as raised:
        running.step("s", "true", "", 10, 0)
    assert raised.value.kind == "kernel panic"
    assert "| earlier" in str(raised.value)


def test_trouble_that_a_step_survives_is_kept(play: Play) -> None:
    killed = "Out of memory: Killed process 41 (coredns)"
    running = play([booted()], lambda words: [killed, answer(words[0])]).running()
    running.boot(60)
    assert running.step("s", "true", "", 10, 0).code == 0
    assert [trouble.kind for trouble in running.troubles] == ["out of memory"]


def test_a_killed_emulator_is_named(play: Play) -> None:
    guest = play([booted()])
    running = guest.running()
    running.boot(60)
    guest.process.kill()
    with pytest.raises(BootError, match="QEMU ended with status -9"):
        running.step("s", "true", "", 10, 0)


def test_an_emulator_that_does_not_start_is_named(tmp_path: Path) -> None:
    process = subprocess.Popen(["false"])
    process.wait()
    running = Running(process, Files(tmp_path, tmp_path), "nonce")
    assert kind_of(lambda: running.boot(60)) == "the emulator did not start"


def test_off_wants_the_sentinel(play: Play) -> None:
    guest = play([booted()], lambda _: [say({"end": "nonce"})])
    running = guest.running()
    running.boot(60)
    guest.process.terminate()
    running.off(60)
    assert guest.heard == ["off"]


@pytest.mark.parametrize("said", [[], [say({"end": "of another boot"})]])
def test_without_the_sentinel_an_end_is_a_failure(
    play: Play, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "SILENCE_SECONDS", 1)
    running = play([booted()], lambda _: said).running()
    running.boot(60)
    assert kind_of(lambda: running.off(60)) == "stalled"


def test_a_cut_leaves_nothing_running(play: Play) -> None:
    guest = play([booted()])
    running = guest.running()
    running.boot(60)
    running.cut()
    assert guest.process.poll() == -9
    running.end()
