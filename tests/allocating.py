"""Prints, as JSON, how many allocations 1,000 blocks of each mode make after the first ones on the same thread.

Run by test_realtime.py in a process of its own, with the library of count_allocations.c preloaded.
"""

import ctypes
import json
import sys

import numba
import numpy as np

from rtsep.engine import Engine, process
from rtsep.settings import MODES, STEMS, Settings

allocations = ctypes.CDLL(None).allocations
allocations.restype, allocations.argtypes = ctypes.c_long, ()
malloc = ctypes.CDLL(None).malloc
malloc.restype, malloc.argtypes = ctypes.c_size_t, (ctypes.c_size_t,)


@numba.njit(nogil=True, error_model="numpy", _nrt=False)
def counted(state, sound, voice, output, stems, blocks):
    """Allocations during `blocks` blocks, taken from `sound` (blocks, samples, channels) over and over."""
    before = allocations()
    for i in range(blocks):
        process(state, sound[i % sound.shape[0]], voice, output, stems)
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
        engine = Engine(Settings(mode=mode, transpose=True))
        engine.prepare(sample_rate=48000, channels=2)
        random, seconds = np.random.default_rng(1), np.arange(50 * 128) / 48000
        tone = sum(np.sin(2 * np.pi * partial * 300 * seconds) for partial in range(1, 6))
        sound = (0.01 * random.standard_normal((50, 128, 2)) + 0.05 * tone.reshape(50, 128, 1)).astype(np.float32)
        voice = np.full((128, 1), 0.1, np.float32)
        output, stems = np.zeros((128, 2), np.float32), np.zeros((len(STEMS), 128, 2), np.float32)
        counted(engine.state, sound, voice, output, stems, engine.sizes.hop_size // 128 + 10)
        report[mode] = 0
        for semitones in (0, 3, -5, 0):  # also a first change of key must not allocate
            engine.parameters["key.semitones"] = semitones
            report[mode] += counted(engine.state, sound, voice, output, stems, 250)
        assert output.any()
        assert engine.settings.melody == (engine.meters.f0[0] > 0)
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
