"""Sessions: how a command ran the last time, so that it can be resumed."""

import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from .. import disk
from ..errors import BadInput, Unavailable
from ..parameters import Parameters
from .toml_files import checked_values, folder, parsed, put, put_values, table, update_document, values_in

_SAVE_S = 1.0  # between two savings of a session
_PASSING = {"output.mute", "melody.duck"}  # a panic, and a moment of a song: nobody wants to begin in one
Setting = str | float | int


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
    path, checked = _session(command), checked_values(values)

    def change(document: Any, there: bool) -> None:
        kept, _ = values_in(path, document)
        given = _settings(path, document)
        if there and moved is not None:
            put_values(document, kept | {id: checked[id] for id in moved if id in checked})
            return
        # What was a setting last time and is none now would come back: settings are replaced as a whole.
        for name in [name for name in given if name not in settings]:
            del document["settings"][name]
        put(document.setdefault("settings", {}), settings)
        put_values(document, checked)

    update_document(path, change)


def load_session(command: Literal["live", "karaoke"]) -> tuple[dict[str, float], dict[str, Setting], list[str]]:
    """The values, settings and warnings of the last session; raises `BadInput` if there was none."""
    path = _session(command)
    content = disk.read(path)
    if content is None:
        raise BadInput(f"nothing to resume yet: run rtsep {command} first, which keeps its session in {path}.")
    document = parsed(path, content)
    values, warnings = values_in(path, document)
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
    settings = table(path, document, "settings")
    for name, value in settings.items():
        if not isinstance(value, Setting):
            raise BadInput(f"{path}: {name} is {value!r}: it must be a text or a number.")
    return settings
