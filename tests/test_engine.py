"""Engine: the whole path. On time, to the last bit, equal to the slow truth, and calm whatever comes in."""

import math

import numpy as np
import pytest
import reference
import signals

from rtsep.engine import Engine
from rtsep.errors import BadInput
from rtsep.parameters import PARAMETERS
from rtsep.settings import MODES, STEMS, Settings

RATES = (8000, 16000, 22050, 44100, 48000, 96000, 192000)
BLOCKS = (1, 37, 63, 64, 65, 480, 4096, "random")
EVERY_MODE = pytest.mark.parametrize("mode", MODES)
EVERY_RATE = pytest.mark.parametrize("rate", RATES)


def engine_for(mode="balanced", rate=48000, channels=1, changes=None, **settings):
    engine = Engine(Settings(mode=mode, **settings))
    engine.prepare(sample_rate=rate, channels=channels)
    for id, value in (changes or {}).items():
        engine.parameters[id] = value
    return engine


def cut(sound, block):
    """`sound` in blocks of `block` samples, or of random lengths."""
    random, start = np.random.default_rng(3), 0
    while start < len(sound):
        length = int(random.integers(1, 1500)) if block == "random" else block
        yield sound[start : start + length]
        start += length


def processed(engine, sound, block=1024):
    """The output for the whole `sound`."""
    return np.concatenate([engine.process(part) for part in cut(sound, block)])


def parted(engine, sound, block=1024):
    """The stems (stems, samples, channels) for the whole `sound`."""
    return np.concatenate([list(engine.process_stems(part).values()) for part in cut(sound, block)], axis=1)


def truth_of(engine, sound):
    """What the stems of `engine` should be for the whole `sound`."""
    names = ("bias", "separation", "exponent", "mask")
    return reference.stems(sound, engine.sizes, *(engine.parameters[f"hpss.{name}"].value for name in names))


def decibels(error, signal):
    return 20 * np.log10(max(np.abs(error).max(), 1e-30) / np.abs(signal).max())


# Equal to the slow truth


@EVERY_MODE
@pytest.mark.parametrize("separation, exponent", ((1, 2), (2, 1), (1.5, 3.25)))
def test_stems_equal_the_slow_truth_over_the_whole_sound(mode, separation, exponent):
    rate = 16000
    engine = engine_for(mode, rate, 2, {"hpss.separation": separation, "hpss.exponent": exponent})
    sound = signals.music(rate // 2 + engine.latency, rate, 2)
    stems = parted(engine, sound)[:, engine.latency :]
    truth = truth_of(engine, sound)
    for stem, got in zip(STEMS, stems, strict=True):
        np.testing.assert_allclose(got, truth[stem][: len(got)], atol=2e-6, err_msg=stem)


@pytest.mark.parametrize("mode, rate", (("live", 44100), ("balanced", 48000), ("quality", 48000), ("offline", 44100)))
def test_output_equals_the_slow_truth_at_the_rates_of_music(mode, rate):
    gains = {"percussive": -12, "harmonic": 3, "residual": -6}
    changes = {f"{stem}.gain_db": gain for stem, gain in gains.items()}
    engine = engine_for(mode, rate, 1, {**changes, "hpss.separation": 2, "output.gain_db": -3})
    sound = signals.music(rate // 4 + engine.latency, rate)
    output = processed(engine, sound)[engine.latency :]
    stems = truth_of(engine, sound)
    truth = sum(10 ** (gain / 20) * stems[stem] for stem, gain in gains.items()) * 10 ** (-3 / 20)
    np.testing.assert_allclose(output, truth[: len(output)], atol=2e-6)


def test_binary_masks_equal_the_slow_truth_but_for_bins_on_the_edge():
    engine = engine_for("balanced", 16000, 1, {"hpss.mask": "binary", "hpss.separation": 1.5})
    sound = signals.music(16000, 16000)
    stems = parted(engine, sound)[:, engine.latency :]
    truth = truth_of(engine, sound)
    for stem, got in zip(STEMS, stems, strict=True):
        error = got - truth[stem][: got.shape[0]]
        assert 20 * np.log10(np.std(error) / np.std(sound)) < -60, stem


OWN = (
    dict(window_ratio=16),
    dict(window_ratio=1, lookahead_s=0.02),
    dict(percussive_bands=((0, 0), (3000, 4000)), bias=0.5, exponent=4.0),
    dict(synthesis_s=0.1, harmonic_s=0.0),
)


@pytest.mark.parametrize("settings", OWN)
def test_settings_of_ones_own_equal_the_slow_truth(settings):
    engine = engine_for("balanced", 16000, 1, **settings)
    sound = signals.music(8000, 16000)
    stems = parted(engine, sound)[:, engine.latency :]
    truth = truth_of(engine, sound)
    for stem, got in zip(STEMS, stems, strict=True):
        np.testing.assert_allclose(got, truth[stem][: len(got)], atol=2e-6, err_msg=stem)


def test_the_offline_mode_equals_librosa_on_inner_frames():
    import librosa

    engine = engine_for("offline", 44100)
    sound = signals.music(44100, 44100)
    stems = parted(engine, sound)[:, engine.latency :, 0]
    harmonic, percussive = librosa.decompose.hpss(librosa.stft(sound[:, 0].astype(float)), kernel_size=31)
    inner = slice(20 * 512, len(stems[0]) - 2048)
    for stem, spectra in (("harmonic", harmonic), ("percussive", percussive)):
        theirs = librosa.istft(spectra, length=len(sound))[inner]
        np.testing.assert_allclose(stems[STEMS.index(stem)][inner], theirs, atol=2e-5, err_msg=stem)


# Blocks


@EVERY_MODE
def test_any_block_size_gives_the_same_sound_to_the_last_bit(mode):
    sound = signals.music(9000, 16000, 2)
    changes = {"percussive.gain_db": -9, "hpss.separation": 2, "limiter": "on", "limiter.ceiling_db": -20}
    whole = processed(engine_for(mode, 16000, 2, changes), sound, 4096)
    stems = parted(engine_for(mode, 16000, 2, changes), sound, 4096)
    for block in BLOCKS:
        assert np.array_equal(processed(engine_for(mode, 16000, 2, changes), sound, block), whole), block
        assert np.array_equal(parted(engine_for(mode, 16000, 2, changes), sound, block), stems), block


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
    residual = parted(engine, sound)[2, engine.latency :]
    if separation == 1:
        assert decibels(residual, sound) < -120
    else:
        assert decibels(residual, sound) > -20


@EVERY_MODE
def test_stems_of_24_bit_sound_add_up_to_the_last_bit(mode):
    engine = engine_for(mode, channels=2, changes={"hpss.separation": 1.5})
    sound = signals.noise_24_bit(engine.latency + 5000, 2)
    stems = parted(engine, sound)[:, engine.latency :]
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        a, b, c = (stems[index] for index in order)
        assert np.array_equal(a + b + c, sound[: -engine.latency])


@EVERY_MODE
def test_all_mutes_give_exact_silence(mode):
    engine = engine_for(mode, channels=2, changes={f"{stem}.mute": 1 for stem in STEMS})
    assert not processed(engine, signals.noise_24_bit(20000, 2)).any()


def test_mute_solo_and_a_closed_fader_leave_what_they_say():
    sound = signals.noise_24_bit(8000, 1)
    percussive, harmonic, residual = parted(engine_for(changes={"hpss.separation": 2}), sound)

    def heard(**changes):
        named = {id.replace("__", "."): value for id, value in changes.items()}
        return processed(engine_for(changes={"hpss.separation": 2, **named}), sound)

    assert np.array_equal(heard(percussive__mute=1), harmonic + residual)
    assert np.array_equal(heard(percussive__gain_db="-inf"), harmonic + residual)
    assert np.array_equal(heard(percussive__solo=1), percussive)
    assert np.array_equal(heard(percussive__solo=1, harmonic__solo=1), percussive + harmonic)
    assert not heard(percussive__solo=1, percussive__mute=1).any()


@EVERY_MODE
def test_bypass_is_the_delayed_input_to_the_last_bit(mode):
    engine = engine_for(mode, channels=2, changes={"percussive.mute": 1, "output.gain_db": -20, "bypass": 1})
    sound = signals.noise(engine.latency + 5000, 2)
    assert np.array_equal(processed(engine, sound)[engine.latency :], sound[: -engine.latency])


@EVERY_RATE
def test_faders_that_return_to_unity_end_at_the_input_to_the_last_bit(rate):
    engine = engine_for("live", rate, 1, {"percussive.gain_db": 12, "output.gain_db": -6, "limiter": "on"})
    sound = signals.noise(3 * rate, level=0.2).clip(-0.8, 0.8)
    processed(engine, sound[: rate // 2], 4096)
    for id in ("percussive.gain_db", "output.gain_db"):
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


# Stereo


@EVERY_MODE
def test_equal_channels_give_equal_stems(mode):
    sound = np.repeat(signals.music(12000, 16000), 2, 1)
    stems = parted(engine_for(mode, 16000, 2), sound)
    assert np.array_equal(stems[:, :, 0], stems[:, :, 1]) and stems[0].any() and stems[1].any()


@EVERY_MODE
def test_a_sound_on_one_side_stays_there(mode):
    sound = np.concatenate([signals.music(12000, 16000), np.zeros((12000, 1), np.float32)], 1)
    stems = parted(engine_for(mode, 16000, 2, {"hpss.separation": 2}), sound)
    assert not stems[:, :, 1].any() and all(stem.any() for stem in stems[:, :, 0])


def test_masks_are_common_to_all_channels_so_the_image_stays():
    mono = signals.music(12000, 16000)
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
        stems = parted(engine, sound)[:, engine.latency + 4000 :]
        energy[factor] = dict(zip(STEMS, (stems.astype(float) ** 2).mean((1, 2)), strict=True))
    assert energy[1]["residual"] < 1e-12
    assert 0 < energy[2]["residual"] < energy[4]["residual"]
    assert energy[4]["residual"] > 0.5 * 0.03**2 and energy[4]["percussive"] < 0.1 * energy[1]["percussive"]
    assert energy[4]["harmonic"] > 0.9 * 0.3**2 / 2


@EVERY_MODE
def test_every_mode_puts_a_tone_into_harmonic_and_a_click_into_percussive(mode):
    rate = 44100
    engine = engine_for(mode, rate)
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)).astype(np.float32)[:, None]
    steady = parted(engine, tone)[:, rate // 2 :]
    assert np.std(steady[1]) > 8 * np.std(steady[0])
    engine.reset()
    click = parted(engine, signals.impulse(rate, rate // 2))
    assert np.std(click[0]) > 30 * np.std(click[1])


# Memory


@EVERY_MODE
def test_reset_equals_fresh_and_no_reset_differs(mode):
    sound = signals.music(12000, 16000, 2)
    changes = {"percussive.gain_db": -6, "limiter": "on", "limiter.ceiling_db": -20}
    fresh = processed(engine_for(mode, 16000, 2, changes), sound)
    engine = engine_for(mode, 16000, 2, changes)
    processed(engine, signals.noise(5003, 2))
    assert not np.array_equal(processed(engine, sound), fresh)
    engine.reset()
    assert np.array_equal(processed(engine, sound), fresh)
    assert engine.parameters["percussive.gain_db"].value == -6
    engine.prepare(sample_rate=16000, channels=2)
    assert np.array_equal(processed(engine, sound), fresh)


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
    sound = signals.music(12000, 16000, 2)
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
    for changes in ({}, {"percussive.gain_db": 12, "output.gain_db": 12, "limiter": "on"}):
        assert not processed(engine_for(mode, channels=2, changes=changes), signals.constant(20000, 0, 2)).any()


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

AUDIBLE = {"percussive.gain_db": -9, "residual.gain_db": 3, "hpss.separation": 1.5}
STEPS = [
    (id, start, end)
    for id, parameter in PARAMETERS.items()
    for start, end in (
        [(float(a), float(b)) for a in (0, 1) for b in (0, 1) if a != b]
        if parameter.choices
        else [(parameter.default, end) for end in (parameter.low, parameter.high)]
        + [(end, parameter.default) for end in (parameter.low, parameter.high)]
    )
    if start != end
]


@pytest.mark.parametrize("mode", ("live", "balanced"))
@pytest.mark.parametrize("id, start, end", STEPS)
def test_no_step_of_a_parameter_makes_a_click(mode, id, start, end):
    rate, at = 48000, 24000
    sound = signals.hum(2 * at, rate)
    base = {"limiter": "on", "limiter.ceiling_db": -24} if id.startswith("limiter") else {}
    base = {**AUDIBLE, **base}

    def jump(output):
        return np.abs(np.diff(output[at // 2 :, 0])).max()

    steady = max(jump(processed(engine_for(mode, rate, 1, {**base, id: value}), sound)) for value in (start, end))
    worst = 0.0
    for later in (0, 50, 111, 170, 300, 391):  # other places on the wave
        engine = engine_for(mode, rate, 1, {**base, id: start})
        first = processed(engine, sound[: at + later])
        engine.parameters[id] = end
        worst = max(worst, jump(np.concatenate([first, processed(engine, sound[at + later :])])))
    # A gain that glides over 10 ms adds a little slope of its own to that of the sound.
    assert worst <= 1.25 * steady + 1e-3


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
