"""notes: activations become notes that lie where they sound, and notes become MIDI files and pictures."""

from dataclasses import replace
from xml.etree import ElementTree

import mido
import numpy as np
import pytest
import signals
import soundfile
from test_engine import EVERY_MODE, engine_for
from test_pitches import organ

from rtsep.dsp import hpss, meters
from rtsep.errors import BadInput, Unavailable
from rtsep.offline.many import separate_files
from rtsep.offline.notes import notes_in, write_midi, write_picture
from rtsep.offline.pitches import pitches_by_rule
from rtsep.offline.render import pitch_activations, render, transcribe
from rtsep.offline.score import Note, notes_of
from rtsep.settings import MODES, Settings
from rtsep.templates import KITS, Templates, load

RATE = 16_000
STEP_S = 0.005
TONES = [Note(0.5, 0.5, 67), Note(1.1, 0.6, 72), Note(1.4, 0.9, 76), Note(2.2, 0.4, 81), Note(2.7, 0.4, 67)]
FALLING = 1 / np.arange(1, 12) ** 2


def settings_for(mode="balanced", rate=RATE, **options):
    return Settings(mode, templates=pitches_by_rule(rate, settings=Settings(mode), **options))


def chosen(pitches, parts=("piano",), part_of=None):
    """Templates of these pitches, whose spectra do not matter."""
    sizes = Settings().sizes(RATE)
    spectra = np.zeros((len(pitches), sizes.window_size // 2 + 1), np.float32)
    spectra[:, 0] = 1
    part_of = np.zeros(len(pitches), np.int64) if part_of is None else np.array(part_of)
    return Templates(parts, spectra, part_of, RATE, *sizes[:2], pitches=pitches)


def found_in(*levels_db, templates=None, step_s=STEP_S, **options):
    """The notes of components that have these levels (rows,) in dB."""
    activations = 10 ** (np.array(levels_db, np.float32).T / 20)
    templates = templates or chosen(tuple(range(60, 60 + len(levels_db))))
    return notes_in(activations, 1.0 + step_s * np.arange(len(activations)), templates, **options)


def steps(*pieces):
    """Levels that stay for so many rows."""
    return np.concatenate([np.full(rows, level, float) for rows, level in pieces])


def spans(notes):
    """First row, and the row after the last, of each."""
    ends = ((note.onset_s, note.onset_s + note.duration_s) for note in notes)
    return [tuple(round((end_s - 1) / STEP_S) for end_s in both) for both in ends]


# From activations


def test_a_note_begins_above_the_threshold_and_ends_below_a_lower_one():
    level = steps((20, -60), (40, -10), (40, -20), (20, -22), (40, -20), (30, 0), (10, -60))
    loud = steps((190, -60), (10, 0))
    assert spans(found_in(level, loud)) == [(20, 100), (160, 190)]
    assert found_in(level, loud)[0].pitch == 60


def test_short_notes_are_left_out_and_levels_count_beside_the_loudest():
    brief, enough = steps((20, -80), (15, 0), (65, -80)), steps((20, -80), (17, 0), (63, -80))
    assert found_in(brief) == [] and spans(found_in(enough)) == [(20, 37)]
    assert spans(found_in(enough - 100)) == [(20, 37)]
    faint = steps((20, -80), (40, -17), (40, -80)), steps((20, -80), (40, -19), (40, -80))
    assert [note.pitch for note in found_in(*faint, steps((10, -80), (90, 0)))] == [62, 60]
    assert [note.pitch for note in found_in(*faint, steps((10, -80), (90, 0)), threshold_db=-30)] == [62, 60, 61]


def test_an_onset_lies_where_half_of_what_is_reached_is_reached():
    rise = np.concatenate([np.full(20, -60.0), 20 * np.log10(np.linspace(0.02, 1, 21)), np.zeros(60), np.full(20, -60)])
    (note,) = found_in(rise)
    assert spans([note])[0][0] == 30
    (softer,) = found_in(rise - 12, steps((121, -80)) + 0, threshold_db=-20)
    assert softer.onset_s == note.onset_s
    # What comes after the attack does not count.
    late = np.concatenate([steps((20, -60), (25, -12)), np.linspace(-12, 0, 60), np.zeros(20)])
    assert spans(found_in(late))[0][0] == 20


def test_a_steep_rise_within_a_note_is_a_new_stroke_and_a_slow_one_is_not():
    steep = steps((20, -60), (60, -12), (60, 0), (20, -60))
    assert spans(found_in(steep)) == [(20, 80), (80, 140)]
    slow = np.concatenate([steps((20, -60), (20, -12)), np.linspace(-12, 0, 60), steps((40, 0), (20, -60))])
    assert spans(found_in(slow)) == [(20, 140)]
    gentle = steps((20, -60), (60, -9), (60, 0), (20, -60))
    assert spans(found_in(gentle)) == [(20, 140)]


def test_components_of_one_pitch_and_part_are_one_and_parts_are_tracks():
    templates = chosen((60, 60, 60, 62), ("low", "high"), (0, 0, 1, 1))
    half = steps((20, -80), (40, -18.5), (40, -80))
    loud = steps((70, -80), (30, 0))
    notes = found_in(half - 3, half - 3, half - 3, loud, templates=templates)
    assert [(note.track, note.pitch) for note in notes] == [("low", 60), ("high", 62)]
    assert [note.velocity for note in notes] == [round(127 * 10 ** (-(18.5 + 3 - 20 * np.log10(2)) / 40)), 127]


@pytest.mark.parametrize("rows", (0, 1, 40))
def test_silence_holds_no_notes(rows):
    assert notes_in(np.zeros((rows, 1), np.float32), STEP_S * np.arange(rows), chosen((60,))) == []


# From sounds


@EVERY_MODE
@pytest.mark.parametrize("rate", (16_000, 48_000))
def test_notes_lie_where_they_sound_in_every_mode(mode, rate):
    found = transcribe(organ(TONES, 3.5, FALLING, rate), sample_rate=rate, settings=settings_for(mode, rate))
    hop_s = Settings(mode).sizes(rate).hop_size / rate
    for true in TONES:  # a neighbor may be heard along
        (note,) = (note for note in found if note.pitch == true.pitch and abs(note.onset_s - true.onset_s) < 0.2)
        assert abs(note.onset_s - true.onset_s) < 0.01 + hop_s, true
        assert abs(note.onset_s + note.duration_s - true.onset_s - true.duration_s) < 0.05, true


@EVERY_MODE
def test_loud_and_soft_notes_begin_at_the_same_time(mode):
    sound = np.concatenate([level * organ([Note(0.3, 0.5, 64)], 1, FALLING) for level in (1, 0.3)])
    loud, soft = transcribe(sound, sample_rate=RATE, settings=settings_for(mode))
    assert abs(soft.onset_s - loud.onset_s - 1) < 0.006 and soft.velocity == pytest.approx(127 * 0.3**0.5, abs=2)


def test_a_note_that_sounds_from_the_start_or_to_the_end_stays_within_the_sound():
    sound = organ([Note(0, 1, 64)], 1, FALLING)
    for mode in MODES:
        (note,) = transcribe(sound, sample_rate=RATE, settings=settings_for(mode))
        assert 0 <= note.onset_s < 0.03 and 0.9 < note.onset_s + note.duration_s <= 1.01


@pytest.mark.parametrize("samples", (0, 1, 100, 4097))
def test_the_shortest_sounds_hold_no_notes(samples):
    assert transcribe(np.zeros((samples, 1), np.float32), sample_rate=RATE, settings=settings_for()) == []


def test_notes_need_templates_with_pitches():
    for templates in (None, load(KITS["drums"])):
        with pytest.raises(
            BadInput, match="notes need templates that have pitches: take the kit piano, or rtsep learn"
        ):
            transcribe(np.zeros(100), sample_rate=48_000, settings=Settings(templates=templates))
        with pytest.raises(BadInput, match="notes need templates that have pitches"):
            separate_files(["a.wav"], "out", settings=Settings(templates=templates), midi_out=True)


# The ring


@EVERY_MODE
def test_the_activations_of_each_frame_are_kept_in_a_ring(mode):
    engine = engine_for(mode, RATE, templates=pitches_by_rule(RATE, settings=Settings(mode)))
    hop, sound = engine.sizes.hop_size, organ(TONES, 1.5, FALLING)
    kept = []
    for start in range(0, len(sound) - hop + 1, hop):
        engine.process(sound[start : start + hop])
        kept.append(engine.state.nmf.activations.copy())
    assert engine.meters.pitches.shape == (meters.HEARD, 88) and np.any(kept)
    last = np.arange(max(len(kept) - meters.HEARD, 0), len(kept))
    assert np.array_equal(engine.meters.pitches[last % meters.HEARD], np.array(kept)[last])
    engine.reset()
    assert not engine.meters.pitches.any()


def test_the_ring_is_empty_without_pitches_and_wraps():
    for templates in (None, replace(pitches_by_rule(RATE), pitches=())):
        engine = engine_for("live", RATE, templates=templates)
        engine.process(np.ones((1000, 1), np.float32))
        assert engine.meters.pitches.size == 0
    state = meters.prepare(RATE, 1, 2)
    rows = np.random.default_rng(1).random((meters.HEARD + 10, 2)).astype(np.float32)
    for row in rows:
        meters.note(state, np.float32(0), np.float32(0), np.float32(0))
        meters.hear(state, row)
    last = np.arange(10, len(rows))
    assert np.array_equal(state.pitches[last % meters.HEARD], rows[last])


@pytest.mark.parametrize("settings, rate", ((settings_for("live", 9000), 9000), (settings_for("quality"), RATE)))
def test_no_frame_of_a_file_is_lost_or_kept_twice(settings, rate):
    """At low rates a block of a file holds as many frames as the ring."""
    engine = engine_for(settings.mode, rate, templates=settings.templates)
    sound, heard, every = signals.music(13_000, rate), [], []
    for _ in render(engine, iter([sound[:4096], sound[4096:5000], sound[5000:9000], sound[9000:]]), heard=heard):
        pass
    engine.reset()
    hop = engine.sizes.hop_size
    padded = np.concatenate([sound, np.zeros((engine.latency, 1), np.float32)])
    for start in range(0, len(padded) - hop + 1, hop):
        engine.process(padded[start : start + hop])
        every.append(engine.state.nmf.activations.copy())
    stride = max(int(0.005 * rate / hop), 1)
    assert np.array_equal(np.concatenate(heard), np.array(every)[::stride])
    activations, time_s = pitch_activations(sound, sample_rate=rate, settings=settings)
    assert np.array_equal(activations, np.array(every)[::stride][: len(activations)])
    assert time_s.tolist() == [engine.frame_time(row * stride) for row in range(len(time_s))]


def test_the_time_of_a_frame_is_that_of_the_middle_of_its_window():
    for mode in MODES:
        engine = engine_for(mode, RATE, templates=pitches_by_rule(RATE, settings=Settings(mode)))
        hop, late, energy = engine.sizes.hop_size, [], []
        sound = signals.impulse(RATE, 8000)
        for t in range(RATE // hop):
            engine.process(sound[t * hop : (t + 1) * hop])
            energy.append(float(engine.state.hpss.history[hpss.due(engine.state.hpss)].sum()))
            late.append(engine.frame_time(t))
        energy = np.square(energy)
        assert abs((energy * late).sum() / energy.sum() - 0.5) < 0.0002, mode


# Files

HANDS = [
    Note(0.123, 0.5, 48, "lower", 100),
    Note(0.123, 0.25, 72, "upper", 1),
    Note(0.373, 0.25, 72, "upper", 127),
    Note(2.0, 1.0004, 60, "upper", 64),
]


def test_a_midi_file_gives_the_notes_back_to_a_millisecond(tmp_path):
    write_midi(tmp_path / "new" / "notes.mid", HANDS)
    for found, note in zip(notes_of(tmp_path / "new" / "notes.mid"), sorted(HANDS), strict=True):
        assert found[2:] == note[2:]
        assert abs(found.onset_s - note.onset_s) < 0.00051 and abs(found.duration_s - note.duration_s) < 0.0011
    song = mido.MidiFile(tmp_path / "new" / "notes.mid")
    assert [track.name for track in song.tracks] == ["lower", "upper"]
    assert len({message.channel for track in song.tracks for message in track if message.type == "note_on"}) == 2
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["notes.mid"]


def test_no_track_is_on_the_channel_of_the_drums(tmp_path):
    write_midi(tmp_path / "a.mid", [Note(0, 1, 60, f"part{number}") for number in range(20)])
    assert len(notes_of(tmp_path / "a.mid")) == 20


def test_a_picture_is_svg_with_a_bar_for_each_note(tmp_path):
    colors = {"lower": "#e69f00", "upper": "#56b4e9"}
    write_picture(tmp_path / "notes.svg", HANDS, colors, 3.5)
    root = ElementTree.parse(tmp_path / "notes.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    bars = [rect for rect in root.iter(f"{space}rect") if rect.find(f"{space}title") is not None]
    assert [bar.get("fill") for bar in bars] == [colors[note.track] for note in HANDS]
    left, long, top = (np.array([float(bar.get(name)) for bar in bars]) for name in ("x", "width", "y"))
    onset, duration, pitch = (np.array([note[i] for note in HANDS]) for i in range(3))
    np.testing.assert_allclose(left - left[0], 60 * (onset - onset[0]), atol=0.11)
    np.testing.assert_allclose(long, 60 * duration, atol=0.06)
    assert np.array_equal(top - top[0], 7 * (pitch[0] - pitch))
    texts = [text.text for text in root.iter(f"{space}text")]
    assert {"C3", "C4", "C5", "lower", "upper", "0 s", "3 s"} <= set(texts) and "4 s" not in texts
    assert max(left + long) < float(root.get("width")) and max(top) < float(root.get("height"))


def test_files_without_notes_are_files_too(tmp_path):
    write_midi(tmp_path / "a.mid", [])
    write_picture(tmp_path / "a.svg", [], {"piano": "#000000"}, 0)
    assert mido.MidiFile(tmp_path / "a.mid").length == 0
    assert ElementTree.parse(tmp_path / "a.svg").getroot().tag.endswith("svg")


@pytest.mark.parametrize("write", (write_midi, lambda path, notes: write_picture(path, notes, {"": "#000000"}, 1)))
def test_a_place_that_cannot_be_written_to_is_told_of(write, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="cannot write"):
        write(tmp_path / "file" / "notes", [Note(0, 1, 60)])


def test_files_are_separated_with_their_notes_beside_the_stems(tmp_path):
    soundfile.write(tmp_path / "tones.wav", organ(TONES, 3.5, FALLING), RATE, "FLOAT")
    settings = settings_for("balanced", split_at="C5")
    options = dict(settings=settings, stems=["piano-lower"], midi_out=True)
    (report,) = separate_files([tmp_path / "tones.wav"], tmp_path / "out", **options)
    assert [path.name for path in report.written] == ["piano-lower.wav", "f0.csv", "notes.mid", "notes.svg"]
    assert all(path.exists() for path in report.written) and report.error is None
    direct = transcribe(tmp_path / "tones.wav", settings=settings)
    for found, note in zip(notes_of(report.written[2]), direct, strict=True):
        assert found[2:] == note[2:] and abs(found.onset_s - note.onset_s) < 0.00051
    assert {note.track for note in direct} == {"piano-lower", "piano-upper"}
    assert "piano-upper" in report.written[3].read_text()
    for path in report.written[:2]:
        path.unlink()
    with pytest.raises(BadInput, match=r"notes\.mid .* exists already"):
        separate_files([tmp_path / "tones.wav"], tmp_path / "out", **options)
    with pytest.raises(BadInput, match="name a folder for the notes"):
        separate_files([tmp_path / "tones.wav"], "-", **options)


def test_without_being_asked_no_notes_are_written(tmp_path):
    soundfile.write(tmp_path / "tones.wav", organ(TONES, 1, FALLING), RATE, "FLOAT")
    (report,) = separate_files([tmp_path / "tones.wav"], tmp_path / "out", settings=settings_for("offline"))
    assert not [path for path in report.written if "notes" in path.name]
