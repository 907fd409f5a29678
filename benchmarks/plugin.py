"""The plugin against the engine that it is made of: time of a block, and of a new instance.

    python benchmarks/plugin.py [--runs 5]

Both process the same music in the same blocks, in turn; figures are medians, with the least and the most of the runs.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from rtsep import Engine, Settings, plugin
from rtsep.offline.files import song, sum_of

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from clap_host import Loaded

RATE, BLOCK, BLOCKS, INSTANCES = 48_000, 256, 2000, 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    sound = sum_of(song(RATE))[: BLOCK * BLOCKS]
    with tempfile.TemporaryDirectory() as folder:
        for mode in ("live", "balanced", "quality"):
            (path,) = plugin.write(folder, mode, Settings(mode), {}, formats=["clap"])
            begun = [started(path) for _ in range(INSTANCES)]
            engine = Engine(Settings(mode))
            engine.prepare(sample_rate=RATE, channels=2, max_block=BLOCK)
            loaded = Loaded(path)
            loaded.activate(RATE)
            # What Python takes to call either is measured by the blocks of nothing, and taken off.
            own, theirs = [], []
            for _ in range(options.runs):
                own.append(timed(engine.process, sound) - timed(engine.process, sound[:0]))
                theirs.append(timed(loaded.run, sound) - timed(loaded.run, sound[:0]))
            loaded.destroy()
            ratios = [there / here for there, here in zip(theirs, own, strict=True)]
            times = f"plugin {statistics.median(theirs):.1f} us, engine {statistics.median(own):.1f} us"
            ratio = f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            print(f"{mode:9} block of {BLOCK}: {times}, {ratio}; ready in {statistics.median(begun):.2f} ms")


def timed(process, sound) -> float:
    """Microseconds for a block of `sound`, on an average."""
    blocks = [sound[start : start + BLOCK] for start in range(0, len(sound), BLOCK)] or [sound] * BLOCKS
    start = time.perf_counter()
    for block in blocks:
        process(np.ascontiguousarray(block))
    return 1e6 * (time.perf_counter() - start) / len(blocks)


def started(path: Path) -> float:
    """Milliseconds until an instance is ready to play."""
    start = time.perf_counter()
    loaded = Loaded(path)
    assert loaded.activate(RATE)
    seconds = time.perf_counter() - start
    loaded.destroy()
    return 1e3 * seconds


if __name__ == "__main__":
    main()
