"""What a host is missing is said for a purpose, and before anything is fetched."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from buildsys.errors import MissingToolError, UsageError

from ..building.project import COPY_RECIPE, Checkout, fill, new_checkout
from .typed import PATH, typed

pytestmark = pytest.mark.integration


def path_without(folder: Path, hidden: Callable[[str], bool]) -> str:
    """A PATH with all programs of this one, but those."""
    folder.mkdir()
    for place in [*PATH.split(":"), "/usr/sbin", "/sbin"]:
        for program in Path(place).glob("*") if Path(place).is_dir() else ():
            link = folder / program.name
            if not hidden(program.name) and not link.is_symlink():
                link.symlink_to(program)
    return str(folder)


def test_what_a_boot_requires_is_said_before_its_kernel_is_fetched(tmp_path: Path) -> None:
    checkout = new_checkout(tmp_path / "checkout", tmp_path / "cache")
    checkout.recipe("script", fill(COPY_RECIPE, name="script"), {"script.sh": "id\n"})
    artifacts = checkout.root / "artifacts"
    artifacts.mkdir()
    (artifacts / "k3s-armv6").touch()
    (artifacts / "k3s-armv6.json").write_text(json.dumps({"embedded_size": 1}))
    path = path_without(tmp_path / "bin", lambda name: name.startswith("qemu-system-"))
    line = f"invoke smoke --arch armv6 --scenario reboot --cache {checkout.cache}"
    done = typed(line, cwd=checkout.root, path=path)
    assert done.code == MissingToolError.exit_code, done.err
    assert "qemu-system-arm is not installed" in done.err
    assert "invoke setup --for boot --arch armv6" in done.err
    assert [p for p in (checkout.cache / "downloads").rglob("*") if p.is_file()] == []
    assert [*checkout.cache.glob("apt/*")] == []


def test_doctor_fails_by_the_purpose_that_was_named(tmp_path: Path) -> None:
    path = path_without(tmp_path / "bin", {"shellcheck"}.__contains__)
    doctor = f"invoke doctor --arch armv6 --cache {tmp_path}/cache"
    done = typed(doctor, path=path)
    assert done.code == 0, done.err
    assert "missing for test only: shellcheck (`invoke setup --for test`)" in done.err
    done = typed(f"{doctor} --for test --json", path=path)
    assert done.code == MissingToolError.exit_code
    assert "apt-get install shellcheck" in done.err and "invoke setup --for test" in done.err
    (found,) = [f for f in json.loads(done.out)["findings"] if f["name"] == "shellcheck"]
    assert (found["good"], found["purposes"]) == (False, ["test"])
    assert typed(f"{doctor} --for audit", path=path).code == 0


def test_what_a_build_requires_is_named_by_its_package(tmp_path: Path) -> None:
    path = path_without(tmp_path / "bin", {"bzip2", "make"}.__contains__)
    doctor = f"invoke doctor --arch armv6 --cache {tmp_path}/cache"
    done = typed(doctor, path=path)
    assert done.code == MissingToolError.exit_code
    assert "for build: make, bzip2" in done.err


@pytest.fixture
def open_checkout(tmp_path: Path) -> Callable[[str], tuple[Checkout, str]]:
    """A checkout with a cache of that name, on a machine that allows no namespaces; its PATH."""

    def made(name: str) -> tuple[Checkout, str]:
        checkout = new_checkout(tmp_path / "checkout", tmp_path / name)
        checkout.recipe("script", fill(COPY_RECIPE, name="script"), {"script.sh": "id\n"})
        shims = tmp_path / "shims"
        shims.mkdir()
        (shims / "unshare").write_text(
            "#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2\nexit 1\n"
        )
        (shims / "unshare").chmod(0o755)
        return checkout, f"{shims}:{PATH}"

    return made


OpenCheckout = Callable[[str], tuple[Checkout, str]]


@pytest.mark.parametrize("name", ["a cache", "a:cache", "a*cache", "$cache"])
def test_in_the_open_a_path_that_would_be_split_is_refused(
    open_checkout: OpenCheckout, name: str
) -> None:
    checkout, path = open_checkout(name)
    line = f"invoke build --arch armv6 --only script --cache '{checkout.cache}'"
    done = typed(line, cwd=checkout.root, path=path)
    assert done.code == UsageError.exit_code, done.err
    assert str(checkout.cache) in done.err and "allows no user namespaces" in done.err
    assert "--cache or K3S_BUILDSYS_CACHE" in done.err
    assert [*(checkout.cache / "store").iterdir()] == []


def test_in_the_open_a_plain_path_builds(open_checkout: OpenCheckout) -> None:
    checkout, path = open_checkout("a_cache")
    line = f"invoke build --arch armv6 --only script --cache '{checkout.cache}'"
    done = typed(line, cwd=checkout.root, path=path)
    assert done.code == 0, done.err
    assert "allows no user namespaces" in done.err, "the shim refused them"
    first = next(line for line in done.err.splitlines() if "component" in line)
    assert first == "1 component for armv6: 1 to build, 0 stored, time unknown"
