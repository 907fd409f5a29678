"""The desk: what its keys do to a stream at work, and what it measures; `desk_view.py` draws it."""

import math
import time
from collections.abc import Callable, Sequence

from ..errors import BadInput, Unavailable
from ..offline.notes import THRESHOLD_DB
from ..parameters import PARAMETERS
from ..templates import Templates
from . import presets
from .controllers import Midi
from .desk_view import Meter, Picture, Row, Values
from .history import History
from .stream import Stream

_BOTTOM_DB = -60  # of the faders: silence is below, and what comes back from it starts here
_STEPS_DB = {"up": 1, "down": -1, "pageup": 6, "pagedown": -6}
_HOLD_S = 1.5  # how long a peak is held
# A peak programme meter of type I returns by 20 dB in 1.7 s: IEC 60268-10, "Peak programme level meters", 1991.
_FALL_DB_PER_S = 20 / 1.7
_LIMITED = 0.9  # gain of the limiter below which it is said to work
_SAID_S = 3.0  # how long a message stands
_FAINT = 5e-4  # activation of a sine of -60 dBFS, over the size of the window


def stepped(value_db: float, step_db: int, top_db: float) -> float:
    """A level moved by a step to a whole decibel; it stops at 0 dB on the way, and below -60 dB it is silence."""
    moved = round(max(value_db + step_db, 2 * _BOTTOM_DB))
    if value_db < 0 < moved or moved < 0 < value_db:
        return 0.0
    if moved < _BOTTOM_DB:
        return _BOTTOM_DB if step_db > 0 else -math.inf
    return min(moved, top_db)


class Hold:
    """The peak of a level: held for 1.5 s, then falling as on a peak programme meter."""

    def __init__(self) -> None:
        self._peak_db, self._peak_s = -math.inf, 0.0

    def see(self, level_db: float, now: float) -> float:
        """The peak in decibels at the time `now` (s), when the level is `level_db`."""
        held = self._peak_db - _FALL_DB_PER_S * max(now - self._peak_s - _HOLD_S, 0.0)
        if not level_db >= held:
            return held
        self._peak_db, self._peak_s = level_db, now
        return level_db


class Desk:
    """One stream at work: collects what there is to see, and obeys the keys.

    Without `history` nothing is undone, without `midi` nothing learned. `presets` returns those to go through.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        history: History | None = None,
        midi: Midi | None = None,
        presets: Callable[[], Sequence[presets.Preset]] = presets.presets,
    ) -> None:
        self.stream, self.parameters = stream, stream.engine.parameters
        self._history, self._midi, self._presets = history, midi, presets
        heard = stream.state.microphone.shape[1] > 0
        names = (*stream.engine.stems, *stream.engine.groups, "microphone", "output")
        self._numbers = {name: i for i, name in enumerate(names, 1) if heard or name != "microphone"}
        self._chosen = names[0]
        self._holds = {name: Hold() for name in ("input", *names)}
        self._cleared = stream.engine.meters.over.copy()
        self._preset: str | None = None
        self._help = False
        self._learning: str | None = None
        self._message, self._said_s = "", 0.0
        if midi:
            midi.recalled = self._recalled
        if midi and history:
            midi.undoable = history.add

    def say(self, message: str) -> None:
        """Show a message for some seconds."""
        self._message, self._said_s = message, time.monotonic()

    def view(self) -> Picture:
        """The picture of this moment."""
        return Picture(self.values(time.monotonic()))

    def press(self, key: str) -> bool:
        """Do what `key` stands for; False if it ends the program."""
        chosen = self._chosen
        if key == "q":
            return False
        if key in _STEPS_DB:
            level = self.parameters[f"{chosen}.gain_db"]
            self._set(f"{chosen}.gain_db", stepped(level.value, _STEPS_DB[key], level.info.high))
        elif key in ("home", "end"):
            self._set(f"{chosen}.gain_db", 0.0 if key == "home" else -math.inf)
        elif key in ("left", "right"):
            names = list(self._numbers)
            self._chosen = names[(names.index(chosen) + (1 if key == "right" else -1)) % len(names)]
        elif key.isdecimal():
            self._chosen = next((name for name, number in self._numbers.items() if str(number) == key), chosen)
        elif key in _SWITCHES:
            self._toggle(_SWITCHES[key].format(chosen))
        elif key == "u":
            undone = self._history.undo() if self._history else []
            self.say(f"undone: {', '.join(undone)}" if undone else "there is nothing to undo")
        elif key in ("p", "P"):
            self._recall(1 if key == "p" else -1)
        elif key in ("l", "L"):
            self._learn(f"{chosen}.gain_db" if key == "l" else f"{chosen}.mute")
        elif key == "f":
            self._forget()
        elif key == "n":
            self._sample()
        elif key == "c":
            self._cleared = self.stream.engine.meters.over.copy()
        elif key == "?":
            self._help = not self._help
        elif key == "escape":
            self._help = False
            self._cancel()
        return True

    def _set(self, id: str, value: float) -> None:
        self.parameters.update({id: value}, by="terminal")

    def _toggle(self, id: str) -> None:
        if id in self.parameters:
            self._set(id, 1 - self.parameters[id].value)
        else:
            self.say(f"the {self._chosen} has no solo")

    def _recall(self, step: int) -> None:
        """The next preset, or with a `step` of -1 the last one."""
        try:
            presets = {preset.name: preset for preset in self._presets()}
            names = list(presets)
            at = names.index(self._preset) + step if self._preset in names else min(step, 0)
            self._preset = names[at % len(names)]
            self.parameters.recall(presets[self._preset].values)
            self._recalled(self._preset)
        except (BadInput, Unavailable) as error:
            self.say(str(error))

    def _recalled(self, name: str) -> None:
        """Say which preset there is now, whoever recalled it; from here the keys go on."""
        self._preset = name
        self.say(f"preset {name}")

    def _learn(self, parameter: str) -> None:
        if self._midi is None or not self._midi.works:
            self.say("nothing can be learned: there is no MIDI")
        elif self._midi.learning:
            self._cancel()
        else:
            self._midi.learn(parameter)

    def _sample(self) -> None:
        """Begin to learn the sound of the chosen row, or end it."""
        id = f"{self._chosen}.learn"
        if id in self.parameters:
            self._set(id, 1 - self.parameters[id].value)
        else:
            self.say("only rows that --learn has named, and the --room, learn a sound")

    def _cancel(self) -> None:
        if self._midi and self._midi.learning:
            self._midi.cancel()
            self._learning = None
            self.say("nothing was learned")

    def _forget(self) -> None:
        ids = [id for id in self.parameters if id.startswith(f"{self._chosen}.")]
        count = self._midi.forget(f"the {self._chosen}", ids) if self._midi else 0
        back = "; u brings them back" if count and self._history else ""
        self.say(f"{count} control{'' if count == 1 else 's'} of the {self._chosen} forgotten{back}")

    def values(self, now: float) -> Values:
        """What there is to see at the time `now` (s)."""
        stream, engine, player = self.stream, self.stream.engine, self.stream.player
        meters, stats, snapshot = engine.meters, stream.stats(), self.parameters.snapshot()
        midi, problem = self._told_by_midi()
        return Values(
            title=stream.description,
            rows=self._rows(snapshot, now),
            chosen=self._numbers[self._chosen],
            song=(player.playing, player.position, player.length or math.nan) if player else None,
            input=self._meter("input", float(meters.input[0]), now, 0),
            output=self._meter("output", float(meters.output[0]), now, 1),
            limiting=bool(engine.state.limiter.gain[0] < _LIMITED),
            bypass=snapshot["bypass"] == 1,
            muted=snapshot["output.mute"] == 1,
            gone=not stream.active,
            f0_hz=float(meters.f0[0]),
            pitches=self._pitches(),
            load_median=stats.load_median,
            load_worst=stats.load_worst,
            xruns=stats.xruns,
            latency_ms=stats.latency_ms,
            midi=midi,
            problem=problem,
            message=self._message if now < self._said_s + _SAID_S else "",
            parameters=[(id, self.parameters[id].text) for id in _BESIDE] if self._help else (),
        )

    def _pitches(self) -> Sequence[int]:
        """The pitches that sound: within reach of the loudest of late, and no mere noise."""
        engine = self.stream.engine
        templates, meters = engine.settings.templates, engine.meters
        if not isinstance(templates, Templates) or not templates.pitches:
            return ()
        levels = meters.pitches[(meters.frames[0] - 1) % len(meters.pitches)]
        least = max(meters.pitches.max() * 10 ** (THRESHOLD_DB / 20), _FAINT * engine.sizes.window_size)
        return sorted({pitch for pitch, level in zip(templates.pitches, levels, strict=True) if level > least})

    def _rows(self, snapshot: dict[str, float], now: float) -> list[Row]:
        """The rows, with the levels behind their faders."""
        engine, surfaces = self.stream.engine, list(self._midi.surfaces.values()) if self._midi else []
        state = engine.state
        ghosts = {id: position for surface in surfaces for id, position in surface.ghosts().items()}
        bound = {binding.parameter: binding.control for surface in surfaces for binding in surface.bindings}
        heard: dict[str, tuple[float, int | None]]
        heard = {stem: (state.meters.stems[s] * state.mix.gain[s], 2 + s) for s, stem in enumerate(engine.stems)}
        heard["microphone"] = state.microphone.level[0] * state.microphone.controls[0], None
        heard["output"] = state.meters.output[0], 1
        rows = []
        for name, number in self._numbers.items():
            id = f"{name}.gain_db"
            info, value = self.parameters[id].info, snapshot[id]
            solo = snapshot.get(f"{name}.solo")
            rows.append(
                Row(
                    number,
                    name,
                    value=info.format(value),
                    position=info.to_normalized(value),
                    ghost=ghosts.get(id),
                    muted=snapshot[f"{name}.mute"] == 1,
                    soloed=None if solo is None else solo == 1,
                    meter=self._meter(name, float(heard[name][0]), now, heard[name][1]) if name in heard else None,
                    members=[self._numbers[stem] for stem in engine.groups.get(name, ())],
                    control=bound.get(id, ""),
                )
            )
        return rows

    def _meter(self, name: str, level: float, now: float, counted: int | None) -> Meter:
        """The meter of a linear `level`, whose blocks at full scale the engine may have `counted` in that place."""
        level_db = 20 * math.log10(level) if level > 1e-6 else -math.inf
        clipped = counted is not None and bool(self.stream.engine.meters.over[counted] > self._cleared[counted])
        return Meter(level_db, self._holds[name].see(level_db, now), clipped)

    def _told_by_midi(self) -> tuple[str, str]:
        """What MIDI is doing, and what is wrong with it."""
        midi = self._midi
        if midi is None:
            return "off", ""
        problem = midi.problems[-1] if midi.problems else ""
        learning, self._learning = self._learning, midi.learning
        if midi.learning:
            return midi.learn_status, problem
        if learning:
            self.say(midi.learn_status)
        ports = ", ".join(midi.open_ports) or "no controller"
        return f"{ports} | {midi.activity}" if midi.activity else ports, problem


_SWITCHES = {"m": "{}.mute", "s": "{}.solo", "b": "bypass", "space": "output.mute"}
_BESIDE = [id for id in PARAMETERS if not id.endswith((".gain_db", ".mute", ".solo"))]  # what the rows do not show
