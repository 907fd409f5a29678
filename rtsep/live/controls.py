"""What outlives a run: presets, the session that can be resumed, and what the controls of each controller do.

Each is a TOML file in the user's configuration folder, to be read and edited by a person too: comments, and keys that
this version does not know, stay when a file is saved again. A file is replaced as a whole or not at all, and never if
it could not be understood: it may be the only copy of someone's work. Nor if another program has just written it: what
is saved is a change of what the file says at that moment.
"""

import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
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

    def change(document: Any, there: bool) -> None:
        if there:
            _replaceable(path, document, force)
        if program is not None:
            _put(document, {"program": program, "bank": bank})
        _put_values(document, checked)

    _change(path, change)


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
    disk.write(Path(path), _text(Path(path), document))


def preset_text(name: str) -> str:
    """A preset as the text of such a file."""
    from tomlkit import dumps

    return dumps(_alone(name))


def _alone(name: str) -> Any:
    """The document of a preset."""
    if name.casefold() not in PRESETS:
        return _read(_saved(name))
    document = _new()
    _put_values(document, _shipped(name.casefold()).values)
    return document


def import_preset(path: str | os.PathLike[str], name: str | None = None, force: bool = False) -> Preset:
    """Take a file over as a preset, called as the file if `name` is None; `force` replaces one of that name."""
    path = Path(path)
    name = path.stem if name is None else name
    document = _read(path)
    _contents(path, name, document)
    place = _place(name, force)

    def replaced(content: bytes | None) -> bytes:
        if content is not None:
            _replaceable(place, _parsed(place, content), force)
        return _text(place, document)

    disk.update(place, replaced)
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
    _replaceable(path, _read(path) if force else None, force)
    return path


def _replaceable(path: Path, document: Any, force: bool) -> None:
    if not force:
        raise BadInput(f"there is a preset {path.stem!r} already: choose another name, or add --force to replace it.")
    _contents(path, path.stem, document)


# Sessions


def save_session(
    command: Literal["live", "karaoke"],
    values: Mapping[str, float | str],
    settings: Mapping[str, Setting],
    moved: Collection[str] | None = None,
) -> None:
    """Keep how `command` runs: the values of its parameters by id, and its settings as they were given.

    `moved` are the parameters that have changed since the last time: nothing else is, of a file that is there, so that
    what another run or a person has written stays. None: all.

    Raises
    ------
    BadInput : if the file that would be replaced cannot be understood.
    Unavailable : if it cannot be written.
    """
    path, checked = _session(command), _checked(values)

    def change(document: Any, there: bool) -> None:
        kept, _ = _values(path, document)
        given = _settings(path, document)
        if there and moved is not None:
            _put_values(document, kept | {id: checked[id] for id in moved if id in checked})
            return
        # What was a setting last time and is none now would come back: settings are replaced as a whole.
        for name in [name for name in given if name not in settings]:
            del document["settings"][name]
        _put(document.setdefault("settings", {}), settings)
        _put_values(document, checked)

    _change(path, change)


def load_session(command: Literal["live", "karaoke"]) -> tuple[dict[str, float], dict[str, Setting], list[str]]:
    """The values, settings and warnings of the last session; raises `BadInput` if there was none."""
    path = _session(command)
    content = disk.read(path)
    if content is None:
        raise BadInput(f"nothing to resume yet: run rtsep {command} first, which keeps its session in {path}.")
    document = _parsed(path, content)
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
        self._saved: dict[str, float] | None = None  # the values of the last time
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
        values = {id: value for id, value in self._parameters.snapshot().items() if not _passes(id)}
        saved = self._saved
        moved = None if saved is None else {id for id, value in values.items() if saved[id] != value}
        try:
            save_session(self._command, values, self._settings, moved)
            self._saved = values
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
    own = _own(port)
    return _shipped_map(port) if own is None else _read(own).unwrap()


def _shipped_map(port: str) -> dict[str, Any] | None:
    path = _fitting(port, _MAPS.glob("*.toml"))
    return None if path is None else _read(path).unwrap()


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
        _put(document, change(document.unwrap() if there else _shipped_map(port)))

    _change(path, changed)


def controller_path(port: str) -> Path | None:
    """The file that says what the controls of the controller at a MIDI port do."""
    return _own(port) or _fitting(port, _MAPS.glob("*.toml"))


def known_controllers() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The controllers of the user's files and those of ours: by what may stand for a port, parts of names of ports."""
    own = {path.stem: _ports(path) for path in _files("controllers")}
    ours = {path.stem: _ports(path) for path in sorted(_MAPS.glob("*.toml"))}
    return own, {parts[0]: parts for parts in ours.values()}


def file_name(port: str) -> str:
    """What a file for the controller at a MIDI port is called, without its suffix."""
    name = re.sub(r"[^\w -]", "_", port).strip(" ")
    return name + "_" if not name or _RESERVED.fullmatch(name) else name


def controllers_stamp() -> object:
    """What differs from the last one if a file of a controller was written meanwhile."""
    stamps = {}
    with suppress(OSError):  # gone at this moment, or closed
        for path in _files("controllers"):
            found = path.stat()
            stamps[path] = found.st_mtime_ns, found.st_size, found.st_ino
    return stamps


def _own(port: str) -> Path | None:
    """The user's file for the controller at `port`."""
    files = _files("controllers")
    called = [path for path in files if path.stem.casefold() == file_name(port).casefold()]
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


# Files


def _files(kind: str) -> list[Path]:
    """The files of a folder; where a link leads nowhere there is none yet."""
    place = folder() / kind
    try:
        names = [entry.name for entry in os.scandir(place) if entry.name.endswith(".toml")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise Unavailable(f"cannot read {place}: {error.strerror}.") from error
    return sorted(path for path in map(place.joinpath, names) if os.path.exists(path))


def _read(path: Path) -> Any:
    """The TOML document in a file, if it is one of ours."""
    content = disk.read(path)
    if content is None:
        raise BadInput(f"there is no file {path}.")
    return _parsed(path, content)


def _parsed(path: Path, content: bytes) -> Any:
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


def _new() -> Any:
    from tomlkit import document

    new = document()
    new["format"] = _FORMAT
    return new


def _change(path: Path, change: Callable[[Any, bool], object]) -> None:
    """Save the document in a file, or a new one, once `change` has been at it; it is told whether the file is there."""

    def changed(content: bytes | None) -> bytes:
        document = _new() if content is None else _parsed(path, content)
        change(document, content is not None)
        return _text(path, document)

    disk.update(path, changed)


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


def _text(path: Path, document: Mapping[str, Any]) -> bytes:
    """What the file of a document holds."""
    from tomlkit import dumps

    try:
        return dumps(document).encode()
    except UnicodeEncodeError as error:  # a file name that is no text
        raise Unavailable(f"cannot write {path}: {error.object!r} cannot be written as text.") from error
