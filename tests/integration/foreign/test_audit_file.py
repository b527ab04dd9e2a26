"""`invoke audit FILE --against armv6`, on real files, as somebody's CI calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from buildsys.app import ROOT, App
from buildsys.errors import AuditError, NothingToJudgeError, UnknownNameError, UsageError

from .conftest import CProgram, GoProgram, bundle, tarball

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Result:
    """What one call did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def results(self) -> dict[str, str]:
        """By the last part of each file's name."""
        return {
            elf["name"].rpartition("(")[2].rstrip(")"): elf["result"] for elf in self.json["elves"]
        }


def audit(*words: str | Path) -> Result:
    argv = [sys.executable, "-m", "invoke", "audit", *(str(word) for word in words)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    return Result(done.returncode, done.stdout, done.stderr)


def test_a_v7_build_in_upstreams_layout_is_refused_with_its_files(
    tmp_path: Path, go_program: GoProgram, c_program: CProgram
) -> None:
    inner = {
        "bin/k3s": go_program("7"),
        "bin/runc": c_program("cortex_a7"),
        "bin/old": go_program("5"),
        "bin/busybox": c_program("arm1176jzf_s"),
        "bin/check-config": b"#!/bin/sh\n",
    }
    path = tmp_path / "k3s-armhf"
    path.write_bytes(go_program("7", {"c0ffee.tar.zst": tarball(inner)}))
    found = audit(path, "--against", "armv6", "--json")
    assert found.code == AuditError.exit_code
    assert found.results == {
        "k3s-armhf": "refused",
        "./bin/k3s": "refused",
        "./bin/runc": "refused",
        "./bin/old": "runs",
        "./bin/busybox": "runs",
    }
    assert (found.json["refused"], found.json["files"], found.json["passed"]) == (3, 5, False)
    assert "would not run on armv6: 3 of 5 files" in found.err
    lines = audit(path, "--against=armv6").out.splitlines()
    assert lines[0] == "does not run k3s-armhf: GOARM is 7, allowed is 6"
    assert [line.split()[0] for line in lines[:5]] == ["does", "does", "does", "runs", "runs"]


def test_the_same_layout_for_v6_passes(
    tmp_path: Path, go_program: GoProgram, c_program: CProgram
) -> None:
    inner = {"bin/k3s": go_program("6"), "bin/runc": c_program("arm1176jzf_s")}
    path = tmp_path / "k3s-v6"
    more = {"bin/cni": c_program("arm1176jzf_s")}
    path.write_bytes(go_program("6", {"a.tar.zst": tarball(inner), "b.tar.zst": tarball(more)}))
    found = audit(path, "--against", "armv6", "--json")
    assert (found.code, found.json["passed"], found.json["files"]) == (0, True, 4), found
    assert audit(path, "--against", "amd64").code == AuditError.exit_code


def test_our_layout_passes_and_one_v7_program_in_it_does_not(
    app: App, tmp_path: Path, c_program: CProgram
) -> None:
    good = {"bin/k3s": c_program("arm1176jzf_s")}
    found = audit(bundle(app, tmp_path / "k3s-armv6", good), "--against", "armv6", "--json")
    assert (found.code, found.results) == (0, {"k3s-armv6": "runs", "bin/k3s": "runs"})
    bad = {**good, "bin/runc": c_program("cortex_a7")}
    found = audit(bundle(app, tmp_path / "k3s-armv6", bad), "--against", "armv6", "--json")
    assert (found.code, found.results["bin/runc"]) == (AuditError.exit_code, "refused")


def test_debians_armhf_is_refused(debian_package: Path, tmp_path: Path) -> None:
    found = audit(debian_package, "--against", "armv6", "--json")
    assert found.code == AuditError.exit_code
    (elf,) = found.json["elves"]
    assert elf["name"].endswith("(data.tar.xz)(./usr/bin/hello)")
    assert elf["interpreter"] == "/lib/ld-linux-armhf.so.3"
    assert "CPU_arch is v7, allowed is v6" in elf["barriers"]
    subprocess.run(["dpkg-deb", "-x", debian_package, tmp_path], check=True)
    alone = audit(tmp_path / "usr/bin/hello", "--against", "armv6")
    assert alone.code == AuditError.exit_code
    assert alone.out.startswith("does not run hello: ")


def test_what_is_no_executable_has_an_exit_code_of_its_own(tmp_path: Path) -> None:
    found = audit(ROOT / "README.md", "--against", "armv6", "--json")
    assert (found.code, found.out) == (NothingToJudgeError.exit_code, "")
    assert "holds no executable" in found.err
    unknown = audit(sys.executable, "--against", "armv66")
    assert unknown.code == UnknownNameError.exit_code
    assert "did you mean armv6?" in unknown.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--against", "armv6"), "audit requires FILE"),
        (("README.md", "--against", "armv6", "--arch", "armv6"), "either --arch, or FILE"),
        (("--file", "README.md"), "either --arch, or FILE"),
    ],
)
def test_a_wrong_call_is_refused(words: tuple[str, ...], says: str) -> None:
    found = audit(*words)
    assert found.code == UsageError.exit_code
    assert says in found.err
