"""What Go's linker recorded about a build, inside the program."""

from dataclasses import dataclass
from typing import Final

from buildsys.elf.image import Image

_GO_MAGIC: Final = b"\xff Go buildinf:"
_GO_HEADER_BYTES: Final = 32
_GO_INLINE: Final = 2
_GO_FRAME_BYTES: Final = 16  # sentinels before and after the module text
_GO_MARKS: Final = frozenset({".go.buildinfo", ".note.go.buildid", ".gopclntab"})


@dataclass(frozen=True, slots=True)
class GoBuild:
    """What `go build` recorded in a program. `version` is empty if the record cannot be read."""

    version: str
    module: str
    module_version: str
    settings: tuple[tuple[str, str], ...]

    def setting(self, key: str) -> str | None:
        """Look up a recorded setting such as GOARM or CGO_ENABLED."""
        return dict(self.settings).get(key)


def go_build(image: Image) -> GoBuild | None:
    """Go's record, read from `.go.buildinfo`; None if nothing marks the file as Go's.

    Format: Go's debug/buildinfo, the inline form that every Go since 1.18 writes: 32 bytes of
    header, then the version and the module text, each behind a varint length. It is short and has
    not changed in eight years of releases, so reading it here spares the audit a Go toolchain and
    works on a file inside an archive. A file marked as Go's whose record is missing or older comes
    back with an empty version, which no bound accepts.
    """
    marks = [s for s in image.sections if s.name in _GO_MARKS]
    if not marks:
        return None
    unreadable = GoBuild("", "", "", ())
    for section in marks:
        if section.name == ".go.buildinfo":
            data = image.content(section)
            if data.startswith(_GO_MAGIC) and len(data) > _GO_HEADER_BYTES:
                return _go_inline(data) if data[15] & _GO_INLINE else unreadable
    return unreadable


def _go_inline(data: bytes) -> GoBuild:
    version, position = _go_text(data, _GO_HEADER_BYTES)
    module, _ = _go_text(data, position)
    if len(module) <= 2 * _GO_FRAME_BYTES:
        return GoBuild(version.decode("utf-8", "replace"), "", "", ())
    text = module[_GO_FRAME_BYTES:-_GO_FRAME_BYTES].decode("utf-8", "replace")
    rows = [line.split("\t") for line in text.splitlines()]
    main = next((row for row in rows if row[0] == "mod" and len(row) > 2), ["", "", ""])
    settings = (row[1].partition("=") for row in rows if row[0] == "build" and len(row) > 1)
    return GoBuild(
        version.decode("utf-8", "replace"),
        main[1],
        main[2],
        tuple((_unquoted(key), _unquoted(value)) for key, _, value in settings),
    )


def _go_text(data: bytes, position: int) -> tuple[bytes, int]:
    """Read a text behind its varint length; empty if the section ends before it."""
    length = shift = 0
    while position < len(data) and shift < 64:
        byte = data[position]
        position += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            end = position + length
            return (data[position:end], end) if end <= len(data) else (b"", len(data))
    return b"", len(data)


def _unquoted(text: str) -> str:
    """Go quotes a setting that holds blanks or quotes; the settings that are judged never do."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in '"`' else text
