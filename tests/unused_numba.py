"""Uses the engine in the ways that there are, and prints, as JSON, which compilers were imported: none may be."""

import json
import sys

import numpy as np

from rtsep.engine import Engine
from rtsep.live import stream
from rtsep.offline.render import follow, separate
from rtsep.settings import MODES, Settings
from rtsep.templates import Templates


def main():
    for mode in MODES:
        for channels in (1, 2):
            engine = Engine(Settings(mode=mode, transpose=True))
            engine.prepare(sample_rate=48000, channels=channels, score=np.ones((3, 2)))
            engine.parameters["key.semitones"] = 2
            block = np.zeros((5000, channels), np.float32)
            engine.process(block[:4000], np.zeros(4000, np.float32))
            engine.process_stems(block[:0])
            engine.process_stems(block[:4000])
            engine.reset()
    for splits in ("percussive", "mix"):
        templates = Templates(
            ("a", "b"), np.eye(2, 1025, dtype=np.float32), np.arange(2), 48000, 2048, 512, splits=splits
        )
        separate(block, sample_rate=48000, settings=Settings(templates=templates))
    separate(block, sample_rate=48000, settings=Settings(learn=("a",), room=True))
    separate(block, sample_rate=48000, mix=True)
    follow(np.asfortranarray(block), sample_rate=48000)
    with stream.open_stream(Engine(), "virtual", source=block, microphone=block) as running:
        while running.stats().blocks < 10:
            pass
    json.dump([name for name in ("numba", "llvmlite") if name in sys.modules], sys.stdout)


if __name__ == "__main__":
    main()
