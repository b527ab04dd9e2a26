"""Where it lies what a verb made, received or published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from buildsys.docker.verbs import ImageResult
from buildsys.download import Downloaded
from buildsys.page.collect import Facts
from buildsys.release.plan import Done
from buildsys.report import print_table
from buildsys.show.common import mib, print_json


def paths(written: Sequence[Path], *, as_json: bool) -> None:
    """Files that a verb wrote."""
    if as_json:
        print_json([str(path) for path in written])
    else:
        print("\n".join(str(path) for path in written))


def report(path: Path, facts: Facts, *, as_json: bool) -> None:
    """Where the report lies, and in short what it shows."""
    if not as_json:
        print(path)
        return
    made = [
        {
            "file": f"k3s-{one.suffix}",
            "target": one.record.target,
            "sha256": one.record.sha256,
            "size": one.record.size,
            "verdicts": {v.data.kind: v.state for v in one.verdicts}
            | dict.fromkeys(one.lacks, "none"),
        }
        for one in facts.made
    ]
    print_json({"report": str(path), "executables": made})


def downloaded(done: Downloaded, *, as_json: bool) -> None:
    """The path of the executable."""
    if as_json:
        print_json(done.as_json())
    else:
        print(done.path)


def released(tag: object, root: Path, done: Sequence[Done], *, as_json: bool) -> None:
    """What each step of a release did, and where it lies."""
    if as_json:
        print_json({"tag": str(tag), "folder": str(root), "steps": [asdict(d) for d in done]})
        return
    rows = [(d.name, f"{d.seconds:.1f}", d.result) for d in done]
    print_table("", ("step", "seconds", "result"), rows)
    print(f"{tag}  {root}")


def image(done: ImageResult, *, as_json: bool) -> None:
    """The image: a line for each platform, then where it lies and where it went."""
    made = done.made
    parts = [
        {
            "target": target,
            "platform": part.platform,
            "manifest": f"sha256:{part.manifest.sha256}",
            "layer": f"sha256:{part.layer.sha256}",
            "size": part.layer.size,
        }
        for target, part in made.parts.items()
    ]
    if as_json:
        print_json(
            {
                "name": made.name,
                "layout": str(made.folder),
                "index": f"sha256:{made.index.sha256}",
                "images": parts,
                "loaded": list(done.loaded),
                "pushed": done.pushed,
                "layers_put": done.put,
            }
        )
        return
    columns = ("target", "platform", "MiB", "manifest")
    rows = [
        (target, part.platform, mib(part.layer.size), f"sha256:{part.manifest.sha256}")
        for target, part in made.parts.items()
    ]
    print_table("", columns, rows)
    print(f"{made.name}  {made.folder}  index sha256:{made.index.sha256}")
    for name in done.loaded:
        print(f"loaded  {name}")
    if done.pushed:
        print(f"pushed  {done.pushed}  {done.put} layers were not there")
