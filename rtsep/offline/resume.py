"""What was separated already, and from what: a small record for each source, in a hidden folder among the outputs.

What came of a source is done if its files are there, and its record holds the fingerprint of what they would be made of
now: the content of the source, all settings, and the engine. A record names the files before the first of them gets its
name, so that those that a killed process left are known to be ours, and are replaced.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__, disk
from ..library import digest
from ..networks import OURS
from ..settings import Settings
from .files import Name

FOLDER = ".rtsep"
"""The folder of the records, in that of the outputs."""


@dataclass(frozen=True)
class Record:
    """What is known of the outputs of one source.

    Parameters
    ----------
    folder : of all outputs
    place : what tells the outputs of this source from those of others, a path in that folder
    """

    folder: Path
    place: str

    @property
    def path(self) -> Path:
        """Its file."""
        name = hashlib.sha256(os.fsencode(self.place)).hexdigest()[:32]
        return self.folder / FOLDER / name[:2] / f"{name[2:]}.json"  # large folders are slow

    def files(self) -> set[Path]:
        """What was written of the source, or was about to be."""
        return {self.folder / name for name in self._read().get("files", ())}

    def holds(self, fingerprint: str, outputs: Iterable[Path]) -> bool:
        """Whether all `outputs` are there and were made of what has this `fingerprint`."""
        known = self._read()
        made = known.get("made_of") == fingerprint and known.get("whole") is True
        return made and all(map(os.path.lexists, outputs))

    def write(self, fingerprint: str, outputs: Iterable[Path], *, whole: bool) -> None:
        """Keep what `outputs` are made of; not yet `whole` if they are still to get their names."""
        files = self.files() | set(outputs)
        names = sorted(path.relative_to(self.folder).as_posix() for path in files)
        told = {"place": self.place, "made_of": fingerprint, "whole": whole, "files": names}
        disk.write(self.path, json.dumps(told, indent=1).encode())

    def _read(self) -> dict[str, Any]:
        try:
            known = json.loads(disk.read(self.path) or b"{}")
        except ValueError:  # altered
            return {}
        return known if isinstance(known, dict) else {}


def fingerprint(source: Name, settings: Settings, *choices: object) -> str:
    """Of all that outputs are made of: the content of `source`, `settings`, `choices`, the networks and the engine."""
    networks = Path(settings.networks or OURS)
    told = hashlib.sha256()
    for part in _parts([__version__, digest(settings.stages), networks.read_bytes(), settings, choices]):
        told.update(part + b"\n")
    with open(source, "rb") as file:
        told.update(hashlib.file_digest(file, "sha256").digest())
    return told.hexdigest()


def _parts(value: object) -> Iterator[bytes]:
    """All that `value` holds: equal values give equal parts, in whatever process."""
    if isinstance(value, np.ndarray):
        yield from (repr((value.dtype, value.shape)).encode(), value.tobytes())
    elif is_dataclass(value):
        for field in fields(value):
            yield field.name.encode()
            yield from _parts(getattr(value, field.name))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _parts(each)
    else:
        yield repr(value).encode()
