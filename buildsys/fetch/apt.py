"""apt with a configuration of our own: no root, no deb-src and no foreign architecture on the host.

The mirror is the one that the host's apt has, or the option's.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from buildsys.cache import Cache, disk_errors
from buildsys.errors import BuildsysError, MissingToolError
from buildsys.run import output

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""Where Debian and Ubuntu install the keys of Debian's archive."""


def configured(
    cache: Cache, suite: str, mirror: str | None, log: Path, architecture: str | None = None
) -> list[str]:
    """The start of an apt-get command line for the sources of `suite`.

    With an `architecture`: for its binary packages. Raises `MissingToolError`.
    """
    if not shutil.which("apt-get"):
        raise MissingToolError(
            "Debian's packages are fetched by apt-get, which is not installed",
            action="use a Debian or Ubuntu host, or copy the cache's downloads from one",
        )
    if not KEYRING.is_file():
        raise MissingToolError(
            f"the keys of Debian's archive are not at {KEYRING}",
            action="apt-get install debian-archive-keyring",
        )
    folder = cache.root / "apt" / (f"{suite}-{architecture}" if architecture else suite)
    with disk_errors(folder, "preparing apt"):
        for name in ("lists/partial", "archives/partial"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        listing = folder / "sources.list"
        uri = mirror or host_mirror(log)
        kind, only = ("deb", f"arch={architecture} ") if architecture else ("deb-src", "")
        listing.write_text(f"{kind} [{only}signed-by={KEYRING}] {uri} {suite} main\n")
    options = {
        "Dir::Etc::sourcelist": listing,
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder,
        "Dir::Cache::archives": folder / "archives",
        "APT::Get::List-Cleanup": "false",
        "Acquire::Retries": "2",
    }
    if architecture:
        # What the host has installed is of another architecture, and no matter.
        (folder / "status").touch()
        options["Dir::State::status"] = folder / "status"
        options["APT::Architecture"] = options["APT::Architectures"] = architecture
    if os.geteuid() == 0:
        # apt would drop to a user who may not write here.
        options["APT::Sandbox::User"] = "root"
    pairs = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
    return ["apt-get", "-q", *pairs]


def host_mirror(log: Path) -> str:
    """The Debian mirror of the host's own apt. Raises `BuildsysError` where it has none."""
    text = output(["apt-get", "indextargets", "--format", "$(REPO_URI)"], log=log)
    for uri in dict.fromkeys(text.split()):
        if uri.rstrip("/").endswith("/debian"):
            return uri.rstrip("/")
    raise BuildsysError(
        "the host's apt knows no Debian mirror",
        cause="this is no Debian, or its sources are empty",
        action="name one with --debian-mirror or K3S_BUILDSYS_DEBIAN_MIRROR",
    )
