"""The desk: what stands in the terminal is what is set and measured, and each key does what the help says."""

import io
import math
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console
from signals import constant, tune

from rtsep import BadInput, Engine, Settings
from rtsep.library import warm_up
from rtsep.live import desk as module
from rtsep.live.desk import Desk, Hold, stepped
from rtsep.live.desk_view import Meter, Picture, Row, Values
from rtsep.live.history import History
from rtsep.live.presets import PRESETS
from rtsep.live.stream import Stream
from rtsep.parameters import PARAMETERS
from rtsep.templates import KITS, load

RATE = 48_000
NAMES = ("percussive", "melody", "harmony", "residual", "harmonic", "accompaniment", "microphone", "output")
FADER, METER = 17, 52  # columns where they begin


@pytest.fixture(scope="module", autouse=True)
def _compiled():
    warm_up()


def shown(values, encoding="utf-8", **settings):
    """The lines that a console of 80 by 24 prints."""
    written = io.BytesIO()
    file = io.TextIOWrapper(written, encoding=encoding, newline="")
    Console(file=file, width=80, height=24, **settings).print(Picture(values))
    file.flush()
    return written.getvalue().decode(encoding).splitlines()


def row(found, encoding="utf-8"):
    """The line of a row."""
    return next(
        line for line in shown(Values("x", [found]), encoding) if line[1:].startswith(f"{found.number} ")
    ).rstrip()


# The picture


def test_everything_is_told_in_words():
    values = Values(
        title="mode live on 'a card [x]'",
        rows=[Row(2, "melody", value="-12.0 dB", muted=True, soloed=True, meter=Meter(-30, -12, True), control="cc 7")],
        chosen=2,
        song=(False, 83.4, 225),
        input=Meter(-45, -30, True),
        output=Meter(-15, -12.34),
        limiting=True,
        bypass=True,
        muted=True,
        gone=True,
        f0_hz=442,
        load_median=0.034,
        load_worst=0.41,
        xruns=3,
        latency_ms=10.66,
        midi="nanoKONTROL2 | nanoKONTROL2 cc 7 = 64",
        problem="MIDI is hard",
        message="preset karaoke",
    )
    text = "\n".join(shown(values))
    for words in (
        "mode live on 'a card [x]'",
        "paused  1:23 / 3:45",
        ">2 melody ",
        "-12.0 dB M S [#######   |   ] CLIP cc 7",
        "input   [##########         |                    ]  -30.0 dB       CLIP",
        "output  [############################## |        ]  -12.3 dB  LIM",
        "THE DEVICE HAS GONE   MUTED (space ends it)   BYPASS (b ends it)",
        "melody  A4 +8 cents",
        "load    3.4 %, worst 41.0 %   xruns 3   latency 10.7 ms",
        "MIDI    nanoKONTROL2 | nanoKONTROL2 cc 7 = 64",
        "MIDI is hard",
        "preset karaoke",
    ):
        assert words in text, text


def test_pitches_stand_behind_the_melody():
    assert "melody  A4 +0 cents   notes  C4  D#5" in "\n".join(shown(Values("x", f0_hz=440, pitches=(60, 75))))
    assert "melody  --   notes  A0" in "\n".join(shown(Values("x", pitches=(21,))))


def test_what_is_not_so_is_not_told():
    text = "\n".join(shown(Values("x", [Row(1, "percussive", meter=Meter())], chosen=2, song=(True, 0, math.nan))))
    for words in ("CLIP", "LIM", "GONE", "MUTED", "BYPASS", ">", "cents", "notes", "paused"):
        assert words not in text
    for words in (" 1 percussive", "0.0 dB . . [              ]", "melody  --", "playing  0:00 / -:--"):
        assert words in text


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("page", [False, True])
@pytest.mark.parametrize("words", ["x", "a very long name " * 9, "歌" * 60, "a\nb\x1b[2J"])
@pytest.mark.parametrize("number", [0.0, 1e9, math.nan, math.inf, -math.inf])
def test_it_fits_into_a_terminal_of_80_by_24_whatever_there_is(encoding, page, words, number):
    meter = Meter(number, number, True)
    rows = [
        Row(i, name, value="-12.0 dB", position=number, ghost=number, muted=True, meter=meter, control=words)
        for i, name in enumerate(NAMES, 1)
    ]
    common = dict(f0_hz=min(number, 1e9), load_median=number, load_worst=number, xruns=10**6, latency_ms=number)
    common |= dict(song=(True, number, number), input=meter, output=meter, limiting=True, bypass=True, muted=True)
    common |= dict(midi=words, problem=words, message=words, parameters=[(id, "+12 semitones") for id in NAMES * page])
    lines = shown(Values(words, rows, **common), encoding)
    assert len(lines) <= 23
    assert max(map(cell_len, lines)) < 80
    assert not any("\x1b" in line for line in lines)


@pytest.mark.parametrize("encoding, unity, knob, ghost", [("utf-8", "┼", "●", "○"), ("ascii", "+", "#", "o")])
def test_a_fader_is_a_track_by_its_law_with_the_knob_and_the_ghost_of_the_hardware(encoding, unity, knob, ghost):
    level = PARAMETERS["melody.gain_db"]
    # A position of 100/127 is unity and silence the bottom: 15 and 4/5 of 19 steps, -60 to 0 dB, are linear.
    for value, column in ((-math.inf, 0), (-60, 0), (-30, 7), (0, 15), (6, 17), (12, 19)):
        track = row(Row(1, "percussive", position=level.to_normalized(value)), encoding)[FADER : FADER + 20]
        assert track[column] == knob and track.count(knob) == 1 and ghost not in track
        assert (unity in track) == (value != 0)
    track = row(Row(1, "percussive", position=0.5, ghost=1.0), encoding)[FADER : FADER + 20]
    assert track.index(ghost) == 19 and track.index(knob) in (9, 10) and track.index(unity) == 15
    assert ghost not in row(Row(1, "percussive", position=0.5, ghost=0.5), encoding)
    assert row(Row(1, "percussive", ghost=0.0), encoding)[FADER] == ghost


@pytest.mark.parametrize("chosen, first", [(1, 1), (6, 1), (7, 2), (9, 4), (13, 4)])
def test_of_many_rows_ten_around_the_chosen_one_are_seen(chosen, first):
    rows = [Row(number, f"part{number}", meter=Meter()) for number in range(1, 14)]
    lines = shown(Values("x", rows, chosen=chosen))
    assert [line.split()[1] for line in lines if "part" in line] == [f"part{first + i}" for i in range(10)]
    assert len(lines) <= 23 and any(line.startswith(f">{chosen} part{chosen} ") for line in lines)


def test_a_row_tells_what_it_has():
    assert "0.0 dB M . [" in row(Row(3, "harmony", muted=True, meter=Meter()))
    assert "0.0 dB .   [" in row(Row(8, "output", soloed=None, meter=Meter()))
    assert row(Row(5, "harmonic", members=(2, 3))).endswith(". . = 2 + 3")
    assert row(Row(9, "percussive", members=range(1, 9))).endswith(". . = 1 to 8")
    assert row(Row(12, "a name that is far too long")).startswith(" 12 a name that  ─")
    assert row(Row(1, "percussive", control="nrpn 16383", meter=Meter())).endswith("] nrpn 16383")
    for control in ("cc 7", "nrpn 16383"):  # the second does not fit beside the first word
        line = row(Row(1, "percussive", control=control, meter=Meter(clipped=True)))
        assert line.endswith("] CLIP cc 7" if control == "cc 7" else "] CLIP")


@pytest.mark.parametrize(
    "members, sum",
    [
        ((2, 3), "= 2 + 3"),
        ((1, 2, 3, 4), "= 1 + 2 + 3 + 4"),
        ((1, 2, 3, 4, 5), "= 1 to 5"),
        ((1, 2, 3, 4, 6), "= 1 to 4 + 6"),
        ((1, 3, 5, 7, 9), "= 1+3+5+7+9"),
        ((10, 11, 12, 13), "= 10 to 13"),
        (tuple(range(1, 60, 2)), "= 30 rows"),
    ],
)
def test_the_members_of_a_group_are_told_whole(members, sum):
    assert row(Row(7, "group", members=members))[METER - 1 :].strip() == sum


@pytest.mark.parametrize("page", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_title_ends_with_the_latency_however_long_the_devices_are_called(encoding, page):
    for place in ("'system'", "'HDA Intel PCH: ALC257 Analog (hw:0,0)' to 'Scarlett 2i2 USB: Audio (hw:2,0)'"):
        title = f"mode balanced on {place}, 2 channels at 48000 Hz, blocks as the device likes, latency 10.7 ms"
        for song in (None, (True, 9, 27)):
            first, second, *_ = shown(Values(title, song=song, parameters=[("a", "b")] * page), encoding)
            assert first.startswith("mode balanced on '") and "latency 10.7 ms" in second
            assert second.rstrip().endswith("playing  0:09 / 0:27" if song else "latency 10.7 ms")
            whole = f"{first.rstrip()} {second}"
            assert len(place) > 20 or whole.startswith(title)
    assert shown(Values("short", song=(True, 9, 27)), encoding)[1].rstrip() == "playing  0:09 / 0:27"


def test_a_meter_shows_60_db_with_the_peak_that_is_held():
    for level, hold, signs in (
        (-math.inf, -math.inf, "              "),
        (-60, -60, "              "),
        (-30, -30, "#######       "),
        (-30, -12, "#######   |   "),
        (-30, 3, "#######      |"),
        (5, 5, "##############"),
        (math.nan, math.nan, "              "),
    ):
        assert row(Row(1, "percussive", meter=Meter(level, hold)))[METER - 1 : METER + 15] == f"[{signs}]"


@pytest.mark.parametrize(
    "keys", ["1-9", "up/down", "page", "home", "end", "m", "s", "space", "b", "u", "l/L", "c", "f", "?", "q"]
)
def test_the_keys_are_told_below(keys):
    assert any(f" {keys} " in f" {line} " for line in shown(Values("x"))[-2:])


def test_color_repeats_what_the_words_say(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    values = Values("x", [Row(1, "percussive", meter=Meter(clipped=True))], muted=True)
    assert "\x1b[1;31mCLIP" in "\n".join(shown(values, force_terminal=True))
    monkeypatch.setenv("NO_COLOR", "1")
    text = "\n".join(shown(values, force_terminal=True))
    assert "\x1b[1mCLIP" in text and not any(f"3{color}m" in text for color in range(8))


# Levels and peaks


@pytest.mark.parametrize(
    "value, step, result",
    [
        (0, 1, 1),
        (0, -1, -1),
        (-6, 6, 0),
        (-0.4, 1, 0),
        (-0.4, -1, -1),
        (0.4, -1, 0),
        (-3.4, 1, -2),
        (-3.4, 6, 0),
        (3.4, -6, 0),
        (-8.4, 6, -2),
        (11.5, 1, 12),
        (12, 1, 12),
        (8, 6, 12),
        (-59, -1, -60),
        (-60, -1, -math.inf),
        (-58, -6, -math.inf),
        (-math.inf, -6, -math.inf),
        (-math.inf, 1, -60),
        (-math.inf, 6, -60),
        (-70, 1, -60),
        (-60, 1, -59),
    ],
)
def test_a_step_ends_on_a_whole_decibel_and_never_beyond_unity(value, step, result):
    assert stepped(value, step, 12) == result


def test_a_peak_is_held_for_one_and_a_half_seconds_and_then_falls_by_20_db_in_1_7_seconds():
    hold = Hold()
    assert hold.see(-math.inf, 0) == -math.inf
    assert [hold.see(level, now) for level, now in ((-20, 10), (-6, 11), (-40, 11.1), (-40, 12.5))] == [-20, -6, -6, -6]
    assert hold.see(-40, 14.2) == pytest.approx(-26)
    assert hold.see(-10, 14.3) == -10 and hold.see(-40, 15.7) == -10
    assert hold.see(-30, 30) == -30
    assert hold.see(math.nan, 31) == -30


# The desk at work


class Midi:
    """What the desk sees of `ports.Midi`."""

    def __init__(self):
        self.works, self.problems, self.open_ports, self.activity = True, [], [], ""
        self.learning, self.learn_status, self.done = None, "", []
        self.surfaces, self.undoable = {}, lambda what, back: None

    def learn(self, parameter):
        self.learning, self.learn_status = parameter, f"move a control for {parameter}"
        self.done.append(parameter)

    def cancel(self):
        self.learning, self.learn_status = None, "cancelled"
        self.done.append("cancel")

    def forget(self, what, parameters):
        self.done.append((what, *parameters))
        self.undoable(what, lambda: self.done.append("back"))
        return len(parameters)


class Stand:
    """A desk at a stream that is called by hand."""

    def __init__(self, channels=2, microphone=None, mode="live", learn=(), room=False, templates=None, **options):
        self.stream = Stream(
            Engine(Settings(mode, learn=learn, room=room, templates=templates)),
            "virtual",
            sample_rate=RATE,
            channels=channels,
            microphone=microphone,
        )
        self.parameters, self.changes = self.stream.engine.parameters, []
        self.desk = Desk(self.stream, **options)
        self.parameters.watch(lambda before, by: self.changes.append((set(before), by)))

    def press(self, *keys):
        return [self.desk.press(key) for key in keys][-1]

    def hear(self, sound):
        """Play (samples, channels)."""
        inputs = np.ascontiguousarray(sound[:, : int(self.stream.state.channels[0])], np.float32)
        outputs = np.zeros((len(inputs), int(self.stream.state.channels[1])), np.float32)
        self.stream.callback(inputs, outputs, len(inputs), None, None)

    def values(self, now=0.0):
        return self.desk.values(now)

    def row(self, name, now=0.0):
        return next(found for found in self.values(now).rows if found.name == name)

    def __getitem__(self, id):
        return self.parameters[id].value


@pytest.fixture
def clock(monkeypatch):
    """The time that the desk sees, to be moved."""
    now = [100.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_rows_keep_their_numbers_on_every_stream():
    for channels in (1, 2, 8):
        assert [(found.number, found.name) for found in Stand(channels).values().rows] == [
            (i, name) for i, name in enumerate(NAMES, 1) if name != "microphone"
        ]
    assert [found.name for found in Stand(microphone=True).values().rows] == list(NAMES)


def test_the_pitches_that_sound_are_told_if_the_templates_have_any():
    stand = Stand(channels=1, templates=load(KITS["piano"]))
    assert stand.values().pitches == []
    stand.hear(1e-5 * tune(RATE // 4, RATE, (880,)))  # nobody hears it
    assert stand.values().pitches == []
    stand.hear(tune(RATE // 2, RATE, (880,)))
    assert 81 in stand.values().pitches and len(stand.values().pitches) < 5
    stand.hear(constant(RATE // 2, 0))
    assert stand.values().pitches == []
    for templates in (None, load(KITS["drums"])):
        stand = Stand(channels=1, templates=templates)
        stand.hear(tune(RATE // 4, RATE, (880,)))
        assert stand.values().pitches == ()


def test_digits_and_arrows_choose_a_row():
    stand = Stand()
    assert stand.values().chosen == 1
    chosen = []
    for key in ("3", "right", "right", "right", "right", "right", "left", "7", "9", "0", "6", "right", "left"):
        stand.press(key)
        chosen.append(stand.values().chosen)
    assert chosen == [3, 4, 5, 6, 8, 1, 8, 8, 8, 8, 6, 8, 6]
    assert stand.changes == []
    stand = Stand(microphone=True)
    assert stand.press("7") and stand.values().chosen == 7


@pytest.mark.parametrize("number, name", [*enumerate(NAMES, 1)])
def test_keys_move_the_level_of_the_chosen_row_and_nothing_else(number, name):
    stand = Stand(microphone=True)
    stand.press(str(number))
    levels = []
    for key in ("up", "down", "down", "pagedown", "pageup", "pageup", "pageup", "end", "down", "up", "home"):
        assert stand.press(key)
        levels.append(stand[f"{name}.gain_db"])
    assert levels == [1, 0, -1, -7, -1, 0, 6, -math.inf, -math.inf, -60, 0]
    assert stand.changes == [({f"{name}.gain_db"}, "terminal")] * 10  # the second silence changed nothing
    found = stand.row(name)
    assert found.value == "0.0 dB" and found.position == pytest.approx(100 / 127)


def test_keys_mute_solo_bypass_and_panic():
    stand = Stand(microphone=True)
    for keys, id in (("2m", "melody.mute"), ("5s", "harmonic.solo"), ("7m", "microphone.mute"), ("8m", "output.mute")):
        for value in (1, 0):
            stand.press(*keys)
            assert stand[id] == value
            found = stand.row(id.split(".")[0])
            assert (found.soloed if "solo" in id else found.muted) == (value == 1)
    for key, id in (("b", "bypass"), ("space", "output.mute")):
        for value in (True, False):
            stand.press(key)
            values = stand.values()
            assert (stand[id] == 1) == value == (values.bypass if key == "b" else values.muted)
    assert {by for _, by in stand.changes} == {"terminal"} and len(stand.changes) == 12
    for key in ("7", "8"):
        stand.press(key, "s")
        assert "has no solo" in stand.desk.view().values.message
    assert len(stand.changes) == 12


def test_undo_is_told():
    stand = Stand(history=(history := SimpleNamespace(undo=lambda: ["melody.mute", "bypass"])))
    stand.press("u")
    assert stand.desk.view().values.message == "undone: melody.mute, bypass"
    history.undo = list
    stand.press("u")
    assert stand.desk.view().values.message == "there is nothing to undo"


def test_undo_takes_back_what_a_key_did():
    stand = Stand()
    stand.desk._history = History(stand.parameters)
    stand.press("2", "up", "up", "m", "u")
    assert stand["melody.gain_db"] == 2 and stand["melody.mute"] == 0
    stand.press("u")
    assert stand["melody.gain_db"] == 0


def test_keys_go_through_the_presets_in_both_directions():
    presets = [SimpleNamespace(name=f"p{i}", values={"melody.gain_db": -i, "bypass": i % 2}) for i in (1, 2, 3)]
    stand = Stand(presets=lambda: presets)
    recalled = []
    for key in "pppPPPp":
        stand.press(key)
        recalled.append(-stand["melody.gain_db"])
        assert stand.desk.view().values.message == f"preset p{-stand['melody.gain_db']:.0f}"
    assert recalled == [1, 2, 3, 2, 1, 3, 1]
    assert stand.changes[0] == ({"melody.gain_db", "bypass"}, "preset")
    presets[:] = presets[1:]  # the one that was recalled is deleted
    stand.press("p")
    assert stand["melody.gain_db"] == -2
    stand = Stand(presets=lambda: presets)
    stand.press("P")
    assert stand["melody.gain_db"] == -3


def test_the_presets_are_those_that_come_with_rtsep(monkeypatch, tmp_path):
    monkeypatch.setenv("RTSEP_CONFIG", str(tmp_path))
    stand = Stand()
    stand.press("p")
    assert stand.desk.view().values.message == f"preset {next(iter(PRESETS))}" and stand["melody.gain_db"] == -18


def test_a_preset_that_cannot_be_recalled_is_told_of():
    def fail():
        raise BadInput("p.toml makes no sense")

    for presets in (fail, lambda: [SimpleNamespace(name="p", values={"melody.gain_db": 99})]):
        stand = Stand(presets=presets)
        assert stand.press("p")
        message = stand.desk.view().values.message
        assert "makes no sense" in message or "melody.gain_db is 99" in message
        assert stand.changes == []


def test_learning_is_begun_by_a_key_and_ended_by_the_same_or_escape():
    stand = Stand(midi=(midi := Midi()))
    stand.press("2", "l")
    assert midi.learning == "melody.gain_db" and stand.values().midi == "move a control for melody.gain_db"
    stand.press("l")
    stand.press("L")
    assert midi.learning == "melody.mute"
    stand.press("escape", "escape")
    assert midi.done == ["melody.gain_db", "cancel", "melody.mute", "cancel"]
    assert stand.desk.view().values.message == "nothing was learned"


def test_a_row_of_a_part_that_learns_its_sound_begins_and_ends_by_a_key():
    stand = Stand(learn=("organ",))
    assert [found.name for found in stand.values().rows][:2] == ["organ", "percussive"]
    stand.press("n")
    assert stand["organ.learn"] == 1 and stand.changes == [({"organ.learn"}, "terminal")]
    stand.press("n")
    assert stand["organ.learn"] == 0
    stand.press("2", "n")
    assert len(stand.changes) == 2 and "--learn" in stand.desk.view().values.message


def test_the_room_has_a_row_that_starts_at_silence_and_learns_by_the_same_key():
    stand = Stand(room=True)
    row = next(row for row in stand.values().rows if row.name == "room")
    assert (row.number, row.value, row.meter is None) == (4, "-inf dB", False)
    stand.press("4", "n")
    assert stand["room.learn"] == 1
    stand.press("n")
    assert stand["room.learn"] == 0


def test_what_was_learned_is_told_once(clock):
    stand = Stand(midi=(midi := Midi()))
    stand.press("l")
    stand.values(100)
    midi.learning, midi.learn_status = None, "cc 7 moves percussive.gain_db"
    stand.values(100)
    assert stand.values(102.9).message == "cc 7 moves percussive.gain_db"
    clock[0] = 102.9
    assert stand.values(103).message == ""


def test_a_row_forgets_all_its_controls():
    stand = Stand(midi=(midi := Midi()))
    stand.press("3", "f")
    assert midi.done == [("the harmony", "harmony.gain_db", "harmony.mute", "harmony.solo")]
    assert stand.desk.view().values.message == "3 controls of the harmony forgotten"


def test_what_a_row_has_forgotten_comes_back_by_undo():
    stand = Stand(midi=(midi := Midi()))
    history = History(stand.parameters)
    stand.desk = Desk(stand.stream, history=history, midi=midi)
    stand.press("3", "f")
    assert stand.desk.view().values.message == "3 controls of the harmony forgotten; u brings them back"
    stand.press("u")
    assert midi.done[1:] == ["back"] and stand.desk.view().values.message == "undone: the harmony"
    stand.press("u")
    assert midi.done[2:] == [] and stand.desk.view().values.message == "there is nothing to undo"


def test_a_preset_that_a_controller_recalls_is_named_and_the_keys_go_on_from_it():
    presets = [SimpleNamespace(name=f"p{i}", values={"melody.gain_db": -i}) for i in (1, 2, 3)]
    stand = Stand(midi=(midi := Midi()), presets=lambda: presets)
    midi.recalled("p2")
    assert stand.desk.view().values.message == "preset p2"
    stand.press("p")
    assert stand["melody.gain_db"] == -3 and stand.desk.view().values.message == "preset p3"


def test_without_midi_nothing_is_learned_or_forgotten():
    stand = Stand()
    for key, words in (("l", "there is no MIDI"), ("L", "there is no MIDI"), ("f", "0 controls")):
        assert stand.press(key) and words in stand.desk.view().values.message
    assert stand.press("escape") and stand.values().midi == "off"
    stand = Stand(midi=(midi := Midi()))
    midi.works = False
    assert stand.press("l") and "there is no MIDI" in stand.desk.view().values.message and midi.done == []


def test_what_midi_does_is_shown():
    stand = Stand(midi=(midi := Midi()))
    assert stand.values().midi == "no controller" and stand.values().problem == ""
    midi.open_ports, midi.activity, midi.problems = ["nano", "mix"], "nano cc 7 = 64", ["first", "second"]
    assert stand.values().midi == "nano, mix | nano cc 7 = 64" and stand.values().problem == "second"
    bindings = [SimpleNamespace(parameter="melody.gain_db", control="cc 1"), SimpleNamespace(parameter="x", control="")]
    midi.surfaces["nano"] = SimpleNamespace(bindings=bindings, ghosts=lambda: {"melody.gain_db": 0.25})
    midi.surfaces["mix"] = SimpleNamespace(bindings=[], ghosts=lambda: {"output.gain_db": 0.0})
    assert (stand.row("melody").control, stand.row("melody").ghost) == ("cc 1", 0.25)
    assert stand.row("output").ghost == 0 and stand.row("harmony").ghost is None and stand.row("harmony").control == ""


def test_a_message_stands_for_three_seconds(clock):
    stand = Stand()
    stand.desk.say("look")
    assert stand.values(102.9).message == "look" and stand.values(103).message == ""


def test_the_help_names_every_key_that_does_something_and_all_that_the_rows_do_not_show():
    stand = Stand()
    stand.press("?")
    text = " ".join(shown(stand.values()))
    for key in ("1 to 9", "left, right", "up, down", "page up, down", "home", "end", "m, s", "space", "escape"):
        assert f" {key}  " in text
    for key in ("b", "u", "p, P", "l, L", "f", "c", "q", "?"):
        assert f" {key} " in text
    for id, parameter in PARAMETERS.items():
        faders = any(id.startswith(f"{name}.") for name in NAMES) and id.endswith(("gain_db", "mute", "solo"))
        assert faders or f"{id:23} {parameter.format(stand[id])}" in text, id
    assert "percussive  " not in text
    stand.press("b", "?")
    assert "1 percussive" in "\n".join(shown(stand.values())) and stand["bypass"] == 1
    stand.press("?", "escape")
    assert stand.values().parameters == ()


def test_q_ends_and_no_other_key_does():
    stand = Stand(midi=Midi(), presets=lambda: [SimpleNamespace(name="p", values={})])
    for code in range(33, 127):
        assert stand.press(chr(code)) == (chr(code) != "q")
    for key in ("space", "enter", "escape", "up", "home", "é", "²", "٣"):
        assert stand.press(key)


def test_levels_are_those_behind_the_faders():
    stand = Stand(microphone=True)
    changes = {"harmony.gain_db": -20, "microphone.gain_db": -6, "melody.mute": 1, "microphone.reverb_db": -math.inf}
    stand.parameters.update({**changes, "microphone.gate_db": -math.inf})
    sound = np.repeat(tune(RATE // 2, RATE, (440,), 0.5) * 2, 3, axis=1)
    sound[:, 2] *= 0.5
    stand.hear(sound)
    meters, values = stand.stream.engine.meters, stand.values()
    rows = {found.name: found.meter for found in values.rows}
    assert values.input.level_db == pytest.approx(20 * math.log10(meters.input[0]))
    assert values.input.hold_db == values.input.level_db and not values.input.clipped
    assert values.output.level_db == rows["output"].level_db == pytest.approx(20 * math.log10(meters.output[0]))
    assert rows["harmony"].level_db == pytest.approx(20 * math.log10(meters.stems[2]) - 20, abs=0.01)
    assert rows["melody"].level_db == -math.inf
    voice = 20 * math.log10(stand.stream.engine.state.microphone.level[0])
    assert rows["microphone"].level_db == pytest.approx(voice - 6, abs=0.01)
    assert rows["harmonic"] is None and rows["accompaniment"] is None
    assert values.f0_hz == meters.f0[0] > 0 and values.latency_ms == pytest.approx(5.33, abs=0.01)


def test_a_clip_stays_until_it_is_cleared():
    stand = Stand(1)
    quiet, loud = constant(480, 0.1), constant(480, 1.0)
    stand.hear(quiet)
    assert not stand.values().input.clipped
    stand.hear(loud)
    stand.hear(quiet)
    for _ in range(2):
        assert stand.values().input.clipped and stand.values().output.clipped and stand.row("output").meter.clipped
    stand.press("c")
    values = stand.values()
    assert not values.input.clipped and not values.output.clipped
    assert not any(found.meter.clipped for found in values.rows if found.meter)
    stand.press("8", "end")
    stand.hear(loud)
    stand.press("c")
    stand.hear(loud)  # by now nothing comes out
    assert stand.values().input.clipped and not stand.values().output.clipped
    before = [found.name for found in stand.values().rows if found.meter and found.meter.clipped]
    stand.stream.engine.meters.over[2 + 2] += 1
    after = [found.name for found in stand.values().rows if found.meter and found.meter.clipped]
    assert "harmony" in after and set(after) - set(before) <= {"harmony"}


def test_the_limiter_is_told_while_it_works():
    stand = Stand(1)
    stand.parameters["limiter"] = 1
    stand.hear(constant(4800, 0.5))
    assert not stand.values().limiting
    stand.hear(constant(4800, 1.5))
    assert stand.values().limiting


def test_what_the_device_does_is_told():
    stand = Stand()
    assert stand.values().gone and stand.values().xruns == 0  # this one is called by hand
    stand.stream._running[0] = 1
    assert not stand.values().gone
    inputs, outputs = constant(480, 0, 2), constant(480, 0, 2)
    stand.stream.callback(inputs, outputs, 480, None, SimpleNamespace(_flags=4))
    assert stand.values().xruns == 1 and stand.values().load_worst >= stand.values().load_median > 0


def test_the_song_is_told_of():
    stream = Stream(Engine(), "virtual", sample_rate=RATE, source=constant(2 * RATE, 0.1))
    try:
        stream.player.seek(1.5)
        assert Desk(stream).values(0).song == (True, 1.5, 2)
    finally:
        stream.close()
    assert Stand().values().song is None


# The whole in a terminal


CHILD = """
import signal, sys
from rtsep import Engine, Settings
from rtsep.live.desk import Desk
from rtsep.live.history import History
from rtsep.live.keyboard import keys
from rtsep.live.stream import open_stream
from rtsep.live.terminal import watch
from rtsep.streams import tell
from rtsep.offline.files import song, sum_of
signal.signal(signal.SIGTERM, signal.default_int_handler)
engine = Engine(Settings("live"))
source = sum_of(song(48_000))
with open_stream(engine, "virtual", sample_rate=48_000, source=source, loop=True) as stream, keys() as pressed:
    desk = Desk(stream, history=History(engine.parameters))
    def tick(elapsed):
        got = pressed()
        if "x" in got:
            tell("a message")
        if "X" in got:
            raise RuntimeError("broken")
        return all([desk.press(key) for key in got])
    watch(stream, seconds=60, tick=tick, view=None if "plain" in sys.argv else desk.view)
print("the end", file=sys.stderr)
"""


@pytest.fixture
def run(monkeypatch):
    """Starts the program above in a terminal; gives both."""
    pytest.importorskip("pty", reason="pseudo terminals are a matter of POSIX")
    pytest.importorskip("pyte")
    from screen import Terminal

    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)

    def start(*arguments, **environment):
        terminal = Terminal()
        environment = {**os.environ, "TERM": "xterm", **environment}
        ends = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.program)
        process = subprocess.Popen([sys.executable, "-c", CHILD, *arguments], env=environment, **ends)
        started.append((terminal, process))
        return terminal, process

    started = []
    yield start
    for terminal, process in started:
        process.kill()
        process.wait()
        terminal.close()


def test_in_a_terminal_the_picture_stands_and_obeys(run):
    terminal, process = run()
    lines = terminal.wait("q quit")
    assert lines[0].startswith("mode live on 'virtual', 2 channels at 48000 Hz")
    assert (
        "GONE" not in "".join(lines)
        and lines[3].startswith(">1 percussive")
        and lines[1].startswith("playing")
        and not terminal.cursor_shown
    )
    terminal.press("2\x1b[B\x1b[Bm")
    assert ">2 melody" in (line := next(x for x in terminal.wait("-2.0 dB M") if "melody  " in x)) and "●" in line
    terminal.press("u")
    terminal.wait("undone: melody.mute")
    terminal.wait("-2.0 dB .")
    for key, words in (
        ("\x1b[F", "-inf dB ."),
        ("\x1b[5~", "-60.0 dB ."),
        ("\x1b[5~", "-54.0 dB ."),
        ("\x1b[6~", "-60.0 dB ."),
        ("\x1b[H\x1b[A", " 1.0 dB ."),
    ):
        terminal.press(key)
        assert ">2 melody" in next(line for line in terminal.wait(words) if words in line)
    terminal.press(" ")
    terminal.wait("MUTED (space ends it)")
    terminal.press(" ")
    terminal.wait("MUTED", there=False)
    terminal.wait("##")
    terminal.press("?")
    terminal.wait("hpss.exponent")
    terminal.press("?x")
    assert "rtsep: a message" in terminal.wait("a message")
    terminal.resize(60, 12)
    terminal.wait("xruns", there=False)
    assert all(len(line) < 60 for line in terminal.wait(">2 melody"))
    terminal.resize(80, 24)
    assert len(terminal.wait("q quit")) == 24
    terminal.press("q")
    assert process.wait(20) == 0
    lines = terminal.lines
    assert "rtsep: a message" in lines and "the end" in lines
    assert "percussive" not in "".join(lines) and terminal.cursor_shown and terminal.echoes


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, None])
def test_however_it_ends_the_terminal_is_sane(run, number):
    terminal, process = run(NO_COLOR="1")
    terminal.wait("q quit")
    assert not terminal.echoes
    if number:
        process.send_signal(number)
    else:
        terminal.press("X")
    assert (process.wait(20) == 0) == (number is not None)
    lines = terminal.lines
    assert terminal.cursor_shown and terminal.echoes and "percussive" not in "".join(lines)
    assert ("the end" in lines) == (number is not None) and ("RuntimeError: broken" in lines) == (number is None)
    assert not any(b"3%dm" % color in terminal.written for color in range(8))


def test_without_a_view_one_line_is_redrawn(run):
    terminal, process = run("plain")
    terminal.wait("percussive")
    terminal.press("x")
    terminal.wait("a message")
    lines = [line for line in terminal.wait("percussive") if line]
    assert lines[0] == "rtsep: a message" and lines[1].startswith("in ") and len(lines) == 2
    terminal.press("q")
    assert process.wait(20) == 0
    assert [line for line in terminal.lines if line] == ["rtsep: a message", "the end"]
