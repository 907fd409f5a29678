"""What sounds beside parts that were recorded alone, learned from the very recording that they are taken out of.

Of such parts nothing is known but themselves, so that they would explain, and take, all that sounds. Updates that leave
their spectra as they are and learn others beside them find what else there is: Smaragdis, Raj and Shashanka,
"Supervised and semi-supervised separation of sounds from single-channel mixtures", ICA 2007.

Measured in the mode balanced, learned from one half of a recording and scored in the other (SI-SDR): nine stems of
three bands, each the only one that is known, have -5.3 dB in the mixture, -4.2 dB with nothing beside them, and -1.5 dB
with what is learned here; 1.5 dB if the others are known from recordings. A kick beside a snare that nobody knows goes
from 5.5 to 18 dB. Where all is known that sounds it would lose ten decibels, and is not done.
"""

from dataclasses import replace

import numpy as np

from ..factorization import factorize
from ..factorization.clusters import k_means
from ..settings import Settings
from ..templates import Templates, unit
from .dictionary import SILENT, sounding
from .files import Name, Reader, Sound

_LONGEST_S = 120.0  # of a recording
_FRAMES, _SPECTRA, _UPDATES, _SEED = 600, 8, 100, 1
_ENOUGH = 1.5  # times the divergence that is left: of a kit all of whose pieces are known 1.2, else 2.3 to 9


def unknown_beside(settings: Settings) -> str | None:
    """A sentence of warning if nothing is known of what sounds beside the parts of templates that split the mix."""
    if not isinstance(settings.templates, Templates) or not settings.templates.guesses_rest:
        return None
    return (
        f"nothing is known of what may sound beside {_listed(settings)}, and most of it would be taken for that: if "
        "something does, learn again with a recording of it, rest=FILE."
    )


def completed_by_file(settings: Settings, path: Name) -> tuple[Settings, str | None]:
    """`completed` by a sound file, and a sentence that says so if something was learned."""
    if unknown_beside(settings) is None:
        return settings, None
    with Reader(path) as reader:
        blocks, left = list[Sound](), _LONGEST_S * reader.sample_rate
        for block in reader.blocks():
            blocks.append(block)
            left -= len(block)
            if left <= 0:
                break
    known = completed(settings, np.concatenate(blocks), reader.sample_rate)
    if known is settings:
        return settings, None
    return known, (
        f"what sounds beside {_listed(settings)} was learned from {path} itself, which is a guess: better is a "
        "recording of it, rest=FILE for rtsep learn."
    )


def _listed(settings: Settings) -> str:
    return ", ".join(settings.parts)


def completed(settings: Settings, sound: Sound, sample_rate: float) -> Settings:
    """`settings` whose templates know what else is in `sound` (samples, channels).

    The same if they know it already, or if their parts explain nearly all of it.
    """
    templates = settings.templates
    sound = sound[: round(_LONGEST_S * sample_rate)]
    sound = np.where(np.abs(sound) < 1e6, sound, 0).astype(np.float32)
    if not isinstance(templates, Templates) or not templates.guesses_rest or np.abs(sound).max(initial=0) < SILENT:
        return settings
    random, sizes = np.random.default_rng(_SEED), settings.sizes(sample_rate)
    fitted = templates.fitted(sizes, sample_rate)
    frames = sounding([sound], sizes, random)
    frames = frames[:: -(-len(frames) // _FRAMES)].astype(float)
    if len(frames) < 2 * _SPECTRA:
        return settings
    frames /= frames.mean()
    known = fitted.spectra.astype(float)
    begun = k_means(frames, _SPECTRA, random) + 0.01 / frames.shape[1]
    alone = factorize(frames.T, 0, given=known.T, iterations=_UPDATES)
    beside = factorize(frames.T, _SPECTRA, given=known.T, start=(begun.T, None), iterations=_UPDATES)
    if alone.losses[-1] < _ENOUGH * beside.losses[-1]:
        return settings
    learned = unit(beside.W.T[len(known) :])
    part_of = np.append(fitted.part_of, np.full(len(learned), len(fitted.parts) - 1))
    spectra = np.concatenate([fitted.spectra, learned])
    return replace(settings, templates=replace(fitted, spectra=spectra, part_of=part_of))
