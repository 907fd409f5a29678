"""Singing: made curves get the scores that the rule gives them, in any octave, early or late, with vibrato."""

import math

import numpy as np
import pytest

from rtsep.live.singing import Singing, cents_between, name_of, note_name, note_of, notes_beside

RATE = 50
NOTES = np.array([57, 60, 64, 62, 69, 67, 65, 71, 60, 58])


def times(seconds):
    return np.arange(round(seconds * RATE)) / RATE


def hertz(notes):
    """Frequencies of `notes` in semitones, 0 Hz for NaN."""
    return np.nan_to_num(440 * 2 ** ((np.asarray(notes, float) - 69) / 12))


def melody(seconds, note_s=0.5):
    """A song: notes of `note_s`, and after each two seconds one without a lead."""
    notes = NOTES[(seconds / note_s).astype(int) % len(NOTES)].astype(float)
    return np.where((seconds < 0) | (seconds % 3 >= 2), np.nan, notes)


def sung(song, singer, at=None, **settings):
    """`Singing` that has heard both (in semitones) from the first time to the last, and a moment more."""
    singing = Singing(**settings)
    at = times(len(song) / RATE) if at is None else at
    for heard in zip(at, hertz(song), hertz(singer), strict=True):
        singing.hear(*map(float, heard))
    for k in range(1, 15):
        singing.hear(at[-1] + k / RATE, 0, 0)
    return singing


SECONDS = times(30)
SONG = melody(SECONDS)


@pytest.mark.parametrize(
    "f0, name, cents",
    [
        (440, "A4", 0),
        (261.6256, "C4", 0),
        (27.5, "A0", 0),
        (466.1638, "A#4", 0),
        (246.9417, "B3", 0),
        (445, "A4", 19.56),
    ],
)
def test_pitches_have_the_names_of_their_notes(f0, name, cents):
    assert note_name(f0)[0] == name
    assert note_name(f0)[1] == pytest.approx(cents, abs=0.01)


def test_cents_beside_a_note_stay_within_half_a_semitone():
    for f0 in np.geomspace(50, 2000, 500):
        name, cents = note_name(f0)
        assert -50 <= cents <= 50
        note = round(note_of(f0))
        assert name == name_of(note)
        assert 440 * 2 ** ((note - 69 + cents / 100) / 12) == pytest.approx(f0)


def test_no_pitch_has_no_name():
    assert note_name(0) == ("", 0)
    assert note_name(math.nan) == ("", 0)
    assert math.isnan(note_of(0))


def test_distances_are_taken_in_the_nearest_octave():
    for octave in (-2, -1, 0, 1, 2):
        assert cents_between(440 * 2 ** (octave + 0.25 / 12), 440) == pytest.approx(25)
        assert cents_between(440 * 2 ** (octave - 5 / 12), 440) == pytest.approx(-500)
    assert abs(cents_between(440 * 2**0.5, 440)) == pytest.approx(600)


@pytest.mark.parametrize("octave", (-2, -1, 0, 1))
def test_perfect_singing_scores_100_in_any_octave(octave):
    singing = sung(SONG, SONG + 12 * octave)
    assert singing.score == pytest.approx(100)
    assert singing.hit_rate == pytest.approx(1)
    assert singing.median_cents == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "cents, score", [(20, 100), (25, 100), (40, 80), (-50, 200 / 3), (50, 200 / 3), (-85, 20), (100, 0)]
)
def test_marks_fall_from_25_to_100_cents(cents, score):
    """On one long note, so that no neighbor is nearer."""
    song = np.full(500, 60.0)
    singing = sung(song, song + cents / 100)
    assert singing.score == pytest.approx(score, abs=1e-6)
    assert singing.median_cents == pytest.approx(abs(cents))
    assert singing.bias_cents == pytest.approx(cents)


@pytest.mark.parametrize("cents", (-50, 50))
def test_a_quarter_tone_off_scores_two_thirds(cents):
    singing = sung(SONG, SONG + cents / 100)
    assert singing.score == pytest.approx(200 / 3, abs=3)  # in passing, a step of the song is nearer
    assert singing.bias_cents == pytest.approx(cents, abs=1)


def test_other_notes_score_nothing_and_a_tritone_off_is_no_hit_on_average():
    song = np.full(500, 60.0)
    assert sung(song, song + 3).score == 0
    wobble = np.where(np.arange(500) % 2, 0.1, -0.1)  # folded, now 590 above and now 590 below
    singing = sung(song, song + 6 + wobble)
    assert singing.score == 0 and singing.median_cents == pytest.approx(590, abs=1)


def test_a_random_melody_scores_about_what_chance_gives():
    random = np.random.default_rng(7)
    seconds = times(600)
    held = np.repeat(random.uniform(50, 74, 2000), 15)  # 0.3 s each
    score = sung(melody(seconds), held).score
    # In any octave, an error is as likely anywhere in 600 cents: (25 + 75 / 2) / 600 is 10; the tolerance adds some.
    assert 6 < score < 20


def test_silence_scores_0_and_is_told():
    singing = sung(SONG, np.full(len(SONG), np.nan))
    assert singing.score == 0 and singing.hit_rate == 0
    assert math.isnan(singing.median_cents) and math.isnan(singing.bias_cents)
    assert "100 % silent" in singing.summary() and "nan" not in singing.summary()


def test_half_of_the_song_sung_scores_half():
    assert sung(SONG, np.where(SECONDS % 6 < 3, SONG, np.nan)).score == pytest.approx(50, abs=3)


@pytest.mark.parametrize("late_s", (-0.1, -0.08, 0.08, 0.1))
def test_early_or_late_is_not_wrong(late_s):
    singing = sung(SONG, melody(SECONDS - late_s))
    assert singing.score > 97


def voice(seconds):
    """The melody as it is sung: each note glides in, and then has a vibrato."""
    since = seconds % 0.5
    vibrato = 0.4 * np.sin(2 * np.pi * 5.5 * seconds) * np.minimum(since / 0.2, 1)
    return melody(seconds) - 0.8 * np.exp(-since / 0.03) + vibrato


@pytest.mark.parametrize(
    "cents, score", [(0, 100), (-15, 100), (15, 100), (30, 93), (60, 54), (-30, 93), (-60, 54), (100, 1)]
)
def test_how_sharp_a_singer_is_is_told_as_it_is_and_marked_by_that(cents, score):
    """The nearest pitch of the song was taken: +60 was told as +21, +100 as +59."""
    singing = sung(voice(SECONDS), voice(SECONDS) + cents / 100)
    assert singing.bias_cents == pytest.approx(cents, abs=0.5) and singing.late_s == 0
    assert singing.score == pytest.approx(score, abs=2)


@pytest.mark.parametrize(
    "late_s, cents, score",
    [(0.1, 0, 99), (-0.1, 0, 99), (0.2, 0, 91), (0.3, 0, 58), (0.1, 30, 96), (0.2, 30, 84), (0.3, -60, 39)],
)
def test_how_late_a_singer_is_is_told_and_taken_off_what_is_told_of_the_pitch(late_s, cents, score):
    singing = sung(voice(SECONDS), voice(SECONDS - late_s) + cents / 100)
    assert singing.late_s == pytest.approx(late_s, abs=0.01)
    assert singing.bias_cents == pytest.approx(cents, abs=2)
    assert singing.score == pytest.approx(score, abs=3)
    assert f"time     on the whole {abs(late_s):.2f} s {'late' if late_s > 0 else 'early'}" in singing.summary()


def test_of_a_singer_in_time_no_time_is_told():
    assert "time " not in sung(SONG, SONG + 0.3).summary()


def test_early_and_late_are_told_across_jumps_in_the_song():
    at = np.concatenate([times(10), 100 + times(10), times(10)])
    singing = sung(voice(at), voice(at - 0.16) + 0.2, at)
    assert singing.late_s == pytest.approx(0.16, abs=0.01) and singing.bias_cents == pytest.approx(20, abs=2)


def test_a_singer_who_hits_the_neighboring_semitone_is_not_taken_for_one_who_is_early():
    """The song goes by semitones; a singer who is one too high all the time is as wrong as on a long note."""
    song = 60 + (SECONDS / 0.5).astype(int) % 8
    singing = sung(song, song + 1)
    assert singing.score < 5 and singing.bias_cents == pytest.approx(100, abs=1)


def test_a_note_late_is_wrong():
    assert sung(SONG, melody(SECONDS - 0.5)).score < 40


@pytest.mark.parametrize("rate_hz", (4.5, 5.5, 7.0))
def test_a_vibrato_is_judged_by_its_center(rate_hz):
    vibrato = 0.5 * np.sin(2 * np.pi * rate_hz * SECONDS)
    assert sung(SONG, SONG + vibrato).score > 95
    flat = sung(np.full(1500, 60.0), 59.4 + vibrato)
    assert flat.bias_cents == pytest.approx(-60, abs=8)
    assert flat.score == pytest.approx(100 * 40 / 75, abs=6)


def test_consonants_are_no_silence():
    gaps = np.where(SECONDS % 0.5 < 0.1, np.nan, SONG)
    assert sung(SONG, gaps).score > 98


def test_singing_where_the_song_has_no_lead_counts_nothing():
    singing = sung(SONG, np.where(np.isnan(SONG), 63.5, SONG))
    assert singing.score > 99
    assert (np.isnan(singing.errors[: len(SONG)]) == np.isnan(SONG)).all()


def test_the_score_weighs_time_and_not_the_number_of_moments():
    at = np.concatenate([np.arange(0, 4, 0.02), np.arange(4, 8, 0.05)])
    song = np.full(len(at), 60.0)
    assert sung(song, np.where(at < 4, song, np.nan), at).score == pytest.approx(50, abs=3)


def test_there_is_no_score_before_a_second_of_lead():
    song = melody(times(1.9))
    singing = Singing()
    assert singing.score is None and "none" in singing.summary()
    assert singing.hit_rate == 0 and math.isnan(singing.median_cents)
    had = []
    for t, f0 in zip(times(1.9), hertz(song), strict=True):
        singing.hear(float(t), float(f0), float(f0))
        had.append(singing.score)
    first = next(i for i, score in enumerate(had) if score is not None) / RATE
    assert 1.2 <= first <= 1.3  # judged 0.22 s later
    assert had[-1] == pytest.approx(100)


def test_the_summary_gives_the_figures():
    song = np.full(500, 60.0)
    words = sung(song, np.where(np.arange(500) < 400, song - 0.4, np.nan)).summary()
    assert "score    65 of 100" in words
    assert "lead     10.0 s, of which 81 % within 50 cents and 19 % silent" in words  # the last vowel rings on
    assert "median error 40 cents, on the whole -40 cents" in words


def test_the_limit_of_a_hit_can_be_set():
    song = np.full(500, 60.0)
    assert sung(song, song + 0.4, within_cents=30).hit_rate == 0
    assert sung(song, song + 0.4).hit_rate == pytest.approx(1)


def test_after_a_jump_in_the_song_nothing_before_it_is_compared_with_anything_after_it():
    once = times(4)
    at = np.concatenate([once, once])
    song = np.where(np.arange(400) < 200, 60.0, 64.0)
    singing = sung(song, song, at)
    assert singing.score == pytest.approx(100)
    assert len(singing.errors) >= 400
    # Singing the note before the jump is wrong at once after it.
    stuck = sung(song, np.full(400, 60.0), at)
    np.testing.assert_allclose(stuck.errors[:200], 0, atol=1e-6)
    np.testing.assert_allclose(stuck.errors[200:395], -400, atol=1e-6)


@pytest.mark.parametrize("start_s", (0, 2, 100))
def test_the_time_that_a_jump_leaves_out_or_goes_back_counts_nothing(start_s):
    at = np.concatenate([times(4), start_s + times(4)])
    song = np.full(400, 60.0)
    assert sung(song, np.where(np.arange(400) < 200, 60.0, 63.0), at).score == pytest.approx(50, abs=2)


def duck(song, singer):
    """`on_pitch` after each moment."""
    singing, told = Singing(), []
    for i, (own, other) in enumerate(zip(hertz(song), hertz(singer), strict=True)):
        singing.hear(i / RATE, float(own), float(other))
        told.append(singing.on_pitch)
    return np.array(told)


def test_the_guide_rests_soon_after_the_pitch_is_found_and_returns_half_a_second_after_it_is_lost():
    song = np.full(300, 60.0)
    singer = np.where((times(6) >= 1) & (times(6) < 4), 60.2, 62.0)
    changes = np.flatnonzero(np.diff(duck(song, singer).astype(int))) / RATE
    assert len(changes) == 2
    assert 1.2 <= changes[0] <= 1.5
    assert 4.4 <= changes[1] <= 4.6


def test_the_guide_returns_for_a_singer_who_falls_silent():
    song = np.full(300, 60.0)
    told = duck(song, np.where(times(6) < 3, 60.0, np.nan))
    assert told[140] and told[150 + 20] and not told[150 + 35]


def test_a_passing_touch_is_not_on_pitch():
    song, seconds = np.full(300, 60.0), times(6)
    assert not duck(song, np.where(seconds % 1 < 0.1, 60.0, np.nan)).any()
    assert not duck(song, np.where(seconds % 1 < 0.1, 60.0, 63.0)).any()
    assert not duck(song, 50 + 8 * seconds).any()  # slides through the note


def test_a_short_slip_does_not_call_the_guide_back():
    song, seconds = np.full(300, 60.0), times(6)
    assert duck(song, np.where(seconds % 1 < 0.2, 61.5, 60.0))[100:].all()


def test_where_the_song_has_no_lead_the_guide_stays_as_it_is():
    seconds = times(9)
    song = np.where((seconds > 3) & (seconds < 7), np.nan, 60.0)
    assert duck(song, song)[60:].all()
    late = duck(song, np.where(seconds < 3, np.nan, 60.0))
    assert not late[: 7 * RATE].any() and late[-1]


def test_notes_of_a_picture_stand_in_the_octave_of_the_song_even_when_late():
    song = melody(SECONDS)
    shown = melody(SECONDS - 0.08)
    heard = np.where(np.isnan(shown), np.nan, shown - 12)
    own, singer = notes_beside(hertz(song), hertz(heard))
    np.testing.assert_allclose(own, song)
    np.testing.assert_allclose(singer, shown)
    after = notes_beside(hertz([60] * 10 + [np.nan] * 40), hertz([48] * 50))[1]
    np.testing.assert_allclose(after, 60)
    assert notes_beside([0, 0], [0, 440])[1][1] == pytest.approx(69)


@pytest.mark.parametrize("seconds", (0, 5, 70))
def test_a_picture_is_drawn_however_long_the_song_was(tmp_path, seconds):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    at = times(seconds)
    song = melody(at)
    singing = sung(song, np.where(at % 5 < 3, song + 0.02, song + 1)) if seconds else Singing()
    singing.picture(tmp_path / "pitch.png")
    pixels = pyplot.imread(tmp_path / "pitch.png")
    assert pixels.shape[:2] == (675, 990)
    for color in ((0, 158, 115), (213, 94, 0)):  # hits and misses; the legend alone has some pixels of each
        found = (np.abs(pixels[:, :, :3] * 255 - color) < 2).all(2).sum()
        assert (found > 200) == (seconds > 0), found


def test_a_picture_draws_no_line_where_the_pitch_leaps(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    drawn = {}

    def keep(figure, path, **_):
        drawn["song"] = figure.axes[0].lines[0].get_ydata()
        drawn["names"] = [label.get_text() for label in figure.axes[0].get_yticklabels()]

    monkeypatch.setattr(Figure, "savefig", keep)
    song = np.concatenate([np.full(50, 60.0), [48, 48], np.full(50, 60), 60 + 0.5 * np.sin(times(1) * 20)])  # vibrato
    sung(song, song).picture(tmp_path / "picture.png")
    line = drawn["song"]
    assert np.nanmax(np.abs(np.diff(line))) < 1
    assert list(np.flatnonzero(np.isnan(line[: len(song) + 2]))) == [50, 53]
    assert drawn["names"] == ["B2", "C3", "D3", "E3", "F3", "G3", "A3", "B3", "C4", "D4"]
