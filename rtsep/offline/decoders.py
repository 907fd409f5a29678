"""Who reads sound files: libsndfile what it can, made to read all of it; ffmpeg, where it is installed, the rest.

libsndfile stops where a length that it was told, or that it guessed, says so. So here the lengths are made right: MP3
by counting frames (`mpeg.py`), a header that was never finished by the file's size, and of several streams joined to
one file each is read in its turn.
"""

import io
import mmap
import os
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from contextlib import suppress
from itertools import chain, takewhile
from pathlib import Path
from typing import IO, Any, Protocol
from weakref import WeakSet

import numpy as np
import soundfile
from numpy.typing import NDArray

from . import mpeg

Sound = NDArray[np.float32]

# A program that writes WAV into a pipe knows no length and promises this much or more; no length is no break.
_ENDLESS_BYTES, _ENDLESS_SAMPLES = 0x7FFF0000, 2**62
_MPEG_SLACK_S = 0.1  # decoders differ by a frame or two

# How a stream begins in a file. In Ogg several may begin side by side, before any goes on.
_FLAC_BEGINS = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_OGG_BEGINS, _OGG_GOES_ON = re.compile(rb"OggS\x00\x02\x00{8}"), re.compile(rb"OggS\x00[\x00\x01\x04\x05]")

# Where the sound begins behind the name of its chunk, in a header that says that there is none yet.
_BEGINS = {"WAV": (b"data", 8), "AIFF": (b"SSND", 16), "CAF": (b"data", 12)}
_BEGINS |= dict.fromkeys(("WAVEX", "RF64"), _BEGINS["WAV"])
_STEP = 1024  # samples by which it is searched where FLAC goes on behind damage, for 64 of them
_HEADER_BYTES = 1 << 20
_BIG_ENDIAN = ("AIFF", "AU", "CAF")


class Decoder(Protocol):
    """A sound file that has been opened.

    Attributes: `sample_rate` (Hz), `channels`, `length` (samples as far as the file tells, else None), and `warning`,
    a sentence once all is read if some of it could not be, else None.
    """

    sample_rate: int
    channels: int
    length: int | None
    warning: str | None

    def blocks(self, size: int, start: int) -> Iterator[Sound]:
        """Read from sample `start` to the end: blocks (at most `size`, channels), empty on the way there."""

    def close(self) -> None: ...


def opened(path: Path) -> Decoder | None:
    """The file at `path`, which is there; None if nobody can read it."""
    with suppress(soundfile.LibsndfileError, TypeError):  # TypeError: a name that ends in .raw
        return Sndfile(path)
    program = ffmpeg()
    with suppress(ValueError):
        return Ffmpeg(path, program) if program else None
    return None


def bytes_of(path: Path) -> str | bytes:
    """A path as soundfile takes it even if it is no text."""
    return str(path) if os.name == "nt" else os.fsencode(path)


class Sndfile:
    """What libsndfile reads.

    Raises
    ------
    soundfile.LibsndfileError, TypeError : if it cannot.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._notes = path, list[str]()
        self._reading = WeakSet[Any]()  # what is open
        self._content: bytes | None = None  # in place of the file's
        self._raw: tuple[Any, ...] = ()  # what its header says, if it does not say where the sound ends
        self._offsets: list[int | None] = [0]  # of the streams found so far, in bytes; None behind the last
        self._count_frames()
        with self._open() as file:
            if file.frames == 0:
                self._raw = self._unfinished(file)
        with self._open() as file:
            self._format: str = file.format
            self.sample_rate: int = file.samplerate
            self.channels: int = file.channels
            self.length: int | None = file.frames if file.frames < _ENDLESS_SAMPLES else None
        self.warning: str | None = None

    def close(self) -> None:
        for file in list(self._reading):
            file.close()

    def blocks(self, size: int, start: int) -> Iterator[Sound]:
        notes, before, number = list(self._notes), 0, 0
        while (offset := self._offset(number)) is not None:
            try:
                with self._open(offset) as file:
                    told = file.samplerate, file.channels
            except soundfile.LibsndfileError:
                told = 0, 0
            if told != (self.sample_rate, self.channels):
                what = f"of {told[0]} Hz and {told[1]} channels" if any(told) else "that cannot be read"
                notes.append(f"{self._path}: another sound follows, {what}; it is left out.")
                break
            done, fault = yield from self._read(offset, size, max(start - before, 0))
            before += done
            if fault and not self._notes:  # of that more is known already
                notes.append(fault)
            number += 1
        self.warning = " ".join(notes) or self.warning

    def _open(self, offset: int = 0) -> Any:
        """The stream that begins at a byte of the file."""
        if self._content is not None:
            return soundfile.SoundFile(io.BytesIO(self._content))
        if self._raw:
            return soundfile.SoundFile(_Window(self._path, self._raw[0]), "r", *self._raw[1:])
        end = _riff_behind(self._path, offset)
        if offset or end:
            return soundfile.SoundFile(_Window(self._path, offset, end))
        return soundfile.SoundFile(bytes_of(self._path))

    def _read(self, offset: int, size: int, start: int) -> Generator[Sound, None, tuple[int, str]]:
        """Blocks of a stream from sample `start` on; its length, and a sentence if some of it is missing."""
        # libsndfile is often off by a block of Vorbis after a seek; 600 times as fast as it sounds, all can be decoded.
        done, lost, breaks_off = 0 if self._format == "OGG" else start, 0, False
        while True:
            with self._open(offset) as file:
                length = file.frames if file.frames < _ENDLESS_SAMPLES else 0
                done = min(done, file.frames)
                self._reading.add(file)
                # Behind a seek FLAC stops at damage and does not close the gap: so it is known where it goes on.
                for block in _blocks(file, size, done, self._format != "OGG"):
                    skip = min(max(start - done, 0), len(block))
                    done += len(block)
                    yield block[skip:]
                breaks_off = _breaks_off(file)
            behind = self._behind_damage(offset, done, length) if self._format == "FLAC" and done < length else None
            if behind is None:
                break
            lost += behind - done
            while done < behind:  # the gap, as silence
                done += (count := min(size, behind - done))
                yield np.zeros((count, self.channels), np.float32)
        slack = _MPEG_SLACK_S * self.sample_rate if self._format == "MP3" else 0
        rest = length - done if length - done > slack else 0
        if lost or (rest and self._format == "OGG"):  # which closes its gaps
            return done, (
                f"{self._path} is damaged{'' if lost else ' or ends early'}: {(lost + rest) / self.sample_rate:.2f} of "
                f"its {length / self.sample_rate:.2f} s are missing."
            )
        return done, _ends_early(self._path, done / self.sample_rate) if rest or breaks_off else ""

    def _behind_damage(self, offset: int, place: int, length: int) -> int | None:
        """The first sample from `place` on that can be read again."""
        steps = chain(range(_STEP, 65 * _STEP, _STEP), (_STEP << power for power in range(7, 40)))
        for sample in takewhile(lambda sample: sample < length, (place + step for step in steps)):
            with self._open(offset) as file:
                if next(_blocks(file, 1, sample, True), None) is not None:
                    return sample
        return None

    def _count_frames(self) -> None:
        """Take the frames of an MP3 file in place of the file, if it does not tell all of them."""
        with self._path.open("rb") as content:
            head = content.read(4)
            if not mpeg.begins(head):
                return
            found = mpeg.frames(head + content.read())
        if found is None or found.whole or found.samples == 0:
            return
        self._content = found.data
        if found.gaps:
            more = f" and {len(found.gaps) - 1} more places" if len(found.gaps) > 1 else ""
            self._notes.append(f"{self._path} is damaged at {found.gaps[0]:.2f} s{more}: some sound is missing there.")
        elif found.promised > found.samples:
            self._notes.append(_ends_early(self._path, found.samples / found.rate))

    def _unfinished(self, file: Any) -> tuple[Any, ...]:
        """Where the sound begins behind a header that says that there is none, and what of; () if there is none.

        Whoever wrote it was stopped before the end.
        """
        with self._path.open("rb") as content:
            head = content.read(_HEADER_BYTES)
        if file.format == "AU":
            start = int.from_bytes(head[4:8], "big" if head.startswith(b".snd") else "little")
        else:
            chunk, behind = _BEGINS.get(file.format, (b"", 0))
            if not chunk or chunk not in head:
                return ()
            start = head.find(chunk) + behind
        little = file.endian == "LITTLE" or file.format not in _BIG_ENDIAN
        if start >= self._path.stat().st_size or _is_chunk(head[start : start + 8], little):
            return ()
        endian = "LITTLE" if little else "BIG"
        raw = start, file.samplerate, file.channels, file.subtype, endian, "RAW"
        try:
            soundfile.SoundFile(_Window(self._path, start), "r", *raw[1:]).close()
        except (soundfile.LibsndfileError, ValueError):  # an encoding that needs its header
            return ()
        self._notes.append(f"{self._path} was never finished: what follows its header is read to the end.")
        return raw

    def _offset(self, number: int) -> int | None:
        """Where stream `number` begins; None if there are no more."""
        if number == len(self._offsets):
            last = self._offsets[-1]
            whole = self._content is not None or self._raw
            self._offsets.append(None if last is None or whole else self._behind(last))
        return self._offsets[number]

    def _behind(self, offset: int) -> int | None:
        """Where the stream behind the one at `offset` begins."""
        if self._format in ("FLAC", "OGG"):
            with (
                self._path.open("rb") as content,
                mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ) as data,
            ):
                found = (_FLAC_BEGINS if self._format == "FLAC" else _OGG_GOES_ON).search(data, offset + 4)
                if self._format == "OGG" and found:
                    found = _OGG_BEGINS.search(data, found.end())
                return found.start() if found else None
        return _riff_behind(self._path, offset)


def _riff_behind(path: Path, offset: int) -> int | None:
    """Where behind the WAV or AIFF file that begins at `offset` another of its kind begins."""
    with path.open("rb") as content:
        content.seek(offset)
        head = content.read(12)
        if len(head) < 12 or head[:4] not in (b"RIFF", b"FORM"):
            return None
        size = int.from_bytes(head[4:8], "little" if head[:4] == b"RIFF" else "big")
        behind = offset + 8 + size + size % 2
        content.seek(behind)
        again = content.read(12)
    return behind if again[:4] + again[8:] == head[:4] + head[8:] else None


def _blocks(file: Any, size: int, start: int, seek: bool) -> Iterator[Sound]:
    """Blocks of a stream that has just been opened, as far as they can be read; `seek` even to where it stands."""
    library: Any = soundfile
    if start or seek:
        try:
            file.seek(start)
        except soundfile.LibsndfileError:
            if start:  # it breaks off before
                return
    while True:
        block = np.empty((size, file.channels), np.float32)
        # SoundFile.read would seek after every block, and lose what comes just before the damage.
        place = library._ffi.cast("float *", block.ctypes.data)
        samples = library._snd.sf_readf_float(file._file, place, size)
        if samples <= 0:
            return
        yield block[:samples]


def _ends_early(path: Path, seconds: float) -> str:
    return f"{path} ends early, after {seconds:.2f} s: the rest is missing or damaged."


def _breaks_off(file: Any) -> bool:
    """Whether libsndfile noted that the file is shorter than it should be (it then corrects the length), or damaged."""
    library: Any = soundfile
    log = file.extra_info
    sizes = re.search(r"^ *(?:data|SSND) : (\d+) \(should be (\d+)\)", log, re.MULTILINE)
    short = sizes is not None and int(sizes[2]) < int(sizes[1]) < _ENDLESS_BYTES
    return short or "lacks an end-of-stream bit" in log or library._snd.sf_error(file._file) != 0


def _is_chunk(head: bytes, little: bool) -> bool:
    """Whether a further chunk (titles, say) begins so, and no sound."""
    size = int.from_bytes(head[4:], "little" if little else "big")
    return re.match(rb"[A-Za-z][ -~]{3}", head) is not None and size < _HEADER_BYTES


class _Window(io.RawIOBase):
    """A file from byte `start` up to `end`, or to its own."""

    def __init__(self, path: Path, start: int, end: int | None = None) -> None:
        self._file, self._start = path.open("rb"), start
        self._size = (path.stat().st_size if end is None else end) - start
        self.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(memoryview(buffer)[: max(self._size - self.tell(), 0)])

    def tell(self) -> int:
        return self._file.tell() - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = (0, self.tell(), self._size)[whence]
        return self._file.seek(self._start + base + offset) - self._start

    def close(self) -> None:
        self._file.close()
        super().close()


def ffmpeg() -> str | None:
    """The program ffmpeg: the system's, or the one of the package imageio-ffmpeg."""
    found = shutil.which("ffmpeg")
    if found is None:
        with suppress(ImportError, RuntimeError):
            from imageio_ffmpeg import get_ffmpeg_exe

            found = str(get_ffmpeg_exe())
    return found


class Ffmpeg:
    """What ffmpeg reads: the first sound of M4A, AAC, video and whatever else it knows.

    Raises
    ------
    ValueError : if it finds no sound.
    """

    def __init__(self, path: Path, program: str) -> None:
        self._path, self._program = path, program
        self._process: subprocess.Popen[bytes] | None = None
        self.warning: str | None = None
        stream = self._start()
        told = self._told()
        duration = re.search(r"Duration: (\d+):(\d\d):(\d\d\.\d+)", told)
        self.length: int | None = None
        if duration and "Estimating duration" not in told:
            hours, minutes, seconds = duration.groups()
            self.length = round((3600 * int(hours) + 60 * int(minutes) + float(seconds)) * self.sample_rate)
        self._begun: IO[bytes] | None = stream

    def blocks(self, size: int, start: int) -> Iterator[Sound]:
        stream, self._begun = self._begun or self._start(), None
        process = self._process
        width, done = 4 * self.channels, 0
        while process is self._process and (data := stream.read(size * width)):
            samples = len(data) // width
            block = np.frombuffer(data, ">f4", samples * self.channels).reshape(samples, self.channels)
            skip = min(max(start - done, 0), samples)
            done += samples
            yield block[skip:].astype(np.float32)
        if process is None or process is not self._process:  # it was read anew, or closed, meanwhile
            return
        failed = process.wait() != 0
        wrong = re.search(r"\[(?:error|fatal)\] (.*)", self._told())
        if wrong or failed:
            self.warning = f"{self._path} is damaged: {wrong[1] if wrong else 'ffmpeg cannot read all of it'}."

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout
            self._process.stdout.close()
            self._process = None
            self._errors.close()

    def _start(self) -> IO[bytes]:
        """Decode from the start: what comes behind the header that tells rate and channels, as in a file of Sun's."""
        self.close()
        self._errors = tempfile.TemporaryFile("a+b")  # noqa: SIM115  open as long as the process
        self._process = subprocess.Popen(
            (
                *(self._program, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info"),
                *("-protocol_whitelist", "file,pipe", "-i", f"file:{self._path}", "-map", "0:a:0"),
                *("-map_metadata", "-1", "-codec:a", "pcm_f32be", "-f", "au", "pipe:1"),
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        stream = self._process.stdout
        assert stream
        header = stream.read(24)
        if len(header) < 24:
            self.close()
            raise ValueError(f"no sound in {self._path}")
        behind, _, _, self.sample_rate, self.channels = struct.unpack(">5I", header[4:])
        stream.read(behind - len(header))
        return stream

    def _told(self) -> str:
        """What it has said so far."""
        self._errors.seek(0)
        return self._errors.read().decode("utf-8", "replace")
