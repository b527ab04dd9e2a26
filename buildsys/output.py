"""What of the output folder is ours, by exact names, and removing that."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from buildsys.cache import sweep_unfinished
from buildsys.load import Project
from buildsys.model import bundle_suffix
from buildsys.ours import unfinished_name
from buildsys.release.channels import PATH as CHANNELS
from buildsys.release.plan import NOTES, RECORD, artifacts_of, plan_release
from buildsys.release.version import parse_tag
from buildsys.remove import Remover

README = "README.md"

_BLOB = re.compile("[0-9a-f]{64}")


class Output:
    """The output folder `artifacts` of a project, whose targets and profiles name its files."""

    def __init__(self, artifacts: Path, project: Project) -> None:
        self.artifacts, self.project = artifacts, project
        self._targets = tuple(project.targets)
        self._suffixes = [
            bundle_suffix(target, profile)
            for target in self._targets
            for profile in project.profiles
        ]

    def is_built(self, name: str) -> bool:
        """Whether a file of this name is one that builds, reports and releases write."""
        target = f"({'|'.join(map(re.escape, self._targets))})"
        one = f"({'|'.join(map(re.escape, self._suffixes))})"
        profiles = "|".join(map(re.escape, self.project.profiles))
        patterns = (
            rf"k3s-{one}(\.json)?",
            rf"k3s-airgap-images-{one}\.tar\.(zst|gz)",
            rf"k3s-images(-({profiles}))?\.txt",
            rf"timings-(({target}|any)(-({target}|any))*|none)\.json",
            r"report\.html|release-making\.json",
        )
        return any(re.fullmatch(pattern, name) for pattern in patterns)

    def is_verdict(self, name: str) -> bool:
        """Whether a file of this name is a verdict, or the log beside one."""
        stem, _, kind = name.rpartition(".")
        tried = ("audit", "smoke", *self.project.scenarios)
        return kind in ("json", "xml", "log") and any(
            stem == f"{suffix}-{one}" for suffix in self._suffixes for one in tried
        )

    def is_proven(self, name: str) -> bool:
        """Whether a file of this name says what of a target passed."""
        return name in {f"{target}.json" for target in self._targets}

    def sweep(self) -> None:
        """Remove what killed runs left of files that we write here."""
        folder = self.artifacts
        sweep_unfinished(folder, self.is_built)
        sweep_unfinished(folder / "verdicts", self.is_verdict)
        sweep_unfinished(folder / "proven", self.is_proven)
        sweep_unfinished(folder / "image", _IMAGE.__contains__)
        sweep_unfinished(folder / "image/blobs/sha256", lambda name: bool(_BLOB.fullmatch(name)))
        for path in self._release_files():
            sweep_unfinished(path.parent, path.name.__eq__)

    def clean(self, remover: Remover, *, verdicts: bool) -> None:
        """Remove all of ours; verdicts, which take hours, only if asked to. Others' is named."""
        self.sweep()
        folders = {"image", "release", "download", "older"}
        folders |= {"verdicts", "proven"} if verdicts else set()
        for path in sorted(self.artifacts.iterdir()) if self.artifacts.is_dir() else ():
            if self.is_built(path.name):
                remover.tree(path)
            elif path.name not in {README, *folders, "verdicts", "proven"}:
                remover.foreign(path)
        self._files("older", remover, self.is_built)
        self._image(remover)
        self._placed(remover, "release", self._release_files())
        self._placed(remover, "download", self._download_files())
        if verdicts:
            self._files("verdicts", remover, self.is_verdict)
            self._files("proven", remover, self.is_proven)

    def _files(self, name: str, remover: Remover, known: Callable[[str], bool]) -> None:
        folder = self.artifacts / name
        if folder.is_dir() and not folder.is_symlink():
            self._placed(
                remover, name, (path for path in sorted(folder.iterdir()) if known(path.name))
            )

    def _image(self, remover: Remover) -> None:
        folder = self.artifacts / "image"
        blobs = folder / "blobs/sha256"
        found = [path for path in sorted(blobs.glob("*")) if _BLOB.fullmatch(path.name)]
        self._placed(remover, "image", [*found, *(folder / name for name in _IMAGE)])

    def _placed(self, remover: Remover, name: str, paths: Iterable[Path]) -> None:
        """Remove files below a folder of ours, the folders that are empty then; name the rest."""
        top = self.artifacts / name
        if not top.is_dir() or top.is_symlink():
            return
        for path in paths:
            if path.is_file() or path.is_symlink():
                remover.tree(path)
        for folder in sorted((p for p in top.rglob("*") if p.is_dir()), reverse=True):
            remover.empty(folder)
        remover.empty(top)
        for path in sorted(top.rglob("*")):
            if not path.is_dir() and path not in {*remover.removed, *remover.left}:
                remover.foreign(path)

    def _release_files(self) -> list[Path]:
        """The files of the releases that are laid out here, existing or not."""
        root = self.artifacts / "release"
        targets = [target for target in self.project.targets.values() if target.release]
        paths = [root / CHANNELS]
        for folder in sorted((root / "download").glob("*")):
            if tag := parse_tag(folder.name):
                paths += (root / path for path in plan_release(tag, targets).paths)
        return paths

    def _download_files(self) -> list[Path]:
        """The files of releases that were downloaded, whole or in part."""
        paths: list[Path] = []
        for folder in sorted((self.artifacts / "download").glob("*")):
            if parse_tag(folder.name) and not folder.is_symlink():
                paths += (path for path in sorted(folder.iterdir()) if self._downloaded(path.name))
        return paths

    def _downloaded(self, name: str) -> bool:
        part = re.fullmatch(r"\.(.+)\.[0-9a-f]{16}\.part(-validator)?", name)
        return (part[1] if part else unfinished_name(name) or name) in self._release_names()

    def _release_names(self) -> set[str]:
        names = {"install.sh", RECORD, NOTES, "sha256sums.txt", "k3s-sources.tar"}
        for target in self.project.targets.values():
            names |= {*artifacts_of(target)}
            if target.release and target.release.upstream:
                names.add(target.release.upstream.file)
        return names


_IMAGE = ("index.json", "manifest.json", "oci-layout")
"""The files of an image's layout beside its blobs."""
