"""The maps that come with the program: each is what its device sends, and every control of it moves something."""

import math
import tomllib
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from rtsep.live.bindings import FORMAT, load
from rtsep.live.controller_files import load_controller
from rtsep.live.messages import Parser
from rtsep.live.surface import Surface
from rtsep.parameters import PARAMETERS, Parameters

MAPS = {Path(file.name).stem: tomllib.loads(file.read_text()) for file in (files("rtsep.live") / "maps").iterdir()}
ALL = pytest.mark.parametrize("name", MAPS)

STRIPS = "percussive", "melody", "harmony", "residual", "harmonic", "accompaniment", "microphone", "output"
LEVELS = [f"{strip}.gain_db" for strip in STRIPS]
MUTES = [f"{strip}.mute" for strip in STRIPS]
SOLOS = [f"{strip}.solo" for strip in STRIPS[:6]]
BUTTONS = {*MUTES, *SOLOS, "bypass"}

# The numbers of the controls from left to right, as the documents that the files name have them.
DEVICES = {
    "nanokontrol2": {
        "faders": (range(8), "cc {}", LEVELS),
        "mutes": (range(48, 56), "cc {}", MUTES),
        "solos": (range(32, 38), "cc {}", SOLOS),
        "bypass": ([46], "cc {}", ["bypass"]),
    },
    "midimix": {
        "faders": ([19, 23, 27, 31, 49, 53, 57, 61], "cc {}", [*LEVELS[:7], "microphone.reverb_db"]),
        "master": ([62], "cc {}", LEVELS[7:]),
        "mutes": (range(1, 23, 3), "note {}", MUTES),
        "solos": (range(2, 18, 3), "note {}", SOLOS),
        "bypass": ([25], "note {}", ["bypass"]),
    },
    "launch-control-xl": {
        "faders": (range(77, 85), "cc {}", LEVELS),
        "mutes": ([41, 42, 43, 44, 57, 58, 59, 60], "note {}", MUTES),
        "solos": ([73, 74, 75, 76, 89, 90], "note {}", SOLOS),
        "bypass": ([105], "note {}", ["bypass"]),
    },
}
KNOBS = {
    "nanokontrol2": {*range(16, 24)},
    "midimix": {number + row for number in (16, 20, 24, 28, 46, 50, 54, 58) for row in range(3)},
    "launch-control-xl": {*range(13, 21), *range(29, 37), *range(49, 57)},
}
# Linux with older and newer kernels, by way of JACK, macOS and Windows, the latter two with the makers' drivers too.
PORTS = {
    "nanokontrol2": [
        "nanoKONTROL2:nanoKONTROL2 MIDI 1 20:0",
        "nanoKONTROL2:nanoKONTROL2 _ CTRL 24:0",
        "a2j:nanoKONTROL2 [24] (capture): nanoKONTROL2 MIDI 1",
        "nanoKONTROL2 SLIDER/KNOB",
        "nanoKONTROL2 1 SLIDER/KNOB 0",
        "nanoKONTROL2 0",
    ],
    "midimix": ["MIDI Mix:MIDI Mix MIDI 1 20:0", "a2j:MIDI Mix [20] (capture): MIDI Mix MIDI 1", "MIDI Mix"],
    "launch-control-xl": [
        "Launch Control XL:Launch Control XL MIDI 1 20:0",
        "Launch Control XL Launch Contro",
        "Launch Control XL",
    ],
}
STRANGERS = ["nanoKONTROL MIDI 1", "nanoKONTROL Studio", "Launch Control", "LCXL3 1 MIDI Out", "Midi Through Port-0"]


def bound(name):
    """The parameters of a map by control."""
    return {binding["control"]: binding["parameter"] for binding in MAPS[name]["binding"]}


class Rig:
    """A device with its map; it knows its controls as the tables above do."""

    def __init__(self, name):
        bindings, feedback = load(MAPS[name])
        self.parameters = Parameters(np.zeros(len(PARAMETERS), np.float32))
        self.surface = Surface(self.parameters, name, bindings, feedback=feedback, recall=lambda bank, program: None)
        self.parser, self.channel, self.now = Parser(), 9 if name == "launch-control-xl" else 1, 0.0

    def bytes(self, control, value):
        kind, number = control.split()
        return bytes([{"cc": 0xB0, "note": 0x90}[kind] + self.channel - 1, int(number), value])

    def send(self, control, *values):
        for value in values:
            for message in self.parser.feed(self.bytes(control, value)):
                self.surface.receive(message, self.now)

    def lights(self):
        """What is sent to the device once its controls rest."""
        self.now += 1
        return self.surface.feedback(self.now)


def test_there_is_a_map_for_each_device():
    assert set(MAPS) == set(DEVICES)


@ALL
def test_faders_and_buttons_are_those_of_the_device(name):
    for numbers, form, parameters in DEVICES[name].values():
        controls = [form.format(number) for number in numbers]
        assert [bound(name).get(control) for control in controls] == parameters


@ALL
def test_all_else_is_knobs_of_the_device(name):
    known = {form.format(number) for numbers, form, _ in DEVICES[name].values() for number in numbers}
    knobs = set(bound(name)) - known
    assert knobs <= {f"cc {number}" for number in KNOBS[name]}
    assert len(knobs) >= 8


def test_the_same_is_within_reach_on_every_device():
    first, *others = (set(bound(name).values()) for name in MAPS)
    for other in others:
        assert first ^ other <= {"melody.low_hz", "melody.high_hz", "microphone.high_pass_hz", "microphone.gate_db"}


@ALL
def test_no_control_and_no_parameter_comes_twice(name):
    assert len(bound(name)) == len(MAPS[name]["binding"]) == len(set(bound(name).values()))


@ALL
def test_buttons_flip_switches_and_everything_else_moves_what_is_continuous(name):
    for binding in MAPS[name]["binding"]:
        switch = PARAMETERS[binding["parameter"]].unit == "switch"
        assert switch == (binding["parameter"] in BUTTONS) == (binding.get("kind", "absolute") == "toggle")


@ALL
def test_ranges_lie_within_the_parameters_and_hold_their_defaults(name):
    for binding in MAPS[name]["binding"]:
        parameter = PARAMETERS[binding["parameter"]]
        low, high = binding.get("low", parameter.low), binding.get("high", parameter.high)
        assert parameter.low <= low <= parameter.default <= high <= parameter.high and low < high


def test_a_launch_control_is_heard_in_its_first_factory_template_alone():
    assert {binding.get("channel") for binding in MAPS["launch-control-xl"]["binding"]} == {9}


def test_the_lights_of_a_launch_control_are_amber_for_mute_and_green_for_solo():
    for binding in MAPS["launch-control-xl"]["binding"]:
        if binding.get("kind") == "toggle":
            green, red, flags = binding["on"] >> 4, binding["on"] & 3, binding["on"] & 12
            assert (green, red, flags) == (3, 0 if binding["parameter"] in SOLOS else 3, 12)
            assert binding["off"] == 12


@ALL
def test_the_ports_of_a_device_find_its_map(name, tmp_path, monkeypatch):
    monkeypatch.setenv("RTSEP_CONFIG", str(tmp_path))
    assert [load_controller(port) for port in PORTS[name]] == [MAPS[name]] * len(PORTS[name])


def test_ports_of_other_devices_find_none(tmp_path, monkeypatch):
    monkeypatch.setenv("RTSEP_CONFIG", str(tmp_path))
    assert [load_controller(port) for port in STRANGERS] == [None] * len(STRANGERS)


@ALL
def test_a_map_works_whole(name):
    rig = Rig(name)
    assert MAPS[name]["format"] == FORMAT
    assert rig.surface.problems == [] and rig.surface.conflicts == []


@ALL
def test_a_fader_goes_from_silence_by_0_db_to_12_db(name):
    rig = Rig(name)
    for control, id in bound(name).items():
        if id.endswith(".gain_db") or id == "microphone.reverb_db":
            rig.send(control, *range(128))
            assert rig.parameters[id].value == 12
            rig.send(control, 100)
            assert rig.parameters[id].value == 0
            rig.send(control, 0)
            assert rig.parameters[id].value == -math.inf


@ALL
def test_a_knob_goes_from_end_to_end(name):
    rig = Rig(name)
    for binding in MAPS[name]["binding"]:
        parameter = PARAMETERS[binding["parameter"]]
        if binding.get("kind", "absolute") == "absolute" and parameter.high != 12:
            rig.send(binding["control"], *range(128))
            assert rig.parameters[parameter.id].value == binding.get("high", parameter.high)
            rig.send(binding["control"], 0)
            low = binding.get("low", parameter.low)
            assert rig.parameters[parameter.id].value == (-math.inf if parameter.id == "microphone.gate_db" else low)


@ALL
def test_each_press_of_a_button_flips_its_switch_and_its_light(name):
    rig = Rig(name)
    rig.lights()
    for binding in MAPS[name]["binding"]:
        if binding.get("kind") == "toggle":
            control, id = binding["control"], binding["parameter"]
            for value in (1, 0):
                rig.send(control, 127, 0)
                assert rig.parameters[id].value == value
                light = binding.get("on", 127) if value else binding.get("off", 0)
                assert rig.lights() == [rig.bytes(control, light)]
