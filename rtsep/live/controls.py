"""What outlives a run: presets, the session that can be resumed, and what the controls of each controller do.

Each is a TOML file in the user's configuration folder, to be read and edited by a person too: comments, and keys that
this version does not know, stay when a file is saved again. A file is replaced as a whole or not at all, and never if
it could not be understood: it may be the only copy of someone's work.
"""

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from .. import disk
from ..errors import BadInput, Unavailable, unknown
from ..parameters import Parameters, find
from ..parameters import checked as parameter
from ..settings import GROUPS, STEMS

_FORMAT = 1
_SAVE_S = 1.0  # between two savings of a session
_NAME = re.compile(r"\w(?:[\w -]{0,62}\w)?")
_RESERVED = re.compile(r"con|prn|aux|nul|(?:com|lpt)[\d¹²³]", re.IGNORECASE)  # devices on Windows, whatever the suffix
_PROGRAMS, _BANKS = 128, 16384
_MAPS = Path(__file__).parent / "maps"

_PASSING = {"output.mute", "melody.duck"}  # a panic, and a moment of a song: nobody wants to begin in one
Setting = str | float | int

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


def folder() -> Path:
    """Where files are kept: $RTSEP_CONFIG, else the user's configuration folder. Made when something is saved."""
    if place := os.environ.get("RTSEP_CONFIG"):
        return Path(place)
    from platformdirs import user_config_path

    return user_config_path("rtsep", appauthor=False)


# Presets


def presets(tell: Callable[[str], object] = lambda sentence: None) -> list[Preset]:
    """All presets, those that come with rtsep first; `tell` hears a sentence for each file that is left out."""
    found = [_shipped(name) for name in PRESETS]
    for path in _files("presets"):
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
    checked = _checked(values)
    if program is not None:
        _check_program(program, bank)
    path = _place(name, force)
    document = _begun(path)
    if program is not None:
        _put(document, {"program": program, "bank": bank})
    _put_values(document, checked)
    _write(path, document)


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
    _write(Path(path), document)


def preset_text(name: str) -> str:
    """A preset as the text of such a file."""
    from tomlkit import dumps

    return dumps(_alone(name))


def _alone(name: str) -> Any:
    """The document of a preset."""
    if name.casefold() not in PRESETS:
        return _read(_saved(name))
    document = _begun(None)
    _put_values(document, _shipped(name.casefold()).values)
    return document


def import_preset(path: str | os.PathLike[str], name: str | None = None, force: bool = False) -> Preset:
    """Take a file over as a preset, called as the file if `name` is None; `force` replaces one of that name."""
    path = Path(path)
    name = path.stem if name is None else name
    document = _read(path)
    _contents(path, name, document)
    place = _place(name, force)
    _write(place, document)
    return _preset(place)


def _shipped(name: str) -> Preset:
    return Preset(name, _checked(PRESETS[name]), list(PRESETS).index(name) + 1, 0, True, [])


def _preset(path: Path) -> Preset:
    """The preset in a file of the user's."""
    return _contents(path, path.stem, _read(path))


def _contents(path: Path, name: str, document: Any) -> Preset:
    content = document.unwrap()
    program, bank = content.get("program"), content.get("bank", 0)
    try:
        _check_name(name)
        if program is not None:
            _check_program(program, bank)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    values, warnings = _values(path, document)
    return Preset(name, values, program, bank, False, warnings)


def _check_program(program: object, bank: object) -> None:
    for what, value, low, high in (("program", program, 1, _PROGRAMS), ("bank", bank, 0, _BANKS - 1)):
        if not isinstance(value, int) or not low <= value <= high:
            raise BadInput(f"the {what} is {value!r}: it must be a whole number from {low} to {high}.")


def _check_name(name: str) -> None:
    if name.casefold() in PRESETS:
        raise BadInput(f"the preset {name!r} comes with rtsep: choose another name.")
    if not _NAME.fullmatch(name) or _RESERVED.fullmatch(name):
        raise BadInput(
            f"no preset can be called {name!r}: take letters, digits and _, with spaces and - between them, at most 64 "
            "in all, and no name of a device on Windows."
        )


def _same(name: str) -> Path | None:
    """The file of the user's preset called `name`; in any case, as some file systems do not tell it apart."""
    same = [path for path in _files("presets") if path.stem.casefold() == name.casefold()]
    return min(same, key=lambda path: path.stem != name, default=None)


def _saved(name: str) -> Path:
    path = _same(name)
    if path is None:
        raise unknown("preset", name, [*PRESETS, *(each.stem for each in _files("presets"))])
    return path


def _place(name: str, force: bool) -> Path:
    """Where to save the preset `name`; what is there must be understood, and replaced only by `force`."""
    _check_name(name)
    path = _same(name)
    if path is None:
        return folder() / "presets" / f"{name}.toml"
    if not force:
        raise BadInput(f"there is a preset {path.stem!r} already: choose another name, or add --force to replace it.")
    _preset(path)
    return path


# Sessions


def save_session(
    command: Literal["live", "karaoke"], values: Mapping[str, float | str], settings: Mapping[str, Setting]
) -> None:
    """Keep how `command` runs: the values of its parameters by id, and its settings as they were given.

    Raises
    ------
    BadInput : if the file that would be replaced cannot be understood.
    Unavailable : if it cannot be written.
    """
    path = _session(command)
    document = _begun(path)
    _values(path, document)
    # What was a setting last time and is none now would come back: settings are replaced as a whole.
    for name in [name for name in _settings(path, document) if name not in settings]:
        del document["settings"][name]
    _put(document.setdefault("settings", {}), settings)
    _put_values(document, _checked(values))
    _write(path, document)


def load_session(command: Literal["live", "karaoke"]) -> tuple[dict[str, float], dict[str, Setting], list[str]]:
    """The values, settings and warnings of the last session; raises `BadInput` if there was none."""
    path = _session(command)
    if not os.path.exists(path):
        raise BadInput(f"nothing to resume yet: run rtsep {command} first, which keeps its session in {path}.")
    document = _read(path)
    values, warnings = _values(path, document)
    return values, _settings(path, document), warnings


class Session:
    """Keeps the session file of a run up to date.

    `tell` hears one sentence if that cannot be done, which disturbs nothing else.
    """

    def __init__(
        self,
        command: Literal["live", "karaoke"],
        parameters: Parameters,
        settings: Mapping[str, Setting],
        tell: Callable[[str], object],
    ) -> None:
        self._command, self._parameters, self._settings, self._tell = command, parameters, dict(settings), tell
        self._changed, self._told, self._next_s = True, False, -math.inf
        self._end = parameters.watch(self._watch)

    def tick(self, now: float) -> None:
        """Save what has changed; at most once in a second of the clock that `now` (s) is from."""
        if self._changed and now >= self._next_s:
            self._next_s = now + _SAVE_S
            self._save()

    def close(self) -> None:
        """Save what is left, and listen no more."""
        self._end()
        if self._changed:
            self._save()

    def _watch(self, before: Mapping[str, float], by: str) -> None:
        self._changed = self._changed or not all(map(_passes, before))

    def _save(self) -> None:
        self._changed = False  # first: a change that comes while the file is written is not lost
        try:
            values = {id: value for id, value in self._parameters.snapshot().items() if not _passes(id)}
            save_session(self._command, values, self._settings)
        except (BadInput, Unavailable) as error:
            self._changed = True
            if not self._told:
                self._told = True
                self._tell(f"the session is not kept: {error}")


def _passes(id: str) -> bool:
    """Whether this is a matter of a moment."""
    return id in _PASSING or id.endswith(".learn")


def _session(command: str) -> Path:
    return folder() / "sessions" / f"{command}.toml"


def _settings(path: Path, document: Any) -> dict[str, Setting]:
    settings = _table(path, document, "settings")
    for name, value in settings.items():
        if not isinstance(value, Setting):
            raise BadInput(f"{path}: {name} is {value!r}: it must be a text or a number.")
    return settings


# Controllers


def load_controller(port: str) -> dict[str, Any] | None:
    """What the controls of the controller at a MIDI port do: the user's file, else ours, else None.

    The user's file is called as the port, or one of its `ports` is part of the port's name, in any case; the longest
    such part decides. Ours go by `ports` alone.

    Raises
    ------
    BadInput : if a file of the user's cannot be understood.
    """
    path = _own(port) or _fitting(port, _MAPS.glob("*.toml"))
    return None if path is None else _read(path).unwrap()


def save_controller(port: str, document: Mapping[str, Any]) -> None:
    """Keep what the controls of the controller at a MIDI port do, in the user's file for it.

    Its keys take the place of the file's; keys that only the file has stay. A new file belongs to this port alone, so
    that the second of two like controllers gets its own.

    Raises
    ------
    BadInput : if a file of the user's cannot be understood.
    Unavailable : if it cannot be written.
    """
    path = _own(port) or folder() / "controllers" / f"{_file_name(port)}.toml"
    whole = _begun(path)
    _put(whole, document)
    _write(path, whole)


def _own(port: str) -> Path | None:
    """The user's file for the controller at `port`."""
    files = _files("controllers")
    called = [path for path in files if path.stem.casefold() == _file_name(port).casefold()]
    return called[0] if called else _fitting(port, files)


def _fitting(port: str, files: Iterable[Path]) -> Path | None:
    """The file with the longest of the `ports` that are part of the name `port`."""
    fit = [(len(part), path) for path in files for part in _ports(path) if part.casefold() in port.casefold()]
    return max(fit)[1] if fit else None


def _ports(path: Path) -> list[str]:
    ports: list[str] = _read(path).unwrap().get("ports", [])
    if not isinstance(ports, list) or not all(isinstance(part, str) for part in ports):
        raise BadInput(f'{path}: ports is {ports!r}: it must be parts of port names, as in ports = ["nanoKONTROL2"].')
    return ports


def _file_name(port: str) -> str:
    name = re.sub(r"[^\w -]", "_", port).strip(" ")
    return name + "_" if not name or _RESERVED.fullmatch(name) else name


# Files


def _files(kind: str) -> list[Path]:
    return sorted((folder() / kind).glob("*.toml"))


def _read(path: Path) -> Any:
    """The TOML document in a file, if it is one of ours."""
    from tomlkit import parse
    from tomlkit.exceptions import TOMLKitError

    try:
        document = parse(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise BadInput(f"there is no file {path}.") from None
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {error.strerror}.") from error
    except (TOMLKitError, ValueError) as error:
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


def _begun(path: Path | None) -> Any:
    """The document in a file, or a new one where there is no file yet."""
    from tomlkit import document

    if path is not None and os.path.exists(path):
        return _read(path)
    new = document()
    new["format"] = _FORMAT
    return new


def _table(path: Path, document: Any, name: str) -> dict[str, Any]:
    table: dict[str, Any] = document.unwrap().get(name, {})
    if not isinstance(table, dict):
        raise BadInput(f"{path}: {name} is {table!r}: it must be a table, begun by the line [{name}].")
    return table


def _values(path: Path, document: Any) -> tuple[dict[str, float], list[str]]:
    """The values of the parameters that are known, and a sentence for each of the others."""
    values: dict[str, float] = {}
    warnings = []
    for id, value in _table(path, document, "parameters").items():
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


def _checked(values: Mapping[str, float | str]) -> dict[str, float]:
    return {id: parameter(id).check(value) for id, value in values.items()}


def _put(table: Any, values: Mapping[str, Any]) -> None:
    """Set what differs: what a person wrote stays as it was written."""
    written = table.unwrap()
    for name, value in values.items():
        if written.get(name) != value:
            table[name] = value


def _put_values(document: Any, values: Mapping[str, float]) -> None:
    """Set the parameters: those that are known become `values`, those that are not stay."""
    table = document.setdefault("parameters", {})
    for id in [id for id in table if find(id) and id not in values]:
        del table[id]
    written = table.unwrap()
    for id, value in values.items():
        info = parameter(id)
        if id not in written or info.check(written[id]) != value:
            table[id] = info.format(value) if info.choices else float(value)


def _write(path: Path, document: Mapping[str, Any]) -> None:
    """Put the document in the place of a file; after a power cut there is the old one or the new one."""
    from tomlkit import dumps

    try:
        content = dumps(document).encode()
    except UnicodeEncodeError as error:  # a file name that is no text
        raise Unavailable(f"cannot write {path}: {error.object!r} cannot be written as text.") from error
    disk.write(path, content)
