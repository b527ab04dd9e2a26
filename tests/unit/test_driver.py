"""The driver against guests that are played: each kind of end has its own name."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buildsys.errors import BootError
from buildsys.machine import driver
from buildsys.machine.console import Booted
from buildsys.machine.driver import Running
from buildsys.machine.qemu import Files

pytestmark = pytest.mark.unit

Reply = Callable[[list[str]], list[str]]


def state(uptime: float, **more: object) -> dict[str, object]:
    usual = {"uptime": uptime, "available": 1024, "swap": 0, "rss": 0, "oom_kills": 0}
    return usual | more


def say(data: dict[str, object]) -> str:
    return f"@guest {json.dumps(data)}"


def booted(uptime: float = 9.0) -> str:
    word = {
        "boot": "armv6l",
        "release": "6.12",
        "features": "vfp",
        "controllers": "",
        "missing": "",
    }
    return say(state(uptime) | word)


def answer(number: str, uptime: float = 20.0, code: int = 0, output: str = "ok\n") -> str:
    text = base64.b64encode(output.encode()).decode()
    data = {"id": int(number), "code": code, "tries": 1, "begin": 10.0, "output": text}
    return say(state(uptime) | data)


class Guest:
    """Plays a guest on the console's socket: a first word, then a reply to each line."""

    def __init__(self, folder: Path, first: list[str], reply: Reply) -> None:
        self.files = Files(folder, folder)
        self.heard: list[str] = []
        self._first, self._reply = first, reply
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self.files.console))
        self._server.listen()
        self.process = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()

    def _play(self) -> None:
        line, _ = self._server.accept()
        with line, line.makefile("r") as lines:
            line.sendall("".join(f"{text}\r\n" for text in self._first).encode())
            for heard in lines:
                self.heard.append(heard.split()[0])
                said = self._reply(heard.split())
                line.sendall("".join(f"{text}\r\n" for text in said).encode())

    def running(self) -> Running:
        return Running(self.process, self.files, "nonce")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._server.close()


Play = Callable[..., Guest]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    monkeypatch.setattr(driver, "SILENCE_SECONDS", 1)
    monkeypatch.setattr(driver, "CONNECT_SECONDS", 2)
    guests: list[Guest] = []

    def start(first: list[str], reply: Reply = lambda _: []) -> Guest:
        guests.append(Guest(tmp_path, first, reply))
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
    running.listen("host", 0.5)
    assert running.uptime == 3999.0


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


def test_a_guest_without_a_word_has_stalled(play: Play) -> None:
    assert kind_of(lambda: play([]).running().boot(60)) == "stalled"


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
def test_without_the_sentinel_an_end_is_a_failure(play: Play, said: list[str]) -> None:
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
