"""Score-informed factorization: what each pitch of a score sounds like in a recording, and when how much of it.

Each pitch has two templates, one harmonic and one for the stroke that begins a note, and they may sound only around the
notes. Multiplicative updates learn templates and activations from the recording itself; what starts at zero stays
there, so that no note takes what belongs to another pitch or another time.

Ewert and Müller, "Using score-informed constraints for NMF-based source separation", ICASSP 2012; Müller,
"Fundamentals of Music Processing", 2015, section 8.3. The updates are those of Lee and Seung, "Algorithms for
non-negative matrix factorization", NIPS 2000, for the Kullback-Leibler divergence. As there, the score must be
aligned with the recording already. Beyond it, strokes and dying strings have constant times of their own, and only
what may sound in a frame is computed there: a minute of piano takes about two seconds.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ..dsp import windows
from ..errors import BadInput
from ..kernels import kernel
from ..settings import Sizes
from ..templates import harmonic_templates, onset_templates
from .files import Sound
from .score import Note

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]

OVERLAP = 4
"""Hops in a window."""

# Measured on hands of three pieces that FluidSynth played, mean and least gain of SI-SDR over the mixture's: 12.9 and
# 11.3 dB. No template for strokes gives 0.9 dB less, one through the whole note 0.9, no dying strings 0.1, windows of
# half the length 0.5; of twice the length 0.1 more. The ratio masks of the truth give 14.9.
_WINDOW_S = 0.093  # at 44.1 kHz: 4096 samples
_UPDATES = 20  # 40 give as much
_STROKE_S = 0.2  # how long after a note's beginning, and the tolerance, its stroke may sound
_DYING_S = 0.3  # how long after its end, and the tolerance, its string and the room may

_BETWEEN_S = 7.0  # recordings that are learned from: longer than the last notes of a score
_LONGER_S = 5.0  # that a score may be than its recording: the last string dies away
_FRAMES = 256  # transformed at a time
_TINY = np.float32(1e-12)  # beside a loudest magnitude of 1


class Plan(NamedTuple):
    """What may sound when: harmonic templates come first, then as many strokes of the same pitches."""

    pitches: Numbers  # (pitches,) MIDI numbers; one for each pitch of each track
    allowed: NDArray[np.bool_]  # (frames, 2 * pitches)
    stem: NDArray[np.int32]  # (frames, pitches) the number of the stem that takes what sounds; -1 for none


def refined_templates(
    recordings: Sequence[Sound],
    scores: Sequence[Sequence[Note]],
    sizes: Sizes,
    sample_rate: float,
    tolerance_s: float,
    *,
    fall: float,
    prior: float,
) -> tuple[Numbers, Floats]:
    """The pitches that `scores` hold, and their harmonic templates (pitches, bins) as the `recordings` teach them.

    `recordings` (samples, channels) are of one rate, each has its score. `prior` holds the templates at the rule with
    that `fall`, as gamma priors do in Virtanen, Cemgil and Godsill, "Bayesian extensions to non-negative matrix
    factorisation for audio signal modelling", ICASSP 2008: what was seldom heard stays near it.

    Raises
    ------
    BadInput : for a score that cannot be that of its recording.
    """
    sizes = sizes._replace(hop_size=sizes.window_size // OVERLAP)
    channels = max(recording.shape[1] for recording in recordings)
    silence = np.zeros((math.ceil(_BETWEEN_S * sample_rate), channels), np.float32)
    joined, notes, start = [], list[Note](), 0
    for recording, score in zip(recordings, scores, strict=True):
        check_length(score, len(recording) / sample_rate)
        notes += [Note(note.onset_s + start / sample_rate, note.duration_s, note.pitch) for note in score]
        level = np.sqrt((recording**2).sum() / len(recording))
        joined += [np.pad(recording / level, ((0, 0), (0, channels - recording.shape[1]))), silence]
        start += len(recording) + len(silence)
    plan = plan_of(notes, [0] * len(notes), start, sizes, sample_rate, tolerance_s)
    _, templates = factors(
        np.concatenate(joined), range(len(plan.stem)), plan, sizes, sample_rate, fall=fall, prior=prior
    )
    return plan.pitches, templates[: len(plan.pitches)]


def check_length(notes: Sequence[Note], duration_s: float) -> None:
    """Raises `BadInput` for a score that cannot be that of a recording of `duration_s`."""
    if not notes:
        raise BadInput("the score holds no notes: is it the right one?")
    end = max(note.onset_s + note.duration_s for note in notes)
    if end > duration_s + _LONGER_S:
        raise BadInput(
            f"the score ends after {end:.1f} s, the recording after {duration_s:.1f} s: take the score of this "
            "recording, aligned with it."
        )


def sizes_at(sample_rate: float) -> Sizes:
    """A Hann window of the power of two of samples that is nearest to `_WINDOW_S`, and no medians."""
    window_size = 1 << round(math.log2(_WINDOW_S * sample_rate))
    return Sizes(window_size, window_size, window_size // OVERLAP, 1, 0, ((0, 1),))


def plan_of(
    notes: Sequence[Note], stems: Sequence[int], samples: int, sizes: Sizes, sample_rate: float, tolerance_s: float
) -> Plan:
    """What may sound in which of the frames that cover `samples`; a note takes its pitch over from one before it.

    Frame t ends before the sample (t + 1) * hop.
    """
    pitches = sorted({(note.track, note.pitch) for note in notes})
    frames = math.ceil((samples + sizes.window_size) / sizes.hop_size) - 1
    allowed = np.zeros((frames, 2 * len(pitches)), np.bool_)
    stem = np.full((frames, len(pitches)), -1, np.int32)

    late = round(windows.center(windows.pair(*sizes[:3])[0])) + 1

    def frame(time_s: float, rounded: Callable[[float], int]) -> int:
        """The frame whose middle is at `time_s`."""
        return max(rounded((time_s * sample_rate + late) / sizes.hop_size - 1), 0)

    for note, number in zip(notes, stems, strict=True):
        place = pitches.index((note.track, note.pitch))
        first = frame(note.onset_s - tolerance_s, math.floor)
        stroke = frame(note.onset_s + tolerance_s + _STROKE_S, math.ceil) + 1
        after = frame(note.onset_s + note.duration_s + tolerance_s + _DYING_S, math.ceil) + 1
        allowed[first:after, place] = True
        allowed[first:stroke, len(pitches) + place] = True
        stem[first:after, place] = number
    return Plan(np.array([pitch for _, pitch in pitches]), allowed, stem)


def factors(
    recording: Sound,
    span: range,
    plan: Plan,
    sizes: Sizes,
    sample_rate: float,
    fall: float = 1.0,
    prior: float = 0.0,
) -> tuple[Floats, Floats]:
    """Activations (frames, components) and templates (components, bins) of the frames `span` of the recording.

    The harmonic templates begin with that `fall`, and are held there as if each had been heard that way for `prior`
    times as long as the pitches sound on an average.
    """
    magnitude = np.concatenate(
        [np.sqrt((np.abs(spectra) ** 2).sum(1)) for _, spectra in spectra_of(recording, span, sizes)]
    )
    # So that quotients stay within float32 whatever the level. Masks know no level.
    magnitude /= max(float(magnitude.max()), float(np.finfo(np.float32).tiny))
    lowest = int(plan.pitches.min())
    pitches = range(lowest, int(plan.pitches.max()) + 1)
    harmonic = harmonic_templates(sizes, sample_rate, pitches, fall)[plan.pitches - lowest]
    templates = np.concatenate([harmonic, onset_templates(sizes, sample_rate, pitches)[plan.pitches - lowest]])
    held = harmonic * (prior * magnitude.sum() / len(harmonic))
    allowed = plan.allowed[span.start : span.stop]
    level = magnitude.sum(1) / np.maximum(allowed.sum(1), 1)
    activations = allowed * level[:, np.newaxis].astype(np.float32)
    sums, quotient = np.empty_like(templates), np.empty(templates.shape[1], np.float32)
    sounding = np.empty(len(templates), np.int64)
    for _ in range(_UPDATES):
        sums[:] = 0
        _update(magnitude, templates, activations, sums, quotient, sounding)
        templates *= sums
        weights = templates.sum(1)
        templates[: len(held)] += held
        total = templates.sum(1)
        templates /= np.where(total > 0, total, 1)[:, np.newaxis]
        templates[templates < _TINY] = 0  # before they become denormal
        activations *= weights / np.maximum(activations.sum(0), _TINY)
    return activations, templates


@kernel
def _update(
    magnitude: Floats, templates: Floats, activations: Floats, sums: Floats, quotient: Floats, sounding: Numbers
) -> None:
    """Update `activations` (frames, components); add to `sums` (components, bins) what updates the templates.

    `magnitude` (frames, bins) is to be the product with `templates` (components, bins), whose rows sum to 1.
    """
    for t in range(magnitude.shape[0]):
        own, count = activations[t], 0
        for i in range(own.shape[0]):
            if own[i] > 0:
                sounding[count] = i
                count += 1
        heard = sounding[:count]
        if count == 0:
            continue
        _divide(magnitude[t], templates, own, heard, quotient)
        for i in heard:
            template, factor = templates[i], np.float32(0)
            for k in range(template.shape[0]):
                factor += template[k] * quotient[k]
            activation = own[i] * factor
            own[i] = activation if activation > _TINY else np.float32(0)
        _divide(magnitude[t], templates, own, heard, quotient)
        for i in heard:
            total, activation = sums[i], own[i]
            for k in range(total.shape[0]):
                total[k] += activation * quotient[k]


@kernel
def _divide(magnitude: Floats, templates: Floats, activations: Floats, heard: Numbers, quotient: Floats) -> None:
    """Write the `quotient` (bins,) of `magnitude` (bins,) and its model by the templates `heard`."""
    quotient[:] = _TINY
    for i in heard:
        template, activation = templates[i], activations[i]
        for k in range(quotient.shape[0]):
            quotient[k] += activation * template[k]
    for k in range(quotient.shape[0]):
        quotient[k] = magnitude[k] / quotient[k]


def spectra_of(recording: Sound, span: range, sizes: Sizes) -> Iterator[tuple[range, NDArray[Any]]]:
    """Frames and their spectra (frames, channels, bins), some at a time; silence lies around the recording."""
    window, _, hop = sizes[:3]
    analysis = windows.pair(*sizes[:3])[0].astype(np.float32)
    for first in range(span.start, span.stop, _FRAMES):
        block = range(first, min(first + _FRAMES, span.stop))
        start, end = (first + 1) * hop - window, block.stop * hop
        samples = recording[max(start, 0) : end]
        around = (max(-start, 0), max(end - max(start, 0) - len(samples), 0))
        frames = sliding_window_view(np.pad(samples, (around, (0, 0))), window, 0)[::hop]
        yield block, np.fft.rfft(frames * analysis)
