"""`rtsep demo`: the bundled song through the live engine, and what came of it as sound, figures and a picture."""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..engine import Engine, Sound
from ..library import warm_up
from ..live.stream import Stream, open_stream
from ..live.terminal import faders, output_device, status, summary, watch
from ..offline.evaluate import si_sdr
from ..offline.files import load, song, sum_of
from ..offline.writer import Writer
from ..settings import GROUPS, STEMS, Settings
from ..streams import tell
from .options import engine_options, positive, settings_of, values_of

_DRUMS_FADE_AT_S = 10.7  # the second phrase: from here on the band plays without its drummer


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("-o", "--output", metavar="DEV", help="sound device (default: the system's, else virtual)")
    parser.add_argument("-d", "--folder", default="rtsep-demo", help="where to write (default: rtsep-demo)")
    parser.add_argument("--seconds", type=positive, metavar="N", help="stop after N seconds")
    engine_options(parser, "balanced")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    settings = settings_of(options)
    assignments = values_of(options, settings)
    demo(settings, assignments, options.output, options.folder, options.seconds)


def demo(
    settings: Settings,
    parameters: Mapping[str, float | str],
    device: str | None = None,
    folder: str | Path = "rtsep-demo",
    seconds: float | None = None,
) -> None:
    """Play the song, write FOLDER (a free name is taken if it exists), print the figures."""
    engine = Engine(settings)
    engine.parameters.update(parameters)
    device, rate = output_device(device)
    folder = _free(Path(folder))
    # Steps of 24 bits, as a sound card delivers: of such sounds the stems add up to the last bit.
    parts = {name: np.round(part * 2**23) / np.float32(2**23) for name, part in song(rate).items()}
    warm_up(tell)
    with open_stream(engine, device, sample_rate=rate, source=sum_of(parts), record=folder) as stream:
        tell(f"the bundled song through the live engine: {stream.description}")
        down = "percussive.gain_db" not in parameters
        if down:
            tell(f"the drums go down after {_DRUMS_FADE_AT_S:.0f} seconds")

        def tick(elapsed: float) -> None:
            if down and elapsed > _DRUMS_FADE_AT_S:
                engine.parameters["percussive.gain_db"] = "-inf"

        watch(stream, seconds=seconds, tick=tick, view=lambda: faders(stream), line=lambda: status(stream))
    print(summary(stream))
    _report(folder, parts, stream, _DRUMS_FADE_AT_S if down else None)


def _free(folder: Path) -> Path:
    """`folder`, or the first of folder-2, folder-3, ... that does not exist."""
    candidate, number = folder, 1
    while candidate.exists():
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate


def _report(folder: Path, parts: Mapping[str, Sound], stream: Stream, drums_down_s: float | None) -> None:
    """The mix without drums, the score of each stem, and the picture, from what the stream recorded."""
    length = len(parts["drums"])
    sounds = {name: load(folder / f"{name}.wav")[0][:length] for name in ("input", "output", *STEMS)}
    mixture = sounds["input"]
    with Writer(folder / "without-drums.wav", stream.sample_rate, stream.engine.channels) as file:
        file.write(mixture - sounds["percussive"])
    groups = {name: sum_of({stem: sounds[stem] for stem in members}) for name, members in GROUPS.items()}
    played = sum_of(parts)
    truths = {"percussive": parts["drums"], "melody": parts["lead"]}
    truths |= {"harmonic": played - parts["drums"], "accompaniment": played - parts["lead"]}
    print("\nSI-SDR in dB          mixture   live stem")
    for stem, truth in truths.items():
        truth = truth[: len(mixture)]  # shorter than the song if it was stopped
        print(f"  {stem:18} {si_sdr(truth, mixture):8.1f} {si_sdr(truth, (sounds | groups)[stem]):11.1f}")
    difference = np.abs(sum_of({stem: sounds[stem] for stem in STEMS}) - mixture).max()
    print(f"sum of the stems against the input: largest difference {difference:g}")
    pictures = {"mix": mixture} | {name: sounds[name] for name in ("output", "percussive", "melody", "harmony")}
    try:
        picture(folder / "spectrograms.png", pictures, stream.sample_rate, drums_down_s)
    except ImportError:
        tell("no picture: it needs matplotlib (pip install 'rtsep[plot]')")
    print(f"written to {folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")


def picture(path: Path, sounds: Mapping[str, Sound], sample_rate: float, drums_down_s: float | None = None) -> None:
    """Write the spectrograms of `sounds` (each (samples, channels)) one below the other, in one scale of colours.

    A line marks `drums_down_s`, the time at which the drums' fader goes down.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(sounds), 1, figsize=(11, 2.5 * len(sounds)), sharex=True, layout="constrained")
    for axis, (name, sound) in zip(axes, sounds.items(), strict=True):
        with np.errstate(divide="ignore"):  # silence is minus infinity decibels
            *_, image = axis.specgram(
                sound.mean(1), NFFT=2048, noverlap=1536, Fs=sample_rate, cmap="magma", vmin=-100, vmax=-30
            )
        axis.set(title=name, ylim=(40, sample_rate / 2), yscale="log")
        axis.set_yticks([100, 1000, 10_000], ["100 Hz", "1 kHz", "10 kHz"])
        if drums_down_s is not None:
            axis.axvline(drums_down_s, color="white", linestyle="--")
    if drums_down_s is not None:
        axes[0].annotate("the drums go down", (drums_down_s, 15_000), (4, 0), textcoords="offset points", color="white")
    figure.colorbar(image, ax=axes, label="dB of full scale in 1 Hz, the same for all", aspect=60, extend="both")
    axes[-1].set_xlabel("seconds")
    figure.savefig(path, dpi=90)
    pyplot.close(figure)
