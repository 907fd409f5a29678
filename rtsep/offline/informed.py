"""Score-informed separation: a recording into the tracks, hands or notes of its score.

Each pitch of the score has two templates, one harmonic and one for the stroke that begins a note, and they may sound
only around the notes. Multiplicative updates learn templates and activations from the recording itself; what starts
at zero stays there, so that no note takes what belongs to another pitch or another time. Soft masks then share the
recording among the stems, and what no note explains is the residual.

Ewert and Müller, "Using score-informed constraints for NMF-based source separation", ICASSP 2012; Müller,
"Fundamentals of Music Processing", 2015, section 8.3. The updates are those of Lee and Seung, "Algorithms for
non-negative matrix factorization", NIPS 2000, for the Kullback-Leibler divergence. As there, the score must be
aligned with the recording already. Beyond it, strokes and dying strings have constant times of their own, and only
what may sound in a frame is computed there: a minute of piano takes about two seconds.
"""

import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from ..dsp import windows
from ..errors import BadInput, unknown
from ..kernels import kernel
from ..settings import HIGHEST_RATE, LOWEST_RATE, MOST_CHANNELS, Sizes
from ..templates import harmonic_templates, onset_templates
from .files import Name, Sound, load, name_of
from .score import Note, note_name, notes_of, pitch_of
from .writer import Writer, encoded

BY = ("track", "hand", "note")
"""What the stems may be."""

RESIDUAL = "residual"
"""The stem of what no note explains."""

_Floats = NDArray[np.float32]
_Numbers = NDArray[np.int64]

# Measured on hands of three pieces that FluidSynth played, mean and least gain of SI-SDR over the mixture's: 12.9 and
# 11.3 dB. An exponent of 1 gives 0.4 dB less, no template for strokes 0.9, one through the whole note 0.9, no dying
# strings 0.1, windows of half the length 0.5; of twice the length 0.1 more. The ratio masks of the truth give 14.9.
_WINDOW_S = 0.093  # at 44.1 kHz: 4096 samples
_OVERLAP = 4  # hops in a window
_UPDATES = 20  # 40 give as much
_EXPONENT = 2.0  # of the soft masks
_STROKE_S = 0.2  # how long after a note's beginning, and the tolerance, its stroke may sound
_DYING_S = 0.3  # how long after its end, and the tolerance, its string and the room may

_BETWEEN_S = 7.0  # recordings that are learned from: longer than the last notes of a score
_LONGER_S = 5.0  # that a score may be than its recording: the last string dies away
_MOST_VALUES = 2**25  # of a spectrogram, 128 MB: 6 minutes at 44.1 kHz; longer recordings are learned in parts
_MOST_BYTES = 4e9  # of all stems
_FRAMES = 256  # transformed at a time
_STEPS = np.float32(2**23)  # stems are rounded to 24-bit samples: their sums are exact in float32
_LONGEST_NAME = 50  # letters of a track, which may take 4 bytes each of the 255 that a file's name may have
_TINY = np.float32(1e-12)  # beside a loudest magnitude of 1


class _Plan(NamedTuple):
    """What may sound when: harmonic templates come first, then as many strokes of the same pitches."""

    pitches: _Numbers  # (pitches,) MIDI numbers; one for each pitch of each track
    allowed: NDArray[np.bool_]  # (frames, 2 * pitches)
    stem: NDArray[np.int32]  # (frames, pitches) the number of the stem that takes what sounds; -1 for none


def separate_by_score(
    sound: ArrayLike | Name,
    notes: Sequence[Note] | Name,
    *,
    sample_rate: float | None = None,
    by: str = "track",
    split_at: int | str = 60,
    tolerance_s: float = 0.1,
) -> dict[str, Sound]:
    """Separate a recording by its score, which must be aligned with it already, into stems that add up to it.

    Memory holds the stems, up to 4 GB, and about 0.4 GB more, whatever the length: recordings of more than 6 minutes
    (at 44.1 kHz) are learned in parts of equal length.

    Parameters
    ----------
    sound : floats (samples, channels) or (samples,), or the path of a sound file
    notes : those of `notes_of`, or the path of the score
    sample_rate : of an array, Hz, 8,000 to 192,000; a file has its own
    by : "track" for a stem per track that has notes, named after it; "hand" for "lower" and "upper"; "note" for
        a stem per note, named like "C4 1.250s"
    split_at : the lowest pitch of the upper hand, as MIDI number or like "C4"
    tolerance_s : how much earlier or later than in the score notes may begin and end, seconds, 0 to 1

    Returns
    -------
    {stem: float32 of the shape of `sound`}, (samples, channels) for a file; in the order of their first notes, and
    last "residual".

    Raises
    ------
    BadInput : for a score that cannot be that of the recording or cannot be parted so, a silent recording, a file
        that cannot be read, or a value out of its range.
    """
    recording, rate, shape = _recording(sound, sample_rate)
    notes = sorted(notes_of(notes) if isinstance(notes, str | os.PathLike) else notes)
    if not 0 <= tolerance_s <= 1:
        raise BadInput(f"tolerance_s is {tolerance_s}: it must lie between 0 and 1 s.")
    _check_length(notes, len(recording) / rate)
    names = _named(notes, by, split_at)
    stems = list(dict.fromkeys(names))
    size = (len(stems) + 1) * recording.nbytes
    if size > _MOST_BYTES:
        raise BadInput(f"{len(stems)} stems would take {size / 1e9:.1f} GB: cut out a shorter part of the recording.")
    if not recording.any():
        raise BadInput("the recording is silent: there is nothing to separate.")

    sizes = _sizes(rate)
    plan = _plan(notes, [stems.index(name) for name in names], len(recording), sizes, rate, tolerance_s)
    results = np.zeros((len(stems), *recording.shape), np.float32)
    frames, bins = len(plan.stem), sizes.window_size // 2 + 1
    parts = math.ceil(frames * bins / _MOST_VALUES)
    for part in np.array_split(np.arange(frames), parts):
        span = range(part[0], part[-1] + 1)
        activations, templates = _factors(recording, span, plan, sizes, rate)
        for number, start, piece in _pieces(recording, span, plan, sizes, activations, templates):
            begin, end = max(start, 0), min(start + len(piece), len(recording))
            results[number, begin:end] += piece[begin - start : end - start]
    rest = recording.copy()
    for result in results:
        np.rint(result * _STEPS, out=result)
        result /= _STEPS
        rest -= result
    return {name: result.reshape(shape) for name, result in zip((*stems, RESIDUAL), (*results, rest), strict=True)}


def refined_templates(
    recordings: Sequence[Sound],
    scores: Sequence[Sequence[Note]],
    sizes: Sizes,
    sample_rate: float,
    tolerance_s: float,
    *,
    fall: float,
    prior: float,
) -> tuple[_Numbers, _Floats]:
    """The pitches that `scores` hold, and their harmonic templates (pitches, bins) as the `recordings` teach them.

    `recordings` (samples, channels) are of one rate, each has its score. `prior` holds the templates at the rule with
    that `fall`, as gamma priors do in Virtanen, Cemgil and Godsill, "Bayesian extensions to non-negative matrix
    factorisation for audio signal modelling", ICASSP 2008: what was seldom heard stays near it.

    Raises
    ------
    BadInput : for a score that cannot be that of its recording.
    """
    sizes = sizes._replace(hop_size=sizes.window_size // _OVERLAP)
    channels = max(recording.shape[1] for recording in recordings)
    silence = np.zeros((math.ceil(_BETWEEN_S * sample_rate), channels), np.float32)
    joined, notes, start = [], list[Note](), 0
    for recording, score in zip(recordings, scores, strict=True):
        _check_length(score, len(recording) / sample_rate)
        notes += [Note(note.onset_s + start / sample_rate, note.duration_s, note.pitch) for note in score]
        level = np.sqrt((recording**2).sum() / len(recording))
        joined += [np.pad(recording / level, ((0, 0), (0, channels - recording.shape[1]))), silence]
        start += len(recording) + len(silence)
    plan = _plan(notes, [0] * len(notes), start, sizes, sample_rate, tolerance_s)
    _, templates = _factors(
        np.concatenate(joined), range(len(plan.stem)), plan, sizes, sample_rate, fall=fall, prior=prior
    )
    return plan.pitches, templates[: len(plan.pitches)]


def separate_file_by_score(
    source: Name,
    score: Name,
    folder: Name,
    *,
    by: str = "track",
    split_at: int | str = 60,
    tolerance_s: float = 0.1,
    format: str = "wav",
    bits: int | None = None,
    force: bool = False,
) -> list[Path]:
    """`separate_by_score` of a sound file into FOLDER/<name>/<stem>.<format>; the paths that were written.

    Raises
    ------
    BadInput : also for an unknown format, and if there are such files already and `force` is not set.
    Unavailable : if they cannot be written; then none is.
    """
    encoded(format, bits)
    home = Path(folder) / name_of(source)
    there = next(home.glob(f"*.{format}"), None)
    if there is not None and not force:
        raise BadInput(f"{there} exists already: choose another folder, or add --force to replace.")
    sound, rate = load(source)
    stems = separate_by_score(
        sound, notes_of(score), sample_rate=rate, by=by, split_at=split_at, tolerance_s=tolerance_s
    )
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                Writer(home / f"{name}.{format}", rate, sound.shape[1], format=format, bits=bits, force=force)
            )
            for name in stems
        ]
        for writer, stem in zip(writers, stems.values(), strict=True):
            writer.write(stem)
        for writer in writers:  # all are whole before the first gets its name
            writer.finish()
    return [writer.path for writer in writers]


def _recording(sound: ArrayLike | Name, sample_rate: float | None) -> tuple[Sound, float, tuple[int, ...]]:
    """The recording (samples, channels), its rate and the shape it had. What is no sane number becomes silence."""
    if isinstance(sound, str | os.PathLike):
        if sample_rate is not None:
            raise BadInput("a file has its own sample rate: leave sample_rate out.")
        array: NDArray[Any]
        array, sample_rate = load(sound)
    else:
        array = np.asarray(sound)
    if sample_rate is None:
        raise BadInput("an array needs its sample rate: separate_by_score(array, notes, sample_rate=44100).")
    if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
        raise BadInput(f"the sample rate is {sample_rate} Hz: it must lie between {LOWEST_RATE} and {HIGHEST_RATE}.")
    if array.ndim not in (1, 2) or array.shape[1:] > (MOST_CHANNELS,) or not np.issubdtype(array.dtype, np.floating):
        raise BadInput(
            f"an array of shape {array.shape} and {array.dtype}: it must be floats (samples,) or (samples, channels), "
            f"with at most {MOST_CHANNELS} channels."
        )
    recording = (array[:, np.newaxis] if array.ndim == 1 else array).astype(np.float32)
    recording[~(np.abs(recording) < 1e6)] = 0
    return recording, sample_rate, array.shape


def _check_length(notes: Sequence[Note], duration_s: float) -> None:
    if not notes:
        raise BadInput("the score holds no notes: is it the right one?")
    end = max(note.onset_s + note.duration_s for note in notes)
    if end > duration_s + _LONGER_S:
        raise BadInput(
            f"the score ends after {end:.1f} s, the recording after {duration_s:.1f} s: take the score of this "
            "recording, aligned with it."
        )


def _named(notes: Sequence[Note], by: str, split_at: int | str) -> list[str]:
    """For each of `notes` the name of its stem, fit for a file."""
    if by not in BY:
        raise unknown("division", by, BY)
    if by == "hand":
        split = pitch_of(split_at) if isinstance(split_at, str) else split_at
        pitches = sorted({note.pitch for note in notes})
        if not pitches[0] < split <= pitches[-1]:
            lowest, highest = note_name(pitches[0]), note_name(pitches[-1])
            raise BadInput(
                f"split_at is {split_at!r}, but the notes lie between {lowest} and {highest}: choose a pitch above the "
                "lowest, up to the highest."
            )
        return ["upper" if note.pitch >= split else "lower" for note in notes]
    if by == "track":
        tracks = list(dict.fromkeys(note.track for note in notes))
        if len(tracks) == 1:
            raise BadInput("the score has one track with notes: separate by hand or by note instead.")
        names = [re.sub(r"[^\w. #-]", "_", track)[:_LONGEST_NAME] for track in tracks]
        fit = dict(zip(tracks, _unique(names), strict=True))
        return [fit[note.track] for note in notes]
    return _unique([f"{note_name(note.pitch)} {note.onset_s:.3f}s" for note in notes])


def _unique(names: Sequence[str]) -> list[str]:
    """`names`, of which those that others have already, in whatever case, get a number."""
    taken, unique = {RESIDUAL}, []
    for name in names:
        own, number = name.strip(" ."), 1
        while not own or own.casefold() in taken:
            number += 1
            own = f"{name.strip(' .') or 'track'} {number}"
        taken.add(own.casefold())
        unique.append(own)
    return unique


def _sizes(sample_rate: float) -> Sizes:
    """A Hann window of the power of two of samples that is nearest to `_WINDOW_S`, and no medians."""
    window_size = 1 << round(math.log2(_WINDOW_S * sample_rate))
    return Sizes(window_size, window_size, window_size // _OVERLAP, 1, 0, ((0, 1),))


def _plan(
    notes: Sequence[Note], stems: Sequence[int], samples: int, sizes: Sizes, sample_rate: float, tolerance_s: float
) -> _Plan:
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
    return _Plan(np.array([pitch for _, pitch in pitches]), allowed, stem)


def _factors(
    recording: Sound,
    span: range,
    plan: _Plan,
    sizes: Sizes,
    sample_rate: float,
    fall: float = 1.0,
    prior: float = 0.0,
) -> tuple[_Floats, _Floats]:
    """Activations (frames, components) and templates (components, bins) of the frames `span` of the recording.

    The harmonic templates begin with that `fall`, and are held there as if each had been heard that way for `prior`
    times as long as the pitches sound on an average.
    """
    magnitude = np.concatenate(
        [np.sqrt((np.abs(spectra) ** 2).sum(1)) for _, spectra in _spectra(recording, span, sizes)]
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
    magnitude: _Floats, templates: _Floats, activations: _Floats, sums: _Floats, quotient: _Floats, sounding: _Numbers
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
def _divide(magnitude: _Floats, templates: _Floats, activations: _Floats, heard: _Numbers, quotient: _Floats) -> None:
    """Write the `quotient` (bins,) of `magnitude` (bins,) and its model by the templates `heard`."""
    quotient[:] = _TINY
    for i in heard:
        template, activation = templates[i], activations[i]
        for k in range(quotient.shape[0]):
            quotient[k] += activation * template[k]
    for k in range(quotient.shape[0]):
        quotient[k] = magnitude[k] / quotient[k]


def _pieces(
    recording: Sound, span: range, plan: _Plan, sizes: Sizes, activations: _Floats, templates: _Floats
) -> Iterator[tuple[int, int, Sound]]:
    """Number of a stem, first sample (may lie before the recording), and sound (samples, channels) to be added there.

    The masks are ratios of the models' magnitudes to the power of `_EXPONENT`; where nothing is modelled they are zero.
    """
    hop = sizes.hop_size
    synthesis = windows.pair(*sizes[:3])[1].astype(np.float32)
    for block, spectra in _spectra(recording, span, sizes):
        owners = np.tile(plan.stem[block.start : block.stop], 2)
        own = activations[block.start - span.start : block.stop - span.start]
        shares = {}
        total = np.zeros((len(block), templates.shape[1]), np.float32)
        for number in np.unique(owners[own > 0]):
            sounding = np.where(owners == number, own, 0)
            heard, columns = (np.flatnonzero(sounding.any(axis)) for axis in (1, 0))
            rows = slice(int(heard[0]), int(heard[-1]) + 1)
            share = (sounding[rows][:, columns] @ templates[columns]) ** _EXPONENT
            shares[int(number)] = rows, share
            total[rows] += share
        total[total == 0] = 1
        for number, (rows, share) in shares.items():
            mask = (share / total[rows])[:, np.newaxis]
            parts = np.fft.irfft(spectra[rows] * mask) * synthesis
            parts = parts.reshape(*parts.shape[:2], _OVERLAP, hop)
            piece = np.zeros((len(parts) + _OVERLAP - 1, parts.shape[1], hop), np.float32)
            for i in range(_OVERLAP):
                piece[i : i + len(parts)] += parts[:, :, i]
            start = (block.start + rows.start + 1) * hop - sizes.window_size
            yield number, start, piece.swapaxes(1, 2).reshape(-1, parts.shape[1])


def _spectra(recording: Sound, span: range, sizes: Sizes) -> Iterator[tuple[range, NDArray[Any]]]:
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
