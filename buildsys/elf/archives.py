"""The archive formats: headers of ar, as static libraries have it, and of tar; zip."""

import lzma
import struct
import tarfile
import zipfile
import zlib
from typing import BinaryIO, Final

from buildsys.elf.image import ElfError

AR_MAGIC, THIN_MAGIC = b"!<arch>\n", b"!<thin>\n"
TAR_BLOCK: Final = 512
ZIP_MAGIC: Final = b"PK\x03\x04"
ZIP_ERRORS: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError),
    # An unknown method or a password is a RuntimeError; the others come from places and names that
    # make no sense.
    *(RuntimeError, ValueError, LookupError, struct.error),
)
"""What zipfile raises for a broken file, and for one that it cannot read."""


def ar_header(name: str, header: bytes, position: int) -> tuple[str, int]:
    """Read a member's name, as the header has it, and its size."""
    if len(header) != 60 or header[58:] != b"`\n" or not header[48:58].strip().isdigit():
        raise ElfError(name, f"broken archive header before byte {position}")
    return header[:16].decode("utf-8", "backslashreplace").rstrip(), int(header[48:58])


def ar_name(name: str, raw: str, long_names: bytes, file: BinaryIO) -> tuple[str, int]:
    """Find a member's full name and how many bytes of its data that took (BSD keeps it there)."""
    if raw.startswith("#1/") and raw[3:].isdigit() and int(raw[3:]) <= 4096:
        length = int(raw[3:])
        return file.read(length).rstrip(b"\0").decode("utf-8", "backslashreplace"), length
    if raw.startswith("/") and raw[1:].isdigit():
        end = long_names.find(b"\n", int(raw[1:]))
        if end < 0:
            raise ElfError(name, f"archive has no long name {raw}")
        text = long_names[int(raw[1:]) : end].decode("utf-8", "backslashreplace")
        return text.removesuffix("/"), 0
    return raw.removesuffix("/"), 0


def is_tar(block: bytes) -> bool:
    """Whether a file's first block is a tar header."""
    if len(block) < TAR_BLOCK or not block[0]:
        return False
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def tar_header(name: str, block: bytes) -> tarfile.TarInfo:
    """Read a member's header; ElfError if it is broken."""
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise ElfError(name, f"broken tar header: {error}") from error


def tar_long_name(kind: bytes, table: bytes) -> str:
    """Find the name in a GNU long-name member or a pax header; empty if it holds none."""
    if kind == b"L":
        return table.rstrip(b"\0").decode("utf-8", "surrogateescape")
    if kind == b"x":
        for line in table.split(b"\n"):
            _, found, text = line.partition(b" path=")
            if found:
                return text.decode("utf-8", "surrogateescape")
    return ""
