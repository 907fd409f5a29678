"""What the documentation shows and plays, made of the bundled song when it is built: pictures and clips in made/."""

from pathlib import Path

import matplotlib
import numpy as np
import soundfile

from rtsep import MODES, STEMS, Engine, Settings, follow, separate
from rtsep.commands.demo import picture as spectrograms
from rtsep.dsp import windows
from rtsep.live.singing import Singing
from rtsep.offline.files import song, sum_of

matplotlib.use("Agg")
from matplotlib import pyplot

MADE = Path(__file__).parent / "made"
RATE = 48_000
CLIP_S = (10, 20)  # of the song
CLIPS = {
    "mix": "the song as it is",
    "percussive": "the drums' stem",
    "melody": "the melody's stem",
    "harmony": "the stem of the harmonies",
    "without-drums": "the song with the drums' fader down",
    "without-melody": "the song without its lead, for karaoke",
}


def make() -> None:
    """Write all, unless it is there from an earlier build; whoever changes the sound removes made/ first."""
    if (MADE / "signal-path.svg").exists():  # the last one
        return
    (MADE / "clips").mkdir(parents=True, exist_ok=True)
    parts = song(RATE)
    mix = sum_of(parts)
    stems = separate(mix, RATE, mode="balanced")
    _clips(MADE / "clips", mix, stems)
    spectrograms(MADE / "spectrograms.png", {"mix": mix} | {name: stems[name] for name in STEMS[:3]}, RATE)
    _karaoke(MADE / "karaoke.png", mix, parts["lead"])
    _windows(MADE / "windows.svg")
    _signal_path(MADE / "signal-path.svg")


def _clips(folder: Path, mix: np.ndarray, stems: dict[str, np.ndarray]) -> None:
    sounds = stems | {"mix": mix}
    sounds |= {f"without-{name}": mix - stems[stem] for name, stem in (("drums", "percussive"), ("melody", "melody"))}
    begin, end = (second * RATE for second in CLIP_S)
    for name in CLIPS:
        clip = sounds[name][begin:end].copy()
        ramp = np.linspace(0, 1, RATE // 50, dtype=np.float32)[:, None]
        clip[: len(ramp)] *= ramp
        clip[-len(ramp) :] *= ramp[::-1]
        soundfile.write(folder / f"{name}.mp3", clip, RATE)


def clips_page() -> str:
    """A player for each clip."""
    players = [
        f'<p>{said.capitalize()}<br><audio controls preload="none" src="_static/{name}.mp3"></audio></p>'
        for name, said in CLIPS.items()
    ]
    return "\n".join(players)


def _karaoke(path: Path, mix: np.ndarray, lead: np.ndarray) -> None:
    """The picture that `rtsep karaoke --picture` draws, of a singer who is a semitone sharp at the end."""
    singing = Singing()
    heard, sung = follow(mix, RATE), follow(lead, RATE)
    sharp = sung.f0_hz * 2 ** (np.linspace(0, 1, len(sung.f0_hz)) / 12)
    for time_s, song_hz, singer_hz in zip(heard.time_s[::2], heard.f0_hz[::2], sharp[::2], strict=True):
        singing.hear(time_s, song_hz, singer_hz)
    singing.picture(path)


def _windows(path: Path) -> None:
    """The two windows of each mode, over the time before the newest sample."""
    figure, axes = pyplot.subplots(len(MODES), 1, figsize=(9, 7), sharex=True, layout="constrained")
    for axis, mode in zip(axes, MODES, strict=True):
        sizes = Settings(mode=mode).sizes(RATE)
        analysis, synthesis = windows.pair(sizes.window_size, sizes.synthesis_size, sizes.hop_size)
        for window, label in ((analysis, "analysis"), (synthesis, "synthesis")):
            axis.plot(np.arange(-len(window), 0) / RATE * 1000, window / window.max(), label=label)
        engine = Engine(Settings(mode=mode))
        engine.prepare(sample_rate=RATE, channels=1)
        axis.set(title=f"{mode}: latency {engine.latency / RATE * 1000:.1f} ms", yticks=[])
    axes[0].legend(loc="upper left", frameon=False)
    axes[-1].set_xlabel("milliseconds before the newest sample")
    figure.savefig(path)
    pyplot.close(figure)


def _signal_path(path: Path) -> None:
    """The stages of `rtsep.chain.process` as boxes in two rows."""
    rows = (
        ("input", "STFT", "noise", "medians,\nmelody", "masks", "templates", "own\nstages", "inverse\nSTFT", "stems"),
        ("stems", "faders", "key", "microphone", "limiter", "output"),
    )
    figure, axis = pyplot.subplots(figsize=(10, 2.2), layout="constrained")
    box = {"boxstyle": "round,pad=0.5", "facecolor": "#eef4fb", "edgecolor": "#0072b2"}
    for row, names in enumerate(rows):
        for place, name in enumerate(names):
            stage = 0 < place < len(names) - 1
            axis.text(place, -row, name, ha="center", va="center", bbox=box if stage else None)
            if place:
                axis.annotate("", (place - 0.42, -row), (place - 0.6, -row), arrowprops={"arrowstyle": "->"})
    axis.set(xlim=(-0.5, 8.5), ylim=(-1.5, 0.5))
    axis.axis("off")
    figure.savefig(path)
    pyplot.close(figure)


if __name__ == "__main__":
    make()
