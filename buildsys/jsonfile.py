"""JSON that a verb left, read back as typed values."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from buildsys.errors import CorruptError

Known = TypeVar("Known")


class Data(BaseModel):
    """Base of what is read back: frozen; what it does not name is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def read(kind: type[Known], path: Path) -> Known:
    """What `path` holds. Raises OSError, and `CorruptError` for a file that is damaged."""
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole of it"
        raise CorruptError(
            f"{path} is not what this version writes: {where}: {first['msg']}",
            cause="it was cut, changed, or left by another version",
            action="remove it, then run again what writes it",
        ) from error
