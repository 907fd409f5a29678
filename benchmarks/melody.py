"""How well the pitch of a lead is followed in the mix: the streaming modes beside pYIN and Melodia.

    python benchmarks/melody.py DATA [--seconds 12] [--no-pyin] [--out benchmarks/results]

DATA is described in items.py. Items with `f0.csv` count, the first seconds of them, resampled to 44.1 kHz. Figures are
those of mir_eval.melody (50 cents): raw pitch and raw chroma accuracy (of the voiced frames, whether called voiced or
not; chroma forgives octaves), voicing recall and false alarm, overall accuracy. Much of the truth is pYIN on the
isolated lead: trust its pitch, not its voicing.

rtsep sees all channels, sample by sample: `live` and `balanced` without look-ahead, `quality` with 70 ms of it. By
default a network tells the pitch of any lead, "voice" is with melody.lead=voice; "classic" is by salience. The
others see the mean of the channels and the whole clip at once: `librosa.pyin`, which is made for one voice alone, at
22.05 kHz in the range that rtsep looks in, else with its defaults; Melodia (essentia's `PredominantPitchMelodia` after
`EqualLoudness`) with its defaults, and with `guessUnvoiced`. Melodia is left out where essentia is not installed.

A voice alone has a table of its own, with octave errors; another tells how often rtsep hears a melody where there is
none: in drums and in silence.

The network was trained on synthetic singers and songs, on none of DATA, and the search for its pitch was tuned on such
songs held out; but it was chosen among several by these very items. The parameters of the classic melody were tuned on
these very items; during tuning the two halves (alternate items) scored alike.
"""

import argparse
import importlib.util
import warnings
from pathlib import Path

import librosa
import mir_eval
import numpy as np
import soxr
from items import DRUM_PARTS, DRUMS, RATE, STREAMING, items, means, read, true_f0, two
from table import RESULTS, publish, write_json

from rtsep.engine import Engine
from rtsep.settings import Settings

OURS = {
    **{mode: (Settings(mode=mode), {}) for mode in STREAMING},
    "balanced, voice": (Settings(mode="balanced"), {"melody.lead": "voice"}),
    **{f"{mode}, classic": (Settings(mode=mode, masks="classic"), {}) for mode in STREAMING},
}
FIGURES = {
    "Raw Pitch Accuracy": "raw pitch",
    "Raw Chroma Accuracy": "raw chroma",
    "Voicing Recall": "voicing recall",
    "Voicing False Alarm": "false alarm",
    "Overall Accuracy": "overall",
}
PITCH, CHROMA, OVERALL = (list(FIGURES.values()).index(name) for name in ("raw pitch", "raw chroma", "overall"))
PYIN_RATE = 22050


def by_rtsep(mix, settings, parameters):
    """Times in seconds and F0 in Hz of each frame; negative where the melody is called unvoiced."""
    engine = Engine(settings)
    engine.parameters.update(parameters)
    engine.prepare(sample_rate=RATE, channels=mix.shape[1])
    hop, meters = engine.sizes.hop_size, engine.meters
    # `follow` tells no pitch where it is unvoiced, so the frames are taken one by one.
    frames = -int(engine.melody_time(0) * RATE / hop) + len(mix) // hop
    padded = np.concatenate([mix, np.zeros((frames * hop - len(mix) + hop, mix.shape[1]), np.float32)])
    f0 = np.zeros(frames)
    for t in range(frames):
        engine.process(padded[t * hop : (t + 1) * hop])
        f0[t] = meters.melody[t % len(meters.melody), 0]
    time_s = np.array([engine.melody_time(t) for t in range(frames)])
    return time_s[time_s >= 0], f0[time_s >= 0]


def by_pyin(mix):
    sound = soxr.resample(mix.mean(1), RATE, PYIN_RATE)
    parameters = Engine().parameters
    low, high = parameters["melody.low_hz"].value, parameters["melody.high_hz"].value
    f0, voiced, _ = librosa.pyin(sound, fmin=low, fmax=high, sr=PYIN_RATE, fill_na=None)
    return librosa.times_like(f0, sr=PYIN_RATE), np.where(voiced, f0, -f0)


def by_melodia(mix, **options):
    from essentia import standard

    sound = standard.EqualLoudness()(np.ascontiguousarray(mix.mean(1)))
    f0, confidence = standard.PredominantPitchMelodia(**options)(sound)
    # A pitch that is only guessed has a negative confidence.
    return np.arange(len(f0)) * 128 / RATE, np.where(confidence < 0, -f0, f0)


def methods(with_pyin):
    """Functions of a mix (samples, channels) that give times and F0, by name."""
    found = {name: lambda mix, chosen=chosen: by_rtsep(mix, *chosen) for name, chosen in OURS.items()}
    if with_pyin:
        found["pYIN"] = by_pyin
    if importlib.util.find_spec("essentia"):
        found["Melodia"] = by_melodia
        found["Melodia, guessing"] = lambda mix: by_melodia(mix, guessUnvoiced=True)
    else:
        print("Melodia is left out: essentia is not installed (pip install essentia).")
    return found


def measured(folder, seconds, followers):
    """FIGURES, 0 to 1, by method."""
    stems, _ = read(folder, seconds, RATE)
    mix = sum(stems.values())
    truth = true_f0(folder, len(mix) / RATE)
    results = {}
    for method, follow in followers.items():
        scores = mir_eval.melody.evaluate(*truth, *follow(mix))
        results[method] = [scores[figure] for figure in FIGURES]
    return results


def drums(data, seconds):
    """Name and mono sum of what is drums alone."""
    for folder, roles in items(data):
        alone = "drums" in folder.name and not roles - DRUM_PARTS - {"mix"}
        if alone or folder.name == "real_loops_lsddm":
            stems, _ = read(folder, seconds, RATE)
            yield folder.name, sum(stems.values()) if alone else next(two(stems, DRUMS))


def unpitched(data, seconds):
    """A row per sound without a melody: the share of frames in which each of OURS hears one."""
    sounds = {"silence": np.zeros((int(seconds * RATE), 1), np.float32), **dict(drums(data, seconds))}
    for name, sound in sounds.items():
        yield [name, *(f"{np.mean(by_rtsep(sound, *chosen)[1] > 0):.1%}" for chosen in OURS.values())]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--seconds", type=float, default=12, help="of each item")
    parser.add_argument("--no-pyin", action="store_true", help="leave out librosa.pyin")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the tables")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    followers, mixed, alone = methods(not options.no_pyin), {}, {}
    for folder, roles in items(options.data):
        if (folder / "f0.csv").exists():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                results = alone if roles == {"vocals"} else mixed
                results[folder.name] = measured(folder, options.seconds, followers)
    if not mixed:
        parser.error(f"{options.data} holds no mix with an f0.csv.")

    def percent(figures):
        return [f"{100 * figure:.1f}" for figure in figures]

    average = [*means(mixed)]
    tables = [
        (f"Melody, %: {title}", ["", *FIGURES.values()], [[one, *percent(found[one])] for one in followers])
        for title, found in average
    ]
    rows = [
        [name, *(" / ".join(percent(found[one][figure] for figure in (PITCH, CHROMA, OVERALL))) for one in followers)]
        for name, found in mixed.items()
    ]
    tables.append(("Melody by item", ["raw pitch / raw chroma / overall, %", *followers], rows))
    for name, found in alone.items():
        rows = [[one, *percent([*found[one], found[one][CHROMA] - found[one][PITCH]])] for one in followers]
        tables.append((f"A voice alone, %: {name}", ["", *FIGURES.values(), "octave errors"], rows))
    tables.append(("Voiced frames where there is no melody", ["", *OURS], [*unpitched(options.data, options.seconds)]))
    publish(options.out / "melody.md", tables)
    write_json(options.json, {"mixed": mixed, "alone": alone})


if __name__ == "__main__":
    main()
