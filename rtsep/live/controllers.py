"""Finding controllers: by name, opened when they appear, closed when they go, polled by a thread of their own.

RtMidi does not tell of a controller that is plugged in or pulled out, so the ports are listed again and again.
What a controller then does is in `surface.py`.
"""

import math
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Event, Thread
from typing import Any

from ..errors import Unavailable, some
from ..parameters import Parameters
from .bindings import Binding
from .messages import Message, Parser
from .midi_learn import Learner
from .ports import OWN, Listed, System, free_name, list_ports, open_systems, partners_of
from .surface import Surface

_MESSAGES = re.compile(rb"[\x80-\xff][\x00-\x7f]*")  # RtMidi sends them one by one

_AT_ONCE = 256  # of one port, so that a flood on it leaves the others their turn
_TURN_S, _RESTING_TURN_S = 0.001, 0.003  # a turn each ms takes 2 % of a core, most of it to fall asleep and wake up
_RESTING_S = 1.0  # without a message
_FEEDBACK_S = 0.02
_LISTING_S = 0.25  # a cable that is pulled and put back takes longer
_PATIENCE_S = 5.0


@dataclass
class _Port:
    """A controller that is open."""

    name: str
    system: System
    surface: Surface
    input: Any
    output: Any = None
    partner: Listed | None = None  # what `output` leads to, or led to until it broke
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
        self._systems: list[System] = []
        self._ports: dict[Listed | System, _Port] = {}  # a system stands for our own port
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
            self._systems, self._missing = open_systems(self._jack)
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
        partners: dict[Listed, Listed | None] = {}
        try:
            for system in self._systems:
                inputs, outputs = list_ports(system, self._systems)
                partners |= dict.fromkeys(inputs) | partners_of(inputs, outputs)
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

    def _open(self, listed: Listed) -> _Port:
        name = free_name(listed.name, [port.name for port in self._ports.values()])
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

    def _answer_at(self, port: _Port, partner: Listed | None) -> None:
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
