"""The two hands of a piano, taken apart with more and more knowledge: none, overtones, a piano's spectra, the score.

    python examples/experiments/constraints_on_a_piano.py

Multiplicative updates leave zeros as they are, so that knowledge may be put in as zeros: templates that have only the
overtones of a pitch, and activations only where the score has its note (Müller, "Fundamentals of Music Processing",
Springer 2015, section 8.3). The piece is synthesized: an accompaniment below, a tune above, both at the same time. A
score that comes too late tells what the zeros of the activations are worth.
"""

import numpy as np

import rtsep
from rtsep.offline.dictionary import learn_blind
from rtsep.offline.informed import separate_by_score
from rtsep.offline.score import Note
from rtsep.templates import PIANO, Templates, harmonic_templates

RATE, BEAT_S = 44_100, 0.5
CHORDS = ((48, 55, 52, 55), (45, 52, 48, 52), (41, 48, 45, 48), (43, 50, 47, 50)) * 2  # broken in eighths, twice each
TUNE = ((64, 2), (67, 1), (72, 1), (69, 3), (67, 1), (65, 1), (69, 1), (72, 1), (69, 1), (67, 2), (62, 2)) * 2


def piece():
    """The notes of both hands."""
    for bar, chord in enumerate(CHORDS):
        for eighth in range(8):
            yield Note((4 * bar + eighth / 2) * BEAT_S, 0.45 * BEAT_S, chord[eighth % 4], "lower")
    beat = 0
    for pitch, beats in TUNE:
        yield Note(beat * BEAT_S, 0.95 * beats * BEAT_S, pitch, "upper")
        beat += beats


def played(notes, samples):
    """Struck strings: partials that are a little sharp and die the sooner the higher they are, and a knock."""
    random = np.random.default_rng(1)
    sound = np.zeros(samples)
    for note in notes:
        time = np.arange(int((note.duration_s + 0.15) * RATE)) / RATE
        f0 = 440 * 2 ** ((note.pitch - 69) / 12)
        partials = [n for n in range(1, 25) if n * f0 < 0.4 * RATE]
        tone = sum(
            np.exp(-time * (1 + 0.4 * n)) / n * np.sin(2 * np.pi * n * f0 * np.sqrt(1 + 3e-4 * n**2) * time + n)
            for n in partials
        )
        tone += 0.5 * np.exp(-150 * time) * random.standard_normal(len(time))
        tone *= np.clip((note.duration_s - time) / 0.08 + 1, 0, 1)  # the damper falls
        begin = int(note.onset_s * RATE)
        sound[begin : begin + len(tone)] += 0.1 * tone[: samples - begin]
    return sound.astype(np.float32)


def hands(mix, notes):
    """Of each kind of knowledge the two hands that it finds."""
    settings = rtsep.Settings("quality")
    sizes = settings.sizes(RATE)
    blind = learn_blind(mix, sample_rate=RATE, parts=2, settings=settings, splits="mix")
    overtones = Templates(
        ("lower", "upper"),
        harmonic_templates(sizes, RATE),
        (np.array(PIANO) >= 60).astype(np.int64),
        RATE,
        sizes.window_size,
        sizes.synthesis_size,
        splits="mix",
        sweeps=2,
    )
    for knowledge, templates in (
        ("nothing", blind),
        ("the overtones of each pitch", overtones),
        ("spectra of other pianos", "piano"),
    ):
        stems = rtsep.separate(mix, RATE, settings=rtsep.Settings("quality", templates=templates))
        yield knowledge, {name: stems[name] for name in (blind.parts if templates is blind else overtones.parts)}
    for late_s in (0, 0.1, 0.2, 0.5):
        score = [note._replace(onset_s=note.onset_s + late_s) for note in notes]
        stems = separate_by_score(mix, score, sample_rate=RATE, by="track")
        yield f"the score, {late_s:g} s late" if late_s else "the score", stems


def main():
    notes = [*piece()]
    samples = int((sum(beats for _, beats in TUNE) * BEAT_S + 0.5) * RATE)
    truth = {name: played([note for note in notes if note.track == name], samples) for name in ("lower", "upper")}
    mix = truth["lower"] + truth["upper"]
    print(f"{'known is':30} SI-SDR of the lower hand, upper hand, dB")
    for knowledge, found in hands(mix, notes):
        scores = rtsep.evaluate(truth, found, mixture=mix).scores
        print(f"{knowledge:30} {scores[0].measures.si_sdr:24.1f} {scores[1].measures.si_sdr:12.1f}", flush=True)
    for kind in ("mixture", "ratio mask"):
        lower, upper = (score.others[kind].si_sdr for score in scores)
        print(f"{f'({kind})':30} {lower:24.1f} {upper:12.1f}")


if __name__ == "__main__":
    main()
