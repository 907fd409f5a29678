"""Presets: levels under a name. Some come with rtsep, the user's are files; programs of MIDI recall them."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .. import disk
from ..errors import BadInput, Unavailable, unknown
from ..settings import GROUPS, STEMS
from .toml_files import (
    RESERVED,
    checked_values,
    files,
    folder,
    new_document,
    parsed,
    put,
    put_values,
    read,
    text_of,
    update_document,
    values_in,
)

_NAME = re.compile(r"\w(?:[\w -]{0,62}\w)?")
_PROGRAMS, _BANKS = 128, 16384

# A preset sets every fader and switch of the mix, so that nothing of the one before it is left.
_FLAT: dict[str, float | str] = {
    f"{stem}.{part}": value
    for stem in (*STEMS, *GROUPS)
    for part, value in (("gain_db", 0.0), ("mute", "off"), ("solo", "off"))
}

PRESETS: dict[str, dict[str, float | str]] = {
    "karaoke": _FLAT | {"melody.gain_db": -18.0},
    "lead-only": _FLAT | {"melody.solo": "on"},
    "backing-only": _FLAT | {"melody.mute": "on"},
    "drums-down": _FLAT | {"percussive.gain_db": -12.0},
    "drums-only": _FLAT | {"percussive.solo": "on"},
    "no-drums": _FLAT | {"percussive.mute": "on"},
    "practice": _FLAT | {"melody.gain_db": -12.0, "percussive.gain_db": 3.0},
}
"""The presets that come with rtsep: values by the ids of parameters. Their programs count from 1, in this order."""


class Preset(NamedTuple):
    """Values of some parameters under a name."""

    name: str
    values: dict[str, float]  # by the ids of parameters that this version knows
    program: int | None  # 1 to 128, as controllers show it; the MIDI message says one less
    bank: int  # 0 to 16383
    shipped: bool
    warnings: list[str]  # of values that this version does not know


def presets(tell: Callable[[str], object] = lambda sentence: None) -> list[Preset]:
    """All presets, those that come with rtsep first; `tell` hears a sentence for each file that is left out."""
    found = [_shipped(name) for name in PRESETS]
    for path in files("presets"):
        try:
            found.append(_preset(path))
        except (BadInput, Unavailable) as error:
            tell(str(error))
    return found


def preset(name: str) -> Preset:
    """The preset called `name`, in any case; raises `BadInput` if there is none, or its file cannot be understood."""
    return _shipped(name.casefold()) if name.casefold() in PRESETS else _preset(_saved(name))


def preset_of(bank: int, program: int) -> Preset | None:
    """The preset with that bank (from 0) and program (from 1): the first by name, the user's before ours."""
    fit = [each for each in presets() if (each.bank, each.program) == (bank, program)]
    return min(fit, key=lambda each: each.shipped, default=None)


def save_preset(
    name: str,
    values: Mapping[str, float | str],
    *,
    program: int | None = None,
    bank: int = 0,
    force: bool = False,
) -> None:
    """Keep `values`, by the ids of parameters, as a preset; `force` replaces one of that name.

    `program` (1 to 128, in `bank`) is what recalls it by MIDI; if None, a preset that is replaced keeps its own.

    Raises
    ------
    BadInput : for a name that files cannot have or that is taken, for unknown parameters and values out of range, and
        if the file that would be replaced cannot be understood.
    Unavailable : if it cannot be written.
    """
    checked = checked_values(values)
    if program is not None:
        _check_program(program, bank)
    path = _place(name, force)

    def change(document: Any, there: bool) -> None:
        if there:
            _replaceable(path, document, force)
        if program is not None:
            put(document, {"program": program, "bank": bank})
        put_values(document, checked)

    update_document(path, change)


def delete_preset(name: str) -> None:
    """Remove a preset of the user's; raises `BadInput` if there is none of that name."""
    if name.casefold() in PRESETS:
        raise BadInput(f"the preset {name!r} comes with rtsep and stays.")
    path = _saved(name)
    try:
        path.unlink()
    except OSError as error:
        raise Unavailable(f"cannot remove {path}: {error.strerror}.") from error


def export_preset(name: str, path: str | os.PathLike[str], force: bool = False) -> None:
    """Write a preset to a file of its own; `force` replaces what is there."""
    document = _alone(name)
    if os.path.exists(path) and not force:
        raise BadInput(f"{path} exists already: choose another name, or add --force to replace it.")
    disk.write(Path(path), text_of(Path(path), document))


def preset_text(name: str) -> str:
    """A preset as the text of such a file."""
    from tomlkit import dumps

    return dumps(_alone(name))


def _alone(name: str) -> Any:
    """The document of a preset."""
    if name.casefold() not in PRESETS:
        return read(_saved(name))
    document = new_document()
    put_values(document, _shipped(name.casefold()).values)
    return document


def import_preset(path: str | os.PathLike[str], name: str | None = None, force: bool = False) -> Preset:
    """Take a file over as a preset, called as the file if `name` is None; `force` replaces one of that name."""
    path = Path(path)
    name = path.stem if name is None else name
    document = read(path)
    _contents(path, name, document)
    place = _place(name, force)

    def replaced(content: bytes | None) -> bytes:
        if content is not None:
            _replaceable(place, parsed(place, content), force)
        return text_of(place, document)

    disk.update(place, replaced)
    return _preset(place)


def _shipped(name: str) -> Preset:
    return Preset(name, checked_values(PRESETS[name]), list(PRESETS).index(name) + 1, 0, True, [])


def _preset(path: Path) -> Preset:
    """The preset in a file of the user's."""
    return _contents(path, path.stem, read(path))


def _contents(path: Path, name: str, document: Any) -> Preset:
    content = document.unwrap()
    program, bank = content.get("program"), content.get("bank", 0)
    try:
        _check_name(name)
        if program is not None:
            _check_program(program, bank)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    values, warnings = values_in(path, document)
    return Preset(name, values, program, bank, False, warnings)


def _check_program(program: object, bank: object) -> None:
    for what, value, low, high in (("program", program, 1, _PROGRAMS), ("bank", bank, 0, _BANKS - 1)):
        if not isinstance(value, int) or not low <= value <= high:
            raise BadInput(f"the {what} is {value!r}: it must be a whole number from {low} to {high}.")


def _check_name(name: str) -> None:
    if name.casefold() in PRESETS:
        raise BadInput(f"the preset {name!r} comes with rtsep: choose another name.")
    if not _NAME.fullmatch(name) or RESERVED.fullmatch(name):
        raise BadInput(
            f"no preset can be called {name!r}: take letters, digits and _, with spaces and - between them, at most 64 "
            "in all, and no name of a device on Windows."
        )


def _same(name: str) -> Path | None:
    """The file of the user's preset called `name`; in any case, as some file systems do not tell it apart."""
    same = [path for path in files("presets") if path.stem.casefold() == name.casefold()]
    return min(same, key=lambda path: path.stem != name, default=None)


def _saved(name: str) -> Path:
    path = _same(name)
    if path is None:
        raise unknown("preset", name, [*PRESETS, *(each.stem for each in files("presets"))])
    return path


def _place(name: str, force: bool) -> Path:
    """Where to save the preset `name`; what is there must be understood, and replaced only by `force`."""
    _check_name(name)
    path = _same(name)
    if path is None:
        return folder() / "presets" / f"{name}.toml"
    _replaceable(path, read(path) if force else None, force)
    return path


def _replaceable(path: Path, document: Any, force: bool) -> None:
    if not force:
        raise BadInput(f"there is a preset {path.stem!r} already: choose another name, or add --force to replace it.")
    _contents(path, path.stem, document)
