"""Sound files out, block by block; and raw sound into a pipe.

Writing is all or nothing: a file gets its name when it is whole. A recording is the other way round: it grows
under its own name with a header that is right at any moment, so that whatever ends the program leaves a sound file.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import soundfile
import soxr

from .. import disk
from ..errors import BadInput, Unavailable, unknown
from ..settings import MOST_CHANNELS
from .decoders import Sound, bytes_of
from .files import Name


class _Format(NamedTuple):
    """A kind of sound file, as libsndfile calls it."""

    container: str
    encodings: dict[int, str]  # by bits of a sample, the best first; 0 where they cannot be counted
    level: float | None = None  # of compression; None: libsndfile's own
    most_channels: int = MOST_CHANNELS
    rates: tuple[int, ...] = ()  # that it holds, Hz; none: any


_FORMATS = {
    "wav": _Format("RF64", {32: "FLOAT", 24: "PCM_24", 16: "PCM_16"}),
    "flac": _Format("FLAC", {24: "PCM_24", 16: "PCM_16"}),
    "mp3": _Format(
        "MP3", {0: "MPEG_LAYER_III"}, 0.2, 2, (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
    ),
    "ogg": _Format("OGG", {0: "VORBIS"}, 0.3),
    "opus": _Format("OGG", {0: "OPUS"}, None, MOST_CHANNELS, (8000, 12000, 16000, 24000, 48000)),
}
FORMATS = tuple(_FORMATS)
"""What `Writer` writes."""

# Commands of libsndfile (sndfile.h) that soundfile has no name for.
_UPDATE_HEADER_AUTO = 0x1061
_RF64_AUTO_DOWNGRADE = 0x1210


class Writer:
    """A sound file in the making: WAV (RF64 where it outgrows 4 GB), FLAC, MP3, Ogg Vorbis or Opus.

    A context manager: closed at the end, discarded on an error. Until then the file has a temporary name.

    Parameters
    ----------
    path : its folder is made if need be
    sample_rate : Hz, a whole number; where MP3 or Opus cannot hold it, the sound is resampled
    channels : 1 to 8
    format : one of FORMATS; None: what `path` ends in
    bits : of a sample: 32 (float), 24 or 16 in WAV, 24 or 16 in FLAC; None: the first of these
    force : replace a file that is there already
    recording : WAV alone; write under the final name, and keep the header right with every block: even a process
        that is killed leaves a sound file

    Attributes: `samples` written so far, `warning` (a sentence if samples had to be clipped, else None).

    Raises
    ------
    BadInput : for another format, what the format cannot hold, or a file that is there already.
    Unavailable : also from `write`, `finish` and `close`: the disk is full or cannot be written to.
    """

    def __init__(
        self,
        path: Name,
        sample_rate: float,
        channels: int,
        *,
        format: str | None = None,
        bits: int | None = None,
        force: bool = False,
        recording: bool = False,
    ) -> None:
        self.path = Path(path)
        name = self.path.suffix[1:].lower() if format is None else format
        kind, encoding = encoded(name, bits)
        if recording and name != "wav":
            raise BadInput(f"{path}: recordings are WAV, which survives if the program is killed; name it .wav.")
        # libFLAC writes only rates that every decoder can read.
        if name == "flac" and sample_rate > 0xFFFF and sample_rate % 10:
            raise BadInput(f"{path}: FLAC cannot hold {sample_rate:g} Hz; use wav.")
        if channels > kind.most_channels:
            raise BadInput(f"{path}: {name} holds {kind.most_channels} channels at most, not {channels}; use wav.")
        if os.path.lexists(self.path) and not force:
            raise BadInput(f"{path} exists already: choose another name, or add --force to replace it.")
        self.samples = self._written = self._clipped = 0
        self._clips, self._lossy = encoding != "FLOAT" and name not in ("ogg", "opus"), bool(kind.level or kind.rates)
        self._steps = np.float32(2 ** (int(encoding[4:]) - 1) if encoding.startswith("PCM_") else 0)
        rate = _nearest(round(sample_rate), kind.rates)
        self._resampler = None if rate == round(sample_rate) else _Resampler(round(sample_rate), rate, channels)
        self._place, self._descriptor, self._force = self.path, -1, force
        self._file: soundfile.SoundFile | None = None
        try:
            with self._sentence():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                if recording:
                    if force:
                        self.path.unlink(missing_ok=True)
                    os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
                else:
                    self._place, self._descriptor = disk.begin(self.path)
                self._file = soundfile.SoundFile(
                    bytes_of(self._place), "w", rate, channels, encoding, None, kind.container, True, kind.level
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
        return (
            f"{self.path}: {self._clipped} samples beyond full scale were clipped; wav of 32 bits holds them unharmed."
        )

    def write(self, block: Sound) -> None:
        """Append `block`, (samples, channels) or (samples,) if mono."""
        assert self._file, "the file is closed"
        if self._clips:
            self._clipped += int(np.count_nonzero(np.abs(block) > 1))
        self.samples += len(block)
        self._put(block if self._resampler is None else self._resampler(block))

    def _put(self, block: Sound) -> None:
        assert self._file
        if self._steps:
            block = np.rint(block * self._steps) / self._steps  # libsndfile rounds down where it clips
        with self._sentence():
            self._file.write(block)
        self._written += len(block)

    def finish(self) -> None:
        """Complete the file, still under its temporary name: what can fail has then been done."""
        if self._file is None:
            return
        if self._resampler is not None and self.samples:
            self._put(self._resampler.rest())
        with self._sentence():
            file, self._file = self._file, None
            file.close()
            if self._written:
                # Encoders write their last frame as they close, and libsndfile keeps it to itself if that fails.
                with soundfile.SoundFile(bytes_of(self._place)) as written:
                    if self._lossy and written.frames < self._written:
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    written.seek(self._written - 1)
                    written.read(1)

    def close(self) -> None:
        """Complete the file and give it its name."""
        self.finish()
        self._let_go()
        if self._place != self.path:
            with self._sentence():
                disk.finish(self._place, self.path, self._force)
            self._place = self.path

    def discard(self) -> None:
        """Leave no trace, unless the file has its name already."""
        if self._file is not None:
            with suppress(soundfile.LibsndfileError):
                self._file.close()
            self._file = None
        self._let_go()
        if self._place != self.path:
            with suppress(OSError):
                self._place.unlink()

    def _let_go(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

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


def encoded(format: str, bits: int | None) -> tuple[_Format, str]:
    """How a format of FORMATS is written with so many `bits` (None: its best); `BadInput` if it cannot be."""
    if format not in _FORMATS:
        raise unknown("format", format, FORMATS)
    kind = _FORMATS[format]
    if bits is None:
        return kind, next(iter(kind.encodings.values()))
    if bits not in kind.encodings:
        whole = [str(each) for each in kind.encodings if each]
        what = f"{format} has samples of {', '.join(whole)} bits" if whole else f"the samples of {format} have no bits"
        raise BadInput(f"{bits} bits: {what}.")
    return kind, kind.encodings[bits]


def _nearest(rate: int, rates: tuple[int, ...]) -> int:
    """The best of `rates` for a sound of `rate`, which is kept if it is among them or there are none."""
    if not rates or rate in rates:
        return rate
    whole = [each for each in rates if rate % each == 0 and each >= 32_000]
    return max(whole) if whole else next((each for each in rates if each >= rate), rates[-1])


class _Resampler:
    """A sound at another rate, block by block."""

    def __init__(self, given: int, wanted: int, channels: int) -> None:
        self._stream = soxr.ResampleStream(given, wanted, channels, dtype="float32")
        self._channels = channels

    def __call__(self, block: Sound) -> Sound:
        sound: Sound = self._stream.resample_chunk(np.ascontiguousarray(block.reshape(-1, self._channels), np.float32))
        return sound

    def rest(self) -> Sound:
        """What is still to come at the end."""
        sound: Sound = self._stream.resample_chunk(np.zeros((0, self._channels), np.float32), last=True)
        return sound


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
