"""Pins of the toolchains: each package of a style is pinned like the others, for every host."""

from __future__ import annotations

import subprocess
import tomllib
from importlib.metadata import distribution

import pytest

from buildsys.cache import Cache
from buildsys.errors import HashMismatchError
from buildsys.styles import STYLES
from buildsys.toolchain import PYPROJECT, STYLE_PACKAGES, find_toolchain, wheel_digest

pytestmark = pytest.mark.unit

PROJECT = tomllib.loads(PYPROJECT.read_text("utf-8"))
PACKAGES = sorted({name for packages in STYLE_PACKAGES.values() for name in packages})


def test_styles_exist() -> None:
    assert set(STYLE_PACKAGES) <= set(STYLES)


@pytest.mark.parametrize("package", PACKAGES)
def test_package_is_pinned(package: str) -> None:
    pinned = [line for line in PROJECT["project"]["dependencies"] if line.startswith(f"{package}=")]
    assert pinned == [f"{package}=={distribution(package).version}"]
    for machine, wheels in PROJECT["tool"]["k3s-buildsys"]["wheels"].items():
        assert package in wheels, machine


def test_only_that_style_sees_them() -> None:
    found = find_toolchain()
    assert not set(found.versions) & set(PACKAGES)
    for style, packages in STYLE_PACKAGES.items():
        assert set(packages) <= set(found.style_versions[style])
        assert set(found.style_folders[style]) == set(packages.values())
        assert all(folder.is_dir() for folder in found.style_folders[style].values())


@pytest.mark.parametrize("package", PACKAGES)
def test_another_wheel_is_refused(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = distribution(package).read_text("RECORD") or ""

    def digest(record: str) -> str:
        return "0" * 64 if record == real else wheel_digest(record)

    monkeypatch.setattr("buildsys.toolchain.wheel_digest", digest)
    with pytest.raises(HashMismatchError, match=f"the wheel {package} "):
        find_toolchain()


def test_digest_of_a_wheel_counts_what_was_packaged() -> None:
    packaged = ["tool/bin/node,sha256=aaa,1", "tool/__init__.py,sha256=bbb,2"]
    added = [
        "../../../bin/node,sha256=ccc,3",
        "tool/__pycache__/__init__.cpython-311.pyc,sha256=ddd,4",
        "tool-1.0.dist-info/INSTALLER,sha256=eee,5",
        "tool-1.0.dist-info/RECORD,,",
    ]
    digest = wheel_digest("\n".join(packaged))
    assert wheel_digest("\n".join([*added, *reversed(packaged)])) == digest
    assert wheel_digest("\n".join(packaged).replace("aaa", "abc")) != digest


def test_go_asks_the_proxy_that_it_was_released_with(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOPROXY", raising=False)
    toolchain = find_toolchain()
    env = toolchain.go_environment(cache, online=True)
    assert "GOPROXY" not in env
    asked = subprocess.run(
        [toolchain.go / "bin/go", "env", "GOPROXY"], env=env, capture_output=True, text=True
    )
    assert asked.stdout.startswith("https://")
    monkeypatch.setenv("GOPROXY", "https://of-the-environment")
    named = toolchain.go_environment(cache, online=True)["GOPROXY"]
    assert named == "https://of-the-environment"
    named = toolchain.go_environment(cache, online=True, proxy="https://named")["GOPROXY"]
    assert named == "https://named"
    assert toolchain.go_environment(cache, online=False)["GOPROXY"] == "off"
