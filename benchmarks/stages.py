"""Microseconds per hop of each stage, and of the sliding medians against scipy.ndimage.

    python benchmarks/stages.py [--mode balanced] [--rate 48000] [--channels 2] [--seconds 10] [--json FILE]

Stages are measured inside a compiled loop, so that no call from Python is in the figures; they include about
0.03 us for reading the clock. All figures of one run belong together: compare ratios, not runs.
"""

import argparse
import time

import numpy as np
from engine import measure_blocks
from scipy.ndimage import median_filter
from table import show, song, spread, write_json

from rtsep.dsp import hpss, masks, meters, mix, stft
from rtsep.engine import _BIAS, _BINARY, _EXPONENT, _SEPARATION, Engine, _read_targets
from rtsep.kernel import clock, kernel
from rtsep.settings import MODES, Settings

STAGES = ("write", "mix", "analyze", "hpss", "masks", "synthesize", "meters")
PEER_US = 223  # HPSSClient of FluCoMa (flucoma-core 0626d7a3, C++, double), on such a machine in another run


@kernel
def measure_stages(state, sound, output, stems, times):
    """Times (stages, hops) in seconds of a hop through each stage, in the order of `engine.process`."""
    hop, targets = state.dry.shape[0], state.targets
    ceiling = _read_targets(state)
    for t in range(times.shape[1]):
        block = sound[t * hop : (t + 1) * hop]
        started = clock()
        stft.write(state.stft, 0, block, state.dry)
        written = clock()
        mix.process(state.mix, ceiling, 0, state.dry, state.stft.ready, stems, output)
        mixed = clock()
        stft.analyze(state.stft, state.magnitude)
        analyzed = clock()
        hpss.process(state.hpss, state.magnitude, state.harmonic, state.percussive)
        filtered = clock()
        masks.process(
            state.harmonic,
            state.percussive,
            targets[_BIAS],
            targets[_SEPARATION],
            targets[_EXPONENT],
            targets[_BINARY],
            state.masks,
        )
        masked = clock()
        stft.synthesize(state.stft, state.masks)
        synthesized = clock()
        meters.process(state.meters, block, output, stems)
        metered = clock()
        times[0, t] = written - started
        times[1, t] = mixed - written
        times[2, t] = analyzed - mixed
        times[3, t] = filtered - analyzed
        times[4, t] = masked - filtered
        times[5, t] = synthesized - masked
        times[6, t] = metered - synthesized


@kernel
def measure_medians(state, magnitudes, harmonic, percussive, made, times):
    """Times (frames,) in seconds of both medians and the masks of `magnitudes` (frames, bins)."""
    one, two, zero = np.float32(1), np.float32(2), np.float32(0)
    for t in range(times.shape[0]):
        started = clock()
        hpss.process(state, magnitudes[t], harmonic, percussive)
        masks.process(harmonic, percussive, one, one, two, zero, made)
        times[t] = clock() - started


def prepared(settings, rate, channels):
    """An engine, and the arrays that a hop of it needs."""
    engine = Engine(settings)
    engine.prepare(sample_rate=rate, channels=channels)
    hop = engine.sizes.hop_size
    return engine, np.zeros((hop, channels), np.float32), np.zeros((3, hop, channels), np.float32)


def stages(mode, rate, channels, seconds):
    """Times (stages, hops) in microseconds, after a first second to warm up."""
    engine, output, stems = prepared(Settings(mode=mode), rate, channels)
    sound = song(channels, seconds * rate / 44100)
    times = np.zeros((len(STAGES), len(sound) // engine.sizes.hop_size))
    measure_stages(engine.state, sound, output, stems, times[:, : rate // engine.sizes.hop_size])
    measure_stages(engine.state, sound, output, stems, times)
    return engine, times * 1e6


def whole_hop(runs, seconds):
    """Median microseconds of each run of a whole hop, window 2048 and hop 512, mono, medians of 17 and 31."""
    settings = Settings(mode="offline", harmonic_s=17 * 512 / 44100, lookahead_s=0)
    engine, output, stems = prepared(settings, 44100, 1)
    sizes = engine.sizes
    found = (sizes.window_size, sizes.hop_size, sizes.harmonic_frames, sizes.percussive_bands)
    assert found == (2048, 512, 17, ((0, 31),)), found
    sound = song(1, seconds)
    times = np.zeros(len(sound) // 512)
    medians = []
    for _ in range(runs + 1):
        measure_blocks(engine.state, sound, output, stems, times)
        medians.append(np.median(times) * 1e6)
    return medians[1:]


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
    harmonic, percussive, made = np.zeros(1025, np.float32), np.zeros(1025, np.float32), np.zeros((2, 1025), np.float32)
    times = np.zeros(len(magnitudes))
    measure_medians(state, magnitudes, harmonic, percussive, made, times)

    def whole():
        median_filter(magnitudes[:count], (frames, 1))
        median_filter(magnitudes[:count], (1, span))

    def framewise():
        for t in range(frames, frames + 30):
            median_filter(magnitudes[t - frames : t], (frames, 1))
            median_filter(magnitudes[t], span)

    result = {"ours": [], "scipy": [], "scipy framewise": []}
    for _ in range(runs):
        measure_medians(state, magnitudes, harmonic, percussive, made, times)
        result["ours"].append(np.median(times) * 1e6)
        result["scipy"].append(timed(whole, count))
        result["scipy framewise"].append(timed(framewise, 30))
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=MODES, default="balanced")
    parser.add_argument("--rate", type=int, default=48000)
    parser.add_argument("--channels", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()

    engine, times = stages(options.mode, options.rate, options.channels, options.seconds)
    deadline = engine.sizes.hop_size / options.rate * 1e6
    rows, data = [], {}
    for name, taken in [*zip(STAGES, times, strict=True), ("all", times.sum(0))]:
        figures = np.median(taken), np.quantile(taken, 0.999), taken.max()
        rows.append([name, *(f"{figure:.1f}" for figure in figures), f"{figures[0] / deadline:.2%}"])
        data[name] = figures
    sizes = engine.sizes
    show(
        f"Microseconds per hop: {options.mode}, {options.rate} Hz, {options.channels} channels, "
        f"window {sizes.window_size}, hop {sizes.hop_size} ({deadline:.0f} us), {times.shape[1]} hops",
        ["stage", "median", "99.9 %", "worst", "share of the deadline"],
        rows,
    )

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

    hop = whole_hop(options.runs, options.seconds)
    show(
        f"A whole hop, STFT to limiter, window 2048, hop 512, mono: us, median and range of {options.runs} runs",
        ["who", "us", "times rtsep"],
        [
            ["rtsep", spread(hop), "1.0"],
            ["FluCoMa HPSS, C++ (another run, such a machine)", PEER_US, f"{PEER_US / np.median(hop):.1f}"],
        ],
    )
    write_json(options.json, {"stages": data, "medians": peers, "whole_hop": hop})


if __name__ == "__main__":
    main()
