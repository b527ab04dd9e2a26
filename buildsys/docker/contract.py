"""What people expect of an image of k3s: that of rancher/k3s (k3s's package/Dockerfile). Pure.

One thing differs: /bin/k3s is the whole executable, the very file that was audited and booted. So a
container checks its CPU, gets the defaults of a small board and the images that no registry has for
it, also where a volume hides what the image holds below /var/lib. It unpacks itself into the volume
of /var/lib/rancher/k3s at its first start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from buildsys.bundle.manifest import Manifest
from buildsys.image.oci import PATH, labels
from buildsys.model import Recipe

NAME = "k3s"
"""The image's repository where no registry is named."""

PROGRAM = "bin/k3s"

DATA = "/var/lib/rancher/k3s"

VOLUMES = ("/var/lib/kubelet", DATA, "/var/lib/cni", "/var/log")

ENVIRONMENT = {
    # The last one has what k3s unpacks: containerd, runc and the plugins.
    "PATH": f"{DATA}/data/cni:{PATH}:/bin/aux:{DATA}/data/current/bin",
    "CRI_CONFIG_FILE": f"{DATA}/agent/etc/crictl.yaml",
}

FOLDERS = {
    "etc/ssl/certs": "0755",
    "lib/firmware": "0755",
    "lib/modules": "0755",
    "run": "0755",
    "tmp": "1777",
    "var/lib/cni": "0755",
    "var/lib/kubelet": "0755",
    "var/lib/rancher/k3s": "0755",
    "var/log": "0755",
    "var/run": "0755",
}
"""Empty folders with their modes: mount points of volumes and of the host's modules."""

_OWN = ("bin/k3s", "bin/cni", "bin/containerd-shim-runc-v2", "bin/runc")
"""What k3s runs from its data directory only; all else in bin/ is for people and their scripts."""

COMMANDS = ("kubectl", "crictl", "ctr")
"""Names by which the executable is another program."""


def tag_of(version: str) -> str:
    """A version as a tag, which may have no plus; upstream's images have a dash there."""
    return version.replace("+", "-")


def configuration(recipe: Recipe, created: str) -> dict[str, Any]:
    """What a container is started with, in the words of the OCI image specification."""
    return {
        "Env": [f"{name}={value}" for name, value in ENVIRONMENT.items()],
        "Entrypoint": [f"/{PROGRAM}"],
        "Cmd": ["agent"],
        "Volumes": {volume: {} for volume in VOLUMES},
        "WorkingDir": "/",
        "Labels": labels(recipe, created),
    }


def texts(version: str) -> dict[str, str]:
    """Small files by path: users, name service, what system this is."""
    return {
        "etc/passwd": "root:x:0:0:root:/:/bin/sh\n",
        "etc/group": "root:x:0:\n",
        "etc/nsswitch.conf": "hosts: files dns\n",
        "etc/os-release": f'ID=k3s\nPRETTY_NAME="K3s {version}"\n',
    }


def tools(manifest: Manifest) -> set[str]:
    """Paths of the executable's programs that lie unpacked in the image, for `docker exec`."""
    return {
        file.path
        for file in manifest.files
        if file.path.startswith("bin/") and file.path not in _OWN and not _is_listing(file.path)
    }


def links(manifest: Manifest, kept: Iterable[str]) -> Mapping[str, str]:
    """Symlinks by path: the executable's to the programs in `kept`, and k3s's own other names."""
    programs = {path.rpartition("/")[2] for path in kept}
    names = {
        path: text
        for path, text in manifest.links.items()
        if path.startswith("bin/") and text.rpartition("/")[2] in programs
    }
    return {**names, **{f"bin/{name}": "k3s" for name in COMMANDS}}


def _is_listing(path: str) -> bool:
    """Lists of the data directory's files, by which check-config judges that one."""
    return path.rpartition("/")[2].startswith(".")
