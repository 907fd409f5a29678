"""score: where a melody may lie, and all notes, read from MIDI files, tables, songs and MusicXML made here."""

import io
import struct
import sys
import zipfile
from itertools import pairwise

import mido
import numpy as np
import pytest

from rtsep.errors import BadInput, Unavailable
from rtsep.offline.score import STEP_S, Note, fits, load, note_name, notes_of, pitch_of

SEMITONE = 2 ** (1 / 12)
EXACT = dict(tolerance_s=0, tolerance_cents=0)
BEAT = 480


def table(folder, text, name="song.csv"):
    path = folder / name
    path.write_text(text)
    return path


def track(notes, name="", channel=0, tempos=()):
    """A MIDI track of notes (onset, end, pitch) in beats, with `tempos` (beat, beats a minute)."""
    events = [(round(beat * BEAT), 0, mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm))) for beat, bpm in tempos]
    for onset, end, pitch in notes:
        for beat, order, velocity in ((onset, 2, 80), (end, 1, 0)):
            message = mido.Message("note_on", note=pitch, velocity=velocity, channel=channel)
            events.append((round(beat * BEAT), order, message))
    made = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
    before = 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        made.append(message.copy(time=tick - before))
        before = tick
    return made


def midi(folder, *tracks, name="song.mid", kind=1):
    path = folder / name
    mido.MidiFile(type=kind, ticks_per_beat=BEAT, tracks=list(tracks)).save(path)
    return path


def hertz(pitch):
    return 440 * SEMITONE ** (pitch - 69)


def runs(got):
    """(first step, step after, lowest, highest) of each stretch of the same two frequencies."""
    edges = [0, *(np.flatnonzero(np.diff(got, axis=0).any(1)) + 1), len(got)]
    return [(a, b, *got[a].tolist()) for a, b in pairwise(edges) if got[a, 1]]


def only_pitches(got):
    assert np.array_equal(got[:, 0], got[:, 1])
    return [(first, after, round(69 + 12 * np.log2(low / 440), 3)) for first, after, low, _ in runs(got)]


def melody(folder, *tracks, kind=1, **asked):
    """The MIDI pitches of the melody that is taken from `tracks`."""
    return sorted({pitch for _, _, pitch in only_pitches(load(midi(folder, *tracks, kind=kind), **EXACT, **asked))})


def test_a_score_has_a_lowest_and_a_highest_pitch_each_10_ms(tmp_path):
    got = load(table(tmp_path, "onset_s,pitch_hz,duration_s\n0.5,220,0.25\n"))
    assert STEP_S == 0.01 and got.dtype == np.float32 and got.shape == (90, 2)
    assert not got[:35].any()
    np.testing.assert_allclose(got[35:], [[220 / SEMITONE, 220 * SEMITONE]] * 55, rtol=1e-6)


@pytest.mark.parametrize(
    "text",
    (
        "onset_s,midi,duration_s\n0.1,69,0.2\n0.5,71,0.1\n",
        "Duration_s , ONSET_s,pitch_hz,word\n0.2,0.1,440,so\n\n0.1,0.5,493.8833,far\n",
        "\ufeffonset_s,offset_s,midi,velocity\n0.1,0.3,69,50\n0.5,0.6,71,50\n",
        "start_s,end_s,midi\n0.1,0.3,69\n0.5,0.6,71\n",
        "0.1,440,0.2\n0.5,493.8833,0.1\n",
    ),
)
def test_notes_are_read_in_all_their_forms(tmp_path, text):
    assert only_pitches(load(table(tmp_path, text), **EXACT)) == [(10, 30, 69), (50, 60, 71)]


def test_notes_that_overlap_once_widened_allow_all_between(tmp_path):
    path = table(tmp_path, "onset_s,pitch_hz,duration_s\n0.2,200,0.3\n0.5,300,0.3\n")
    got = load(path, tolerance_s=0.1, tolerance_cents=100)
    low, high = 200 / SEMITONE, 300 * SEMITONE
    truth = [(10, 40, low, 200 * SEMITONE), (40, 60, low, high), (60, 90, 300 / SEMITONE, high)]
    np.testing.assert_allclose(runs(got), truth, rtol=1e-6)


def test_a_note_may_not_begin_before_the_song(tmp_path):
    assert runs(load(table(tmp_path, "onset_s,pitch_hz,duration_s\n0.05,200,0.1\n")))[0][:2] == (0, 30)


def test_of_notes_that_sound_together_the_highest_is_the_melody(tmp_path):
    chords = [(0, 4, 60), (1, 2, 67), (1, 3, 64), (5, 6, 72)]
    assert only_pitches(load(midi(tmp_path, track(chords)), **EXACT)) == [
        (0, 50, 60),
        (50, 100, 67),
        (100, 150, 64),
        (150, 200, 60),
        (250, 300, 72),
    ]


@pytest.mark.parametrize(
    "text",
    (
        "time_s,f0_hz\n0,0\n0.01,220\n0.02,230\n0.03,0\n",
        "time_s,f0_hz,confidence\n0,0,0.1\n0.01,220,0.9\n0.02,230,0.9\n0.03,0,0.2\n",
        "0,0\n0.01,220\n0.02,230\n0.03,0\n",
        "0,0,0.1\n0.01,220,0.9\n0.02,230,0.9\n0.03,0,0.2\n",
    ),
)
def test_a_curve_of_pitches_is_taken_at_its_times(tmp_path, text):
    got = load(table(tmp_path, text), tolerance_cents=50)
    half = 2 ** (50 / 1200)
    np.testing.assert_allclose(got, [[0, 0], [220 / half, 220 * half], [230 / half, 230 * half]], rtol=1e-6)


def test_a_fine_curve_gives_each_step_all_its_pitches(tmp_path):
    got = load(table(tmp_path, "time_s,f0_hz\n0,200\n0.004,210\n0.008,220\n0.012,230\n"), **EXACT)
    assert got.tolist() == [[200, 220], [220, 230]]


def test_a_coarse_or_irregular_curve_holds_each_pitch_to_the_next(tmp_path):
    got = load(table(tmp_path, "time_s,f0_hz\n0,200\n0.04,0\n0.07,300\n0.11,200\n"), **EXACT)
    assert got[:, 0].tolist() == [200] * 4 + [0] * 3 + [300] * 4 + [200] * 4


def test_gaps_are_bridged_if_they_are_short_and_the_pitch_goes_on(tmp_path):
    def gap(steps, after, **tolerances):
        rows = [(0, 200), *((k, 0) for k in range(1, steps + 1)), (steps + 1, after)]
        text = "".join(f"{k * 0.01:.2f},{pitch}\n" for k, pitch in rows)
        return load(table(tmp_path, "time_s,f0_hz\n" + text), **tolerances)

    assert gap(15, 205)[:, 1].all()
    np.testing.assert_allclose(gap(15, 205)[8], [200 / SEMITONE, 205 * SEMITONE], rtol=1e-6)
    assert not gap(16, 205)[1:17].any()
    assert not gap(15, 215)[1:16].any()
    assert not gap(15, 186)[1:16].any()
    assert not gap(15, 205, tolerance_s=0.05)[1:16].any()
    assert gap(15, 215, tolerance_cents=200)[:, 1].all()


def test_a_curve_that_names_only_voiced_times_has_none_between(tmp_path):
    got = load(table(tmp_path, "time_s,f0_hz\n0,200\n0.01,200\n0.02,200\n0.5,300\n0.51,300\n"))
    assert got[:3, 1].all() and not got[4:50].any() and got[50:, 1].all() and len(got) == 52


def test_midi_time_follows_all_changes_of_tempo(tmp_path):
    conductor = track([], tempos=[(0, 60), (2, 120), (3, 240)])
    notes = track([(1, 2, 60), (2, 3, 62), (3, 5, 64)])
    got = only_pitches(load(midi(tmp_path, conductor, notes), **EXACT))
    assert got == [(100, 200, 60), (200, 250, 62), (250, 300, 64)]


def test_without_a_tempo_a_beat_lasts_half_a_second(tmp_path):
    assert only_pitches(load(midi(tmp_path, track([(1, 2, 60)])), **EXACT)) == [(50, 100, 60)]


def test_notes_end_with_either_message_when_struck_again_or_with_the_track(tmp_path):
    made = mido.MidiTrack(
        [
            mido.Message("note_on", note=60, velocity=9, time=0),
            mido.Message("note_off", note=60, velocity=9, time=480),
            mido.Message("note_on", note=62, velocity=9, time=0),
            mido.Message("note_on", note=62, velocity=9, time=480),
            mido.Message("note_off", note=62, time=240),
            mido.Message("note_off", note=62, time=0),
            mido.Message("note_on", note=64, velocity=9, time=240),
            mido.MetaMessage("end_of_track", time=480),
        ]
    )
    got = only_pitches(load(midi(tmp_path, made), **EXACT))
    assert got == [(0, 50, 60), (50, 125, 62), (150, 200, 64)]


BASS = [(k, k + 1, 40) for k in range(8)]
TUNE = [(k, k + 1, 70) for k in range(8)]
CHORDS = [(k, k + 1, pitch) for k in range(8) for pitch in (80, 84, 87)]


def test_a_track_named_like_a_melody_is_taken(tmp_path):
    for name in ("Melody", "LEAD", "vocals", "Voice 1", "Singer"):
        assert melody(tmp_path, track(TUNE), track(BASS, name), track(CHORDS, "Piano")) == [40]
    assert melody(tmp_path, track(TUNE), track(BASS, "Kissing")) == [70]


def test_without_such_a_name_it_is_the_highest_that_plays_one_note_at_a_time(tmp_path):
    sparkle = [(0, 0.2, 100)]
    legato = [(onset, end + 0.02, pitch + onset % 2) for onset, end, pitch in TUNE]
    assert melody(tmp_path, track(CHORDS), track(BASS), track(legato), track(sparkle)) == [70, 71]


def test_drums_are_never_the_melody(tmp_path):
    assert melody(tmp_path, track(BASS), track(TUNE, "melody", channel=9)) == [40]


@pytest.mark.parametrize("asked", ("PIANO", "grand", 3))
def test_a_track_goes_by_name_a_unique_part_of_it_or_number(tmp_path, asked):
    tracks = track([], "Title"), track(TUNE, "Melody"), track(BASS, "Grand Piano"), track(CHORDS, "Pian")
    assert melody(tmp_path, *tracks, track=asked) == [40]
    assert melody(tmp_path, *tracks, track="pian") == [87]


def test_a_file_of_one_track_is_parted_by_channel(tmp_path):
    joined = mido.merge_tracks([track(CHORDS, channel=0), track(BASS, channel=1), track(TUNE, channel=4)])
    assert melody(tmp_path, joined, kind=0) == [70]
    assert melody(tmp_path, joined, kind=0, track=2) == melody(tmp_path, joined, kind=0, track="channel 2") == [40]


@pytest.mark.parametrize("asked", ("flute", 1, 9))
def test_an_unknown_track_is_refused_with_the_names_of_all(tmp_path, asked):
    path = midi(tmp_path, track([], "Title"), track(TUNE, "Melody"), track(BASS))
    with pytest.raises(BadInput, match=rf"no track with notes {asked!r}.*2 'Melody', 3 'track 3'"):
        load(path, track=asked)


def test_a_name_that_fits_two_tracks_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"several tracks 'voice'.*'Voice 1'.*'Voice 2'"):
        load(midi(tmp_path, track(TUNE, "Voice 1"), track(BASS, "Voice 2")), track="voice")


@pytest.mark.parametrize(
    ("text", "message"),
    (
        ("", "is empty"),
        ("onset_s,pitch_hz,duration_s\n", "holds no notes"),
        ("time_s,f0_hz\n0,0\n0.01,0\n", "holds no notes"),
        ("start_s,chord\n0,Am\n", "no column duration_s or offset_s.*columns must be"),
        ("onset_s,duration_s\n0,1\n", "no column pitch_hz or midi"),
        ("hello\n1\n", "no column onset_s"),
        ("1\n2\n", "no column f0_hz"),
        ("time_s,f0_hz\n0,200\n0.01,high\n", "no number for f0_hz in its row 2"),
        ("time_s,f0_hz\n0,200\n,210\n", "no number for time_s in its row 2"),
        ("time_s,f0_hz\n0,200\n0.01,inf\n", "no number for f0_hz in its row 2"),
        ("time_s,f0_hz\n0,200\n0.02,200\n0.01,200\n", "0.01 s follows 0.02 s"),
        ("time_s,f0_hz\n0,200\n0,210\n", "0 s follows 0 s"),
        ("onset_s,pitch_hz,duration_s\n1,200,1\n0.5,200,1\n", "0.5 s follows 1 s"),
        ("time_s,f0_hz\n-0.01,200\n0,200\n", "a time of -0.01 s"),
        ("onset_s,pitch_hz,duration_s\n-1,200,1\n", "a time of -1 s"),
        ("onset_s,pitch_hz,duration_s\n1,200,-0.5\n", "ends before it begins at 1 s"),
        ("onset_s,pitch_hz,duration_s\n1,200,1e9\n", "are its times in seconds"),
        ("onset_s,pitch_hz,duration_s\n1,19,1\n", "a pitch of 19 Hz"),
        ("time_s,f0_hz\n0,5001\n", "a pitch of 5001 Hz"),
        ("time_s,f0_hz\n0,-200\n", "holds no notes"),  # none was heard
        ("onset_s,midi,duration_s\n1,5,1\n", "a pitch of 10.9134 Hz"),
        ("onset_s,midi,duration_s\n1,1e6,1\n", "a pitch of"),
    ),
)
def test_a_table_that_makes_no_sense_is_refused_with_the_place(tmp_path, text, message):
    with pytest.raises(BadInput, match=message) as caught:
        load(table(tmp_path, text))
    assert "song.csv" in str(caught.value) and str(caught.value).endswith((".", "?"))


def test_files_that_are_no_score_are_refused(tmp_path):
    (tmp_path / "folder.mid").mkdir()
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x81")
    cut = midi(tmp_path, track(TUNE)).read_bytes()[:60]
    (tmp_path / "cut.mid").write_bytes(cut)
    film = bytearray(midi(tmp_path, track(TUNE)).read_bytes())
    film[12:14] = 0xE7, 0x28
    (tmp_path / "film.mid").write_bytes(film)
    for name, message in (
        ("none.mid", "there is no file"),
        ("folder.mid", "cannot read"),
        ("binary.csv", "no table"),
        ("cut.mid", "no MIDI file"),
        ("film.mid", "film frames"),
    ):
        with pytest.raises(BadInput, match=message):
            load(tmp_path / name)
    for content in (b"", b"MThd", b"RIFF" * 20):
        (tmp_path / "odd.midi").write_bytes(content)
        with pytest.raises(BadInput, match="no MIDI file"):
            load(tmp_path / "odd.midi")
    with pytest.raises(BadInput, match=r"name a MIDI file \(\.mid\), a table \(\.csv\), MusicXML"):
        load(table(tmp_path, "0,200\n", "song.doc"))
    with pytest.raises(BadInput, match="no notes but drums"):
        load(midi(tmp_path, track(TUNE, channel=9)))
    with pytest.raises(BadInput, match="no tracks such as 'lead'"):
        load(table(tmp_path, "0,200\n"), track="lead")


@pytest.mark.parametrize(
    "text",
    (
        "time,frequency,confidence\n0.00,0,0\n0.01,220,1\n0.02,230,1\n",  # CREPE
        "TIME,VALUE,LABEL\n0.00,-210.5,\n0.01,220,\n0.02,230,\n",  # Sonic Visualiser, pYIN where it doubts
        "Time (s)\tF0 (Hz)\n0,00\t--undefined--\n0,01\t220,0\n0,02\t230,0\n",  # Praat
        "time;f0\n0,00;\n0,01;220\n0,02;230,0\n",
        "t;pitch\n0;NaN\n0.01;220\n0.02;230\n",
        "0.00 nan\n0.01 220\n0.02   230\n",  # a contour of the MIREX evaluation
        "0,00;0\n0,01;220\n0,02;230\n",
        "# pYIN, 10 ms\n# time f0\n0.00 0\n0.01 220\n0.02 230\n",
        "time_ms,f0_hz\n0,none\n10,220\n20,230\n",
        "time_s,midi\n0,\n0.01,57\n0.02,57.769577\n",
        "time_s,f0_hz\n0,20000\n0.01,220\n0.02,230\n",  # one odd pitch is none
    ),
)
def test_curves_are_read_whatever_their_separators_names_and_signs_for_no_voice(tmp_path, text):
    got = load(table(tmp_path, text), tolerance_cents=0, tolerance_s=0)
    np.testing.assert_allclose(got, [[0, 0], [220, 220], [230, 230]], rtol=1e-5)


@pytest.mark.parametrize(
    "text",
    (
        'Start;Duration;Pitch;Velocity;Instrument\n0.1;0.2;69;90;"piano"\n0.5;0.1;71;20;"piano"\n',  # libfmp
        "OnsetTime\tOffsetTime\tMidiPitch\n0.1\t0.3\t69\n0.5\t0.6\t71\n",  # MAPS
        "start_time_s,end_time_s,pitch_midi,velocity,pitch_bend\n0.1,0.3,69,90\n0.5,0.6,71,20,1,2\n",  # basic-pitch
        "TIME,VALUE,DURATION,LEVEL,LABEL\n0.1,440,0.2,1,\n0.5,493.883,0.1,1,\n",  # Tony
        "onset (ms);length;note\n100;0,2;69\n300;0,1;\n500;0,1;71\n",  # a rest between
        "onset_s,duration_s,midi\n0.1,0.2,69\n0.3,0.1,12\n0.5,0.1,71\n",  # and a pitch that nobody hears
    ),
)
def test_notes_are_read_as_other_programs_write_them(tmp_path, text):
    assert only_pitches(load(table(tmp_path, text), **EXACT)) == [(10, 30, 69), (50, 60, 71)]
    assert [note.pitch for note in notes_of(table(tmp_path, text))] == [69, 71]


@pytest.mark.parametrize("name, codec", (("a.txt", "utf-16"), ("a.tsv", "utf-8-sig"), ("a.csv", "cp1252")))
def test_tables_are_read_in_the_encodings_of_spreadsheets(tmp_path, name, codec):
    path = tmp_path / name
    path.write_bytes("onset_s\tduration_s\tmidi\tSilbe\n0.1\t0.2\t69\tfür\n".encode(codec))
    assert only_pitches(load(path, **EXACT)) == [(10, 30, 69)]


@pytest.mark.parametrize("bad", ({"tolerance_s": -1}, {"tolerance_s": np.nan}, {"tolerance_cents": 1201}))
def test_tolerances_out_of_range_are_refused(tmp_path, bad):
    with pytest.raises(BadInput, match=next(iter(bad))):
        load(table(tmp_path, "0,200\n"), **bad)


def test_a_note_without_length_sounds_for_one_step(tmp_path):
    path = table(tmp_path, "onset_s,pitch_hz,duration_s\n0.5,440,0\n")
    assert only_pitches(load(path, **EXACT)) == [(50, 51, 69)]


def test_a_score_of_quite_another_length_than_the_song_is_told():
    sounding = np.zeros((1500, 2), np.float32)
    sounding[:1000] = 200, 220
    for fitting in (7, 10, 40):
        assert fits(sounding, fitting) is None
    for other in (6.6, 41):
        assert f"after 10.0 s, the song after {other:.1f} s" in fits(sounding, other)
    assert "empty" in fits(np.zeros((5, 2), np.float32), 10) and "empty" in fits(np.zeros((0, 2), np.float32), 10)


# Notes


def pedal(moves, channel=0):
    """A MIDI track of the sustain pedal's `moves` (beat, value)."""
    made, before = mido.MidiTrack(), 0
    for beat, value in moves:
        change = mido.Message("control_change", control=64, value=value, channel=channel)
        made.append(change.copy(time=round(beat * BEAT) - before))
        before = round(beat * BEAT)
    return made


def test_all_notes_are_read_with_their_tracks_in_the_order_of_their_onsets(tmp_path):
    conductor = track([], tempos=[(0, 60), (2, 120)])
    tracks = track([(1, 3, 60), (0, 1, 72)], "Right"), track([(1, 2, 48)], " Left "), track([(0, 1, 36)], channel=9)
    assert notes_of(midi(tmp_path, conductor, *tracks, track([(3, 4, 50)]))) == [
        Note(0, 1, 72, "Right", 80),
        Note(1, 1, 48, "Left", 80),
        Note(1, 1.5, 60, "Right", 80),
        Note(2.5, 0.5, 50, "track 5", 80),
    ]


def test_notes_of_a_file_of_one_track_are_those_of_its_channels(tmp_path):
    joined = mido.merge_tracks([track([(0, 1, 60)], channel=0), track([(1, 2, 64)], channel=2)])
    assert [note.track for note in notes_of(midi(tmp_path, joined, kind=0))] == ["channel 1", "channel 3"]


def test_each_note_has_its_own_velocity(tmp_path):
    loud, soft = (mido.Message("note_on", note=60, velocity=velocity) for velocity in (120, 3))
    made = mido.MidiTrack([loud, soft.copy(time=BEAT), mido.Message("note_off", note=60, time=BEAT)])
    assert notes_of(midi(tmp_path, made)) == [Note(0, 0.5, 60, "channel 1", 120), Note(0.5, 0.5, 60, "channel 1", 3)]


@pytest.mark.parametrize(
    ("moves", "durations"),
    (
        ([], (1, 1, 1)),
        ([(0, 127), (5, 0)], (5, 3, 1)),  # the last begins at 5 beats
        ([(0.5, 64), (2.5, 63)], (2.5, 1, 1)),
        ([(0.5, 100), (0.9, 0), (2.9, 70), (3.5, 80), (4, 0)], (1, 2, 1)),
        ([(1, 127), (2, 0)], (2, 1, 1)),
        ([(0, 127), (1, 0)], (1, 1, 1)),
        ([(2.5, 127)], (1, 4, 1)),  # held to the end of the song
    ),
)
def test_the_sustain_pedal_prolongs_the_notes_of_its_channel(tmp_path, moves, durations):
    notes = track([(0, 1, 60), (2, 3, 64), (5, 6, 67)], tempos=[(0, 60)]), track([(0, 1, 40)], channel=1)
    found = notes_of(midi(tmp_path, *notes, pedal(moves)))
    lasting = {note.pitch: note.duration_s for note in found}
    assert lasting == dict(zip((60, 64, 67, 40), (*durations, 1), strict=True))
    sung = load(midi(tmp_path, *notes, pedal(moves)), **EXACT, track=1)
    assert only_pitches(sung)[0] == (0, 100, 60)  # a melody ends with the key


@pytest.mark.parametrize(
    "text",
    (
        "onset_s,midi,duration_s,velocity\n0.1,69,0.25,90\n0.5,71,0.25,20\n",
        "start_s,end_s,pitch_hz,velocity\n0.1,0.35,443,90\n0.5,0.75,490,20\n",
    ),
)
def test_notes_of_a_table_are_rounded_to_semitones(tmp_path, text):
    found = notes_of(table(tmp_path, text))
    assert [note[2:] for note in found] == [(69, "", 90), (71, "", 20)]
    np.testing.assert_allclose([note[:2] for note in found], [(0.1, 0.25), (0.5, 0.25)])


def test_notes_of_a_table_without_velocity_have_a_middle_one(tmp_path):
    assert notes_of(table(tmp_path, "0.5,440,0.25\n")) == [Note(0.5, 0.25, 69, "", 64)]


@pytest.mark.parametrize(
    ("text", "message"),
    (
        ("time_s,f0_hz\n0,200\n", "is a curve of pitches"),
        ("onset_s,midi,duration_s\n", "holds no notes"),
        ("onset_s,midi,duration_s\n1,60,-1\n", "ends before it begins"),
        ("onset_s,midi,duration_s,velocity\n1,60,1,loud\n", "no number for velocity in its row 1"),
    ),
)
def test_a_table_without_notes_is_refused(tmp_path, text, message):
    with pytest.raises(BadInput, match=message):
        notes_of(table(tmp_path, text))


def test_files_without_notes_are_refused(tmp_path):
    with pytest.raises(BadInput, match="no notes but drums"):
        notes_of(midi(tmp_path, track(TUNE, channel=9)))
    with pytest.raises(BadInput, match=r"name a MIDI file \(\.mid\), a table \(\.csv\), MusicXML"):
        notes_of(table(tmp_path, "0,200,1\n", "song.doc"))
    with pytest.raises(BadInput, match="there is no file"):
        notes_of(tmp_path / "none.mid")


def test_pitches_have_names():
    assert [note_name(pitch) for pitch in (21, 60, 61, 108, 0)] == ["A0", "C4", "C#4", "C8", "C-1"]
    assert all(pitch_of(note_name(pitch)) == pitch for pitch in range(128))
    assert [pitch_of(name) for name in ("c4", "Bb3", " f#2 ", "Cb4", "B#3")] == [60, 58, 42, 59, 60]
    for name in ("H4", "C", "4", "C44", "C##4", "60", ""):
        with pytest.raises(BadInput, match="is no pitch"):
            pitch_of(name)


# What is not needed of a MIDI file is not judged


def meta(kind, data):
    return bytes((0, 0xFF, kind, len(data))) + data


def chunk(events, end=b"\0\xff\x2f\0", length=None):
    events += end
    return b"MTrk" + struct.pack(">I", len(events) if length is None else length) + events


def played(pitches=(57, 60, 62), channel=0):
    """Notes of a beat each."""
    return b"".join(bytes((0, 0x90 | channel, pitch, 80, 0x83, 0x60, 0x80 | channel, pitch, 0)) for pitch in pitches)


def smf(*chunks, kind=1, count=None, header=6, between=b""):
    count = len(chunks) if count is None else count
    return b"MThd" + struct.pack(">IHHH", header, kind, count, BEAT) + between + b"".join(chunks)


def pitches_in(folder, content, name="song.mid", **asked):
    (folder / name).write_bytes(content)
    return [note.pitch for note in notes_of(folder / name, **asked)]


@pytest.mark.parametrize(
    "event",
    (
        meta(0x59, b"\xee\x01"),  # a key of 18 flats
        meta(0x59, b"\xfe\xff"),
        meta(0x59, b""),
        meta(0x58, b"\x04"),  # half a time signature
        meta(0x58, b"\x04\xff\x18\x08"),
        meta(0x54, b"\xff\0\0\0\0"),  # film frames that nobody knows
        meta(0x51, b"\x07"),  # half a tempo
        meta(0x51, b"\0\0\0"),
        meta(0x00, b"\x01"),
        meta(0x20, b""),
        meta(0x21, b""),
        meta(0x4B, b"what?"),
        b"\0\xf0\x03\x7e\x7f\xf7",
        b"\0\xf7\x02\xf3\x01",
        b"\0\xf8",
        b"\0\xf2\x01\x02",
        b"\0\xc0\xff",  # a program beyond 127
    ),
    ids=bytes.hex,
)
def test_what_is_not_needed_of_a_midi_file_is_not_judged(tmp_path, event):
    assert pitches_in(tmp_path, smf(chunk(event + played()), chunk(played((64,))))) == [57, 64, 60, 62]
    assert notes_of(tmp_path / "song.mid")[-1][:2] == (1, 0.5)


def test_a_running_status_goes_on_behind_a_meta_message(tmp_path):
    text = meta(5, b"la")
    events = b"\0\x90\x39\x50" + text + b"\x83\x60\x39\0" + b"\0\x3c\x50" + text + b"\x83\x60\x3c\0"
    assert pitches_in(tmp_path, smf(chunk(events))) == [57, 60]


@pytest.mark.parametrize(
    "content",
    (
        smf(chunk(played()), count=9),
        smf(chunk(played()), count=0),
        smf(chunk(played()), kind=7),
        smf(chunk(played(), length=0)),
        smf(chunk(played(), length=5)),
        smf(chunk(played(), length=2**31)),
        smf(chunk(meta(3, b"tempo"), length=99), chunk(played(), length=3)),
        smf(chunk(played(), end=b"")),
        smf(chunk(meta(3, b"tempo"), end=b""), chunk(played(), end=b"")),
        smf(chunk(played()), header=8, between=b"\0\0"),
        smf(chunk(played()), between=b"XFIH\0\0\0\x02hi"),
        smf(chunk(played())) + b"ID3 and what else stands behind",
        b"RIFF\x60\0\0\0RMIDdata\x54\0\0\0" + smf(chunk(played())),
        b"\0\x04song" + bytes(122) + smf(chunk(played())),  # MacBinary
    ),
)
def test_counts_and_lengths_that_are_not_true_and_wrappers_are_no_matter(tmp_path, content):
    assert pitches_in(tmp_path, content) == [57, 60, 62]
    for name in ("song.rmi", "song.kar", "song.MIDI"):
        assert pitches_in(tmp_path, content, name) == [57, 60, 62]


def test_a_midi_file_that_breaks_off_is_refused_wherever_it_does(tmp_path):
    whole = smf(chunk(played()), chunk(played((64, 65))))
    first = 14 + len(chunk(played()))
    for length in (*range(first), *range(first + 4, len(whole))):
        with pytest.raises(BadInput, match="is no MIDI file that can be read: export it afresh"):
            pitches_in(tmp_path, whole[:length])


@pytest.mark.parametrize(
    "name, shown",
    (
        ("Gesang für Mädchen".encode(), "Gesang für Mädchen"),
        ("Gesang für Mädchen".encode("cp1252"), "Gesang für Mädchen"),
        ("Chœur".encode("cp1252"), "Chœur"),
        (b"  Lead\0\0", "Lead"),
        (b"\x81\x8d", "\ufffd\ufffd"),
        (b"\0", "track 2"),
    ),
)
def test_names_of_tracks_are_read_in_the_encodings_that_there_are(tmp_path, name, shown):
    (tmp_path / "song.mid").write_bytes(smf(chunk(b""), chunk(meta(3, name) + played())))
    assert {note.track for note in notes_of(tmp_path / "song.mid")} == {shown}


def test_a_key_switch_makes_no_score_useless(tmp_path):
    switch = b"\0\x90\x0c\x01\x0a\x80\x0c\0"
    content = smf(chunk(meta(3, b"Lead") + switch + played()), chunk(switch + switch), chunk(played((40, 45))))
    assert pitches_in(tmp_path, content) == [40, 57, 45, 60, 62]
    assert [pitch for *_, pitch in only_pitches(load(tmp_path / "song.mid", **EXACT))] == [57, 60, 62]
    with pytest.raises(BadInput, match=r"a pitch of 16\.3516 Hz: it must lie between 20 and 5000 Hz"):
        pitches_in(tmp_path, smf(chunk(switch)))


def test_tracks_that_are_pieces_of_their_own_have_a_tempo_and_a_pedal_of_their_own(tmp_path):
    slow = meta(0x51, (1_000_000).to_bytes(3, "big")) + b"\0\xb0\x40\x7f"
    content = [chunk(slow + played((57,)) + b"\x83\x60\xb0\x40\0"), chunk(played((64, 65)))]
    (tmp_path / "song.mid").write_bytes(smf(*content, kind=2))
    assert notes_of(tmp_path / "song.mid") == [
        Note(0, 0.5, 64, "track 2", 80),
        Note(0, 2, 57, "track 1", 80),
        Note(0.5, 0.5, 65, "track 2", 80),
    ]
    (tmp_path / "song.mid").write_bytes(smf(*content))
    assert [note.duration_s for note in notes_of(tmp_path / "song.mid")] == [2, 2, 1]


# Songs for UltraStar

SONG = """#TITLE:Für dich
#BPM:300,5
#GAP:1500
: 0 5 9 Für
* 10 5 11  dich
F 16 2 0  oh
- 20
: 20 10 -3 ~
E
: 99 5 9 never
"""


@pytest.mark.parametrize("codec", ("utf-8-sig", "cp1252"))
def test_songs_for_ultrastar_are_scores(tmp_path, codec):
    (tmp_path / "song.txt").write_bytes(SONG.encode(codec))
    found, step = notes_of(tmp_path / "song.txt"), 60 / (4 * 300.5)
    assert [note[2:4] for note in found] == [(69, "singer 1"), (71, "singer 1"), (57, "singer 1")]
    np.testing.assert_allclose(
        [note[:2] for note in found],
        [(1.5, 5 * step), (1.5 + 10 * step, 5 * step), (1.5 + 20 * step, 10 * step)],
    )


def test_of_a_duet_a_singer_goes_by_name_and_lines_may_be_relative(tmp_path):
    duet = "#BPM:150\n#P1:Ann\n#P2:Bob\nP1\n: 0 4 9 a\nP 2\n: 0 4 -3 b\nE\n"
    assert melody_of(tmp_path, duet, track="bob") == [(0, 40, 57)]
    relative = "#BPM:150\n#RELATIVE:yes\n: 0 4 9 a\n- 5 10\n: 0 4 11 b\n- 8\n: 2 4 9 c\nE\n"
    assert melody_of(tmp_path, relative) == [(0, 40, 69), (100, 140, 71), (200, 240, 69)]


def melody_of(folder, text, **asked):
    return only_pitches(load(table(folder, text, "song.txt"), **EXACT, **asked))


@pytest.mark.parametrize(
    "text, message",
    (
        ("#BPM:fast\n: 0 4 9 a\n", r"#BPM is 'fast', #GAP None: write numbers\.$"),
        ("#BPM:0\n: 0 4 9 a\n", r"#BPM is '0': it must be a number above 0\.$"),
        ("#BPM:100\n: 0 four 9 a\n", r"line 2 is no note: write it as : START LENGTH PITCH SYLLABLE\.$"),
        ("#BPM:100\n#GAP:-99\n: 0 4 9 a\n", r"line 3 begins before the song: mend #GAP\.$"),
        ("#BPM:100\nF 0 4 9 a\n", "holds no notes"),
    ),
)
def test_a_song_that_makes_no_sense_is_refused_with_the_place(tmp_path, text, message):
    with pytest.raises(BadInput, match=message):
        load(table(tmp_path, text, "song.txt"))


# MusicXML

MUSICXML = """<?xml version="1.0" encoding="UTF-8"?>
<score-partwise version="3.1">
  <part-list>
    <score-part id="P1"><part-name>Clarinet</part-name></score-part>
    <score-part id="P2"><part-name>Bass</part-name></score-part>
  </part-list>
  <part id="P1">
    <measure number="1">
      <attributes><divisions>2</divisions><time><beats>2</beats><beat-type>4</beat-type></time>
        <transpose><diatonic>-1</diatonic><chromatic>-2</chromatic></transpose></attributes>
      <direction><sound tempo="60"/></direction>
      <harmony><root><root-step>C</root-step></root><kind>major</kind></harmony>
      <note><grace/><pitch><step>A</step><octave>4</octave></pitch><type>eighth</type></note>
      <note><pitch><step>B</step><octave>4</octave></pitch><duration>2</duration></note>
      <note><pitch><step>D</step><octave>5</octave></pitch><duration>2</duration><tie type="start"/></note>
    </measure>
    <measure number="2">
      <direction><sound tempo="120"/></direction>
      <note><pitch><step>D</step><octave>5</octave></pitch><duration>2</duration><tie type="stop"/></note>
      <note><rest/><duration>2</duration></note>
      <barline location="right"><repeat direction="backward"/></barline>
    </measure>
  </part>
  <part id="P2">
    <measure number="1"><attributes><divisions>1</divisions></attributes>
      <note><pitch><step>C</step><octave>3</octave></pitch><duration>2</duration></note></measure>
    <measure number="2">
      <note><pitch><step>G</step><octave>2</octave></pitch><duration>2</duration></note>
      <note><chord/><pitch><step>D</step><octave>3</octave></pitch><duration>2</duration></note>
      <barline location="right"><repeat direction="backward"/></barline>
    </measure>
  </part>
</score-partwise>
"""


def packed():
    """The same as a .mxl file."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(
            "META-INF/container.xml",
            '<container><rootfiles><rootfile full-path="song.xml"/></rootfiles></container>',
        )
        archive.writestr("song.xml", MUSICXML)
    return content.getvalue()


@pytest.mark.parametrize("name", ("song.musicxml", "song.xml", "song.mxl"))
def test_musicxml_is_read_as_it_sounds_with_tempos_ties_and_repeats(tmp_path, name):
    pytest.importorskip("music21")
    (tmp_path / name).write_bytes(packed() if name.endswith("mxl") else MUSICXML.encode())
    assert only_pitches(load(tmp_path / name, **EXACT, track="clarinet")) == [
        (0, 100, 69),
        (100, 250, 72),
        (300, 400, 69),
        (400, 550, 72),
    ]
    bass = [(note.onset_s, note.duration_s, note.pitch) for note in notes_of(tmp_path / name) if note.track == "Bass"]
    assert bass == [(0, 2, 48), (2, 1, 43), (2, 1, 50), (3, 2, 48), (5, 1, 43), (5, 1, 50)]


def test_what_is_no_musicxml_is_refused_and_without_its_library_the_package_is_named(tmp_path, monkeypatch):
    path = table(tmp_path, "<html></html>", "song.xml")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "music21", None)
        with pytest.raises(Unavailable, match=r"cannot be read without music21: pip install 'rtsep\[score\]'\.$"):
            load(path)
    pytest.importorskip("music21")
    with pytest.raises(BadInput, match="is no MusicXML that can be read: export it afresh"):
        load(path)
