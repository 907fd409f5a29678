"""A stage of one's own: a spectral gate. What is faint goes from every stem to the residual, which may be muted.

    python examples/spectral_gate.py

It tells by how many decibels the stems of the bundled song, and of hiss at -60 dBFS, go down through the gate. The
engine with the gate is compiled the first time, in about half a minute.
"""

import sys

import numpy as np

import rtsep

THRESHOLD_DB, KEEP = -50.0, 0.8  # of a sine of full scale; part of the openness that a frame leaves to the next


def prepare(sample_rate, hop_size, bins):
    """The threshold as a magnitude, and how open each bin is."""
    full_scale = bins / 4  # the magnitude of a sine of full scale, about
    return np.array([full_scale * 10 ** (THRESHOLD_DB / 20), *np.ones(bins)], np.float32)


@rtsep.kernel
def reset(state):
    state[1:] = 1


@rtsep.kernel
def process(state, magnitude, masks):
    threshold, open = state[0], state[1:]
    for k in range(magnitude.shape[0]):
        goal = np.float32(1) if magnitude[k] > threshold else np.float32(0)
        open[k] = max(goal, open[k] * np.float32(KEEP))  # opens at once, closes slowly
        for s in range(masks.shape[0]):
            masks[s, k] *= open[k]


if __name__ == "__main__":
    from rtsep.offline.files import song, sum_of

    rate = 48_000
    music = sum_of(song(rate))
    hiss = np.random.default_rng(0).normal(0, 10 ** (-60 / 20), (4 * rate, 2)).astype(np.float32)
    gated = rtsep.Settings("balanced", stages=(sys.modules[__name__],))

    def level_db(sound, settings):
        stems = rtsep.separate(sound, rate, settings=settings)
        return 10 * np.log10(np.mean(sum_of({stem: stems[stem] for stem in rtsep.STEMS[:-1]}) ** 2) + 1e-12)

    for name, sound in (("song", music), ("hiss", hiss)):
        change = level_db(sound, gated) - level_db(sound, rtsep.Settings("balanced"))
        print(f"{name}: {change:+.1f} dB")
