"""pitches: templates of an instrument's notes, by rule and from pieces with their scores, which are made here."""

import math
from dataclasses import replace

import mido
import numpy as np
import pytest
import soundfile
from test_informed import piano

from rtsep.commands.learn import learn_files
from rtsep.dsp import windows
from rtsep.errors import BadInput
from rtsep.offline import pitches as learning
from rtsep.offline.dictionary import magnitudes
from rtsep.offline.pitches import learn_pitches, pitches_by_rule
from rtsep.offline.score import Note
from rtsep.offline.score_nmf import refined_templates
from rtsep.settings import MODES, Settings
from rtsep.templates import KITS, harmonic_templates, load, onset_templates

RATE = 16_000
EVERY_MODE = pytest.mark.parametrize("mode", MODES)
SCALE = [Note(0.2 + 0.5 * i, 0.4, pitch) for i, pitch in enumerate((60, 64, 67, 72, 60, 67))]


def organ(notes, seconds, amplitudes, rate=RATE):
    """Steady tones (samples, 1), stretched as strings are, whose partials have these amplitudes."""
    sound = np.zeros(round(seconds * rate))
    for note in notes:
        place = sound[round(note.onset_s * rate) : round((note.onset_s + note.duration_s) * rate)]
        time = np.arange(len(place)) / rate
        f0, stretch = 440 * 2 ** ((note.pitch - 69) / 12), math.exp(0.0926 * note.pitch - 13.64)
        partials = [(n * f0 * math.sqrt(1 + stretch * n**2), a) for n, a in enumerate(amplitudes, 1)]
        wave = sum(a * np.sin(2 * np.pi * pitch * time) for pitch, a in partials if pitch < 0.45 * rate)
        place += 0.1 * wave * np.minimum(1, np.minimum(time, time[::-1]) / 0.01)
    return sound[:, None].astype(np.float32)


def row(templates, pitch):
    return templates.spectra[templates.pitches.index(pitch)].astype(float)


def likeness(one, other):
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


@EVERY_MODE
def test_a_pitch_that_is_played_looks_as_it_sounds_and_others_as_by_rule(mode):
    """Second and third partial louder than the first, which the rule does not expect."""
    settings, amplitudes = Settings(mode), (0.3, 1, 0.6)
    found = learn_pitches([organ(SCALE, 4, amplitudes)], [SCALE], sample_rate=RATE, settings=settings)
    rule = pitches_by_rule(RATE, settings=settings)
    sizes = replace(settings, templates=rule).sizes(RATE)
    for pitch in (60, 64, 67, 72):
        tone = organ([Note(0, 1, pitch)], 1, amplitudes)
        truth = np.median(magnitudes(tone, sizes)[2 * sizes.window_size // sizes.hop_size :][:20], 0)
        assert likeness(row(found, pitch), truth) > likeness(row(rule, pitch), truth) + 0.1, pitch
        assert likeness(row(found, pitch), truth) > 0.8, pitch
    for pitch in set(range(21, 109)) - {60, 64, 67, 72}:
        np.testing.assert_allclose(row(found, pitch), row(rule, pitch), atol=1e-6)


@EVERY_MODE
def test_there_is_a_template_for_every_pitch_of_a_piano_that_is_zero_where_the_rule_is(mode):
    settings = Settings(mode)
    sizes = settings.sizes(RATE)
    sizes = sizes._replace(window_size=2 * sizes.window_size)
    found = learn_pitches([piano(SCALE, 4)], [SCALE], sample_rate=RATE, settings=settings)
    assert found.pitches == tuple(range(21, 109)) and found.parts == ("piano",) and found.splits == "mix"
    assert (found.sample_rate, found.window_size, found.synthesis_size) == (RATE, *sizes[:2])
    rule = harmonic_templates(sizes, RATE, fall=2)
    assert not found.spectra[rule == 0].any() and found.sweeps == 2
    assert np.array_equal(pitches_by_rule(RATE, settings=settings).spectra, rule)


def test_partials_fall_as_their_number_to_the_given_power():
    sizes = Settings("offline").sizes(RATE)
    (flat,), (steep,) = (harmonic_templates(sizes, RATE, range(69, 70), fall) for fall in (1, 3))
    peaks = [round(n * 440 * math.sqrt(1 + 9e-4 * n * n) * sizes.window_size / RATE) for n in (1, 2, 3, 4)]
    ratio = np.array([flat[peak] / steep[peak] for peak in peaks])
    np.testing.assert_allclose(ratio / ratio[0], [1, 4, 9, 16], rtol=0.02)


def slow_truth(sound, notes, sizes, fall, prior, tolerance_s):
    """As `refined_templates`, of one recording, in double precision and without its tricks."""
    hop, window = sizes.window_size // 4, sizes.window_size
    sound = sound / np.sqrt((sound**2).sum() / len(sound))
    sound = np.concatenate([sound, np.zeros((round(7 * RATE), sound.shape[1]))])
    v = magnitudes(
        np.concatenate([sound, np.zeros((2 * window, sound.shape[1]))]).astype(np.float32), sizes._replace(hop_size=hop)
    )
    v = v[: math.ceil((len(sound) + window) / hop) - 1].astype(float)
    v /= v.max()
    analysis = windows.pair(*sizes[:3])[0]
    after = (np.arange(window)[::-1] * analysis**2).sum() / (analysis**2).sum()
    middles = ((np.arange(len(v)) + 1) * hop - after - 1) / RATE
    frame_s = hop / RATE
    pitches = sorted({note.pitch for note in notes})
    w, h = [], []
    for rule, dying in ((lambda *a: harmonic_templates(*a, fall), 0.3), (onset_templates, None)):
        for pitch in pitches:
            allowed = np.zeros(len(v), bool)
            for note in (note for note in notes if note.pitch == pitch):
                end = note.onset_s + (0.2 if dying is None else note.duration_s + dying) + tolerance_s
                allowed |= (middles > note.onset_s - tolerance_s - frame_s) & (middles < end + frame_s)
            w.append(rule(sizes, RATE, range(pitch, pitch + 1))[0].astype(float))
            h.append(allowed)
    w, h = np.array(w), np.array(h).T.astype(float)
    h *= (v.sum(1) / np.maximum(h.sum(1), 1))[:, None]
    n = len(pitches)
    held = prior * v.sum() / n * w[:n]
    for _ in range(20):
        h = h * (v / (h @ w + 1e-12) @ w.T)
        mass = w * (h.T @ (v / (h @ w + 1e-12)))
        h *= mass.sum(1) / np.maximum(h.sum(0), 1e-12)
        mass[:n] += held
        w = mass / (mass.sum(1, keepdims=True) + 1e-30)
    return pitches, w[:n]


@pytest.mark.parametrize("mode", ("balanced", "offline"))
@pytest.mark.parametrize("prior", (0.0, 0.5))
def test_refining_equals_the_slow_truth(mode, prior):
    sizes = Settings(mode).sizes(RATE)
    sound = piano(SCALE, 4)
    pitches, wanted = slow_truth(sound, SCALE, sizes, 2, prior, 0.1)
    found, templates = refined_templates([sound], [SCALE], sizes, RATE, 0.1, fall=2, prior=prior)
    assert found.tolist() == pitches
    np.testing.assert_allclose(templates, wanted, atol=2e-3 * wanted.max())


def test_a_prior_holds_what_was_seldom_heard_nearer_to_the_rule():
    notes = [Note(0.2 + 0.5 * i, 0.4, pitch) for i, pitch in enumerate((60,) * 8 + (66,))]
    sizes, amplitudes = Settings().sizes(RATE), (0.2, 1, 0.2)
    sound = organ(notes, 5, amplitudes)
    rule = harmonic_templates(sizes, RATE, fall=2)[[60 - 21, 66 - 21]]
    free, held = (refined_templates([sound], [notes], sizes, RATE, 0.1, fall=2, prior=prior)[1] for prior in (0, 0.2))
    moved = np.abs(held - rule).sum(1) / np.abs(free - rule).sum(1)
    assert moved[1] < 0.8 * moved[0] and moved[0] < 1


def test_several_pieces_teach_together_whatever_their_level_and_channels():
    low, high = [Note(0.2, 1.5, 50)], [Note(0.4, 1.5, 74)]
    amplitudes = (0.3, 1, 0.6)
    pieces = [organ(low, 2, amplitudes), np.repeat(0.01 * organ(high, 2, amplitudes), 2, 1)]
    both = learn_pitches(pieces, [low, high], sample_rate=RATE)
    for pitch, piece, notes in ((50, pieces[0], low), (74, pieces[1], high)):
        alone = learn_pitches([piece], [notes], sample_rate=RATE)
        assert likeness(row(both, pitch), row(alone, pitch)) > 0.98


def test_it_gives_the_same_on_every_run_and_writes_no_recording():
    sound = piano(SCALE, 4)
    sound.setflags(write=False)
    one, two = (learn_pitches([sound], [SCALE], sample_rate=RATE).spectra for _ in range(2))
    assert np.array_equal(one, two)


@pytest.mark.parametrize("split_at", (60, "C4"))
def test_two_parts_meet_at_a_pitch(split_at):
    found = pitches_by_rule(RATE, name="grand", split_at=split_at)
    assert found.parts == ("grand-lower", "grand-upper")
    assert all(part == (pitch >= 60) for part, pitch in zip(found.part_of, found.pitches, strict=True))


@pytest.mark.parametrize(
    "changes, sentence",
    (
        (dict(scores=[]), r"1 recordings and 0 scores: name one score for each, in order\.$"),
        (dict(tolerance_s=1.5), r"tolerance_s is 1.5: it must lie between 0 and 1 s\.$"),
        (dict(scores=[[Note(0, 1, 110)]]), r"a score holds D8: pitches are learned from A0 to C8\.$"),
        (dict(scores=[[Note(9, 1, 60)]]), "the score ends after 10.0 s, the recording after 4.0 s"),
        (dict(scores=[[]]), "the score holds no notes"),
        (dict(split_at=21), r"split_at is 21: choose a pitch above A0, up to C8\.$"),
        (dict(split_at="H4"), "'H4' is no pitch"),
        (dict(name="melody"), "'melody' is reserved"),
        (dict(recordings=[np.zeros((4 * RATE, 1))]), "is silent"),
        (dict(recordings=[piano(SCALE, 7)]), None),
        (dict(sample_rate=8000), "lies above what 8000 Hz can hold"),
    ),
)
def test_what_cannot_be_learned_is_refused(changes, sentence, monkeypatch):
    if sentence is None:
        monkeypatch.setattr(learning, "_LONGEST_S", 5)
        sentence = r"the recordings last 7 s: take at most 5 s of them\.$"
    given = dict(recordings=[piano(SCALE, 4)], scores=[SCALE], sample_rate=RATE) | changes
    with pytest.raises(BadInput, match=sentence):
        learn_pitches(**given)


# The command


def write_piece(folder):
    """piece.wav and piece.mid of SCALE."""
    soundfile.write(folder / "piece.wav", piano(SCALE, 4), RATE)
    track, now = mido.MidiTrack(), 0
    for note in SCALE:
        for kind, second in (("note_on", note.onset_s), ("note_off", note.onset_s + note.duration_s)):
            tick = round(960 * second)
            track.append(mido.Message(kind, note=note.pitch, velocity=64, time=tick - now))
            now = tick
    mido.MidiFile(tracks=[track]).save(folder / "piece.mid")
    return f"grand={folder / 'piece.wav'}", str(folder / "piece.mid")


def test_the_command_learns_pieces_with_their_scores(tmp_path, capsys):
    piece, score = write_piece(tmp_path)
    out = str(tmp_path / "grand.rtsep")
    learn_files([piece], out, settings=Settings(), scores=[score], split_at="E4", splits="mix")
    found = load(out)
    assert found.parts == ("grand-lower", "grand-upper") and found.source == "piece.wav, by the score"
    assert found.part_of.tolist() == [int(pitch >= 64) for pitch in range(21, 109)] and found.pitches[0] == 21
    assert "88 templates of grand-lower, grand-upper, 16000 Hz, 96 ms" in capsys.readouterr().err
    truth = learn_pitches([piano(SCALE, 4)], [SCALE], sample_rate=RATE)
    assert np.abs(found.spectra - truth.spectra).max() < 0.01 * truth.spectra.max()


@pytest.mark.parametrize(
    "recordings, options, sentence",
    (
        (
            ["grand=piece.wav", "flute=piece.wav"],
            dict(scores=["piece.mid"] * 2),
            "scores of grand, flute: pitches are learned of one",
        ),
        (["grand=piece.wav"] * 2, dict(scores=["piece.mid"]), "2 recordings and 1 scores"),
        (["grand=piece.wav"], dict(scores=["none.mid"]), "there is no file none.mid"),
        (
            ["grand=piece.wav"],
            dict(split_at="C4"),
            r"split_at is 'C4', but no pitches are learned: name a score too\.$",
        ),
        (
            ["piece.wav"],
            dict(parts=2, scores=["piece.mid"]),
            "taken apart blindly, without a score: leave one of them out",
        ),
    ),
)
def test_the_command_refuses_what_makes_no_sense(recordings, options, sentence, tmp_path, monkeypatch):
    write_piece(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=sentence):
        learn_files(recordings, "out.rtsep", settings=Settings(), **options)


# The shipped kit


def test_the_piano_that_comes_along_has_a_part_for_each_hand():
    kit = load(KITS["piano"])
    assert kit.parts == ("lower", "upper") and kit.splits == "mix" and "rule" in kit.source
    assert kit.part_of.tolist() == [int(pitch >= 60) for pitch in kit.pitches] and kit.pitches == tuple(range(21, 109))
    assert np.array_equal(kit.spectra, pitches_by_rule(48_000).spectra)
    for mode in ("live", "balanced", "quality", "offline"):
        for rate in (44_100, 48_000, 96_000):
            assert kit.fitted(Settings(mode).sizes(rate), rate).pitches == kit.pitches
