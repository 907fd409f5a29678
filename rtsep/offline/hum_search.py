"""Where in one of many songs a melody is most like that of a query: all is about contours, none about sound.

Octaves do not count, nor does the key, nor, within bounds, the tempo. Two steps find a place, as in Jang and Lee, "A
general framework of progressive filtering and its application to query by singing/humming", IEEE Transactions on Audio,
Speech, and Language Processing 16(2), 2008:

First, four intervals from a moment to later ones are a word of a small dictionary, whatever the key. Where words of the
query stand in a song in the order and at the distances that they have in the query, stretched by one of several
factors, they vote for one beginning, rare words the more: the histogram of offsets of Wang, "An industrial-strength
audio search algorithm", ISMIR 2003. Second, the places with the most votes are aligned with the query by subsequence
dynamic time warping, whose steps keep the tempo between half and twice that of the stretched query (Müller,
"Fundamentals of Music Processing", Springer 2015, ch. 3.2 and 7.2).
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput

Contour = NDArray[np.uint8]
"""(frames,) every STEP_S: 0 for no melody, else 1 plus the quarters of a semitone above the lowest pitch."""

STEP_S = 0.1
"""Seconds from one value of a contour to the next."""

PER_SEMITONE = 4

_OCTAVE = 12 * PER_SEMITONE
_GAP = 255  # where pitch classes stand: no melody
_LEAST, _MOST = 30, 150  # frames with a melody that a query needs, and frames of it that are looked at

# Chosen on hums of recordings (benchmarks/hum.py), as tracked in their mixes. It matters little: whether costs grow as
# the distance, its square or a Gaussian, and up to 1.5 or 2 semitones, moves the mean reciprocal rank by 0.02.
_FAR = 2.0  # semitones, aside from octaves, from which on a frame is as wrong as can be
_MISSING = 0.5  # cost of a frame of the query where the song has no melody; the worst is 1
_WARP = 0.16  # cost of each step that is not straight
_LUCK = 0.02  # a song that is e times as long has as many more places to be like a query by chance

_STRETCHES = 2 ** (np.arange(-3, 4) / 8)  # seconds of the song for one of the query
_APART = (6, 12, 18, 24)  # frames from the first to the other pitches of a word
_WORD_STEP = 3  # frames of a song from word to word
_DICTIONARY = 12 ** len(_APART)  # words
_NEAR = 0.85  # semitones by which an interval of a song may differ from that of the query
_HELD = 15  # frames for which a pitch counts on in a gap
_BIN = 10  # frames of a song whose votes are for one place
_LEAD = -(-int(_MOST * _STRETCHES[-1]) // _BIN) * _BIN  # before a song, as long as a query can be
_PLACES, _FINE = 400, 100  # that are aligned, and that are so a little higher and lower too
_AROUND = 20  # frames before and after where the votes say that the query lies
_HARMONICS = ((1, 1.0), (2, 1.0), (3, 0.6))  # of pitch classes, whose sum is large for equal ones, and their weights


class Place(NamedTuple):
    """The place of a song that is most like a query."""

    song: int
    start_s: float  # in the song
    end_s: float
    semitones: float  # from -6 to 6: how far the query is above the song, octaves aside
    score: float  # about 1 for equal melodies


def search(contours: Sequence[Contour], query: Contour) -> list[Place]:
    """The best place of each of the songs that are most like a query, best first.

    Of a query of more than 15 s, the 15 s with the most melody are looked at.

    Raises
    ------
    BadInput : if less than 3 s of the query have a melody.
    """
    query = _essence(query)
    if not contours:
        return []
    flat = _Flat(contours)
    found: dict[int, Place] = {}
    for place in sorted(_aligned(flat, query, *_places(flat, query)), key=lambda place: -place.score):
        found.setdefault(place.song, place)
    return list(found.values())


def subsequence_dtw(costs: Iterable[NDArray[np.float32]]) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[Any]]:
    """Align a query with any part of each of several songs: the least sum of costs, and the first and last frame there.

    Of a path each step goes on by one frame of the query and one of the song; or, for _WARP more, by one and two, or by
    two and one. Each frame of the query counts once, so that paths of all tempos compare.

    Parameters
    ----------
    costs : for each frame of the query (songs, frames)

    Returns
    -------
    sums, first and last frames, each (songs,)
    """
    rows = iter(costs)
    before = next(rows)
    total = before
    first = np.broadcast_to(np.arange(total.shape[1]), total.shape)
    older, older_first = np.full_like(total, np.inf), first
    for cost in rows:
        best, begun = np.full_like(total, np.inf), np.zeros_like(first)
        best[:, 1:], begun[:, 1:] = total[:, :-1], first[:, :-1]
        faster = total[:, :-2] + _WARP, first[:, :-2], slice(2, None)
        slower = older[:, :-1] + before[:, 1:] + _WARP, older_first[:, :-1], slice(1, None)
        for other, other_first, there in (faster, slower):
            better = other < best[:, there]
            np.copyto(best[:, there], other, where=better)
            np.copyto(begun[:, there], other_first, where=better)
        older, older_first, before = total, first, cost
        total, first = best + cost, begun
    last = total.argmin(1)
    each = np.arange(len(last))
    return total[each, last], first[each, last], last


class _Flat:
    """All contours in one array, each behind a lead of silence, where a query may begin too."""

    def __init__(self, contours: Sequence[Contour]) -> None:
        self.lengths = np.array([len(contour) for contour in contours])
        rooms = -(-(self.lengths + _LEAD) // _BIN) * _BIN
        self.starts = np.cumsum(rooms) - rooms  # of the leads
        self.codes = np.zeros(rooms.sum(), np.uint8)
        for start, contour in zip((self.starts + _LEAD).tolist(), contours, strict=True):
            self.codes[start : start + len(contour)] = contour


def _essence(query: Contour) -> Contour:
    """The query, or the _MOST frames of it with the most melody, from the first pitch to the last."""
    voiced = np.flatnonzero(query)
    if len(voiced) < _LEAST:
        raise BadInput(
            f"{len(voiced) * STEP_S:.1f} s of melody are heard in the query: hum or whistle at least "
            f"{_LEAST * STEP_S:g} s, and nothing beside it."
        )
    if len(query) > _MOST:
        counts = np.cumsum(np.append(0, query > 0))
        start = int(np.argmax(counts[_MOST:] - counts[:-_MOST]))
        query = query[start : start + _MOST]
        voiced = np.flatnonzero(query)
    return query[voiced[0] : voiced[-1] + 1]


_CLASSES = np.append(_GAP, np.arange(255) % _OCTAVE).astype(np.uint8)
"""The pitch class, 0 to 47, that a value of a contour is; _GAP where there is none."""


def _transposed(classes: NDArray[np.uint8], shift: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Pitch classes (places, frames), each row moved up by its `shift` in quarters of a semitone."""
    moved = (classes + shift[:, np.newaxis]) % _OCTAVE
    return np.where(classes == _GAP, _GAP, moved).astype(np.uint8)


def _held(contour: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A contour every _WORD_STEP frames, whose pitches hold on through short gaps."""
    contour = contour[::_WORD_STEP].copy()
    for _ in range(_HELD // _WORD_STEP):
        gaps = np.flatnonzero((contour[1:] == 0) & (contour[:-1] > 0)) + 1
        contour[gaps] = contour[gaps - 1]
    return contour


def _words(flat: _Flat) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Words of all songs, at each _WORD_STEP frames where no pitch is missing, and the frames at which they stand."""
    held = _held(flat.codes)
    classes = _CLASSES[held]
    count = len(classes)
    words, whole = np.zeros(count, np.uint16), classes != _GAP
    for place, apart in enumerate(_APART):
        later = np.full(count, _GAP, np.uint8)
        later[: -(apart // _WORD_STEP)] = classes[apart // _WORD_STEP :]
        semitones = (later + np.uint8(_OCTAVE + PER_SEMITONE // 2) - classes) // PER_SEMITONE % 12
        words += semitones * np.uint16(12**place)
        whole &= later != _GAP
    there = np.flatnonzero(whole)
    return words[there].astype(np.int64), there * _WORD_STEP  # as NumPy has indices


def _words_of_query(query: Contour, stretch: float) -> NDArray[np.int16]:
    """The frame of the query at which each word stands, or one near to it, as a song with this stretch has them; -1."""
    frames = np.full(_DICTIONARY, -1, np.int16)
    held = query.copy()
    for gap in np.flatnonzero(held == 0):  # the first has a pitch
        held[gap] = held[gap - 1]
    places = np.rint(np.array((0, *_APART)) / stretch).astype(int)
    for frame in range(len(held) - int(places[-1])):
        first, *others = held[frame + places].tolist()
        choices = []
        for place, other in enumerate(others):
            interval = (other - first) / PER_SEMITONE
            near = range(int(np.ceil(interval - _NEAR)), int(np.floor(interval + _NEAR)) + 1)
            choices.append([semitones % 12 * 12**place for semitones in near])
        for digits in product(*choices):
            frames[sum(digits)] = frame
    return frames


def _places(flat: _Flat, query: Contour) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Where in `flat.codes` the query may begin, and with which stretches, by the votes of its words."""
    words, at = _words(flat)
    rarity = np.log((len(words) + 1) / (np.bincount(words, minlength=_DICTIONARY) + 1)).astype(np.float32)
    most = np.zeros(len(flat.codes) // _BIN)
    stretch_of = np.full(len(most), len(_STRETCHES) // 2)
    for number, stretch in enumerate(_STRETCHES):
        frames = _words_of_query(query, stretch)[words]
        voting = np.flatnonzero(frames >= 0)
        begins = at[voting] - np.rint(frames[voting] * stretch).astype(np.int64)
        votes = np.bincount(begins // _BIN, rarity[words[voting]], len(most))
        votes[:-1] += votes[1:]
        better = votes > most
        most[better], stretch_of[better] = votes[better], number
    count = min(_PLACES, len(most))
    best = np.argpartition(-most, count - 1)[:count]
    return best * _BIN + _BIN, _STRETCHES[stretch_of[best]]


def _aligned(flat: _Flat, query: Contour, begins: NDArray[np.int64], stretches: NDArray[np.float64]) -> Iterator[Place]:
    """The places that begin about there in `flat.codes`, each aligned with the query."""
    song = np.searchsorted(flat.starts, begins - _BIN, "right") - 1
    along = np.arange(-_AROUND, len(query) + _AROUND)
    frames = np.rint(begins[:, np.newaxis] + along * stretches[:, np.newaxis]).astype(np.int64)
    low = (flat.starts[song] + _LEAD)[:, np.newaxis]
    inside = (frames >= low) & (frames < low + flat.lengths[song][:, np.newaxis])
    classes = _CLASSES[np.where(inside, flat.codes[np.where(inside, frames, 0)], 0)]
    shift = _shift(classes[:, _AROUND:-_AROUND], query)
    best = np.full(len(begins), np.inf)
    found = np.zeros((len(begins), 3), np.int64)  # first and last column, and by how much it was transposed
    for more in (0, -PER_SEMITONE // 2, PER_SEMITONE // 2):
        chosen = np.argsort(best)[: _FINE if more else None]
        moved = shift[chosen] + more
        sums, first, last = subsequence_dtw(_costs(_transposed(classes[chosen], moved), query))
        costs = sums / np.count_nonzero(query)
        better = costs < best[chosen]
        best[chosen[better]] = costs[better]
        found[chosen[better]] = np.stack([first, last, moved], 1)[better]
    each = np.arange(len(begins))
    ends = (frames[each, column] - low[:, 0] for column in found[:, :2].T)
    start, end = (np.clip(frame, 0, flat.lengths[song]) * STEP_S for frame in ends)
    semitones = ((found[:, 2] + _OCTAVE / 2) % _OCTAVE - _OCTAVE / 2) / PER_SEMITONE
    scores = 1 - best - _LUCK * np.log(np.maximum(flat.lengths[song] * STEP_S / 60, 0.1))
    yield from map(Place, *(column.tolist() for column in (song, start, end, semitones, scores)))


def _shift(classes: NDArray[np.uint8], query: Contour) -> NDArray[np.int64]:
    """By how many quarters of a semitone each of `classes` (places, frames of the query) is to be moved up."""
    own = _CLASSES[query]
    shifts = np.arange(_OCTAVE)
    likeness = np.zeros((len(classes), _OCTAVE), np.float32)
    for harmonic, weight in _HARMONICS:
        turns = np.exp(2j * np.pi * harmonic * np.arange(256) / _OCTAVE).astype(np.complex64)
        turns[_GAP] = 0
        apart = (turns[own] * turns[classes].conj()).sum(1)
        likeness += weight * (apart[:, np.newaxis] * turns[shifts].conj()).real
    shift: NDArray[np.int64] = likeness.argmax(1)
    return shift


def _costs(classes: NDArray[np.uint8], query: Contour) -> Iterator[NDArray[np.float32]]:
    """For each frame of the query, what it costs to take each of `classes` (places, frames) for it, 0 to 1."""
    apart = np.arange(_OCTAVE)
    table = np.full(256, _MISSING, np.float32)
    table[:_OCTAVE] = np.minimum(np.minimum(apart, _OCTAVE - apart) / (_FAR * PER_SEMITONE), 1)
    nothing = np.zeros(classes.shape, np.float32)
    for pitch in query:
        if pitch:
            turned = table.copy()
            turned[:_OCTAVE] = np.roll(table[:_OCTAVE], (int(pitch) - 1) % _OCTAVE)
            yield turned[classes]
        else:
            yield nothing
