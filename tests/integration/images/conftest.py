"""Each image test runs for every target: `image("coredns")` is that image for the test's target.

Images are built as `invoke build --only NAME` builds them, so a first run may take minutes.
tests/chosen.py says for which.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from buildsys.app import App, Settings
from buildsys.model import Target
from tests.chosen import TARGETS

from .unpacked import Unpacked, unpack

GetImage = Callable[[str], Unpacked]


@pytest.fixture(scope="session")
def app() -> App:
    return App(Settings())


@pytest.fixture(params=TARGETS, scope="module")
def target(request: pytest.FixtureRequest, app: App) -> Target:
    """The target of the test; programs of another machine run under qemu-user."""
    if os.geteuid():
        pytest.skip("only root may enter an image's file system and become its user")
    return app.project.targets[request.param]


@pytest.fixture
def image(app: App, target: Target, tmp_path: Path) -> GetImage:
    """Builds and unpacks the image of a recipe; every test has a copy of its own."""

    def get(name: str) -> Unpacked:
        result = app.build(app.plan([target.name], [name]))
        outcome = result.outcomes[f"{name}-{target.name}"]
        assert outcome.result, outcome.error
        recipe = app.project.recipes[name].recipe
        return unpack(recipe, target, outcome.result.artifact, tmp_path)

    return get
