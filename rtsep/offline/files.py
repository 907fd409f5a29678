"""Sound files in, whole or as float32 blocks (samples, channels); and raw sound out of a pipe.

Reading takes what is there: a file that breaks off is read as far as it goes, and the reader then has a warning.
"""

import os
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soxr

from ..errors import BadInput
from ..settings import HIGHEST_RATE, LOWEST_RATE, MOST_CHANNELS
from .decoders import Sound as Sound
from .decoders import ffmpeg, opened

Name = str | os.PathLike[str]

BLOCK = 4096
"""Samples that are read at a time."""

SONG = ("lead", "chords", "bass", "drums")
"""The true stems of the bundled song."""


class Reader:
    """A sound file, read block by block. A context manager.

    Attributes: `sample_rate` (Hz), `channels`, `length` (samples the header promises, None if it does not say), and
    `warning`, a sentence once all is read if the file breaks off or is damaged, else None.

    Raises
    ------
    BadInput : for what is not there, no sound file, empty, or beyond the engine's channels and rates.
    """

    def __init__(self, path: Name) -> None:
        self.path = Path(path)
        try:
            self.path.open("rb").close()  # says what is wrong in better words than libsndfile
        except FileNotFoundError:
            raise BadInput(f"there is no file {path}{self._hint()}") from None
        except IsADirectoryError:
            raise BadInput(f"{path} is a folder: name a sound file in it.") from None
        except OSError as error:
            raise BadInput(f"cannot read {path}: {error.strerror}.") from error
        decoder = opened(self.path)
        if decoder is None:
            if self.path.stat().st_size == 0:
                raise BadInput(f"{path} is empty.")
            raise BadInput(f"{path} is no sound file that can be read: convert it to WAV or FLAC first{_more()}.")
        self._decoder = decoder
        self.sample_rate, self.channels, self.length = decoder.sample_rate, decoder.channels, decoder.length
        try:
            self._check()
        except BadInput:
            self.close()
            raise

    @property
    def warning(self) -> str | None:
        """A sentence once all is read if some of the sound could not be, else None."""
        return self._decoder.warning

    def blocks(self, size: int = BLOCK, start: int = 0) -> Iterator[Sound]:
        """Read from sample `start` to the end: blocks (at most `size`, channels), empty on the way there.

        Raises
        ------
        BadInput : if nothing at all can be read.
        """
        found = start > 0
        for block in self._decoder.blocks(size, start):
            found = True
            yield block
        if not found:
            raise BadInput(f"{self.path} is damaged: nothing of it can be read.")

    def close(self) -> None:
        self._decoder.close()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hint(self) -> str:
        """The name in the same folder that is most like the one that is not there."""
        with suppress(OSError):
            near = get_close_matches(self.path.name, os.listdir(self.path.parent), 1)
            if near:
                return f"; did you mean {self.path.with_name(near[0])}?"
        return "."

    def _check(self) -> None:
        if self.length == 0:
            raise BadInput(f"{self.path} holds no sound: it is 0 samples long.")
        if self.channels > MOST_CHANNELS:
            raise BadInput(f"{self.path} has {self.channels} channels: an engine takes 1 to {MOST_CHANNELS}.")
        if not LOWEST_RATE <= self.sample_rate <= HIGHEST_RATE:
            raise BadInput(
                f"the sample rate of {self.path} is {self.sample_rate} Hz: it must lie between {LOWEST_RATE} and "
                f"{HIGHEST_RATE}."
            )


def _more() -> str:
    """What would read more kinds of files."""
    if ffmpeg() is not None:
        return ""
    return (
        ". M4A, AAC and video are read where ffmpeg is installed (Debian and Ubuntu: apt install ffmpeg; anywhere: "
        "pip install 'rtsep[video]')"
    )


class RawReader:
    """Raw little-endian float32 from a pipe, channels interleaved: the face of `Reader`, of unknown length.

    Raises
    ------
    BadInput : if `stream` is a terminal; from `blocks`, if nothing comes.
    """

    length = None

    def __init__(self, stream: BinaryIO, sample_rate: float, channels: int) -> None:
        if stream.isatty():
            raise BadInput("- reads raw sound from a pipe, not from a terminal.")
        self._stream, self.sample_rate, self.channels = stream, sample_rate, channels
        self.warning: str | None = None

    def blocks(self, size: int = BLOCK) -> Iterator[Sound]:
        """Read on to the end: blocks (at most `size`, channels)."""
        width = 4 * self.channels
        begun = False
        while data := self._stream.read(size * width):
            samples = len(data) // width
            if samples:
                begun = True
                yield np.frombuffer(data, "<f4", samples * self.channels).reshape(samples, self.channels)
            if len(data) % width:
                self.warning = f"the raw sound ended within a sample: is it float32 of {self.channels} channels?"
        if not begun:
            raise BadInput("no sound came through the pipe.")

    def __enter__(self) -> "RawReader":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def load(path: Name, sample_rate: float | None = None) -> tuple[Sound, float]:
    """A whole sound file (samples, channels) and its rate in Hz; resampled to `sample_rate` if that is given.

    Warns if the file breaks off; raises `BadInput` as `Reader` does.
    """
    with Reader(path) as reader:
        sound = np.concatenate(list(reader.blocks()))
    if reader.warning:
        warnings.warn(reader.warning, stacklevel=2)
    if sample_rate is None or sample_rate == reader.sample_rate:
        return sound, reader.sample_rate
    resampled: Sound = soxr.resample(sound, reader.sample_rate, sample_rate)
    return resampled, sample_rate


def name_of(source: Name) -> str:
    """What the sound at `source` is called: its file's name without what it ends in."""
    path = Path(source)
    if path == Path("-"):
        return "stdin"
    return path.stem if path.stem.strip(".") else path.name  # "...wav" would lead out of the folder


def song(sample_rate: float) -> dict[str, Sound]:
    """The true stems of the bundled song, {name of SONG: (samples, 2)}, all of one length; their sum is the song."""
    folder = Path(__file__).parent.parent / "song"
    with ThreadPoolExecutor() as pool:
        sounds = pool.map(lambda stem: load(folder / f"{stem}.ogg", sample_rate)[0], SONG)
        return dict(zip(SONG, sounds, strict=True))


def sum_of(sounds: Mapping[str, Sound]) -> Sound:
    """The sounds, all of one shape, added up in their order."""
    total: Sound = np.sum(list(sounds.values()), axis=0, dtype=np.float32)
    return total
