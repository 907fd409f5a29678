"""Learning the templates of pitches: from pieces of an instrument and their scores, or by rule.

Each pitch from A0 to C8 has one harmonic template. Those that the scores hold are refined on the recordings by the
updates that separate by a score (`informed`): what is zero by rule stays zero, and nothing sounds but around its notes.
Few pieces hold a pitch alone for long, so that its template would take what always sounds beside it; a prior holds it
near the rule the more, the less it was heard. What no score holds stays at the rule.
"""

import os
from collections.abc import Sequence

import numpy as np

from ..errors import BadInput
from ..settings import PITCHED, Settings, Sizes
from ..templates import PIANO, Spectra, Templates, harmonic_templates
from .dictionary import Example, loaded
from .files import Name
from .score import Note, note_name, notes_of, pitch_of
from .score_nmf import refined_templates

# Measured in the mode balanced on 30 s of the two pieces of benchmarks/piano.py, on one piano; frame F by the
# threshold that is best for each. By rule: amplitudes that fall as 1/n 0.24 and 0.29, as 1/n^2 0.65 and 0.62. What
# follows is with hysteresis and a least duration of 50 ms. By rule 0.68 and 0.63; learned from the other piece, other
# microphones, without a prior 0.60 and 0.57, with it 0.67 and 0.62. Scored after the first 10 s: by rule 0.64 and
# 0.61, learned from them without a prior 0.64 and 0.68, with it 0.64 and 0.66. For pitches that no score holds, their
# nearest neighbors moved along log-frequency and mixed with the rule gain 0.01 and lose 0 in the first case, and lose
# 0.03 and 0 in the second. Templates of strokes change nothing. Splitting the harmony in place of the mix loses 0.08
# and 0.32. All that with the windows of the mode: twice their length gains 0.10 and 0.03, by the threshold that is best
# for the other piece; four times 0.12 and 0.06.
_FALL = 2.0
_PRIOR = 0.1

_LONGEST_S = 600.0  # of all recordings: a spectrogram of 240 MB
_SWEEPS = 2  # of the solver: one is too few for 88 templates that overlap


def learn_pitches(
    recordings: Sequence[Example],
    scores: Sequence[Sequence[Note] | Name],
    *,
    name: str = "piano",
    split_at: int | str | None = None,
    sample_rate: float | None = None,
    settings: Settings | None = None,
    tolerance_s: float = 0.1,
    splits: str = "mix",
    source: str = "",
) -> Templates:
    """Templates of the pitches A0 to C8, learned from pieces and their scores; the same on every run.

    Parameters
    ----------
    recordings : of 1 to 8 channels, 10 minutes in all
    scores : the notes of each, or the path of a score, aligned with the recording already
    name : of the part
    split_at : the lowest pitch of the upper of two parts, NAME-lower and NAME-upper, as MIDI number or like "C4"; None
        for one part
    sample_rate : of the templates, and of arrays, Hz; if left out, that of the first file
    settings : of the engine that will use them
    tolerance_s : how much earlier or later than in the scores notes may begin and end, seconds, 0 to 1
    splits, source : as in `Templates`

    Raises
    ------
    BadInput : for recordings that are silent, no sound, too long or not as many as there are scores, a score that
        cannot be that of its recording, pitches that no piano has, and values out of range.
    """
    settings = settings or Settings()
    if len(recordings) != len(scores):
        raise BadInput(f"{len(recordings)} recordings and {len(scores)} scores: name one score for each, in order.")
    if not 0 <= tolerance_s <= 1:
        raise BadInput(f"tolerance_s is {tolerance_s}: it must lie between 0 and 1 s.")
    sounds, rate = loaded({name: recordings}, sample_rate)
    length_s = sum(map(len, sounds[name])) / rate
    if length_s > _LONGEST_S:
        raise BadInput(f"the recordings last {length_s:.0f} s: take at most {_LONGEST_S:.0f} s of them.")
    notes = [notes_of(score) if isinstance(score, str | os.PathLike) else score for score in scores]
    for note in (note for own in notes for note in own):
        if note.pitch not in PIANO:
            raise BadInput(f"a score holds {note_name(note.pitch)}: pitches are learned from A0 to C8.")
    sizes = _sizes(settings, rate)
    spectra = harmonic_templates(sizes, rate, fall=_FALL)
    pitches, learned = refined_templates(sounds[name], notes, sizes, rate, tolerance_s, fall=_FALL, prior=_PRIOR)
    spectra[pitches - PIANO.start] = learned
    return _templates(spectra, sizes, rate, name, split_at, splits, source)


def pitches_by_rule(
    sample_rate: float,
    *,
    name: str = "piano",
    split_at: int | str | None = None,
    settings: Settings | None = None,
    splits: str = "mix",
    source: str = "",
) -> Templates:
    """Templates of the pitches A0 to C8 by rule alone; parameters and errors of `learn_pitches`."""
    sizes = _sizes(settings or Settings(), sample_rate)
    spectra = harmonic_templates(sizes, sample_rate, fall=_FALL)
    return _templates(spectra, sizes, sample_rate, name, split_at, splits, source)


def _sizes(settings: Settings, sample_rate: float) -> Sizes:
    """Those of an engine that has templates with pitches."""
    sizes = settings.sizes(sample_rate)
    return sizes._replace(window_size=PITCHED * sizes.window_size)


def _templates(
    spectra: Spectra, sizes: Sizes, sample_rate: float, name: str, split_at: int | str | None, splits: str, source: str
) -> Templates:
    parts: tuple[str, ...] = (name,)
    part_of = np.zeros(len(PIANO), np.int64)
    if split_at is not None:
        split = pitch_of(split_at) if isinstance(split_at, str) else split_at
        if not PIANO.start < split < PIANO.stop:
            raise BadInput(f"split_at is {split_at!r}: choose a pitch above A0, up to C8.")
        parts = f"{name}-lower", f"{name}-upper"
        part_of = (np.array(PIANO) >= split).astype(np.int64)
    return Templates(
        parts=parts,
        spectra=spectra,
        part_of=part_of,
        sample_rate=sample_rate,
        window_size=sizes.window_size,
        synthesis_size=sizes.synthesis_size,
        splits=splits,
        sweeps=_SWEEPS,
        source=source,
        pitches=tuple(PIANO),
    )
