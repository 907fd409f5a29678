"""What the engine sees of a sound, frame by frame, as arrays: for researchers, with the very kernels that run live."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..dsp import salience, stft
from ..settings import Settings
from .beside import completed
from .files import Name, Sound
from .render import engine_of, score_of, sound_of


@dataclass(frozen=True, repr=False)
class Analysis:
    """Frames of a sound, each `hop_size` samples after the one before; the first axis of every array counts them.

    With masks and STFT at hand a stem is `masks[:, s, None] * stft`, which the synthesis window of the engine makes
    sound: what `separate` writes. Müller, "Fundamentals of Music Processing", Springer 2015, ch. 8, has the terms.
    """

    times: NDArray[np.float64]  # (frames,) s, of the middle of each frame's window
    stft: NDArray[np.complex64]  # (frames, channels, bins)
    frequencies: NDArray[np.float64]  # (bins,) Hz
    masks: Sound  # (frames, stems, bins) add up to 1
    stems: tuple[str, ...]
    activations: Sound  # (frames, components) of the templates; no columns without any
    f0: Sound  # (frames,) Hz, 0 where there is no melody
    confidence: Sound  # (frames,) 0 to 1
    f0_times: NDArray[np.float64]  # (frames,) s, at which that melody sounded
    salience: Sound  # (frames, pitches) how strongly each pitch sounds, as the tracker weighs it
    pitches: NDArray[np.float64]  # (pitches,) Hz
    sample_rate: float
    window_size: int
    hop_size: int

    def __repr__(self) -> str:
        seconds = len(self.times) * self.hop_size / self.sample_rate
        return f"<Analysis of {seconds:.1f} s, {len(self.times)} frames, stems {', '.join(self.stems)}>"

    def _repr_html_(self) -> str:
        """A table of the arrays, for notebooks."""
        rows = []
        for each in fields(self):
            value = getattr(self, each.name)
            told = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else value
            rows.append(f"<tr><th>{each.name}</th><td>{told}</td></tr>")
        return f"<table>{''.join(rows)}</table>"


def analyze(
    source: ArrayLike | Name,
    sample_rate: float | None = None,
    *,
    mode: str = "quality",
    settings: Settings | None = None,
    parameters: Mapping[str, float | str] | None = None,
    score: ArrayLike | Name | None = None,
) -> Analysis:
    """STFT, masks, activations, salience and F0 of an array or a sound file; parameters and errors of `separate`."""
    sound, rate, _ = sound_of(source, sample_rate)
    engine = engine_of(completed(settings or Settings(mode=mode), sound, rate), parameters)
    engine.prepare(sample_rate=rate, channels=sound.shape[1], score=score_of(score))
    hop, state = engine.sizes.hop_size, engine.state
    frames = -(-(len(sound) + engine.latency + engine.sizes.window_size) // hop)
    padded = np.pad(sound, ((0, frames * hop - len(sound)), (0, 0)))
    seen: list[tuple[NDArray[np.generic] | np.generic, ...]] = []
    for frame in range(frames):
        engine.process(padded[frame * hop : (frame + 1) * hop])
        melody = state.melody
        seen.append(
            (
                state.stft.spectra[stft.due(state.stft)].copy(),
                np.concatenate([state.masks, 1 - state.masks.sum(0, keepdims=True)]),
                state.nmf.activations.copy(),
                melody.f0[0].copy(),
                melody.confidence[0].copy(),
                melody.heard[melody.newest[0]].copy(),
            )
        )
    times = np.array([engine.frame_time(frame) for frame in range(frames)])
    inside = (times >= 0) & (times < len(sound) / rate)
    spectra, masks, activations, f0, confidence, heard = (
        np.array(column)[inside] for column in zip(*seen, strict=True)
    )
    size = engine.sizes.window_size
    return Analysis(
        times=times[inside],
        stft=spectra,
        frequencies=np.arange(size // 2 + 1) * rate / size,
        masks=masks,
        stems=engine.stems,
        activations=activations,
        f0=f0,
        confidence=confidence,
        f0_times=np.array([engine.melody_time(int(frame)) for frame in np.flatnonzero(inside)]),
        salience=heard,
        pitches=salience.LOWEST_HZ * 2 ** (np.arange(salience.PITCHES) / salience.PER_OCTAVE),
        sample_rate=rate,
        window_size=size,
        hop_size=hop,
    )
