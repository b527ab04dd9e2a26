"""What the options mean that several verbs have."""

from __future__ import annotations

HELP = {
    "arch": "target to work for; may be given several times (default: all)",
    "all": "work for every target, where none is named",
    "profile": "choice of components: full, minimal, agent (recipes/profiles.toml)",
    "only": "component to restrict to, with what it needs; may be given several times",
    "jobs": "parallel jobs and compiler processes (default: the number of cores)",
    "cache": "cache folder (default: $K3S_BUILDSYS_CACHE, else ~/.cache/k3s-buildsys)",
    "offline": "use no network: name the sources that are missing instead of fetching them",
    "debian-mirror": "Debian mirror (default: the one of the host's apt, else Debian's primary)",
    "go-proxy": "Go module proxy (default: $GOPROXY, else Go's own)",
    "json": "print data as JSON on standard output",
}

NAMED = "target to work for; may be given several times; or --all"
"""What --arch means to commands that begin nothing on several targets unasked."""


def texts(*names: str) -> dict[str, str]:
    """The help texts of these options, as `invoke` wants them."""
    return {name: HELP[name] for name in names}
