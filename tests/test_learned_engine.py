"""Learned masks in the engine: they add up as the classic ones do in every mode at every rate, and do not flutter."""

import numpy as np
import pytest
import signals
from test_engine import EVERY_MODE, STEP_AT, STEP_RATE, engine_for, jump, parted, processed, smooth

from rtsep import networks
from rtsep.engine import Engine
from rtsep.networks import OURS
from rtsep.offline.files import song, sum_of
from rtsep.offline.render import follow
from rtsep.settings import STEMS, Settings

LEARNED = {"masks": "learned"}
RATES = pytest.mark.parametrize("rate", (8000, 44100, 96000))


def stems_of(engine, sound):
    return dict(zip(STEMS, parted(engine, sound), strict=True))


@EVERY_MODE
@RATES
def test_stems_add_up_to_the_delayed_input_to_the_last_bit(mode, rate):
    engine = engine_for(mode, rate, 2, LEARNED)
    sound = signals.noise_24_bit(engine.latency + 5000, 2)
    stems = parted(engine, sound)[:, engine.latency :]
    assert np.array_equal(stems.sum(0), sound[: -engine.latency])
    assert np.abs(stems[-1]).max() < 1e-4  # of rounding
    engine.reset()
    assert np.array_equal(processed(engine, sound)[engine.latency :], sound[: -engine.latency])


@EVERY_MODE
def test_any_block_size_gives_the_same_stems_and_a_reset_the_first_ones(mode):
    sound = signals.song(9000, 16000, 2)
    engine = engine_for(mode, 16000, 2, LEARNED)
    whole = parted(engine, sound, 4096)
    assert not np.allclose(whole, parted(engine_for(mode, 16000, 2), sound, 4096), atol=1e-3)  # the classic ones
    for block in (1, 37, 480):
        engine.reset()
        assert np.array_equal(parted(engine, sound, block), whole), block


@EVERY_MODE
@pytest.mark.parametrize("rate", (44100, 48000, 96000))
def test_a_chord_is_harmonic_a_click_percussive_and_a_voice_the_melody(mode, rate):
    engine = engine_for(mode, rate, 1, LEARNED)
    chord = sum(signals.tune(2 * rate, rate, (pitch,)) for pitch in (131, 165, 196)) * np.float32(0.1)
    stems = {name: stem[rate:] for name, stem in stems_of(engine, chord).items()}
    assert np.std(stems["melody"] + stems["harmony"]) > 4 * np.std(stems["percussive"])
    for at in range(rate // 2, rate // 2 + 500, 100):
        engine.reset()
        stems = stems_of(engine, signals.impulse(rate, at))
        assert np.std(stems["percussive"]) > 2 * np.std(stems["melody"] + stems["harmony"]), at
    engine.reset()
    voice = signals.tune(rate, rate, (220, 247, 262, 294), 0.25)
    stems = {name: stem[rate // 4 :] for name, stem in stems_of(engine, voice).items()}
    assert (np.std(stems["melody"]) > np.std(stems["harmony"])) == engine.settings.melody


@pytest.mark.parametrize("kind", ("sine", "noise", "offset", "silence"))
def test_masks_of_steady_sounds_do_not_flutter(kind):
    rate, seconds = 48000, 2
    time_s = np.arange(seconds * rate) / rate
    sound = {
        "sine": 0.5 * np.sin(2 * np.pi * 440 * time_s),
        "noise": np.random.default_rng(1).uniform(-0.3, 0.3, len(time_s)),
        "offset": np.full(len(time_s), 0.5),
        "silence": np.zeros(len(time_s)),
    }[kind].astype(np.float32)
    engine = engine_for("balanced", rate, 1, LEARNED)
    masks = []
    for block in sound.reshape(-1, engine.sizes.hop_size):
        engine.process(block)
        masks.append(engine.state.whole.copy())
    late = np.array(masks[len(masks) // 2 :])
    assert np.isfinite(late).all() and late.min() >= 0 and late.max() <= 1
    np.testing.assert_allclose(late.sum(1), 1, atol=1e-5)
    loud = np.abs(np.fft.rfft(sound[-2048:] * np.hanning(2048))) ** 2 + 1e-20
    change = (np.abs(np.diff(late, axis=0)).mean(1) * loud).sum(1) / loud.sum()
    assert change.mean() < 0.05, change.mean()


def test_what_sounds_beside_the_place_of_the_melody_is_harmony():
    rate = 16000
    voice = np.zeros((rate, 2), np.float32)
    voice[:, :1] = signals.tune(rate, rate, (220, 247, 262), 0.3)
    anywhere = stems_of(engine_for("balanced", rate, 2, LEARNED), voice)
    right = stems_of(engine_for("balanced", rate, 2, LEARNED | {"melody.pan": 1, "melody.pan_width": 0.2}), voice)
    assert np.std(anywhere["melody"]) > np.std(voice) / 3 and np.std(right["melody"]) < np.std(voice) / 100
    assert np.std(right["harmony"]) > np.std(anywhere["harmony"])


def test_without_a_melody_or_beyond_its_bounds_there_is_none():
    rate = 16000
    voice = signals.tune(rate, rate, (220, 247, 262), 0.3)
    assert np.std(stems_of(engine_for("balanced", rate, 1, LEARNED), voice)["melody"]) > np.std(voice) / 3
    for engine in (
        engine_for("balanced", rate, 1, LEARNED, melody=False),
        engine_for("balanced", rate, 1, LEARNED, score=np.zeros((120, 2))),
    ):
        assert not stems_of(engine, voice)["melody"].any()
    engine = engine_for("balanced", rate, 1, LEARNED | {"melody.low_hz": 500})
    assert np.std(stems_of(engine, voice)["melody"][rate // 2 :]) < np.std(voice) / 30


def test_networks_that_cannot_be_read_leave_the_classic_masks_and_a_sentence(tmp_path):
    (tmp_path / "broken.npz").write_bytes(OURS.read_bytes()[:1000])
    with pytest.warns(RuntimeWarning, match="broken.npz is damaged.*classic"):
        engine = Engine(Settings(networks=str(tmp_path / "broken.npz")))
    engine.prepare(sample_rate=16000, channels=1)
    assert engine.parameters["masks"].text == "classic"
    sound = signals.song(9000, 16000, 1)
    truth = parted(engine_for("balanced", 16000, 1), sound)
    for masks in ("classic", "learned"):  # what is not there cannot be chosen
        engine.reset()
        engine.parameters["masks"] = masks
        assert np.array_equal(parted(engine, sound), truth)


def test_networks_of_ones_own_are_used(tmp_path):
    ours = networks.load()
    deaf = ours.masks._replace(last=0 * ours.masks.last, last_bias=np.array([0, -50, -50], np.float32))
    networks.save(tmp_path / "own.npz", ours._replace(masks=deaf))
    stems = stems_of(engine_for(changes=LEARNED, networks=str(tmp_path / "own.npz")), signals.song(9000, 48000, 1))
    assert stems["percussive"].any() and np.abs(stems["melody"] + stems["harmony"]).max() < 1e-6


@pytest.mark.parametrize("mode", ("live", "balanced"))
@pytest.mark.parametrize("before, after", (("voice", "any"), ("any", "voice")))
def test_who_leads_may_change_without_a_click(mode, before, after, tmp_path):
    ours = networks.load()
    leave = 0 * ours.pitch.leave
    leave[-1] = -10, 10  # never a voice, always some lead
    networks.save(tmp_path / "own.npz", ours._replace(pitch=ours.pitch._replace(leave=leave)))

    def played(*leads):
        changes = LEARNED | {"melody.gain_db": -12, "melody.lead": leads[0]}
        engine = engine_for(mode, STEP_RATE, 1, changes, networks=str(tmp_path / "own.npz"))
        halves = []
        for lead, half in zip(leads, np.split(smooth(2 * STEP_AT, ""), 2), strict=True):
            engine.parameters["melody.lead"] = lead
            halves.append(processed(engine, half.astype(np.float32)))
        return np.concatenate(halves)[STEP_AT // 2 :]

    old, new = played(before, before), played(after, after)
    assert not np.allclose(old[-100:], new[-100:], atol=1e-3)
    assert jump(played(before, after)) <= 1.25 * max(jump(old), jump(new)) + 1e-3


def test_a_lead_is_heard_as_often_at_every_rate():
    sung = {
        rate: np.mean(follow(sum_of(song(rate))[: 10 * rate], rate, mode="balanced").f0_hz > 0)
        for rate in (16000, 44100, 48000)  # windows of 48, 46.4 and 42.7 ms
    }
    assert 0.6 < sung[44100] < 0.8 and np.ptp([*sung.values()]) < 0.06, sung


@pytest.mark.parametrize("kind", ("full scale", "loud", "quiet"))
def test_hard_sounds_stay_finite(kind):
    sound = {
        "full scale": signals.square(20000, 2),
        "loud": signals.noise(20000, 2, level=2e5),
        "quiet": signals.noise(20000, 2, level=1e-15),
    }[kind]
    stems = parted(engine_for("balanced", channels=2, changes=LEARNED), sound)
    assert np.isfinite(stems).all() and np.abs(stems).max() <= 4 * np.abs(sound).max()
