"""docs/cli.md has every exit code."""

from __future__ import annotations

import re

import pytest

from buildsys import errors
from buildsys.cli.codes import PAGE, updated

from .conftest import CHECKOUT

pytestmark = pytest.mark.unit


def test_the_table_is_what_the_errors_make() -> None:
    text = (CHECKOUT / PAGE).read_text("utf-8")
    assert updated(text) == text, "`invoke list --write` writes it"
    codes = [int(code) for code in re.findall(r"^\| (\d+) \|", text, re.M)]
    assert codes == sorted(set(codes))
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert {k.exit_code for k in kinds if issubclass(k, errors.BuildsysError)} <= {*codes}
