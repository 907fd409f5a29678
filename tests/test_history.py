"""Undo: each act of a person is one step, and steps are taken back in their order."""

import math
import time
from threading import Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtsep.live.history import History
from rtsep.parameters import PARAMETERS, Parameters


class Bench:
    """Parameters, their history, and its clock."""

    def __init__(self):
        self.now = 100.0
        self.parameters = Parameters(np.zeros(len(PARAMETERS), np.float32))
        self.history = History(self.parameters, lambda: self.now)

    def move(self, *values, id="melody.gain_db", by="midi", pause=0.1):
        """Set one parameter to value after value."""
        for value in values:
            self.now += pause
            self.parameters.update({id: value}, by=by)

    def undo(self):
        """Take a step back; the ids."""
        self.now += 0.1
        return self.history.undo()

    @property
    def melody(self):
        return self.parameters["melody.gain_db"].value


@pytest.fixture
def bench():
    return Bench()


def test_with_nothing_done_there_is_nothing_to_undo(bench):
    assert bench.undo() == []


def test_the_move_of_a_knob_is_one_step(bench):
    bench.move(*np.linspace(-0.5, -20, 50))
    assert bench.undo() == ["melody.gain_db"]
    assert bench.melody == 0 and bench.undo() == []


def test_a_move_lasts_as_long_as_no_pause_in_it_is_a_second(bench):
    bench.move(-1, -2, -3, pause=0.99)
    bench.move(-4, -5, pause=1)
    for value in (-4, -3, 0):
        assert bench.undo() == ["melody.gain_db"] and bench.melody == value
    assert bench.undo() == []


def test_what_somebody_else_does_to_it_is_another_step(bench):
    bench.move(-1, -2, by="midi")
    bench.move(-3, -4, by="terminal")
    bench.move(-5, -6, by="midi")
    for value in (-4, -2, 0):
        assert bench.undo() and bench.melody == value
    assert bench.undo() == []


def test_two_knobs_at_once_are_a_step_each(bench):
    for i in range(1, 20):
        bench.move(-i)
        bench.move(-2 * i, id="harmony.gain_db")
    assert bench.undo() == ["harmony.gain_db"]
    assert (bench.melody, bench.parameters["harmony.gain_db"].value) == (-19, 0)
    assert bench.undo() == ["melody.gain_db"]
    assert bench.melody == 0 and bench.undo() == []


def test_many_at_once_are_one_step(bench):
    bench.move(-5)
    before = bench.parameters.snapshot()
    values = {"melody.gain_db": -18.0, "melody.mute": 1.0, "key.semitones": 2.0}
    bench.parameters.update(values, by="preset")
    assert sorted(bench.undo()) == sorted(values) and bench.parameters.snapshot() == before
    bench.parameters.update(values, by="preset")
    bench.parameters.reset(by="midi")
    assert sorted(bench.undo()) == sorted(values)
    assert {id: bench.parameters[id].value for id in values} == values


def test_each_recall_of_a_preset_is_a_step_however_quickly_they_follow(bench):
    for value in (-1, -2, -3):
        bench.parameters.update({"melody.gain_db": value}, by="preset")
    for value in (-2, -1, 0):
        assert bench.undo() and bench.melody == value


def test_a_knob_that_a_preset_moves_too_begins_another_step(bench):
    bench.move(-1)
    bench.parameters.update({"melody.gain_db": -18, "melody.mute": 1}, by="midi")
    bench.move(-2)
    for value in (-18, -1, 0):
        assert bench.undo() and bench.melody == value


@pytest.mark.parametrize("by", ("undo", "duck"))
def test_what_undo_and_the_guide_do_is_not_remembered(bench, by):
    bench.move(-3, -4, by=by)
    assert bench.undo() == [] and bench.melody == -4


def test_undo_says_that_it_was_undo(bench):
    told = []
    bench.move(-1, by="terminal")
    bench.parameters.watch(lambda before, by: told.append((dict(before), by)))
    bench.undo()
    assert told == [({"melody.gain_db": -1}, "undo")]


def test_a_step_that_has_come_back_by_itself_is_passed_over(bench):
    bench.move(-6)
    bench.now += 10
    bench.move(1, 0, id="melody.mute", by="terminal")
    assert bench.undo() == ["melody.gain_db"] and bench.melody == 0


def test_only_what_differs_is_put_back(bench):
    bench.parameters.update({"melody.gain_db": -18, "melody.mute": 1}, by="preset")
    bench.move(0, by="duck", id="melody.mute")
    assert bench.undo() == ["melody.gain_db"]


def test_what_follows_an_undo_is_a_step_of_its_own(bench):
    bench.move(-1, by="midi")
    bench.move(-2, by="terminal")
    assert bench.undo() and bench.melody == -1
    bench.move(-3, by="midi")
    assert bench.undo() and bench.melody == -1
    assert bench.undo() and bench.melody == 0


def test_acts_of_another_kind_are_steps_among_the_others(bench):
    acts = []
    bench.move(-1)
    bench.history.add("the controls of the melody", lambda: acts.append("back"))
    bench.move(-2)
    assert bench.undo() == ["melody.gain_db"] and bench.melody == -1 and acts == []
    assert bench.undo() == ["the controls of the melody"] and acts == ["back"]
    assert bench.undo() == ["melody.gain_db"] and bench.melody == 0
    assert bench.undo() == [] and acts == ["back"]


def test_the_last_hundred_steps_are_remembered(bench):
    bench.move(*(-i / 10 for i in range(1, 151)), pause=2)
    undone = 0
    while bench.undo():
        undone += 1
    assert undone == 100 and bench.melody == -5


def test_silence_is_put_back(bench):
    bench.move(-math.inf)
    bench.move(-6, pause=5)
    assert bench.undo() and bench.melody == -math.inf


ACTS = st.tuples(
    st.sampled_from(("midi", "terminal", "preset")),
    st.dictionaries(
        st.sampled_from(("melody.gain_db", "harmony.gain_db", "bypass")), st.sampled_from((0, 1)), min_size=1
    ),
    st.sampled_from((0.2, 0.6, 1.5)),
)


@given(st.lists(ACTS, max_size=30))
def test_undone_to_the_end_all_is_as_it_began(acts):
    bench = Bench()
    before = bench.parameters.snapshot()
    for by, values, pause in acts:
        bench.now += pause
        bench.parameters.update(values, by=by)
    while bench.undo():
        pass
    assert bench.parameters.snapshot() == before


def test_an_undo_waits_for_the_change_that_another_thread_is_making(bench):
    undone, early = [], []
    undo = Thread(target=lambda: undone.append(history.undo()))

    def clock():
        undo.start()
        undo.join(0.1)
        early.extend(undone)
        return 0.0

    history = History(bench.parameters, clock)
    bench.move(-3)
    undo.join()
    assert (early, undone, bench.melody) == ([], [["melody.gain_db"]], 0)


def test_threads_that_move_while_another_undoes_disturb_nothing():
    bench = Bench()
    ids = ("melody.gain_db", "harmony.gain_db", "residual.gain_db")

    def move(id):
        for step in range(1, 300):
            bench.parameters.update({id: -step / 100}, by=id + str(step))

    threads = [Thread(target=move, args=(id,)) for id in ids]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        bench.history.undo()
        time.sleep(1e-4)  # so that there is something to undo
    for thread in threads:
        thread.join()
    while undone := bench.history.undo():
        assert {*undone} <= {*ids}
