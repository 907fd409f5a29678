"""How well a singer follows the song: the pitch of both compared, a score, and whether the guide voice is needed.

The rule. Each moment at which the singer sounds is compared with the pitch that the song has at that moment, in any
octave. Early or late by up to 0.12 s is not wrong: where the singer is more than 50 cents from how far off the last
seconds were, the note before or after may be meant, and of the song's pitches within 0.12 s that counts which fits that
best. (The nearest one would be too kind: whoever is sharp would be compared with whatever the song has above.) What
counts at a moment of the song is the median of these errors over 0.2 s, about one cycle of a vibrato, which is thereby
judged by its center, where its pitch is heard (Shonle and Horan, "The pitch of vibrato tones", J. Acoust. Soc. Am.,
1980); and a consonant between two vowels is no silence. Full marks are given within 25 cents, none beyond 100, and
linearly less in between; none for silence. The score is the mean of the marks over the time in which the song has a
lead, in percent: a quarter tone off all the time scores 67, a random melody about 13. Judgements come 0.22 s after the
sound.

What is to be mended is told for the whole: by how much the singer is late is where song and singer differ most
steadily, and how sharp, the median of what they then differ by.

Measured on six songs with made singers who follow the true lead 0, 15, 30, 60 or 100 cents sharp: they are told +1,
+16, +31, +60 and +101 cents and score 85, 85, 79, 47 and 6, or 99, 99, 93, 54 and 2 where the song's pitch is given
and not heard in it. Who is 0.1, 0.2 or 0.3 s late is told just that, and scores 84, 74 and 59.
"""

import math
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np

_TOLERANCE_S = 0.12  # how early or late a singer may be
_CENTER_S = 0.1  # either side of a moment, for the median
_SAME_CENTS = 50.0  # farther from how the singer has been of late, another note may be meant
_OF_LATE, _FEW = 100, 10  # moments of singing: two seconds, and what tells nothing yet
_LATEST_S, _STEP_S = 0.5, 0.02  # of what is told of early and late
_STEADIER = 0.9  # than without a shift, or there is none
_TOLD_LATE_S = 0.05
_FULL_CENTS, _NONE_CENTS = 25.0, 100.0
_LEAST_S = 1.0  # of lead, before there is a score
_SURE_S = 0.2  # sung on pitch, and the guide may rest
_LOST_S = 0.3  # off pitch, and it returns: half a second after the sound, for judgements are late
_JUMP_S = 0.5  # longer between two moments, or backwards: somebody moved in the song
_LEAP = 1.0  # semitones between two moments: another note begins, for no voice slides so fast
_NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_PAGE_S, _MOST_PAGES = 20, 4
_WIDE = 26  # semitones, in which not every white key finds room for its name


def note_of(f0_hz: float) -> float:
    """The pitch in semitones, 69 for 440 Hz as in MIDI; NaN for 0 Hz, which is no pitch."""
    return 69 + 12 * math.log2(f0_hz / 440) if f0_hz > 0 else math.nan


def note_name(f0_hz: float) -> tuple[str, float]:
    """The nearest note and how far above it the pitch lies, -50 to 50 cents: ("A4", 0.0) for 440; ("", 0.0) for 0."""
    if not f0_hz > 0:
        return "", 0.0
    note = note_of(f0_hz)
    return name_of(round(note)), 100 * (note - round(note))


def name_of(note: int) -> str:
    """The name of a semitone: "A4" for 69."""
    return f"{_NOTES[note % 12]}{note // 12 - 1}"


def notes_beside(song_hz: Sequence[float], singer_hz: Sequence[float]) -> tuple[list[float], list[float]]:
    """Both pitches in semitones for a picture, NaN for none, the singer's in the octave that is nearest to the song.

    Both are heard 50 times a second; as the singer may be early or late, the song near each moment counts.
    """
    reach = round(_TOLERANCE_S * 50)
    near = [f0 for f0 in song_hz if f0 > 0][:1]
    singer = []
    for i, f0 in enumerate(singer_hz):
        near = [song for song in song_hz[max(i - reach, 0) : i + reach + 1] if song > 0] or near[-1:]
        if f0 > 0 and near:
            nearest = min(near, key=lambda song: abs(cents_between(f0, song)))
            singer.append(note_of(nearest) + cents_between(f0, nearest) / 100)
        else:
            singer.append(note_of(f0))
    return [note_of(f0) for f0 in song_hz], singer


def cents_between(f0_hz: float, other_hz: float) -> float:
    """How far `f0_hz` lies above `other_hz` in the octave that brings them nearest: -600 to 600 cents."""
    return (1200 * math.log2(f0_hz / other_hz) + 600) % 1200 - 600


class Singing:
    """Listens to two pitches and judges one by the other.

    Parameters
    ----------
    within_cents : at most so far from the song is a hit, and on pitch

    Attributes
    ----------
    times, song_hz, singer_hz : all that was heard
    errors : of each moment judged so far the singer's distance from the song in cents, above it positive; NaN where
        the song has no lead or the singer is silent
    on_pitch : whether the singer has been on pitch for a while; stays while the song has no lead
    """

    def __init__(self, within_cents: float = 50.0) -> None:
        self.within_cents = within_cents
        self.times: list[float] = []
        self.song_hz: list[float] = []
        self.singer_hz: list[float] = []
        self.errors: list[float] = []
        self.on_pitch = False
        self._distances: list[float] = []  # of each moment: the singer from the pitch of the song that is meant
        self._lately: deque[float] = deque(maxlen=_OF_LATE)  # the singer from the song at the same moment
        self._starts = [0]  # of all that was heard without a jump
        self._lead_s = self._marks_s = self._hit_s = self._silent_s = 0.0
        self._sure_s = self._lost_s = 0.0

    def hear(self, time_s: float, song_hz: float, singer_hz: float) -> None:
        """Take the pitches at a time, both in Hz, 0 for none; the song's is that which the singer should sing.

        About 50 times a second, at ascending times; after a jump (back, or over half a second) nothing before it
        is compared with anything after it.
        """
        if self.times and not 0 < time_s - self.times[-1] < _JUMP_S:
            self._judge(math.inf)
            self._starts.append(len(self.times))
        self.times.append(time_s)
        self.song_hz.append(song_hz)
        self.singer_hz.append(singer_hz)
        self._judge(time_s)

    def _judge(self, now_s: float) -> None:
        """Judge the moments whose surroundings have been heard by `now_s`."""
        while (i := len(self._distances)) < len(self.times) and self.times[i] + _TOLERANCE_S <= now_s:
            self._distances.append(self._distance(i))
        while (i := len(self.errors)) < len(self.times) and self.times[i] + _TOLERANCE_S + _CENTER_S <= now_s:
            around = sorted(error for error in self._distances[self._around(i, _CENTER_S)] if error == error)
            # One of them, for the mean of two may be right where both are half an octave off.
            error = around[len(around) // 2] if around and self.song_hz[i] > 0 else math.nan
            self.errors.append(error)
            if self.song_hz[i] > 0:
                lasted = self.times[i] - self.times[i - 1] if i > self._starts[-1] else 0.0
                self._count(lasted, error, self.singer_hz[i] > 0)

    def _distance(self, i: int) -> float:
        """How far the singer is at the moment `i` from the pitch of the song that is meant; NaN without one."""
        song, singer = self.song_hz[i], self.singer_hz[i]
        near = [hertz for hertz in self.song_hz[self._around(i, _TOLERANCE_S)] if hertz > 0]
        if not (singer > 0 and near):
            return math.nan
        usual = median(self._lately) if len(self._lately) >= _FEW else 0.0
        usual = min(max(usual, -_NONE_CENTS), _NONE_CENTS)
        if song > 0:
            now = cents_between(singer, song)
            self._lately.append(now)
            if abs(now - usual) <= _SAME_CENTS:
                return now
        return min((cents_between(singer, hertz) for hertz in near), key=lambda distance: abs(distance - usual))

    def _around(self, i: int, reach_s: float) -> slice:
        """The moments within `reach_s` of the moment `i`."""
        low, high = self.times[i] - reach_s, self.times[i] + reach_s
        return slice(
            bisect_left(self.times, low, self._starts[-1]),
            bisect_right(self.times, high, self._starts[-1]),
        )

    def _count(self, seconds: float, error: float, sounds: bool) -> None:
        """Add `seconds` of lead that were sung with `error` (cents, NaN for silence)."""
        hit = abs(error) <= self.within_cents
        self._lead_s += seconds
        self._hit_s += seconds * hit
        self._silent_s += seconds * math.isnan(error)
        if not math.isnan(error):
            marks = (_NONE_CENTS - abs(error)) / (_NONE_CENTS - _FULL_CENTS)
            self._marks_s += seconds * min(max(marks, 0.0), 1.0)
        self._sure_s = self._sure_s + seconds * sounds if hit else 0.0
        self._lost_s = 0.0 if hit else self._lost_s + seconds
        if self._sure_s >= _SURE_S:
            self.on_pitch = True
        if self._lost_s >= _LOST_S:
            self.on_pitch = False

    @property
    def score(self) -> float | None:
        """0 to 100; None before a second of lead has been judged."""
        return 100 * self._marks_s / self._lead_s if self._lead_s >= _LEAST_S else None

    @property
    def hit_rate(self) -> float:
        """Part of the lead that was sung within `within_cents`, 0 to 1."""
        return self._hit_s / self._lead_s if self._lead_s else 0.0

    @property
    def median_cents(self) -> float:
        """Median size of the errors where the singer sounds; NaN before there is one."""
        errors = np.abs([error for error in self.errors if error == error])
        return float(np.median(errors)) if len(errors) else math.nan

    @property
    def bias_cents(self) -> float:
        """How sharp the singer is on the whole, once early or late is taken off; NaN before something was sung."""
        return self._on_the_whole()[1]

    @property
    def late_s(self) -> float:
        """By how much the singer is late on the whole, early negative; 0 if that cannot be told."""
        return self._on_the_whole()[0]

    def _on_the_whole(self) -> tuple[float, float]:
        """`late_s` and `bias_cents`."""
        heard = [self._differences(0.0)]
        if len(heard[0]) * _STEP_S >= _LEAST_S:
            shifts = _STEP_S * np.arange(-round(_LATEST_S / _STEP_S), round(_LATEST_S / _STEP_S) + 1)
            heard = [self._differences(float(shift)) for shift in shifts]
            spreads = np.array([_spread(each) for each in heard])
            zero, best = len(shifts) // 2, int(spreads.argmin())
            best = best if spreads[best] < _STEADIER * spreads[zero] else zero
            return float(shifts[best]), _center(heard[best])
        return 0.0, _center(heard[0])

    def _differences(self, late_s: float) -> np.ndarray:
        """How far above the song the singer is, `late_s` later, at all moments at which both sound, in cents."""
        found = [np.zeros(0)]
        for start, end in pairwise([*self._starts, len(self.times)]):
            times, song, singer = (np.array(part[start:end]) for part in (self.times, self.song_hz, self.singer_hz))
            if len(times):
                later = np.rint(np.interp(times + late_s, times, np.arange(len(times)), -1, -1)).astype(int)
                both = (later >= 0) & (song > 0) & (singer[later] > 0)
                found.append((1200 * np.log2(singer[later[both]] / song[both]) + 600) % 1200 - 600)
        return np.concatenate(found)

    def summary(self) -> str:
        """The figures, in a few lines."""
        if self.score is None:
            return f"score    none: less than {_LEAST_S:g} s of the song's lead was heard"
        lines = [
            f"score    {self.score:.0f} of 100: full marks within {_FULL_CENTS:g} cents of the song, "
            f"none beyond {_NONE_CENTS:g}, in any octave",
            f"lead     {self._lead_s:.1f} s, of which {self.hit_rate * 100:.0f} % within {self.within_cents:g} cents "
            f"and {self._silent_s / self._lead_s * 100:.0f} % silent",
        ]
        late_s, bias_cents = self._on_the_whole()
        if not math.isnan(bias_cents):
            lines.append(
                f"pitch    median error {self.median_cents:.0f} cents, on the whole {bias_cents:+.0f} cents "
                "(+ sharp, - flat)"
            )
        if abs(late_s) >= _TOLD_LATE_S:
            lines.append(f"time     on the whole {abs(late_s):.2f} s {'late' if late_s > 0 else 'early'}")
        return "\n".join(lines)

    def picture(self, path: str | Path) -> None:
        """Draw both pitches over time, the singer's in the octave nearest to the song; needs matplotlib."""
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        times, song, singer = (np.array(part) for part in (self.times, *notes_beside(self.song_hz, self.singer_hz)))
        errors = np.full(len(times), np.nan)
        errors[: len(self.errors)] = self.errors
        hit, lead = np.abs(errors) <= self.within_cents, ~np.isnan(song)
        marks = {  # of Okabe and Ito's colors, and told apart by their shapes as well
            "singer, a hit": (hit, "#009e73", "o", 3.0),
            "singer, a miss": (~hit & lead, "#d55e00", "x", 4.0),
            "singer, no lead": (~lead, "#999999", ".", 2.0),
        }
        breaks = np.flatnonzero((np.abs(np.diff(times)) >= _JUMP_S) | (np.abs(np.diff(song)) >= _LEAP)) + 1
        line = np.insert(times, breaks, np.nan), np.insert(song, breaks, np.nan)
        first, last = (times.min(), times.max()) if len(times) else (0.0, 1.0)
        notes = np.concatenate([song, singer])
        notes = notes[~np.isnan(notes)] if lead.any() else np.array([69.0])
        low, high = math.floor(notes.min()) - 1, math.ceil(notes.max()) + 1
        pages = min(max(math.ceil((last - first) / _PAGE_S), 1), _MOST_PAGES)
        keys = (0, 4, 7) if high - low > _WIDE else (0, 2, 4, 5, 7, 9, 11)  # C, E, G, or all white keys
        named = [note for note in range(low, high + 1) if note % 12 in keys]
        figure, axes = pyplot.subplots(pages, 1, figsize=(11, 7.5), sharey=True, layout="constrained", squeeze=False)
        for page, axis in enumerate(axes[:, 0]):
            axis.plot(*line, color="black", linewidth=1.5, label="song")
            for label, (where, color, marker, size) in marks.items():
                shown = where & ~np.isnan(singer)
                axis.plot(times[shown], singer[shown], marker, color=color, markersize=size, label=label)
            axis.set(xlim=first + (last - first) * np.array([page, page + 1]) / pages, ylim=(low, high))
            axis.set_yticks(named, [name_of(note) for note in named], fontsize=7)
            axis.grid(axis="y", linewidth=0.4)
            axis.xaxis.set_major_formatter(lambda time_s, _: f"{int(time_s // 60)}:{time_s % 60:02.0f}")
        axes[0, 0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False)
        axes[-1, 0].set_xlabel("time in minutes and seconds")
        figure.savefig(path, dpi=90)
        pyplot.close(figure)


def _spread(differences: np.ndarray) -> float:
    """How unsteady `differences` in cents are: the mean distance from their median, those beyond 100 as 100."""
    if not len(differences):
        return _NONE_CENTS
    away = np.abs((differences - np.median(differences) + 600) % 1200 - 600)
    return float(np.minimum(away, _NONE_CENTS).mean())


def _center(differences: np.ndarray) -> float:
    """The median of `differences` in cents without those that are of another note."""
    if not len(differences):
        return math.nan
    middle = np.median(differences)
    return float(np.median(differences[np.abs(differences - middle) <= _NONE_CENTS]))
