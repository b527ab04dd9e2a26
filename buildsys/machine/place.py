"""Where a scenario happens: namespaces of its own, in which QEMU and the host's servers run.

Ports, addresses and mounts are nobody else's, nothing in it reaches another network, and all that
runs in it dies with it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from buildsys.errors import MissingToolError
from buildsys.run import ending_with_us

HOST = Path(__file__).parent / "host"

_SHELL = '. "$LIBRARY"; eval "$1"'


@dataclass
class Place:
    """The namespaces, held open by one process. `folder` is the scenario's."""

    folder: Path
    holder: subprocess.Popen[bytes]

    @classmethod
    def made(cls, folder: Path, native: Path | None, taps: Sequence[str]) -> Place:
        """New namespaces; `native` is the executable that host steps call k3s.

        `taps` are the ends of the wire between boards; without any there is none.
        Raises `MissingToolError` where the host does not allow them.
        """
        programs = folder / "programs"
        programs.mkdir()
        if native:
            (programs / "k3s").symlink_to(native.absolute())
        kinds = ("--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child")
        with (folder / "place.log").open("wb") as log:
            holder = subprocess.Popen(
                ending_with_us(["unshare", *kinds, "sh", str(HOST / "begin")]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**environment(folder), "TAPS": " ".join(taps)},
                start_new_session=True,
            )
        place = cls(folder, holder)
        assert holder.stdout is not None
        if holder.stdout.readline() != b"begun\n":
            place.end()
            raise MissingToolError(
                "the namespaces of a scenario cannot be made:\n"
                + (folder / "place.log").read_text("utf-8", "replace"),
                action="sysctl kernel.apparmor_restrict_unprivileged_userns=0, or run it as root",
            )
        return place

    def wrap(self, argv: list[str]) -> list[str]:
        """`argv` such that it runs inside."""
        # The holder is unshare; its child is the first process inside.
        path = Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children")
        first = path.read_text().split()[0]
        kinds = ("--user", "--net", "--mount", "--pid", "--preserve-credentials")
        return ["nsenter", "--target", first, *kinds, *argv]

    def call(
        self, command: str, seconds: float, meanwhile: Callable[[float], None]
    ) -> tuple[int, str]:
        """Run a host step's command; its exit code and what it printed.

        `meanwhile` is called with a number of seconds to spend, until the command has ended.
        """
        argv = self.wrap(["timeout", "-k", "5", str(seconds), "sh", "-c", _SHELL, "sh", command])
        path = self.folder / "output"
        with path.open("wb") as out:
            process = subprocess.Popen(
                ending_with_us(argv),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment(self.folder),
                cwd=self.folder,
            )
        while process.poll() is None:
            meanwhile(0.1)
        return process.returncode, path.read_bytes()[-4000:].decode("utf-8", "replace")

    def logs(self) -> list[Path]:
        """What the host's own programs wrote, and what is about one board."""
        return [*sorted(self.folder.glob("*.log")), *sorted(self.folder.glob("*/*.log"))]

    def end(self) -> None:
        """End everything in it."""
        self.holder.kill()
        self.holder.wait()


def environment(folder: Path) -> Mapping[str, str]:
    """The environment of everything inside."""
    path = f"{folder / 'programs'}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    library = str(HOST / "library")
    return {"PATH": path, "HOME": str(folder), "RUN": str(folder), "LIBRARY": library}
