"""informed: a recording into the hands, tracks and notes of its score. The recordings are made here, note by note."""

import itertools
import math

import mido
import numpy as np
import pytest
import signals
import soundfile

from rtsep.errors import BadInput
from rtsep.offline import informed, score_nmf
from rtsep.offline.evaluate import si_sdr
from rtsep.offline.informed import separate_by_score
from rtsep.offline.score import Note
from rtsep.templates import harmonic_templates, onset_templates

RATE, WINDOW, HOP = 16000, 2048, 512
SECONDS = 10.0
# Octaves and fifths that sound together share partials; E4 is played by both hands.
LEFT = [Note(0.1 + 0.6 * i, 0.55, pitch, "Left") for i, pitch in enumerate((48, 55, 60, 64, 48, 55, 57, 60) * 2)]
RIGHT = [Note(0.1 + 0.4 * i, 0.35, pitch, "Right") for i, pitch in enumerate((72, 76, 79, 64, 67, 84, 77, 74) * 3)]
LOW = [note._replace(pitch=note.pitch - 12) for note in LEFT]


def piano(notes, seconds=SECONDS, pan=0.5, seed=1):
    """Struck strings (samples, 2): stiff, the high partials dying first, with a thump; 24-bit samples."""
    random = np.random.default_rng(seed)
    sound = np.zeros(round(seconds * RATE))
    for note in notes:
        place = sound[math.ceil(note.onset_s * RATE) :][: round((note.duration_s + 0.5) * RATE)]
        time = np.arange(len(place)) / RATE
        damped = np.exp(-np.maximum(time - note.duration_s, 0) / 0.05)
        f0 = 440 * 2 ** ((note.pitch - 69) / 12)
        for n in range(1, 16):
            pitch = n * f0 * math.sqrt(1 + 3e-4 * n**2)
            if pitch < 0.45 * RATE:
                wave = np.sin(2 * np.pi * (pitch * time + random.uniform()))
                place += 0.08 / n**1.2 * damped * np.exp(-time * (1 + 0.4 * n)) * wave
        place += 0.02 * np.exp(-time / 0.01) * random.standard_normal(len(time))
    return rounded(sound[:, None] * (math.sqrt(1 - pan), math.sqrt(pan)))


def rounded(sound):
    return (np.rint(sound * 2**23) / 2**23).astype(np.float32)


def song():
    """The true hands, their sum, and the score."""
    hands = {"Left": piano(LEFT, pan=0.35), "Right": piano(RIGHT, pan=0.6, seed=2)}
    return hands, sum(hands.values()), sorted(LEFT + RIGHT)


def gains(truth, stems, mix, names=None):
    """By how many dB each stem is more like the truth than the mixture is."""
    return [
        si_sdr(true, stems[stem]) - si_sdr(true, mix) for stem, true in zip(names or truth, truth.values(), strict=True)
    ]


def midi(path, tracks):
    """A MIDI file of {name: notes} at 120 beats a minute, a tick being a millisecond."""
    file = mido.MidiFile(ticks_per_beat=500)
    for channel, (name, notes) in enumerate(tracks.items()):
        events = [
            (round(1000 * time), mido.Message("note_on", note=note.pitch, velocity=velocity, channel=channel))
            for note in notes
            for time, velocity in ((note.onset_s, 80), (note.onset_s + note.duration_s, 0))
        ]
        track, now = mido.MidiTrack([mido.MetaMessage("track_name", name=name)]), 0
        for tick, message in sorted(events, key=lambda event: event[0]):
            track.append(message.copy(time=tick - now))
            now = tick
        file.tracks.append(track)
    file.save(path)
    return path


def test_hands_come_out_10_db_above_the_mixture():
    truth, mix, notes = song()
    stems = separate_by_score(mix, notes, sample_rate=RATE)
    assert list(stems) == ["Right", "Left", "residual"]
    assert min(gains(truth, stems, mix)) > 10
    assert np.square(stems["residual"]).sum() < 0.01 * np.square(mix).sum()


def test_hands_are_parted_at_a_pitch_if_the_score_has_one_track():
    truth = {"lower": piano(LOW, pan=0.35), "upper": piano(RIGHT, pan=0.6, seed=2)}
    mix, notes = sum(truth.values()), sorted(note._replace(track="Piano") for note in LOW + RIGHT)
    stems = separate_by_score(mix, notes, sample_rate=RATE, by="hand", split_at=62)
    assert set(stems) == {"lower", "upper", "residual"} and min(gains(truth, stems, mix)) > 10
    named = separate_by_score(mix, notes, sample_rate=RATE, by="hand", split_at="D4")
    assert all(np.array_equal(named[stem], stems[stem]) for stem in stems)


def test_the_pitch_that_parts_the_hands_is_the_lowest_of_the_upper():
    notes = [Note(0.2, 0.5, 60), Note(1.0, 0.5, 62)]
    mix = piano(notes, 2)
    for split, upper in ((61, [False, True]), (62, [False, True])):
        stem = separate_by_score(mix, notes, sample_rate=RATE, by="hand", split_at=split)["upper"]
        assert [np.abs(stem[round(s * RATE) :][:1000]).max() > 0.01 for s in (0.3, 1.1)] == upper


def test_files_of_sound_and_score_are_taken_as_they_are(tmp_path):
    _, mix, notes = song()
    soundfile.write(tmp_path / "song.wav", mix, RATE, "FLOAT")
    score = midi(tmp_path / "song.mid", {"Right": RIGHT, "Left": LEFT})
    stems = separate_by_score(tmp_path / "song.wav", score)
    expected = separate_by_score(mix, notes, sample_rate=RATE)
    assert list(stems) == list(expected)
    assert min(si_sdr(expected[stem], stems[stem]) for stem in ("Left", "Right")) > 30  # its times are not as fine


@pytest.mark.parametrize("by", informed.BY)
def test_stems_add_up_to_the_recording_to_the_last_bit(by):
    _, mix, notes = song()
    mix, notes = mix[: 2 * RATE], [note for note in notes if note.onset_s < 1.5]
    stems = separate_by_score(mix, notes, sample_rate=RATE, by=by)
    assert all((stem.shape, stem.dtype) == (mix.shape, np.float32) for stem in stems.values())
    assert len(stems) == 1 + {"track": 2, "hand": 2, "note": len(notes)}[by]
    for order in itertools.islice(itertools.permutations(stems.values()), 6):
        assert np.array_equal(sum(order), mix)


def slow_truth(sound, stems, tolerance_s):
    """The stems (name: notes) of `sound` (samples, channels) in double precision, all components in every frame."""
    sizes = score_nmf.sizes_at(RATE)
    assert sizes[:3] == (WINDOW, WINDOW, HOP)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    padded = np.pad(sound.astype(float), ((WINDOW, WINDOW), (0, 0)))
    starts = range(HOP, len(sound) + WINDOW, HOP)
    spectra = np.stack([np.fft.rfft(padded[start : start + WINDOW] * window[:, None], axis=0) for start in starts])
    v = np.linalg.norm(spectra, axis=2)
    middles = (np.array(starts) - WINDOW / 2) / RATE
    frame_s = HOP / RATE

    w, h, stem_of = [], [], []
    for stem, notes in stems.items():
        for pitch in sorted({note.pitch for note in notes}):
            own = [note for note in notes if note.pitch == pitch]
            for rule, after in ((harmonic_templates, None), (onset_templates, 0.2)):
                allowed = np.zeros(len(v))
                for note in own:
                    end = note.onset_s + (note.duration_s + 0.3 if after is None else after) + tolerance_s
                    allowed += (middles > note.onset_s - tolerance_s - frame_s) & (middles < end + frame_s)
                h.append(allowed > 0)
                w.append(rule(sizes, RATE, range(pitch, pitch + 1))[0].astype(float))
                stem_of.append(stem)
    w, h, stem_of = np.array(w), np.array(h).T, np.array(stem_of)
    h = h * (v.sum(1) / np.maximum(h.sum(1), 1))[:, None]
    for _ in range(20):
        h = h * (v / (h @ w + 1e-12) @ w.T)
        w = w * (h.T @ (v / (h @ w + 1e-12))) / (h.sum(0)[:, None] + 1e-12)
        h, w = h * w.sum(1), w / (w.sum(1, keepdims=True) + 1e-12)
    models = {stem: (h[:, stem_of == stem] @ w[stem_of == stem]) ** 2 for stem in stems}
    total = sum(models.values())
    results = {}
    for stem, model in models.items():
        mask = np.divide(model, total, out=np.zeros_like(model), where=total > 0)
        result = np.zeros_like(padded)
        for start, spectrum in zip(starts, spectra * mask[:, :, None], strict=True):
            result[start : start + WINDOW] += np.fft.irfft(spectrum, axis=0) * window[:, None] / 1.5
        results[stem] = result[WINDOW:-WINDOW]
    return results


@pytest.mark.parametrize("tolerance_s", (0.0, 0.13))
def test_it_equals_the_slow_truth(tolerance_s):
    _, mix, notes = song()
    mix, notes = mix[: round(2.5 * RATE) + 77], [note for note in notes if note.onset_s < 2.4]
    truth = slow_truth(mix, {name: [n for n in notes if n.track == name] for name in ("Left", "Right")}, tolerance_s)
    stems = separate_by_score(mix, notes, sample_rate=RATE, tolerance_s=tolerance_s)
    for name, true in truth.items():
        assert si_sdr(true, stems[name]) > 60, name


def test_what_is_zero_at_first_stays_zero_and_all_else_is_learned():
    _, mix, notes = song()
    sizes = score_nmf.sizes_at(RATE)
    plan = score_nmf.plan_of(notes, [0] * len(notes), len(mix), sizes, RATE, 0.1)
    activations, templates = score_nmf.factors(mix, range(len(plan.stem)), plan, sizes, RATE)
    rules = [
        rule(sizes, RATE, range(pitch, pitch + 1))[0]
        for rule in (harmonic_templates, onset_templates)
        for pitch in plan.pitches
    ]
    assert not activations[~plan.allowed].any() and not templates[np.array(rules) == 0].any()
    assert (activations[plan.allowed] > 0).mean() > 0.9
    np.testing.assert_allclose(templates.sum(1), 1, atol=1e-4)
    assert np.abs(templates - rules).sum(1).min() > 0.1


def test_each_update_lowers_the_divergence():
    random = np.random.default_rng(3)
    magnitude = random.exponential(1, (40, 60)).astype(np.float32)
    templates = random.dirichlet(np.ones(60), 5).astype(np.float32)
    activations = (random.exponential(1, (40, 5)) * random.integers(0, 2, (40, 5))).astype(np.float32)
    activations[:, 0] += 0.1

    def divergence():
        model = activations.astype(float) @ templates
        return np.sum(magnitude * np.log(magnitude / model) - magnitude + model)

    found = [divergence()]
    for _ in range(10):
        sums = np.zeros_like(templates)
        score_nmf._update(magnitude, templates, activations, sums, np.zeros(60, np.float32), np.zeros(5, np.int64))
        templates = templates * sums / activations.sum(0)[:, None]
        activations *= templates.sum(1)
        templates /= templates.sum(1, keepdims=True)
        found.append(divergence())
    assert np.all(np.diff(found) < 0)


def test_within_the_tolerance_a_score_may_be_early_or_late():
    truth, mix, notes = song()
    random = np.random.default_rng(4)
    off = [note._replace(onset_s=max(note.onset_s + random.choice((-0.09, 0.09)), 0)) for note in notes]
    tolerant, strict = (
        np.mean(gains(truth, separate_by_score(mix, off, sample_rate=RATE, tolerance_s=tolerance), mix))
        for tolerance in (0.1, 0.0)
    )
    exact = np.mean(gains(truth, separate_by_score(mix, notes, sample_rate=RATE), mix))
    assert tolerant > exact - 0.7 and tolerant > strict + 1


def test_a_note_sounds_only_around_its_time_and_what_is_no_note_s_is_the_residual():
    notes = [Note(1.5, 0.5, 60), Note(1.8, 0.5, 67)]
    whistle = rounded(0.05 * np.sin(2 * np.pi * 1234 * np.arange(4 * RATE) / RATE))[:, None] * np.ones((1, 2), "f4")
    whistle[RATE // 2 : 3 * RATE] = 0
    truth = [piano([note], 4, seed=note.pitch) for note in notes]
    mix = sum(truth) + whistle
    stems = separate_by_score(mix, notes, sample_rate=RATE, by="note", tolerance_s=0.1)
    assert list(stems) == ["C4 1.500s", "G4 1.800s", "residual"]
    slack = WINDOW / 2 + HOP
    for note, true, stem in zip(notes, truth, list(stems.values())[:2], strict=True):
        first, last = np.flatnonzero(stem.any(1))[[0, -1]]
        assert (note.onset_s - 0.1) * RATE - slack <= first <= note.onset_s * RATE
        assert (note.onset_s + note.duration_s) * RATE <= last
        assert last <= (note.onset_s + note.duration_s + 0.4) * RATE + slack
        assert si_sdr(true, stem) > 10
    assert np.array_equal(stems["residual"][: RATE // 2], whistle[: RATE // 2])
    assert np.array_equal(stems["residual"][3 * RATE :], mix[3 * RATE :])


def test_a_string_that_is_struck_again_is_the_new_note_s():
    notes = [Note(0.3, 2.0, 60), Note(1.0, 0.4, 60)]
    stems = separate_by_score(piano(notes, 3), notes, sample_rate=RATE, by="note")
    first, again = (np.square(stem).sum(1) for stem in list(stems.values())[:2])
    assert first[: int(0.8 * RATE)].sum() > 100 * again[: int(0.8 * RATE)].sum()
    assert again[int(1.1 * RATE) : int(1.4 * RATE)].sum() > 100 * first[int(1.1 * RATE) : int(1.4 * RATE)].sum()


def test_notes_of_a_chord_that_share_partials_come_out():
    """An octave and a fifth, together and alone."""
    chords = [(48,), (60,), (67,), (48, 60), (48, 60, 67), (60, 67)]
    notes = [Note(0.2 + 0.7 * i, 0.6, pitch, str(pitch)) for i, chord in enumerate(chords) for pitch in chord]
    truth = {str(pitch): piano([n for n in notes if n.pitch == pitch], 5, seed=pitch) for pitch in (48, 60, 67)}
    mix = sum(truth.values())
    assert min(gains(truth, separate_by_score(mix, notes, sample_rate=RATE), mix)) > 10


def test_every_stem_keeps_its_place_in_the_stereo_image():
    notes = [Note(0.2, 0.8, 50, "a"), Note(0.5, 0.8, 69, "b")]
    mix = sum(piano([note], 2, pan=0.2) for note in notes)
    mix[:, 1] = mix[:, 0] / 2
    stems = separate_by_score(mix, notes, sample_rate=RATE)
    for stem in stems.values():
        np.testing.assert_allclose(stem[:, 1], stem[:, 0] / 2, atol=2.0**-23)
    mix[:, 1] = 0
    assert not any(stem[:, 1].any() for stem in separate_by_score(mix, notes, sample_rate=RATE).values())


def test_a_mono_array_stays_one_and_equals_a_channel():
    _, mix, notes = song()
    mono = separate_by_score(mix[:, 0], notes, sample_rate=RATE)
    column = separate_by_score(mix[:, :1], notes, sample_rate=RATE)
    assert all(mono[stem].shape == (len(mix),) and np.array_equal(mono[stem], column[stem][:, 0]) for stem in mono)


def test_stems_grow_with_the_recording():
    _, mix, notes = song()
    stems, louder = (separate_by_score(mix * np.float32(level), notes, sample_rate=RATE) for level in (1, 8))
    for stem in stems:
        np.testing.assert_allclose(louder[stem] / 8, stems[stem], atol=2.0**-22)
    sizes = score_nmf.sizes_at(RATE)
    plan = score_nmf.plan_of(notes, [0] * len(notes), len(mix), sizes, RATE, 0.1)
    found, faint = (
        score_nmf.factors(mix * np.float32(level), range(len(plan.stem)), plan, sizes, RATE) for level in (1, 2.0**-40)
    )
    assert np.array_equal(found[0], faint[0]) and np.array_equal(found[1], faint[1])


def test_a_long_recording_is_learned_in_parts(monkeypatch):
    truth, mix, notes = song()
    monkeypatch.setattr(informed, "_MOST_VALUES", 170 * (WINDOW // 2 + 1))
    stems = separate_by_score(mix, notes, sample_rate=RATE)
    assert min(gains(truth, stems, mix)) > 9
    assert np.array_equal(sum(stems.values()), mix)
    monkeypatch.setattr(informed, "_MOST_VALUES", 10**9)
    monkeypatch.setattr(score_nmf, "_FRAMES", 7)
    blocks = separate_by_score(mix, notes, sample_rate=RATE)
    monkeypatch.setattr(score_nmf, "_FRAMES", 10_000)
    whole = separate_by_score(mix, notes, sample_rate=RATE)
    for stem in whole:
        assert not np.array_equal(stems[stem], whole[stem])
        np.testing.assert_allclose(blocks[stem], whole[stem], atol=2.0**-22)


def test_silence_and_what_is_no_number_stay_silent():
    notes = [Note(0.2, 0.4, 60, "a"), Note(2.2, 0.4, 64, "b")]
    mix = piano(notes[1:], 3)
    mix[:100] = np.nan
    mix[100:200] = -np.inf
    stems = separate_by_score(mix, notes, sample_rate=RATE)
    assert not stems["a"].any() and not any(stem[: 2 * RATE].any() for stem in stems.values())
    assert np.array_equal(sum(stems.values())[200:], mix[200:])


@pytest.mark.parametrize("samples", (1, HOP, WINDOW, WINDOW + 1))
def test_the_shortest_recordings_are_separated_too(samples):
    mix = signals.noise(samples, 1)
    stems = separate_by_score(mix, [Note(0, 0.1, 60, "a"), Note(0, 0.1, 67, "b")], sample_rate=RATE)
    np.testing.assert_allclose(sum(stems.values()), mix, atol=1e-7)
    assert all(stem.shape == (samples, 1) for stem in stems.values())


def test_stems_have_names_that_suit_files_and_are_unique():
    tracks = ("Piano: R/H", "Piano_ R_H", "residual", "", "..", "Flöte")
    notes = [Note(0.1, 0.2, 60 + i, track) for i, track in enumerate(tracks)]
    stems = separate_by_score(piano(notes, 1), notes, sample_rate=RATE)
    assert set(stems) == {"Piano_ R_H", "Piano_ R_H 2", "residual 2", "track 2", "track 3", "Flöte", "residual"}
    notes = [Note(0.1, 0.2, 61, "a"), Note(0.1, 0.3, 61, "b")]
    assert list(separate_by_score(piano(notes, 1), notes, sample_rate=RATE, by="note")) == [
        "C#4 0.100s",
        "C#4 0.100s 2",
        "residual",
    ]


def test_tracks_of_long_names_become_files(tmp_path):
    notes = [Note(0.1, 0.3, 60, "\U0001d11e" * 300), Note(0.5, 0.3, 72, "\U0001d11e" * 299 + "b")]
    stems = separate_by_score(piano(notes, 1), notes, sample_rate=RATE)
    assert len(stems) == 3
    for stem in stems:
        (tmp_path / f"{stem}.flac").touch()


@pytest.mark.parametrize(
    ("change", "message"),
    (
        (dict(by="hands"), "unknown division 'hands': did you mean 'hand'"),
        (dict(notes=[]), "holds no notes"),
        (dict(notes=[Note(7.2, 0.1, 60)]), r"score ends after 7.3 s, the recording after 2.0 s: take the score"),
        (dict(notes=[Note(0.1, 1, 60, "a"), Note(0.5, 1, 72, "a")]), "one track with notes: separate by hand or"),
        (dict(by="hand", split_at=40), "split_at is 40, but the notes lie between C4 and C5: choose"),
        (dict(by="hand", split_at="C4"), "split_at is 'C4', but the notes lie"),
        (dict(by="hand", split_at="C#5"), "split_at is 'C#5', but the notes lie"),
        (dict(by="hand", split_at="H4"), "'H4' is no pitch: write it like C4"),
        (dict(tolerance_s=-0.1), "tolerance_s is -0.1"),
        (dict(tolerance_s=math.nan), "tolerance_s is nan"),
        (dict(sound=np.zeros((2 * RATE, 2))), "the recording is silent"),
        (dict(sound=np.zeros(0)), "the recording is silent"),
        (dict(sound=np.zeros((2 * RATE, 2), int)), "must be floats"),
        (dict(sound=np.zeros((2, 2 * RATE))), "at most 8 channels"),
        (dict(sample_rate=None), "needs its sample rate"),
        (dict(sample_rate=4000), "the sample rate is 4000 Hz"),
        (dict(sound="none.wav"), "a file has its own sample rate"),
        (dict(sound="none.wav", sample_rate=None), "there is no file none.wav"),
        (dict(notes="none.mid"), "there is no file none.mid"),
        (dict(sample_rate=8000, by="note", notes=[Note(0.1, 1, 108)]), "4186 Hz lies above"),
    ),
)
def test_what_makes_no_sense_is_refused_with_the_remedy(change, message):
    notes = [Note(0.1, 1, 60, "a"), Note(0.5, 1, 72, "b")]
    given = dict(sound=piano(notes, 2), notes=notes, sample_rate=RATE) | change
    with pytest.raises(BadInput, match=message) as caught:
        separate_by_score(given.pop("sound"), given.pop("notes"), **given)
    assert str(caught.value).endswith((".", "?"))


def test_more_stems_than_memory_holds_are_refused_before_work_begins(monkeypatch):
    monkeypatch.setattr(informed, "_MOST_BYTES", 4e6)
    monkeypatch.setattr(informed, "factors", None)
    notes = [Note(0.01 * i, 1, 60) for i in range(30)]
    with pytest.raises(BadInput, match=r"30 stems would take 0.0 GB: cut out"):
        separate_by_score(piano(notes[:1], 2), notes, sample_rate=RATE, by="note")


def test_the_recording_is_never_written():
    _, mix, notes = song()
    mix.flags.writeable = False
    before = mix.copy()
    separate_by_score(mix, notes, sample_rate=RATE)
    assert np.array_equal(mix, before)
