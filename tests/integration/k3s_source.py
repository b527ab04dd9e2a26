"""Files of the k3s that is built, out of its pinned module."""

from __future__ import annotations

import zipfile

from buildsys.app import App, raise_all
from buildsys.fetch import fetch_all
from buildsys.fetch.go_module import zip_path
from buildsys.model import GoModuleSource


def k3s_file(app: App, name: str) -> bytes:
    """A file of the module, which is fetched alone, some MiB, where no build fetched it.

    Raises what fetching raises.
    """
    whole = app.project.recipes["k3s"].recipe.source
    assert isinstance(whole, GoModuleSource)
    alone = whole.model_copy(update={"dependencies": False})
    if app.fetcher.lacks(whole) and app.fetcher.lacks(alone):
        raise_all(fetch_all([alone], app.fetcher, app.progress, app.timeline.add).items())
    with zipfile.ZipFile(zip_path(whole, app.cache)) as module:
        return module.read(f"{whole.path}/{name}")
