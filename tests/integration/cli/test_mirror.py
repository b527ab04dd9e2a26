"""An apt that knows no Debian mirror, as Ubuntu's: Debian's primary one is asked, and named."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from buildsys.app import App, Settings
from buildsys.errors import MissingToolError
from buildsys.fetch import apt

from .typed import typed

pytestmark = pytest.mark.integration

RELEASE = """\
Origin: {origin}
Suite: s
Codename: s
Architectures: amd64
Components: main
Date: Thu, 01 Jan 2026 00:00:00 UTC
SHA256:
 {digest} {size} main/binary-amd64/Packages
"""

PACKAGES = f"""\
Package: p
Version: 1
Architecture: amd64
Filename: p.deb
Size: 1
SHA256: {"0" * 64}
"""


def archive(place: Path, origin: str) -> str:
    """An archive that says whose it is; its line for apt."""
    packages = place / "dists/s/main/binary-amd64/Packages"
    packages.parent.mkdir(parents=True)
    packages.write_text(PACKAGES)
    digest = hashlib.sha256(PACKAGES.encode()).hexdigest()
    text = RELEASE.format(origin=origin, digest=digest, size=len(PACKAGES))
    (place / "dists/s/Release").write_text(text)
    return f"deb [trusted=yes arch=amd64] file:{place} s main\n"


def host(folder: Path, *lines: str) -> Mapping[str, str]:
    """The environment of a host whose apt knows only these archives."""
    (folder / "lists/partial").mkdir(parents=True)
    (folder / "sources.list").write_text("".join(lines))
    config = folder / "apt.conf"
    config.write_text(
        f'Dir::Etc::sourcelist "{folder}/sources.list";\nDir::Etc::sourceparts "-";\n'
        f'Dir::State::lists "{folder}/lists";\nAPT::Sandbox::User "root";\n'
        'APT::Architecture "amd64";\nAcquire::Languages "none";\n'
        'Acquire::http::Proxy "http://127.0.0.1:9";\nAcquire::Retries "0";\n'
    )
    env = {"APT_CONFIG": str(config)}
    if lines:
        update = ["apt-get", "update", "-q"]
        subprocess.run(update, env={**os.environ, **env}, check=True, capture_output=True)
    return env


def test_apt_tells_whose_an_archive_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ubuntu = archive(tmp_path / "archive.ubuntu.test/ubuntu", "Ubuntu")
    others = archive(tmp_path / "download.docker.test/linux/debian", "Docker")
    debians = archive(tmp_path / "mirror.test/debian", "Debian")
    log = tmp_path / "log"
    for name, lines, found in (
        ("none", (), None),
        ("ubuntu", (ubuntu,), None),
        ("with-docker", (ubuntu, others), None),
        ("debian", (ubuntu, others, debians), f"file:{tmp_path}/mirror.test/debian"),
    ):
        config = host(tmp_path / name, *lines)
        monkeypatch.setenv("APT_CONFIG", config["APT_CONFIG"])
        assert apt.host_mirror(log) == found, name


def test_on_ubuntu_debians_primary_mirror_is_asked_and_named(tmp_path: Path) -> None:
    env = host(tmp_path / "host", archive(tmp_path / "archive.ubuntu.test/ubuntu", "Ubuntu"))
    cache = tmp_path / "cache"
    line = f"invoke fetch --arch armv6 --only zlib --cache {cache}"
    # The primary mirror is out of reach here, behind a proxy that does not answer.
    done = typed(line, env=env)
    assert done.err.count("note: the host's apt knows no Debian mirror") == 1
    assert f"{apt.PRIMARY}, Debian's primary one, is asked" in done.err
    assert done.code == 12
    (listing,) = cache.glob("apt/*/sources.list")
    assert f" {apt.PRIMARY} " in listing.read_text()
    log = "".join(path.read_text() for path in cache.glob("logs/fetch-*"))
    assert f"{apt.PRIMARY}/dists" in log, "apt asked there"


def test_a_mirror_that_is_named_wins(tmp_path: Path) -> None:
    env = host(tmp_path / "host", archive(tmp_path / "archive.ubuntu.test/ubuntu", "Ubuntu"))
    named = "http://mirror.test/debian"
    for number, (option, more) in enumerate(
        ((f" --debian-mirror {named}", {}), ("", {"K3S_BUILDSYS_DEBIAN_MIRROR": named}))
    ):
        cache = tmp_path / f"cache-{number}"
        line = f"invoke fetch --arch armv6 --only zlib --cache {cache}{option}"
        done = typed(line, env={**env, **more})
        assert "note:" not in done.err
        (listing,) = cache.glob("apt/*/sources.list")
        assert f" {named} " in listing.read_text()


def test_doctor_names_the_mirror(tmp_path: Path) -> None:
    env = host(tmp_path / "host", archive(tmp_path / "archive.ubuntu.test/ubuntu", "Ubuntu"))
    done = typed(f"invoke doctor --for build --arch armv6 --cache {tmp_path}/cache", env=env)
    (row,) = [line for line in done.out.splitlines() if "Debian mirror" in line]
    assert row.startswith("ok") and f"{apt.PRIMARY}: the host's apt knows none" in row


def test_keys_that_are_not_there_are_named_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apt, "KEYRING", tmp_path / "none.gpg")
    app = App(Settings(cache=str(tmp_path / "cache")))
    with pytest.raises(MissingToolError, match=r"none\.gpg") as caught:
        app.fetch(app.plan(["armv6"], ["zlib", "pause"]))
    assert "apt-get install debian-archive-keyring" in caught.value.action
    assert [path for path in app.cache.downloads.rglob("*") if path.is_file()] == []
    assert [*app.cache.logs.glob("fetch-*")] == []
