"""What upstream bundles and nobody serves is refused with its reason, not offered again."""

from __future__ import annotations

import pytest

from buildsys.errors import LackingError
from buildsys.load import load_project
from buildsys.plan import make_plan

from .conftest import CHECKOUT, TOOLCHAIN

pytestmark = pytest.mark.unit

PROJECT = load_project(CHECKOUT)


def test_there_are_such() -> None:
    assert "nft" in PROJECT.missing


@pytest.mark.parametrize("name", PROJECT.missing)
def test_what_is_missing_says_why_and_what_works_instead(name: str) -> None:
    with pytest.raises(LackingError) as caught:
        make_plan(PROJECT, ["armv6"], TOOLCHAIN, [name])
    missing = PROJECT.missing[name]
    assert missing.why in str(caught.value) and missing.instead in str(caught.value)
    assert "did you mean" not in str(caught.value)
