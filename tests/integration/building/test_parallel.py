"""Two builds at once on one cache: both end well, no work is done twice."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from .goproxy import Proxy, go_recipe
from .project import Checkout

pytestmark = pytest.mark.integration


def finish(process: subprocess.Popen[bytes]) -> dict[str, str]:
    out, _ = process.communicate(timeout=300)
    text = out.decode()
    assert process.returncode == 0, text
    data = json.loads(text[text.index("{\n") :])
    return {row["name"]: row["result"] for row in data["components"]}


@pytest.mark.parametrize("same", [True, False], ids=["one checkout", "two checkouts"])
def test_two_builds_at_once(
    checkout: Checkout, proxy: Proxy, nonce: str, tmp_path: Path, same: bool
) -> None:
    checkout.standard(text=nonce)
    checkout.configured(text=nonce)
    go_recipe(checkout, proxy.standard(nonce)[0])
    other = checkout
    if not same:
        shutil.copytree(checkout.root, tmp_path / "other")
        other = Checkout(tmp_path / "other", checkout.cache)
    arguments = ("build", "--arch", "armv6", "--json", "--go-proxy", proxy.url)
    processes = [c.start(*arguments) for c in (checkout, other)]
    one, two = (finish(process) for process in processes)

    assert set(one) == set(two) >= {"auto", "k3s", "tool", "gotool"}
    for name in one:
        assert sorted((one[name], two[name])) == ["built", "cached"], (name, one, two)
    executables = [(c.root / "artifacts/k3s-armv6").read_bytes() for c in (checkout, other)]
    assert executables[0] == executables[1]
    assert checkout.damaged() == []
    assert checkout.leftovers() == []


def test_many_at_once(checkout: Checkout, nonce: str) -> None:
    checkout.c("k3s", {"main.c": f'int main(void) {{ return sizeof "{nonce}"; }}\n'})
    processes = [
        checkout.start("build", "--only", "k3s", "--json", "--arch", "armv6") for _ in range(5)
    ]
    results = sorted(finish(process)["k3s"] for process in processes)
    assert results == ["built", *["cached"] * 4]
