"""Prints, as JSON, how many allocations 1,000 blocks of each mode make after a first block on the same thread.

Run by test_realtime.py in a process of its own, with the library of count_allocations.c preloaded.
"""

import ctypes
import json
import sys

import numba
import numpy as np

from rtsep.engine import Engine, process
from rtsep.settings import MODES, Settings

allocations = ctypes.CDLL(None).allocations
allocations.restype, allocations.argtypes = ctypes.c_long, ()
malloc = ctypes.CDLL(None).malloc
malloc.restype, malloc.argtypes = ctypes.c_size_t, (ctypes.c_size_t,)


@numba.njit(nogil=True, error_model="numpy", _nrt=False)
def counted(state, sound, output, stems, blocks):
    """Allocations during `blocks` blocks, taken from `sound` (blocks, samples, channels) over and over."""
    before = allocations()
    for i in range(blocks):
        process(state, sound[i % sound.shape[0]], output, stems)
    return allocations() - before


@numba.njit(_nrt=False)
def counted_allocating(blocks):
    """The same for a loop that does allocate."""
    before = allocations()
    for _ in range(blocks):
        malloc(100)
    return allocations() - before


def main():
    report = {"allocating": counted_allocating(1000)}
    for mode in MODES:
        engine = Engine(Settings(mode=mode))
        engine.prepare(sample_rate=48000, channels=2)
        sound = (0.1 * np.random.default_rng(1).standard_normal((50, 128, 2))).astype(np.float32)
        output, stems = np.zeros((128, 2), np.float32), np.zeros((3, 128, 2), np.float32)
        counted(engine.state, sound, output, stems, engine.sizes.hop_size // 128 + 1)
        report[mode] = counted(engine.state, sound, output, stems, 1000)
        assert output.any()
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
