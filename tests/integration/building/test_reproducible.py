"""The same recipes give the same bytes: another place, time, language, umask, number of jobs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from .goproxy import Proxy, go_recipe
from .meson_project import meson_recipes
from .project import REVEALING, Checkout, new_checkout, tree

pytestmark = pytest.mark.integration


def fill_in(checkout: Checkout, proxy: Proxy, nonce: str) -> None:
    checkout.standard(text=nonce)
    checkout.configured(text=nonce)
    meson_recipes(checkout, nonce)
    checkout.c("careless", {"main.c": f'#define WORD "{nonce}"\n#define PREFIX "p"\n{REVEALING}'})
    go_recipe(checkout, proxy.standard(nonce)[0])


def build(checkout: Checkout, proxy: Proxy, *, jobs: int, umask: str) -> dict[str, object]:
    before = ["sh", "-c", f'umask {umask}; exec "$@"', "sh"]
    arguments = ("build", "--arch", "armv6", "--jobs", str(jobs), "--go-proxy", proxy.url)
    done = checkout.cli(*arguments, before=before)
    assert done.code == 0, done.text
    files = {
        name: tree(checkout.cache / "store" / key / "files")
        for name, key in checkout.keys().items()
    }
    artifacts = checkout.root / "artifacts"
    executable = artifacts / "k3s-armv6"
    return {
        **files,
        "k3s-armv6": (executable.stat().st_mode, executable.read_bytes()),
        "k3s-armv6.json": (artifacts / "k3s-armv6.json").read_bytes(),
    }


def test_built_twice_is_the_same(tmp_path: Path, warm: Path, proxy: Proxy, nonce: str) -> None:
    one = new_checkout(tmp_path / "a", tmp_path / "c", warm, own=True)
    one.environment = {"LC_ALL": "C", "LANG": "C", "TZ": "UTC"}
    fill_in(one, proxy, nonce)
    deep = tmp_path / "a much longer path" / ("of-another-length-" * 4)
    two = new_checkout(deep / "checkout", deep / "cache", warm, own=True)
    two.environment = {"LC_ALL": "C.UTF-8", "LANG": "de_DE.UTF-8", "TZ": "Asia/Kathmandu"}
    two.environment |= {"USER": "other", "HOSTNAME": "other", "CFLAGS": "-O0", "GOFLAGS": "-v"}
    fill_in(two, proxy, nonce)
    for path in (two.root / "recipes").rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))

    first = build(one, proxy, jobs=1, umask="022")
    time.sleep(1.1)
    second = build(two, proxy, jobs=2, umask="077")
    assert (
        set(first)
        == set(second)
        >= {"auto", "kconf", "mes", "gotool", "script", "tool", "careless"}
    )
    different = sorted(name for name in first if first[name] != second[name])
    assert different == []
