"""How well a singer follows the song: the pitch of both compared, a score, and whether the guide voice is needed.

The rule. Each moment at which the singer sounds is compared with the pitches that the song has within 0.12 s of it,
and the nearest in any octave counts: so early or late is not wrong. What counts at a moment of the song is the
median of these errors over 0.2 s, about one cycle of a vibrato, which is thereby judged by its center, where its
pitch is heard (Shonle and Horan, "The pitch of vibrato tones", J. Acoust. Soc. Am., 1980); and a consonant between
two vowels is no silence. Full marks are given within 25 cents, none beyond 100, and linearly less in between; none for
silence. The score is the mean of the marks over the time in which the song has a lead, in percent: a quarter tone off
all the time scores 67, a random melody about 15. Judgements come 0.22 s after the sound.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path

import numpy as np

_TOLERANCE_S = 0.12  # how early or late a singer may be
_CENTER_S = 0.1  # either side of a moment, for the median
_FULL_CENTS, _NONE_CENTS = 25.0, 100.0
_LEAST_S = 1.0  # of lead, before there is a score
_SURE_S = 0.2  # sung on pitch, and the guide may rest
_LOST_S = 0.3  # off pitch, and it returns: half a second after the sound, for judgements are late
_JUMP_S = 0.5  # longer between two moments, or backwards: somebody moved in the song
_NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_PAGE_S, _MOST_PAGES = 20, 4


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
        self._distances: list[float] = []  # of each moment: the singer from the nearest pitch of the song
        self._start = 0  # of what was heard without a jump
        self._lead_s = self._marks_s = self._hit_s = self._silent_s = 0.0
        self._sure_s = self._lost_s = 0.0

    def hear(self, time_s: float, song_hz: float, singer_hz: float) -> None:
        """Take the pitches at a time, both in Hz, 0 for none; the song's is that which the singer should sing.

        About 50 times a second, at ascending times; after a jump (back, or over half a second) nothing before it
        is compared with anything after it.
        """
        if self.times and not 0 < time_s - self.times[-1] < _JUMP_S:
            self._judge(math.inf)
            self._start = len(self.times)
        self.times.append(time_s)
        self.song_hz.append(song_hz)
        self.singer_hz.append(singer_hz)
        self._judge(time_s)

    def _judge(self, now_s: float) -> None:
        """Judge the moments whose surroundings have been heard by `now_s`."""
        while (i := len(self._distances)) < len(self.times) and self.times[i] + _TOLERANCE_S <= now_s:
            near = [song for song in self.song_hz[self._around(i, _TOLERANCE_S)] if song > 0]
            singer = self.singer_hz[i]
            distances = [cents_between(singer, song) for song in near] if singer > 0 else []
            self._distances.append(min(distances, key=abs, default=math.nan))
        while (i := len(self.errors)) < len(self.times) and self.times[i] + _TOLERANCE_S + _CENTER_S <= now_s:
            around = sorted(error for error in self._distances[self._around(i, _CENTER_S)] if error == error)
            # One of them, for the mean of two may be right where both are half an octave off.
            error = around[len(around) // 2] if around and self.song_hz[i] > 0 else math.nan
            self.errors.append(error)
            if self.song_hz[i] > 0:
                lasted = self.times[i] - self.times[i - 1] if i > self._start else 0.0
                self._count(lasted, error, self.singer_hz[i] > 0)

    def _around(self, i: int, reach_s: float) -> slice:
        """The moments within `reach_s` of the moment `i`."""
        low, high = self.times[i] - reach_s, self.times[i] + reach_s
        return slice(
            bisect_left(self.times, low, self._start),
            bisect_right(self.times, high, self._start),
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
        return self._median(np.abs(self.errors))

    @property
    def bias_cents(self) -> float:
        """Median of the errors, positive if the singer is sharp; NaN before there is one."""
        return self._median(np.array(self.errors))

    def _median(self, errors: np.ndarray) -> float:
        errors = errors[~np.isnan(errors)]
        return float(np.median(errors)) if len(errors) else math.nan

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
        if not math.isnan(self.bias_cents):
            lines.append(
                f"pitch    median error {self.median_cents:.0f} cents, on the whole {self.bias_cents:+.0f} cents "
                "(+ sharp, - flat)"
            )
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
        jumps = np.flatnonzero(np.abs(np.diff(times)) >= _JUMP_S) + 1
        line = np.insert(times, jumps, np.nan), np.insert(song, jumps, np.nan)
        first, last = (times.min(), times.max()) if len(times) else (0.0, 1.0)
        notes = np.concatenate([song, singer])
        notes = notes[~np.isnan(notes)] if lead.any() else np.array([69.0])
        low, high = math.floor(notes.min()) - 1, math.ceil(notes.max()) + 1
        pages = min(max(math.ceil((last - first) / _PAGE_S), 1), _MOST_PAGES)
        named = [note for note in range(low, high + 1) if note % 12 in (0, 4, 7)]  # C, E, G
        figure, axes = pyplot.subplots(pages, 1, figsize=(11, 7.5), sharey=True, layout="constrained", squeeze=False)
        for page, axis in enumerate(axes[:, 0]):
            axis.plot(*line, color="black", linewidth=1.5, label="song")
            for label, (where, color, marker, size) in marks.items():
                shown = where & ~np.isnan(singer)
                axis.plot(times[shown], singer[shown], marker, color=color, markersize=size, label=label)
            axis.set(xlim=first + (last - first) * np.array([page, page + 1]) / pages, ylim=(low, high))
            axis.set_yticks(named, [name_of(note) for note in named], fontsize=7)
            axis.grid(axis="y", linewidth=0.4)
        axes[0, 0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False)
        axes[-1, 0].set_xlabel("seconds")
        figure.savefig(path, dpi=90)
        pyplot.close(figure)
