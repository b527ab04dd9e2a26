"""What only 32-bit CPUs cannot run is found in a program and in what it needs, by place."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from buildsys.app import App, Settings
from buildsys.errors import AuditError
from buildsys.verify import narrow
from buildsys.verify.narrow import Narrow

from .goproxy import DEPENDENCY, Proxy, go_recipe
from .project import Checkout

pytestmark = pytest.mark.integration

GOOD = "package dep\n\nfunc Twice(a int) int { return a * 2 }\n"

ODD = """\
package dep

import "sync/atomic"

type counter struct {
	small int32
	big   int64
}

var hits counter

func Twice(a int) int { return a * int(atomic.AddInt64(&hits.big, 2)) }
"""

EVEN = ODD.replace("small int32", "small int64")

WIDE = "package dep\n\nconst all = 1 << 40\n\nfunc Twice(a int) int { return a + all }\n"


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled in the user's cache, which may have to fetch its modules once."""
    return narrow._compiled(App(Settings()), tmp_path_factory.mktemp("tool"))


def looked_at(
    checkout: Checkout, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, tool: Path, dep: str
) -> list[Narrow]:
    monkeypatch.setattr(narrow, "_compiled", lambda *_: tool)
    # Go's build cache knows what a version imports, and takes it for unchanged.
    version = f"v1.0.{zlib.crc32(dep.encode())}"
    needed = proxy.add(DEPENDENCY, version, {"go.mod": f"module {DEPENDENCY}\n", "dep.go": dep})
    go_recipe(checkout, proxy.program(needed, "go says"))
    return narrow.narrow(checkout.app(go_proxy=proxy.url), ["armv6"], ["gotool"])


@pytest.mark.parametrize(
    ("dep", "found"),
    [
        (GOOD, ""),
        (EVEN, ""),
        (ODD, "dep.go:12:56: address of non 64-bit aligned field .big passed to atomic.AddInt64"),
        (WIDE, "dep.go:5:36: all (untyped int constant 1099511627776) overflows int"),
    ],
    ids=["good", "even", "odd", "wide"],
)
def test_what_a_dependency_does_on_32_bits(
    checkout: Checkout,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    tool: Path,
    dep: str,
    found: str,
) -> None:
    (one,) = looked_at(checkout, proxy, monkeypatch, tool, dep)
    assert (one.component, one.target, one.packages) == ("gotool", "armv6", 2)
    if not found:
        assert one.findings == ()
        narrow.raise_found([one])
        return
    (text,) = one.findings
    assert text.startswith(f"{DEPENDENCY}@")
    assert text.endswith(f"/{found}")
    with pytest.raises(AuditError, match="gotool-armv6: "):
        narrow.raise_found([one])


def test_a_target_of_64_bits_is_passed_over(checkout: Checkout) -> None:
    assert narrow.narrow(checkout.app(), ["amd64"], []) == []
