"""Files that outlive a run: TOML in the user's configuration folder, to be read and edited by a person too.

Comments, and keys that this version does not know, stay when a file is saved again. A file is replaced as a whole or
not at all, and never if it could not be understood: it may be the only copy of someone's work. Nor if another program
has just written it: what is saved is a change of what the file says at that moment.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import disk
from ..errors import BadInput, Unavailable
from ..parameters import checked as parameter
from ..parameters import find

_FORMAT = 1
RESERVED = re.compile(r"con|prn|aux|nul|(?:com|lpt)[\d¹²³]", re.IGNORECASE)
"""Names of devices on Windows, whatever the suffix."""


def folder() -> Path:
    """Where files are kept: $RTSEP_CONFIG, else the user's configuration folder. Made when something is saved."""
    if place := os.environ.get("RTSEP_CONFIG"):
        return Path(place)
    from platformdirs import user_config_path

    return user_config_path("rtsep", appauthor=False)


def files(kind: str) -> list[Path]:
    """The files of a folder; where a link leads nowhere there is none yet."""
    place = folder() / kind
    try:
        names = [entry.name for entry in os.scandir(place) if entry.name.endswith(".toml")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise Unavailable(f"cannot read {place}: {error.strerror}.") from error
    return sorted(path for path in map(place.joinpath, names) if os.path.exists(path))


def read(path: Path) -> Any:
    """The TOML document in a file, if it is one of ours."""
    content = disk.read(path)
    if content is None:
        raise BadInput(f"there is no file {path}.")
    return parsed(path, content)


def parsed(path: Path, content: bytes) -> Any:
    from tomlkit import parse
    from tomlkit.exceptions import TOMLKitError

    try:
        document = parse(content.decode("utf-8-sig").replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path} cannot be understood: byte {error.start} is no UTF-8. Save it as UTF-8 or move it away."
        ) from None
    except (TOMLKitError, ValueError, RecursionError) as error:
        said = str(error).rstrip(".")
        raise BadInput(f"{path} cannot be understood: {said}. Repair it or move it away.") from error
    written = document.get("format")
    if isinstance(written, int) and written > _FORMAT:
        raise BadInput(
            f"{path} was written by a newer rtsep: format {written}; this one knows {_FORMAT}. Update rtsep, or move "
            "the file away."
        )
    if written != _FORMAT:
        raise BadInput(f"{path} is no file of rtsep: it must begin with format = {_FORMAT}.")
    return document


def new_document() -> Any:
    from tomlkit import document

    new = document()
    new["format"] = _FORMAT
    return new


def update_document(path: Path, by: Callable[[Any, bool], object]) -> None:
    """Save the document in a file, or a new one, once `by` has been at it; it is told whether the file is there."""

    def changed(content: bytes | None) -> bytes:
        document = new_document() if content is None else parsed(path, content)
        by(document, content is not None)
        return text_of(path, document)

    disk.update(path, changed)


def table(path: Path, document: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = document.unwrap().get(name, {})
    if not isinstance(found, dict):
        raise BadInput(f"{path}: {name} is {found!r}: it must be a table, begun by the line [{name}].")
    return found


def values_in(path: Path, document: Any) -> tuple[dict[str, float], list[str]]:
    """The values of the parameters that are known, and a sentence for each of the others."""
    values: dict[str, float] = {}
    warnings = []
    for id, value in table(path, document, "parameters").items():
        if isinstance(value, dict):
            raise BadInput(f'{path}: {id} is a table: write an id in quotes, as in "melody.gain_db" = -6.')
        info = find(id)
        if info is None:
            warnings.append(f"{path}: this rtsep knows no parameter {id!r}; it is left as it is.")
            continue
        try:
            values[id] = info.check(value)
        except BadInput:
            text = info.range_text()
            raise BadInput(f"{path}: {id} is {value!r:.40}: it must be {text}.") from None
    return values, warnings


def checked_values(values: Mapping[str, float | str]) -> dict[str, float]:
    return {id: parameter(id).check(value) for id, value in values.items()}


def put(table: Any, values: Mapping[str, Any]) -> None:
    """Set what differs: what a person wrote stays as it was written."""
    from tomlkit.items import AoT

    for name, value in values.items():
        if isinstance(table.get(name), AoT) and isinstance(value, list):
            _put_tables(table[name], value)
        if table.unwrap().get(name) != value:
            table[name] = value


def _put_tables(tables: Any, values: Sequence[Mapping[str, Any]]) -> None:
    """Take out of an array of tables those that are not in `values`, and add at its end what is missing."""
    from tomlkit import item

    for index in reversed(range(len(tables))):
        if tables[index].unwrap() not in values:
            body = tables[index].value.body
            last = max((at for at, (key, _) in enumerate(body) if key is not None), default=-1)
            del tables[index]
            if index:  # comments at the end belong to what follows
                tables[index - 1].value.body.extend(body[last + 1 :])
    for value in values[len(tables) :]:
        tables.append(item(value))


def put_values(document: Any, values: Mapping[str, float]) -> None:
    """Set the parameters: those that are known become `values`, those that are not stay."""
    table = document.setdefault("parameters", {})
    for id in [id for id in table if find(id) and id not in values]:
        del table[id]
    written = table.unwrap()
    for id, value in values.items():
        info = parameter(id)
        if id not in written or info.check(written[id]) != value:
            table[id] = info.format(value) if info.choices else float(value)


def text_of(path: Path, document: Mapping[str, Any]) -> bytes:
    """What the file of a document holds."""
    from tomlkit import dumps

    try:
        return dumps(document).encode()
    except UnicodeEncodeError as error:  # a file name that is no text
        raise Unavailable(f"cannot write {path}: {error.object!r} cannot be written as text.") from error
