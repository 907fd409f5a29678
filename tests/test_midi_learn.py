"""Learning: what the hand moves is bound as what it is, whatever else sends meanwhile."""

import pytest

from rtsep.errors import BadInput
from rtsep.live.bindings import Binding
from rtsep.live.messages import Control, Message, Parser
from rtsep.live.midi_learn import Learner
from rtsep.parameters import PARAMETERS

FADER, MUTE = "percussive.gain_db", "percussive.mute"
PORT = "a controller"


def cc(number, value, channel=1):
    return Message(Control("cc", channel, number), value, 7)


def note(number, value):
    return Message(Control("note", 1, number), value, 7)


class Hand:
    """Sends messages to a learner, each some seconds after the one before."""

    def __init__(self, parameter=FADER):
        self.learner, self.now = Learner(parameter), 0.0

    def send(self, *messages, every=0.05, port=PORT):
        for message in messages:
            self.now += every
            self.learner.hear(port, message, self.now)
            assert len(self.learner.status) <= 76 and self.learner.status.endswith(".")
        return self

    def turn(self, *values, every=0.05):
        return self.send(*(cc(7, value) for value in values), every=every)

    def rest(self, seconds=0.41):
        """What is learned after so long a rest."""
        self.now += seconds
        return self.learner.poll(self.now)

    @property
    def binding(self):
        found = self.rest()
        return found and found[1]


def test_a_fader_is_bound_once_it_rests():
    hand = Hand()
    assert "Move a fader" in hand.learner.status and "slowly down" in hand.learner.status
    assert hand.rest() is None
    hand.turn(*range(20, 40))
    assert hand.rest(0.39) is None
    assert hand.rest(0.02) == (PORT, Binding("cc 7", FADER, channel=1))
    assert hand.learner.status == "cc 7 moves percussive.gain_db."


def test_a_fast_fader_is_bound_by_few_values():
    assert Hand().turn(3, 60, 127).binding == Binding("cc 7", FADER, channel=1)


@pytest.mark.parametrize("values", ((50,), (50, 51), (50, 51, 52, 53, 54, 55), (50, 90), (50, 57, 50, 57)))
def test_too_little_of_a_move_is_asked_to_go_on(values):
    hand = Hand().turn(*values)
    assert hand.binding is None and hand.learner.status == "cc 7: move it further."


@pytest.mark.parametrize("parameter", (FADER, MUTE))
def test_a_move_that_passes_the_values_of_encoders_is_no_encoder(parameter):
    for values in (range(127, 60, -1), range(0, 10), range(70, 56, -1), (65, 66, 65, 64, 63, 62, 61, 60, 59, 58)):
        assert Hand(parameter).turn(*values).binding == Binding("cc 7", parameter, channel=1)


def test_bends_and_registered_parameters_are_absolute():
    for kind, number, bits, values in (
        ("bend", 0, 14, (8192, 9000, 10000)),
        ("nrpn", 1000, 14, (0, 8000, 16383)),
        ("nrpn", 1000, 7, (1, 20, 127)),
        ("rpn", 5, 7, (0, 127, 0)),
        ("nrpn", 7, 0, (-1, -1, -1)),
    ):
        control = Control(kind, 3, number)
        hand = Hand().send(*(Message(control, value, bits) for value in values))
        assert hand.binding == Binding(control.text, FADER, channel=3)


def test_a_bend_that_hardly_moves_is_not_bound():
    assert Hand().send(*(Message(Control("bend", 1, 0), 8192 + k, 14) for k in range(99))).binding is None


# Buttons


def test_a_note_toggles_a_switch():
    hand = Hand(MUTE).send(note(36, 100), note(36, 0))
    assert hand.binding == Binding("note 36", MUTE, channel=1, kind="toggle")
    assert hand.learner.status == "note 36 switches percussive.mute."


def test_a_note_that_is_held_is_bound_and_one_that_was_only_let_go_is_not():
    assert Hand(MUTE).send(note(36, 100)).binding == Binding("note 36", MUTE, channel=1, kind="toggle")
    assert Hand(MUTE).send(note(36, 0)).binding is None


@pytest.mark.parametrize(
    "parameter, high, says",
    (
        (FADER, 0, "0.0 dB or -inf dB"),  # not its top, which would be a fright
        ("microphone.reverb_db", -20, "-20.0 dB or -inf dB"),
        ("melody.low_hz", None, "1760 Hz or 55 Hz"),
    ),
)
def test_a_button_on_a_continuous_parameter_toggles_and_says_between_what(parameter, high, says):
    hand = Hand(parameter).send(note(36, 100), note(36, 0))
    assert hand.binding == Binding("note 36", parameter, channel=1, kind="toggle", high=high)
    assert hand.learner.status == f"note 36: each press sets {parameter} to {says}."


@pytest.mark.parametrize("values", ((127, 0), (127, 0, 127, 0), (90, 0, 101, 0, 77, 0)))
def test_a_momentary_button_toggles(values):
    assert Hand(MUTE).turn(*values, every=0.2).binding == Binding("cc 7", MUTE, channel=1, kind="toggle")


@pytest.mark.parametrize("values", ((127, 0, 127), (0, 127, 0)))
def test_a_latching_button_is_absolute(values):
    hand = Hand(MUTE).turn(*values[:2], every=1.0)
    assert hand.binding is None and hand.learner.status == "cc 7: press it again, or go on."
    assert hand.turn(values[2], every=1.0).binding == Binding("cc 7", MUTE, channel=1)


def test_a_momentary_button_that_is_held_long_at_first_is_known_by_its_next_tap():
    hand = Hand(MUTE).turn(127, 0, every=1.0)
    assert hand.turn(127, 0, every=0.2).binding == Binding("cc 7", MUTE, channel=1, kind="toggle")


def test_a_latching_button_that_is_pressed_twice_in_haste_is_no_momentary_one():
    assert Hand(MUTE).turn(0, 127, every=0.2).binding is None


def test_a_fader_at_its_bottom_is_no_button():
    assert Hand().turn(3, 0).binding is None
    assert Hand().turn(5, 0, 5, 0).binding is None


# Encoders

DOWN_UP = {
    "offset": (63, 65),
    "twos-complement": (127, 1),
    "signed": (65, 1),
    "signed-reversed": (1, 65),
}


@pytest.mark.parametrize("kind", DOWN_UP)
def test_an_encoder_is_known_by_a_turn_down_and_one_back(kind):
    down, up = DOWN_UP[kind]
    hand = Hand().turn(*[down] * 5)
    assert hand.binding is None and hand.learner.status == "cc 7 is an encoder: now turn it back up."
    assert hand.turn(up).binding is None  # one alone may have been a slip
    hand.turn(up, up)
    assert hand.binding == Binding("cc 7", FADER, channel=1, kind=kind)
    assert hand.learner.status == "cc 7, an encoder, moves percussive.gain_db."


@pytest.mark.parametrize("kind", DOWN_UP)
def test_an_encoder_that_is_accelerated_is_known_too(kind):
    down, up = DOWN_UP[kind]
    further = -1 if down in (63, 127) else 1
    fast_up = 1 if up in (1, 65) else -1
    hand = Hand().turn(down, down, down + further, down + 3 * further, down, down, down)
    assert hand.binding is None
    assert hand.turn(up, up, up + 2 * fast_up, up, up).binding == Binding("cc 7", FADER, channel=1, kind=kind)


@pytest.mark.parametrize("kind", ("offset", "twos-complement"))
def test_two_codings_are_known_even_from_a_wrong_first_turn(kind):
    down, up = DOWN_UP[kind]
    assert Hand().turn(*[up] * 4, *[down] * 4).binding == Binding("cc 7", FADER, channel=1, kind=kind)


def test_a_fader_that_repeats_itself_is_no_encoder():
    for values in ((1, 1, 1, 20, 40), (66, 66, 70, 70, 76, 76), (63, 63, 63, 50, 40)):
        assert Hand().turn(*values).binding == Binding("cc 7", FADER, channel=1)


def test_a_contact_that_flickers_beside_a_value_of_encoders_is_none():
    for values in ((65, 66) * 20, (63, 64) * 20, (1, 0) * 20, (127, 126) * 20, (1, 2, 1, 3) * 10):
        hand = Hand().turn(*values)
        assert hand.binding is None and "encoder" not in hand.learner.status


# Pairs of 14 bits


def halves(values, number=7):
    return [cc(number + 32 * lower, value & 127 if lower else value >> 7) for value in values for lower in (0, 1)]


def test_a_pair_that_is_heard_in_turns_has_14_bits():
    hand = Hand().send(*halves(range(5000, 9000, 250)))
    assert hand.binding == Binding("cc 7", FADER, channel=1, bits=14)
    assert hand.learner.status == "cc 7, in 14 bits, moves percussive.gain_db."


def test_a_pair_whose_fine_half_comes_first_has_14_bits_too():
    both = halves(range(5000, 9000, 250))
    hand = Hand().send(*(message for k in range(0, len(both), 2) for message in (both[k + 1], both[k])))
    assert hand.binding == Binding("cc 7", FADER, channel=1, bits=14)
    hand, parser = Hand(), Parser()
    for value in range(5000, 9000, 250):
        hand.send(*parser.feed(bytes((0xB0, 99, 7, 98, 104, 38, value & 127, 6, value >> 7))))
    assert hand.binding == Binding("nrpn 1000", FADER, channel=1)


def test_a_slow_pair_is_a_pair_and_no_encoder():
    for start in (63 * 128, 127 * 128, 128):
        assert Hand().send(*halves(range(start, start + 120, 8))).binding is None
    hand = Hand().send(*halves(range(63 * 128, 70 * 128, 16)))
    assert hand.binding == Binding("cc 7", FADER, channel=1, bits=14)


def test_two_controls_that_are_32_apart_but_move_one_after_the_other_are_no_pair():
    hand = Hand().turn(*range(20, 40)).send(cc(39, 127), cc(39, 0))
    assert hand.binding == Binding("cc 7", FADER, channel=1)
    hand = Hand(MUTE).send(cc(39, 127), cc(7, 64), cc(39, 0))
    assert hand.binding == Binding("cc 39", MUTE, channel=1, kind="toggle")
    hand = Hand().send(*(message for k in range(40) for message in [cc(7, k), cc(39, 64)][: 1 + (k % 10 == 0)]))
    assert hand.binding == Binding("cc 7", FADER, channel=1)
    hand = Hand().send(cc(7, 3), *(cc(39, value) for value in range(40)))
    assert hand.binding == Binding("cc 39", FADER, channel=1)


def test_numbers_above_31_and_other_channels_make_no_pairs():
    both = [message for k in range(20) for message in (cc(40, 3 * k), cc(72, k % 2))]
    assert Hand().send(*both).binding == Binding("cc 40", FADER, channel=1)
    both = [message for k in range(20) for message in (cc(7, 3 * k), cc(39, 64, channel=2))]
    assert Hand().send(*both).binding == Binding("cc 7", FADER, channel=1)


# Everything that is not meant


def test_channel_modes_and_programs_are_never_learned():
    hand = Hand()
    for kind, number in (("mode", 120), ("mode", 123), ("program", 0)):
        hand.send(*(Message(Control(kind, 1, number), value, 7) for value in (0, 50, 127, 0)))
    assert hand.binding is None and "Move a fader" in hand.learner.status


def test_stray_messages_and_flickering_contacts_do_not_win():
    hand = Hand()
    for k in range(30):
        hand.send(cc(7, 20 + k), cc(8, 64 + k % 2), cc(8, 65 - k % 2), cc(9, 99) if k == 3 else cc(8, 64), every=0.01)
    hand.now += 0.2
    hand.send(cc(8, 65), cc(9, 100), every=0.2)  # still flickering while the fader rests
    assert hand.rest(0.01) == (PORT, Binding("cc 7", FADER, channel=1))
    assert hand.learner.status == "cc 7 moves percussive.gain_db."


def test_the_control_that_is_moved_most_wins_and_is_waited_for():
    hand = Hand().send(*(cc(8, value) for value in (10, 30, 50)))
    hand.turn(*range(0, 60, 5), every=0.1)
    assert hand.rest(0.1) is None  # cc 8 has rested for long
    assert hand.binding == Binding("cc 7", FADER, channel=1)


def test_a_fader_that_also_says_that_it_is_touched_is_a_fader():
    touch, bend = note(104, 127), Control("bend", 1, 0)
    hand = Hand().send(touch, *(Message(bend, 500 * k, 14) for k in range(20)), note(104, 0))
    assert hand.binding == Binding("bend", FADER, channel=1)


def test_the_same_control_of_two_ports_and_channels_is_several():
    hand = Hand()
    for k in range(4):
        hand.send(cc(7, 30 * k), port="one")
        hand.send(cc(7, 30 * k, channel=2), cc(7, 30 * k + 1, channel=2), port="two")
    assert hand.rest() == ("two", Binding("cc 7", FADER, channel=2))


def test_a_control_that_never_rests_is_remembered_only_so_far():
    hand = Hand()
    for k in range(2000):
        hand.turn(64 + k % 2, every=0.01)
    hand.turn(*range(60))
    assert hand.binding == Binding("cc 7", FADER, channel=1)
    assert max(len(track.heard) for track in hand.learner._tracks.values()) < 200


def test_an_unknown_parameter_is_refused():
    with pytest.raises(BadInput, match=r"did you mean 'percussive\.gain_db'"):
        Learner("percussive.gain")


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_every_status_fits_into_a_line(parameter):
    Hand(parameter).send(note(127, 1))  # each sending checks it
    Hand(parameter).turn(127, 127, 127, 127, 1, 1, 1)
    Hand(parameter).send(*(Message(Control("nrpn", 16, 16383), value, 14) for value in (0, 8000, 16383)))
    Hand(parameter).send(*halves(range(0, 9000, 250), number=31))
