"""Query by humming: an index of songs, and which of them holds a melody that somebody hums, sings or whistles.

A song is kept as its contour: the melody of the mix as `follow` hears it, ten values a second, which for 10,000 songs
are some tens of megabytes. Contours of mixes, in semitones: Salamon, Serrà and Gómez, "Tonal representations for music
retrieval: from version identification to query-by-humming", International Journal of Multimedia Information Retrieval
2(1), 2013. How they are compared: `hum_search`.
"""

import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .. import disk
from ..dsp.salience import LOWEST_HZ
from ..errors import BadInput, Unavailable
from ..settings import Settings
from .files import Name, Reader, Sound
from .hum_search import PER_SEMITONE, STEP_S, Contour, search
from .many import Here, Outputs, Report, sound_files, spread
from .render import Melody, engine_of, follow, melody_of, render
from .score import STEP_S as MELODY_STEP_S

FORMAT = 1

_EVERY_S = 60.0  # what was followed is saved this often


class Match(NamedTuple):
    """A song that is like a query, and the place where it is most so."""

    song: str
    start_s: float  # in the song
    end_s: float
    semitones: float  # from -6 to 6: how far the query is above the song, octaves aside
    score: float  # about 1 for equal melodies


class Song(NamedTuple):
    """A song of an index."""

    contour: Contour
    made_of: str = ""  # fingerprint of its file


def contour(source: ArrayLike | Name, sample_rate: float | None = None) -> Contour:
    """The contour of an array or a sound file, by the melody that `follow` hears; parameters and errors of `follow`."""
    return contour_of(follow(source, sample_rate))


def contour_of(melody: Melody) -> Contour:
    """The contour of a melody: medians of its pitches, where at least half of the rows have one."""
    every = round(STEP_S / MELODY_STEP_S)
    f0 = melody.f0_hz[: len(melody.f0_hz) // every * every].reshape(-1, every)
    f0 = np.sort(f0, axis=1)  # those without come first
    voiced = np.count_nonzero(f0, axis=1)
    middle = np.take_along_axis(f0, (every - voiced + voiced // 2).clip(max=every - 1)[:, np.newaxis], 1)[:, 0]
    steps = 1 + np.rint(12 * PER_SEMITONE * np.log2(np.maximum(middle, LOWEST_HZ) / LOWEST_HZ))
    return np.where(2 * voiced >= every, steps.clip(1, 255), 0).astype(np.uint8)


class Index:
    """Songs by name, each with its contour."""

    def __init__(self, songs: Mapping[str, Song] | None = None) -> None:
        self.songs = dict(songs or {})

    def __repr__(self) -> str:
        minutes = sum(len(song.contour) for song in self.songs.values()) * STEP_S / 60
        return f"<Index of {len(self.songs)} songs, {minutes:.0f} min>"

    def add(self, name: str, contour: Contour, made_of: str = "") -> None:
        """Take a song in, in place of what has that `name` or is `made_of` the same."""
        same = [old for old, song in self.songs.items() if made_of and song.made_of == made_of]
        for old in same:
            del self.songs[old]
        self.songs[name] = Song(contour, made_of)

    def search(self, query: Contour, top: int = 10) -> list[Match]:
        """The songs that are most like a query, best first, at most `top` of them, each once.

        Of a query of more than 15 s, the 15 s with the most melody are looked at.

        Raises
        ------
        BadInput : if less than 3 s of the query have a melody.
        """
        names = list(self.songs)
        places = search([song.contour for song in self.songs.values()], query)
        return [Match(names[place.song], *place[1:]) for place in places[:top]]

    def save(self, path: Name) -> None:
        """Write an index file, all or nothing, in place of one that is there.

        Raises
        ------
        Unavailable : the disk is full or cannot be written to.
        """
        disk.write(Path(path), self.content())

    def content(self) -> bytes:
        """What a file of the index holds."""
        songs = self.songs.values()
        header = {"format": FORMAT, "songs": list(self.songs), "made_of": [song.made_of for song in songs]}
        lengths = np.array([len(song.contour) for song in songs], np.int64)
        contours = np.concatenate([np.zeros(0, np.uint8), *(song.contour for song in songs)])
        content = io.BytesIO()
        np.savez(content, header=json.dumps(header), lengths=lengths, contours=contours)
        return content.getvalue()


def load(path: Name) -> Index:
    """The index in a file that `Index.save` wrote.

    Raises
    ------
    BadInput : for what is not there, no index, of another format, or broken off.
    Unavailable : for a file that cannot be read.
    """
    content = disk.read(Path(path))
    if content is None:
        raise BadInput(f"there is no file {os.fspath(path)}: make it with rtsep hum add.")
    return index_of(content, path)


def index_of(content: bytes, path: Name) -> Index:
    """The index that is the `content` of the file `path`; errors of `load`."""
    name = os.fspath(path)
    if not content.startswith(b"PK"):
        raise BadInput(f"{name} is no index of songs: rtsep hum add makes them.")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            header = json.loads(archive["header"].item())
            version = header["format"]
            if version == FORMAT:
                contours = np.split(archive["contours"], np.cumsum(archive["lengths"]))[:-1]
                songs = map(Song, contours, header["made_of"])
                return Index(dict(zip(header["songs"], songs, strict=True)))
    except Exception as error:  # of many kinds, some of them only in damaged files
        raise BadInput(f"{name} is damaged, or no index of songs: make it afresh with rtsep hum add.") from error
    raise BadInput(f"{name} has format {version}, and this rtsep reads format {FORMAT}: make it afresh.")


def add_files(
    path: Name,
    sources: Sequence[Name],
    *,
    jobs: int = 1,
    force: bool = False,
    report: Callable[[Report], object] | None = None,
) -> list[Report]:
    """Follow the melodies of sound files and keep their contours in the index file `path`, which is made if need be.

    A file is known by its content: one that has been renamed only gets its new name, and one that has changed takes its
    own place. An interrupt loses only the files that were being worked on.

    Parameters
    ----------
    sources : paths; a folder stands for the sound files in it
    jobs : files followed at a time, each in a thread
    force : follow those too that are known
    report : is told of each file when it is done

    Returns
    -------
    a report per file, in their order; of those that were known, `kept` is true

    Raises
    ------
    BadInput : if `path` is there and no index, or for jobs below 1.
    Unavailable : if the index cannot be read or written.
    """
    path = Path(path)
    if jobs < 1:
        raise BadInput(f"{jobs} jobs: there must be at least 1.")
    before = disk.read(path)
    index = Index() if before is None else index_of(before, path)
    known = {song.made_of: song.contour for song in index.songs.values() if not force}
    stop = Event()
    followed: dict[str, Song] = {}
    saved = time.monotonic()

    def work(source: str, _: Outputs) -> Report:
        try:
            with Reader(source) as reader:
                made_of = _fingerprint(source)
                kept = made_of in known
                followed[source] = Song(known[made_of] if kept else _followed(reader, stop), made_of)
                return Report(source, (), (reader.warning,) if reader.warning else (), None, kept)
        except (BadInput, Unavailable) as error:
            return Report(source, (), (), error)
        except OSError as error:  # a disk or a network that fails amid reading
            return Report(source, (), (), Unavailable(f"cannot read {source}: {error.strerror or error}."))

    def save() -> None:
        new = {os.path.abspath(source): followed.pop(source) for source in list(followed)}

        def with_new(content: bytes | None) -> bytes:
            whole = Index() if content is None else index_of(content, path)
            for name, song in new.items():
                whole.add(name, *song)
            return whole.content()

        disk.update(path, with_new)

    def done(each: Report) -> None:
        nonlocal saved
        if report:
            report(each)
        if time.monotonic() - saved > _EVERY_S:
            save()
            saved = time.monotonic()

    plan: dict[str, Outputs] = {file: {} for source in sources for file in sound_files(os.fspath(source))}
    try:
        with ThreadPoolExecutor(jobs) if jobs > 1 else Here() as pool:
            return spread(pool, work, plan, jobs, done, stop.set)
    finally:
        if followed:
            save()


def _fingerprint(source: Name) -> str:
    with open(source, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _followed(reader: Reader, stop: Event) -> Contour:
    """The contour of a file that is read block by block."""
    engine = engine_of(Settings("quality"), None)
    engine.prepare(sample_rate=reader.sample_rate, channels=reader.channels)
    track: list[Sound] = []
    samples = 0
    for parts in render(engine, reader.blocks(), track):
        if stop.is_set():
            raise CancelledError
        samples += len(parts["mix"])
    return contour_of(melody_of(engine, track, samples / reader.sample_rate))
