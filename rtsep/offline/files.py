"""Sound files in and out, as streams of float32 blocks (samples, channels); and raw sound through pipes.

Reading takes what is there: a file that breaks off is read as far as it goes, and the reader then has a warning.
Writing is all or nothing: a file gets its name when it is whole. A recording is the other way round: it grows
under its own name with a header that is right at any moment, so that whatever ends the program leaves a sound file.
"""

import os
import secrets
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
import soxr

from ..errors import BadInput, Unavailable, unknown
from ..settings import HIGHEST_RATE, LOWEST_RATE, MOST_CHANNELS
from .decoders import Sound as Sound
from .decoders import ffmpeg, opened

Name = str | os.PathLike[str]

BLOCK = 4096
"""Samples that are read and written at a time."""

SONG = ("lead", "chords", "bass", "drums")
"""The true stems of the bundled song."""

_ENCODINGS = {"wav": ("RF64", "FLOAT"), "flac": ("FLAC", "PCM_24")}
FORMATS = tuple(_ENCODINGS)
"""What `Writer` writes: 32-bit float or 24-bit integer samples."""

# Commands of libsndfile (sndfile.h) that soundfile has no name for.
_UPDATE_HEADER_AUTO = 0x1061
_RF64_AUTO_DOWNGRADE = 0x1210


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
            raise BadInput(f"{path} is a folder: name the sound files in it.") from None
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


class Writer:
    """A sound file in the making: 32-bit float WAV (RF64 where it outgrows 4 GB) or 24-bit FLAC, by its suffix.

    A context manager: closed at the end, discarded on an error. Until then the file has a temporary name.

    Parameters
    ----------
    path : ends in .wav or .flac; its folder is made if need be
    sample_rate : Hz, a whole number
    channels : 1 to 8
    force : replace a file that is there already
    recording : WAV alone; write under the final name, and keep the header right with every block: even a process
        that is killed leaves a sound file

    Attributes: `samples` written so far, `warning` (a sentence if samples had to be clipped, else None).

    Raises
    ------
    BadInput : for another suffix, a file that is there already, or a rate that FLAC cannot hold.
    Unavailable : also from `write`, `finish` and `close`: the disk is full or cannot be written to.
    """

    def __init__(
        self, path: Name, sample_rate: float, channels: int, *, force: bool = False, recording: bool = False
    ) -> None:
        self.path = Path(path)
        suffix = self.path.suffix[1:].lower()
        if suffix not in FORMATS:
            raise unknown("format", suffix, FORMATS)
        if recording and suffix != "wav":
            raise BadInput(f"{path}: recordings are WAV, which survives if the program is killed; name it .wav.")
        # libFLAC writes only rates that every decoder can read.
        if suffix == "flac" and sample_rate > 0xFFFF and sample_rate % 10:
            raise BadInput(f"{path}: FLAC cannot hold {sample_rate:g} Hz; use wav.")
        if self.path.exists() and not force:
            raise BadInput(f"{path} exists already: choose another name, or add --force to replace it.")
        self.samples = self._clipped = 0
        self._clips = suffix == "flac"
        self._place = self.path if recording else self.path.with_name(f".rtsep-{secrets.token_hex(8)}.part")
        self._file: soundfile.SoundFile | None = None
        try:
            with self._sentence():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                if recording and force:
                    self.path.unlink(missing_ok=True)
                os.close(os.open(self._place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
                encoding, subtype = _ENCODINGS[suffix]
                self._file = soundfile.SoundFile(
                    self._place, "w", round(sample_rate), channels, subtype, None, encoding
                )
                self._command(_RF64_AUTO_DOWNGRADE)
                if recording:
                    self._command(_UPDATE_HEADER_AUTO)
        except BaseException:
            self.discard()
            raise

    @property
    def warning(self) -> str | None:
        """A sentence if samples had to be clipped, else None."""
        if not self._clipped:
            return None
        return f"{self.path}: {self._clipped} samples beyond full scale were clipped; wav holds them unharmed."

    def write(self, block: Sound) -> None:
        """Append `block`, (samples, channels) or (samples,) if mono."""
        assert self._file, "the file is closed"
        if self._clips:
            self._clipped += int(np.count_nonzero(np.abs(block) > 1))
        with self._sentence():
            self._file.write(block)
        self.samples += len(block)

    def finish(self) -> None:
        """Complete the file, still under its temporary name: what can fail has then been done."""
        if self._file is None:
            return
        with self._sentence():
            file, self._file = self._file, None
            file.close()
            if self.samples:
                # libFLAC writes its last frame as it closes, and libsndfile keeps it to itself if that fails.
                with soundfile.SoundFile(self._place) as written:
                    written.seek(self.samples - 1)
                    written.read(1)

    def close(self) -> None:
        """Complete the file and give it its name."""
        self.finish()
        if self._place != self.path:
            with self._sentence():
                os.replace(self._place, self.path)
            self._place = self.path

    def discard(self) -> None:
        """Leave no trace, unless the file has its name already."""
        if self._file is not None:
            with suppress(soundfile.LibsndfileError):
                self._file.close()
            self._file = None
        if self._place != self.path:
            with suppress(OSError):
                self._place.unlink()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            self.discard()

    def _command(self, number: int) -> None:
        library: Any = soundfile
        assert self._file
        library._snd.sf_command(self._file._file, number, library._ffi.NULL, library._snd.SF_TRUE)

    def _sentence(self) -> AbstractContextManager[None]:
        return _unavailable(self.path)


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


class RawWriter:
    """Raw little-endian float32 into a pipe, channels interleaved: the face of `Writer`.

    Raises
    ------
    BadInput : if `stream` is a terminal.
    BrokenPipeError : from `write`: nobody reads any more.
    Unavailable : from `write`: the stream goes to a disk that is full.
    """

    warning = None

    def __init__(self, stream: BinaryIO) -> None:
        if stream.isatty():
            raise BadInput("- writes raw sound into a pipe, not to a terminal.")
        self._stream = stream

    def write(self, block: Sound) -> None:
        """Send `block` (samples, channels) at once."""
        try:
            with _unavailable("the raw sound"):
                self._stream.write(block.astype("<f4").tobytes())
                self._stream.flush()
        except BrokenPipeError:
            # What is left in the buffer would fail once more, and with a noise, when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            raise

    def finish(self) -> None:
        """All is sent."""

    def __enter__(self) -> "RawWriter":
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


def song(sample_rate: float) -> dict[str, Sound]:
    """The true stems of the bundled song, {name of SONG: (samples, 2)}, all of one length; their sum is the song."""
    folder = Path(__file__).parent.parent / "song"
    return {stem: load(folder / f"{stem}.ogg", sample_rate)[0] for stem in SONG}


def sum_of(sounds: Mapping[str, Sound]) -> Sound:
    """The sounds, all of one shape, added up in their order."""
    total: Sound = np.sum(list(sounds.values()), axis=0, dtype=np.float32)
    return total


@contextmanager
def _unavailable(what: Name) -> Iterator[None]:
    """Turn what the system says about writing `what` into a sentence."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Unavailable(f"cannot write {what}: {error.strerror}.") from error
    except soundfile.LibsndfileError as error:  # it does not pass on the reason
        raise Unavailable(f"cannot write {what}: the disk takes no more; is it full?") from error
