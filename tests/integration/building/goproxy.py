"""Go modules of the test's own, served from a folder as a module proxy does."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from buildsys.archive import module_file_sum, module_zip_sum

from .project import GO_RECIPE, Checkout, fill

PROGRAM, DEPENDENCY = "example.test/gotool", "example.test/dep"

MAIN = """\
package main

import (
	"fmt"

	"example.test/dep"
)

func main() { fmt.Println("@TEXT@", dep.Twice(21)) }
"""

DEP = "package dep\n\nfunc Twice(a int) int { return a * 2 }\n"


@dataclass(frozen=True)
class Module:
    """A served module and the hashes that a recipe pins."""

    name: str
    version: str
    zip: Path
    sum: str
    mod_sum: str

    @property
    def sums(self) -> str:
        """Its two lines in a go.sum."""
        at = f"{self.name} {self.version}"
        return f"{at} {self.sum}\n{at}/go.mod {self.mod_sum}\n"


@dataclass(frozen=True)
class Proxy:
    """A folder that `GOPROXY=file://…` serves."""

    folder: Path

    @property
    def url(self) -> str:
        """What Go calls it."""
        return self.folder.as_uri()

    def add(
        self, name: str, version: str, files: Mapping[str, str], *, mod: str | None = None
    ) -> Module:
        """Serve a module. `mod` is the go.mod that is served beside the zip, if another."""
        place = self.folder / name / "@v"
        place.mkdir(parents=True, exist_ok=True)
        archive = place / f"{version}.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as package:
            for path, text in files.items():
                package.writestr(f"{name}@{version}/{path}", text)
        (place / f"{version}.mod").write_text(files["go.mod"] if mod is None else mod)
        info = {"Version": version, "Time": "2024-05-06T07:08:09Z"}
        (place / f"{version}.info").write_text(json.dumps(info))
        (place / "list").write_text(f"{version}\n")
        mod_sum = module_file_sum(files["go.mod"].encode())
        return Module(name, version, archive, module_zip_sum(archive), mod_sum)

    def standard(self, text: str = "go says") -> tuple[Module, Module]:
        """A program and the module that it needs."""
        dep = self.add(DEPENDENCY, "v1.0.0", {"go.mod": f"module {DEPENDENCY}\n", "dep.go": DEP})
        return self.program(dep, text), dep

    def program(self, dep: Module, text: str, sums: str = "") -> Module:
        """The program; `sums` is its go.sum, if another than the right one."""
        mod = f"module {PROGRAM}\n\ngo 1.25\n\nrequire {dep.name} {dep.version}\n"
        files = {"go.mod": mod, "go.sum": sums or dep.sums, "main.go": fill(MAIN, text=text)}
        return self.add(PROGRAM, "v1.2.3", files)


def go_recipe(checkout: Checkout, module: Module, **changed: str) -> Path:
    """A recipe for a served module, with its hashes unless `changed` says otherwise."""
    values = {"sum": module.sum, "mod_sum": module.mod_sum, **changed}
    text = fill(GO_RECIPE, name="gotool", module=module.name, version=module.version, **values)
    return checkout.recipe("gotool", text, {})
