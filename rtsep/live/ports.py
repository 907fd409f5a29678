"""The computer's MIDI systems and their ports: which there are, what they are called, and how one is opened.

The library is RtMidi (Gary P. Scavone) in one of its two bindings for Python.
"""

import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from ..errors import Unavailable

OWN = "rtsep"
"""The port of ours that programs connect to."""

_CLIENT = "rtsep-midi"  # what the MIDI systems call us; JACK puts a number behind it for all but the first of a name
_OURS = re.compile(rf"({OWN}|{_CLIENT}(-\d+)?)(:|$)")
_THROUGH = "midi through"  # ALSA's, which sends whatever it is sent
_BRIDGED = ("a2j:", "Midi-Bridge:", "system:midi_")  # ports of ALSA that are shown on a JACK server too

_CORE, _ALSA, _JACK, _WINDOWS = 1, 2, 3, 4  # RtMidi::Api
_NAMES = {_CORE: "CoreMIDI", _ALSA: "ALSA", _JACK: "JACK (is its server running?)", _WINDOWS: "Windows"}
_SEQUENCER = "/dev/snd/seq"

# What a system puts behind the name of a port, which changes from plug to plug.
_CHANGING = {_ALSA: re.compile(r" \d+:\d+$"), _WINDOWS: re.compile(r" \d+$")}

# What tells a controller's two ports apart where they are not of one name: "MIDIIN2 (X)" and "MIDIOUT2 (X)" on Windows,
# "nanoKONTROL2 SLIDER/KNOB" and "nanoKONTROL2 CTRL" on macOS, "x:midi_out" and "x:midi_in" on JACK.
_DIRECTION = re.compile(
    r"(?<![a-z])(midi)?(in|out)(put)?(?![a-z])|capture|playback|sliders?/knobs?|ctrl", re.IGNORECASE
)

_QUEUE = 16384  # messages that a port holds until it is polled

# A JACK client that closes cancels its thread of notifications, be it in the middle of one and holding a lock, and may
# then wait for ever. So the news of one client's end should have gone round before the next one ends.
_SETTLE_S = 0.05


def ports(jack: bool = False) -> list[tuple[str, bool, bool]]:
    """The ports that are there: name, whether it sends to us, whether it takes what we send.

    Raises `Unavailable` if there is no MIDI.
    """
    systems, problems = open_systems(jack)
    if not systems:
        raise Unavailable(" ".join(problems))
    found: dict[str, tuple[bool, bool]] = {}
    for system in systems:
        inputs, outputs = list_ports(system, systems)
        partners = partners_of(inputs, outputs)
        for port in inputs:
            found[free_name(port.name, found)] = True, port in partners
        for port in outputs:
            if port not in partners.values():
                found[free_name(port.name, found)] = False, True
    for system in systems:
        system.close()
    return [(name, *ways) for name, ways in found.items()]


class System:
    """One of the computer's MIDI systems: lists and opens its ports, and has one of our own where that can be.

    Fails, in its constructor, if it cannot be had.
    """

    def __init__(self, api: int) -> None:
        self.api = api
        self._library, number = _library()
        self._number = number(api)
        self.input = self._library.MidiIn(self._number, _CLIENT, _QUEUE)
        self.output = self._library.MidiOut(self._number, _CLIENT)
        if self.input.get_current_api() != self._number:
            raise Unavailable("the MIDI library was built without it.")
        self.input.get_ports()
        self.has_own = api != _WINDOWS
        if self.has_own:
            self.input.open_virtual_port(OWN)

    def open_input(self, port: "Listed") -> Any:
        """What `port` sends, to be polled. Fails if the port has gone."""
        return _connected(self._library.MidiIn(self._number, _CLIENT, _QUEUE), port, "in")

    def open_output(self, port: "Listed") -> Any:
        """What takes messages for `port`. Fails if the port has gone."""
        return _connected(self._library.MidiOut(self._number, _CLIENT), port, "out")

    def let_go(self, device: Any) -> None:
        """Close what `open_input` or `open_output` gave."""
        device.delete()
        if self.api == _JACK:
            time.sleep(_SETTLE_S)

    def close(self) -> None:
        self.let_go(self.input)
        self.let_go(self.output)


class Listed(NamedTuple):
    """A port in a list; one that was in the last list too is equal."""

    system: System
    full_name: str
    place: int  # among the ports of that full name
    alike: int  # how many there are: with another one, nobody knows which of them is which

    @property
    def name(self) -> str:
        """What stays from plug to plug."""
        changing = _CHANGING.get(self.system.api)
        return changing.sub("", self.full_name) if changing else self.full_name

    @property
    def controller(self) -> str:
        """What the input and the output of a controller have in common."""
        return _DIRECTION.sub("", self.name).lower()


def _connected(device: Any, port: Listed, name: str) -> Any:
    try:
        # Listed anew, as the numbers shift whenever something is plugged in or out.
        numbers = [number for number, full_name in enumerate(device.get_ports()) if full_name == port.full_name]
        device.open_port(numbers[port.place], name)
    except BaseException:
        device.delete()
        raise
    return device


def _library() -> tuple[Any, Callable[[int], Any]]:
    """A binding of RtMidi, and what turns a number of its API into what that binding takes."""
    with suppress(ImportError):
        import rtmidi

        return rtmidi, int
    with suppress(ImportError):
        import supriya_midi

        return supriya_midi, supriya_midi.RtMidiAPI
    raise Unavailable("no MIDI: neither python-rtmidi nor supriya-midi is installed (pip install python-rtmidi).")


def open_systems(jack: bool) -> tuple[list[System], list[str]]:
    """The MIDI systems that can be had, and a sentence for each that is missed.

    Raises `Unavailable` without the library.
    """
    _library()
    systems: list[System] = []
    problems = []
    for api in [_JACK] * jack + [{"darwin": _CORE, "win32": _WINDOWS}.get(sys.platform, _ALSA)]:
        problem = _without_sequencer() if api == _ALSA else None
        try:
            if problem is None:
                systems.append(System(api))
            elif not systems:  # else nobody misses it
                problems.append(problem)
        except Exception as error:
            problems.append(f"no MIDI through {_NAMES[api]}: {error}")
    return systems, problems


def _without_sequencer() -> str | None:
    """Why ALSA has no MIDI; ALSA itself would complain on standard error."""
    if not os.path.exists(_SEQUENCER):
        return f"no MIDI here: {_SEQUENCER} is missing (modprobe snd-seq)."
    if not os.access(_SEQUENCER, os.R_OK | os.W_OK):
        return f"no permission for {_SEQUENCER}: add yourself to the group audio and log in again."
    return None


def list_ports(system: System, systems: list[System]) -> tuple[list[Listed], list[Listed]]:
    """The inputs and the outputs of `system` that are worth opening."""

    def worth(name: str | None) -> bool:
        if not name or _OURS.match(name) or _THROUGH in name.lower():
            return False
        return len(systems) == 1 or not name.startswith(_BRIDGED)

    def listed(device: Any) -> list[Listed]:
        names = [name for name in device.get_ports() if worth(name)]
        return [Listed(system, name, names[:i].count(name), names.count(name)) for i, name in enumerate(names)]

    return listed(system.input), listed(system.output)


def partners_of(inputs: list[Listed], outputs: list[Listed]) -> dict[Listed, Listed]:
    """The output of each input's controller; of controllers that are alike the first has the first."""
    partners: dict[Listed, Listed] = {}
    for port in inputs:
        for output in outputs:
            if output.controller == port.controller and output not in partners.values():
                partners[port] = output
                break
    return partners


def free_name(name: str, taken: Iterable[str]) -> str:
    """`name`, or if it is `taken` with the first number behind it that is not."""
    free, number = name, 2
    while free in taken:
        free, number = f"{name} {number}", number + 1
    return free
