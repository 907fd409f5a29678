"""Microseconds per hop of each stage, of the parts of the melody, and of the medians against scipy.ndimage.

    python benchmarks/stages.py [--modes live balanced quality] [--rate 48000] [--channels 2] [--seconds 10]

Stages are measured inside a compiled loop, so that no call from Python is in the figures; they include about
0.03 us for reading the clock. All figures of one run belong together: compare ratios, not runs. The noise of a
room, key (three semitones up), microphone and limiter are on here, which they are not by default. Melody and masks are
measured both ways, by the networks (of any lead) and the classic one, each melody with a memory of its own.

The rows "all" are no sums, but the engine as it is by default, one hop after another: with learned masks, which take
the pitch of the one network and the masks of the other, and with classic ones. The melody is heard afresh only every
few hops where they are short; those hops are the dear ones.
"""

import argparse
import time

import numpy as np
from engine import measure_blocks, rooms
from scipy.fft import irfft, rfft
from scipy.ndimage import median_filter
from table import show, song, spread, write_json

from rtsep import places as at
from rtsep.chain import _read_faders
from rtsep.dsp import (
    fft,
    hpss,
    key,
    learned,
    limiter,
    masks,
    melody,
    meters,
    microphone,
    mix,
    noise,
    panning,
    pitchnet,
    salience,
    stft,
)
from rtsep.engine import Engine
from rtsep.kernels import clock, kernel
from rtsep.settings import MODES, Settings

STAGES = (
    "write",
    "mix",
    "analyze",
    "noise",
    "medians",
    "place",
    "melody by salience",
    "melody by network",
    "classic masks",
    "learned masks",
    "synthesize",
    "key",
    "microphone",
    "limiter",
    "meters",
)
SUMMARY = ("mean", "median", "99.9 %", "worst")
SALIENCE, ANY_LEAD = -1, 1
"""Who tells the pitch: `head` of `melody.process`."""

MELODY = ("salience", "network", "tracking", "comb", "all, per hop")
PEER_US = 223  # HPSSClient of FluCoMa (flucoma-core 0626d7a3, C++, double), on such a machine in another run


@kernel
def measure_stages(state, twin, sound, voice, output, stems, times):
    """Times (stages, hops) in seconds of a hop through each stage, in the order of `engine.process`.

    `twin` is another state of its melody, for salience.
    """
    hop, targets = state.dry.shape[0], state.targets
    one = np.float32(1)
    _read_faders(state)
    for t in range(times.shape[1]):
        block, taken = sound[t * hop : (t + 1) * hop], times[:, t]
        taken[0] = -clock()
        stft.write(state.stft, 0, block, state.dry)
        _next(taken, 1)
        mix.process(state.mix, 0, state.dry, state.stft.ready, stems, output)
        _next(taken, 2)
        stft.analyze(state.stft, state.magnitude)
        _next(taken, 3)
        row = state.stft.newest[0]
        noise.process(state.noise, row, state.magnitude)
        noise.take_out(state.noise, row, state.placed)
        noise.weigh(state.noise, row, state.masks)
        _next(taken, 4)
        hpss.process(state.hpss, state.magnitude, state.harmonic, state.percussive)
        _next(taken, 5)
        newest, due = state.stft.spectra[row], state.hpss.history[hpss.due(state.hpss)]
        panning.process(newest, targets[at.melody_pan], targets[at.melody_pan_width], state.placed, state.place)
        _next(taken, 6)
        melody.process(
            twin, newest, due, targets[at.melody_low_hz], targets[at.melody_high_hz], 0, SALIENCE, state.share
        )
        _next(taken, 7)
        melody.process(
            state.melody, newest, due, targets[at.melody_low_hz], targets[at.melody_high_hz], 0, ANY_LEAD, state.share
        )
        _next(taken, 8)
        masks.process(
            state.harmonic,
            state.percussive,
            state.share,
            targets[at.hpss_bias],
            targets[at.hpss_separation],
            targets[at.hpss_exponent],
            targets[at.hpss_mask],
            state.masks,
        )
        _next(taken, 9)
        learned.process(
            state.learned, due, state.melody.place, state.melody.weight, state.melody.gate[0], state.share, state.whole
        )
        masks.place(state.place, state.whole)
        _next(taken, 10)
        stft.synthesize(state.stft, state.masks)
        _next(taken, 11)
        key.process(state.key, np.float32(3), output)
        _next(taken, 12)
        microphone.process(state.microphone, one, np.float32(80), np.float32(0), np.float32(0.25), voice, output)
        _next(taken, 13)
        limiter.process(state.limiter, one, output)
        _next(taken, 14)
        meters.process(state.meters, block, output, stems)
        taken[14] += clock()


@kernel
def _next(taken, stage):
    """The stage before `stage` has ended, and this one begins."""
    now = clock()
    taken[stage - 1] += now
    taken[stage] = -now


@kernel
def measure_melody(state, twin, head, sound, times):
    """Times (parts, hops) in seconds of MELODY by `head`; `twin` is another state of it. What does not run is nan."""
    hop, low, high = state.dry.shape[0], state.targets[at.melody_low_hz], state.targets[at.melody_high_hz]
    inner = state.melody
    times[:] = np.nan
    for t in range(times.shape[1]):
        stft.write(state.stft, 0, sound[t * hop : (t + 1) * hop], state.dry)
        stft.analyze(state.stft, state.magnitude)
        hpss.process(state.hpss, state.magnitude, state.harmonic, state.percussive)
        newest, due = state.stft.spectra[state.stft.newest[0]], state.hpss.history[hpss.due(state.hpss)]
        hearing = inner.hops[0] == 0
        started = clock()
        if hearing:
            salience.process(twin.salience, newest, twin.fresh, twin.best)
        heard = clock()
        if hearing and head >= 0:
            pitchnet.process(twin.pitchnet, newest, head, twin.likelihood)
        alone = clock()
        melody.process(inner, newest, due, low, high, 0, head, state.share)
        whole = clock()
        inner.hops[0] += 1  # the same hop once more, which hears nothing new: the comb
        melody.process(inner, newest, due, low, high, 0, head, state.share)
        combed = clock() - whole
        times[3, t], times[4, t] = combed, whole - alone
        if hearing:
            times[0, t], times[2, t] = heard - started, whole - alone - combed - (alone - started)
        if hearing and head >= 0:
            times[1, t] = alone - heard


@kernel
def measure_medians(state, magnitudes, harmonic, percussive, melody, made, times):
    """Times (frames,) in seconds of both medians and the masks of `magnitudes` (frames, bins)."""
    one, two, zero = np.float32(1), np.float32(2), np.float32(0)
    for t in range(times.shape[0]):
        started = clock()
        hpss.process(state, magnitudes[t], harmonic, percussive)
        masks.process(harmonic, percussive, melody, one, one, two, zero, made)
        times[t] = clock() - started


@kernel
def measure_transforms(state, signal, spectrum, times):
    """Times (pairs,) in seconds of a transform and its inverse."""
    for t in range(times.shape[0]):
        started = clock()
        fft.forward(state, signal, spectrum)
        fft.inverse(state, spectrum, signal)
        times[t] = clock() - started
        for i in range(signal.shape[0]):
            signal[i] /= np.float32(signal.shape[0])


def transforms_against_scipy(runs):
    """Microseconds of a transform and its inverse in each run: {size: (ours, scipy's)}."""
    result = {}
    for size in (512, 2048, 8192):
        state, signal = fft.prepare(size), song(1, 1)[:size, 0].copy()
        spectrum, times = np.zeros(size // 2 + 1, np.complex64), np.zeros(2000)
        pairs = ([], [])
        for _ in range(runs):
            measure_transforms(state, signal, spectrum, times)
            pairs[0].append(np.median(times) * 1e6)
            pairs[1].append(timed(lambda signal=signal: [irfft(rfft(signal)) for _ in range(500)], 500))
        result[size] = pairs
    return result


def prepared(settings, rate, channels):
    """An engine, and the arrays that a hop of it needs."""
    engine = Engine(settings)
    engine.prepare(sample_rate=rate, channels=channels)
    return engine, rooms(engine.sizes.hop_size, channels, len(engine.stems))


def stages(mode, rate, channels, seconds):
    """Times (stages, hops) in microseconds, after a first second to warm up."""
    settings = Settings(mode=mode, transpose=True, room=True)
    engine, (_, output, stems) = prepared(settings, rate, channels)
    twin = prepared(settings, rate, channels)[0].state.melody
    sound = song(channels, seconds * rate / 44100)
    hop = engine.sizes.hop_size
    voice = np.ascontiguousarray(sound[:hop, :1])
    noise.fill(engine.state.noise, np.full((1, len(engine.state.magnitude)), 0.1))
    times = np.zeros((len(STAGES), len(sound) // hop))
    measure_stages(engine.state, twin, sound, voice, output, stems, times[:, : rate // hop])
    measure_stages(engine.state, twin, sound, voice, output, stems, times)
    return engine, times * 1e6


def whole_engine(mode, masks, rate, channels, seconds):
    """Microseconds (hops,) of the engine as it is by default but for its `masks`, on blocks of one hop."""
    engine, arrays = prepared(Settings(mode=mode, masks=masks), rate, channels)
    sound = song(channels, seconds * rate / 44100)
    times = np.zeros(len(sound) // engine.sizes.hop_size)
    for _ in range(2):
        measure_blocks(engine.state, sound, *arrays, times)
    return times * 1e6


def parts_of_melody(mode, head, seconds, rate=48000):
    """The hop in samples, and times (parts, hops) in microseconds of the melody of stereo sound."""
    engine, _ = prepared(Settings(mode=mode), rate, 2)
    twin = prepared(Settings(mode=mode), rate, 2)[0].state.melody
    sound = song(2, seconds * rate / 44100)
    hop = engine.sizes.hop_size
    times = np.zeros((len(MELODY), len(sound) // hop))
    for _ in range(2):
        measure_melody(engine.state, twin, head, sound, times)
    return hop, times * 1e6


def whole_hop(runs, seconds):
    """Median microseconds of each run of a whole hop, window 2048 and hop 512, mono, medians of 17 and 31."""
    settings = Settings(mode="offline", harmonic_s=17 * 512 / 44100, lookahead_s=0)
    engine, arrays = prepared(settings, 44100, 1)
    sizes = engine.sizes
    found = (sizes.window_size, sizes.hop_size, sizes.harmonic_frames, sizes.percussive_bands)
    assert found == (2048, 512, 17, ((0, 31),)), found
    sound = song(1, seconds)
    times = np.zeros(len(sound) // 512)
    medians = []
    for _ in range(runs + 1):
        measure_blocks(engine.state, sound, *arrays, times)
        medians.append(np.median(times) * 1e6)
    return medians[1:]


def summary(taken):
    """What is told of times: SUMMARY."""
    return taken.mean(), np.median(taken), np.quantile(taken, 0.999), taken.max()


def timed(work, frames):
    """Microseconds per frame that `work()` takes."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) / frames * 1e6


def medians_against_scipy(runs, seconds):
    """Microseconds per frame of each run, by who did it: 1025 bins, 17 frames, 31 bins."""
    frames, span = 17, 31
    sound = song(1, seconds)[:, 0]
    windowed = np.lib.stride_tricks.sliding_window_view(sound, 2048)[::512] * np.hanning(2049)[:-1]
    magnitudes = np.abs(np.fft.rfft(windowed)).astype(np.float32)
    count = min(len(magnitudes), 300)
    state = hpss.prepare(1025, frames, ((0, span),))
    spectra = (*np.zeros((3, 1025), np.float32), np.zeros((3, 1025), np.float32))
    times = np.zeros(len(magnitudes))
    measure_medians(state, magnitudes, *spectra, times)

    def whole():
        median_filter(magnitudes[:count], (frames, 1))
        median_filter(magnitudes[:count], (1, span))

    def framewise():
        for t in range(frames, frames + 30):
            median_filter(magnitudes[t - frames : t], (frames, 1))
            median_filter(magnitudes[t], span)

    result = {"ours": [], "scipy": [], "scipy framewise": []}
    for _ in range(runs):
        measure_medians(state, magnitudes, *spectra, times)
        result["ours"].append(np.median(times) * 1e6)
        result["scipy"].append(timed(whole, count))
        result["scipy framewise"].append(timed(framewise, 30))
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=["live", "balanced", "quality"])
    parser.add_argument("--rate", type=int, default=48000)
    parser.add_argument("--channels", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()

    data = {}
    for mode in options.modes:
        engine, times = stages(mode, options.rate, options.channels, options.seconds)
        rows, deadline = [], engine.sizes.hop_size / options.rate * 1e6
        lines = [*zip(STAGES, times, strict=True)]
        for kind in ("learned", "classic"):
            lines.append((f"all, {kind}", whole_engine(mode, kind, options.rate, options.channels, options.seconds)))
        for name, taken in lines:
            data[f"{mode} {name}"] = figures = summary(taken)
            rows.append([name, *(f"{figure:.1f}" for figure in figures), f"{figures[0] / deadline:.2%}"])
        sizes = engine.sizes
        show(
            f"Microseconds per hop: {mode}, {options.rate} Hz, {options.channels} channels, "
            f"window {sizes.window_size}, hop {sizes.hop_size} ({deadline:.0f} us), {times.shape[1]} hops",
            ["stage", *SUMMARY, "mean: share of the deadline"],
            rows,
        )

    rows = []
    for mode in [mode for mode in options.modes if Settings(mode=mode).melody]:
        for who, head in (("network", ANY_LEAD), ("salience", SALIENCE)):
            hop, times = parts_of_melody(mode, head, options.seconds)
            for name, taken in zip(MELODY, times, strict=True):
                if np.isfinite(taken).any():
                    data[f"{mode} by {who}: {name}"] = figures = summary(taken[np.isfinite(taken)])
                    rows.append([f"{mode}, hop {hop}, by {who}: {name}", *(f"{figure:.1f}" for figure in figures)])
    show("Microseconds of the melody, 48 kHz, stereo, each time that the part runs", ["part", *SUMMARY], rows)

    peers = medians_against_scipy(options.runs, options.seconds)
    ours = np.median(peers["ours"])
    titles = {
        "ours": "rtsep: both medians and the masks",
        "scipy": "scipy.ndimage.median_filter (17, 1) and (1, 31) over the spectrogram, per frame",
        "scipy framewise": "the same called frame by frame, (17, 1) on the last 17 frames",
    }
    show(
        f"Medians of 17 frames and 31 bins, 1025 bins, music: us per frame, median and range of {options.runs} runs",
        ["who", "us", "times rtsep"],
        [[titles[who], spread(taken), f"{np.median(taken) / ours:.1f}"] for who, taken in peers.items()],
    )

    transforms = transforms_against_scipy(options.runs)
    show(
        f"A real transform and its inverse: us, median and range of {options.runs} runs",
        ["samples", "rtsep", "scipy.fft, float32, called from Python", "times rtsep"],
        [
            [str(size), *map(spread, pairs), f"{np.median(pairs[1]) / np.median(pairs[0]):.1f}"]
            for size, pairs in transforms.items()
        ],
    )

    hop = whole_hop(options.runs, options.seconds)
    show(
        f"A whole hop, STFT to limiter, window 2048, hop 512, mono: us, median and range of {options.runs} runs",
        ["who", "us", "times rtsep"],
        [
            ["rtsep", spread(hop), "1.0"],
            ["FluCoMa HPSS, C++ (another run, such a machine)", PEER_US, f"{PEER_US / np.median(hop):.1f}"],
        ],
    )
    write_json(options.json, {"stages": data, "medians": peers, "whole_hop": hop, "transforms": transforms})


if __name__ == "__main__":
    main()
