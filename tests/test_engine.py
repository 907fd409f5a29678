"""Engine: the whole path. On time, to the last bit, equal to the slow truth, and calm whatever comes in."""

import copy
import functools
import itertools
import math
import pickle

import numpy as np
import pytest
import reference
import signals

from rtsep.dsp import key, microphone
from rtsep.engine import Engine
from rtsep.errors import BadInput
from rtsep.parameters import INDEX, PARAMETERS
from rtsep.settings import GROUPS, MODES, STEMS, Settings
from rtsep.templates import Templates

RATES = (8000, 16000, 22050, 44100, 48000, 96000, 192000)
BLOCKS = (1, 37, 63, 64, 65, 480, 4096, "random")
EVERY_MODE = pytest.mark.parametrize("mode", MODES)
EVERY_RATE = pytest.mark.parametrize("rate", RATES)


def engine_for(mode="balanced", rate=48000, channels=1, changes=None, score=None, **settings):
    engine = Engine(Settings(mode=mode, **settings))
    engine.prepare(sample_rate=rate, channels=channels, score=score)
    # What is compared with a slow truth here are the classic masks; test_learned_engine.py has the others.
    for id, value in ({"masks": "classic"} | (changes or {})).items():
        engine.parameters[id] = value
    return engine


def cut(sound, block):
    """`sound` in blocks of `block` samples, or of random lengths."""
    random, start = np.random.default_rng(3), 0
    while start < len(sound):
        length = int(random.integers(1, 1500)) if block == "random" else block
        yield sound[start : start + length]
        start += length


def processed(engine, sound, block=1024, voice=None):
    """The output for the whole `sound`, and the `voice` (samples,) of a microphone if there is one."""
    voices = itertools.repeat(None) if voice is None else cut(voice, block)
    return np.concatenate([engine.process(*pair) for pair in zip(cut(sound, block), voices, strict=voice is not None)])


def parted(engine, sound, block=1024):
    """The stems (stems, samples, channels) for the whole `sound`."""
    return np.concatenate([list(engine.process_stems(part).values()) for part in cut(sound, block)], axis=1)


def true(engine, sound):
    """The stems of `engine` for the whole `sound`, and what they should be, given the shares of the melody."""
    stems, shares = [], []
    for part in cut(sound, engine.sizes.hop_size):
        stems.append(list(engine.process_stems(part).values()))
        shares.append(engine.state.share.copy())
    values = [engine.parameters[f"hpss.{name}"].value for name in ("bias", "separation", "exponent", "mask")]
    melody = np.array(shares)[engine.sizes.lookahead_frames :]
    assert (melody.max() > 0.1) == engine.settings.melody
    return np.concatenate(stems, axis=1), reference.stems(sound, engine.sizes, *values, melody)


def gains_of(engine):
    """The gain of each stem, from its own fader and from those of its groups."""
    gains = {}
    value = {id: engine.parameters[id].value for id in PARAMETERS}
    soloed = [fader for fader in (*STEMS, *GROUPS) if value[f"{fader}.solo"]]
    for stem in STEMS:
        faders = [stem, *(group for group, members in GROUPS.items() if stem in members)]
        heard = not soloed or any(fader in soloed for fader in faders)
        muted = any(value[f"{fader}.mute"] for fader in faders)
        gains[stem] = 10 ** (sum(value[f"{fader}.gain_db"] for fader in faders) / 20) if heard and not muted else 0.0
    return gains


def decibels(error, signal):
    return 20 * np.log10(max(np.abs(error).max(), 1e-30) / np.abs(signal).max())


# Equal to the slow truth


@EVERY_MODE
@pytest.mark.parametrize("separation, exponent", ((1, 2), (2, 1), (1.5, 3.25)))
def test_stems_equal_the_slow_truth_over_the_whole_sound(mode, separation, exponent):
    rate = 16000
    engine = engine_for(mode, rate, 2, {"hpss.separation": separation, "hpss.exponent": exponent})
    sound = signals.song(rate // 2 + engine.latency, rate, 2)
    stems, truth = true(engine, sound)
    for stem, got in zip(STEMS, stems[:, engine.latency :], strict=True):
        np.testing.assert_allclose(got, truth[stem][: len(got)], atol=2e-6, err_msg=stem)


@pytest.mark.parametrize("mode, rate", (("live", 44100), ("balanced", 48000), ("quality", 48000), ("offline", 44100)))
def test_output_equals_the_slow_truth_at_the_rates_of_music(mode, rate):
    gains = {"percussive": -12, "melody": 6, "harmony": -2, "residual": -6, "harmonic": 3, "accompaniment": 1}
    changes = {f"{fader}.gain_db": gain for fader, gain in gains.items()}
    engine = engine_for(mode, rate, 1, {**changes, "hpss.separation": 2, "output.gain_db": -3})
    sound = signals.song(rate // 4 + engine.latency, rate)
    _, stems = true(engine, sound)
    engine.reset()
    output = processed(engine, sound)[engine.latency :]
    truth = sum(gain * stems[stem] for stem, gain in gains_of(engine).items()) * 10 ** (-3 / 20)
    np.testing.assert_allclose(output, truth[: len(output)], atol=2e-6)


def test_binary_masks_equal_the_slow_truth_but_for_bins_on_the_edge():
    engine = engine_for("balanced", 16000, 1, {"hpss.mask": "binary", "hpss.separation": 1.5})
    sound = signals.song(16000, 16000)
    stems, truth = true(engine, sound)
    for stem, got in zip(STEMS, stems[:, engine.latency :], strict=True):
        error = got - truth[stem][: got.shape[0]]
        assert 20 * np.log10(np.std(error) / np.std(sound)) < -60, stem


OWN = (
    dict(window_ratio=16),
    dict(window_ratio=1, lookahead_s=0.02),
    dict(percussive_bands=((0, 0), (3000, 4000)), bias=0.5, exponent=4.0),
    dict(synthesis_s=0.1, harmonic_s=0.0),
    dict(melody=False),
)


@pytest.mark.parametrize("settings", OWN)
def test_settings_of_ones_own_equal_the_slow_truth(settings):
    engine = engine_for("balanced", 16000, 1, **settings)
    sound = signals.song(8000, 16000)
    stems, truth = true(engine, sound)
    for stem, got in zip(STEMS, stems[:, engine.latency :], strict=True):
        np.testing.assert_allclose(got, truth[stem][: len(got)], atol=2e-6, err_msg=stem)


def test_the_offline_mode_equals_librosa_on_inner_frames():
    import librosa

    engine = engine_for("offline", 44100)
    sound = signals.music(44100, 44100)
    stems = parted(engine, sound)[:, engine.latency :, 0]
    harmonic, percussive = librosa.decompose.hpss(librosa.stft(sound[:, 0].astype(float)), kernel_size=31)
    inner = slice(20 * 512, len(stems[0]) - 2048)
    for stem, spectra in (("harmony", harmonic), ("percussive", percussive)):
        theirs = librosa.istft(spectra, length=len(sound))[inner]
        np.testing.assert_allclose(stems[STEMS.index(stem)][inner], theirs, atol=2e-5, err_msg=stem)
    assert not stems[STEMS.index("melody")].any()


# Blocks


@EVERY_MODE
def test_any_block_size_gives_the_same_sound_to_the_last_bit(mode):
    sound, voice = signals.song(9000, 16000, 2), signals.tune(9000, 16000, (196,))[:, 0]
    changes = {"percussive.gain_db": -9, "hpss.separation": 2, "limiter": "on", "limiter.ceiling_db": -20}
    changes |= {"melody.gain_db": 3, "key.semitones": 3, "microphone.gain_db": -9}

    def fresh():
        return engine_for(mode, 16000, 2, changes, transpose=True)

    whole = processed(fresh(), sound, 4096, voice)
    stems = parted(fresh(), sound, 4096)
    assert np.any(whole[-1000:]) and np.any(stems[STEMS.index("melody")]) == fresh().settings.melody
    for block in BLOCKS:
        assert np.array_equal(processed(fresh(), sound, block, voice), whole), block
        assert np.array_equal(parted(fresh(), sound, block), stems), block


def test_an_empty_block_changes_nothing():
    sound = signals.noise(2000, 2)
    engine = engine_for(channels=2)
    first = engine.process(sound[:1000])
    assert engine.process(sound[:0]).shape == (0, 2)
    second = engine.process(sound[1000:])
    assert np.array_equal(np.concatenate([first, second]), processed(engine_for(channels=2), sound))


# On time, and nothing lost


@EVERY_MODE
@EVERY_RATE
def test_an_impulse_arrives_exactly_at_the_latency(mode, rate):
    engine, at = engine_for(mode, rate), 777
    sound = signals.impulse(at + engine.latency + 2 * engine.sizes.window_size, at)
    output = processed(engine, sound)
    assert np.flatnonzero(output).tolist() == [at + engine.latency] and output.max() == 1
    engine.reset()
    percussive = parted(engine, sound)[0, :, 0]
    assert np.argmax(np.abs(percussive)) == at + engine.latency
    assert percussive[at + engine.latency] == pytest.approx(1, abs=1e-3)
    assert np.abs(np.delete(percussive, at + engine.latency)).max() < 1e-3


@EVERY_MODE
@EVERY_RATE
def test_faders_at_unity_give_the_delayed_input_for_any_number_of_channels(mode, rate):
    for channels in range(1, 9):
        engine = engine_for(mode, rate, channels)
        sound = signals.noise(engine.latency + 5 * engine.sizes.hop_size + 7, channels, seed=channels)
        output = processed(engine, sound, 4096)
        assert np.array_equal(output[engine.latency :], sound[: -engine.latency])
        assert not output[: engine.latency].any()


@EVERY_MODE
@EVERY_RATE
def test_stems_add_up_to_the_delayed_input_below_minus_120_db(mode, rate):
    for channels in (1, 2, 8):
        engine = engine_for(mode, rate, channels, {"hpss.separation": 2})
        sound = signals.noise(engine.latency + 5 * engine.sizes.hop_size + 7, channels)
        total = parted(engine, sound, 4096).sum(0)
        assert decibels(total[engine.latency :] - sound[: -engine.latency], sound) < -120


@EVERY_MODE
@pytest.mark.parametrize("separation", (1, 2))
def test_transforms_alone_already_add_up_where_no_residual_mends_them(mode, separation):
    engine = engine_for(mode, 16000, 1, {"hpss.separation": separation})
    sound = signals.noise(engine.latency + 4000)
    residual = parted(engine, sound)[-1, engine.latency :]
    if separation == 1:
        assert decibels(residual, sound) < -120
    else:
        assert decibels(residual, sound) > -20


@EVERY_MODE
def test_stems_of_24_bit_sound_add_up_to_the_last_bit(mode):
    engine = engine_for(mode, channels=2, changes={"hpss.separation": 1.5})
    sound = signals.noise_24_bit(engine.latency + 5000, 2)
    stems = parted(engine, sound)[:, engine.latency :]
    for order in itertools.permutations(stems):
        assert np.array_equal(sum(order), sound[: -engine.latency])


@EVERY_MODE
def test_all_mutes_give_exact_silence(mode):
    for faders in (STEMS, GROUPS, ("harmony", "melody", "accompaniment"), ("harmonic", "residual", "percussive")):
        for closed in ({"mute": 1}, {"gain_db": "-inf"}):
            changes = {f"{fader}.{what}": value for fader in faders for what, value in closed.items()}
            for sound in (signals.noise_24_bit(9000, 2), signals.song(9000, 48000, 2)):
                assert not processed(engine_for(mode, channels=2, changes=changes), sound).any()


LEFT = (
    ("percussive.mute", "melody harmony residual"),
    ("percussive.gain_db", "melody harmony residual"),
    ("percussive.solo", "percussive"),
    ("percussive.solo melody.solo", "percussive melody"),
    ("percussive.solo percussive.mute", ""),
    ("harmonic.mute", "percussive residual"),
    ("harmonic.gain_db", "percussive residual"),
    ("harmonic.solo", "melody harmony"),
    ("accompaniment.mute", "melody"),
    ("accompaniment.solo", "percussive harmony residual"),
    ("harmonic.solo melody.mute", "harmony"),
    ("harmonic.solo melody.solo", "melody harmony"),
    ("harmonic.solo accompaniment.solo", "percussive melody harmony residual"),
    ("harmonic.solo residual.solo", "melody harmony residual"),
    ("melody.solo harmonic.mute", ""),
    ("melody.solo accompaniment.mute", "melody"),
    ("harmonic.solo accompaniment.mute", "melody"),
    ("harmonic.mute accompaniment.gain_db", ""),
)


@pytest.mark.parametrize("moved, left", LEFT)
def test_mutes_solos_and_closed_faders_of_stems_and_groups_leave_what_they_say(moved, left):
    sound, separation = signals.song(12000, 16000), {"hpss.separation": 2}
    stems = dict(zip(STEMS, parted(engine_for("balanced", 16000, 1, separation), sound), strict=True))
    assert all(stem.any() for stem in stems.values())
    changes = {id: "-inf" if id.endswith("gain_db") else "on" for id in moved.split()}
    heard = processed(engine_for("balanced", 16000, 1, separation | changes), sound)
    assert np.array_equal(heard, sum((stems[stem] for stem in left.split()), np.zeros_like(sound)))


def test_any_setting_of_all_faders_weighs_the_stems_by_their_own_and_their_groups_gains():
    sound, random = signals.song(6000, 16000), np.random.default_rng(1)
    stems = parted(engine_for("live", 16000, 1, {"hpss.separation": 2}), sound)
    seen = set()
    for _ in range(60):
        engine = engine_for("live", 16000, 1, {"hpss.separation": 2})
        for fader in (*STEMS, *GROUPS):
            engine.parameters[f"{fader}.gain_db"] = random.choice([-math.inf, -6, 0, 0, 3])
            engine.parameters[f"{fader}.mute"] = random.random() < 0.1
            engine.parameters[f"{fader}.solo"] = random.random() < 0.1
        gains = list(gains_of(engine).values())
        seen.add(tuple(gain > 0 for gain in gains))
        output = processed(engine, sound)
        np.testing.assert_allclose(output, np.tensordot(gains, stems, 1), atol=1e-6)
        assert output.any() == any(gains)
    assert len(seen) > 10


@EVERY_MODE
def test_stems_add_up_to_the_input_and_groups_to_what_their_faders_let_through(mode):
    sound = signals.song(20000, 48000, 2)
    engine = engine_for(mode, channels=2, changes={"hpss.separation": 2})
    stems = dict(zip(STEMS, parted(engine, sound), strict=True))
    for group, members in GROUPS.items():
        solo = engine_for(mode, channels=2, changes={"hpss.separation": 2, f"{group}.solo": 1})
        assert np.array_equal(processed(solo, sound), sum(stems[member] for member in members))
    assert np.array_equal(sum(stems.values())[engine.latency :], sound[: -engine.latency])


@EVERY_MODE
def test_bypass_is_the_delayed_input_to_the_last_bit(mode):
    engine = engine_for(mode, channels=2, changes={"percussive.mute": 1, "output.gain_db": -20, "bypass": 1})
    sound = signals.noise(engine.latency + 5000, 2)
    assert np.array_equal(processed(engine, sound)[engine.latency :], sound[: -engine.latency])


@EVERY_RATE
def test_faders_that_return_to_unity_end_at_the_input_to_the_last_bit(rate):
    moved = {"percussive.gain_db": 12, "output.gain_db": -6, "harmonic.gain_db": -20, "accompaniment.mute": 1}
    engine = engine_for("live", rate, 1, {**moved, "limiter": "on"})
    sound = signals.noise(3 * rate, level=0.2).clip(-0.8, 0.8)
    processed(engine, sound[: rate // 2], 4096)
    for id in moved:
        engine.parameters[id] = 0
    output = processed(engine, sound[rate // 2 :], 4096)
    assert np.array_equal(output[-rate:], sound[-rate - engine.latency : -engine.latency])


def test_bypass_crossfades_while_it_sounds_and_is_exact_thereafter():
    engine = engine_for(changes={"percussive.mute": 1, "hpss.separation": 2, "residual.mute": 1})
    sound = signals.noise(48000)
    before = processed(engine, sound[:24000])
    engine.parameters["bypass"] = 1
    after = processed(engine, sound[24000:])
    delayed = sound[24000 - engine.latency : -engine.latency]
    assert not np.array_equal(before[engine.latency :], sound[: 24000 - engine.latency])
    assert not np.array_equal(after[:1000], delayed[:1000])
    assert np.array_equal(after[8000:], delayed[8000:])


@EVERY_MODE
def test_the_melody_rests_as_if_it_were_muted(mode):
    sound = signals.music(24000, 16000)
    muted, resting = (engine_for(mode, 16000, 1, {f"melody.{switch}": "on"}) for switch in ("mute", "duck"))
    assert np.array_equal(processed(resting, sound), processed(muted, sound))


@EVERY_MODE
@pytest.mark.parametrize("bypass", ["on", "off"])
def test_the_output_mute_silences_song_and_microphone_with_its_room(mode, bypass):
    rate = 16000
    engine = engine_for(mode, rate, 1, {"bypass": bypass, "microphone.reverb_db": 0, "microphone.gate_db": "-inf"})
    sound, voice = signals.noise(4 * rate, level=0.3), signals.noise(4 * rate, level=0.3, seed=3)[:, 0]
    before = sung(engine, voice[:rate], sound[:rate])
    engine.parameters["output.mute"] = "on"
    after = sung(engine, voice[rate:], sound[rate:])
    assert np.abs(before[-1000:]).max() > 0.3
    assert np.abs(np.diff(after[:, 0])).max() <= np.abs(np.diff(before[:, 0])).max()
    assert np.abs(after[2 * rate :]).max() < 1e-4
    engine.parameters["output.mute"] = "off"
    assert np.abs(sung(engine, voice[:rate], sound[:rate])[-1000:]).max() > 0.3


# Stereo


@EVERY_MODE
def test_equal_channels_give_equal_stems(mode):
    sound = np.repeat(signals.music(12000, 16000), 2, 1)
    stems = parted(engine_for(mode, 16000, 2), sound)
    assert np.array_equal(stems[:, :, 0], stems[:, :, 1])
    assert stems[STEMS.index("percussive")].any() and stems[STEMS.index("harmony")].any()


@EVERY_MODE
def test_a_sound_on_one_side_stays_there(mode):
    sound = np.concatenate([signals.song(12000, 16000), np.zeros((12000, 1), np.float32)], 1)
    engine = engine_for(mode, 16000, 2, {"hpss.separation": 2})
    stems = dict(zip(STEMS, parted(engine, sound), strict=True))
    assert not any(stem[:, 1].any() for stem in stems.values())
    assert {name for name, stem in stems.items() if stem[:, 0].any()} == {*STEMS} - (
        set() if engine.settings.melody else {"melody"}
    )


def test_masks_are_common_to_all_channels_so_the_image_stays():
    mono = signals.song(12000, 16000)
    stems = parted(engine_for("balanced", 16000, 2), np.concatenate([mono, -mono / 2], 1))
    np.testing.assert_allclose(stems[:, :, 1], -stems[:, :, 0] / 2, atol=3e-7)


# Separation


def test_a_separation_factor_of_driedger_leaves_noise_to_the_residual():
    rate = 16000
    seconds = np.arange(rate) / rate
    tone = 0.3 * np.sin(2 * np.pi * 440 * seconds)
    sound = (tone[:, None] + signals.noise(rate, level=0.03, seed=4)).astype(np.float32)
    energy = {}
    for factor in (1, 2, 4):
        engine = engine_for("quality", rate, 1, {"hpss.separation": factor, "hpss.mask": "binary"})
        percussive, melody, harmony, residual = parted(engine, sound)[:, engine.latency + 4000 :].astype(float)
        heard = {"percussive": percussive, "harmonic": melody + harmony, "residual": residual}
        energy[factor] = {name: (stem**2).mean() for name, stem in heard.items()}
    assert energy[1]["residual"] < 1e-12
    assert 0 < energy[2]["residual"] < energy[4]["residual"]
    assert energy[4]["residual"] > 0.5 * 0.03**2 and energy[4]["percussive"] < 0.1 * energy[1]["percussive"]
    assert energy[4]["harmonic"] > 0.9 * 0.3**2 / 2


@EVERY_MODE
def test_every_mode_puts_a_tone_into_harmonic_and_a_click_into_percussive(mode):
    rate = 44100
    engine = engine_for(mode, rate)
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)).astype(np.float32)[:, None]
    percussive, melody, harmony, _ = parted(engine, tone)[:, rate // 2 :]
    assert np.std(melody + harmony) > 8 * np.std(percussive)
    engine.reset()
    percussive, melody, harmony, _ = parted(engine, signals.impulse(rate, rate // 2))
    assert np.std(percussive) > 30 * np.std(melody + harmony)


@EVERY_MODE
def test_every_mode_that_follows_a_melody_puts_a_voice_into_it(mode):
    rate = 44100
    engine = engine_for(mode, rate)
    voice = signals.tune(rate, rate, (220, 247, 262, 294), 0.25)
    _, melody, harmony, _ = parted(engine, voice)[:, rate // 4 :]
    assert not melody.any() if mode == "offline" else np.std(melody) > 2 * np.std(harmony)


# Memory


@EVERY_MODE
def test_reset_equals_fresh_and_no_reset_differs(mode):
    sound, voice = signals.song(12000, 16000, 2), signals.tune(12000, 16000, (196,))[:, 0]
    changes = {"percussive.gain_db": -6, "limiter": "on", "limiter.ceiling_db": -20, "key.semitones": -3}
    score = np.repeat([[0, 0], [300, 400]], 30, axis=0)

    def heard(engine):
        output = processed(engine, sound, voice=voice)
        measured = [*engine.meters, engine.state.microphone.level, engine.state.microphone.open, engine.state.position]
        return [output, *(array.copy() for array in measured)]

    def same(one, other):
        return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))

    engine = engine_for(mode, 16000, 2, changes, score, transpose=True)
    fresh = heard(engine)
    engine = engine_for(mode, 16000, 2, changes, score, transpose=True)
    processed(engine, signals.song(5003, 16000, 2, seed=2), voice=signals.noise(5003)[:, 0])
    assert not np.array_equal(heard(engine)[0], fresh[0])
    engine.reset()
    assert same(heard(engine), fresh)
    assert engine.parameters["percussive.gain_db"].value == -6
    engine.prepare(sample_rate=16000, channels=2, score=score)
    assert same(heard(engine), fresh)


def test_two_engines_do_not_disturb_each_other():
    sound = signals.music(8000, 16000)
    alone = processed(engine_for("live", 16000), sound, 64)
    one, other = engine_for("live", 16000), engine_for("balanced", 16000)
    beside = []
    for part in cut(sound, 64):
        beside.append(one.process(part))
        other.process(-part)
    assert np.array_equal(np.concatenate(beside), alone)


# Bad sounds


@EVERY_MODE
@pytest.mark.parametrize("bad", (math.nan, math.inf, -math.inf, 1e30, -3e38, 1e-40))
def test_what_is_no_sound_counts_as_silence_and_sound_is_back_within_one_latency(mode, bad):
    changes = {"percussive.gain_db": -6}
    sound = signals.song(12000, 16000, 2)
    spoilt, silent = sound.copy(), sound.copy()
    spoilt[3000:6000], silent[3000:6000] = bad, 0
    output = processed(engine_for(mode, 16000, 2, changes), spoilt)
    assert np.all(np.isfinite(output))
    assert np.array_equal(output, processed(engine_for(mode, 16000, 2, changes), silent))
    engine = engine_for(mode, 16000, 2)
    back = processed(engine, spoilt)
    assert np.array_equal(back[6000 + engine.latency :], sound[6000 : -engine.latency])


@EVERY_MODE
def test_silence_in_gives_exact_silence_out(mode):
    silence = signals.constant(20000, 0, 2)
    for changes in ({}, {"percussive.gain_db": 12, "output.gain_db": 12, "limiter": "on", "key.semitones": 5}):
        engine = engine_for(mode, channels=2, changes=changes, transpose=True)
        assert not processed(engine, silence, voice=silence[:, 0]).any()


@EVERY_MODE
@pytest.mark.parametrize("kind", ("full scale", "offset", "loud", "quiet"))
def test_hard_sounds_stay_finite_and_in_bounds(mode, kind):
    sound = {
        "full scale": signals.square(20000, 2),
        "offset": signals.constant(20000, 1, 2),
        "loud": signals.noise(20000, 2, level=2e5),
        "quiet": signals.noise(20000, 2, level=1e-15),
    }[kind]
    stems = parted(engine_for(mode, channels=2), sound)
    assert np.all(np.isfinite(stems)) and np.abs(stems).max() <= 4 * np.abs(sound).max()
    output = processed(engine_for(mode, channels=2, changes={"percussive.gain_db": 12, "limiter": "on"}), sound)
    assert np.abs(output).max() <= np.float32(10 ** (-1 / 20))


def test_the_limiter_is_exactly_transparent_below_its_ceiling():
    sound = signals.noise(20000, 2, level=0.3).clip(-0.89, 0.89)
    engine = engine_for(channels=2, changes={"limiter": "on"})
    assert np.array_equal(processed(engine, sound)[engine.latency :], sound[: -engine.latency])


# No click

AUDIBLE = {"percussive.gain_db": -9, "melody.gain_db": 6, "residual.gain_db": 3, "hpss.separation": 1.5}
STEPS = [
    (id, start, end)
    for id, parameter in PARAMETERS.items()
    for start, end in (
        [(float(a), float(b)) for a in (0, 1) for b in (0, 1) if a != b]
        if parameter.choices
        else [(parameter.default, end) for end in (parameter.low, parameter.high)]
        + [(end, parameter.default) for end in (parameter.low, parameter.high)]
    )
    if start != end and id != "melody.lead"  # see test_learned_engine.py
]
STEP_RATE, STEP_AT = 48000, 14400
PLACES = (0, 50, 111, 170, 300, 391)  # on the wave, at which a step may come
ONE_PLACE = [id for id in PARAMETERS if id.startswith(("microphone", "melody.pan"))]
NEEDED = {
    "limiter": {"limiter": "on", "limiter.ceiling_db": -24, "output.gain_db": 12},
    "melody": {"melody.pan_width": 0.3},
    "templates": {"low.gain_db": -20},
}


def overlapping(mode):
    """Templates of two parts that both have something in every bin."""
    sizes = Settings(mode).sizes(STEP_RATE)
    rows = np.random.default_rng(5).exponential(1, (8, sizes.window_size // 2 + 1)).astype(np.float32)
    rows /= rows.sum(1, keepdims=True)
    return Templates(("low", "high"), rows, np.repeat([0, 1], 4), STEP_RATE, *sizes[:2], splits="mix")


def smooth(samples, id):
    """A steady sound on which a step of parameter `id` is heard."""
    seconds = np.arange(samples) / STEP_RATE
    if id == "key.semitones":  # one sine: more would meet in other phases, and so with other slopes, after a step
        return 0.3 * np.sin(2 * np.pi * 220 * seconds)[:, None]
    if id in ("melody.low_hz", "melody.high_hz"):  # a voice within one of the ranges alone
        voice = signals.tune(samples, STEP_RATE, (60 if id == "melody.low_hz" else 1400,))
        return voice + signals.hum(samples, STEP_RATE) / 20
    return signals.hum(samples, STEP_RATE) + signals.tune(samples, STEP_RATE) / 2


def played(mode, id, before, after, later=0):
    """A steady sound while parameter `id` steps from one value to the other, its second half.

    It sounds in each channel at another place, unless it is the number of channels that matters.
    """
    stage = id.partition(".")[0]
    sung = stage == "microphone"
    sound = smooth(2 * STEP_AT + PLACES[-1], id)
    channels = np.concatenate([sound[place:][: 2 * STEP_AT] for place in PLACES], 1)
    if id in ONE_PLACE:
        channels = sound[: 2 * STEP_AT] * ([1] if sung else [1, 0.5])
    voice = signals.hum(2 * STEP_AT, STEP_RATE, seed=2)[:, 0] if sung else None
    changes = {**AUDIBLE, **NEEDED.get(stage, {}), id: before}
    templates = overlapping(mode) if stage == "templates" else None
    engine = engine_for(mode, STEP_RATE, channels.shape[1], changes, transpose=stage == "key", templates=templates)
    parts = []
    for value, part in ((before, slice(STEP_AT + later)), (after, slice(STEP_AT + later, None))):
        engine.parameters[id] = value
        parts.append(processed(engine, channels[part], voice=voice[part] if sung else None))
    return np.concatenate(parts)[STEP_AT // 2 :]


def jump(output):
    """The largest step from one sample to the next."""
    return np.abs(np.diff(output, axis=0)).max()


@functools.cache
def steady(mode, id, value):
    """How the sound jumps while nothing is moved, and how it ends."""
    output = played(mode, id, value, value)
    return jump(output), output[-100:]


@pytest.mark.parametrize("mode", ("live", pytest.param("balanced", marks=pytest.mark.slow)))
@pytest.mark.parametrize("id, start, end", STEPS)
def test_no_step_of_a_parameter_makes_a_click(mode, id, start, end):
    (before, old), (after, new) = steady(mode, id, start), steady(mode, id, end)
    assert not np.array_equal(old, new)  # else this would test nothing
    laters = PLACES if id in ONE_PLACE else (0,)
    worst = max(jump(played(mode, id, start, end, later)) for later in laters)
    # A gain that glides over 10 ms adds a little slope of its own to that of the sound.
    assert worst <= 1.25 * max(before, after) + 1e-3


# The microphone


def sung(engine, voice, sound=None, block=1024):
    """The output for a `voice` (samples,), beside silence or a sound."""
    silence = np.zeros((len(voice), engine.channels), np.float32)
    return processed(engine, silence if sound is None else sound, block, voice)


DRY = {"microphone.gate_db": "-inf", "microphone.reverb_db": "-inf", "microphone.high_pass_hz": 20}


@EVERY_MODE
@pytest.mark.parametrize("transpose", (False, True))
def test_the_microphone_is_heard_at_once(mode, transpose):
    engine = engine_for(mode, changes={**DRY, "key.semitones": 3}, transpose=transpose)
    output = sung(engine, signals.impulse(3000, 777)[:, 0])
    assert not output[:777].any()
    assert output[777] == pytest.approx(1, abs=0.01) and np.abs(output[778:]).max() < 0.01


@pytest.mark.parametrize("channels", (1, 2, 3))
def test_the_microphone_goes_its_own_way_with_its_own_parameters(channels):
    rate, samples = 16000, 12000
    voice = signals.tune(samples, rate, (110, 131), 0.3)[:, 0] * (np.arange(samples) % 6000 < 3000)
    first = {"gain_db": -6, "high_pass_hz": 200, "gate_db": -30, "reverb_db": 3, "mute": 0}
    later = {"gain_db": 3, "high_pass_hz": 40, "gate_db": -60, "reverb_db": -30, "mute": 0}
    muted = {**later, "mute": 1}
    engine = engine_for("live", rate, channels)
    state, truth, output = microphone.prepare(rate, channels), np.zeros((samples, channels), np.float32), []
    for start, values in ((0, first), (5000, later), (9000, muted)):
        part = slice(start, {0: 5000, 5000: 9000}.get(start))
        for name, value in values.items():
            engine.parameters[f"microphone.{name}"] = value
        output.append(sung(engine, voice[part]))
        names = ("microphone.gain_db", "microphone.high_pass_hz", "microphone.gate_db", "microphone.reverb_db")
        gain, *others = (engine.state.targets[INDEX[name]] for name in names)
        gain = np.float32(0) if values["mute"] else gain
        for block, its in zip(cut(voice[part, np.newaxis], 1024), cut(truth[part], 1024), strict=True):
            microphone.process(state, gain, *others, block, its)
    np.testing.assert_allclose(np.concatenate(output), truth, atol=1e-6)
    assert engine.state.microphone.level[0] == state.level[0]


@EVERY_MODE
def test_the_microphone_is_added_to_what_is_heard_without_it(mode):
    sound, voice = signals.song(9000, 16000, 2), signals.tune(9000, 16000, (196,))[:, 0]
    changes = {"percussive.mute": 1, "key.semitones": 4, "bypass": 0}

    def engine():
        return engine_for(mode, 16000, 2, changes, transpose=True)

    alone = processed(engine(), sound)
    assert np.array_equal(sung(engine(), np.zeros(9000, np.float32), sound), alone)
    np.testing.assert_allclose(sung(engine(), voice, sound), alone + sung(engine(), voice), atol=1e-6)


def test_the_microphone_s_level_glides():
    rate = 16000
    engine = engine_for("live", rate, 1, {**DRY, "microphone.gain_db": 0})
    voice = signals.tune(2 * rate, rate, (1000,))[:, 0]
    plain = sung(engine_for("live", rate, 1, DRY), voice)
    before = sung(engine, voice[:rate])
    engine.parameters["microphone.gain_db"] = -20
    output = np.concatenate([before, sung(engine, voice[rate:])])
    gain = 0.1 + 0.9 * np.exp(-np.arange(1, rate + 1) / (0.01 * rate))
    assert np.array_equal(output[:rate], plain[:rate])
    np.testing.assert_allclose(output[rate:, 0], plain[rate:, 0] * gain, atol=1e-4)


@pytest.mark.parametrize("bad", (math.nan, math.inf, -math.inf, 1e30, 1e-40))
def test_what_is_no_sound_in_the_microphone_counts_as_silence(bad):
    sound, voice = signals.song(9000, 16000, 2), signals.tune(9000, 16000, (196,))[:, 0]
    spoilt, silent = voice.copy(), voice.copy()
    spoilt[3000:6000], silent[3000:6000] = bad, 0
    output = sung(engine_for("live", 16000, 2), spoilt, sound)
    assert np.all(np.isfinite(output))
    assert np.array_equal(output, sung(engine_for("live", 16000, 2), silent, sound))


@EVERY_MODE
def test_song_and_microphone_together_stay_within_the_ceiling(mode):
    changes = {"limiter": "on", "limiter.ceiling_db": -6, "microphone.gain_db": 12, "microphone.reverb_db": 12}
    sound, voice = signals.square(9000, 2) * np.float32(0.4), signals.square(9000, period=37)[:, 0]
    output = sung(engine_for(mode, channels=2, changes=changes), voice, sound)
    ceiling = np.float32(10 ** (-6 / 20))
    assert 0.99 * ceiling < np.abs(output).max() <= ceiling


def test_a_microphone_may_come_and_go():
    engine = engine_for("live", 16000, 1, DRY)
    sound = signals.song(3000, 16000)
    engine.process(sound[:1000])
    with_voice = engine.process(sound[1000:2000], signals.tune(1000, 16000)[:, 0])
    without = engine.process(sound[2000:])
    late = engine.latency
    assert not np.array_equal(with_voice, sound[1000 - late : 2000 - late])
    assert np.array_equal(without, sound[2000 - late : 3000 - late])


@pytest.mark.parametrize("shape", ((999,), (1001,), (1000, 1), (1000, 2), (), (0,)))
def test_a_microphone_of_another_shape_is_refused(shape):
    with pytest.raises(BadInput, match=r"a microphone of shape \(.*\), float64: it must be \(1000,\)"):
        engine_for().process(np.zeros(1000), np.zeros(shape))


def test_a_microphone_of_integers_is_refused():
    with pytest.raises(BadInput, match=r"a microphone of shape \(10,\), int16: it must be \(10,\) floats"):
        engine_for().process(np.zeros(10), np.zeros(10, np.int16))


# Another key


@EVERY_MODE
@pytest.mark.parametrize("rate", (8000, 44100, 48000))
def test_with_a_key_that_may_change_the_stems_are_earlier_than_the_output_and_both_are_exact(mode, rate):
    engine, plain = engine_for(mode, rate, 2, transpose=True), engine_for(mode, rate, 2)
    assert engine.stem_latency == plain.latency == plain.stem_latency
    assert engine.latency == plain.latency + key.latency(rate)
    sound = signals.noise_24_bit(engine.latency + 6000, 2)
    output = processed(engine, sound)
    assert np.array_equal(output[engine.latency :], sound[: -engine.latency]) and not output[: engine.latency].any()
    engine.reset()
    for semitones in (0, 7):
        engine.parameters["key.semitones"] = semitones
        stems = parted(engine, sound)
        assert np.array_equal(stems, parted(plain, sound))
        assert np.array_equal(stems.sum(0)[engine.stem_latency :], sound[: -engine.stem_latency])
        engine.reset()
        plain.reset()


@EVERY_MODE
@pytest.mark.parametrize("semitones", (-12, -1, 5, 12))
def test_the_output_in_another_key_is_the_mix_through_that_stage(mode, semitones):
    rate, changes = 16000, {"percussive.gain_db": -6}
    sound = signals.song(12000, rate, 2)
    truth = processed(engine_for(mode, rate, 2, changes), sound)
    key.process(key.prepare(rate, 2), np.float32(semitones), truth)
    engine = engine_for(mode, rate, 2, {**changes, "key.semitones": semitones}, transpose=True)
    output = processed(engine, sound)
    assert output[engine.latency :].any()
    np.testing.assert_allclose(output, truth, atol=1e-6)


def test_a_tone_is_heard_in_the_key_that_is_set_and_a_click_at_the_latency():
    rate = 48000
    engine = engine_for("live", rate, 1, {"key.semitones": 7}, transpose=True)
    tone = signals.tune(rate, rate, (440,))
    spectrum = np.abs(np.fft.rfft(processed(engine, tone)[rate // 2 :, 0] * np.hanning(rate // 2)))
    assert 2 * np.argmax(spectrum) == pytest.approx(440 * 2 ** (7 / 12), abs=2)
    engine.reset()
    click = processed(engine, signals.impulse(rate, 20000))[:, 0]
    assert abs(np.argmax(np.abs(click)) - 20000 - engine.latency) < 0.002 * rate


def test_a_key_that_was_changed_and_set_back_ends_at_the_input_to_the_last_bit():
    engine = engine_for("balanced", 48000, 2, {"key.semitones": 3}, transpose=True)
    sound = signals.noise(60000, 2)
    processed(engine, sound[:20000])
    engine.parameters["key.semitones"] = 0
    output = processed(engine, sound[20000:])
    late = engine.latency
    assert not np.array_equal(output[:1000], sound[20000 - late : 21000 - late])
    assert np.array_equal(output[10000:], sound[30000 - late : -late])


@EVERY_MODE
def test_bypass_with_a_key_that_may_change_is_the_delayed_input_to_the_last_bit(mode):
    engine = engine_for(
        mode, 16000, 2, {"melody.mute": 1, "harmonic.gain_db": -9, "bypass": 1, "key.semitones": 5}, transpose=True
    )
    sound = signals.noise(engine.latency + 5000, 2)
    assert np.array_equal(processed(engine, sound)[engine.latency :], sound[: -engine.latency])


def test_without_the_setting_the_key_stays_as_it_is():
    sound = signals.song(9000, 16000)
    assert np.array_equal(
        processed(engine_for("live", 16000, 1, {"key.semitones": 5}), sound),
        processed(engine_for("live", 16000), sound),
    )


# The melody and its score

FOLLOWING = pytest.mark.parametrize("mode", [mode for mode in MODES if Settings(mode=mode).melody])
TWO_VOICES = (250.0, 411.0)  # Hz


def two_voices(seconds, rate):
    """Two steady voices at once, equally loud."""
    return sum(signals.tune(int(seconds * rate), rate, (pitch,)) for pitch in TWO_VOICES)


def followed(engine, sound):
    """When each frame of the melody sounded in `sound`, and its F0: negative where it is but the likeliest pitch."""
    processed(engine, sound)
    frames = int(engine.meters.frames[0])
    assert frames == len(sound) // engine.sizes.hop_size <= len(engine.meters.melody)
    return np.array([engine.melody_time(frame) for frame in range(frames)]), engine.meters.melody[:frames, 0]


def regions(*rows):
    """A score of (seconds, lowest, highest F0)."""
    return np.concatenate([np.tile([[low, high]], (round(seconds * 100), 1)) for seconds, low, high in rows])


@FOLLOWING
def test_meters_show_the_melody_of_now_and_of_the_last_frames(mode):
    rate = 16000
    engine = engine_for(mode, rate)
    sound = signals.tune(rate // 2, rate, (294,))
    _, f0 = followed(engine, sound)
    assert engine.meters.f0[0] == f0[-1] and 1200 * abs(np.log2(f0[-1] / 294)) < 20
    assert engine.meters.confidence[0] == engine.meters.melody[len(f0) - 1, 1] > 0.5
    assert f0[0] <= 0 and engine.meters.melody[0, 1] < 0.5
    onset = np.flatnonzero(f0 > 0)[0]
    before = f0[onset - engine.melody_onset // 2 : onset]  # not yet believed, but heard already
    assert len(before)
    np.testing.assert_allclose(before, -294, rtol=0.02)


@FOLLOWING
def test_a_score_without_melody_gives_a_silent_melody(mode):
    sound = signals.song(16000, 16000)
    stems = parted(engine_for(mode, 16000), sound)
    assert stems[STEMS.index("melody")].any()
    for score in (np.zeros((200, 2)), np.zeros((0, 2)), [[0, 0]]):
        engine = engine_for(mode, 16000, score=score)
        stems = parted(engine, sound)
        if len(score):
            assert not stems[STEMS.index("melody")].any() and engine.meters.melody[:, 0].max() <= 0
        assert np.array_equal(sum(stems)[engine.latency :], sound[: -engine.latency])


@FOLLOWING
def test_a_melody_is_looked_for_only_where_the_score_says(mode):
    rate = 16000
    engine = engine_for(mode, rate, score=regions((0.6, 240, 260), (0.6, 0, 0), (0.6, 400, 422)))
    time_s, f0 = followed(engine, two_voices(1.9, rate))
    for start, end, pitch in ((0.2, 0.6, 250), (0.9, 1.1, 0), (1.4, 1.75, 411)):
        here = f0[(time_s > start) & (time_s < end)]
        np.testing.assert_allclose(np.maximum(here, 0), pitch, rtol=0.012)
    change = time_s[np.flatnonzero(f0 > 300)[0]]
    assert 1.2 - 0.01 <= change < 1.2 + 0.15


@FOLLOWING
def test_the_position_in_the_song_decides_which_part_of_the_score_holds(mode):
    rate = 16000
    score = regions((0.5, 240, 260), (9, 400, 422))
    engine = engine_for(mode, rate, score=score)
    sound = two_voices(0.4, rate)
    assert 240 < followed(engine, sound)[1][-1] < 260
    assert engine.state.position[0] == len(sound)
    engine.reset()
    assert engine.state.position[0] == 0
    engine.state.position[0] = rate  # a player has jumped
    assert 400 < followed(engine, sound)[1][-1] < 422
    assert engine.state.position[0] == rate + len(sound)


@FOLLOWING
def test_a_melody_is_looked_for_only_between_its_lowest_and_highest_pitch(mode):
    sound = two_voices(0.5, 16000)
    for low, high, pitch in ((230, 270, 250), (390, 430, 411)):
        engine = engine_for(mode, 16000, 1, {"melody.low_hz": low, "melody.high_hz": high})
        assert followed(engine, sound)[1][-1] == pytest.approx(pitch, rel=0.012)


@FOLLOWING
def test_a_melody_is_looked_for_at_one_place_in_the_image_alone_when_asked(mode):
    rate = 16000
    left, right = (signals.tune(rate // 2, rate, (pitch,)) for pitch in TWO_VOICES)
    sound = np.concatenate([left, right], 1)
    for pan, pitch, channel in ((-1, 250, 0), (1, 411, 1)):
        engine = engine_for(mode, rate, 2, {"melody.pan": pan, "melody.pan_width": 0.3})
        assert followed(engine, sound)[1][-1] == pytest.approx(pitch, rel=0.012)
        engine.reset()
        melody = np.std(parted(engine, sound)[STEMS.index("melody"), rate // 4 :], axis=0)
        assert melody[channel] > 5 * melody[1 - channel]


@pytest.mark.parametrize("shape", ((), (9,), (9, 1), (9, 3), (2, 9), (9, 2, 1)))
def test_a_score_of_another_shape_is_refused(shape):
    with pytest.raises(BadInput, match=r"a score of shape \(.*\): it must be \(rows, 2\), lowest and highest F0 in Hz"):
        engine_for(score=np.ones(shape))


# What goes in and what comes out


def test_inputs_are_never_written():
    sound = signals.music(3000, 16000, 2)
    before = sound.copy()
    sound.flags.writeable = False
    engine = engine_for("balanced", 16000, 2, {"output.gain_db": 12})
    engine.process(sound)
    engine.process_stems(sound)
    assert np.array_equal(sound, before)
    assert np.array_equal(engine._block[: len(sound)], before)  # what the kernels were given


def test_results_are_arrays_of_their_own():
    engine = engine_for(channels=2)
    sound = signals.noise(2000, 2)
    first = engine.process(sound[:1000])
    kept = first.copy()
    engine.process(sound[1000:])
    assert np.array_equal(first, kept) and first.dtype == np.float32


def test_lists_doubles_strided_and_mono_arrays_are_taken():
    sound = signals.noise(1000, 2)
    expected = engine_for(channels=2).process(sound)
    assert np.array_equal(engine_for(channels=2).process(sound.astype(float)), expected)
    assert np.array_equal(engine_for(channels=2).process(np.asfortranarray(sound)), expected)
    assert np.array_equal(engine_for(channels=2).process(sound.tolist()), expected)
    mono = engine_for().process(sound[:, 0])
    assert mono.shape == (1000,) and np.array_equal(mono, engine_for().process(sound[:, :1])[:, 0])
    assert {stem: part.shape for stem, part in engine_for().process_stems(sound[:, 0]).items()} == dict.fromkeys(
        STEMS, (1000,)
    )


@pytest.mark.parametrize(
    "block, words",
    (
        (np.zeros((10, 3)), r"shape \(10, 3\): this engine takes \(samples, 2\)"),
        (np.zeros(10), r"shape \(10,\)"),
        (np.zeros((2, 10, 2)), "shape"),
        (np.float32(1), "shape"),
        (np.zeros((10, 2), np.int16), "block of int16: it must hold floats"),
        (np.zeros((4097, 2)), "4097 samples: this engine is prepared for at most 4096"),
    ),
)
def test_blocks_of_another_shape_or_kind_are_refused(block, words):
    with pytest.raises(BadInput, match=words):
        engine_for(channels=2).process(block)


@pytest.mark.parametrize(
    "wrong, words",
    (
        (dict(sample_rate=48000, channels=0), "0 channels: an engine takes 1 to 8"),
        (dict(sample_rate=48000, channels=9), "9 channels"),
        (dict(sample_rate=100, channels=1), "sample rate is 100 Hz"),
        (dict(sample_rate=48000, channels=1, max_block=0), "max_block is 0"),
    ),
)
def test_an_engine_cannot_be_prepared_for_nonsense(wrong, words):
    with pytest.raises(BadInput, match=words):
        Engine().prepare(**wrong)


def test_an_engine_that_is_not_prepared_says_so():
    for use in (lambda engine: engine.process(np.zeros((1, 1))), lambda engine: engine.latency, Engine.reset):
        with pytest.raises(BadInput, match="not prepared: call prepare"):
            use(Engine())


def test_meters_show_the_levels_of_input_output_and_stems():
    engine = engine_for(channels=2, changes={"output.gain_db": -20})
    sound = signals.noise(4000, 2)
    output = engine.process(sound)
    assert engine.meters.input[0] == np.abs(sound).max() and engine.meters.output[0] == np.abs(output).max()
    assert engine.meters.stems[1] > 0 and engine.meters.stems.shape == (len(STEMS),)
    engine.reset()
    assert engine.meters.input[0] == 0


@EVERY_MODE
def test_the_state_stays_under_20_megabytes(mode):
    def size(state):
        return sum(size(part) if hasattr(part, "_fields") else part.nbytes for part in state)

    assert size(engine_for(mode, 48000, 2).state) < 20e6


@pytest.mark.parametrize("row", ((-100, 200), (np.nan, 200), (100, np.nan), (300, 200)))
def test_a_score_that_makes_no_sense_is_refused(row):
    with pytest.raises(BadInput, match="a score holds a negative F0, no number, or a lowest above the highest"):
        Engine().prepare(sample_rate=16000, channels=1, score=[(0, 0), row])


# For notebooks and pools


@pytest.mark.parametrize("copied", (copy.deepcopy, lambda engine: pickle.loads(pickle.dumps(engine))))
def test_a_copy_sounds_alike_and_has_heard_nothing(copied):
    score = np.full((20, 2), (200, 800), np.float32)
    engine = engine_for("live", 16000, 2, {"percussive.gain_db": "-inf", "melody.mute": 1})
    engine.prepare(sample_rate=16000, channels=2, max_block=512, score=score)
    sound = signals.music(4000, 16000, 2)
    heard = processed(engine, sound, 500)
    made = copied(engine)
    assert made.settings == engine.settings and made.parameters["percussive.gain_db"].value == -np.inf
    assert np.array_equal(processed(made, sound, 500), heard)
    made.parameters["melody.mute"] = 0
    assert engine.parameters["melody.mute"].value == 1
    fresh = copied(Engine(Settings("quality")))
    assert repr(fresh) == "<Engine quality, not prepared>"
    assert repr(made) == "<Engine live, 16000 Hz, channels 2, latency 6.0 ms>"


def test_a_notebook_shows_what_was_moved():
    engine = Engine()
    engine.parameters["percussive.gain_db"] = -6
    assert "<tr><th>percussive.gain_db</th><td>-6.0 dB</td></tr>" in engine._repr_html_()
    assert engine._repr_html_().count("<tr>") == 1 and "&lt;Engine balanced" in engine._repr_html_()
