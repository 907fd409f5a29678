"""SI-SDR of drums split by templates: after a sound check, and by the kit that comes along.

    python benchmarks/parts.py DATA [--out benchmarks/results]

DATA is described in items.py. Items that hold a kick, a snare and a hi-hat of their own count; these three are scored,
in the second half of their mix with the other drums. The sound check are the stems of the first half; a drum that is
silent there is learned from another item, so that nothing is learned from what is scored. As these loops strike the
same hits again, expect less of a drummer. "offline" is the same k-means and 400 multiplicative updates for all frames
at once, at 2048/512 with symmetric windows; the oracle is the ratio mask of the true stems there.

The second table is of all items: each stem is learned while it sounds, alone, in the two seconds of the first half in
which it is loudest, after up to eight seconds of all others, and scored in the second half of the mix. Sounds are
mono, in the mode `balanced`.

The last table is what the parts cost: the engine with ten components for each of four parts, beside that without.
"""

import argparse
import warnings
from dataclasses import replace
from pathlib import Path

import librosa
import numpy as np
from engine import measure_blocks, rooms
from items import items, means, read
from table import RESULTS, publish, song, spread, write_json

from rtsep.engine import Engine
from rtsep.factorization import factorize
from rtsep.factorization.clusters import k_means
from rtsep.live.sampler import Sampler
from rtsep.live.stream import Stream
from rtsep.offline.dictionary import learn
from rtsep.offline.evaluate import si_sdr
from rtsep.offline.render import separate
from rtsep.settings import Settings
from rtsep.templates import KITS, Templates, load

SCORED = ("kick", "snare", "hihat")
LIVE_MODES = ("live", "balanced", "quality")
COMPONENTS, UPDATES, EXPONENT = 8, 400, 2
DEEP_DB = 40


def checked(name, found):
    """What is played at the sound check of an item: {part: recordings}."""
    stems, _ = found[name]
    half = len(stems["kick"]) // 2
    examples = {}
    for part, sound in stems.items():
        if np.abs(sound[:half]).max() > 1e-3:
            examples[part] = [sound[:half]]
        elif np.abs(sound).max() > 1e-3:
            examples[part] = [others[part] for other, (others, _) in found.items() if other != name and part in others][
                :1
            ]
    return {part: recordings for part, recordings in examples.items() if recordings}


def spectra(sound):
    return librosa.stft(sound.T)


def magnitudes(transformed):
    return np.sqrt((np.abs(transformed) ** 2).sum(0)).T


def by_offline(examples, mix):
    """The parts of `mix` by all its frames at once."""
    rows, part_of = [], []
    for number, recordings in enumerate(examples.values()):
        frames = np.concatenate([magnitudes(spectra(sound)) for sound in recordings])
        level = frames.sum(1)
        frames = frames[level > level.max() * 10 ** (-DEEP_DB / 20)]
        rows.append(k_means(frames, COMPONENTS, np.random.default_rng(1)))
        part_of += [number] * COMPONENTS
    templates, transformed = np.concatenate(rows), spectra(mix)
    seen = magnitudes(transformed)
    h = factorize(seen.T, 0, given=templates.T, iterations=UPDATES).H.T
    models = np.stack([h[:, own] @ templates[own] for own in (np.array(part_of) == n for n in range(len(examples)))])
    return resynthesized(examples, models, transformed, len(mix))


def by_oracle(stems, mix):
    return resynthesized(
        stems, np.stack([magnitudes(spectra(stem)) for stem in stems.values()]), spectra(mix), len(mix)
    )


def resynthesized(names, models, transformed, samples):
    masks = models**EXPONENT / (models**EXPONENT).sum(0).clip(1e-20)
    return {
        name: librosa.istft(transformed * mask.T, length=samples).T for name, mask in zip(names, masks, strict=True)
    }


def measured(name, found):
    """SI-SDR of the scored parts in dB, by method."""
    stems, rate = found[name]
    mix, half = sum(stems.values()), len(stems["kick"]) // 2
    examples, kit = checked(name, found), load(KITS["drums"])
    got = {"mixture": dict.fromkeys(SCORED, mix)}
    for mode in LIVE_MODES:
        settings = Settings(mode)
        templates = learn(examples, sample_rate=rate, components=COMPONENTS, settings=settings, splits="mix")
        got[mode] = separate(mix, sample_rate=rate, settings=Settings(mode, templates=templates))
        got[f"kit, {mode}"] = separate(
            mix, sample_rate=rate, settings=Settings(mode, templates=replace(kit, splits="mix"))
        )
    got["offline"], got["oracle"] = by_offline(examples, mix), by_oracle(stems, mix)
    return {
        method: [si_sdr(stems[part][half:], sounds[part][half:]) for part in SCORED] for method, sounds in got.items()
    }


def learned_live(stems, rate):
    """SI-SDR in dB (mixture, learned) of each stem that sounds in both halves, by its name."""
    stems = {name: sound.mean(1, keepdims=True) for name, sound in stems.items()}
    mix = sum(stems.values())
    half, two = len(mix) // 2, 2 * rate
    for name, own in stems.items():
        power = np.convolve(own[:half, 0] ** 2, np.ones(two), "valid") if half > two else np.zeros(1)
        if min(power.max(), (own[half:] ** 2).sum()) < 1e-4 * two or np.array_equal(own, mix):
            continue
        start = int(power.argmax())
        engine = Engine(Settings(learn=("part",)))
        stream, told = Stream(engine, "virtual", sample_rate=rate, channels=1), []
        stream.state.fade[0] = 1
        sampler = Sampler(stream, told.append)
        hear(stream, (mix - own)[: min(half, 8 * rate)])
        engine.parameters["part.learn"] = "on"
        hear(stream, own[start : start + two])
        engine.parameters["part.learn"] = "off"
        sampler.wait()
        engine.parameters["part.solo"] = "on"
        hear(stream, np.zeros((rate // 10, 1), np.float32))
        heard, late = hear(stream, mix[half:]), engine.latency
        yield name, (si_sdr(own[half:-late], mix[half:-late]), si_sdr(own[half:-late], heard[late:]))


def hear(stream, sound, block=4096):
    """What comes out of `stream` while `sound` (samples, 1) comes in."""
    heard = np.zeros((len(sound), int(stream.state.channels[1])), np.float32)
    for start in range(0, len(sound), block):
        part = slice(start, min(start + block, len(sound)))
        given, came = np.ascontiguousarray(sound[part]), np.zeros_like(heard[part])
        stream.callback(given, came, len(given), None, None)
        heard[part] = came
    return heard[:, :1]


def cost(runs, seconds, rate=48000, block=128):
    """Share of one core and worst block in percent, for each run: without and with parts."""
    sizes = Settings().sizes(rate)
    random, bins = np.random.default_rng(1), sizes.window_size // 2 + 1
    rows = random.random((40, bins)).astype(np.float32) ** 4
    rows /= rows.sum(1, keepdims=True)
    templates = Templates(
        ("a", "b", "c", "d"), rows, np.repeat(np.arange(4), 10), rate, sizes.window_size, sizes.synthesis_size
    )
    sound, deadline = song(2, seconds), block / rate
    for name, given in (("without", None), ("40 components", templates)):
        engine = Engine(Settings(templates=given))
        engine.prepare(sample_rate=rate, channels=2, max_block=block)
        arrays, times = rooms(block, 2, len(engine.stems)), np.zeros(len(sound) // block)
        figures = []
        for _ in range(runs + 1):
            measure_blocks(engine.state, sound, *arrays, times)
            figures.append([times.mean() / deadline * 100, times.max() / deadline * 100])
        yield name, np.array(figures[1:]).T


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the tables")
    parser.add_argument("--seconds", type=float, default=10, help="of music in a run of the second table")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    found = {folder.name: read(folder) for folder, roles in items(options.data) if roles >= set(SCORED)}
    if not found:
        parser.error(f"{options.data} holds no item with {', '.join(SCORED)}.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of clipped recordings
        results = {name: measured(name, found) for name in found}
    columns = list(next(iter(results.values())))
    rows = [
        [name, *(" / ".join(f"{value:.1f}" for value in result[method]) for method in columns)]
        for name, result in results.items()
    ]
    average = {name: {method: [np.mean(result[method])] for method in columns} for name, result in results.items()}
    rows += [[name, *(f"{result[method][0]:.2f}" for method in columns)] for name, result in means(average)]
    live = {}
    for folder, _ in items(options.data):
        found = dict(learned_live(*read(folder)))
        if found:
            live[folder.name] = {"mixture": [m for m, _ in found.values()], "learned": [x for _, x in found.values()]}
            live[folder.name]["stems"] = " ".join(
                f"{name} {after - before:+.0f}" for name, (before, after) in found.items()
            )
    plain = {name: {key: [np.mean(result[key])] for key in ("mixture", "learned")} for name, result in live.items()}
    rows_live = [
        [name, *(f"{np.mean(result[key]):.1f}" for key in ("mixture", "learned")), result["stems"]]
        for name, result in live.items()
    ]
    rows_live += [[name, *(f"{result[key][0]:.2f}" for key in result), ""] for name, result in means(plain)]
    costs = [[name, spread(share), spread(worst)] for name, (share, worst) in cost(options.runs, options.seconds)]
    publish(
        options.out / "parts.md",
        [
            (
                "Drums after a sound check, and by the kit that comes along",
                ["kick / snare / hi-hat, dB", *columns],
                rows,
            ),
            ("Learned while it sounds", ["mean of the stems, dB", "mixture", "learned", "gain of each"], rows_live),
            ("Balanced, stereo, 48 kHz, blocks of 128", ["parts", "share of one core, %", "worst block, %"], costs),
        ],
    )
    write_json(options.json, results)


if __name__ == "__main__":
    main()
