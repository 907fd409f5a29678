"""Files that are written as a whole or not at all, where links lead to, and never over what nobody has read."""

import errno
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from .errors import Unavailable

_FRESH_S = 60.0  # a file that is younger may not be locked yet


def read(path: Path) -> bytes | None:
    """What a file holds; None if there is none, as where a link leads nowhere. Raises `Unavailable` if it is closed."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {error.strerror}.") from error


def write(path: Path, content: bytes) -> None:
    """Put `content` in the place of a file; after a power cut there is the old one or the new one.

    A link stays a link, and what it leads to is replaced. Permissions stay, folders are made.
    Raises `Unavailable` if it cannot be written; what was there stays.
    """
    _put(path, content)


def update(path: Path, change: Callable[[bytes | None], bytes]) -> None:
    """`write` what `change` makes of what a file holds (None: there is none).

    Of programs that call this one waits for the other. Where another, say an editor, has written meanwhile, `change` is
    asked once more: what it has not seen is not replaced.
    """
    with alone(Path(os.path.realpath(path)).parent):
        while True:
            before = read(path)
            content = change(before)
            if content == before or _put(path, content, partial(_holds, path, before)):
                return


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While the context lasts nobody else is in it for that folder, where the system can see to that."""
    with ExitStack() as stack:
        with suppress(ImportError, OSError):  # Windows, and disks on which nothing can be locked
            import fcntl

            there = next(place for place in (folder, *folder.parents) if place.is_dir())
            descriptor = os.open(there, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # the folder itself: no file is left behind
        yield


def _holds(path: Path, content: bytes | None) -> bool:
    return read(path) == content


def _put(path: Path, content: bytes, still: Callable[[], bool] = lambda: True) -> bool:
    """`write`, unless in the last moment something is not `still` so."""
    try:
        target = Path(os.path.realpath(path))
        if target.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if target.exists() and not target.is_file() and not target.is_dir():  # a device: nothing takes its place
            target.write_bytes(content)
            return True
        target.parent.mkdir(parents=True, exist_ok=True)
        place, descriptor = begin(target)  # of the same file system
        try:
            with os.fdopen(descriptor, "wb") as file:
                with suppress(OSError):  # there was no file, or the disk knows no permissions
                    shutil.copymode(target, place)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # a name without its data would be an empty file
            if not still():
                return False
            os.replace(place, target)
        finally:
            place.unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {error.strerror}.") from error
    return True


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
