"""Training material: tunes, voices and levels are what their labels say, and a seed makes the same again."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from test_layers import FILES, PACKAGE, imports_any_of

from rtsep.errors import BadInput, Unavailable
from rtsep.training import bands, effects, material, speech, tunes, vocoder, voices

FRAMES = 300
STEADY = tunes.Manner(glide_s=0.02)
# These need neither programs nor sound fonts: one who is made of formulas sings alone.
ALONE = next(
    number
    for number in range(1000)
    if (plan := material.plan(1, number)).kind == "a cappella" and plan.singer and not plan.singer.language
)


def rng(seed=1):
    return np.random.default_rng(seed)


def cents(f0, truth):
    return 1200 * np.log2(f0 / truth)


def made(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("scale", tunes.SCALES)
def test_a_walk_stays_in_its_scale_and_range_and_reaches_all_of_it(scale):
    notes = tunes.walk(rng(), 2000, 48, 65, 2, scale)
    allowed = {note for note in range(48, 66) if (note - 2) % 12 in scale}
    assert set(notes) == allowed
    assert np.mean(np.abs(np.diff(notes)) <= 4) > 0.6


def test_a_walk_goes_on_from_the_note_before():
    firsts = [tunes.walk(rng(seed), 1, 40, 90, 0, range(12), 64)[0] for seed in range(200)]
    assert min(firsts) >= 57 and max(firsts) <= 71


def test_a_walk_turns_round_where_its_range_ends():
    nexts = [tunes.walk(rng(seed), 1, 48, 60, 0, range(12), 60)[0] for seed in range(300)]
    assert nexts.count(60) < 60


def test_a_plain_performance_glides_to_each_note_as_two_poles_do():
    notes = np.repeat([60.0, 67.0], 100)
    pitch = tunes.perform(rng(), notes, STEADY)
    since, pole = np.arange(1, 101), np.exp(-tunes.FRAME_S / 0.02)
    wanted = 67 - 7 * (1 + since * (1 - pole)) * pole**since
    np.testing.assert_allclose(pitch[:100], 60, atol=1e-9)
    np.testing.assert_allclose(pitch[100:], wanted, atol=1e-9)


def test_vibrato_waits_and_has_its_rate_and_depth():
    manner = replace(STEADY, vibrato_hz=5, vibrato=0.5, vibrato_after_s=0.5)
    pitch = tunes.perform(rng(), np.full(1000, 60.0), manner) - 60
    assert np.abs(pitch[:50]).max() < 1e-9
    late = pitch[200:]
    assert 0.3 < np.sqrt(2) * late.std() < 0.7
    turns = np.count_nonzero(np.diff(np.signbit(late)))
    assert turns / 2 / 8 == pytest.approx(5, rel=0.1)


def test_scoops_begin_below_and_falls_end_there():
    notes = np.full(100, 60.0)
    pitch = tunes.perform(rng(), notes, replace(STEADY, scoops=1.0, falls=1.0)) - 60
    assert -3 <= pitch[0] <= -0.5 and -5 <= pitch[-1] <= -1
    assert np.abs(pitch[20:70]).max() < 1e-9


@pytest.mark.parametrize("hz", (1, 3, 25))
def test_what_wanders_has_its_spread_and_is_slow(hz):
    noise = tunes.wander(rng(), 200_000, hz, 0.3)
    assert noise.std() == pytest.approx(0.3, rel=0.1)
    near = np.corrcoef(noise[1:], noise[:-1])[0, 1]
    assert near == pytest.approx(np.exp(-2 * np.pi * hz * tunes.FRAME_S), abs=0.02)


def test_pulses_stand_where_the_phase_turns_and_have_power_one():
    f0 = np.full(100, 210.7)
    train = vocoder.pulses(f0).astype(float)
    spectrum = np.abs(np.fft.rfft(train * np.hanning(len(train)), 16 * len(train)))
    hz = np.arange(len(spectrum)) * effects.RATE / 16 / len(train)
    for harmonic in (1, 2, 50):
        near = np.abs(hz - harmonic * 210.7) < 50
        assert hz[near][spectrum[near].argmax()] == pytest.approx(harmonic * 210.7, abs=0.2)
    between = spectrum[np.abs(hz - 50.5 * 210.7) < 20].max()
    assert between < 1e-3 * spectrum[near].max()
    assert (train**2).mean() == pytest.approx(1, rel=0.05)


def test_pulses_rest_where_there_is_no_voice():
    f0 = np.concatenate((np.full(50, 300.0), np.zeros(50), np.full(50, 200.0)))
    power = (vocoder.pulses(f0).reshape(-1, vocoder.HOP) ** 2).sum(1)
    assert power[:49].all() and not power[52:98].any() and power[101:].all()
    assert not vocoder.pulses(np.zeros(10)).any()


def test_the_vocoder_adds_no_delay():
    f0 = np.concatenate((np.zeros(20), np.full(60, 300.0), np.zeros(20)))
    flat = np.zeros((100, vocoder.BINS), np.float32)
    singer = vocoder.Vocoder(rng(), flat, flat)
    np.testing.assert_allclose(singer.sing(f0), vocoder.pulses(f0), atol=1e-3)


def test_the_vocoder_filters_as_its_envelope_says():
    hz = np.arange(vocoder.BINS) * effects.RATE / 2 / (vocoder.BINS - 1)
    power_db = 20 * np.exp(-0.5 * ((hz - 3000) / 800) ** 2)
    envelope = np.tile(power_db * np.log(10) / 10, (FRAMES, 1)).astype(np.float32)
    for noisy in (1e-3, 1.0):
        singer = vocoder.Vocoder(rng(), envelope, np.full_like(envelope, noisy))
        sound = singer.sing(np.full(FRAMES, 100.0))
        found = np.mean(np.abs(librosa.stft(sound)) ** 2, 1)
        bins = np.fft.rfftfreq(2048, 1 / effects.RATE)
        bands_db = [10 * np.log10(found[np.abs(bins - middle) < 150].mean()) for middle in (500, 3000, 9000)]
        assert bands_db[1] - bands_db[0] == pytest.approx(20, abs=1.5)
        assert bands_db[2] - bands_db[0] == pytest.approx(0, abs=1.5)


@pytest.mark.parametrize("kind", ("bass", "alto", "soprano"))
def test_the_f0_of_a_voice_is_what_is_heard(kind):
    low = voices.TYPES[kind][0]
    singer = replace(
        voices.cast(rng()), language="", low=low, high=low + 14, air=-40, doubles=0, harmony=0, rap=False, tract=1.0
    )
    sound, f0 = voices.sing(rng(3), singer, 5.0, 0.5, 0, tunes.SCALES[0])
    assert sound.shape == (5 * effects.RATE, 2) and f0.shape == (500,)
    found = librosa.yin(sound[::2, 0], fmin=60, fmax=1100, sr=effects.RATE / 2, hop_length=220)
    times = np.arange(len(found)) * 220 / (effects.RATE / 2)
    truth = np.interp(times, np.arange(500) * tunes.FRAME_S, f0)
    steady = np.interp(times, np.arange(500) * tunes.FRAME_S, (f0 > 0).astype(float)) == 1
    assert 0.3 < (f0 > 0).mean() < 0.98
    assert np.mean(np.abs(cents(found[steady], truth[steady])) < 50) > 0.8


def test_a_voice_sings_in_tune_and_within_its_range():
    singer = replace(voices.cast(rng()), language="", manner=STEADY, low=50, high=64, rap=False, melisma=0.2)
    f0 = voices.sing(rng(5), singer, 8.0, 0.5, 2, tunes.SCALES[0])[1]
    pitch = librosa.hz_to_midi(f0[f0 > 0].astype(float))
    near = np.rint(pitch).astype(int)
    steady = np.abs(pitch - near) < 0.01
    assert steady.mean() > 0.6 and near.min() >= 50 and near.max() <= 64
    # Glides pass other notes.
    assert np.isin((near[steady] - 2) % 12, tunes.SCALES[0]).mean() > 0.98


def test_second_voices_sound_along_and_leave_the_f0_alone():
    singer = replace(voices.cast(rng()), language="", doubles=0, harmony=0)
    alone, f0 = voices.sing(rng(3), singer, 3.0, 0.5, 0, tunes.SCALES[0])
    doubled, same = voices.sing(rng(3), replace(singer, doubles=2), 3.0, 0.5, 0, tunes.SCALES[0])
    np.testing.assert_array_equal(f0, same)
    assert np.array_equal(alone[:, 0], alone[:, 1]) and not np.allclose(doubled[:, 0], doubled[:, 1], atol=0.01)


def test_syllables_lie_around_peaks_of_voiced_power_and_short_ones_are_left_out():
    frames = np.arange(120)
    arches = sum(np.exp(-0.5 * ((frames - middle) / 5) ** 2) for middle in (30, 60, 90))
    voiced = (np.abs(frames - 30) < 9) | (np.abs(frames - 60) < 2) | (np.abs(frames - 90) < 7)
    envelope = np.tile(6 * arches[:, np.newaxis], (1, vocoder.BINS)).astype(np.float32)
    first, last = speech._syllables(voiced, envelope)
    assert first.begin <= 22 and (first.first, first.nucleus, first.last) == (22, 30, 38)
    assert first.end <= last.begin and (last.first, last.nucleus, last.last) == (84, 90, 96)
    assert speech._syllables(np.zeros(120, bool), envelope) == []


@pytest.mark.parametrize("language", speech.LANGUAGES)
def test_nonsense_has_letters_and_is_new_each_time(language):
    texts = {speech.nonsense(rng(seed), language) for seed in range(20)}
    assert len(texts) == 20
    assert all(len(text) >= 4 and "-" not in text for text in texts)


def test_saturation_is_a_gain_so_that_stems_still_add_up():
    stems = rng().standard_normal((3, 1000, 2)).astype(np.float32)
    mix = stems.sum(0)
    gain = effects.saturation(mix, 2)
    np.testing.assert_allclose(2 * mix * gain, np.tanh(2 * mix), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose((stems * gain).sum(0), mix * gain, atol=1e-5)
    assert effects.saturation(np.zeros((1, 2), np.float32), 2) == pytest.approx(1)


def test_a_compressor_takes_what_is_too_loud_down_by_its_ratio():
    sound = np.ones((effects.RATE, 2), np.float32) * np.float32(10 ** (-8 / 20))
    gain = effects.compression(sound, -20, 4, 0.005, 0.1)
    # The last block is filled up with silence.
    assert 20 * np.log10(gain[-200, 0]) == pytest.approx(-9, abs=0.01)
    assert 20 * np.log10(gain[round(0.005 * effects.RATE), 0]) == pytest.approx(-9 * (1 - np.exp(-1)), abs=1)
    assert effects.compression(sound, -7, 4, 0.005, 0.1).min() == 1


def test_places_keep_the_power_and_width_takes_the_sides():
    sound = rng().standard_normal((1000, 2)).astype(np.float32)
    np.testing.assert_allclose(effects.place(sound, 0, 1), sound, atol=1e-5)
    for pan in (-1, -0.3, 0.8):
        mono = effects.place(sound, pan, 0)
        assert (mono**2).sum() == pytest.approx(2 * (sound.mean(1) ** 2).sum(), rel=1e-4)
        np.testing.assert_allclose(mono[:, 0] * mono[0, 1], mono[:, 1] * mono[0, 0], atol=1e-5)
    assert np.abs(effects.place(sound, -1, 0)[:, 1]).max() < 1e-6


def test_a_room_leaves_what_was_there_and_rings_as_long_as_it_says():
    click = np.zeros((2 * effects.RATE, 2), np.float32)
    click[0] = 1
    wet = effects.room(rng(), click, 1.0, -12) - click
    assert 20 * np.log10(np.sqrt((wet**2).sum(0))) == pytest.approx([-12, -12], abs=0.5)
    early, late = (np.sqrt((wet[round(at * effects.RATE) :][:4410] ** 2).mean()) for at in (0.3, 0.6))
    assert 20 * np.log10(early / late) == pytest.approx(18, abs=2)


def test_loudness_is_that_of_what_sounds():
    sound = np.zeros((4 * effects.RATE, 2), np.float32)
    sound[effects.RATE : 2 * effects.RATE] = 0.25
    assert effects.loudness(sound) == pytest.approx(0.25)
    assert effects.loudness(np.zeros_like(sound)) == 0


def test_chords_are_thirds_of_the_scale():
    song = bands.Song(0.5, 0.0, 0, tunes.SCALES[0], (0, 4, 5), 0.0, 15.0)
    assert [song.chord(bar) for bar in range(4)] == [[0, 4, 7], [7, 11, 14], [9, 12, 16], [0, 4, 7]]
    assert song.bars == 8 and song.time(4) == pytest.approx(0.5)


def test_bends_go_to_the_channel_of_their_note_and_no_further():
    notes = [bands.Note(0.5 * number, 0.4, 60 + number, 90) for number in range(3)]
    bends = [(note.start + 0.1, note.key - 59.0) for note in notes]
    events = bands._events(bands.Part(65, False, 0, notes, bends), 10.0, 5.0)
    wheels = [(time, message.channel, message.pitch) for time, _, message in events if message.type == "pitchwheel"][2:]
    wanted = [(10 + time, number % 2, round((number + 1) / 12 * 8192)) for number, (time, _) in enumerate(bends)]
    assert wheels == [(pytest.approx(time), channel, pitch) for time, channel, pitch in wanted]


@pytest.mark.parametrize("seed", range(20))
def test_a_lead_instrument_plays_one_note_at_a_time_at_the_f0_that_its_bends_say(seed):
    part, f0 = bands.lead(rng(seed), bands.song(rng(seed), 15.0))
    ends = [note.start + note.length for note in part.notes]
    assert all(end <= note.start + 0.03 for end, note in zip(ends, part.notes[1:], strict=False))
    key = {round(note.start / tunes.FRAME_S): note.key for note in part.notes}
    now = 0
    for time, bend in part.bends:
        frame = round(time / tunes.FRAME_S)
        now = key.get(frame, now)
        assert abs(bend) < 12 and f0[frame] == pytest.approx(tunes.hertz(now + bend))
    assert np.count_nonzero(f0) == len({round(time / tunes.FRAME_S) for time, _ in part.bends})


def test_patterns_fill_a_bar_and_are_made_of_known_symbols():
    assert all(len(line) == 16 and set(line) <= set("Xxo-.") for line in bands.RHYTHMS)
    assert all(len(line) == 16 and set(line) <= set("RO5w-.") for line in bands.BASS_LINES)
    assert all(len(line) == 16 and set(line) <= set("Xxo.") for lines in bands.GROOVES.values() for line in lines)


def test_a_plan_follows_from_its_seed_and_number_alone():
    assert material.plan(3, 7) == material.plan(3, 7)
    plans = [material.plan(seed, number) for seed in (1, 2) for number in range(50)]
    assert len({repr(plan) for plan in plans}) == 100


def test_plans_are_as_various_as_promised():
    plans = [material.plan(1, number) for number in range(3000)]
    kinds = Counter(plan.kind for plan in plans)
    for kind, (often, players) in material.KINDS.items():
        assert kinds[kind] / 3000 == pytest.approx(often, abs=0.03)
        assert all(("v" in players) == (plan.singer is not None) for plan in plans if plan.kind == kind)
    levels = [plan.voice_db for plan in plans]
    assert min(levels) >= -12 and max(levels) <= 9 and np.ptp(levels) > 19
    singers = [plan.singer for plan in plans if plan.singer]
    assert {singer.kind for singer in singers} == set(voices.TYPES)
    assert {singer.language for singer in singers} == {"", *speech.LANGUAGES}
    for singer in singers:
        low, high = voices.TYPES[singer.kind]
        assert low <= singer.low and singer.low + 12 <= singer.high <= high + 8


def test_an_item_is_the_same_whenever_it_is_made_and_does_not_clip(tmp_path):
    first, second = (material._make(tmp_path / name, 1, ALONE) for name in ("a", "b"))
    assert made(first) == made(second)
    assert set(made(first)) == {"voice.flac", "f0.npy", "lead_f0.npy", "meta.json"}
    sound, rate = soundfile.read(first / "voice.flac")
    assert rate == 44100 and sound.shape == (15 * 44100, 2) and 0.2 < np.abs(sound).max() <= material.PEAK
    f0 = np.load(first / "f0.npy")
    assert f0.dtype == np.float32 and f0.shape == (1500,) and not np.load(first / "lead_f0.npy").any()
    assert json.loads((first / "meta.json").read_text())["number"] == ALONE


def test_the_bus_leaves_stems_that_add_up_and_do_not_clip():
    stems = {name: rng(seed).standard_normal((44100, 2)).astype(np.float32) for seed, name in enumerate(material.STEMS)}
    stems["lead"] -= 3 * stems["backing"]  # so that stems are louder than the mix
    for number in range(8):
        plan = replace(material.plan(1, number), width=1.0, highest_hz=20e3)
        meta = {}
        mastered = material._master(plan, dict(stems), meta)
        for name in stems:  # one gain on all
            np.testing.assert_allclose(mastered[name] * stems["voice"], mastered["voice"] * stems[name], atol=1e-5)
        assert (
            max(np.abs(sound).max() for sound in (*mastered.values(), sum(mastered.values()))) <= material.PEAK + 1e-6
        )


def test_a_render_goes_on_where_it_was_broken_off(tmp_path):
    begun = tmp_path / f".{ALONE:05}.part"
    begun.mkdir()
    (begun / "drums.flac").write_bytes(b"half")
    folder = material._make(tmp_path, 1, ALONE)
    assert not begun.exists() and not (folder / "drums.flac").exists()
    (folder / "voice.flac").write_bytes(b"not again")
    assert material._make(tmp_path, 1, ALONE) == folder
    assert (folder / "voice.flac").read_bytes() == b"not again"
    with pytest.raises(BadInput, match="items of the seed 1: choose another folder for 2"):
        material._make(tmp_path, 2, ALONE)


def test_what_is_missing_is_named_with_its_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda program: None)
    monkeypatch.setattr(bands, "SOUNDFONTS", (tmp_path / "a.sf2", Path(__file__)))
    with pytest.raises(Unavailable, match=r"no fluid-soundfont-gm: .*apt install espeak-ng fluidsynth fluid-soundfont"):
        material.check()
    for minutes, jobs in ((0, 1), (-1, 1), (1, 0), (float("nan"), 1)):
        with pytest.raises(BadInput, match="must be more than 0"):
            list(material.render(tmp_path, minutes, jobs=jobs))


def test_the_command_refuses_with_a_sentence(tmp_path):
    command = [sys.executable, "-m", "rtsep.training", str(tmp_path), "--minutes", "-1"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2 and result.stderr.startswith("rtsep: -1 minutes, effort 1, 2 jobs: at least 2")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_nothing_imports_training_but_itself(file):
    assert file.is_relative_to(PACKAGE / "training") or not imports_any_of(file, "rtsep.training")
