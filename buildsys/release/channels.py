"""The channels file: which tag is stable and which is the latest. Pure.

Its shape is that of upstream's channel server, one channel on a line, so that a shell can read it
with sed. It is the only published file that changes. It lies at latest/download/channels.json below
the place that has download/<tag>/: there GitHub serves a file of the newest release.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from buildsys.release.version import Tag, parse_tag

CHANNELS = ("stable", "latest")

NAME = "channels.json"

PATH = f"latest/download/{NAME}"
"""Below the root of what is published."""


def read_channels(document: bytes | None) -> dict[str, Tag]:
    """Tags by channel; what cannot be read is no channel."""
    try:
        listed = json.loads(document or b"{}")["data"]
        found = {str(one["name"]): parse_tag(str(one["latest"])) for one in listed}
    except (ValueError, KeyError, TypeError):
        return {}
    return {name: tag for name, tag in found.items() if tag}


def moved(document: bytes | None, names: Iterable[str], tag: Tag) -> bytes:
    """The file with the channels `names` at `tag`; none of them goes back to an older one."""
    now = read_channels(document)
    for name in names:
        if name not in now or now[name].order <= tag.order:
            now[name] = tag
    return _written(now)


def _written(tags: Mapping[str, Tag]) -> bytes:
    lines = [
        json.dumps({"id": name, "type": "channel", "name": name, "latest": tags[name].text})
        for name in CHANNELS
        if name in tags
    ]
    listing = ",\n".join(lines)
    return f'{{"type":"collection","data":[\n{listing}\n]}}\n'.encode()
