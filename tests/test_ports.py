"""MIDI ports: controllers come, go and come back by name, and none of their troubles is anybody else's."""

import os
import sys
import time
from collections import deque
from types import SimpleNamespace

import pytest
from studio import server

from rtsep.errors import BadInput, Unavailable
from rtsep.live import controllers
from rtsep.live import ports as module
from rtsep.live.bindings import Binding
from rtsep.live.controllers import Midi
from rtsep.live.messages import Control, Message
from rtsep.live.ports import ports
from rtsep.live.surface import Surface
from rtsep.parameters import INDEX, Parameters

CORE, ALSA, JACK, WINDOWS = 1, 2, 3, 4
PATIENCE_S = 30
KNOBS = "Knobs:Knobs MIDI 1"


class Library:
    """RtMidi, as far as it is used, and the controllers that it finds, by their full names."""

    def __init__(self, *there):
        self.sources, self.sinks = list(there), list(there)
        self.devices, self.sent = [], []
        self.lacking, self.broken, self.busy, self.failing = set(), set(), set(), False

    def MidiIn(self, api, name, limit):  # noqa: N802
        assert limit >= 1024
        return Device(self, api, self.sources)

    def MidiOut(self, api, name):  # noqa: N802
        return Device(self, api, self.sinks)

    def plug(self, *names):
        self.sources += names
        self.sinks += names

    def unplug(self, *names):
        for name in names:
            for there in (self.sources, self.sinks):
                if name in there:
                    there.remove(name)
            for device in self.devices:
                if device.port == name:
                    device.port = "a cable that hangs loose"

    def send(self, name, data):
        """What the controller of that name sends, in pieces as RtMidi hands them over."""
        for device in self.devices:
            if device.port == name and device.there is self.sources:
                device.waiting += [list(bytes.fromhex(piece)) for piece in data.split(",")]

    def open(self, there):
        return [device.port for device in self.devices if device.there is there and device.port]


class Device:
    def __init__(self, library, api, there):
        if api in library.lacking:
            raise OSError("not running")
        self.library, self.api, self.there = library, api, there
        self.port, self.waiting = None, deque()
        library.devices.append(self)

    def _use(self):
        assert self in self.library.devices, "used after it was deleted: this would crash"

    def get_current_api(self):
        return self.api

    def get_ports(self):
        self._use()
        if self.library.failing:
            raise OSError("a port went while it was looked at")
        return list(self.there)

    def open_port(self, number, name):
        self._use()
        if self.there[number] in self.library.busy:
            raise OSError("in use")
        self.port = self.there[number]

    def open_virtual_port(self, name):
        self._use()
        assert self.api != WINDOWS
        self.port = name

    def get_message(self):
        self._use()
        return (self.waiting.popleft(), 0.0) if self.waiting else None

    def send_message(self, data):
        self._use()
        if self.port in self.library.broken:
            raise OSError("broken")
        assert len(data) <= 3
        self.library.sent.append((self.port, bytes(data).hex(" ")))

    def delete(self):
        self._use()
        self.library.devices.remove(self)


class Hand:
    """A surface that only remembers."""

    def __init__(self, name):
        self.name, self.received, self.answers, self.bound = name, [], [], []
        self.refreshed = self.asked = 0

    def receive(self, message, now):
        if message.value == 13:
            raise ValueError("unlucky")
        self.received.append(message.value)

    def feedback(self, now):
        self.asked += 1
        answers, self.answers = self.answers, []
        return answers

    def refresh(self):
        self.refreshed += 1

    def bind(self, binding, add=False):
        gone, self.bound = ([], self.bound) if add else (self.bound, [])
        self.bound = [*self.bound, binding]
        return gone

    def forget(self, parameters):
        gone = [binding for binding in self.bound if binding.parameter in parameters]
        self.bound = [binding for binding in self.bound if binding.parameter not in parameters]
        return gone

    def put_back(self, gone, instead=()):
        self.bound = [binding for binding in self.bound if binding not in instead] + gone


class Rig:
    """A `Midi` whose turns are taken by hand."""

    def __init__(self, library, **options):
        self.library, self.now, self.kept = library, 100.0, []
        self.parameters = Parameters([0.0] * len(INDEX))
        options = {"surface": Hand, "learned": self.kept.append} | options
        self.midi = Midi(self.parameters, **options)
        self.midi.open()
        self.turn()

    def turn(self, seconds=0.0):
        """Time passes."""
        self.now += seconds
        self.midi.turn(self.now)

    def later(self):
        """The ports have been looked at again."""
        self.turn(1.0)

    def send(self, name, data):
        self.library.send(name, data)
        self.turn()

    def __getitem__(self, name):
        return self.midi.surfaces[name]


@pytest.fixture
def system(monkeypatch, tmp_path):
    """Makes a `Library` with these controllers the one on this computer, which runs that platform."""
    (tmp_path / "seq").touch()

    def make(*there, platform="linux"):
        library = Library(*there)
        monkeypatch.setitem(sys.modules, "rtmidi", library)
        monkeypatch.setattr(module, "_SEQUENCER", str(tmp_path / "seq"))
        monkeypatch.setattr(module, "sys", SimpleNamespace(platform=platform))
        return library

    return make


@pytest.fixture
def rig(system):
    def make(*there, platform="linux", **options):
        return Rig(system(*there, platform=platform), **options)

    return make


def test_what_a_controller_sends_reaches_its_surface(rig):
    rig = rig(f"{KNOBS} 20:0", "Pads:Pads 24:0")
    rig.send(f"{KNOBS} 20:0", "B0 07 40")
    rig.send("Pads:Pads 24:0", "91 24 64")
    assert (rig[KNOBS].received, rig["Pads:Pads"].received) == ([64], [100])
    assert rig.midi.activity == "Pads:Pads  note 36 = 100, channel 2"
    assert rig.midi.heard_s == rig.now
    assert rig.midi.problems == []


def test_each_port_has_a_stream_of_its_own(rig):
    rig = rig("A 20:0", "B 24:0")
    rig.send("A 20:0", "B0 63 00,B0 62 01")
    rig.send("B 24:0", "B0 06 05")
    rig.send("A 20:0", "B0 06 06")
    assert rig.midi.activity == "A  nrpn 1 = 6, channel 1"
    assert rig["B"].received == [5]


def test_everything_that_waits_is_heard_in_its_order_and_a_flood_leaves_the_others_their_turn(rig):
    rig = rig("A 20:0", "B 24:0")
    rig.library.send("A 20:0", ",".join(f"B0 07 {i % 10:02X}" for i in range(1000)))
    rig.send("B 24:0", "B0 07 05")
    assert rig["B"].received == [5]
    assert len(rig["A"].received) < 1000
    for _ in range(10):
        rig.turn()
    assert rig["A"].received == [i % 10 for i in range(1000)]


def test_programs_connect_to_a_port_of_ours(rig):
    rig = rig()
    rig.send("rtsep", "B0 07 40")
    assert rig["rtsep"].received == [64]
    assert rig.midi.open_ports == []


def test_a_controller_that_is_plugged_in_later_is_opened_within_a_quarter_of_a_second(rig):
    rig = rig()
    rig.library.plug(f"{KNOBS} 20:0")
    rig.turn(0.2)
    assert rig.midi.open_ports == []
    rig.turn(0.06)
    assert rig.midi.open_ports == [KNOBS]
    rig.send(f"{KNOBS} 20:0", "B0 07 40")
    assert rig[KNOBS].received == [64]


def test_a_controller_that_is_back_is_what_it_was_whatever_its_number(rig):
    rig = rig(f"{KNOBS} 20:0", "Pads 24:0")
    hand = rig[KNOBS]
    assert rig.library.open(rig.library.sinks) == [f"{KNOBS} 20:0", "Pads 24:0"]
    rig.library.unplug(f"{KNOBS} 20:0")
    rig.later()
    assert rig.midi.open_ports == ["Pads"]
    assert [rig.library.open(there) for there in (rig.library.sources, rig.library.sinks)] == [
        ["rtsep", "Pads 24:0"],
        ["Pads 24:0"],
    ]
    assert rig[KNOBS] is hand
    rig.library.plug(f"{KNOBS} 28:0")
    refreshed = hand.refreshed
    rig.later()
    assert rig.midi.open_ports == ["Pads", KNOBS]
    assert rig[KNOBS] is hand and hand.refreshed == refreshed + 1
    rig.send(f"{KNOBS} 28:0", "B0 07 40")
    assert hand.received == [64]


def test_what_a_cable_cut_off_is_forgotten(rig):
    rig = rig("A 20:0")
    rig.send("A 20:0", "B0 07")
    rig.library.unplug("A 20:0")
    rig.later()
    rig.library.plug("A 20:0")
    rig.later()
    rig.send("A 20:0", "40,B0 07 41")
    assert rig["A"].received == [65]


def test_of_two_that_are_alike_the_second_has_a_number_and_each_keeps_its_name(rig):
    rig = rig("A 20:0", "A 24:0")
    assert rig.midi.open_ports == ["A", "A 2"]
    rig.library.unplug("A 20:0")
    rig.later()
    assert rig.midi.open_ports == ["A 2"]
    rig.library.plug("A 28:0")
    rig.later()
    assert rig.midi.open_ports == ["A 2", "A"]
    rig.send("A 24:0", "B0 07 40")
    rig.send("A 28:0", "B0 07 41")
    assert (rig["A 2"].received, rig["A"].received) == ([64], [65])
    rig["A"].answers, rig["A 2"].answers = [b"\xb0\x07\x01"], [b"\xb0\x07\x02"]
    rig.turn(0.02)
    assert set(rig.library.sent) == {("A 28:0", "b0 07 01"), ("A 24:0", "b0 07 02")}


def test_where_the_system_cannot_tell_two_apart_the_one_that_stays_is_still_heard(rig):
    rig = rig("Knobs", "Knobs", platform="darwin")
    assert rig.midi.open_ports == ["Knobs", "Knobs 2"]
    rig.library.unplug("Knobs")  # all cables of that name hang loose
    rig.later()
    assert rig.midi.open_ports == ["Knobs"]
    rig.send("Knobs", "B0 07 40")
    assert rig["Knobs"].received == [64]


def test_on_windows_a_port_has_no_number_there_is_none_of_ours_and_numbers_shift(rig):
    rig = rig("Pads 0", "MIDIIN2 (Knobs) 1", platform="win32")
    assert rig.midi.open_ports == ["Pads", "MIDIIN2 (Knobs)"]
    assert list(rig.midi.surfaces) == ["Pads", "MIDIIN2 (Knobs)"]
    rig.library.unplug("Pads 0", "MIDIIN2 (Knobs) 1")
    rig.library.plug("MIDIIN2 (Knobs) 0")
    rig.later()
    rig.send("MIDIIN2 (Knobs) 0", "B0 07 40")
    assert rig.midi.open_ports == ["MIDIIN2 (Knobs)"]
    assert rig["MIDIIN2 (Knobs)"].received == [64]


def test_a_name_keeps_what_belongs_to_it(rig):
    assert rig("Launchkey:Launchkey MIDI 2 20:1").midi.open_ports == ["Launchkey:Launchkey MIDI 2"]
    assert rig("KeyStep 37", platform="darwin").midi.open_ports == ["KeyStep 37"]


@pytest.mark.parametrize(
    "name",
    ["rtsep-midi:in 130:0", "rtsep-midi:rtsep 131:0", "rtsep:rtsep 132:0", "Midi Through:Midi Through Port-0 14:0"],
)
def test_what_would_hear_itself_is_not_opened(rig, name):
    rig = rig(name)
    assert rig.midi.open_ports == []
    assert rig.library.open(rig.library.sources) == ["rtsep"]


@pytest.mark.parametrize("name", ["rtsep-midi-03:out", "rtsep-midi:rtsep", "a2j:Midi Through [14] (capture): Port-0"])
def test_what_would_hear_itself_over_jack_is_not_opened(rig, name):
    rig = rig(name, jack=True)
    assert rig.midi.open_ports == []


def test_a_program_whose_name_begins_like_ours_is_another_one(rig):
    assert rig("rtsep-knobs:out 20:0").midi.open_ports == ["rtsep-knobs:out"]


BRIDGES = [
    "a2j:Knobs [20] (capture): Knobs MIDI 1",
    "Midi-Bridge:Knobs:(capture_0) Knobs MIDI 1",
    "system:midi_capture_1",
]


@pytest.mark.parametrize("bridged", BRIDGES)
def test_a_controller_that_is_there_twice_is_opened_once(system, monkeypatch, bridged):
    library = system(f"{KNOBS} 20:0")

    def made(self, api, name, limit):
        return Device(self, api, self.sources if api == ALSA else [bridged, "synth:out"])

    monkeypatch.setattr(Library, "MidiIn", made)
    assert sorted(Rig(library, jack=True).midi.open_ports) == [KNOBS, "synth:out"]


@pytest.mark.parametrize("bridged", BRIDGES)
def test_without_alsa_a_bridge_is_welcome(system, monkeypatch, tmp_path, bridged):
    library = system(bridged)
    monkeypatch.setattr(module, "_SEQUENCER", str(tmp_path / "none"))
    rig = Rig(library, jack=True)
    assert rig.midi.open_ports == [bridged]
    assert rig.midi.problems == []


def test_only_the_ports_that_were_asked_for_are_opened(rig):
    rig = rig("Knobs 20:0", "Pads 24:0", only="knob")
    assert rig.midi.open_ports == ["Knobs"]
    assert rig.midi.problems == []
    rig.library.unplug("Knobs 20:0")
    rig.later()
    assert rig.midi.problems == ["no controller has 'knob' in its name: there is 'Pads'."]
    rig.library.plug("MyKnobs 20:0")
    rig.later()
    assert rig.midi.problems == []
    assert rig.midi.open_ports == ["MyKnobs"]


def test_only_the_channel_that_was_asked_for_is_heard(rig):
    heard = []
    rig = rig("A 20:0", channel=2, heard=lambda *what: heard.append(what))
    rig.send("A 20:0", "B0 07 40,B1 07 41,B2 07 42")
    assert rig["A"].received == [65]
    assert heard == [("A", Message(Control("cc", 2, 7), 65, 7))]


def test_values_go_back_to_the_controller_message_by_message_50_times_a_second(rig):
    rig = rig("A 20:0")
    rig["A"].answers = [bytes.fromhex("B0 63 00 B0 62 01 B0 06 05"), bytes.fromhex("C0 05 90 24 00")]
    rig.turn(0.02)
    assert rig.library.sent == [("A 20:0", data) for data in ("b0 63 00", "b0 62 01", "b0 06 05", "c0 05", "90 24 00")]
    asked = rig["A"].asked
    for _ in range(1000):
        rig.turn(0.001)
    assert 45 <= rig["A"].asked - asked <= 51


@pytest.mark.parametrize(
    "source, sink, platform",
    [
        ("Knobs 0", "Knobs 3", "win32"),
        ("MIDIIN2 (Knobs) 1", "MIDIOUT2 (Knobs) 1", "win32"),
        ("nanoKONTROL2 SLIDER/KNOB", "nanoKONTROL2 CTRL", "darwin"),
        ("motor:midi_out", "motor:midi_in", "jack"),
        ("carla:events-out", "carla:events-in", "jack"),
        ("a2j:Knobs [20] (capture): Knobs", "a2j:Knobs [20] (playback): Knobs", "jack"),
        ("system:midi_capture_1", "system:midi_playback_1", "jack"),
        ("Midi-Bridge:Knobs:(capture_0) Knobs", "Midi-Bridge:Knobs:(playback_0) Knobs", "jack"),
    ],
)
def test_the_output_of_a_controller_is_found_by_what_its_name_shares_with_the_input(
    system, monkeypatch, source, sink, platform
):
    library = system(platform=platform.replace("jack", "linux"))
    library.sources, library.sinks = [source], ["Other 7", sink, "Winder:in"]
    if platform == "jack":
        monkeypatch.setattr(module, "_SEQUENCER", "/none")
    rig = Rig(library, jack=platform == "jack")
    assert library.open(library.sinks) == [sink]
    rig[rig.midi.open_ports[0]].answers = [b"\xb0\x07\x01"]
    rig.turn(0.02)
    assert library.sent == [(sink, "b0 07 01")]
    assert [ways for _, *ways in ports(platform == "jack")] == [[True, True], [False, True], [False, True]]


@pytest.mark.parametrize(
    "source, sink", [("Knobs A", "Knobs B"), ("Knobs A", "Winder:Knobs A"), ("Twin", "Tw"), ("Inkeys", "keys")]
)
def test_nothing_is_sent_to_another_controller(system, source, sink):
    library = system(f"{source} 20:0")
    library.sinks = [f"{sink} 20:1"]
    rig = Rig(library)
    assert library.open(library.sinks) == []
    rig.turn(0.02)
    assert rig[source].asked == 0


def test_an_output_that_breaks_is_closed_and_told_of_and_the_input_goes_on(rig):
    rig = rig("A 20:0", "B 24:0")
    rig.library.broken.add("A 20:0")
    rig["A"].answers = rig["B"].answers = [b"\xb0\x07\x01"]
    rig.turn(0.02)
    assert rig.midi.problems == ["A takes no more feedback: OSError: broken"]
    assert rig.library.open(rig.library.sinks) == ["B 24:0"]
    assert rig.library.sent == [("B 24:0", "b0 07 01")]
    rig.send("A 20:0", "B0 07 40")
    assert rig["A"].received == [64]
    rig.library.unplug("A 20:0")
    rig.later()
    rig.library.broken.clear()
    rig.library.plug("A 20:0")
    rig.later()
    assert rig.midi.problems == []
    rig["A"].answers = [b"\xb0\x07\x02"]
    rig.turn(0.02)
    assert rig.library.sent[-1] == ("A 20:0", "b0 07 02")


def test_an_output_may_come_after_its_input_and_go_before_it(rig):
    rig = rig()
    rig.library.sources.append("A 20:0")
    rig.later()
    rig.library.sinks.append("A 20:0")
    refreshed = rig["A"].refreshed
    rig.later()
    assert rig["A"].refreshed == refreshed + 1
    rig["A"].answers = [b"\xb0\x07\x01"]
    rig.turn(0.02)
    assert rig.library.sent == [("A 20:0", "b0 07 01")]
    rig.library.sinks.remove("A 20:0")
    rig.later()
    assert rig.library.open(rig.library.sinks) == []
    assert rig.midi.open_ports == ["A"] and rig.midi.problems == []


def test_the_controller_that_was_meant_is_opened_though_another_comes_at_that_moment(system, monkeypatch):
    library = system("Knobs 20:0")
    made = Library.MidiIn

    def late(self, api, name, limit):
        if self.devices:  # not for the first, which lists
            self.sources.insert(0, "Pads 16:0")
        return made(self, api, name, limit)

    monkeypatch.setattr(Library, "MidiIn", late)
    Rig(library)
    assert library.open(library.sources) == ["rtsep", "Knobs 20:0"]


def test_a_controller_that_is_busy_is_told_of_and_tried_again(rig):
    rig = rig()
    rig.library.busy.add("A 20:0")
    rig.library.plug("A 20:0", "B 24:0")
    rig.later()
    rig.later()
    assert rig.midi.problems == ["A cannot be opened: in use"]
    assert rig.midi.open_ports == ["B"]
    assert len(rig.library.devices) == 4  # what lists, and B
    rig.library.busy.clear()
    rig.later()
    assert rig.midi.problems == []
    assert rig.midi.open_ports == ["B", "A"]


def test_an_output_that_is_busy_is_told_of_and_tried_again_while_the_input_works(system):
    library = system(platform="darwin")
    library.sources, library.sinks = ["nanoKONTROL2 SLIDER/KNOB"], ["nanoKONTROL2 CTRL"]
    library.busy.add("nanoKONTROL2 CTRL")
    rig = Rig(library)
    rig.later()
    assert rig.midi.problems == ["nanoKONTROL2 SLIDER/KNOB cannot be opened: in use"]
    rig.send("nanoKONTROL2 SLIDER/KNOB", "B0 07 40")
    assert rig["nanoKONTROL2 SLIDER/KNOB"].received == [64]
    library.busy.clear()
    rig.later()
    assert rig.midi.problems == []
    assert library.open(library.sinks) == ["nanoKONTROL2 CTRL"]


def test_a_list_that_fails_closes_nothing(rig):
    rig = rig("A 20:0")
    rig.library.failing = True
    rig.later()
    assert rig.midi.problems == ["the MIDI ports cannot be listed: a port went while it was looked at"]
    rig.send("A 20:0", "B0 07 40")
    assert rig["A"].received == [64]
    rig.library.failing = False
    rig.later()
    assert rig.midi.problems == [] and rig.midi.open_ports == ["A"]


def test_a_message_that_fails_is_told_of_once_and_the_others_go_on(rig):
    rig = rig("A 20:0", "B 24:0")
    for _ in range(3):
        rig.library.send("A 20:0", "B0 07 0D,B0 07 0E")
        rig.send("B 24:0", "B0 07 0F")
        rig.turn()
    assert rig["A"].received == [14] * 3 and rig["B"].received == [15] * 3
    assert rig.midi.problems == ["A sent what could not be used: ValueError: unlucky"]


def test_a_surface_that_cannot_be_made_is_told_of(rig):
    def refuse(name):
        if name != "B":
            raise BadInput("the file is wrong.")
        return Hand(name)

    rig = rig("A 20:0", "B 24:0", surface=refuse)
    assert rig.midi.open_ports == ["B"]
    assert rig.midi.problems == [
        "A cannot be opened: the file is wrong.",
        "rtsep cannot be opened: BadInput: the file is wrong.",
    ]


class Pupil:
    """A learner that is content with the first message."""

    def __init__(self, parameter):
        self.parameter, self.status, self.found = parameter, "move something", None

    def hear(self, port, message, now):
        self.found, self.status = port, f"that was {message.control.text}"
        self.binding = Binding(message.control.text, self.parameter)

    def poll(self, now):
        return self.found and (self.found, self.binding)


@pytest.fixture
def pupil(monkeypatch):
    monkeypatch.setattr(controllers, "Learner", Pupil)


def test_a_control_that_is_moved_is_learned_where_it_is_and_kept(rig, pupil):
    rig = rig("A 20:0", "B 24:0")
    rig.midi.learn("melody.gain_db")
    rig.turn()
    assert (rig.midi.learning, rig.midi.learn_status) == ("melody.gain_db", "move something")
    rig.send("B 24:0", "B0 07 40")
    assert rig["B"].bound == [Binding("cc 7", "melody.gain_db")]
    assert rig["B"].received == [] and rig["A"].bound == []
    assert rig.kept == [rig["B"]]
    assert (rig.midi.learning, rig.midi.learn_status) == (None, "that was cc 7")
    rig.send("B 24:0", "B0 07 41")
    assert rig["B"].received == [65]


def test_while_a_control_is_learned_panic_and_programs_still_work(rig, pupil):
    rig = rig("A 20:0")
    rig.midi.learn("melody.gain_db")
    rig.send("A 20:0", "B0 78 00,C0 05")
    assert rig["A"].received == [0, 5]
    assert rig.midi.learning == "melody.gain_db"


def test_what_is_learned_may_be_changed_and_added(rig, pupil):
    rig = rig("A 20:0")
    rig["A"].bind(Binding("cc 7", "bypass"))
    rig.midi.learn("melody.gain_db", {"takeover": "jump", "high": 0.0}, add=True)
    rig.send("A 20:0", "B0 07 40")
    assert rig["A"].bound == [Binding("cc 7", "bypass"), Binding("cc 7", "melody.gain_db", takeover="jump", high=0.0)]


def test_learning_can_be_canceled(rig, pupil):
    rig = rig("A 20:0")
    rig.midi.learn("melody.gain_db")
    rig.turn()
    rig.midi.cancel()
    assert (rig.midi.learning, rig.midi.learn_status) == (None, "")
    rig.send("A 20:0", "B0 07 40")
    assert rig["A"].received == [64] and rig["A"].bound == [] and rig.kept == []


def test_an_unknown_parameter_cannot_be_learned(rig, pupil):
    rig = rig()
    with pytest.raises(BadInput, match=r"unknown parameter 'melody.gain'"):
        rig.midi.learn("melody.gain")
    assert rig.midi.learning is None


@pytest.mark.parametrize(
    "changes, words", [({}, "the disk is full"), ({"takeover": "snatch"}, "unknown takeover 'snatch'")]
)
def test_what_cannot_be_learned_or_kept_is_told_and_ends_the_lesson(rig, pupil, changes, words):
    def refuse(surface):
        raise Unavailable("the disk is full")

    rig = rig("A 20:0", learned=refuse)
    rig.midi.learn("melody.gain_db", changes)
    rig.send("A 20:0", "B0 07 40")
    assert words in rig.midi.learn_status == str(rig.midi.learn_error) and rig.midi.learning is None
    rig.send("A 20:0", "B0 07 41")
    assert rig["A"].received == [65]


def test_a_parameter_is_forgotten_on_all_controllers_even_those_that_have_gone(rig):
    rig = rig("A 20:0", "B 24:0", "C 28:0")
    rig["A"].bound = [Binding("cc 1", "bypass"), Binding("cc 2", "limiter"), Binding("cc 3", "bypass")]
    rig["B"].bound = [Binding("cc 1", "bypass")]
    rig["C"].bound = [Binding("cc 1", "limiter")]
    rig.library.unplug("B 24:0")
    rig.later()
    undo = []
    rig.midi.undoable = lambda *step: undo.append(step)
    assert rig.midi.forget("the bypass", ["bypass"]) == 3
    assert rig.kept == [rig["A"], rig["B"]]
    assert rig["A"].bound == [Binding("cc 2", "limiter")]
    assert rig.midi.forget("the bypass", ["bypass"]) == 0
    ((what, back),) = undo
    assert what == "the controls of the bypass"
    back()
    assert len(rig["A"].bound) == 3 and rig["B"].bound == [Binding("cc 1", "bypass")]
    assert rig.kept == [rig["A"], rig["B"]] * 2


def test_what_a_learned_control_did_before_comes_back(rig, pupil):
    rig, undo = rig("A 20:0"), []
    rig["A"].bound = [Binding("cc 7", "bypass")]
    rig.midi.undoable = lambda *step: undo.append(step)
    rig.midi.learn("melody.gain_db")
    rig.send("A 20:0", "B0 07 40")
    ((what, back),) = undo
    assert what == "the control of melody.gain_db" and rig["A"].bound == [Binding("cc 7", "melody.gain_db")]
    back()
    assert rig["A"].bound == [Binding("cc 7", "bypass")] and rig.kept == [rig["A"]] * 2


def test_files_are_looked_at_as_often_as_ports_and_their_trouble_is_told(rig):
    looked = []

    def look(surfaces):
        looked.append([surface.name for surface in surfaces])
        if len(looked) == 3:
            raise OSError("the disk has gone")

    rig = rig("A 20:0", look=look)
    rig.turn(0.1)
    rig.turn(0.2)
    assert looked == [["rtsep", "A"]] * 2 and rig.midi.problems == []
    rig.later()
    assert rig.midi.problems == ["MIDI cannot look at its files: OSError: the disk has gone"]
    rig.send("A 20:0", "B0 07 40")
    assert rig["A"].received == [64]


def test_what_cannot_be_kept_is_still_forgotten_and_told(rig):
    def refuse(surface):
        raise Unavailable("the disk is full")

    rig = rig("A 20:0", learned=refuse)
    rig["A"].bound = [Binding("cc 1", "bypass")]
    assert rig.midi.forget("the bypass", ["bypass"]) == 1
    assert rig.midi.problems == ["A was not kept: Unavailable: the disk is full"]


def test_without_a_sequencer_the_remedy_is_told(system, monkeypatch, tmp_path):
    library = system("A 20:0")
    monkeypatch.setattr(module, "_SEQUENCER", str(tmp_path / "none"))
    rig = Rig(library)
    assert not rig.midi.works and library.devices == []
    assert rig.midi.problems == [f"no MIDI here: {tmp_path}/none is missing (modprobe snd-seq)."]
    rig.later()
    rig.midi.close()
    with pytest.raises(Unavailable, match="modprobe"):
        ports()


def test_without_permission_the_remedy_is_told(system, monkeypatch):
    library = system("A 20:0")
    monkeypatch.setattr(module, "os", SimpleNamespace(path=os.path, access=lambda *_: False, R_OK=4, W_OK=2))
    rig = Rig(library)
    assert "add yourself to the group audio" in rig.midi.problems[0] and len(rig.midi.problems) == 1
    assert library.devices == []


def test_without_a_jack_server_the_other_ports_work(system):
    library = system("A 20:0")
    library.lacking.add(JACK)
    rig = Rig(library, jack=True)
    assert rig.midi.works and rig.midi.open_ports == ["A"]
    assert rig.midi.problems == ["no MIDI through JACK (is its server running?): not running"]


def test_a_library_built_without_the_system_is_told_of(system, monkeypatch):
    library = system("A 20:0")
    monkeypatch.setattr(Device, "get_current_api", lambda self: CORE)
    rig = Rig(library)
    assert rig.midi.problems == ["no MIDI through ALSA: the MIDI library was built without it."]


def test_without_a_library_the_remedy_is_told(system, monkeypatch):
    system("A 20:0")
    for name in ("rtmidi", "supriya_midi"):
        monkeypatch.setitem(sys.modules, name, None)
    rig = Rig(None)
    assert not rig.midi.works
    assert rig.midi.problems == [
        "no MIDI: neither python-rtmidi nor supriya-midi is installed (pip install python-rtmidi)."
    ]
    rig.later()
    with pytest.raises(Unavailable, match="neither python-rtmidi nor supriya-midi"):
        ports()


def test_the_other_binding_of_the_library_does_as_well(system, monkeypatch):
    library = system("A 20:0")
    monkeypatch.setitem(sys.modules, "rtmidi", None)
    monkeypatch.setitem(sys.modules, "supriya_midi", library)
    library.RtMidiAPI = {ALSA: "LINUX_ALSA"}.__getitem__
    rig = Rig(library)
    rig.send("A 20:0", "B0 07 40")
    assert rig["A"].received == [64]
    assert {device.api for device in library.devices} == {"LINUX_ALSA"}


def test_ports_are_listed_with_what_they_are_good_for(system):
    library = system("A 20:0", "A 24:0", "Midi Through:Midi Through Port-0 14:0")
    library.sources.append("Keys 28:0")
    library.sinks.append("Synth 32:0")
    assert ports() == [
        ("A", True, True),
        ("A 2", True, True),
        ("Keys", True, False),
        ("Synth", False, True),
    ]
    assert library.devices == []


def wait_until(done):
    patience = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < patience
        time.sleep(0.001)


def test_in_a_context_a_thread_does_it_and_in_the_end_all_is_closed(system, monkeypatch):
    library = system("A 20:0")
    find = Midi.open

    def find_slowly(self):
        time.sleep(0.05)
        find(self)

    monkeypatch.setattr(Midi, "open", find_slowly)
    parameters = Parameters([0.0] * len(INDEX))
    with Midi(parameters, surface=Hand, learned=print) as midi:
        assert midi.open_ports == ["A"]
        for value in (1, 13, 2):
            library.send("A 20:0", f"B0 07 {value:02X}")
        wait_until(lambda: midi.surfaces["A"].received == [1, 2])
    assert library.devices == []
    assert not midi._thread.is_alive()


def test_a_thread_that_fails_holds_up_nobody(system, monkeypatch):
    library = system("A 20:0")
    monkeypatch.setattr(Midi, "_list", lambda self: 1 / 0)
    start = time.monotonic()
    with Midi(Parameters([0.0] * len(INDEX)), surface=Hand, learned=print) as midi:
        wait_until(lambda: midi.problems == ["MIDI has ended: ZeroDivisionError: division by zero"])
    assert time.monotonic() - start < controllers._PATIENCE_S
    assert library.devices == []


class Motor:
    """A controller on a JACK server. (Not by JACK-Client: RtMidi opens ports with Python's lock held.)"""

    def __init__(self):
        import rtmidi

        self.output = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, "motor_out")
        self.output.open_virtual_port("midi")
        self.input = rtmidi.MidiIn(rtmidi.API_UNIX_JACK, "motor_in")
        self.input.open_virtual_port("midi")

    def hears(self, data):
        """Whether `data` is what it is sent next."""
        got = self.input.get_message()
        return got is not None and bytes(got[0]) == data

    def close(self):
        self.output.delete()
        self.input.delete()


def test_a_controller_on_a_sound_server_is_heard_answered_and_found_again_by_its_name():
    pytest.importorskip("rtmidi", reason="python-rtmidi is not installed")
    parameters = Parameters([0.0] * len(INDEX))
    level, name = parameters["melody.gain_db"], "motor_out:midi"
    unity, bottom = b"\xb0\x07\x64", b"\xb0\x07\x00"
    received = []

    def surface(name):
        return Surface(parameters, name, [Binding("cc 7", level.info.id, takeover="jump")], feedback=True, recall=print)

    options = dict(surface=surface, learned=print, heard=lambda port, message: received.append(message.value))
    with server():
        motor = Motor()
        try:
            with Midi(parameters, jack=True, **options) as midi:
                assert name in midi.open_ports
                known = midi.surfaces[name]
                assert (name, True, True) in ports(jack=True)
                wait_until(lambda: motor.hears(unity))
                for value in range(1000):
                    motor.output.send_message((0xB0, 7, value % 128))
                wait_until(lambda: len(received) == 1000)
                assert received == [value % 128 for value in range(1000)]
                assert level.value == level.info.from_normalized(999 % 128 / 127)
                motor.close()
                wait_until(lambda: name not in midi.open_ports)
                level.value = 0
                motor = Motor()
                wait_until(lambda: name in midi.open_ports)
                assert midi.surfaces[name] is known
                wait_until(lambda: motor.hears(unity))
                motor.output.send_message(bottom)
                wait_until(lambda: level.text == "-inf dB")
                assert midi.problems == []
        finally:
            motor.close()
