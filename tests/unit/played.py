"""Guests that are played on a socket, for what speaks with guests."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from buildsys.machine.driver import Running
from buildsys.machine.qemu import Files

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
