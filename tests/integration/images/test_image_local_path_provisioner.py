"""local-path-provisioner: reads k3s's configuration, and asks the API that it is given."""

from __future__ import annotations

import pytest

from .conftest import GetImage
from .test_image_metrics_server import KUBECONFIG
from .unpacked import Finished, Unpacked

pytestmark = [pytest.mark.slow, pytest.mark.built]
"""It compiles for minutes, unless that was done before."""

CONFIG = '{"nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": ["%s"]}]}'
"""config.json of k3s's manifests/local-storage.yaml."""


def start(provisioner: Unpacked, path: str) -> Finished:
    """Start it with a storage folder and an API that does not answer."""
    (provisioner.root / "kubeconfig").write_text(KUBECONFIG)
    (provisioner.root / "etc/config").mkdir(parents=True)
    (provisioner.root / "etc/config/config.json").write_text(CONFIG % path)
    (provisioner.root / "etc/config/helper.yaml").write_text("kind: Pod\n")
    options = ("--config", "/etc/config/config.json", "--kubeconfig", "/kubeconfig")
    argv = provisioner.command("local-path-provisioner", "start", *options)
    return provisioner.run(*argv, env={"POD_NAMESPACE": "kube-system"}, net="own")


def test_says_its_version(image: GetImage) -> None:
    provisioner = image("local-path-provisioner")
    done = provisioner.run(*provisioner.command("local-path-provisioner", "--version"))
    assert done.code == 0
    assert "v0.0.30" in done.out


def test_asks_the_api_that_it_is_given(image: GetImage) -> None:
    done = start(image("local-path-provisioner"), "/var/lib/rancher/k3s/storage")
    assert done.code != 0
    assert "127.0.0.1:1: connect: connection refused" in done.out + done.err
