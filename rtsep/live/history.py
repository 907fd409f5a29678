"""Undo: what was done to the parameters, step by step, and back.

A step is what a person takes for one act: the move of a knob, however many values it passes through; or the recall
of a preset, however many parameters it sets.
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


class History:
    """Remembers the last 100 steps of `parameters`, whatever thread makes them; `clock` gives seconds.

    Moves of two knobs at the same time are two steps. What undo does, what the guide of karaoke does by itself, and
    the learning of a stem are not remembered.
    """

    def __init__(self, parameters: Parameters, clock: Callable[[], float] = time.monotonic) -> None:
        self._parameters, self._clock = parameters, clock
        self._steps: deque[_Step] = deque(maxlen=_STEPS)
        self._lock = Lock()
        parameters.watch(self._watch)

    def undo(self) -> list[str]:
        """Take back the last step that is still to be seen; the ids of what was put back, none if nothing was."""
        while (step := self._last()) is not None:
            now = self._parameters.snapshot()
            values = {id: value for id, value in step.before.items() if now[id] != value}
            if values:
                self._parameters.update(values, by="undo")
                return list(values)
        return []

    def _last(self) -> _Step | None:
        with self._lock:
            for step in self._steps:
                step.last_s = -math.inf  # what comes after an undo is a new step
            return self._steps.pop() if self._steps else None

    def _watch(self, before: Mapping[str, float], by: str) -> None:
        if by in ("undo", "duck") or all(id.endswith(".learn") for id in before):
            return
        with self._lock:
            now = self._clock()
            last = next((step for step in reversed(self._steps) if step.before.keys() & before.keys()), None)
            same = last and last.by == by != "preset" and last.before.keys() == before.keys()
            if last and same and now < last.last_s + _MOVE_S:
                last.last_s = now
            else:
                self._steps.append(_Step(dict(before), by, now))
