"""apt with a configuration of our own: no root, no deb-src and no foreign architecture on the host.

The mirror is the option's, else the one that the host's apt has, else Debian's primary one.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from buildsys.cache import Cache, disk_errors
from buildsys.errors import MissingToolError
from buildsys.report import Progress
from buildsys.run import output

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""Where Debian and Ubuntu install the keys of Debian's archive."""

PRIMARY = "http://ftp.debian.org/debian"
"""Debian's primary mirror (debian.org, "Debian worldwide mirror sites"). Packages are signed and
pinned: whom they come from changes nothing.
"""


def configured(
    cache: Cache, suite: str, mirror: str | None, log: Path, architecture: str | None = None
) -> list[str]:
    """The start of an apt-get command line for the sources of `suite`.

    With an `architecture`: for its binary packages. Raises `MissingToolError`.
    """
    demand_host()
    folder = cache.root / "apt" / (f"{suite}-{architecture}" if architecture else suite)
    with disk_errors(folder, "preparing apt"):
        for name in ("lists/partial", "archives/partial"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        listing = folder / "sources.list"
        uri = mirror or host_mirror(log) or PRIMARY
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


def demand_host() -> None:
    """See that this host can fetch Debian's packages. Raises `MissingToolError`."""
    if not shutil.which("apt-get"):
        raise MissingToolError(
            "Debian's packages are fetched by apt-get, which is not installed",
            action="use a Debian or Ubuntu host, or copy the cache's downloads from one",
        )
    if not KEYRING.is_file():
        raise MissingToolError(
            f"the keys of Debian's archive are not at {KEYRING}",
            action="apt-get install debian-archive-keyring (or `invoke setup`)",
        )


def host_mirror(log: Path) -> str | None:
    """The Debian mirror of the host's own apt; None where it knows none, as on Ubuntu.

    Other archives' addresses may end in /debian as well: where apt knows an archive's origin, that
    decides.
    """
    text = output(["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN)"], log=log)
    for line in dict.fromkeys(text.splitlines()):
        uri, _, origin = line.partition(" ")
        if uri.rstrip("/").endswith("/debian") and origin.strip() in ("Debian", ""):
            return uri.rstrip("/")
    return None


def chosen_mirror(given: str | None, log: Path, progress: Progress) -> str:
    """The mirror to ask, by name; says so where it is one that nobody named. Raises as `output`."""
    if mirror := given or host_mirror(log):
        return mirror
    progress.line(
        f"note: the host's apt knows no Debian mirror; {PRIMARY}, Debian's primary one, is asked "
        "(--debian-mirror or K3S_BUILDSYS_DEBIAN_MIRROR names another)",
        style="yellow",
    )
    return PRIMARY
