"""Files that are written as a whole or not at all, where links lead to, and never over what nobody has read."""

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from .errors import Unavailable


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
    with _alone(Path(os.path.realpath(path)).parent):
        while True:
            before = read(path)
            content = change(before)
            if content == before or _put(path, content, partial(_holds, path, before)):
                return


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
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
        place = target.with_name(f".{secrets.token_hex(8)}.part")  # of the same file system
        try:
            with open(place, "xb") as file:
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
