"""A file inside a file, where it lies as it is."""

import io
import os
from typing import BinaryIO, NamedTuple


class Part(NamedTuple):
    """A piece of a file: a label, its place and size in bytes."""

    label: str
    offset: int
    size: int


class Window(io.RawIOBase):
    """The `size` bytes of `file` from `offset` on, read as a file of their own.

    The file may be read elsewhere meanwhile, and stays open when this is closed.
    """

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        self._file, self._offset, self._size = file, offset, size
        self._at = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a place in the window; the place."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        """Fill the buffer as far as the window goes; the number of bytes."""
        size = max(0, min(len(buffer), self._size - self._at))
        self._file.seek(self._offset + self._at)
        data = self._file.read(size)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
