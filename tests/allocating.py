"""Prints, as JSON, how many allocations the virtual sound card's thread makes while it runs in each mode.

Run by test_realtime.py in a process of its own, with the library of count_allocations.c preloaded.
"""

import ctypes
import json
import sys
import threading
import time

import numpy as np

from rtsep.engine import Engine
from rtsep.kernels import Image
from rtsep.live import callback, player
from rtsep.settings import MODES, Settings

BLOCK, BLOCKS = 128, 1000

allocations = ctypes.CDLL(None).allocations
allocations.restype, allocations.argtypes = ctypes.c_long, ()


def counted(image, block, blocks, moves=()):
    """Allocations on this thread while at least `blocks` are processed, with `moves` made meanwhile."""
    running = np.array([int(blocks > 0)])
    state, output = image.state, np.zeros_like(block)

    def watch():
        done = 0
        for i, move in enumerate(moves):
            while done < blocks * i / len(moves):
                time.sleep(0.001)
                done = state.counts[callback.CALLS]
            move()
        while state.counts[callback.CALLS] < blocks:
            time.sleep(0.001)
        running[0] = 0

    watcher = threading.Thread(target=watch)
    watcher.start()
    arguments = image, block, output, 1e-4, running, np.zeros(1, np.int64)
    before = allocations()
    callback.virtual_host(*arguments)
    made = allocations() - before
    watcher.join()
    assert not blocks or output.any()
    return made


def main():
    report = {}
    for mode in MODES:
        engine = Engine(Settings(mode=mode, transpose=True))
        engine.prepare(sample_rate=48000, channels=2, max_block=callback.PIECE)
        empty = player.empty(2), player.empty(1)
        state = callback.prepare(engine.state, 48000, (2, 2), *empty, microphone=None, ring=48000)
        random, seconds = np.random.default_rng(1), np.arange(BLOCK) / 48000
        tone = sum(np.sin(2 * np.pi * partial * 375 * seconds) for partial in range(1, 6))
        block = (0.01 * random.standard_normal((BLOCK, 2)) + 0.05 * tone[:, np.newaxis]).astype(np.float32)
        image = Image(state)
        own = min(counted(image, block, 0) for _ in range(3))  # what a call from Python takes by itself
        moves = [
            lambda key=key, engine=engine: engine.parameters.update({"key.semitones": key}) for key in (0, 3, -5, 0)
        ]
        report[mode] = counted(image, block, BLOCKS, moves) - own
        assert state.counts[callback.CALLS] >= BLOCKS
        assert engine.settings.melody == (engine.meters.f0[0] > 0)
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
