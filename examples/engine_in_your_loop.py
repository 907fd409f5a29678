"""The engine inside somebody else's callback or loop: blocks of any size in, blocks of the same size out.

python examples/engine_in_your_loop.py             # makes its own sound, prints what the faders do
"""

import numpy as np

from rtsep import STEMS, Engine, Settings

RATE, CHANNELS = 48_000, 2
random = np.random.default_rng(0)


def somebody_elses_blocks():
    """Three seconds of a chord with a click every quarter of a second, in blocks as they happen to come."""
    time = np.arange(3 * RATE) / RATE
    chord = sum(np.sin(2 * np.pi * pitch * time) for pitch in (220, 277, 330)) / 12
    clicks = random.standard_normal(len(time)) * np.exp(-(time % 0.25) / 0.01) / 4
    sound = np.stack([chord + clicks, chord + clicks], axis=1)
    start = 0
    while start < len(sound):
        count = int(random.integers(1, 512))
        yield sound[start : start + count]
        start += count


engine = Engine(Settings(mode="live"))
engine.prepare(sample_rate=RATE, channels=CHANNELS, max_block=512)
print(f"mode live: {engine.latency} samples, {engine.latency / RATE * 1e3:.1f} ms late")

for number, block in enumerate(somebody_elses_blocks()):
    if number == 300:
        engine.parameters["percussive.mute"] = "on"  # from any thread, at any time; it glides
    output = engine.process(block)
    assert output.shape == block.shape
    if number % 100 == 99:
        levels = ", ".join(
            f"{20 * np.log10(level + 1e-9):6.1f}" for level in (*engine.meters.stems, *engine.meters.output)
        )
        print(f"block {number + 1}: {', '.join(STEMS)} and output at {levels} dB")
