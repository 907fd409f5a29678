"""Howl: feedback is found at its frequency, and nothing that people sing, play or say is taken for it."""

import numpy as np
import pytest
import signals

from rtsep.live.howl import howl

RATE = 48_000


def seconds(length, rate=RATE):
    return np.arange(round(length * rate)) / rate


def tone(f0, level=0.3, length=0.5, rate=RATE, *, partials=(1.0,), vibrato_cents=0.0, growth_db=0.0):
    """A tone whose level in dB grows by `growth_db` in a second, up to `level` at its end."""
    t = seconds(length, rate)
    vibrato = vibrato_cents / 1200 * np.log(2) * f0 / 5.5 * np.sin(2 * np.pi * 5.5 * t)
    wave = sum(part * np.sin((k + 1) * (2 * np.pi * f0 * t + vibrato)) for k, part in enumerate(partials))
    return (level * wave * 10 ** (growth_db * (t - length) / 20)).astype(np.float32)


@pytest.mark.parametrize("rate", (44_100, 48_000, 96_000))
@pytest.mark.parametrize("f0", (127.3, 440.0, 1234.5, 3000.1, 9000.0))
def test_feedback_is_found_at_its_frequency(f0, rate):
    assert howl(tone(f0, rate=rate), rate) == pytest.approx(f0, abs=0.2)


@pytest.mark.parametrize("growth_db", (0, 20, 100))
@pytest.mark.parametrize("f0", (251.7, 2100.0))
def test_feedback_is_found_while_it_grows_in_a_room_with_noise(f0, growth_db):
    sound = tone(f0, growth_db=growth_db) + signals.noise(RATE // 2, level=0.003)[:, 0]
    assert howl(sound, RATE) == pytest.approx(f0, abs=1)


def test_only_the_last_quarter_of_a_second_counts():
    ringing, quiet = tone(900.0), np.zeros(RATE // 2, np.float32)
    assert howl(np.concatenate([quiet, ringing]), RATE) == pytest.approx(900, abs=0.2)
    assert howl(np.concatenate([ringing, quiet]), RATE) == 0
    assert howl(np.concatenate([quiet, ringing[: RATE // 10]]), RATE) == 0  # a beep: it has to last
    assert howl(ringing[:1000], RATE) == 0


def test_a_tone_must_be_loud():
    assert howl(tone(900.0, level=0.12), RATE) > 0
    assert howl(tone(900.0, level=0.08), RATE) == 0


@pytest.mark.parametrize("f0", (110.0, 220.0, 440.0, 880.0))
@pytest.mark.parametrize("vibrato_cents", (0, 50))
def test_a_sung_vowel_is_none(f0, vibrato_cents):
    partials = 1 / np.arange(1, 9) ** 2  # -12 dB an octave
    assert howl(tone(f0, partials=partials, vibrato_cents=vibrato_cents), RATE) == 0


@pytest.mark.parametrize("f0", (300.0, 660.0, 1320.0, 2640.0))
@pytest.mark.parametrize("vibrato_cents", (8, 20, 50))
@pytest.mark.parametrize("partials", ((1.0,), (1.0, 0.04)))
def test_a_flute_with_vibrato_is_none(f0, vibrato_cents, partials):
    assert howl(tone(f0, partials=partials, vibrato_cents=vibrato_cents), RATE) == 0


def test_a_tone_that_glides_is_none():
    t = seconds(0.5)
    assert howl(0.3 * np.sin(2 * np.pi * (800 * t + 20 * t**2)), RATE) == 0


def test_a_tone_that_fades_is_none():
    assert howl(tone(900.0, level=0.2, growth_db=-100), RATE) == 0


def test_a_tone_that_does_not_stand_above_all_else_is_none():
    assert howl(tone(900.0) + tone(1350.0, level=0.05), RATE) == 0
    assert howl(tone(900.0) + tone(1350.0, level=0.01), RATE) > 0
    assert howl(tone(900.0, partials=(1.0, 0, 0.1)), RATE) == 0


def test_hum_and_an_offset_are_none():
    assert howl(tone(50.0), RATE) == 0
    assert howl(np.full(RATE, 0.5, np.float32), RATE) == 0


@pytest.mark.parametrize("sound", (signals.noise(RATE, level=0.2), signals.music(RATE, RATE), np.zeros((RATE, 1))))
def test_noise_music_and_silence_are_none(sound):
    assert howl(sound[:, 0], RATE) == 0


def test_speech_is_none():
    """A glottal pulse whose pitch glides, through two formants that move, in syllables, with hisses between them."""
    t, random = seconds(3), np.random.default_rng(3)
    phase = np.cumsum(120 + 25 * np.sin(2 * np.pi * 1.3 * t)) / RATE
    syllables = np.maximum(np.sin(2 * np.pi * 4 * t), 0)
    formants = 500 + 200 * np.sin(2 * np.pi * 1.7 * t), 1500 + 400 * np.sin(2 * np.pi * 1.1 * t)
    voice = sum(
        sum(np.exp(-(((k * 120 - formant) / 150) ** 2)) for formant in formants) * np.sin(2 * np.pi * k * phase)
        for k in range(1, 25)
    )
    sound = 0.5 * voice * syllables + 0.2 * random.standard_normal(len(t)) * np.maximum(-np.sin(2 * np.pi * 4 * t), 0)
    assert np.abs(sound).max() > 0.3
    assert [end for end in range(RATE // 2, len(sound), RATE // 10) if howl(sound[:end], RATE)] == []
