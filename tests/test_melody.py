"""Melody: the best path equals slow dynamic programming, voices are followed, noise and drums are left alone."""

from typing import NamedTuple

import numpy as np
import pytest
import reference
import signals
from numpy.typing import NDArray

from rtsep import networks
from rtsep.dsp import melody, pitchnet, salience
from rtsep.dsp.salience import PITCHES
from rtsep.engine import Engine
from rtsep.settings import MODES, STEMS, Settings

RATE = 16000
MELODY = STEMS.index("melody")
EVERY_MODE = pytest.mark.parametrize("mode", MODES)
EITHER = pytest.mark.parametrize("head", (-1, 0, 1), ids=("salience", "voice", "any"))
STREAMING = pytest.mark.parametrize("mode", ("live", "balanced", "quality"))


class Track(NamedTuple):
    seconds: NDArray  # (frames,) of the sound, to which each frame's melody belongs
    f0: NDArray  # (frames,) Hz
    confidence: NDArray  # (frames,)
    share: NDArray  # (frames, bins)
    magnitude: NDArray  # (frames, bins) in which the share is
    state: melody.State


def prepared(mode="balanced", rate=RATE, score=None, **settings):
    """Sizes, the middle of the analysis window in samples before its end, and a state."""
    sizes = Settings(mode=mode).sizes(rate)
    analysis = reference.windows(sizes)[0]
    power = analysis**2
    center = np.sum(power * np.arange(len(power))[::-1]) / np.sum(power)
    window, hop, lookahead = sizes.window_size, sizes.hop_size, sizes.lookahead_frames
    ear = networks.load().pitch, analysis.sum() / 2
    return sizes, center, melody.prepare(rate, window, hop, center, *ear, lookahead, score, **settings)


def spectra_of(sound, sizes):
    return reference.spectra(np.asarray(sound, float), sizes).astype(np.complex64)


def follow(sound, mode="balanced", rate=RATE, low=80, high=1100, score=None, start=0, state=None, each=None, head=-1):
    """The melody of `sound` (samples, channels), whose first sample is the sample `start` of a song."""
    sizes, center, fresh = prepared(mode, rate, score)
    state = state or fresh
    spectra = spectra_of(sound, sizes)
    magnitude = np.zeros((len(spectra), sizes.window_size // 2 + 1), np.float32)
    magnitude[sizes.lookahead_frames :] = np.sqrt((np.abs(spectra) ** 2).sum(1))[
        : len(spectra) - sizes.lookahead_frames
    ]
    share, f0, confidence = np.full_like(magnitude, np.nan), *np.zeros((2, len(spectra)))
    ends = (np.arange(len(spectra)) + 1) * sizes.hop_size
    for t, spectrum in enumerate(spectra):
        bounds = np.float32(low), np.float32(high), start + ends[t]
        melody.process(state, spectrum, magnitude[t], *bounds, head, share[t])
        f0[t], confidence[t] = state.f0[0], state.confidence[0]
        if each:
            each(t)
    seconds = (ends - center - sizes.lookahead_frames * sizes.hop_size) / rate
    return Track(seconds, f0, confidence, share, magnitude, state)


def tone(frequency, seconds=0.4, rate=RATE, harmonics=20, level=0.1):
    """A steady tone (samples, 1) whose partials fall off as one over their number."""
    numbers = np.arange(1, min(harmonics, int(0.49 * rate / frequency)) + 1)
    time = np.arange(int(seconds * rate)) / rate
    sound = np.sin(2 * np.pi * frequency * np.outer(time, numbers) + numbers) @ (1 / numbers)
    return level * sound[:, None] / sound.std()


def voice(f0, rate=RATE, level=0.1):
    """A sound (samples, 1) of harmonics of `f0` (samples,), with the three formants of an open vowel."""
    phase, sound = 2 * np.pi * np.cumsum(f0) / rate, np.zeros(len(f0))
    for number in range(1, 41):
        frequency = number * f0
        gain = 0.02 / number
        for height, middle, width in ((1, 600, 150), (0.6, 1100, 200), (0.4, 2600, 300)):
            gain = gain + height / (1 + ((frequency - middle) / width) ** 2)
        sound += np.where(frequency < 0.48 * rate, gain, 0) * np.sin(number * phase + number**2)
    return level * sound[:, None] / sound.std()


def pink(seconds, rate=RATE, seed=1):
    """Noise (samples, 1) with equal power in each octave."""
    samples = int(seconds * rate)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(samples))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0
    sound = np.fft.irfft(spectrum, samples)
    return 0.1 * sound[:, None] / sound.std()


def drums(seconds, rate=RATE, seed=2):
    """A loop (samples, 1): a kick whose pitch falls from 180 to 45 Hz, a snare and a hi-hat of noise that dies away."""
    random, samples = np.random.default_rng(seed), int(seconds * rate)
    sound = np.zeros(samples)
    for beat, start in enumerate(np.arange(0, seconds, 0.125)):
        since = np.arange(samples) / rate - start
        on, since = since >= 0, np.maximum(since, 0)
        kick = np.exp(-since / 0.06) * np.sin(2 * np.pi * (45 * since + 3.4 * (1 - np.exp(-since / 0.025))))
        snare = np.exp(-since / 0.05) * random.standard_normal(samples)
        hat = np.exp(-since / 0.015) * np.diff(random.standard_normal(samples + 1))
        sound += on * (0.6 * kick * (beat % 4 == 0) + 0.2 * snare * (beat % 4 == 2) + 0.06 * hat)
    return sound[:, None]


def chords(seconds, rate=RATE):
    """Four chords (samples, 1) of three tones with eight partials each, which decay."""
    time, sound = np.arange(int(seconds * rate)) / rate, 0
    for number, start in enumerate(np.arange(0, seconds, 0.5)):
        envelope = np.where((time >= start) & (time < start + 0.5), np.exp(-2 * np.abs(time - start)), 0)
        for root in ((130.8, 164.8, 196), (110, 138.6, 164.8), (146.8, 174.6, 220), (98, 123.5, 146.8))[number % 4]:
            for partial in range(1, 9):
                sound += envelope * np.sin(2 * np.pi * root * partial * time + partial + root) / partial**1.3
    return 0.05 * sound[:, None] / sound.std()


def cents(f0, truth):
    """How far each `f0` lies from the truth; infinitely far where there is none."""
    with np.errstate(divide="ignore"):
        return np.abs(1200 * np.log2(f0 / truth))


def second_half(rows):
    return rows[len(rows) // 2 :]


# The slow truth

COST = np.abs(np.subtract.outer(np.arange(PITCHES), np.arange(PITCHES)))
COST = np.where(COST <= 12, 0.02 * COST, 6.0)  # from each pitch to each: a step of up to 120 cents, or a leap


def rewards(fresh, step_s, low, high):
    """What a path gains (times, pitches): the salience in parts of the loudest of late, within the range alone."""
    pitch = 10 * np.arange(PITCHES)
    allowed = (pitch >= 1200 * np.log2(low / 55) - 5) & (pitch <= 1200 * np.log2(high / 55) + 5)
    gained, loudest = np.full(fresh.shape, -1000.0), 0.0
    for t, row in enumerate(fresh):
        loudest = max(row[allowed].max(), loudest * np.exp(-step_s / 11)) + 1e-9
        gained[t, allowed] = row[allowed] / loudest
    return gained


def best_paths(gained):
    """Score (times, pitches) of the best path that ends at each pitch, the best of all being zero."""
    scores, path = [], np.zeros(PITCHES)
    for row in gained:
        path = (path[:, None] - COST).max(0) + row
        path -= path.max()
        scores.append(path)
    return np.array(scores)


def best_through(path, following):
    """Score (pitches,) of the best path through each pitch, reached with `path` and led on through `following`."""
    onward = np.zeros(PITCHES)
    for row in following[::-1]:
        onward = (onward + row - COST).max(1)
    return path + onward - (path + onward).max()


def candidates(score, sharpness):
    """The likeliest pitches, best first, and their weights."""
    framed = np.concatenate([[-np.inf], score, [-np.inf]])
    peaks = np.flatnonzero((score >= framed[:-2]) & (score > framed[2:]))
    peaks = peaks[np.argsort(-score[peaks])][:8]
    weights = np.exp(sharpness * score[peaks])
    return peaks[weights > 0.02], weights[weights > 0.02] / weights[weights > 0.02].sum()


def saliences(spectra, sizes, rate):
    state = salience.prepare(rate, sizes.window_size, sizes.hop_size)
    whole, fresh = np.zeros((2, len(spectra), PITCHES), np.float32)
    total = [salience.process(state, spectrum, whole[t], fresh[t]) for t, spectrum in enumerate(spectra)]
    return whole, fresh, np.array(total)


def comb(pitch, weight, magnitude, window, rate):
    """Share (bins,) of the harmonics of one pitch (in steps of 10 cents from 55 Hz)."""
    f0, bins = 55 * 2 ** (pitch / 120) * window / rate, len(magnitude)
    share = np.zeros(bins)
    for center in f0 * np.arange(1, int((bins - 1) / f0) + 1):
        nearest, off = int(center + 0.5), max(int(0.015 * center + 0.5), 1)
        peak = magnitude[max(nearest - off, 0) : nearest + off + 1].max()
        gaps = magnitude[[int(center - f0 / 2 + 0.5), min(int(center + f0 / 2 + 0.5), bins - 1)]].mean()
        height = weight * (1 - (gaps / max(peak, 1e-20)) ** 2)
        distance = (np.arange(bins) - center) / (2.4 + 0.005 * center)
        lobe = np.where(np.abs(distance) < 1, (1 - distance**2) ** 2, 0)
        share = np.maximum(share, height * lobe)
    return share


def refined(row, pitch, reach=1):
    """The top of `row` (pitches,) at most `reach` places from `pitch`, on a parabola through three places."""
    for _ in range(reach):
        if row[pitch - 1] > row[pitch]:
            pitch -= 1
        elif row[pitch + 1] > row[pitch]:
            pitch += 1
    a, b, c = row[pitch - 1 : pitch + 2].astype(float)
    return pitch + np.clip(0.5 * (a - c) / (a - 2 * b + c), -1, 1) if a + c < 2 * b else pitch


def busy():
    """Voice, chords, drums and noise (samples, 1), with much to choose from."""
    seconds = np.arange(int(0.6 * RATE)) / RATE
    sound = 0.5 * voice(np.where(seconds < 0.3, 220, 350) * 2 ** (np.sin(40 * seconds) / 24))
    return sound + drums(0.6) + 2 * chords(0.6) + signals.noise(len(seconds), level=0.02)


def strides(mode):
    """Hops from one salience to the next, the same in seconds, and how many saliences a frame waits for."""
    sizes = Settings(mode=mode).sizes(RATE)
    stride = max(round(0.0058 * RATE / sizes.hop_size), 1)
    return stride, stride * sizes.hop_size / RATE, sizes.lookahead_frames // stride


@STREAMING
@pytest.mark.parametrize("low, high", ((80, 1100), (150, 700)))
def test_paths_and_pitches_equal_slow_dynamic_programming(mode, low, high):
    (sizes, _, state), (stride, step_s, ahead) = prepared(mode), strides(mode)
    paths, pitches, weights = [], [], []

    def note(t):
        if t % stride == 0:
            paths.append(state.path[state.newest[0]].copy())
            pitches.append(state.pitch.copy())
            weights.append(state.weight.copy())

    follow(busy(), mode, low=low, high=high, state=state, each=note)
    whole, fresh, _ = saliences(spectra_of(busy(), sizes)[::stride], sizes, RATE)
    gained = rewards(fresh, step_s, low, high)
    path = best_paths(gained)
    np.testing.assert_allclose(paths, path, atol=0.01)
    several = 0
    for t in range(ahead, len(path)):
        due = t - ahead
        tops, parts = candidates(best_through(path[due], gained[due + 1 : t + 1]), 1.0 if ahead else 2.0)
        truth = sorted((refined(whole[due], top), part) for top, part in zip(tops, parts, strict=True))
        found = sorted(zip(pitches[t][: len(tops)], weights[t], strict=False))
        np.testing.assert_allclose(found, truth, atol=0.02)
        assert np.all(np.diff(weights[t]) <= 0) and not weights[t][len(tops) :].any()
        several += len(tops) > 1
    assert several > 10 and np.ptp(np.array(pitches)[ahead:, 0]) > 40


def told_by_the_network(sound, sizes, stride, head, low, high, rate=RATE):
    """Salience, what a path gains (times, pitches), and the probability (times,) of a lead between low and high."""
    state = pitchnet.prepare(
        rate, sizes.window_size, sizes.hop_size, reference.windows(sizes)[0].sum() / 2, networks.load().pitch
    )
    spectra = spectra_of(sound, sizes)[::stride]
    coarse = np.zeros((len(spectra), pitchnet.PITCHES), np.float32)
    lead = np.array([pitchnet.process(state, spectrum, head, coarse[t]) for t, spectrum in enumerate(spectra)])
    places = np.arange(PITCHES) / 2  # the network's pitches are 20 cents apart
    pitch = 10 * np.arange(PITCHES)
    outside = (pitch < 1200 * np.log2(low / 55) - 5) | (pitch > 1200 * np.log2(high / 55) + 5)
    score = 0.75 * np.log(lead[:, None] * coarse + 0.003)
    gained = np.array([np.interp(places, np.arange(len(row)), row) for row in score])
    gained[:, outside] = -1000
    heard, _, _ = saliences(spectra, sizes, rate)
    return heard, gained, lead * np.where(outside[::2], 0, coarse).sum(1)


@STREAMING
@pytest.mark.parametrize("head", (0, 1))
@pytest.mark.parametrize("low, high", ((80, 1100), (200, 300)))
def test_paths_pitches_and_voicing_by_the_network_equal_slow_dynamic_programming(mode, head, low, high):
    (sizes, _, state), (stride, step_s, ahead) = prepared(mode), strides(mode)
    sound = np.concatenate([busy(), drums(0.2)])
    paths, pitches, weights, gates = [], [], [], []

    def note(t):
        if t % stride == 0:
            paths.append(state.path[state.newest[0]].copy())
            pitches.append(state.pitch.copy())
            weights.append(state.weight.copy())
            gates.append(state.gate[0])

    track = follow(sound, mode, low=low, high=high, state=state, each=note, head=head)
    heard, gained, lead = told_by_the_network(sound, sizes, stride, head, low, high)
    path, gate = best_paths(gained), 0.0
    np.testing.assert_allclose(paths, path, atol=0.02)
    several = 0
    for t in range(ahead, len(path)):
        due = t - ahead
        tops, parts = candidates(best_through(path[due], gained[due + 1 : t + 1]), 1.0 if ahead else 2.0)
        tops = [refined(heard[due], top, 3) for top in tops]
        found = sorted(zip(pitches[t][: len(tops)], weights[t], strict=False))
        np.testing.assert_allclose(found, sorted(zip(tops, parts, strict=True)), atol=0.05)
        several += len(tops) > 1
        assert track.confidence[t * stride] == pytest.approx(lead[due], abs=1e-3)
        gate = max(min((lead[due] - 0.27) / 0.13, 1), gate * np.exp(-step_s / 0.1) - 1e-3, 0)
        assert gates[t] == pytest.approx(gate, abs=0.02)
        if abs(lead[due] - 0.5) > 1e-3:
            sung = 55 * 2 ** (pitches[t][0] / 120) if lead[due] > 0.5 else 0
            assert track.f0[t * stride] == pytest.approx(sung, rel=1e-4)
    assert several > 10 and np.ptp(lead) > 0.3


@STREAMING
def test_the_network_believes_a_score(mode):
    score = np.zeros((60, 2), np.float32)
    score[10:30] = 200, 240
    track = follow(tone(220, 0.5) + drums(0.5), mode, score=score, head=1)
    said = np.interp(track.seconds, np.arange(60) / 100, score[:, 0] > 0) > 0.5
    inner = np.abs(track.seconds[:, None] - np.array([0.1, 0.3])).min(1) > 0.02
    assert np.array_equal((track.confidence == 1)[inner & (track.seconds > 0)], said[inner & (track.seconds > 0)])
    off = cents(track.f0[said & inner], 220)
    assert np.median(off) < 3 and off.max() < 20


@STREAMING
def test_confidence_voicing_and_gate_follow_the_part_that_the_pitch_has_in_all_that_is_heard(mode):
    (sizes, _, state), (stride, step_s, ahead) = prepared(mode), strides(mode)
    sound = np.concatenate([busy(), signals.noise(RATE // 2, level=0.02), 0.02 * tone(300)])
    pitches, gates = [], []

    def note(t):
        pitches.append(state.pitch[0])
        gates.append(state.gate[0])

    track = follow(sound, mode, state=state, each=note)
    whole, _, total = saliences(spectra_of(sound, sizes)[::stride], sizes, RATE)
    confidence, gate, voiced, steady, peak, last, changes = 0.0, 0.0, False, 0, 0.0, 0.0, 0
    for due in range(len(whole) - ahead):
        t = (due + ahead) * stride
        strength = whole[due][int(pitches[t] + 0.5)]
        part = min(strength / (0.15 * (total[due] + 0.3)), 1)
        confidence += (1 - np.exp(-step_s / 0.016)) * (part - confidence)
        gate = max(min((confidence - 0.27) / 0.13, 1), gate * np.exp(-step_s / 0.1) - 1e-3, 0)
        # Voiced is what has been clear for 50 ms, and is not half as strong as it was a moment ago.
        peak = max(peak * np.exp(-step_s / 0.3) * (abs(pitches[t] - last) <= 8), strength)
        steady = (steady + 1) * (confidence > (0.4 if voiced else 0.5) and strength > (0.3 if voiced else 0.5) * peak)
        before, voiced, last = voiced, steady >= (1 if voiced else round(0.05 / step_s)), pitches[t]
        changes += voiced != before
        assert track.confidence[t] == pytest.approx(confidence, abs=1e-4)
        assert gates[t] == pytest.approx(gate, abs=1e-3)
        assert track.f0[t] == pytest.approx(voiced * 55 * 2 ** (last / 120), rel=1e-4)
    assert changes > 2 and 0 < np.count_nonzero(gates) < len(gates)


@STREAMING
def test_the_share_is_the_comb_of_the_pitches_that_were_found(mode):
    seconds = np.arange(RATE // 2) / RATE
    sound = voice(250 + 80 * seconds) * (seconds < 0.4)[:, None] + drums(0.5) + 0.5 * tone(311, 0.5)
    sizes, _, state = prepared(mode)
    gates, found = [], []

    def note(t):
        gates.append(state.gate[0])
        found.append([(p, w) for p, w in zip(state.pitch.copy(), state.weight.copy(), strict=True) if w > 0])

    track = follow(sound, mode, state=state, each=note)
    truth = np.zeros_like(track.share)
    for t, gate in enumerate(gates):
        parts = [comb(p, w, track.magnitude[t], sizes.window_size, RATE) for p, w in found[t]]
        truth[t] = gate * np.max(parts, axis=0) ** 0.75
    most = 2 * truth.shape[1] // 3
    np.testing.assert_allclose(track.share[:, :most], truth[:, :most], atol=2e-3)
    assert max(len(pitches) for pitches in found) > 1 and 0 < np.mean(truth > 0.5) < 0.5


# Voices over a band


def courses(seconds):
    """F0 (samples,) of a glide, a vibrato, leaps by an octave, and a low voice that rises, 4 seconds each."""
    return {
        "glide": 200 * 2 ** (1.2 * np.sin(np.pi / 2 * seconds)),
        "vibrato": 330 * 2 ** (80 / 1200 * np.sin(2 * np.pi * 5.5 * seconds)),
        "leaps": np.where(seconds % 1 < 0.5, 220.0, 440.0),
        "low": 110 * 2 ** (seconds / 2),
    }


@STREAMING
@pytest.mark.parametrize("head", (-1, 1))
@pytest.mark.parametrize("course, least", (("glide", 0.97), ("vibrato", 0.97), ("low", 0.97), ("leaps", 0.65)))
def test_a_voice_over_chords_and_drums_is_followed(course, least, head, mode):
    f0 = courses(np.arange(4 * RATE) / RATE)[course]
    track = follow(voice(f0) + chords(4) + 0.5 * drums(4), mode, head=head)
    inner = (track.seconds > 0.2) & (track.seconds < 3)
    off = cents(track.f0, f0[(track.seconds * RATE).astype(int).clip(0)])[inner]
    assert np.mean(off < 50) > least
    assert np.median(off) < 20


@STREAMING
def test_after_a_leap_of_an_octave_the_voice_is_found_again(mode):
    seconds = np.arange(RATE) / RATE
    track = follow(voice(np.where(seconds < 0.5, 220, 440)), mode)
    for f0, since in ((220, 0), (440, 0.5)):
        settled = (track.seconds > since + 0.15) & (track.seconds < since + 0.45)
        assert cents(track.f0[settled], f0).max() < 10


@EVERY_MODE
@pytest.mark.parametrize("rate", (8000, 44100, 48000, 192000))
def test_a_steady_tone_is_found_within_ten_cents(rate, mode):
    # Below 150 Hz partials lie less than five bins of the shortest window apart and pull at each other.
    for frequency, most in ((80, 60), (100, 25), (155.6, 10), (220.5, 10), (370, 10), (1000, 10)):
        track = follow(tone(frequency, 0.7, rate), mode, rate)
        f0 = second_half(track.f0)
        assert np.mean(f0 > 0) > (0.99 if frequency > 80 else 0.7), frequency
        assert cents(f0[f0 > 0], frequency).max() < most, frequency
        assert second_half(track.confidence).min() > 0.8


@EVERY_MODE
@pytest.mark.parametrize("frequency", (100.0, 220.0, 441.7, 1000.0))
def test_one_sine_is_a_melody(frequency, mode):
    track = follow(tone(frequency, 0.7, harmonics=1), mode)
    assert cents(second_half(track.f0), frequency).max() < 20
    assert second_half(track.confidence).min() > 0.9


# What is no melody


@STREAMING
@pytest.mark.parametrize("rate", (8000, 44100, 48000))
def test_silence_noise_and_drums_are_no_melody(rate, mode):
    for sound in (np.zeros((2 * rate, 2)), signals.noise(2 * rate), pink(2, rate), drums(2, rate)):
        assert np.mean(follow(sound, mode, rate).f0 > 0) < 0.05


@STREAMING
def test_a_melody_ends_with_its_sound(mode):
    track = follow(np.concatenate([tone(300), np.zeros((RATE, 1))]), mode)
    assert (track.f0 > 0)[(track.seconds > 0.1) & (track.seconds < 0.35)].all()
    assert not track.f0[track.seconds > 0.45].any()
    assert not track.share[track.seconds > 1].any()  # a voice rings on in the room for some 0.1 s


def test_a_tone_that_is_hardly_clear_does_not_flicker():
    track = follow(tone(300, 2) + 2.5 * signals.noise(2 * RATE))

    def changes(on):
        return np.count_nonzero(np.diff(on.astype(int)))

    assert changes(track.confidence > 0.5) > 10
    assert changes(track.f0 > 0) == 1


def test_what_is_not_to_be_looked_for_is_not():
    state = prepared(enabled=False)[2]
    track = follow(tone(300), state=state)
    assert not track.f0.any() and not track.confidence.any() and not track.share.any()


# Where it is looked for


@STREAMING
@pytest.mark.parametrize("low, high", ((80, 200), (250, 400), (500, 1100)))
def test_no_pitch_outside_the_range_is_found(low, high, mode):
    seconds = np.arange(RATE) / RATE
    f0 = follow(voice(150 * 2 ** (2 * seconds)) + chords(1), mode, low=low, high=high).f0
    assert np.mean(f0 > 0) > 0.1
    # The nearest pitch, and the top of the salience up to two pitches beside it.
    assert f0[f0 > 0].min() > low / 2 ** (26 / 1200) and f0.max() < high * 2 ** (26 / 1200)


def test_of_two_tones_the_one_in_the_range_is_found():
    sound = tone(220, 0.5) + tone(311.1, 0.5)
    for low, high, truth in ((200, 250, 220), (290, 330, 311.1), (311.1, 311.1, 311.1)):
        assert cents(second_half(follow(sound, low=low, high=high).f0), truth).max() < 15


@pytest.mark.parametrize("low, high", ((500, 200), (1760, 55)))
def test_a_range_the_wrong_way_round_holds_no_melody(low, high):
    track = follow(tone(300), low=low, high=high)
    assert not track.f0.any() and not track.share.any()


@pytest.mark.parametrize("frequency, low, high", ((440, 440, 440), (1740, 80, 1760), (70, 70, 1100)))
def test_a_tone_near_an_end_of_the_range_is_found(frequency, low, high):
    f0 = follow(tone(frequency, 0.8, harmonics=10), "quality", low=low, high=high).f0
    assert np.median(cents(second_half(f0), frequency)) < 30


@pytest.mark.parametrize("frequency", (1759.0, 1760.0))
def test_a_tone_at_the_very_end_of_the_range_is_found(frequency):
    track = follow(tone(frequency, 0.8, 48000), rate=48000, high=1760)
    assert cents(second_half(track.f0), frequency).max() < 30
    assert second_half(track.share).max() > 0.9


def score_of(*parts):
    """A score (rows, 2) from parts (seconds, lowest, highest F0)."""
    return np.repeat([part[1:] for part in parts], [round(part[0] * 100) for part in parts], axis=0).astype(np.float32)


@STREAMING
def test_only_pitches_of_the_score_are_found_and_in_time(mode):
    sound = tone(220, 1.4) + tone(329.6, 1.4)
    score = score_of((0.2, 0, 0), (0.3, 210, 230), (0.2, 329.6, 329.6), (0.2, 0, 0), (0.2, 320, 340))
    track = follow(sound, mode, score=score)
    for start, end, truth in ((0, 0.2, 0), (0.2, 0.5, 220), (0.5, 0.7, 329.6), (0.7, 0.9, 0), (0.9, 1.1, 329.6)):
        late = 0.12 if truth else 0.03  # until a voice is believed, or given up
        during = track.f0[(track.seconds > start + late) & (track.seconds < end - 0.002)]
        assert len(during) > 3
        assert (cents(during, truth).max() < 20) if truth else not during.any(), start
    beyond = track.seconds > 1.13
    assert beyond.any() and not track.f0[beyond].any()


@STREAMING
def test_the_share_fades_where_the_score_has_no_melody_and_beyond_its_end(mode):
    track = follow(tone(300, 2), mode, score=score_of((0.4, 280, 320), (0.7, 0, 0), (0.2, 280, 320)))
    tops = track.share.max(1)
    for start, end in ((0.1, 0.4), (1.13, 1.3)):
        assert tops[(track.seconds > start) & (track.seconds < end)].min() > 0.9
    for end in (0.4, 1.3):
        assert tops[(track.seconds > end + 0.12) & (track.seconds < end + 0.5)].max() < 0.5
        over = tops[(track.seconds > end + 0.5) & (track.seconds < end + 0.65)]
        assert len(over) > 5 and not over.any()


@STREAMING
def test_the_pitch_changes_at_the_very_moment_at_which_the_score_does(mode):
    track = follow(tone(220, 1) + tone(329.6, 1), mode, score=score_of((0.5, 210, 230), (0.5, 320, 340)))
    low = cents(track.f0, 220) < 30
    sounding = (track.f0 > 0) & (track.seconds > 0.1)
    # A salience is made each 6 ms, and the score has a row for 10 ms.
    assert low[sounding & (track.seconds < 0.5)].all() and not low[sounding & (track.seconds > 0.507)].any()


def test_a_score_narrows_the_range_and_does_not_widen_it():
    sound = tone(220, 0.5) + tone(329.6, 0.5)
    everywhere = score_of((0.5, 55, 1760))
    free, under = follow(sound, low=300, high=400), follow(sound, low=300, high=400, score=everywhere)
    within = (free.seconds > 0.2) & (free.seconds < 0.45)
    assert cents(under.f0[within], free.f0[within]).max() < 5
    assert cents(second_half(under.f0)[:20], 329.6).max() < 20


@STREAMING
def test_a_score_that_does_not_fit_finds_nothing_and_breaks_nothing(mode):
    track = follow(tone(440, 0.8, harmonics=1), mode, score=score_of((1, 240, 300)))
    assert not track.f0.any() and second_half(track.confidence).max() < 0.05
    assert np.isfinite(track.share).all() and track.share.min() >= 0 and track.share.max() <= 1


@pytest.mark.parametrize("score", (np.zeros((0, 2)), np.zeros((300, 2)), np.full((300, 2), 5000), np.full((300, 2), 1)))
def test_a_score_of_nothing_finds_nothing_and_one_of_no_rows_is_none(score):
    track = follow(tone(300), score=score.astype(np.float32))
    assert np.any(track.f0) == (len(score) == 0) and np.any(track.share) == (len(score) == 0)


@pytest.mark.parametrize(
    "start, inside", ((-(10**12), 0), (-RATE, 0), (0, 1), (3 * RATE, 1), (10 * RATE, 0), (2**62, 0))
)
def test_the_score_follows_the_position_of_the_song_whatever_it_is(start, inside):
    track = follow(tone(300), score=score_of((8, 280, 320)), start=start)
    assert np.any(track.f0 > 0) == np.any(track.share > 0) == inside


# The share


@EVERY_MODE
def test_the_share_of_a_clear_tone_stands_on_its_harmonics_and_not_between(mode):
    sizes = prepared(mode)[0]
    frequency = 400.0  # harmonics that lie more than ten bins apart
    row = follow(tone(frequency, harmonics=18), mode).share[-1]
    at = frequency * sizes.window_size / RATE * np.arange(1, 19)
    assert row[np.rint(at).astype(int)].min() > 0.85
    assert row[np.rint(at + at[0] / 2).astype(int)].max() < 0.02
    assert row[: int(at[0] / 2)].max() < 0.02


def test_the_comb_has_every_harmonic_up_to_half_the_rate():
    sizes = prepared()[0]
    row = follow(tone(1050, harmonics=7)).share[-1]
    at = np.rint(1050 * sizes.window_size / RATE * np.arange(1, 8)).astype(int)
    assert row[at].min() > 0.85


def between_saliences(state, magnitude):
    """The share (bins,) of `magnitude` (bins,) with the pitches, weights and gate that `state` holds."""
    state.hops[0] = 1
    share, spectra = np.zeros_like(magnitude), np.zeros((1, len(magnitude)), np.complex64)
    melody.process(state, spectra, magnitude, np.float32(80), np.float32(1100), 0, -1, share)
    return share


def spikes(bins, *places):
    """Magnitudes (bins,) of next to nothing but ones at `places`."""
    magnitude = np.full(bins, 1e-6, np.float32)
    magnitude[list(places)] = 1
    return magnitude


def test_a_harmonic_counts_for_as_much_as_it_stands_out_from_the_gaps_beside_it():
    sizes, _, state = prepared()
    bins = sizes.window_size // 2 + 1
    state.place[0], state.weight[0], state.gate[0] = 10, 1, 1
    for gap, truth in ((0, 1), (0.5, 0.75**0.75), (1, 0)):
        magnitude = np.maximum(spikes(bins, 10, 20, 30), np.float32(gap))
        assert between_saliences(state, magnitude)[20] == pytest.approx(truth, abs=1e-3)
    off_by_one = between_saliences(state, spikes(bins, 11, 20))
    assert off_by_one[10] > 0.99 and not off_by_one[[15, 25, 30]].any()


def test_pitches_share_by_their_weights():
    sizes, _, state = prepared()
    state.place[:2], state.weight[:2] = (10, 14), (0.7, 0.3)
    state.gate[0] = 1
    share = between_saliences(state, spikes(sizes.window_size // 2 + 1, 10, 14, 70))
    np.testing.assert_allclose(share[[10, 14, 70]], np.array([0.7, 0.3, 0.7]) ** 0.75, atol=1e-3)
    state.gate[0] = 0.5
    halved = between_saliences(state, spikes(sizes.window_size // 2 + 1, 10, 14, 70))
    np.testing.assert_allclose(halved, share / 2, atol=1e-6)


@pytest.mark.parametrize("level, most", ((0.1, 0.1), (0.01, 0.2), (10.0, 0.05)))
@STREAMING
def test_the_share_does_not_depend_on_the_level(level, most, mode):
    seconds = np.arange(RATE) / RATE
    sound = voice(262 * 2 ** (np.sin(20 * seconds) / 24)) + drums(1) + chords(1)
    one, other = follow(sound, mode), follow(level * sound, mode)
    np.testing.assert_allclose(other.share, one.share, atol=most)
    assert np.abs(other.share - one.share).mean() < 1e-3 < one.share.mean()


# Calm

ODD = {
    "silence": signals.constant(4000, 0, 2),
    "offset": signals.constant(4000, 1),
    "half the rate": np.resize([1.0, -1.0], (4000, 1)),
    "full scale": signals.square(4000, 2, 50),
    "impulses": sum(signals.impulse(4000, at) for at in (0, 1000, 1001, 3000)),
    "huge": 9e5 * signals.square(4000),
    "tiny": 1e-17 * signals.square(4000),
    "two lengths of square": np.concatenate([signals.square(2000, 1, 7), signals.square(2000, 1, 300)]),
}


@EVERY_MODE
@EITHER
@pytest.mark.parametrize("name", ODD)
def test_odd_sounds_give_sane_numbers(name, head, mode):
    track = follow(ODD[name], mode, low=55, high=1760, head=head)
    for numbers in (track.share, track.confidence):
        assert np.isfinite(numbers).all() and numbers.min() >= 0 and numbers.max() <= 1
    assert np.isfinite(track.f0).all() and np.all((track.f0 == 0) | ((track.f0 > 54) & (track.f0 < 1770)))
    track.state.padded[:] = 0  # whose margins are infinitely low
    assert all(np.isfinite(array).all() for array in arrays(track.state).values())


def arrays(state, prefix=""):
    """All arrays of float32 in a state, by name."""
    found = {}
    for name, value in state._asdict().items():
        if isinstance(value, tuple):
            found |= arrays(value, f"{prefix}{name}.")
        elif value.dtype != np.int64:
            found[prefix + name] = value.view(np.float32)
    return found


@pytest.mark.slow
@STREAMING
@EITHER
def test_no_number_is_denormal_in_the_long_silence_after_music(head, mode):
    sizes, _, state = prepared(mode, 8000)
    follow(signals.music(8000, 8000), mode, 8000, state=state, head=head)
    share = np.zeros(sizes.window_size // 2 + 1, np.float32)
    silence, bounds = np.zeros((1, len(share)), np.complex64), (np.float32(80), np.float32(1100))
    for t in range(20 * 8000 // sizes.hop_size):
        melody.process(state, silence, share, *bounds, 0, head, share)
        if t % 500 == 0:
            for name, array in arrays(state).items():
                numbers = np.abs(array)
                assert not ((numbers > 0) & (numbers < np.finfo(np.float32).tiny)).any(), name
    assert state.f0[0] == 0 and state.confidence[0] < (1e-6 if head < 0 else 0.1)


@STREAMING
@EITHER
def test_reset_equals_fresh_and_no_reset_differs(head, mode):
    sound = signals.music(RATE // 2, RATE, 2)
    states = [prepared(mode)[2] for _ in range(2)]
    for state in states:
        follow(voice(np.full(5001, 300.0)) + signals.noise(5001), mode, state=state, head=head)
    melody.reset(states[0])
    fresh = follow(sound, mode, head=head)
    reset, kept = (follow(sound, mode, state=state, head=head) for state in states)
    for name in ("f0", "confidence", "share"):
        assert np.array_equal(getattr(reset, name), getattr(fresh, name))
        assert not np.array_equal(getattr(kept, name), getattr(fresh, name))


def test_spectra_and_magnitudes_are_only_read():
    sizes, _, state = prepared()
    spectra = spectra_of(tone(300), sizes)
    magnitude = np.abs(spectra[:, 0])
    before = spectra.copy(), magnitude.copy()
    share = np.zeros_like(magnitude[0])
    for spectrum, given in zip(spectra, magnitude, strict=True):
        melody.process(state, spectrum, given, np.float32(80), np.float32(1100), 0, -1, share)
    assert share.any() and np.array_equal(spectra, before[0]) and np.array_equal(magnitude, before[1])


# In the engine


def parted(sound, mode="balanced", rate=RATE, **settings):
    """The stems (stems, samples, channels) of `sound`, in place, and the engine that made them."""
    engine = Engine(Settings(mode=mode, **settings))
    engine.prepare(sample_rate=rate, channels=sound.shape[1])
    blocks = [engine.process_stems(sound[start : start + 1024]) for start in range(0, len(sound), 1024)]
    stems = np.concatenate([list(block.values()) for block in blocks], axis=1)
    return stems[:, engine.stem_latency :], engine


def sound_of(*parts):
    """Their sum in steps of 24 bits."""
    return (np.rint(sum(parts) * 2**23) / 2**23).astype(np.float32)


def decibels(sound):
    return 10 * np.log10(np.mean(sound**2))


def si_sdr(estimate, target):
    """Scale-invariant signal-to-distortion ratio in dB."""
    estimate, target = estimate.ravel().astype(float), target.ravel().astype(float)
    fitted = np.dot(estimate, target) / np.dot(target, target) * target
    return decibels(fitted) - decibels(estimate - fitted)


def bursts(seconds, rate=RATE):
    """Bursts of noise (samples, 1), five each second."""
    since = np.arange(int(seconds * rate)) % (rate // 5) / rate
    return signals.noise(len(since), level=0.15, seed=5) * np.exp(-30 * since)[:, None]


@EVERY_MODE
def test_melody_and_the_other_stems_add_up(mode):
    sound = sound_of(voice(np.full(RATE, 262.0)), drums(1))
    stems, _ = parted(np.hstack([sound, sound / 2]), mode)
    whole = stems[0] + stems[1] + stems[2] + stems[3]
    assert np.array_equal(whole[:, 0], sound[: len(whole), 0])
    assert stems[MELODY].any() == (mode != "offline")


@STREAMING
def test_the_meters_show_the_pitch_of_a_tone(mode):
    _, engine = parted(tone(311.1, 1), mode)
    assert cents(engine.meters.f0[0], 311.1) < 10 and engine.meters.confidence[0] > 0.8
    _, engine = parted(signals.noise(3 * RATE), mode)
    assert np.mean(engine.meters.melody[:, 0] > 0) < 0.15  # of the last frames


@EVERY_MODE
def test_looking_for_a_melody_adds_no_latency(mode):
    on, off = (Engine(Settings(mode=mode, melody=melody)) for melody in (True, False))
    for engine in (on, off):
        engine.prepare(sample_rate=48000, channels=1)
    assert on.latency == off.latency == on.stem_latency


@STREAMING
@pytest.mark.parametrize("rate, least", ((16000, 2.5), (48000, 1.0)))
def test_the_melody_of_a_voice_with_bursts_of_noise_is_nearer_to_the_voice_than_the_mixture(rate, least, mode):
    seconds = np.arange(3 * rate) / rate
    alone = voice(262 * 2 ** (np.sin(2 * np.pi * 5 * seconds) / 24), rate)
    mixture = (alone + bursts(3, rate)).astype(np.float32)
    estimate = parted(mixture, mode, rate)[0][MELODY]
    target = alone[: len(estimate)]
    assert si_sdr(estimate, target) > si_sdr(mixture[: len(estimate)], target) + least


@STREAMING
@pytest.mark.parametrize("rate", (16000, 48000))
def test_sound_without_a_melody_leaves_its_stem_far_below(rate, mode):
    for sound in (signals.noise(2 * rate), pink(2, rate), drums(2, rate)):
        stem = parted(sound.astype(np.float32), mode, rate)[0][MELODY]
        assert decibels(stem) < decibels(sound) - 8


@STREAMING
def test_the_melody_stem_neither_clicks_nor_chirps(mode):
    rate, seconds = 48000, np.arange(2 * 48000) / 48000
    on = np.clip(np.minimum(seconds % 0.5, 0.35 - seconds % 0.5) / 0.02, 0, 1)[:, None]  # phrases, and rests
    alone = on * voice(np.where(seconds < 1, 262, 392) * 2 ** (np.sin(30 * seconds) / 24), rate)
    for sound, most in ((alone, 1.3), (alone + bursts(2, rate), 0.7), (bursts(2, rate), 0.5)):
        stem = parted(sound.astype(np.float32), mode, rate)[0][MELODY]
        assert np.abs(np.diff(stem, axis=0)).max() < most * np.abs(np.diff(sound, axis=0)).max()
