"""What the controls of each controller do, as files: the user's, else those that come with rtsep."""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import BadInput
from .toml_files import RESERVED, files, folder, put, read, update_document

_MAPS = Path(__file__).parent / "maps"


def load_controller(port: str) -> dict[str, Any] | None:
    """What the controls of the controller at a MIDI port do: the user's file, else ours, else None.

    The user's file is called as the port, or one of its `ports` is part of the port's name, in any case; the longest
    such part decides. Ours go by `ports` alone.

    Raises
    ------
    BadInput : if a file of the user's cannot be understood.
    """
    own = _own(port)
    return _shipped_map(port) if own is None else read(own).unwrap()


def _shipped_map(port: str) -> dict[str, Any] | None:
    path = _fitting(port, _MAPS.glob("*.toml"))
    return None if path is None else read(path).unwrap()


def shipped_maps() -> list[dict[str, Any]]:
    """What the controls of controllers do that come with rtsep: what their files say."""
    return [read(path).unwrap() for path in sorted(_MAPS.glob("*.toml"))]


def update_controller(
    port: str, change: Callable[[dict[str, Any] | None], Mapping[str, Any]], *, part: bool = False
) -> None:
    """Change what the controls of the controller at a MIDI port do, in the user's file for it.

    `change` gets what `load_controller` gives at this moment; the keys that it returns take the place of the file's,
    and keys that only the file has stay. A new file belongs to this port alone, so that the second of two like
    controllers gets its own; or, where `port` is but a `part` of names, to each port whose name contains it.

    Raises
    ------
    BadInput : if a file of the user's cannot be understood.
    Unavailable : if it cannot be written.
    """
    path = _own(port) or folder() / "controllers" / f"{file_name(port)}.toml"

    def changed(document: Any, there: bool) -> None:
        if not there and part:
            document["ports"] = [port]
        put(document, change(document.unwrap() if there else _shipped_map(port)))

    update_document(path, changed)


def controller_path(port: str) -> Path | None:
    """The file that says what the controls of the controller at a MIDI port do."""
    return _own(port) or _fitting(port, _MAPS.glob("*.toml"))


def known_controllers() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The controllers of the user's files and those of ours: by what may stand for a port, parts of names of ports."""
    own = {path.stem: _ports(path) for path in files("controllers")}
    ours = {path.stem: _ports(path) for path in sorted(_MAPS.glob("*.toml"))}
    return own, {parts[0]: parts for parts in ours.values()}


def file_name(port: str) -> str:
    """What a file for the controller at a MIDI port is called, without its suffix."""
    name = re.sub(r"[^\w -]", "_", port).strip(" ")
    return name + "_" if not name or RESERVED.fullmatch(name) else name


def controllers_stamp() -> object:
    """What differs from the last one if a file of a controller was written meanwhile."""
    stamps = {}
    with suppress(OSError):  # gone at this moment, or closed
        for path in files("controllers"):
            found = path.stat()
            stamps[path] = found.st_mtime_ns, found.st_size, found.st_ino
    return stamps


def _own(port: str) -> Path | None:
    """The user's file for the controller at `port`."""
    own = files("controllers")
    called = [path for path in own if path.stem.casefold() == file_name(port).casefold()]
    return called[0] if called else _fitting(port, own)


def _fitting(port: str, files: Iterable[Path]) -> Path | None:
    """The file with the longest of the `ports` that are part of the name `port`."""
    fit = [(len(part), path) for path in files for part in _ports(path) if part.casefold() in port.casefold()]
    return max(fit)[1] if fit else None


def _ports(path: Path) -> list[str]:
    ports: list[str] = read(path).unwrap().get("ports", [])
    if not isinstance(ports, list) or not all(isinstance(part, str) for part in ports):
        raise BadInput(f'{path}: ports is {ports!r}: it must be parts of port names, as in ports = ["nanoKONTROL2"].')
    return ports
