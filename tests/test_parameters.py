"""Parameters: every text, number and knob position comes back; nonsense is refused with the parameter's name."""

import math
from itertools import pairwise
from threading import Thread

import numpy as np
import pytest

from rtsep.errors import BadInput
from rtsep.parameters import INDEX, PARAMETERS, SILENCE_DB, Parameters
from rtsep.settings import GROUPS, STEMS

ALL = pytest.mark.parametrize("parameter", PARAMETERS.values(), ids=PARAMETERS)


def values(parameter):
    """Values over the whole range, both ends and the default among them."""
    if parameter.choices:
        return [float(index) for index in range(len(parameter.choices))]
    steps = [parameter.check(float(value)) for value in np.linspace(parameter.low, parameter.high, 41)]
    return [*steps, parameter.default]


def fresh():
    targets = np.zeros(len(PARAMETERS), np.float32)
    return Parameters(targets), targets


@ALL
def test_ids_names_and_ranges_are_sound(parameter):
    assert PARAMETERS[parameter.id] is parameter and list(PARAMETERS)[INDEX[parameter.id]] == parameter.id
    assert parameter.name and parameter.low <= parameter.default <= parameter.high
    assert parameter.id == parameter.id.lower() and " " not in parameter.id
    if parameter.choices:
        assert (parameter.low, parameter.high) == (0, len(parameter.choices) - 1)


def test_every_stem_and_every_group_has_a_fader_a_mute_and_a_solo():
    for stem in (*STEMS, *GROUPS):
        assert {f"{stem}.gain_db", f"{stem}.mute", f"{stem}.solo"} <= set(PARAMETERS)


@ALL
def test_formatted_values_parse_to_what_was_shown(parameter):
    for value in values(parameter):
        text = parameter.format(value)
        back = parameter.parse(text)
        assert parameter.format(back) == text
        assert back == value or abs(back - value) <= (0.5 if parameter.unit == "Hz" else 0.05) + 1e-9
        assert parameter.parse(f"  {text.upper()} ") == back


@ALL
def test_values_keep_through_their_knob_position(parameter):
    for value in values(parameter):
        position = parameter.to_normalized(value)
        assert 0 <= position <= 1
        back = parameter.from_normalized(position)
        if parameter.low == SILENCE_DB and value <= -60:
            assert back == -math.inf
        else:
            assert back == pytest.approx(value, abs=1e-9)


@ALL
def test_knob_positions_rise_with_the_value_and_span_the_range(parameter):
    positions = np.linspace(0, 1, 101)
    back = [parameter.from_normalized(position) for position in positions]
    assert all(low <= high for low, high in pairwise(back))
    assert back[-1] == parameter.high
    assert back[0] == (-math.inf if parameter.low == SILENCE_DB else parameter.low)
    assert parameter.from_normalized(-1) == back[0] and parameter.from_normalized(2) == back[-1]


def test_unity_lies_at_100_of_127_so_that_a_controller_meets_it():
    fader = PARAMETERS["percussive.gain_db"]
    assert fader.to_normalized(0) == 100 / 127 and fader.from_normalized(100 / 127) == 0
    assert fader.from_normalized(1) == 12
    gate = PARAMETERS["microphone.gate_db"]  # whose top is 0 dB
    assert gate.to_normalized(0) == 1 and gate.from_normalized(1) == 0 and gate.from_normalized(0.5) == -30


@ALL
@pytest.mark.parametrize("wrong", (math.nan, 1e9, "nan", "loud", "", "1e9", None, [1]))
def test_nonsense_is_refused_with_a_sentence_that_names_the_parameter(parameter, wrong):
    parameters, targets = fresh()
    before = targets.copy()
    with pytest.raises(BadInput, match=parameter.id.replace(".", r"\.") + ".*must be"):
        parameters[parameter.id] = wrong
    assert np.array_equal(targets, before) and parameters[parameter.id].value == parameter.default


@ALL
@pytest.mark.parametrize("infinite", (math.inf, "inf"))
def test_infinity_is_refused(parameter, infinite):
    with pytest.raises(BadInput, match=parameter.id.replace(".", r"\.")):
        fresh()[0][parameter.id] = infinite


@ALL
def test_minus_infinity_is_silence_for_a_fader_and_refused_elsewhere(parameter):
    parameters, targets = fresh()
    if parameter.low == SILENCE_DB:
        for silence in (-math.inf, "-inf", "-inf dB", SILENCE_DB, -300):
            parameters[parameter.id] = 0
            parameters[parameter.id] = silence
            assert parameters[parameter.id].value == -math.inf and targets[INDEX[parameter.id]] == 0
            assert parameters[parameter.id].text == "-inf dB"
    else:
        with pytest.raises(BadInput, match=parameter.id.replace(".", r"\.")):
            parameters[parameter.id] = -math.inf


def test_decibels_reach_the_kernels_as_linear_gains():
    parameters, targets = fresh()
    parameters["percussive.gain_db"] = -20
    parameters["output.gain_db"] = "6.0206 dB"
    assert targets[INDEX["percussive.gain_db"]] == np.float32(0.1)
    assert targets[INDEX["output.gain_db"]] == pytest.approx(2, rel=1e-6)
    assert targets[INDEX["residual.gain_db"]] == 1 and targets[INDEX["hpss.separation"]] == 1


@pytest.mark.parametrize("word, value", (("on", 1), ("OFF", 0), ("yes", 1), ("false", 0), ("1", 1), (True, 1), (0, 0)))
def test_switches_take_words_and_numbers(word, value):
    parameters, targets = fresh()
    parameters["bypass"] = word
    assert parameters["bypass"].value == value == targets[INDEX["bypass"]]
    assert parameters["bypass"].text == ("on" if value else "off")


@pytest.mark.parametrize(
    "id, text, value",
    (
        ("key.semitones", "+3 semitones", 3),
        ("key.semitones", "-12", -12),
        ("melody.low_hz", "110 Hz", 110),
        ("microphone.gate_db", "-inf dB", -math.inf),
    ),
)
def test_units_are_read_as_they_are_shown(id, text, value):
    parameters, _ = fresh()
    parameters[id] = text
    assert parameters[id].value == value
    assert text in (parameters[id].text, "-12")


def test_choices_are_words():
    parameters, _ = fresh()
    parameters["hpss.mask"] = "binary"
    assert parameters["hpss.mask"].value == 1 and parameters["hpss.mask"].text == "binary"
    with pytest.raises(BadInput, match=r"hpss\.mask is 'sift': it must be soft or binary"):
        parameters["hpss.mask"] = "sift"


def test_stepped_values_snap_to_their_steps():
    parameters, _ = fresh()
    parameters["hpss.exponent"] = 1.9
    assert parameters["hpss.exponent"].value == 2
    parameters["key.semitones"] = -2.4
    assert (parameters["key.semitones"].value, parameters["key.semitones"].text) == (-2, "-2 semitones")


@pytest.mark.parametrize(
    "wrong, nearest",
    (
        ("percussive.gain", "percussive.gain_db"),
        ("Percusive.mute", "percussive.mute"),
        ("limiter.ceiling", "limiter.ceiling_db"),
        ("bypas", "bypass"),
        ("hpss.seperation", "hpss.separation"),
        ("acompaniment.gain_db", "accompaniment.gain_db"),
        ("key.semitone", "key.semitones"),
        ("microfone.gain_db", "microphone.gain_db"),
    ),
)
def test_an_unknown_name_names_the_nearest(wrong, nearest):
    parameters, _ = fresh()
    with pytest.raises(BadInput, match=f"unknown parameter {wrong!r}: did you mean {nearest!r}"):
        parameters[wrong] = 0
    with pytest.raises(BadInput, match=nearest):
        parameters[wrong]
    assert wrong not in parameters


def test_a_name_like_no_other_is_told_where_they_are_listed_and_a_stem_what_it_has():
    with pytest.raises(BadInput, match=r"^unknown parameter 'zzz': rtsep --help-parameters shows all of them\.$"):
        fresh()[0]["zzz"]
    with pytest.raises(BadInput, match=r"did you mean 'melody\.gain_db' or 'melody\.mute' or 'melody\.solo'\? rtsep"):
        fresh()[0]["melody"]


def test_controls_read_write_and_show_one_parameter():
    parameters, _ = fresh()
    control = parameters["percussive.gain_db"]
    control.value = -6
    assert (control.value, control.text, float(control)) == (-6, "-6.0 dB", -6)
    control.normalized = 100 / 127
    assert control.value == 0 and control.normalized == 100 / 127
    assert control.info is PARAMETERS["percussive.gain_db"] and "percussive.gain_db" in repr(control)
    assert list(parameters) == list(PARAMETERS) and len(parameters) == len(PARAMETERS)


def test_several_are_set_all_or_none():
    parameters, targets = fresh()
    before = targets.copy()
    for wrong in ({"melody.gain_db": -6, "bypass": "perhaps"}, {"melody.gain_db": -6, "no.such": 1}):
        with pytest.raises(BadInput):
            parameters.update(wrong)
    assert np.array_equal(targets, before) and parameters["melody.gain_db"].value == 0
    parameters.update({"melody.gain_db": -6, "bypass": "on"})
    assert (parameters["melody.gain_db"].value, parameters["bypass"].value) == (-6, 1)


def test_everybody_who_watches_is_told_what_was_before_and_who_changed_it():
    parameters, _ = fresh()
    heard: list[tuple] = []
    ends = [parameters.watch(lambda before, by, who=who: heard.append((who, dict(before), by))) for who in "ab"]
    parameters["melody.gain_db"] = -6
    parameters.update({"melody.gain_db": -6, "bypass": "on"}, by="midi")  # of which one is no change
    ends[0]()
    parameters["melody.gain_db"] = -6.0  # none at all
    parameters.reset(by="undo")
    gain, bypass = {"melody.gain_db": 0.0}, {"bypass": 0.0}
    assert heard[:4] == [("a", gain, ""), ("b", gain, ""), ("a", bypass, "midi"), ("b", bypass, "midi")]
    assert heard[4:] == [("b", {"melody.gain_db": -6.0, "bypass": 1.0}, "undo")]


def test_one_who_watches_reads_the_new_values_and_may_change_others():
    parameters, targets = fresh()

    def told(before, by):
        if "melody.mute" in before:
            parameters["melody.solo"] = 1 - parameters["melody.mute"].value

    parameters.watch(told)
    parameters["melody.solo"] = 1
    parameters["melody.mute"] = 1
    assert targets[INDEX["melody.mute"]] == 1 and targets[INDEX["melody.solo"]] == 0


def test_reset_goes_back_to_the_defaults_of_this_engine():
    targets = np.zeros(len(INDEX), np.float32)
    parameters = Parameters(targets, {"hpss.bias": 3.0})
    assert parameters["hpss.bias"].value == 3 and targets[INDEX["hpss.bias"]] == 3
    parameters.defaults["limiter"] = 1
    parameters.update({"hpss.bias": 4, "melody.gain_db": "-inf"})
    parameters.reset()
    assert parameters.snapshot() == {id: info.default for id, info in PARAMETERS.items()} | {
        "hpss.bias": 3,
        "limiter": 1,
    }
    assert targets[INDEX["limiter"]] == 1 and targets[INDEX["melody.gain_db"]] == 1


def test_changes_from_many_threads_are_all_told_and_the_last_one_stands():
    parameters, targets = fresh()
    told: list[float] = []
    parameters.watch(lambda before, by: told.append(before["melody.gain_db"]))

    def move(start):
        for step in range(200):
            parameters["melody.gain_db"] = -start - step / 1000

    threads = [Thread(target=move, args=(start,)) for start in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    value = parameters["melody.gain_db"].value
    assert len(told) == 800 and len({*told, value}) == 801
    assert targets[INDEX["melody.gain_db"]] == np.float32(10 ** (value / 20))
