"""The verbs image and binfmt: what they do, in which order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from buildsys.app import App, raise_failures
from buildsys.bundle.images import DATE
from buildsys.docker.binfmt import State, entries, states
from buildsys.docker.daemon import connect, load
from buildsys.docker.make import Made, Maker, built
from buildsys.docker.push import push
from buildsys.docker.register import Registrar
from buildsys.emulator import is_native


@dataclass(frozen=True)
class ImageResult:
    """The image, where it was pushed to, how many layers that took, its names in the daemon."""

    made: Made
    pushed: str = ""
    put: int = 0
    loaded: Sequence[str] = field(default_factory=list)


def image(app: App, names: Sequence[str], to: str, *, into_daemon: bool) -> ImageResult:
    """Make the image of the named targets, or of all whose executable is there.

    Raises what making, loading and pushing raise.
    """
    targets = app.targets(names) if names else built(app.artifacts, app.targets(()))
    client = connect() if into_daemon else None
    with app.progress.running():
        maker = maker_of(app)
        with app.progress.step("image", ", ".join(target.name for target in targets)):
            made = maker.make(targets)
        loaded = load(client, made, DATE) if client else []
        if not to:
            return ImageResult(made, loaded=loaded)
        with app.progress.step("push", to):
            name, put = push(made, to, os.environ)
    return ImageResult(made, name, put, loaded)


def maker_of(app: App) -> Maker:
    """With the certificate authorities from the store, made where they are not in it."""
    result = app.build(app.plan((), ["ca-certificates"]))
    raise_failures(result)
    (outcome,) = result.outcomes.values()
    assert outcome.result
    certificates = outcome.result.artifact.path("etc/ssl/certs/ca-certificates.crt")
    return Maker(app.project.recipes["k3s"].recipe, app.cache, app.artifacts, certificates)


@dataclass(frozen=True)
class BinfmtResult:
    """Who runs the programs of which target now, and what was done for that, in words."""

    states: Sequence[State]
    done: Sequence[str]


def binfmt(app: App, names: Sequence[str], *, remove: bool) -> BinfmtResult:
    """Register the emulators of the named targets, or show; or remove them, all if none is named.

    Raises what the registrar raises.
    """
    registrar, done = Registrar(app.cache, app.emulator), []
    for target in app.targets(names) if names or remove else ():
        if remove:
            done += [f"{target.name}: removed"] if registrar.remove(target) else []
        else:
            again = registrar.register(target)
            done.append(f"{target.name}: registered{' again' if again else ''}")
    shown = {target.name: target for target in app.targets(names)}
    native = frozenset(name for name, target in shown.items() if is_native(target))
    return BinfmtResult(states(shown, entries(), native), done)
