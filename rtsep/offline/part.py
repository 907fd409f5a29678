"""A part of a score: what all that read files of notes give back."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Rows = NDArray[np.float64]

VELOCITY = 64
"""Of notes whose file tells none."""


class Part(NamedTuple):
    """The notes of a track, a channel, a singer or an instrument."""

    number: int  # from 1
    name: str
    notes: (
        Rows  # (notes, 4) onset and end in seconds, pitch in Hz, velocity from 1 to 127; in the order of their onsets
    )


def part_of(number: int, name: str, notes: Iterable[tuple[float, float, float, int]]) -> Part:
    """The part that has these `notes`: onset and end in seconds, MIDI number, velocity."""
    rows = np.array(sorted(notes), float).reshape(-1, 4)
    rows[:, 2] = hertz(rows[:, 2])
    return Part(number, name, rows)


def hertz(midi: ArrayLike) -> NDArray[Any]:
    """Frequencies of MIDI numbers, which need not be whole."""
    return 440 * 2 ** ((np.clip(midi, -999, 999) - 69) / 12)


def text_of(content: bytes) -> str:
    """The text that `content` is in UTF-8, in UTF-16 if it says so itself, or else as Windows writes it in the West."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")
