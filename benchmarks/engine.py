"""The whole engine: share of one core and worst block for every mode, rate and block size; memory; start; latency.

    python benchmarks/engine.py [--seconds 2] [--runs 3] [--skip-start] [--json FILE]

Blocks are timed inside a compiled loop on music. Each cell is "share of one core / worst block": the median over
the runs of the processor's time for all blocks by the time they last, and of the longest block's time by its own.
What else runs on the machine is in the latter alone. Modes are as they are by default; "classic" is with masks=classic.

The bar: 256 samples at 48 kHz, stereo, cost at most BAR_MS on an average, 99.9 % of them at most BAR_RARE_MS, and the
worst block of 64 or 128 at most BAR_WORST of the time that it lasts. It is held against "undisturbed" blocks: all runs
play the same sound, and each block counts as in the run where it was quickest, which leaves out what else runs.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from table import show, song, spread, write_json

from rtsep.chain import process
from rtsep.engine import Engine
from rtsep.kernels import clock, kernel
from rtsep.settings import MODES, Settings

RATES, CHANNELS, BLOCKS = (44100, 48000, 96000), (1, 2, 8), (32, 64, 128, 256, 512, 1024)
BAR_MS, BAR_RARE_MS, BAR_WORST = 0.7, 2.0, 0.5

FIRST_SOUND = """
import sys, numpy
from rtsep import Engine, Settings, library
library.COMPILED = library.cache_folder()  # as where the package comes without a library
engine = Engine(Settings())
engine.prepare(sample_rate=48000, channels=2, max_block=128)
engine.process(numpy.zeros((128, 2), numpy.float32))
print("sound", flush=True)
sys.stdin.read()
"""


@kernel
def measure_blocks(state, sound, voice, output, stems, times):
    """Times (blocks,) in seconds of the engine on one block after another."""
    samples = output.shape[0]
    for i in range(times.shape[0]):
        started = clock()
        process(state, sound[i * samples : (i + 1) * samples], voice, output, stems)
        times[i] = clock() - started


def rooms(block, channels, stems):
    """What `process` needs beside a block: no microphone, the output and the stems."""
    shapes = (block, 0), (block, channels), (stems, block, channels)
    return [np.zeros(shape, np.float32) for shape in shapes]


def measured(settings, rate, channels, block, runs, seconds):
    """For each run: share of one core, 99.9 % and worst block as parts of their deadline; the last two undisturbed."""
    engine = Engine(settings)
    engine.prepare(sample_rate=rate, channels=channels, max_block=block)
    sound = song(channels, seconds * rate / 44100)
    arrays = rooms(block, channels, len(engine.stems))
    times, deadline = np.zeros(len(sound) // block), block / rate
    measure_blocks(engine.state, sound, *arrays, times[: len(times) // 4])
    figures, least = [], np.full(len(times), np.inf)
    for _ in range(runs):
        engine.reset()
        started = time.thread_time()
        measure_blocks(engine.state, sound, *arrays, times)
        share = (time.thread_time() - started) / len(times) / deadline
        figures.append([share, np.quantile(times, 0.999) / deadline, times.max() / deadline])
        least = np.minimum(least, times)
    return np.array(figures), (np.quantile(least, 0.999) / deadline, least.max() / deadline)


def bytes_of(state):
    """Bytes of all arrays of a state, those of its parts counted in."""
    return sum(bytes_of(part) if hasattr(part, "_fields") else part.nbytes for part in state)


def latencies():
    rows, data = [], {}
    for mode in MODES:
        cells = []
        for rate in RATES:
            engine = Engine(Settings(mode=mode))
            engine.prepare(sample_rate=rate, channels=1, max_block=64)
            cells.append(f"{engine.latency} ({engine.latency / rate * 1e3:.1f} ms)")
            data[f"{mode} {rate}"] = engine.latency
        rows.append([mode, *cells])
    show("Latency in samples (and milliseconds)", ["mode", *(f"{rate / 1000:g} kHz" for rate in RATES)], rows)
    return data


def grid(options):
    rows, data = [], {}
    for mode in options.modes:
        for rate in options.rates:
            for channels in options.channels:
                cells = []
                for block in BLOCKS:
                    figures, _ = measured(Settings(mode=mode), rate, channels, block, options.runs, options.seconds)
                    share, _, worst = np.median(figures, axis=0)
                    cells.append(f"{share:.1%} / {worst:.0%}")
                    data[f"{mode} {rate} {channels} {block}"] = figures.tolist()
                rows.append([f"{mode}, {rate / 1000:g} kHz, {channels} ch", *cells])
    show("Share of one core / worst block, by block size", ["engine", *map(str, BLOCKS)], rows)
    return data


def named(options):
    """The figures that are promised, with their ranges, and whether they meet the bar."""
    rows, data = [], {}
    for mode in ("live", "balanced"):
        for name, settings in ((mode, Settings(mode=mode)), (f"{mode}, classic", Settings(mode=mode, masks="classic"))):
            for block in (64, 128, 256):
                runs, seconds = max(options.runs, 5), 5 * options.seconds
                figures, (rare, worst) = measured(settings, 48000, 2, block, runs, seconds)
                data[f"{name} {block}"] = figures.tolist()
                each_ms = 256 / 48000 * 1e3 * figures[:, 0]
                if block == 256:
                    met = np.median(each_ms) <= BAR_MS and 256 / 48000 * 1e3 * rare < BAR_RARE_MS
                else:
                    met = worst < BAR_WORST
                cells = [spread(column, ".2f") for column in (*(100 * figures.T), each_ms)]
                cells.append(f"{100 * rare:.1f} / {100 * worst:.1f}")
                rows.append([f"{name}, blocks of {block}", *cells, "met" if met else "missed"])
    header = ["engine", "% of one core", "99.9 % of blocks within % of their time", "worst block, %"]
    header += ["ms per 256 samples", "undisturbed: 99.9 % / worst, %", "the bar"]
    show(
        "In detail, 48 kHz, stereo: median of the runs [least .. most]",
        header,
        rows,
    )
    return data


def memory():
    rows, data = [], {}
    for mode in MODES:
        sizes = []
        for rate in RATES:
            engine = Engine(Settings(mode=mode))
            engine.prepare(sample_rate=rate, channels=2)
            sizes.append(bytes_of(engine.state) / 1e6)
        rows.append([mode, *(f"{size:.2f}" for size in sizes)])
        data[mode] = sizes
    show("State of a stereo engine, MB", ["mode", *(f"{rate / 1000:g} kHz" for rate in RATES)], rows)
    return data


def first_sound(cache):
    """Seconds from the start of a process to its first sound, and its memory in MB then."""
    paths = os.pathsep.join([str(Path(__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", FIRST_SOUND],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "RTSEP_CACHE": cache, "PYTHONPATH": paths},
    )
    assert process.stdout.readline() == "sound\n"
    seconds = time.perf_counter() - started
    statm = Path(f"/proc/{process.pid}/statm")
    resident = int(statm.read_text().split()[1]) * resource.getpagesize() / 1e6 if statm.exists() else float("nan")
    process.communicate()
    return seconds, resident


def start(options):
    with tempfile.TemporaryDirectory() as cache:
        cold = [first_sound(cache)]
        warm = [first_sound(cache) for _ in range(max(options.runs, 5))]
    rows = []
    for name, found in (("empty cache", cold), ("filled cache", warm)):
        seconds, megabytes = zip(*found, strict=True)
        rows.append([name, spread(seconds, ".2f"), spread(megabytes, ".0f")])
    show("From the start of a process to its first sound (balanced)", ["start", "seconds", "process memory, MB"], rows)
    return {"cold": cold, "warm": warm}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2, help="of music in a run")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--rates", nargs="+", type=int, default=RATES)
    parser.add_argument("--channels", nargs="+", type=int, default=CHANNELS)
    parser.add_argument("--skip-start", action="store_true", help="do not measure the start, which builds the library")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    data = {"latency": latencies(), "state": memory()}
    if not options.skip_start:
        data["start"] = start(options)
    data["named"] = named(options)
    data["grid"] = grid(options)
    write_json(options.json, data)


if __name__ == "__main__":
    main()
