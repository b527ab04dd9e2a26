"""What is read out of the words of Go's analysis."""

from __future__ import annotations

import pytest

from buildsys.errors import AuditError
from buildsys.verify.narrow import Narrow, findings, raise_found

pytestmark = pytest.mark.unit

ODD = "address of non 64-bit aligned field .big passed to atomic.AddInt64"

SAID = f"""\
$ sh -c list
../gomod/example.org/dep@v1.0.0/dep.go:12:56: {ODD}
/tmp/gomod/example.org/dep@v1.0.0/dep.go:12:56: {ODD}
/tmp/src/main.go:3:1: all (untyped int constant 1099511627776) overflows int
-: # example.org/dep
atomicalign: 1 errors during loading
"""


def test_places_are_of_modules_whoever_writes_them() -> None:
    assert list(dict.fromkeys(findings(SAID))) == [
        f"example.org/dep@v1.0.0/dep.go:12:56: {ODD}",
        "/tmp/src/main.go:3:1: all (untyped int constant 1099511627776) overflows int",
    ]
    assert list(findings("go: module lookup disabled by GOPROXY=off\n")) == []


def test_a_finding_is_an_error_that_names_component_and_target() -> None:
    raise_found([Narrow("runc", "armv6", 9, ())])
    with pytest.raises(AuditError, match=r"runc-386: a\.go:1:1: odd"):
        raise_found([Narrow("runc", "armv6", 9, ()), Narrow("runc", "386", 9, ("a.go:1:1: odd",))])
