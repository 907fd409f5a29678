"""The view of karaoke: what stands in the terminal is what was measured, in any terminal, with and without color."""

import io
import math

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from rtsep.live.karaoke_view import KaraokeView, Values, line

SCALE = (60, 62, 64, 65, 67, 69, 67, 64)
LABELS, PRESENT = 5, 45  # columns before the roll, and column of the present within it


def hertz(notes):
    """Frequencies of `notes` in semitones, 0 Hz for NaN."""
    return np.nan_to_num(440 * 2 ** ((np.asarray(notes, float) - 69) / 12)).tolist()


def pitches(song, singer, now_s=6.0):
    """Both in semitones, functions of the time from six seconds before the present to two after it."""
    times = np.arange(now_s - 6, now_s + 2, 0.02) + 0.01
    return dict(
        now_s=now_s,
        times=times.tolist(),
        song_hz=hertz([song(t) for t in times]),
        singer_hz=hertz([singer(t) for t in times]),
    )


def scale(t):
    return SCALE[int(t / 0.8) % 8]


def nothing(t):
    return math.nan


def shown(values, view=None, encoding="utf-8", **settings):
    """The lines that a console of 80 by 24 prints."""
    written = io.BytesIO()
    file = io.TextIOWrapper(written, encoding=encoding, newline="")
    console = Console(file=file, width=80, height=24, **settings)
    console.print((view or KaraokeView()).draw(values))
    file.flush()
    return written.getvalue().decode(encoding).splitlines()


def roll(lines):
    """The rows of the roll: name of the note -> columns."""
    return {text[:LABELS].strip(): text[LABELS:].ljust(60) for text in lines[2:16]}


def test_everything_is_told_in_words():
    values = Values(
        song="A song [live]",
        position_s=83.4,
        length_s=225,
        loop=(70, 90.5),
        key_semitones=-2,
        guide_db=-12,
        ducked=True,
        microphone_db=-30,
        gate_open=True,
        score=83.4,
        output_db=-6.2,
        limiting=True,
        message="a howl at 1234 Hz",
        **pitches(lambda t: 69.03, lambda t: 57.15),
    )
    text = "\n".join(shown(values))
    for words in (
        "A song [live]",
        "playing  1:23 / 3:45",
        "key -2",
        "guide -12 dB, duck resting",
        "score 83",
        "loop 1:10 to 1:30",
        "song  A4  +3   you  A3 +15    +12 cents apart",
        "microphone [##########          ]   -30 dB  open",
        "output     [##################  ]    -6 dB  LIMITER",
        "a howl at 1234 Hz",
    ):
        assert words in text
    told = line(values)
    assert "\n" not in told
    for words in ("1:23/3:45", "key -2", "guide -12 dB, duck resting", "microphone -30 dB open", "score 83", "LIMITER"):
        assert words in told
    assert "song A4 +3 you A3 +15 +12 cents apart" in told and "a howl at 1234 Hz" in told and "paused" not in told


def test_what_is_not_there_yet_is_told_too():
    values = Values(song="x", playing=False, duck=False, muted=True, gate_open=True, loop=(5, None), guide_db=-math.inf)
    text = "\n".join(shown(values))
    for words in (
        "paused",
        "key +0",
        "guide -inf dB, duck off",
        "score --",
        "loop 0:05 to ...",
        "MUTED",
        "you      --",
    ):
        assert words in text
    assert "loop" not in shown(Values(song="x"))[1]
    assert "LIMITER" not in text and "apart" not in text
    assert "paused" in line(values) and "score" not in line(values) and "MUTED" in line(values)


@pytest.mark.parametrize(
    "guide, words", [((True, False), "helping"), ((True, True), "resting"), ((False, True), "off")]
)
def test_the_state_of_the_duck_is_told(guide, words):
    assert f"duck {words}" in line(Values(song="x", duck=guide[0], ducked=guide[1]))


@pytest.mark.parametrize("key", ("space", "left/right", "up/down", "+/-", "l", "d", "m", "q"))
def test_the_keys_are_told(key):
    assert any(f" {key} " in f" {text} " for text in shown(Values(song="x"))[-2:])


@pytest.mark.parametrize("encoding", ("utf-8", "ascii"))
@pytest.mark.parametrize(
    "name", ("x", "a very long name " * 9, "歌" * 60, "a\nb\x1b[2J"), ids=("short", "long", "wide", "commands")
)
def test_it_fits_into_a_terminal_of_80_by_24(encoding, name):
    values = Values(song=name, message=name * 3, loop=(3599, 3600), length_s=3600, **pitches(scale, scale))
    lines = shown(values, encoding=encoding)
    assert len(lines) == 22
    assert max(map(cell_len, lines)) < 80
    assert lines[0].endswith("playing  0:00 / 60:00")
    assert cell_len(lines[0]) >= 78 or "?" in lines[0]  # at the right edge, but for signs that were replaced
    assert not any("\x1b" in text for text in [*lines, line(values)])


def test_the_roll_shows_the_song_before_and_after_the_present():
    rows = roll(shown(Values(song="x", **pitches(scale, nothing))))
    for column in range(60):
        t = (column - PRESENT + 0.5) * 2 / 15 + 6
        found = {name for name, row in rows.items() if row[column] == "─"}
        names = {60: "C4", 62: "D4", 64: "E4", 65: "F4", 67: "G4", 69: "A4"}
        assert found == {names[scale(t)]}, column
    assert sum(row[PRESENT] == "│" for row in rows.values()) == 13


def test_the_singer_stands_on_the_song_where_they_hit_it_in_any_octave_and_ends_at_the_present():
    for octave in (-24, -12, 0, 12):
        rows = roll(shown(Values(song="x", **pitches(scale, lambda t, octave=octave: scale(t) + octave))))
        marks = "".join(max((row[column] for row in rows.values()), key="─●".find) for column in range(60))
        assert set(marks[:PRESENT]) == {"●"} and set(marks[PRESENT + 1 :]) == {"─"}


def test_a_miss_stands_beside_the_song():
    rows = roll(shown(Values(song="x", **pitches(lambda t: 60, lambda t: 62))))
    assert rows["C4"] == "─" * 60
    assert rows["D4"].startswith("●" * PRESENT) and rows["D4"][PRESENT + 1 :].strip() == ""


def test_the_notes_in_words_are_those_of_the_present_not_of_the_song_to_come():
    told = line(Values(song="x", **pitches(lambda t: 69 if t < 6.02 else 60, lambda t: 69 if t < 6.02 else 60)))
    assert "song A4 +0 you A4 +0" in told


def test_where_nobody_sings_the_roll_is_empty():
    rows = roll(shown(Values(song="x", **pitches(nothing, nothing))))
    assert set("".join(rows.values())) == {" ", "│"}
    rows = roll(shown(Values(song="x", **pitches(lambda t: 60 if t < 3 else math.nan, nothing))))
    assert rows["C4"].rstrip() == "─" * 23 + " " * 22 + "│"


def test_the_roll_scrolls_to_the_left():
    before, after = (roll(shown(Values(song="x", **pitches(scale, nothing, now)))) for now in (6.0, 6.8))
    for name, row in before.items():
        assert row.replace("│", " ")[6:40] == after[name].replace("│", " ")[:34]


def lowest(view, note):
    """The name at the bottom of the roll after a picture of a song that holds `note`."""
    return list(roll(shown(Values(song="x", **pitches(lambda t: note, nothing)), view)))[-1]


def test_the_rows_follow_the_song_by_one_from_picture_to_picture_and_rest_while_it_stays_within():
    view = KaraokeView()
    first = lowest(view, 60)
    assert {lowest(view, note) for note in (62, 65, 58, 60)} == {first}
    bottoms = [lowest(view, 76) for _ in range(30)]
    assert bottoms[:4] == ["F#3", "G3", "G#3", "A3"] and len(set(bottoms[-10:])) == 1
    assert "─" in roll(shown(Values(song="x", **pitches(lambda t: 76, nothing)), view))["E5"]
    back = [lowest(view, 60) for _ in range(30)]
    assert len(set(back)) > 3 and len(set(back[-10:])) == 1


def test_a_song_wider_than_the_roll_is_followed_at_the_present_with_arrows_to_the_rest():
    view = KaraokeView()
    values = Values(song="x", **pitches(lambda t: 80 if 5 < t < 7 else 50, nothing))
    for _ in range(40):
        rows = roll(shown(values, view))
    assert "─" in rows["G#5"]
    assert [*rows.values()][-1].startswith("↓" * 37)
    values = Values(song="x", **pitches(lambda t: 90 if t < 5 else 60, nothing))
    for _ in range(40):
        rows = roll(shown(values, view))
    assert next(iter(rows.values())).startswith("↑" * 37)


def test_a_console_that_cannot_print_the_signs_gets_others():
    values = Values(song="Lied: Überall", **pitches(lambda t: 60, lambda t: 62 if t < 3 else math.nan))
    lines = shown(values, encoding="ascii")
    assert lines[0].startswith("Lied: ?berall")
    rows = roll(lines)
    assert rows["C4"] == "=" * 60 and rows["D4"].startswith("o" * 22)
    assert any("|" in row for row in rows.values())


def test_color_repeats_what_the_signs_say(monkeypatch):
    values = Values(song="x", **pitches(lambda t: 60, lambda t: 60 if t < 3 else 62))
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    colored = "\n".join(shown(values, force_terminal=True))
    assert "\x1b[32m●" in colored and "\x1b[31m●" in colored and "\x1b[36m─" in colored
    monkeypatch.setenv("NO_COLOR", "1")
    plain = "\n".join(shown(values, force_terminal=True))
    assert not any(f"\x1b[3{color}m" in plain for color in range(8))
