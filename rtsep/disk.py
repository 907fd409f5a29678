"""Files that are written as a whole or not at all."""

import os
import secrets
import sys
import time
from contextlib import suppress
from pathlib import Path

from .errors import Unavailable

_FRESH_S = 60.0  # a file that is younger may not be locked yet


def write(path: Path, content: bytes) -> None:
    """Put `content` in the place of a file; after a power cut there is the old one or the new one.

    Folders are made. Raises `Unavailable` if it cannot be written; what was there stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        place, descriptor = begin(path)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # a name without its data would be an empty file
            os.replace(place, path)
        finally:
            place.unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {error.strerror}.") from error


def begin(path: Path) -> tuple[Path, int]:
    """A new file under a name of its own, which is to become `path`, and its descriptor.

    While the descriptor is open the file counts as being written. What a process that was killed has left in the
    folder is removed. Raises `OSError`, also for a name that `path` cannot have.
    """
    with suppress(FileNotFoundError):
        path.lstat()
    _sweep(path.parent)
    place = path.with_name(f".rtsep-{secrets.token_hex(8)}.part")
    descriptor = os.open(place, os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0), 0o666)
    _lock(descriptor)
    return place, descriptor


def finish(place: Path, path: Path, force: bool) -> None:
    """Give a file that has been begun its name; without `force`, `OSError` if another has come there meanwhile."""
    if not force:
        try:
            os.link(place, path)
        except FileExistsError:
            raise
        except OSError:  # a disk without links
            pass
        else:
            place.unlink()
            return
    os.replace(place, path)


def _sweep(folder: Path) -> None:
    for place in folder.glob(".rtsep-*.part"):
        with suppress(OSError):
            if time.time() - place.stat().st_mtime < _FRESH_S:
                continue
            descriptor = os.open(place, os.O_RDWR)
            try:
                dead = _lock(descriptor)
            finally:
                os.close(descriptor)
            if dead:
                place.unlink()  # Windows itself spares what is open


def _lock(descriptor: int) -> bool:
    """Take the file for this process; False if another has it, or one may have it."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
