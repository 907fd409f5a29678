"""Sampler: what is held becomes a stem within a second, without a click, and what cannot be learned is told of."""

import re

import numpy as np
import pytest
from signals import noise, song, tune

from rtsep import BadInput, Engine, Settings, disk
from rtsep.errors import Unavailable
from rtsep.library import warm_up
from rtsep.live.history import History
from rtsep.live.sampler import Sampler
from rtsep.live.stream import Stream
from rtsep.offline.evaluate import si_sdr
from rtsep.settings import GROUPS, STEMS
from rtsep.templates import KITS, load

RATE, BLOCK = 48_000, 480


@pytest.fixture(scope="module", autouse=True)
def _compiled():
    warm_up()


class Desk:
    """A device that is called by hand, whose stream learns `parts`."""

    def __init__(self, *parts, mode="balanced", channels=1, **settings):
        self.engine = Engine(Settings(mode, learn=parts, **settings))
        self.stream = Stream(self.engine, "virtual", sample_rate=RATE, channels=channels)
        self.stream.state.fade[0] = 1
        self.told: list[str] = []
        self.sampler = Sampler(self.stream, self.told.append)
        self.parameters = self.engine.parameters

    def hear(self, sound):
        """What comes out while `sound` (samples, channels) comes in."""
        outputs = np.zeros((len(sound), int(self.stream.state.channels[1])), np.float32)
        for start in range(0, len(sound), BLOCK):
            block = sound[start : start + BLOCK].copy()
            heard = np.zeros((len(block), outputs.shape[1]), np.float32)
            self.stream.callback(block, heard, len(block), None, None)
            outputs[start : start + len(block)] = heard
        return outputs[:, :1] if sound.shape[1] == 1 else outputs

    def hold(self, part, sound):
        """Learn `part` from `sound`; the last sentence that was told."""
        self.parameters[f"{part}.learn"] = "on"
        came = self.hear(sound)
        self.parameters[f"{part}.learn"] = "off"
        self.sampler.wait()
        return came, self.told[-1]


def hiss(seconds, level=0.1, seed=1):
    return noise(round(seconds * RATE), level=level, seed=seed)


def chord(seconds, *pitches):
    return sum(tune(round(seconds * RATE), RATE, (pitch,), 30) for pitch in pitches) * np.float32(0.3 / len(pitches))


def test_what_is_held_becomes_a_stem_of_its_own():
    desk = Desk("organ")
    desk.hear(hiss(2))
    desk.parameters["organ.solo"] = "on"
    assert not desk.hear(hiss(0.5))[RATE // 4 :].any()  # nothing is known yet
    _, told = desk.hold("organ", chord(2, 220, 277))
    worth = re.fullmatch(r"organ is learned from 2\.0 s: muting it takes away about (\d+) dB of it", told)
    desk.parameters["organ.solo"] = "off"
    desk.parameters["organ.mute"] = "on"
    desk.hear(hiss(0.3))
    true, late = chord(2, 220, 277), desk.engine.latency
    got = desk.hear(true + hiss(2, seed=9))[RATE // 2 + late :]
    true = true[RATE // 2 : -late]
    stays = np.abs(np.vdot(true, got)) / np.vdot(true, true)
    assert abs(int(worth[1]) + 20 * np.log10(stays)) < 3
    desk.parameters.update({"organ.mute": "off", "organ.solo": "on"})
    late = desk.engine.latency
    desk.hear(hiss(0.3))  # past the change
    true, other = chord(2, 220, 277), hiss(2, seed=7)
    got = desk.hear(true + other)
    true, got = true[RATE // 2 : -late], got[RATE // 2 + late :]
    assert si_sdr(true, got) > si_sdr(true, (true + other[RATE // 2 : -late])) + 10
    desk.parameters.update({"organ.solo": "off", "organ.mute": "on"})
    desk.hear(hiss(0.2))
    true, other = chord(2, 220, 277), hiss(2, seed=8)
    got = desk.hear(true + other)[RATE // 2 + late :]
    assert si_sdr(other[RATE // 2 : -late], got) > 12


def test_a_part_that_is_like_the_others_is_taken_in_part_and_muting_it_does_little_harm():
    desk = Desk("organ")
    others = np.concatenate([chord(0.5, pitch) for pitch in (220, 277, 330, 440)])
    desk.hear(others)
    _, told = desk.hold("organ", np.concatenate([chord(0.5, pitch) for pitch in (277, 220, 440, 330)]))
    away = int(re.search(r"about (\d+) dB", told)[1])
    taken = desk.engine.state.nmf.taken[desk.engine.state.nmf.bank[0]]
    assert 0 < taken[0] < 0.75 and taken[1] == 1 and away < 8
    assert load(desk.sampler.path).taken == (pytest.approx(taken[0]), 1)
    desk.parameters["organ.mute"] = "on"
    desk.hear(hiss(0.3, 0.01))
    late, part = desk.engine.latency, np.concatenate([chord(0.5, pitch) for pitch in (330, 440, 220, 277)])
    kept, left = slice(RATE // 4, -late), []
    for taken in (desk.engine.state.nmf.taken[:, 0].copy(), 1):
        desk.engine.state.nmf.taken[:, 0] = taken
        got = desk.hear(others + part)[RATE // 4 + late :]
        left.append(si_sdr(others[kept], got))
    assert left[0] > left[1] + 2 and left[0] > si_sdr(others[kept], (others + part)[kept]) - 1.5


def test_nothing_is_lost_and_nothing_clicks_while_a_part_is_learned():
    desk = Desk("organ", channels=2)
    sound = np.repeat(np.concatenate([hiss(1), chord(1, 330), hiss(2) + chord(2, 330)]), 2, 1)
    came = [desk.hear(sound[:RATE])]
    came.append(desk.hold("organ", sound[RATE : 2 * RATE])[0])
    came.append(desk.hear(sound[2 * RATE :]))
    late = desk.engine.latency
    assert np.array_equal(np.concatenate(came)[late:], sound[:-late])


def test_several_parts_are_learned_one_after_the_other_and_anew():
    desk = Desk("low", "high")
    assert desk.engine.stems == ("low", "high", *STEMS)
    assert desk.engine.groups == GROUPS | {"accompaniment": ("low", "high", *GROUPS["accompaniment"])}
    desk.hear(hiss(1, 0.01))
    assert "is learned" in desk.hold("low", chord(1, 110))[1]
    desk.hear(hiss(1, 0.01))
    assert "is learned" in desk.hold("high", chord(1, 1500))[1]
    late = desk.engine.latency
    for part, pitch in (("low", 110), ("high", 1500)):
        desk.parameters[f"{part}.solo"] = "on"
        desk.hear(hiss(0.3, 0.01))
        got = desk.hear(chord(1, 110) + chord(1, 1500))[RATE // 2 + late :]
        assert si_sdr(chord(1, pitch)[RATE // 2 : -late], got) > 12, part
        desk.parameters[f"{part}.solo"] = "off"
    assert "is learned" in desk.hold("low", chord(1, 600))[1]
    desk.parameters["low.solo"] = "on"
    desk.hear(hiss(0.3, 0.01))
    got = desk.hear(chord(1, 600))[RATE // 2 + late :]
    assert si_sdr(chord(1, 600)[RATE // 2 : -late], got) > 12


def test_what_is_learned_can_be_had_again():
    desk = Desk("low", "high", "never")
    assert desk.sampler.path is None
    desk.hear(hiss(1, 0.01))
    desk.hold("high", chord(1, 1500))
    path = desk.sampler.path
    assert load(path).parts == ("high", "rest") and path.name.startswith("low+high+never 20")
    desk.hear(hiss(1, 0.01))
    desk.parameters["templates.exponent"] = 3
    desk.hold("low", chord(1, 110))
    templates = load(desk.sampler.path)
    assert desk.sampler.path == path and templates.parts == ("low", "high", "rest") and templates.exponent == 3
    sound = chord(1, 110) + chord(1, 1500) + hiss(1, 0.01)
    desk.engine.reset()
    desk.parameters["high.solo"] = "on"
    desk.hear(hiss(0.3, 0.01))
    again = Engine(Settings("balanced", templates=templates))
    assert again.stems == ("low", "high", *STEMS)
    again.parameters["high.solo"] = "on"
    again.prepare(sample_rate=RATE, channels=1, max_block=RATE)
    again.process(hiss(0.3, 0.01))
    np.testing.assert_allclose(again.process(sound), desk.hear(sound), atol=1e-4)


def test_a_disk_that_is_full_is_told_of_and_the_part_is_a_fader_even_so(monkeypatch):
    def full(*_):
        raise Unavailable("no space is left.")

    monkeypatch.setattr(disk, "write", full)
    desk = Desk("organ")
    assert desk.hold("organ", chord(1, 220))[1].startswith("organ is learned from 1.0 s; nothing else sounded before")
    assert desk.told[-2] == "what is learned is lost in the end: no space is left." and desk.sampler.path is None
    desk.parameters["organ.solo"] = "on"
    assert desk.hear(chord(1, 220))[RATE // 2 :].any()


def test_what_cannot_be_learned_is_told_and_changes_nothing():
    desk = Desk("organ")
    desk.hear(hiss(0.5))
    assert desk.hold("organ", np.zeros((RATE, 1), np.float32))[1].endswith("nothing sounded: hold it while it plays.")
    for seconds in (0.1, 0):
        assert "too short" in desk.hold("organ", chord(seconds, 220))[1]
    desk.parameters["organ.solo"] = "on"
    desk.hear(hiss(0.3))
    assert not desk.hear(chord(0.5, 220)).any()


def test_what_sounds_after_letting_go_is_not_learned_even_if_another_part_is_still_being_learned():
    desk = Desk("low", "high")
    desk.hear(hiss(1, 0.01))
    desk.parameters["low.learn"] = "on"
    desk.hear(chord(1, 220))
    with desk.sampler._lock:  # as if another part were being learned
        desk.parameters["low.learn"] = "off"
        desk.hear(chord(2, 3000))
    desk.sampler.wait()
    assert desk.told[-1].startswith("low is learned from 1.0 s:")


def test_more_than_is_kept_is_learned_from_the_last_seconds():
    desk = Desk("organ")
    desk.hear(hiss(1))
    told = desk.hold("organ", np.concatenate([chord(6, 1000), chord(8, 220)]))[1]
    seconds = float(told.split()[4])
    assert 7.5 < seconds <= 8
    state = desk.engine.state.nmf
    bank = state.bank[0]
    own = state.templates[bank, : state.count[bank]][state.part[bank, : state.count[bank]] == 0]
    peaks = own.argmax(1) * RATE / desk.engine.sizes.window_size
    assert (np.abs(peaks - 220) < 30).all(), peaks


def test_a_pitch_that_was_not_among_what_was_learned_is_found_too():
    desk = Desk("organ")
    desk.hear(hiss(2))
    assert "is learned" in desk.hold("organ", np.concatenate([chord(1, 220), chord(1, 247)]))[1]
    desk.parameters["organ.solo"] = "on"
    desk.hear(hiss(0.3))
    true, late = chord(2, 207), desk.engine.latency
    got = desk.hear(true + hiss(2, seed=7))[RATE // 2 + late :]
    assert si_sdr(true[RATE // 2 : -late], got) > 4


def test_the_room_is_learned_while_nothing_else_sounds_and_is_gone():
    desk = Desk(room=True, channels=2)
    quiet, late = np.repeat(hiss(3, 0.01), 2, 1), desk.engine.latency
    assert np.array_equal(desk.hear(quiet)[late:], quiet[:-late])
    came, told = desk.hold("room", quiet[: 2 * RATE])
    assert desk.told[-2] == "room: keep quiet, and let go" and told == "room is learned from 2.0 s"
    assert came[late:].std() > 0.009
    played = np.repeat(chord(2, 220, 277), 2, 1)
    heard = desk.hear(np.concatenate([quiet, quiet[: 2 * RATE] + played]))
    assert heard[RATE : 3 * RATE].std() < 0.001
    assert si_sdr(played[RATE:-late], heard[4 * RATE + late :]) > 15
    desk.parameters["room.gain_db"] = 0
    desk.hear(quiet)
    assert np.array_equal(desk.hear(quiet[:RATE])[late:], quiet[: RATE - late])
    desk.parameters.reset()
    assert desk.parameters["room.gain_db"].value == -np.inf


def test_the_room_is_learned_beside_parts_and_templates():
    desk = Desk("organ", room=True)
    assert desk.engine.stems == ("organ", *STEMS[:-1], "room", STEMS[-1])
    assert "is learned" in desk.hold("room", hiss(2, 0.003))[1]
    assert "is learned" in desk.hold("organ", chord(2, 220, 277) + hiss(2, 0.003, 2))[1]
    desk.parameters["organ.solo"] = "on"
    desk.hear(hiss(0.3, 0.003))
    late, true = desk.engine.latency, chord(2, 220, 277)
    heard = desk.hear(true + hiss(2, 0.003, 3))
    assert si_sdr(true[RATE:-late], heard[RATE + late :]) > 18
    assert np.std(desk.hear(hiss(2, 0.003, 4))[RATE:]) < 0.0005
    desk = Desk(room=True, templates=load(KITS["drums"]))
    assert desk.engine.stems[-2] == "room" and "is learned" in desk.hold("room", hiss(1, 0.003))[1]
    assert np.std(desk.hear(hiss(1, 0.003, 5))[RATE // 2 :]) < 0.0005


@pytest.mark.parametrize("mode", ["live", "quality"])
def test_a_room_that_is_no_room_is_told_and_changes_nothing(mode):
    desk = Desk(room=True, mode=mode)
    assert desk.hold("room", np.zeros((RATE, 1), np.float32))[1].startswith("room is not learned: nothing came in")
    for sound in (song(2 * RATE, RATE), hiss(2, 0.003) + chord(2, 220) * (np.arange(2 * RATE) > RATE)[:, None]):
        assert "not steady" in desk.hold("room", sound.astype(np.float32))[1]
    assert "too short" in desk.hold("room", hiss(0.2))[1]
    sound, late = hiss(1), desk.engine.latency
    desk.hear(sound)
    assert np.array_equal(desk.hear(sound)[late:], sound[:-late])
    hum = sum(np.sin(2 * np.pi * f * np.arange(2 * RATE) / RATE) for f in (50, 100, 150, 350))[:, None]
    for sound in (hum * 0.01, hiss(2, 0.001) + 0.01 * hum, hiss(0.35)):
        assert "is learned" in desk.hold("room", sound.astype(np.float32))[1]


def test_the_switch_is_neither_undone_nor_found_on_another_engine():
    desk = Desk("organ")
    history = History(desk.parameters)
    desk.parameters["melody.gain_db"] = -6
    desk.parameters["organ.learn"] = "on"
    assert history.undo() == ["melody.gain_db"] and desk.parameters["organ.learn"].value == 1
    assert "organ.learn" not in Engine().parameters


@pytest.mark.parametrize(
    "parts, words", [(("melody",), "reserved"), (("room",), "reserved"), (("a", "a"), "taken"), (("A B",), "no name")]
)
def test_names_that_cannot_be_are_refused(parts, words):
    with pytest.raises(BadInput, match=words):
        Engine(Settings(learn=parts))
