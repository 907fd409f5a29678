"""Bindings: positions become the right values, takeover never tears one, and controllers are told what is so."""

import math
import tomllib
from itertools import pairwise

import numpy as np
import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from rtsep.errors import BadInput
from rtsep.live.bindings import (
    FORMAT,
    KINDS,
    TAKEOVERS,
    Binding,
    default_bindings,
    document,
    load,
)
from rtsep.live.messages import Control, Message, Parser
from rtsep.live.surface import Surface
from rtsep.parameters import PARAMETERS, Parameters

FADER, PAN, MUTE, KEY = "percussive.gain_db", "melody.pan", "percussive.mute", "key.semitones"


class Rig:
    """A controller with bindings, whose messages the test sends and whose feedback it reads."""

    def __init__(self, *bindings, feedback=True, channel=None):
        self.parameters = Parameters(np.zeros(len(PARAMETERS), np.float32))
        self.recalled, self.told, self.now = [], [], 0.0
        self.surface = Surface(
            self.parameters,
            "a controller",
            bindings,
            feedback=feedback,
            channel=channel,
            recall=lambda bank, program: self.recalled.append((bank, program)),
        )
        self.parameters.watch(lambda before, by: self.told.append((dict(before), by)))

    def __getitem__(self, id):
        return self.parameters[id].value

    def __setitem__(self, id, value):
        self.parameters[id] = value

    def cc(self, number, *values, channel=1):
        self.send(*(Message(Control("cc", channel, number), value, 7) for value in values))

    def note(self, number, *values):
        self.send(*(Message(Control("note", 1, number), value, 7) for value in values))

    def send(self, *messages):
        for message in messages:
            self.surface.receive(message, self.now)

    def feedback(self, wait=1.0):
        """What is sent to the controller after so many seconds, as (text, channel, value)."""
        self.now += wait
        messages = [each for sent in self.surface.feedback(self.now) for each in Parser().feed(sent)]
        return [(each.control.text, each.control.channel, each.value) for each in messages]


def positions(id, *values):
    """Values of a parameter as positions."""
    return [PARAMETERS[id].to_normalized(value) for value in values]


# Bindings


EXAMPLES = (
    Binding("cc 7", FADER),
    Binding("cc 7", FADER, channel=16, low=-math.inf, high=0.0, takeover="scale"),
    Binding("cc 31", PAN, bits=14, invert=True, takeover="jump"),
    Binding("cc 40", KEY, kind="signed-reversed"),
    Binding("note 36", MUTE, kind="toggle", on=60, off=12),
    Binding("nrpn 16383", "melody.low_hz", low=100.0, high=200.0),
    Binding("bend", PAN, kind="momentary"),
    Binding("rpn 0", "drums.of_tomorrow", low=-1000.0, unknown={"curve": "s", "unknown": 1}),
)


@pytest.mark.parametrize("binding", EXAMPLES, ids=str)
def test_a_binding_comes_back_from_a_toml_file(binding):
    assert Binding.from_table(binding.table()) == binding
    text = tomlkit.dumps(document([binding], False))
    assert load(tomllib.loads(text)) == ([binding], False)
    assert load(tomlkit.parse(text)) == ([binding], False)


def test_a_file_says_only_what_is_not_as_usual():
    assert Binding("cc 7", FADER).table() == {"control": "cc 7", "parameter": FADER}
    assert Binding(" CC  7", FADER, low=-6, high=0).table() == {
        "control": "cc 7",
        "parameter": FADER,
        "low": -6,
        "high": 0,
    }
    assert document([], True) == {"format": FORMAT, "feedback": True, "binding": []}
    assert load({}) == ([], False) and load({"feedback": True}) == ([], True)


@pytest.mark.parametrize(
    "wrong, sentence",
    (
        ({"control": "knob 3"}, "knob 3"),
        ({"control": 7}, "control is 7: it must be a text in quotes"),
        ({"control": None}, "control is missing"),
        ({"parameter": None}, "parameter is missing"),
        ({"channel": 0}, "channel is 0: it must be between 1 and 16"),
        ({"channel": 17}, "channel is 17"),
        ({"channel": "1"}, "channel is '1': it must be a whole number"),
        ({"channel": True}, "channel is True: it must be a whole number"),
        ({"kind": "togle"}, "unknown kind 'togle': did you mean 'toggle'"),
        ({"takeover": "pickup"}, "unknown takeover 'pickup': did you mean 'pick-up'"),
        ({"bits": 8}, "bits is 8: it must be 7, or 14"),
        ({"bits": 14, "control": "cc 32"}, "bits is 14 for cc 32, absolute: only"),
        ({"bits": 14, "control": "note 3"}, "bits is 14 for note 3"),
        ({"bits": 14, "kind": "offset"}, "bits is 14 for cc 7, offset"),
        ({"kind": "offset", "control": "note 36"}, "kind is 'offset' for note 36: only a cc"),
        ({"on": 128}, "on is 128: it must be between 0 and 127"),
        ({"off": -1}, "off is -1"),
        ({"invert": 1}, "invert is 1: it must be true or false"),
        ({"low": "-6 dB"}, "low is '-6 dB': it must be a number"),
        ({"low": 13.0}, "low of percussive.gain_db is 13: it must be a number between -inf and 12 dB"),
        ({"high": math.nan}, "high of percussive.gain_db is nan"),
        ({"low": 0, "high": -6}, "low is 0.0 dB and high is -6.0 dB: high must lie above low; invert"),
        ({"low": -70, "high": -65}, "high must lie above low"),  # one and the same place of a fader
    ),
)
def test_nonsense_is_refused_with_a_sentence_that_names_the_entry(wrong, sentence):
    table = {"control": "cc 7", "parameter": FADER} | wrong
    table = {name: value for name, value in table.items() if value is not None}
    with pytest.raises(BadInput) as raised:
        load({"binding": [{"control": "cc 1", "parameter": MUTE}, table]})
    assert str(raised.value).startswith(f"binding 2 ({table.get('control', 'no control')}): ")
    assert sentence in str(raised.value) and str(raised.value).endswith((".", "?"))


@pytest.mark.parametrize("wrong", ({"feedback": "yes"}, {"binding": {"control": "cc 7"}}, {"binding": [7]}))
def test_a_document_of_another_form_is_refused(wrong):
    (name,) = wrong
    with pytest.raises(BadInput, match=f"^{name} is .*must be"):
        load(wrong)


@pytest.mark.parametrize(
    "binding, line",
    (
        (Binding("cc 7", FADER), "cc 7: percussive.gain_db, -inf dB to 12.0 dB"),
        (
            Binding("cc 7", MUTE, channel=2, kind="toggle", invert=True),
            "cc 7 on channel 2: percussive.mute, toggle, inverted",
        ),
        (
            Binding("cc 7", FADER, low=-20, high=0, bits=14, takeover="jump"),
            "cc 7: percussive.gain_db, -20.0 dB to 0.0 dB, 14 bits, jump",
        ),
        (Binding("bend", "drums.of_tomorrow"), "bend: drums.of_tomorrow"),
    ),
)
def test_a_binding_reads_in_one_line(binding, line):
    assert str(binding) == line


def test_the_map_for_any_controller_moves_each_fader_and_each_mute_once():
    rig = Rig(*default_bindings())
    names = ("percussive", "melody", "harmony", "residual", "harmonic", "accompaniment", "microphone", "output")
    for number, name in enumerate(names):
        rig.cc(1 + number, 99, 110)
        rig.cc(16 + number, 127, 0)
        assert rig[f"{name}.gain_db"] == pytest.approx(12 * 10 / 27) and rig[f"{name}.mute"] == 1
    assert len(rig.surface.bindings) == 16 and rig.surface.conflicts == [] == rig.surface.problems


@pytest.mark.parametrize("presses", (((127, 0), (127, 0)), ((127,), (0,), (127,))), ids=("momentary", "latching"))
def test_the_mutes_of_that_map_can_be_left_on_and_off_by_either_kind_of_button(presses):
    rig = Rig(*default_bindings())
    for press in presses:
        before = rig["percussive.mute"]
        rig.cc(16, *press)
        assert rig["percussive.mute"] == (before if press == (0,) else 1 - before)


# Positions and values


@pytest.mark.parametrize(
    "id, table",
    (
        (FADER, {0: -math.inf, 1: -59.4, 50: -30, 99: -0.6, 100: 0, 109: 4, 127: 12}),
        (PAN, {0: -1, 127: 1, 64: 1 / 127}),
        (KEY, {0: -12, 2: -12, 3: -11, 64: 0, 127: 12}),
        ("melody.low_hz", {0: 55, 127: 1760, 1: 55 + 1705 / 127}),
        (MUTE, {0: 0, 63: 0, 64: 1, 127: 1}),
        ("hpss.mask", {0: 0, 63: 0, 64: 1, 127: 1}),
        ("limiter.ceiling_db", {0: -24, 127: 0, 100: -24 * 27 / 127}),
        ("microphone.gate_db", {0: -math.inf, 127: 0, 126: -60 / 127}),
    ),
)
def test_a_position_becomes_the_value_of_the_parameters_law(id, table):
    rig = Rig(Binding("cc 7", id, takeover="jump"))
    for position, value in table.items():
        rig.cc(7, position)
        assert rig[id] == (pytest.approx(value) if value else 0), position
    assert {by for _, by in rig.told} == {"midi"}


def test_the_detent_is_exactly_0_db_for_half_a_step_of_a_knob_to_either_side():
    rig = Rig(Binding("bend", FADER, takeover="jump"))
    unity, half = 100 / 127 * 16383, 16383 / 127 / 2
    at_unity = []
    for value in range(12800, 13000):
        rig.send(Message(Control("bend", 1, 0), value, 14))
        at_unity.append(rig[FADER] == 0)
        assert abs(rig[FADER]) < 1
    assert at_unity == [abs(value - unity) <= half for value in range(12800, 13000)]
    assert 128 <= sum(at_unity) <= 130


def test_the_ends_of_a_binding_are_exact_and_in_the_parameters_unit():
    for invert in (False, True):
        rig = Rig(Binding("cc 7", FADER, low=-20.1, high=6.3, invert=invert, takeover="jump"))
        rig.cc(7, 127 if invert else 0)
        assert rig[FADER] == -20.1
        rig.cc(7, 0 if invert else 127)
        assert rig[FADER] == 6.3
    rig = Rig(Binding("cc 7", FADER, low=-20, high=0, takeover="jump"))
    for position in range(128):
        rig.cc(7, position)
        assert rig[FADER] == (pytest.approx(-20 + 20 * position / 127) if position < 127 else 0) and rig[FADER] <= 0


def test_a_detent_never_leads_beyond_the_ends():
    rig = Rig(Binding("bend", FADER, low=-20, high=-0.05, takeover="jump"))
    for value in range(16200, 16384):
        rig.send(Message(Control("bend", 1, 0), value, 14))
        assert rig[FADER] <= -0.05


def test_nrpn_rpn_and_notes_move_by_their_own_bits():
    rig = Rig(*(Binding(control, PAN, takeover="jump") for control in ("nrpn 300", "rpn 2", "note 4", "bend")))
    for control, value, bits in ((("nrpn", 300), 127, 7), (("rpn", 2), 0, 7), (("nrpn", 300), 16383, 14)):
        rig[PAN] = 0
        rig.send(Message(Control(control[0], 1, control[1]), value, bits))
        assert rig[PAN] == (1 if value else -1)
    rig.note(4, 0)
    assert rig[PAN] == -1
    rig.send(Message(Control("bend", 1, 0), 8192, 14))
    assert rig[PAN] == pytest.approx(0, abs=1e-4)


def test_a_pair_of_14_bits_sweeps_without_turning_back():
    rig = Rig(Binding("cc 7", PAN, bits=14, takeover="jump"))
    heard = []
    for value in (*range(0, 16384, 37), 16383):
        for number, half in ((7, value >> 7), (39, value & 127)):
            rig.cc(number, half)
            heard.append(rig[PAN])
        if value > 37:
            assert heard[-1] == pytest.approx(2 * value / 16383 - 1)
    assert all(before <= after for before, after in pairwise(heard)) and heard[-1] == 1
    down = []
    for value in range(16383, -1, -37):
        for number, half in ((7, value >> 7), (39, value & 127)):
            rig.cc(number, half)
            down.append(rig[PAN])
    assert all(before >= after for before, after in pairwise(down)) and len(set(down)) > 440


@pytest.mark.parametrize("takeover", TAKEOVERS)
@pytest.mark.parametrize("order", ((7, 39), (39, 7)), ids=("coarse first", "fine first"))
def test_a_pair_of_14_bits_reaches_both_ends_and_never_turns_back_whatever_half_comes_first(order, takeover):
    rig = Rig(Binding("cc 7", PAN, bits=14, takeover=takeover))
    heard = []
    for value in (*range(8192, 16384, 37), 16383, *range(16383, 0, -37), 0):
        rig.now += 0.01
        for number in order:
            rig.cc(number, value >> 7 if number == 7 else value & 127)
            rig.now += 0.001
        heard.append(rig[PAN])
        assert heard[-1] == pytest.approx(2 * value / 16383 - 1, abs=1e-3)
    top = heard.index(1)
    assert heard[: top + 1] == sorted(heard[: top + 1]) and heard[top:] == sorted(heard[top:], reverse=True)
    assert heard[-1] == -1


def test_a_fine_half_that_waits_for_the_coarse_one_moves_nothing():
    rig = Rig(Binding("nrpn 5", PAN, takeover="jump"), Binding("cc 7", FADER, bits=14, takeover="jump"))
    parser = Parser()
    for data in ("B0 63 00 62 05 26 7F", "B0 27 7F"):
        rig.send(*parser.feed(bytes.fromhex(data)))
    assert rig.told == []
    rig.send(*parser.feed(bytes.fromhex("B0 06 7F 07 7F")))
    assert (rig[PAN], rig[FADER]) == (1, 12)
    rig.send(*parser.feed(bytes.fromhex("B0 61 00 26 00 06 00")))  # a step, and the other end
    assert rig[PAN] == -1


def test_the_upper_half_of_a_pair_works_alone_and_the_lower_one_does_not():
    rig = Rig(Binding("cc 7", PAN, bits=14, takeover="jump"))
    rig.cc(7, 127)
    assert rig[PAN] == 1
    rig.cc(7, 0)
    assert rig[PAN] == -1
    rig = Rig(Binding("cc 7", PAN, bits=14, takeover="jump"))
    rig.cc(39, 0, 100, 127)
    assert rig.told == []


def test_a_control_is_not_taken_for_another_kind_or_for_a_lower_half():
    rig = Rig(Binding("cc 7", FADER, takeover="jump"))
    rig.note(7, 127)
    rig.cc(39, 127)
    assert rig.told == []


def test_cc_0_and_32_are_controls_where_they_are_bound():
    rig = Rig(Binding("cc 0", FADER, takeover="jump"), Binding("cc 32", MUTE, kind="toggle"))
    rig.cc(0, 127)
    rig.cc(32, 127)
    assert rig[FADER] == 12 and rig[MUTE] == 1


def test_nothing_is_told_where_nothing_changes():
    rig = Rig(Binding("cc 7", FADER, takeover="jump"), Binding("cc 8", KEY, takeover="jump"))
    rig.cc(7, 100, 100, 100)
    rig.cc(8, 63, 64, 65)
    assert rig.told == []
    rig.cc(7, 99)
    assert rig.told == [({FADER: 0}, "midi")]


# Buttons


def test_each_press_of_a_toggle_changes_between_its_ends():
    rig = Rig(Binding("note 36", MUTE, kind="toggle"), Binding("cc 9", FADER, kind="toggle", low=-12, high=0))
    states = []
    for value in (100, 0, 100, 0, 1, 2, 3, 0, 127):
        rig.note(36, value)
        states.append(rig[MUTE])
    assert states == [1, 1, 0, 0, 1, 1, 1, 1, 0]
    rig[FADER] = -6
    faders = []
    for value in (127, 0, 127, 0, 127):
        rig.cc(9, value)
        faders.append(rig[FADER])
    assert faders == [0, 0, -12, -12, 0]


def test_a_pedal_that_never_sends_a_release_toggles_too():
    rig = Rig(Binding("cc 9", MUTE, kind="toggle"))
    states = []
    for pause in (1, 1, 0.02, 0.15):  # the third is no press, but bounces
        rig.now += pause
        rig.surface.receive(Message(Control("cc", 1, 9), 127, 7), rig.now)
        states.append(rig[MUTE])
    assert states == [1, 0, 0, 1]


def test_a_toggle_turns_off_what_somebody_else_turned_on():
    rig = Rig(Binding("note 36", MUTE, kind="toggle"))
    rig[MUTE] = "on"
    rig.note(36, 127, 0)
    assert rig[MUTE] == 0


@pytest.mark.parametrize("invert", (False, True))
def test_a_momentary_button_works_while_it_is_held(invert):
    rig = Rig(Binding("note 36", MUTE, kind="momentary", invert=invert))
    for value, state in ((127, 1), (0, 0), (1, 1), (0, 0)):
        rig.note(36, value)
        assert rig[MUTE] == (state != invert)


# Relative encoders

UP_DOWN = {
    "signed": ((1, 64), (65, 127)),
    "signed-reversed": ((65, 127), (1, 64)),
    "offset": ((65, 127), (63, 0)),
    "twos-complement": ((1, 64), (127, 65)),
}
"""First and last value up, and down, as in the table of Ableton's manual."""


def steps(kind, value):
    """What `value` means, counted from the first value of its direction."""
    for way, (first, last) in zip((1, -1), UP_DOWN[kind], strict=True):
        values = list(range(first, last + 1)) if first < last else list(range(first, last - 1, -1))
        if value in values:
            return way * (values.index(value) + 1)
    return 0


@pytest.mark.parametrize("invert", (False, True))
@pytest.mark.parametrize("kind", UP_DOWN)
def test_an_encoder_goes_as_many_steps_as_its_coding_says(kind, invert):
    rig = Rig(Binding("cc 7", PAN, kind=kind, invert=invert))
    for value in range(128):
        rig[PAN] = 0
        rig.cc(7, value)
        count = -steps(kind, value) if invert else steps(kind, value)
        assert rig[PAN] == pytest.approx(min(max(2 * count / 127, -1), 1)), value


def test_an_encoder_steps_in_the_parameters_own_steps_and_stays_within_the_ends():
    rig = Rig(Binding("cc 7", KEY, kind="offset", low=-3, high=2), Binding("cc 8", MUTE, kind="offset"))
    keys = []
    for value in (65, 65, 65, 63, 61, 61, 127):
        rig.cc(7, value)
        keys.append(rig[KEY])
    assert keys == [1, 2, 2, 1, -2, -3, 2]
    rig.cc(8, 66)
    assert rig[MUTE] == 1
    rig.cc(8, 63)
    assert rig[MUTE] == 0


def test_an_encoder_goes_the_way_of_a_fader_in_127_steps_and_meets_0_db():
    rig = Rig(Binding("cc 7", FADER, kind="offset"))
    rig[FADER] = -math.inf
    way = []
    for _ in range(130):
        rig.cc(7, 65)
        way.append(rig[FADER])
    assert way[0] == pytest.approx(-59.4) and way[99] == 0 and way[126] == 12
    assert way == sorted(way) and len(set(way)) == 127
    for _ in range(130):
        rig.cc(7, 63)
        way.append(rig[FADER])
    assert way[130 + 26] == 0 and way[130 + 126] == -math.inf and way[130 + 125] > -60


@pytest.mark.parametrize("start, value", ((-0.4, 65), (-3, 100), (0.5, 63), (11, 20)))
def test_a_step_across_0_db_lands_on_it(start, value):
    rig = Rig(Binding("cc 7", FADER, kind="offset"))
    rig[FADER] = start
    rig.cc(7, value)
    assert rig[FADER] == 0
    rig.cc(7, value)
    assert rig[FADER] * start < 0


def test_an_encoder_that_does_not_turn_changes_nothing():
    rig = Rig(Binding("cc 7", FADER, kind="offset"))
    rig[FADER] = -70
    rig.told.clear()
    rig.cc(7, 64)
    assert rig.told == []


@pytest.mark.parametrize("kind", ("absolute", "toggle", "momentary"))
def test_increments_and_decrements_are_steps_whatever_the_binding(kind):
    rig = Rig(Binding("nrpn 5", KEY, kind=kind), Binding("nrpn 5", MUTE, kind=kind))
    for step in (1, 1, 1, -1):
        rig.send(Message(Control("nrpn", 1, 5), step, 0))
    assert rig[KEY] == 2 and rig[MUTE] == 0


# Takeover: the parameter is a pan, so that a value is 2 * position / 127 - 1


def moves(takeover, start, script, **options):
    """Where (in 127ths) a pan goes that starts at `start`: a number is the control's, ("set", x) somebody else's."""
    rig = Rig(Binding("cc 7", PAN, takeover=takeover, **options))
    rig[PAN] = 2 * start / 127 - 1
    places = []
    for move in script:
        if isinstance(move, tuple):
            rig[PAN] = 2 * move[1] / 127 - 1
        else:
            rig.cc(7, move)
        places.append(round((rig[PAN] + 1) / 2 * 127, 6))
    return places


@pytest.mark.parametrize(
    "start, script, expected",
    (
        (60, (10, 30, 58, 59, 70, 10), (60, 60, 60, 59, 70, 10)),  # caught where it is within a step
        (60, (10, 90, 95), (60, 90, 95)),  # in passing, up
        (60, (90, 10, 5), (60, 10, 5)),  # and down
        (60, (61, 62), (61, 62)),
        (60, (62, 63, 64), (60, 60, 60)),  # away from it
        (60, (60, 80, ("set", 30), 81, 82, 31, 32), (60, 80, 30, 30, 30, 31, 32)),  # lost to somebody else
        (60, (60, 80, ("set", 90), 70, 85, 95), (60, 80, 90, 90, 90, 95)),
        (60, (60, ("set", 90), 75, ("set", 60), 76, 77), (60, 90, 90, 60, 60, 60)),  # back, but the hand is elsewhere
        (0, (0, 5), (0, 5)),
        (127, (100, 126, 127), (127, 126, 127)),
    ),
)
def test_pick_up_waits_until_the_control_is_where_the_value_is_or_passes_it(start, script, expected):
    assert moves("pick-up", start, script) == list(expected)


def test_jump_follows_at_once():
    assert moves("jump", 60, (10, ("set", 90), 11)) == [10, 90, 11]


@pytest.mark.parametrize(
    "start, script, expected",
    (
        (60, (27, 27), (60, 60)),  # nothing is known before the first move
        (63.5, (27, 77, 127), (63.5, 95.25, 127)),  # half of the way left, then all of it: together at the top
        (63.5, (100, 50, 0), (63.5, 31.75, 0)),  # and at the bottom
        (30, (90, 100, 127), (30, 30 + 97 * 10 / 37, 127)),
        (60, (60, 70, 20), (60, 70, 20)),  # together from the start
        (63.5, (127, 0, 80), (63.5, 0, 80)),  # together since the end
        (63.5, (27, 77, ("set", 31.75), 127), (63.5, 95.25, 31.75, 127)),
        (63.5, (0, 32, 127, 0), (63.5, 79.5, 127, 0)),
    ),
)
def test_scaling_uses_up_the_way_of_both_in_proportion_so_that_they_meet_at_the_ends(start, script, expected):
    assert moves("scale", start, script) == pytest.approx(list(expected))


def test_scaling_moves_a_stepped_value_too_and_ends_exactly():
    rig = Rig(Binding("cc 7", KEY, takeover="scale"), Binding("cc 8", FADER, takeover="scale"))
    rig.cc(7, 60)
    rig.cc(8, 60)
    keys, faders = [], []
    for position in range(61, 128):
        rig.cc(7, position)
        rig.cc(8, position)
        keys.append(rig[KEY])
        faders.append(rig[FADER])
    assert keys == pytest.approx([12 * (k + 1) / 67 for k in range(67)], abs=0.51)
    assert faders == sorted(faders) and faders[-1] == 12
    rig.cc(8, *range(126, -1, -1))
    assert rig[FADER] == -math.inf


@pytest.mark.parametrize("takeover", TAKEOVERS)
def test_switches_and_choices_need_no_takeover(takeover):
    rig = Rig(Binding("cc 7", MUTE, takeover=takeover), Binding("cc 8", "hpss.mask", takeover=takeover))
    rig.cc(7, 127)
    rig.cc(8, 127)
    assert rig[MUTE] == rig["hpss.mask"] == 1
    rig[MUTE] = 0
    rig.cc(7, 127)
    assert rig[MUTE] == 1


def test_a_value_beyond_the_ends_is_picked_up_at_the_nearer_one():
    assert moves("pick-up", 120, (50, 90, 99, 100, 127, 60), low=-0.5, high=0.5)[:2] == [120, 120]
    places = moves("pick-up", 120, (50, 126, 60), low=-0.5, high=0.5)
    assert places == pytest.approx([120, 31.75 + 63.5 * 126 / 127, 31.75 + 63.5 * 60 / 127])


# Several controls, several parameters, channels


def test_two_controls_of_one_parameter_take_it_from_each_other_only_by_picking_it_up():
    rig = Rig(Binding("cc 7", PAN), Binding("cc 8", PAN))
    rig.cc(7, 63, 20)
    rig.cc(8, 10, 100)  # passes it on the way up
    assert rig[PAN] == pytest.approx(2 * 100 / 127 - 1)
    rig.cc(7, 21, 22)
    assert rig[PAN] == pytest.approx(2 * 100 / 127 - 1)


def test_one_control_moves_two_parameters():
    rig = Rig(Binding("cc 7", FADER, takeover="jump"), Binding("cc 7", PAN, takeover="jump", invert=True))
    rig.cc(7, 127)
    assert (rig[FADER], rig[PAN]) == (12, -1)


def test_channels_are_told_apart_and_filtered():
    rig = Rig(Binding("cc 7", FADER, channel=2, takeover="jump"), Binding("cc 8", PAN, takeover="jump"))
    rig.cc(7, 127)
    assert rig.told == []
    rig.cc(7, 127, channel=2)
    rig.cc(8, 127, channel=9)
    assert rig[FADER] == 12 and rig[PAN] == 1
    deaf = Rig(Binding("cc 8", PAN, takeover="jump"), channel=3)
    deaf.cc(8, 127)
    deaf.send(Message(Control("mode", 1, 120), 0, 7), Message(Control("program", 1, 0), 5, 7))
    assert deaf.told == [] == deaf.recalled
    deaf.cc(8, 127, channel=3)
    assert deaf[PAN] == 1


def test_all_sound_off_silences_and_what_keyboards_and_sequencers_send_by_themselves_does_nothing():
    rig = Rig()
    rig[FADER] = -6
    told = len(rig.told)
    for number in range(121, 128):  # 123 with the last key that is let go, 121 and 123 at each stop
        rig.send(Message(Control("mode", 1, number), 0, 7))
    assert rig[FADER] == -6 and rig["output.mute"] == 0 and len(rig.told) == told
    rig.send(Message(Control("mode", 1, 120), 0, 7))
    assert rig[FADER] == -6 and rig["output.mute"] == 1 and rig.told[-1] == ({"output.mute": 0}, "midi")


def test_silence_may_be_bound_to_a_control_of_ones_own():
    rig = Rig(Binding("note 36", "output.mute", kind="toggle"))
    rig.note(36, 127, 0)
    assert rig["output.mute"] == 1
    rig.now += 1
    rig.note(36, 127, 0)
    assert rig["output.mute"] == 0


def test_a_program_change_recalls():
    rig = Rig()
    rig.send(Message(Control("program", 4, 300), 5, 7))
    assert rig.recalled == [(300, 5)]


# Feedback


def test_a_controller_that_takes_none_gets_no_feedback():
    rig = Rig(Binding("cc 7", FADER, takeover="jump"), feedback=False)
    assert rig.feedback() == [] and not rig.surface.feeds_back


def test_everything_is_told_once_and_again_when_asked():
    rig = Rig(
        Binding("cc 7", FADER, takeover="jump"),
        Binding("cc 8", KEY, kind="offset", channel=3),
        Binding("note 9", MUTE, kind="toggle", on=60, off=12),
        Binding("bend", PAN, invert=True, takeover="jump"),
        Binding("cc 10", "bypass", on=3, off=1),
        Binding("cc 11", "drums.of_tomorrow"),
        Binding("cc 12", "melody.solo", kind="momentary", invert=True),
    )
    rig[MUTE], rig[PAN] = 1, -1
    everything = [
        ("cc 7", 1, 100),
        ("cc 8", 3, 64),
        ("note 9", 1, 60),
        ("bend", 1, 16383),
        ("cc 10", 1, 1),
        ("cc 12", 1, 127),
    ]
    assert rig.feedback() == everything
    assert rig.feedback() == []
    rig[FADER], rig["bypass"] = 12, 1
    assert rig.feedback() == [("cc 7", 1, 127), ("cc 10", 1, 3)]
    rig.surface.refresh()
    assert len(rig.feedback()) == 6


def test_values_of_14_bits_go_back_as_pairs():
    rig = Rig(Binding("cc 7", FADER, bits=14, takeover="jump"), Binding("nrpn 5", FADER, takeover="jump"))
    parser = Parser()
    sent = [message for each in rig.surface.feedback(1.0) for message in parser.feed(each)]
    unity = round(100 / 127 * 16383)
    assert [message.value for message in sent[:2]] == [unity >> 7, unity & 127]
    assert [message.control.number for message in sent] == [7, 39, 5] and sent[2].value == 100
    rig.send(Message(Control("nrpn", 1, 5), 16383, 14))
    rig.now = 2.0
    last = [message for each in rig.surface.feedback(3.0) for message in parser.feed(each)]
    assert last[0].value == last[1].value == 127 and len(last) == 2  # the nrpn knows
    rig[FADER] = 0
    last = [message for each in rig.surface.feedback(4.0) for message in parser.feed(each)]
    assert last[-1] == Message(Control("nrpn", 1, 5), unity, 14)


def test_a_fader_is_not_told_what_it_has_said():
    rig = Rig(Binding("cc 7", FADER, takeover="jump"), Binding("cc 8", FADER, bits=14, takeover="jump"))
    rig.feedback()
    for value in range(128):
        rig.cc(7, value)
        assert ("cc 7", 1, value) not in rig.feedback()


def test_a_control_that_is_being_moved_is_left_alone_and_then_brought_to_its_value():
    rig = Rig(Binding("cc 7", FADER, takeover="jump"))
    rig.feedback()
    rig.cc(7, 20)
    rig[FADER] = 0
    assert rig.feedback(0.4) == []
    rig.cc(7, 21)
    rig[FADER] = 0
    assert rig.feedback(0.4) == []
    assert rig.feedback(0.2) == [("cc 7", 1, 100)]


@pytest.mark.parametrize("takeover", ["pick-up", "scale"])
def test_a_control_that_fetches_its_value_by_hand_is_told_nothing(takeover):
    rig = Rig(Binding("cc 7", FADER, takeover=takeover))
    rig[FADER] = -6
    assert rig.feedback() == []


def test_one_control_is_told_at_most_each_30_ms_and_then_the_latest():
    rig = Rig(Binding("cc 7", FADER, takeover="jump"))
    rig.feedback()
    sent = []
    for k in range(60):
        rig[FADER] = -k / 2
        sent.append(rig.feedback(0.005))
    told = [k for k in range(60) if sent[k]]
    assert all(after - before >= 6 for before, after in pairwise(told)) and 8 <= len(told) <= 10
    assert rig.feedback() == [("cc 7", 1, round(PARAMETERS[FADER].to_normalized(-29.5) * 127))]


def test_lights_of_buttons_and_rings_of_encoders_follow_at_once():
    rig = Rig(Binding("note 9", MUTE, kind="toggle", on=60, off=12), Binding("cc 8", KEY, kind="offset"))
    rig.feedback()
    rig.note(9, 127)
    rig.cc(8, 65)
    assert rig.feedback(0.03) == [("note 9", 1, 60), ("cc 8", 1, round(13 / 24 * 127))]
    assert rig.feedback(0.03) == []


def test_a_button_that_puts_its_own_light_out_when_it_is_let_go_is_lit_again():
    rig = Rig(Binding("note 9", MUTE, kind="toggle"))
    rig.feedback()
    rig.note(9, 127)
    assert rig.feedback(0.1) == [("note 9", 1, 127)]
    rig.note(9, 0)
    assert rig.feedback(0.1) == [("note 9", 1, 127)]
    rig.note(9, 0)  # as a port would echo it
    assert rig.feedback() == []


def test_feedback_goes_to_the_channel_of_the_binding_or_the_one_last_heard():
    rig = Rig(
        Binding("cc 7", FADER, takeover="jump"),
        Binding("cc 8", PAN, takeover="jump"),
        Binding("cc 9", KEY, channel=2, takeover="jump"),
    )
    rig.cc(7, 3, channel=5)
    rig.cc(99, 3, channel=6)
    rig[FADER] = 0
    assert [channel for _, channel, _ in rig.feedback()] == [5, 6, 2]
    assert [channel for _, channel, _ in Rig(Binding("cc 7", FADER, takeover="jump"), channel=4).feedback()] == [4]


# Ghosts


def test_a_ghost_stands_where_a_control_has_yet_to_fetch_its_value():
    rig = Rig(Binding("cc 7", FADER), Binding("cc 8", PAN, low=-0.5, high=0.5, takeover="scale"), Binding("cc 9", MUTE))
    assert rig.surface.ghosts() == {}
    rig.cc(7, 20)
    rig.cc(8, 127)
    rig.cc(9, 127)
    rig[MUTE] = 0
    assert rig.surface.ghosts() == pytest.approx({FADER: 20 / 127, PAN: 0.75})
    rig.cc(7, 101)
    assert list(rig.surface.ghosts()) == [PAN]
    rig[FADER] = -30
    assert rig.surface.ghosts()[FADER] == pytest.approx(101 / 127)


@pytest.mark.parametrize("binding", (Binding("cc 7", KEY), Binding("cc 7", FADER, invert=True)), ids=str)
def test_a_control_that_has_its_value_casts_no_ghost(binding):
    rig = Rig(binding)
    for position in (0, *range(127, -1, -1)):
        rig.cc(7, position)
    assert rig.told and rig.surface.ghosts() == {}


def test_controls_that_fetch_nothing_cast_no_ghosts():
    rig = Rig(Binding("cc 7", FADER, takeover="jump"), Binding("cc 8", PAN, kind="offset"))
    rig.cc(7, 20)
    rig.cc(8, 70)
    rig[FADER], rig[PAN] = 0, 0
    assert rig.surface.ghosts() == {}


# Binding and forgetting


def test_a_new_binding_takes_the_place_of_what_its_control_did():
    first, second = Binding("cc 7", FADER, channel=2), Binding("cc 7", PAN)
    for binding, add, kept in (
        (Binding("cc 7", MUTE, channel=2), False, []),
        (Binding("cc 7", MUTE), False, []),
        (Binding("cc 7", MUTE, channel=3), False, [first]),
        (Binding("cc 8", MUTE), False, [first, second]),
        (Binding("cc 7", MUTE), True, [first, second]),
    ):
        rig = Rig(first, second)
        rig.surface.bind(binding, add=add)
        assert rig.surface.bindings == [*kept, binding]


def test_a_new_binding_works_at_once_and_leaves_the_others_what_they_had_caught():
    rig = Rig(Binding("cc 8", PAN))
    rig.cc(8, 64, 70)
    rig.surface.bind(Binding("cc 7", MUTE, kind="toggle"))
    rig.cc(7, 127)
    rig.cc(8, 90)
    assert rig[MUTE] == 1 and rig[PAN] == pytest.approx(2 * 90 / 127 - 1)


def test_what_is_forgotten_is_told_and_gone():
    rig = Rig(Binding("cc 7", FADER, takeover="jump"), Binding("cc 8", FADER), Binding("cc 9", PAN))
    assert rig.surface.forget([FADER]) == [Binding("cc 7", FADER, takeover="jump"), Binding("cc 8", FADER)]
    assert rig.surface.forget([FADER]) == []
    rig.cc(7, 127)
    assert rig.told == [] and rig.surface.bindings == [Binding("cc 9", PAN)]


def test_what_has_gone_can_be_put_back_and_works():
    rig = Rig(Binding("cc 7", FADER, takeover="jump"), Binding("cc 7", PAN, takeover="jump"), Binding("cc 9", KEY))
    gone = rig.surface.forget([FADER, PAN])
    rig.surface.put_back(gone)
    assert rig.surface.bindings == [Binding("cc 9", KEY), *gone]
    rig.cc(7, 127)
    assert (rig[FADER], rig[PAN]) == (12, 1)
    gone = rig.surface.bind(Binding("cc 7", MUTE, kind="toggle"))
    assert [binding.parameter for binding in gone] == [FADER, PAN]
    rig.surface.put_back(gone, instead=[Binding("cc 7", MUTE, kind="toggle")])
    rig.surface.put_back(gone)  # never twice
    assert rig.surface.bindings == [Binding("cc 9", KEY), *gone]


def test_what_the_file_says_meanwhile_is_taken_up_with_what_was_changed_here():
    here, there = Binding("cc 7", FADER), Binding("cc 8", PAN)
    rig = Rig(here, feedback=False)
    rig.surface.take_up(([here, there], True))
    assert (rig.surface.bindings, rig.surface.feeds_back) == ([here, there], True)
    rig.surface.bind(Binding("cc 9", KEY))
    rig.surface.forget([FADER])
    rig.surface.feed_back(False)
    assert rig.surface.forget([MUTE]) == []  # which is no change
    other = Binding("cc 10", MUTE)
    for _ in range(2):  # changes that are not kept are made anew each time
        rig.surface.take_up(([here, other], True))
        assert (rig.surface.bindings, rig.surface.feeds_back) == ([other, Binding("cc 9", KEY)], False)
    with pytest.raises(OSError), rig.surface.keeping():
        raise OSError("the disk is full")
    rig.surface.take_up(([here], True))
    assert (rig.surface.bindings, rig.surface.feeds_back) == ([Binding("cc 9", KEY)], False)
    with rig.surface.keeping():
        pass
    rig.surface.take_up(([here], True))
    assert (rig.surface.bindings, rig.surface.feeds_back) == ([here], True)


def test_what_is_taken_up_leaves_the_others_what_they_had_caught_and_tells_a_controller_that_is_new_to_it():
    rig = Rig(Binding("cc 8", PAN), feedback=False)
    rig.cc(8, 64, 70)
    rig.surface.take_up(([Binding("cc 8", PAN), Binding("cc 7", MUTE, takeover="jump")], True))
    rig.cc(8, 90)
    assert rig[PAN] == pytest.approx(2 * 90 / 127 - 1)
    assert rig.feedback() == [("cc 7", 1, 0)]


def test_a_binding_that_a_file_has_twice_is_two():
    twice = [Binding("cc 7", MUTE, kind="toggle")] * 2
    rig = Rig(*twice)
    rig.surface.take_up(([Binding("cc 7", MUTE, kind="toggle") for _ in twice], True))
    rig.cc(7, 127)
    assert [before for before, _ in rig.told] == [{MUTE: 0}, {MUTE: 1}]


def test_a_binding_of_an_unknown_parameter_is_kept_reported_and_idle():
    rig = Rig(Binding("cc 7", "drums.of_tomorrow", channel=2, low=3.0))
    rig.cc(7, 127, channel=2)
    rig.surface.bind(Binding("cc 8", FADER, takeover="jump"))
    assert rig.told == [] and rig.surface.ghosts() == {} and len(rig.feedback()) == 1
    assert rig.surface.problems == [
        "a controller: cc 7 on channel 2 is bound to 'drums.of_tomorrow', which is no parameter here; it is kept."
    ]
    saved = document(rig.surface.bindings, True)
    assert saved["binding"][0] == {"control": "cc 7", "parameter": "drums.of_tomorrow", "channel": 2, "low": 3.0}


def test_conflicts_are_told_once_each():
    rig = Rig(
        Binding("cc 7", FADER, channel=1),
        Binding("cc 8", FADER),
        Binding("cc 8", PAN, channel=4),
        Binding("cc 9", KEY, channel=1),
        Binding("cc 9", MUTE, channel=2),
    )
    assert rig.surface.conflicts == [
        "percussive.gain_db has 2 controls: cc 7 on channel 1, cc 8.",
        "cc 8 moves 2 parameters: percussive.gain_db, melody.pan.",
        "cc 8 on channel 4 moves 2 parameters: percussive.gain_db, melody.pan.",
    ]


# Anything at all

CONTROLS = st.one_of(
    st.builds("{} {}".format, st.sampled_from(("cc", "note", "nrpn", "rpn")), st.integers(0, 8)), st.just("bend")
)


@st.composite
def any_binding(draw):
    values = st.none() | st.floats(-100, 2000)
    options = dict(
        channel=draw(st.none() | st.integers(1, 2)),
        kind=draw(st.sampled_from(KINDS)),
        bits=draw(st.sampled_from((7, 14))),
        low=draw(values),
        high=draw(values),
        invert=draw(st.booleans()),
        takeover=draw(st.sampled_from(TAKEOVERS)),
        on=draw(st.integers(0, 127)),
    )
    try:
        return Binding(draw(CONTROLS), draw(st.sampled_from([*PARAMETERS, "drums.of_tomorrow"])), **options)
    except BadInput:
        return Binding("cc 7", FADER)


@st.composite
def any_message(draw):
    kind = draw(st.sampled_from(("cc", "cc", "note", "nrpn", "rpn", "bend", "mode", "program")))
    number = 0 if kind == "bend" else draw(st.integers(120, 127) if kind == "mode" else st.integers(0, 45))
    bits = draw(st.sampled_from((0, 7, 14))) if kind in ("nrpn", "rpn") else 14 if kind == "bend" else 7
    value = draw(st.sampled_from((-1, 1))) if bits == 0 else draw(st.integers(0, 2**bits - 1))
    return Message(Control(kind, draw(st.integers(1, 2)), number), value, bits)


@given(st.lists(any_binding(), max_size=6), st.lists(any_message(), max_size=30))
def test_whatever_comes_values_stay_in_range_and_feedback_is_midi(bindings, messages):
    rig = Rig(*bindings)
    ends = {id: (info.low, info.high) for id, info in PARAMETERS.items()}
    for message in messages:
        rig.send(message)
        rig.now += 0.1
        assert all(max(sent) < 0xF0 for sent in rig.surface.feedback(rig.now))
        assert all(0 <= place <= 1 for place in rig.surface.ghosts().values())
    for id, value in rig.parameters.snapshot().items():
        low, high = ends[id]
        assert low <= value <= high or value == -math.inf
        assert PARAMETERS[id].check(value) == value
