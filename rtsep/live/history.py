"""Undo: what was done to the parameters and to what moves them, step by step, and back.

A step is what a person takes for one act: the move of a knob, however many values it passes through; the recall of a
preset, however many parameters it sets; or that a row has forgotten its controls.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock

from ..parameters import Parameters

_MOVE_S = 1.0  # a knob that rests this long begins another move
_STEPS = 100


@dataclass
class _Step:
    before: dict[str, float]  # values by the ids of parameters
    by: str
    last_s: float  # when it was last added to


@dataclass
class _Act:
    what: str
    back: Callable[[], object]


class History:
    """Remembers the last 100 steps of `parameters`, whatever thread makes them; `clock` gives seconds.

    Moves of two knobs at the same time are two steps. What undo does, what the guide of karaoke does by itself, and
    the learning of a stem are not remembered.
    """

    def __init__(self, parameters: Parameters, clock: Callable[[], float] = time.monotonic) -> None:
        self._parameters, self._clock = parameters, clock
        self._steps: deque[_Step | _Act] = deque(maxlen=_STEPS)
        self._lock = Lock()
        parameters.watch(self._watch)

    def add(self, what: str, back: Callable[[], object]) -> None:
        """Remember a step of another kind: `what` it was done to, and what takes it `back`."""
        with self._lock:
            self._end_moves()
            self._steps.append(_Act(what, back))

    def undo(self) -> list[str]:
        """Take back the last step that is still to be seen; the ids of what was put back, none if nothing was."""
        while (step := self._last()) is not None:
            if isinstance(step, _Act):
                step.back()
                return [step.what]
            now = self._parameters.snapshot()
            values = {id: value for id, value in step.before.items() if now[id] != value}
            if values:
                self._parameters.update(values, by="undo")
                return list(values)
        return []

    def _last(self) -> _Step | _Act | None:
        with self._lock:
            self._end_moves()
            return self._steps.pop() if self._steps else None

    def _end_moves(self) -> None:
        """What comes now is a new step."""
        for step in self._moves():
            step.last_s = -math.inf

    def _moves(self) -> list[_Step]:
        return [step for step in self._steps if isinstance(step, _Step)]

    def _watch(self, before: Mapping[str, float], by: str) -> None:
        if by in ("undo", "duck") or all(id.endswith(".learn") for id in before):
            return
        with self._lock:
            now = self._clock()
            last = next((step for step in reversed(self._moves()) if step.before.keys() & before.keys()), None)
            same = last and last.by == by != "preset" and last.before.keys() == before.keys()
            if last and same and now < last.last_s + _MOVE_S:
                last.last_s = now
            else:
                self._steps.append(_Step(dict(before), by, now))
