"""MIDI ports: found by name, opened when they appear, closed when they go, and polled by a thread of their own.

The library is RtMidi (Gary P. Scavone) in one of its two bindings for Python. It does not tell of a controller that is
plugged in or pulled out, so the ports are listed again and again.
"""

import math
import os
import re
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from threading import Event, Thread
from typing import Any, NamedTuple

from ..errors import Unavailable, some
from ..parameters import Parameters
from .bindings import Binding, Surface
from .messages import Message, Parser
from .midi_learn import Learner

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

_MESSAGES = re.compile(rb"[\x80-\xff][\x00-\x7f]*")  # RtMidi sends them one by one

_QUEUE = 16384  # messages that a port holds until it is polled
_AT_ONCE = 256  # of one port, so that a flood on it leaves the others their turn
_TURN_S, _RESTING_TURN_S = 0.001, 0.003  # a turn each ms takes 2 % of a core, most of it to fall asleep and wake up
_RESTING_S = 1.0  # without a message
_FEEDBACK_S = 0.02
_LISTING_S = 0.25  # a cable that is pulled and put back takes longer
_PATIENCE_S = 5.0

# A JACK client that closes cancels its thread of notifications, be it in the middle of one and holding a lock, and may
# then wait for ever. So the news of one client's end should have gone round before the next one ends.
_SETTLE_S = 0.05


def ports(jack: bool = False) -> list[tuple[str, bool, bool]]:
    """The ports that are there: name, whether it sends to us, whether it takes what we send.

    Raises `Unavailable` if there is no MIDI.
    """
    systems, problems = _systems(jack)
    if not systems:
        raise Unavailable(" ".join(problems))
    found: dict[str, tuple[bool, bool]] = {}
    for system in systems:
        inputs, outputs = _listed(system, systems)
        partners = _partners(inputs, outputs)
        for port in inputs:
            found[_free(port.name, found)] = True, port in partners
        for port in outputs:
            if port not in partners.values():
                found[_free(port.name, found)] = False, True
    for system in systems:
        system.close()
    return [(name, *ways) for name, ways in found.items()]


class _System:
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

    def open_input(self, port: "_Listed") -> Any:
        """What `port` sends, to be polled. Fails if the port has gone."""
        return _connected(self._library.MidiIn(self._number, _CLIENT, _QUEUE), port, "in")

    def open_output(self, port: "_Listed") -> Any:
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


class _Listed(NamedTuple):
    """A port in a list; one that was in the last list too is equal."""

    system: _System
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


def _connected(device: Any, port: _Listed, name: str) -> Any:
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


def _systems(jack: bool) -> tuple[list[_System], list[str]]:
    """The MIDI systems that can be had, and a sentence for each that is missed."""
    systems: list[_System] = []
    problems = []
    for api in [_JACK] * jack + [{"darwin": _CORE, "win32": _WINDOWS}.get(sys.platform, _ALSA)]:
        problem = _without_sequencer() if api == _ALSA else None
        try:
            if problem is None:
                systems.append(_System(api))
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


def _listed(system: _System, systems: list[_System]) -> tuple[list[_Listed], list[_Listed]]:
    """The inputs and the outputs of `system` that are worth opening."""

    def worth(name: str | None) -> bool:
        if not name or _OURS.match(name) or _THROUGH in name.lower():
            return False
        return len(systems) == 1 or not name.startswith(_BRIDGED)

    def listed(device: Any) -> list[_Listed]:
        names = [name for name in device.get_ports() if worth(name)]
        return [_Listed(system, name, names[:i].count(name), names.count(name)) for i, name in enumerate(names)]

    return listed(system.input), listed(system.output)


def _partners(inputs: list[_Listed], outputs: list[_Listed]) -> dict[_Listed, _Listed]:
    """The output of each input's controller; of controllers that are alike the first has the first."""
    partners: dict[_Listed, _Listed] = {}
    for port in inputs:
        for output in outputs:
            if output.controller == port.controller and output not in partners.values():
                partners[port] = output
                break
    return partners


def _free(name: str, taken: Iterable[str]) -> str:
    """`name`, or if it is `taken` with the first number behind it that is not."""
    free, number = name, 2
    while free in taken:
        free, number = f"{name} {number}", number + 1
    return free


@dataclass
class _Port:
    """A controller that is open."""

    name: str
    system: _System
    surface: Surface
    input: Any
    output: Any = None
    partner: _Listed | None = None  # what `output` leads to, or led to until it broke
    parser: Parser = field(default_factory=Parser)


class Midi:
    """All controllers of a run: hears them, answers them, and opens and closes them as they come and go.

    Entered as a context, it does so in a thread of its own. No trouble with MIDI ends it: `problems` tells of it.

    Parameters
    ----------
    jack : whether to look on a JACK server too; it must run
    only : part of the names of the ports to open, in any case
    channel : the only one that is heard, 1 to 16
    surface : makes the `Surface` for a port of that name
    learned : is called with a surface that has a new binding, or fewer
    heard : is called with the name of the port and each message
    look : is called with all surfaces each time the ports are listed

    Attributes: `works`, whether there is MIDI at all; `surfaces` by the names of their ports, of those too that have
    gone, for when they are back; `open_ports`, the names of controllers; `activity`, the last message as text, and
    `heard_s`, its time.monotonic(); `learn_status`, what to do next to learn a binding, or what has been learned, and
    `learn_error`, why that could not be done or kept.

    To be set: `undoable` is called with what was done to bindings, in words, and with what takes it back; `recalled`
    with the name of a preset that a program change has recalled.
    """

    def __init__(
        self,
        parameters: Parameters,
        *,
        jack: bool = False,
        only: str | None = None,
        channel: int | None = None,
        surface: Callable[[str], Surface],
        learned: Callable[[Surface], object],
        heard: Callable[[str, Message], object] | None = None,
        look: Callable[[Iterable[Surface]], object] = lambda surfaces: None,
    ) -> None:
        self._parameters, self._jack, self._only, self._channel = parameters, jack, only, channel
        self._make_surface, self._learned, self._heard, self._look = surface, learned, heard, look
        self._systems: list[_System] = []
        self._ports: dict[_Listed | _System, _Port] = {}  # a system stands for our own port
        self._listing_s = self._feedback_s = -math.inf
        self._missing: list[str] = []
        self._failed: dict[str, str] = {}  # by what did
        self._unopened: list[str] = []
        self._learning: tuple[Learner, Mapping[str, Any], bool] | None = None
        self._thread = Thread(target=self._run, name="midi", daemon=True)
        self._ready, self._ended = Event(), False
        self.works = False
        self.surfaces: dict[str, Surface] = {}
        self.open_ports: list[str] = []
        self.activity, self.heard_s, self.learn_status = "", -math.inf, ""
        self.learn_error: Exception | None = None
        self.undoable: Callable[[str, Callable[[], object]], object] = lambda what, back: None
        self.recalled: Callable[[str], object] = lambda name: None

    @property
    def problems(self) -> list[str]:
        """A sentence for each thing that is wrong."""
        return [*self._missing, *self._unopened, *self._failed.values()]

    def __enter__(self) -> "Midi":
        self._thread.start()
        self._ready.wait(_PATIENCE_S)
        return self

    def __exit__(self, *error: object) -> None:
        self._ended = True
        self._thread.join(_PATIENCE_S)

    def _run(self) -> None:
        # macOS tells of controllers that come only in the thread in which the first client was made.
        with self._guarded("MIDI", "has ended"):
            self.open()
            while not self._ended:
                self.turn(now := time.monotonic())
                self._ready.set()
                time.sleep(_TURN_S if now < self.heard_s + _RESTING_S else _RESTING_TURN_S)
        self._ready.set()
        self.close()

    def open(self) -> None:
        """Find the computer's MIDI systems."""
        try:
            _library()
            self._systems, self._missing = _systems(self._jack)
        except Unavailable as error:
            self._missing = [str(error)]
        self.works = bool(self._systems)
        for system in self._systems:
            if system.has_own:
                with self._guarded(OWN, "cannot be opened"):
                    self._ports[system] = _Port(OWN, system, self._surface(OWN), system.input)

    def close(self) -> None:
        """Close all ports."""
        for key in [key for key in self._ports if key not in self._systems]:
            self._close(self._ports.pop(key))
        for system in self._systems:
            with self._guarded("MIDI", "was not closed"):
                system.close()

    def turn(self, now: float) -> None:
        """Do what there is to do at `now`, in seconds; to be called each few milliseconds."""
        if now >= self._listing_s:
            self._listing_s = now + _LISTING_S
            self._list()
            with self._guarded("MIDI", "cannot look at its files"):
                self._look(self.surfaces.values())
        for port in self._ports.values():
            try:
                self._poll(port, now)
            except Exception as error:
                self._fail(port.name, "sent what could not be used", error)
        if self._learning:
            self._learn(now)
        if now >= self._feedback_s:
            self._feedback_s = now + _FEEDBACK_S
            for port in self._ports.values():
                if port.output:
                    with self._guarded(port.name, "takes no more feedback"):
                        self._answer(port, now)

    @contextmanager
    def _guarded(self, who: str, failing: str) -> Iterator[None]:
        """Go on after any failure."""
        try:
            yield
        except Exception as error:
            self._fail(who, failing, error)

    def _fail(self, who: str, failing: str, error: Exception) -> None:
        """Tell of the first failure of each port."""
        self._failed.setdefault(who, f"{who} {failing}: {type(error).__name__}: {error}")

    def _list(self) -> None:
        """Close what has gone, and open what has come."""
        partners: dict[_Listed, _Listed | None] = {}
        try:
            for system in self._systems:
                inputs, outputs = _listed(system, self._systems)
                partners |= dict.fromkeys(inputs) | _partners(inputs, outputs)
        except Exception as error:  # a port may go while the list is made
            self._unopened = [f"the MIDI ports cannot be listed: {error}"]
            return
        unopened = []
        if self._only:
            there = [port.name for port in partners]
            partners = {port: output for port, output in partners.items() if self._only.lower() in port.name.lower()}
            if not partners:
                unopened.append(f"no controller has {self._only!r} in its name: there {some(there)}.")
        for key in [key for key in self._ports if key not in partners and key not in self._systems]:
            self._close(self._ports.pop(key))
        for listed, partner in partners.items():
            try:
                port = self._ports.get(listed) or self._open(listed)
                if port.partner != partner:
                    self._answer_at(port, partner)
            except Exception as error:
                unopened.append(f"{listed.name} cannot be opened: {error}")
        self._unopened = unopened
        self.open_ports = [port.name for key, port in self._ports.items() if key not in self._systems]

    def _open(self, listed: _Listed) -> _Port:
        name = _free(listed.name, [port.name for port in self._ports.values()])
        port = _Port(name, listed.system, self._surface(name), listed.system.open_input(listed))
        self._ports[listed] = port
        self._failed.pop(name, None)
        return port

    def _surface(self, name: str) -> Surface:
        """The surface of the controller called `name`: the one that it had when it was here before."""
        if name not in self.surfaces:
            # A new mapping, as others may be going through the old one.
            self.surfaces = {**self.surfaces, name: self._make_surface(name)}
        return self.surfaces[name]

    def _answer_at(self, port: _Port, partner: _Listed | None) -> None:
        """Send to `partner` from now on, and everything anew."""
        port.partner = None
        self._hang_up(port)
        if partner:
            port.output = partner.system.open_output(partner)
            port.partner = partner
            port.surface.refresh()

    def _close(self, port: _Port) -> None:
        with self._guarded(port.name, "was not closed"):
            port.system.let_go(port.input)
        self._hang_up(port)

    def _hang_up(self, port: _Port) -> None:
        output, port.output = port.output, None
        if output:
            with self._guarded(port.name, "was not closed"):
                port.system.let_go(output)

    def _poll(self, port: _Port, now: float) -> None:
        # Never by RtMidi's callback: on JACK it is called in the real-time thread (jackProcessIn in RtMidi.cpp), where
        # waiting for Python's lock would hold up the sound of every program.
        for _ in range(_AT_ONCE):
            got = port.input.get_message()
            if not got:
                break
            for message in port.parser.feed(bytes(got[0]), now):
                if self._channel in (None, message.control.channel):
                    self._hear(port, message, now)

    def _hear(self, port: _Port, message: Message, now: float) -> None:
        self.activity, self.heard_s = f"{port.name}  {message.text}", now
        if self._heard:
            self._heard(port.name, message)
        learning = self._learning
        if learning and message.control.kind not in ("mode", "program"):
            learning[0].hear(port.name, message, now)
        else:
            port.surface.receive(message, now)

    def _answer(self, port: _Port, now: float) -> None:
        try:
            for answer in port.surface.feedback(now):
                for message in _MESSAGES.findall(answer):
                    port.output.send_message(message)
        except Exception:
            self._hang_up(port)
            raise

    def learn(self, parameter: str, changes: Mapping[str, Any] | None = None, add: bool = False) -> None:
        """Bind the control that is moved next to `parameter`, with `changes` to the `Binding`; until then all rest.

        What the control did before it does no more, unless `add`. Raises `BadInput` for an unknown parameter.
        """
        learner = Learner(self._parameters[parameter].info.id)
        self.learn_error = None
        self._learning, self.learn_status = (learner, changes or {}, add), learner.status

    def cancel(self) -> None:
        """Learn no more."""
        self._learning, self.learn_status = None, ""

    @property
    def learning(self) -> str | None:
        """The parameter for which a control is being learned."""
        learning = self._learning
        return learning[0].parameter if learning else None

    def _learn(self, now: float) -> None:
        """Bind what has been learned."""
        if not (learning := self._learning):
            return
        learner, changes, add = learning
        try:
            learned = learner.poll(now)
            if self._learning is not learning:  # canceled
                return
            self.learn_status = learner.status
            if not learned:
                return
            surface, binding = self.surfaces[learned[0]], replace(learned[1], **changes)
            gone = surface.bind(binding, add=add)
            self.undoable(f"the control of {binding.parameter}", lambda: self._put_back({surface: gone}, [binding]))
            self._learned(surface)
        except Exception as error:
            self.learn_status, self.learn_error = str(error), error
        self._learning = None

    def forget(self, what: str, parameters: Collection[str]) -> int:
        """Drop the bindings of `parameters` on all controllers, of `what` in words; how many there were."""
        gone = {surface: each for surface in self.surfaces.values() if (each := surface.forget(parameters))}
        if gone:
            self.undoable(f"the controls of {what}", lambda: self._put_back(gone))
        self._keep(gone)
        return sum(map(len, gone.values()))

    def _put_back(self, gone: Mapping[Surface, Iterable[Binding]], instead: Iterable[Binding] = ()) -> None:
        for surface, bindings in gone.items():
            surface.put_back(bindings, instead)
        self._keep(gone)

    def _keep(self, surfaces: Iterable[Surface]) -> None:
        for surface in surfaces:
            with self._guarded(surface.name, "was not kept"):
                self._learned(surface)
