"""MIDI bytes: what a controller means is what is heard, however the bytes come, and nothing else."""

from itertools import pairwise

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtsep.errors import BadInput
from rtsep.live.messages import Control, Message, Pair, Parser, encode, parse

NULL = "B0 65 7F 64 7F"

unhurried = settings(deadline=None, database=None)


def cc(number, value, channel=1):
    return Message(Control("mode" if number > 119 else "cc", channel, number), value, 7)


def note(number, value, channel=1):
    return Message(Control("note", channel, number), value, 7)


def bend(value, channel=1):
    return Message(Control("bend", channel, 0), value, 14)


def program(value, bank=0, channel=1):
    return Message(Control("program", channel, bank), value, 7)


def nrpn(number, value, bits=14, channel=1):
    return Message(Control("nrpn", channel, number), value, bits)


def rpn(number, value, bits=14, channel=1):
    return Message(Control("rpn", channel, number), value, bits)


def heard(data):
    return Parser().feed(data if isinstance(data, bytes) else bytes.fromhex(data))


FINE_FIRST_AND_STEPS = ((2048 + 5, 14), (1, 0), (2048 + 6, 14), (-1, 0))


@pytest.mark.parametrize(
    "data, messages",
    [
        ("B0 07 40", [cc(7, 64)]),
        ("BF 00 7F", [cc(0, 127, 16)]),
        ("90 24 64", [note(36, 100)]),
        ("90 24 00", [note(36, 0)]),
        ("80 24 64", [note(36, 0)]),
        ("E0 00 40", [bend(8192)]),
        ("E2 7F 7F", [bend(16383, 3)]),
        ("E0 01 00", [bend(1)]),
        ("C0 05", [program(5)]),
        ("A0 24 64 D0 64", []),  # pressure
        # running status
        ("B0 07 40 08 41 09 42", [cc(7, 64), cc(8, 65), cc(9, 66)]),
        ("C0 05 06", [program(5), program(6)]),
        ("D0 01 02 90 24 64 24 00", [note(36, 100), note(36, 0)]),
        ("B0 07 40 B1 07 41 07 42", [cc(7, 64), cc(7, 65, 2), cc(7, 66, 2)]),
        # real-time bytes anywhere
        ("F8 B0 FE 07 FA 40 FF 08 F8 41", [cc(7, 64), cc(8, 65)]),
        ("F9 B0 FD 07 40", [cc(7, 64)]),
        # system messages end running status, and their data is skipped
        ("B0 07 40 F0 7E 07 40 F7 08 41 B0 09 42", [cc(7, 64), cc(9, 66)]),
        ("F0 07 40 B0 07 41", [cc(7, 65)]),
        ("F0 07 F8 40 F7 07 40", []),
        ("B0 F3 07 40", []),
        ("B0 07 40 F2 07 40 07 40", [cc(7, 64)]),
        ("B0 07 40 F1 07 07 41", [cc(7, 64)]),
        ("B0 07 40 F6 07 41", [cc(7, 64)]),
        ("B0 07 40 F4 07 41 B0 F5 07 41", [cc(7, 64)]),
        # data without status, and what another message interrupts
        ("07 40 B0 07 41", [cc(7, 65)]),
        ("B0 07 90 24 64", [note(36, 100)]),
        ("B0 07 B0 40 41", [cc(64, 65)]),
        ("B0 07", []),
        # channel mode
        ("B0 77 01 B0 78 00 B0 79 00 B0 7B 00", [cc(119, 1), cc(120, 0), cc(121, 0), cc(123, 0)]),
        # banks
        ("B0 00 01 B0 20 02 C0 05", [cc(0, 1), cc(32, 2), program(5, 130)]),
        ("B0 20 02 C0 05 B0 00 01 C0 06", [cc(32, 2), program(5, 2), cc(0, 1), program(6, 130)]),
        ("B1 00 01 C0 05 C1 05", [cc(0, 1, 2), program(5), program(5, 128, 2)]),
        # data entry without a parameter
        ("B0 06 40 26 01 60 02 61 03", [cc(6, 64), cc(38, 1), cc(96, 2), cc(97, 3)]),
        # (N)RPN
        ("B0 63 07 62 68 06 40", [nrpn(1000, 64, 7)]),
        ("B0 62 68 63 07 06 40", [nrpn(1000, 64, 7)]),
        ("B0 63 07 62 68 06 40 26 01", [nrpn(1000, 64, 7), nrpn(1000, 8193)]),
        ("B0 65 00 64 00 06 02 26 01", [rpn(0, 2, 7), rpn(0, 257)]),
        ("B0 63 07 62 68 60 00 61 00", [nrpn(1000, 1, 0), nrpn(1000, -1, 0)]),
        ("B0 63 00 62 01 06 40 62 02 06 41", [nrpn(1, 64, 7), nrpn(2, 65, 7)]),
        ("B0 63 00 62 01 65 00 64 02 06 40", [rpn(2, 64, 7)]),
        ("B0 65 00 64 02 63 00 62 01 06 40", [nrpn(1, 64, 7)]),
        ("B0 65 00 64 02 63 00 62 01 64 03 06 40", [rpn(3, 64, 7)]),
        ("B0 63 00 62 01 07 05 06 40", [cc(7, 5), nrpn(1, 64, 7)]),
        ("B0 62 05 63 7F 62 7F 63 03 06 40", [nrpn(3 * 128 + 127, 64, 7)]),  # through the null by chance
        # the null
        ("B0 63 00 62 01" + NULL + "06 40", [cc(6, 64)]),
        ("B0 63 00 62 01 63 7F 62 7F 06 40", [cc(6, 64)]),
        ("B0 65 00 64 01" + NULL + "26 40 60 01", [cc(38, 64), cc(96, 1)]),
        # each channel has its own
        ("B0 63 00 62 01 B1 06 40 B0 06 41", [cc(6, 64, 2), nrpn(1, 65, 7)]),
        ("B0 63 00 62 01 B1 65 7F 64 7F B0 06 41", [nrpn(1, 65, 7)]),
        # the fine half first
        ("B0 63 07 62 68 26 01", []),
        ("B0 63 07 62 68 26 01 06 40 26 7F 06 41", [nrpn(1000, 8193), nrpn(1000, 65 * 128 + 127)]),
        ("B0 65 00 64 00 26 7F 06 7F 26 00 06 00", [rpn(0, 16383), rpn(0, 0)]),
        ("B0 63 00 62 01 26 05 06 10 60 00 26 06 06 10 61 00", [nrpn(1, v, b) for v, b in FINE_FIRST_AND_STEPS]),
        # and where the coarse one is left out while it stays, or the fine one
        ("B0 63 00 62 01 26 05 06 10 26 06 26 07 26 08", [nrpn(1, 2048 + fine) for fine in (5, 7, 8)]),
        ("B0 63 00 62 01 26 05 06 10 06 11", [nrpn(1, coarse * 128 + 5) for coarse in (16, 17)]),
        ("B0 63 00 62 01 26 05 26 06 06 10 26 07 06 11", [nrpn(1, v) for v in (2048 + 6, 2048 + 7, 17 * 128)]),
        # a reset selects the null
        ("B0 63 00 62 01 79 00 06 40", [cc(121, 0), cc(6, 64)]),
        ("B0 63 00 62 01 65 00 64 02 B1 79 00 B0 06 40", [cc(121, 0, 2), rpn(2, 64, 7)]),
        # and each parameter its own fine value
        (
            "B0 63 00 62 01 06 10 26 05 62 02 06 10 62 01 06 10",
            [nrpn(1, 16, 7), nrpn(1, 16 * 128 + 5), nrpn(2, 16, 7), nrpn(1, 16 * 128 + 5)],
        ),
    ],
)
def test_bytes_mean_messages(data, messages):
    assert heard(data) == messages


STREAMS = st.lists(
    st.one_of(
        st.integers(0, 255),
        st.sampled_from([0xB0, 0xB1, 0x90, 0x80, 0xC0, 0xE0, 0xF0, 0xF7, 0xF8, 0x63, 0x62, 0x65, 0x64, 6, 38, 127, 0]),
    ),
    max_size=60,
).map(bytes)


def tokens(data):
    """The channel messages in `data`, each (kind, channel, data bytes): a slow way without a state machine."""
    text = "".join(f"{byte:02X}" for byte in data if byte < 0xF8)
    pieces = [text[i : i + 2] for i in range(0, len(text), 2)]
    starts = [i for i, piece in enumerate(pieces) if piece >= "80"] + [len(pieces)]
    for start, end in pairwise(starts):
        status = int(pieces[start], 16)
        if status < 0xF0:
            size = 1 if status >> 4 in (0xC, 0xD) else 2
            run = [int(piece, 16) for piece in pieces[start + 1 : end]]
            for i in range(0, len(run) - size + 1, size):
                yield status >> 4, (status & 15) + 1, run[i : i + size]


def meant(stream):
    """The messages of `tokens`, each found by looking back over all that came before."""
    before = []  # control changes: (channel, number, value)
    came = {}  # halves of values, by (N)RPN

    def last(channel, *numbers):
        return next(((n, v) for c, n, v in reversed(before) if c == channel and n in numbers), None)

    for kind, channel, data in stream:
        if kind in (8, 9):
            yield note(data[0], data[1] if kind == 9 else 0, channel)
        elif kind == 0xE:
            yield bend(data[0] + 128 * data[1], channel)
        elif kind == 0xC:
            bank = [(last(channel, number) or (0, 0))[1] for number in (0, 32)]
            yield program(data[0], bank[0] * 128 + bank[1], channel)
        elif kind == 0xB:
            number, value = data
            selector = last(channel, 98, 99, 100, 101, 121)
            if selector and selector[0] == 121:
                before = [each for each in before if each[0] != channel or each[1] not in (98, 99, 100, 101, 121)]
                selector = None
            name, msb, lsb = ("nrpn", 99, 98) if selector and selector[0] < 100 else ("rpn", 101, 100)
            parameter = [(last(channel, which) or (0, 127))[1] for which in (msb, lsb)]
            if number in (6, 38, 96, 97) and parameter != [127, 127]:
                control = name, channel, parameter[0] * 128 + parameter[1]
                halves = came.setdefault(control, "")
                came[control] += {6: "m", 38: "l"}.get(number, "")
                # A fine half of nothing yet, or one that leads and does not follow another, waits.
                waits = "m" not in halves or (halves.startswith("lm") and halves[-1] == "m")
                if number != 38 or not waits:
                    yield *control, number, value
            elif number not in (98, 99, 100, 101):
                yield cc(number, value, channel)
            before.append((channel, number, value))


@unhurried
@given(STREAMS)
def test_random_bytes_are_heard_as_a_slow_reading_of_them_and_no_message_is_invented(data):
    messages, expected = heard(data), list(meant(tokens(data)))
    assert len(messages) == len(expected)
    for message, want in zip(messages, expected, strict=True):
        if isinstance(want, Message):
            assert message == want
        else:
            kind, channel, parameter, number, value = want
            assert message.control == Control(kind, channel, parameter)
            if number in (96, 97):
                assert (message.value, message.bits) == (1 if number == 96 else -1, 0)
            elif number == 6:
                assert (message.value if message.bits == 7 else message.value >> 7) == value
            else:
                assert message.bits == 14 and message.value & 127 == value


@unhurried
@given(STREAMS, st.lists(st.integers(0, 60), max_size=5))
def test_pieces_are_heard_as_the_whole(data, cuts):
    parser, cuts = Parser(), sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    pieces = [data[start:end] for start, end in pairwise(cuts)]
    assert [message for piece in pieces for message in parser.feed(piece)] == heard(data)


@unhurried
@given(STREAMS, st.lists(st.tuples(st.integers(0, 60), st.integers(0xF8, 0xFF)), max_size=8))
def test_real_time_bytes_anywhere_change_nothing(data, clock):
    among = bytearray(data)
    for place, byte in clock:
        among.insert(place, byte)
    assert heard(bytes(among)) == heard(data)


ORDINARY = st.one_of(
    st.builds(
        mido.Message,
        st.just("control_change"),
        channel=st.integers(0, 2),
        control=st.integers(0, 127).filter(lambda n: not 98 <= n <= 101),
        value=st.integers(0, 127),
    ),
    st.builds(
        mido.Message,
        st.sampled_from(["note_on", "note_off"]),
        channel=st.integers(0, 2),
        note=st.integers(0, 127),
        velocity=st.integers(0, 127),
    ),
    st.builds(mido.Message, st.just("pitchwheel"), channel=st.integers(0, 2), pitch=st.integers(-8192, 8191)),
    st.builds(mido.Message, st.just("aftertouch"), channel=st.integers(0, 2), value=st.integers(0, 127)),
    st.builds(mido.Message, st.just("sysex"), data=st.lists(st.integers(0, 127), max_size=4)),
    st.builds(mido.Message, st.sampled_from(["clock", "start", "active_sensing", "tune_request"])),
)


@pytest.mark.parametrize("running", [False, True])
@unhurried
@given(messages=st.lists(ORDINARY, max_size=20))
def test_it_hears_what_mido_says_with_and_without_running_status(running, messages):
    data, status = [], None
    for message in messages:
        said = message.bytes()
        data += said[1:] if running and said[0] == status else said
        status = said[0] if said[0] < 0xF0 else status if said[0] >= 0xF8 else None
    kinds = {
        "control_change": lambda m: cc(m.control, m.value, m.channel + 1),
        "note_on": lambda m: note(m.note, m.velocity, m.channel + 1),
        "note_off": lambda m: note(m.note, 0, m.channel + 1),
        "pitchwheel": lambda m: bend(m.pitch + 8192, m.channel + 1),
    }
    assert heard(bytes(data)) == [kinds[m.type](m) for m in messages if m.type in kinds]


def sent(pair, *halves, now=0.0, pause=0.001):
    """What comes of halves, each "msb" or "lsb" with its value; None where one waits."""
    return [getattr(pair, half)(value, now + number * pause) for number, (half, value) in enumerate(halves)]


def test_an_msb_alone_has_7_bits_until_an_lsb_is_heard():
    pair = Pair()
    assert sent(pair, *(("msb", value) for value in (0, 64, 127, 10))) == [(0, 7), (64, 7), (127, 7), (10, 7)]
    assert sent(pair, ("lsb", 5), ("msb", 10), ("msb", 11), ("lsb", 100), ("msb", 9)) == [
        (value, 14) for value in (10 * 128 + 5, 10 * 128 + 5, 11 * 128, 11 * 128 + 100, 9 * 128 + 127)
    ]


def settled():
    pair = Pair()
    sent(pair, ("msb", 0), ("lsb", 0), now=-1)
    return pair


VALUES = st.lists(st.integers(0, 16383), min_size=2, max_size=50)


@unhurried
@given(VALUES, st.booleans())
def test_a_move_stays_between_where_it_came_from_and_where_it_goes(values, sparing):
    pair, at = settled(), 0
    for number, value in enumerate(values):
        halves = [("lsb", value & 127)] if sparing and value >> 7 == at >> 7 and number else halves_of(value)
        steps = [step[0] for step in sent(pair, *halves, now=number / 100)]
        assert [at, *steps] == sorted([at, *steps], reverse=value < at)
        assert steps[-1] == value
        at = value


def halves_of(value):
    return [("msb", value >> 7), ("lsb", value & 127)]


@unhurried
@given(VALUES, st.sampled_from((0.001, 0.01, 1.0)), st.booleans())
def test_a_move_whose_fine_halves_come_first_has_every_value_and_no_other(values, pause, used):
    pair = settled() if used else Pair()
    for number, value in enumerate(values):
        fine, whole = sent(pair, *reversed(halves_of(value)), now=number * pause)
        assert whole == (value, 14)
        assert fine is None or (used and number == 0)  # of a pair of which the coarse half led until now


@unhurried
@given(VALUES, VALUES, st.sampled_from((0.001, 0.01)))
def test_whatever_was_heard_before_the_next_move_ends_where_it_is_led(before, values, pause):
    for halves in (halves_of, lambda value: halves_of(value)[::-1]):
        pair = settled()
        for number, value in enumerate(before):
            sent(pair, *halves_of(value)[:: 1 if number % 2 else -1], now=number)
        for number, value in enumerate(values):
            last = sent(pair, *halves(value), now=len(before) + 1 + number * pause)[-1]
            assert last == (value, 14)


def test_a_move_that_leaves_out_the_coarse_half_while_it_stays_lags_by_one_value_at_most():
    pair = Pair()
    sent(pair, *reversed(halves_of(700)))
    assert sent(pair, *(("lsb", fine) for fine in (61, 62, 63)), now=0.01) == [None, *((640 + k, 14) for k in (62, 63))]


CONTROLS = st.one_of(
    st.tuples(st.sampled_from(["note"]), st.integers(0, 127), st.just(7)),
    st.tuples(st.just("cc"), st.integers(0, 119).filter(lambda n: not 98 <= n <= 101), st.just(7)),
    st.tuples(st.just("mode"), st.integers(120, 127), st.just(7)),
    st.tuples(st.sampled_from(["nrpn", "rpn"]), st.integers(0, 16382), st.sampled_from([7, 14])),
    st.tuples(st.just("bend"), st.just(0), st.just(14)),
    st.tuples(st.just("program"), st.integers(0, 16383), st.just(7)),
)


@unhurried
@given(CONTROLS, st.integers(1, 16), st.data())
def test_what_is_encoded_is_heard(described, channel, data):
    kind, number, bits = described
    control, value = Control(kind, channel, number), data.draw(st.integers(0, 2**bits - 1))
    parser = Parser()
    messages = parser.feed(encode(control, value, bits))
    assert messages[-1] == Message(control, value, bits)
    others = {"program": 2, "nrpn": 1, "rpn": 1}.get(kind, 0) if bits == 14 or kind == "program" else 0
    assert len(messages) == 1 + others
    assert parser.feed(encode(Control("cc", channel, 6), 9, 7)) == [cc(6, 9, channel)]  # nothing stays selected


@pytest.mark.parametrize(
    "control, value, bits, data",
    [
        (Control("cc", 1, 7), 64, 7, "B0 07 40"),
        (Control("cc", 16, 7), 8193, 14, "BF 07 40 BF 27 01"),
        (Control("note", 1, 36), 100, 7, "90 24 64"),
        (Control("note", 2, 36), 0, 7, "91 24 00"),
        (Control("bend", 1, 0), 8192, 14, "E0 00 40"),
        (Control("nrpn", 1, 1000), 8193, 14, "B0 63 07 B0 62 68 B0 06 40 B0 26 01 B0 65 7F B0 64 7F"),
        (Control("rpn", 1, 2), 64, 7, "B0 65 00 B0 64 02 B0 06 40 B0 65 7F B0 64 7F"),
        (Control("program", 1, 130), 5, 7, "B0 00 01 B0 20 02 C0 05"),
    ],
)
def test_feedback_has_the_bytes_of_the_standard(control, value, bits, data):
    assert encode(control, value, bits) == bytes.fromhex(data)


@pytest.mark.parametrize(
    "text, control",
    [
        ("cc 7", ("cc", 7)),
        (" CC  119 ", ("cc", 119)),
        ("cc7", ("cc", 7)),
        ("note 36", ("note", 36)),
        ("nrpn 16383", ("nrpn", 16383)),
        ("rpn 0", ("rpn", 0)),
        ("Bend", ("bend", 0)),
    ],
)
def test_a_control_is_named_in_words(text, control):
    assert parse(text) == control
    assert parse(Control(control[0], 5, control[1]).text) == control


def test_names_of_controls_are_short():
    assert [Control(kind, 3, 7).text for kind in ("cc", "bend", "program", "mode")] == [
        "cc 7",
        "bend",
        "program",
        "mode 7",
    ]


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "must be like 'cc 7'"),
        ("fader", "'fader': it must be like 'cc 7', 'note 36', 'nrpn 1000', 'rpn 0' or 'bend'"),
        ("cc -1", "must be like"),
        ("cc 7.5", "must be like"),
        ("cc", "must be like"),
        ("cc ٣", "must be like"),
        ("cc " + "9" * 5000, "must be like"),
        ("mode 120", "must be like"),
        ("cc 120", "its number must be between 0 and 119"),
        ("note 128", "its number must be between 0 and 127"),
        ("rpn 16384", "its number must be between 0 and 16383"),
    ],
)
def test_what_names_no_control_is_told(text, words):
    with pytest.raises(BadInput, match=words):
        parse(text)
