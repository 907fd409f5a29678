"""Files that are written as a whole or not at all."""

import os
import secrets
from pathlib import Path

from .errors import Unavailable


def write(path: Path, content: bytes) -> None:
    """Put `content` in the place of a file; after a power cut there is the old one or the new one.

    Folders are made. Raises `Unavailable` if it cannot be written; what was there stays.
    """
    place = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(place, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # a name without its data would be an empty file
            os.replace(place, path)
        finally:
            place.unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {error.strerror}.") from error
