"""A checkout of small recipes, to be planned, built or broken one edit at a time."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from buildsys.app import ROOT

RECIPE = """\
name = "{name}"
summary = "A component of the tests"
version = "{version}"
license = "{license}"
style = "copy"
needs = {needs}
memory_mib = 50
[source]
kind = "local"
path = "src"
[output]
into = "{into}"
files = {{ "tool" = "bin/{name}" }}
[test]
argv = ["bin/{name}"]
expect = "hello"
"""

PAUSE = "rancher/mirrored-pause:3.6"
"""Without an image there are no airgap archives."""


def toml_list(values: Iterable[str]) -> str:
    return f"[{', '.join(map(repr, values))}]"


@dataclass(frozen=True)
class Folders:
    """The folders of a project."""

    root: Path

    def recipe(
        self,
        name: str,
        *,
        needs: Iterable[str] = (),
        into: str = "executable",
        version: str = "1.0",
        license_: str = "MIT",
    ) -> None:
        """A recipe that is right, with one local file."""
        text = RECIPE.format(
            name=name, needs=toml_list(needs), into=into, version=version, license=license_
        )
        self.write(f"recipes/{name}/recipe.toml", text)
        self.write(f"recipes/{name}/src/tool", f"program {name}\n")

    def image(self, name: str, reference: str, more: str = "") -> None:
        """A recipe that is right and becomes an image; `more` stands in its [image] table."""
        self.recipe(name, into="image")
        table = f'[image]\nname = "{reference}"\n{more}\n[test]'
        self.edit(f"recipes/{name}/recipe.toml", "[test]", table)

    def armv6(self) -> None:
        """The real target, but with no image in the executable, and what can be booted on it."""
        target = (ROOT / "toolchains/armv6.toml").read_text()
        self.write("toolchains/armv6.toml", re.sub(r"^embed += .*\n", "", target, flags=re.M))
        scenarios = "buildsys/machine/scenarios"
        shutil.copytree(ROOT / scenarios, self.root / scenarios)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace what is there exactly once."""
        path = self.root / name
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} in {text}"
        path.write_text(text.replace(old, new))
