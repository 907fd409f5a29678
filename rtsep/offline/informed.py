"""Score-informed separation: a recording into the tracks, hands or notes of its score.

`score_nmf.py` learns what each pitch of the score sounds like, and when. Soft masks then share the recording among the
stems, and what no note explains is the residual: Ewert and Müller, "Using score-informed constraints for NMF-based
source separation", ICASSP 2012.
"""

import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..dsp import windows
from ..errors import BadInput, unknown
from ..settings import HIGHEST_RATE, LOWEST_RATE, MOST_CHANNELS, Sizes
from .files import Name, Sound, load, name_of
from .score import Note, note_name, notes_of, pitch_of
from .score_nmf import OVERLAP, Floats, Plan, check_length, factors, plan_of, sizes_at, spectra_of
from .writer import Writer, encoded

BY = ("track", "hand", "note")
"""What the stems may be."""

RESIDUAL = "residual"
"""The stem of what no note explains."""

_EXPONENT = 2.0  # of the soft masks; 1 gives 0.4 dB less, measured as in score_nmf.py
_MOST_VALUES = 2**25  # of a spectrogram, 128 MB: 6 minutes at 44.1 kHz; longer recordings are learned in parts
_MOST_BYTES = 4e9  # of all stems
_STEPS = np.float32(2**23)  # stems are rounded to 24-bit samples: their sums are exact in float32
_LONGEST_NAME = 50  # letters of a track, which may take 4 bytes each of the 255 that a file's name may have


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
    check_length(notes, len(recording) / rate)
    names = _named(notes, by, split_at)
    stems = list(dict.fromkeys(names))
    size = (len(stems) + 1) * recording.nbytes
    if size > _MOST_BYTES:
        raise BadInput(f"{len(stems)} stems would take {size / 1e9:.1f} GB: cut out a shorter part of the recording.")
    if not recording.any():
        raise BadInput("the recording is silent: there is nothing to separate.")

    sizes = sizes_at(rate)
    plan = plan_of(notes, [stems.index(name) for name in names], len(recording), sizes, rate, tolerance_s)
    results = np.zeros((len(stems), *recording.shape), np.float32)
    frames, bins = len(plan.stem), sizes.window_size // 2 + 1
    parts = math.ceil(frames * bins / _MOST_VALUES)
    for part in np.array_split(np.arange(frames), parts):
        span = range(part[0], part[-1] + 1)
        activations, templates = factors(recording, span, plan, sizes, rate)
        for number, start, piece in _pieces(recording, span, plan, sizes, activations, templates):
            begin, end = max(start, 0), min(start + len(piece), len(recording))
            results[number, begin:end] += piece[begin - start : end - start]
    rest = recording.copy()
    for result in results:
        np.rint(result * _STEPS, out=result)
        result /= _STEPS
        rest -= result
    return {name: result.reshape(shape) for name, result in zip((*stems, RESIDUAL), (*results, rest), strict=True)}


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


def _pieces(
    recording: Sound, span: range, plan: Plan, sizes: Sizes, activations: Floats, templates: Floats
) -> Iterator[tuple[int, int, Sound]]:
    """Number of a stem, first sample (may lie before the recording), and sound (samples, channels) to be added there.

    The masks are ratios of the models' magnitudes to the power of `_EXPONENT`; where nothing is modelled they are zero.
    """
    hop = sizes.hop_size
    synthesis = windows.pair(*sizes[:3])[1].astype(np.float32)
    for block, spectra in spectra_of(recording, span, sizes):
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
            parts = parts.reshape(*parts.shape[:2], OVERLAP, hop)
            piece = np.zeros((len(parts) + OVERLAP - 1, parts.shape[1], hop), np.float32)
            for i in range(OVERLAP):
                piece[i : i + len(parts)] += parts[:, :, i]
            start = (block.start + rows.start + 1) * hop - sizes.window_size
            yield number, start, piece.swapaxes(1, 2).reshape(-1, parts.shape[1])
