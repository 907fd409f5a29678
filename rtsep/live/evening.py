"""Karaoke: a song loses its lead, a singer takes its place, and both pitches are compared while it sounds."""

import math
import time
from collections.abc import Iterator

import numpy as np

from ..engine import Engine
from ..errors import BadInput
from ..settings import Settings
from .callback import MICROPHONE_S
from .howl import howl
from .karaoke_view import Values
from .singing import Singing
from .stream import Stream

NONE = "none"
"""The name of no microphone at all."""

_PITCH_S = 0.02  # between two comparisons
_SEEN_S = 6.0  # of the past, in the view
_SEEK_S, _GUIDE_STEP_DB = 5.0, 3.0
_LIMITED = 0.9  # gain of the limiter below which it is said to work
_HOWL_HEARD_S = 0.3
_SAID_S = 3.0  # how long a message stands


class Karaoke:
    """One song's evening: listens to both pitches, moves the guide, obeys the keys.

    Attributes: `singing` (a `Singing`), what was heard and how it is judged.
    """

    def __init__(self, stream: Stream, song: str, *, singer: bool, duck: bool = True, loop: bool = False) -> None:
        self.stream, self.parameters, self.singing = stream, stream.engine.parameters, Singing()
        self._song, self._duck = song, duck
        self._message, self._said_s = "", 0.0
        self._whole = 0.0 if loop else None  # where it starts again while no part of it is looped
        self._loop: tuple[float, float | None] | None = None
        self._next_s = 0.0
        self._recent = np.zeros(0, np.float32)
        # The same engine, unheard, follows the singer.
        self._listener: Engine | None = Engine(Settings("live", masks="classic")) if singer else None
        if self._listener:
            self._listener.prepare(sample_rate=stream.sample_rate, channels=1)

    def listen(self) -> None:
        """Take what the microphone has heard since the last call, compare the pitches, and set the guide."""
        if self._listener:
            self._hear(self._listener)
        for time_s, song_hz, singer_hz in self._pitches():
            self.singing.hear(time_s, song_hz, singer_hz)
        self.parameters.update({"melody.duck": float(self._duck and self.singing.on_pitch)}, by="duck")

    def _hear(self, listener: Engine) -> None:
        sound, rate = self.stream.take_microphone(), self.stream.sample_rate
        # What came over a second ago is lost: it is not judged.
        self._next_s += max(len(sound) / rate - MICROPHONE_S, 0.0)
        for start in range(0, len(sound), listener.max_block):
            listener.process(sound[start : start + listener.max_block])
        self._recent = np.concatenate([self._recent, sound])[-round(_HOWL_HEARD_S * rate) :]
        hertz = howl(self._recent, rate)
        if hertz:
            self._say(f"the microphone howls at {hertz:.0f} Hz: turn it down, or away from the loudspeaker")

    def _say(self, message: str) -> None:
        self._message, self._said_s = message, time.monotonic()

    def _pitches(self) -> Iterator[tuple[float, float, float]]:
        """The pitches of song and singer since the last call: seconds, Hz, Hz.

        The singer follows what is heard, and comes back through the device: that much later.
        """
        key = 2 ** (self.parameters["key.semitones"].value / 12)
        late = self.stream.stats().latency_ms / 1e3
        while True:
            song = _f0_at(self.stream.engine, self._next_s)
            singer = _f0_at(self._listener, self._next_s + late) if self._listener else 0.0
            if song is None or singer is None:
                return
            yield self._next_s, song * key, singer
            self._next_s += _PITCH_S

    def press(self, key: str) -> bool:
        """Do what `key` stands for; False if it ends the evening."""
        player, parameters = self.stream.player, self.parameters
        if key in ("q", "escape"):
            return False
        if key in ("up", "down"):
            step = _GUIDE_STEP_DB if key == "up" else -_GUIDE_STEP_DB
            # From silence it comes back where it can just be heard.
            guide_db = min(max(parameters["melody.gain_db"].value, -60.0) + step, 12.0)
            parameters["melody.gain_db"] = guide_db if guide_db > -60 else -math.inf
        elif key in ("+", "=", "-"):
            value = parameters["key.semitones"].value + (-1 if key == "-" else 1)
            parameters["key.semitones"] = min(max(value, -12), 12)
        elif key == "d":
            self._duck = not self._duck
        elif key == "m":
            parameters["microphone.mute"] = 1 - parameters["microphone.mute"].value
        elif player and key == "space":
            player.pause() if player.playing else player.play()
        elif player and key in ("left", "right"):
            player.seek(player.position + (_SEEK_S if key == "right" else -_SEEK_S))
        elif player and key == "home":
            player.seek(0)
        elif player and key == "l":
            self._next_loop()
        return True

    def _next_loop(self) -> None:
        """The first time the loop gets its start, then its end, then it is gone."""
        player = self.stream.player
        assert player
        if self._loop is None:
            self._loop = player.position, None
        elif self._loop[1] is None:
            self._loop = self._loop[0], player.position
            try:
                player.set_loop(*self._loop)
            except BadInput:
                self._loop = None
                self._say("no loop: its end must lie behind its start")
        else:
            self._loop = None
            player.set_loop(self._whole)

    def values(self) -> Values:
        """What there is to see."""
        player, engine, singing = self.stream.player, self.stream.engine, self.singing
        seen = slice(-round(_SEEN_S / _PITCH_S), None)
        return Values(
            song=self._song,
            position_s=player.position if player else self.stream.stats().samples / self.stream.sample_rate,
            length_s=(player.length or 0.0) if player else 0.0,
            playing=player.playing if player else True,
            loop=self._loop,
            key_semitones=int(self.parameters["key.semitones"].value),
            guide_db=self.parameters["melody.gain_db"].value,
            duck=self._duck,
            ducked=self._duck and singing.on_pitch,
            microphone_db=_decibels(engine.state.microphone.level[0]),
            muted=self.parameters["microphone.mute"].value == 1,
            gate_open=bool(engine.state.microphone.open[0] > 0.5),
            score=singing.score if self._listener else None,
            output_db=_decibels(engine.meters.output[0]),
            limiting=bool(engine.state.limiter.gain[0] < _LIMITED),
            message=self._message if time.monotonic() < self._said_s + _SAID_S else "",
            now_s=self._next_s,
            times=singing.times[seen],
            song_hz=singing.song_hz[seen],
            singer_hz=singing.singer_hz[seen],
        )


def _f0_at(engine: Engine, time_s: float) -> float | None:
    """The pitch that `engine` heard at a time of its input; None if it has not got there."""
    step_s = engine.sizes.hop_size / engine.sample_rate
    frame = max(round((time_s - engine.melody_time(0)) / step_s), 0)
    if frame >= engine.meters.frames[0]:
        return None
    return max(float(engine.meters.melody[frame % len(engine.meters.melody), 0]), 0.0)


def _decibels(level: float) -> float:
    return 20 * math.log10(level) if level > 1e-6 else -math.inf
