"""The tag of a release: the version of its k3s, a dot, and the number of our build of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_TAG = re.compile(r"v(\d+)\.(\d+)\.(\d+)\+[0-9A-Za-z-]+\.([1-9]\d*)")


@dataclass(frozen=True)
class Tag:
    """A tag such as v1.35.0+k3s-04e8f1b5.2. It is a semantic version, as upstream's tags are."""

    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def order(self) -> tuple[int, ...]:
        """What makes one release newer than another: Kubernetes' version, then our build."""
        return tuple(int(part) for part in _matched(self.text).groups())

    @property
    def oci(self) -> str:
        """As registries take it: they know no plus, and upstream's images have a dash there."""
        return self.text.replace("+", "-")


def parse_tag(text: str) -> Tag | None:
    """The tag that `text` is, if it is one."""
    return Tag(text) if _TAG.fullmatch(text) else None


def tag_of(version: str, noted: Iterable[str]) -> Tag | None:
    """The tag that is to be released of k3s `version`: the highest that has notes.

    `noted` are tags for which somebody wrote notes; to write them is to open a release.
    """
    found = [tag for text in noted if (tag := parse_tag(text)) and _of(tag) == version]
    return max(found, key=lambda tag: tag.order, default=None)


def first_tag(version: str) -> Tag | None:
    """The tag of the first build of k3s `version`; None where no tag can be made of that."""
    return parse_tag(f"{version}.1")


def _of(tag: Tag) -> str:
    return tag.text.rpartition(".")[0]


def _matched(text: str) -> re.Match[str]:
    found = _TAG.fullmatch(text)
    assert found, text
    return found
