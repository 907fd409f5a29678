"""Karaoke: a song loses its lead, a singer takes its place, and both pitches are compared while it sounds."""

import math
import os
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from .engine import Engine, Sound
from .errors import BadInput, Unavailable
from .hands import Hands
from .library import warm_up
from .live import devices
from .live.callback import MICROPHONE_S
from .live.howl import howl
from .live.keyboard import keys
from .live.record import check_folder
from .live.singing import Singing
from .live.stage import Stage, Values, line
from .live.stream import Source, Stream, open_stream
from .live.terminal import output_device, summary, tell, watch
from .offline import score as scores
from .offline.files import song as bundled_song
from .offline.files import sum_of
from .settings import Settings
from .streams import say

NONE = "none"
"""The name of no microphone at all."""

_PITCH_S = 0.02  # between two comparisons
_SEEN_S = 6.0  # of the past, in the view
_SEEK_S, _GUIDE_STEP_DB = 5.0, 3.0
_LIMITED = 0.9  # gain of the limiter below which it is said to work
_HOWL_HEARD_S = 0.3
_SAID_S = 3.0  # how long a message stands


def karaoke(
    song: str,
    settings: Settings,
    parameters: Mapping[str, float | str],
    hands: Hands,
    *,
    microphone: str | None = None,
    microphone_channel: int | None = None,
    output: str | None = None,
    score: str | None = None,
    duck: bool = True,
    loop: bool = False,
    block_size: int = 0,
    picture: str | None = None,
    record: str | None = None,
    force: bool = False,
    seconds: float | None = None,
) -> None:
    """Run karaoke until the song ends, `seconds` are over or a key says so; then print the score.

    Parameters
    ----------
    song : a sound file, an input device, or "virtual" for the bundled song
    parameters : melody.gain_db is the level of the guide, key.semitones the key
    microphone : an input device, a sound file, "none"; if None, the default input, or on the virtual device the
        bundled song's lead
    microphone_channel : its number among the inputs
    score : where the song's melody lies: a file of those that `rtsep.offline.score.load` reads
    duck : whether the guide rests while the singer is on pitch
    picture : a PNG of both pitches to write at the end
    """
    if picture is not None:
        _check_picture(Path(picture), force)
    engine = Engine(settings)
    engine.parameters.update(parameters)
    if record is not None:
        check_folder(record, engine.stems, force)
    regions = None if score is None else scores.load(score)
    output, rate = output_device(output)
    source: Source | None
    listening, lead = None, None
    if song == devices.VIRTUAL:
        song, parts = "the bundled song", bundled_song(rate)
        engine.prepare(sample_rate=rate, channels=2)  # for its latency: the lead is to be in time with what is heard
        source, lead = sum_of(parts), np.pad(parts["lead"], ((engine.latency, 0), (0, 0)))
    elif devices.is_file(song, output):
        source, song = song, Path(song).name
    else:
        source, listening = None, song
    voice, listening = _microphone(microphone, microphone_channel, listening, output, lead)
    warm_up(tell)
    with (
        open_stream(
            engine,
            (listening, output),
            sample_rate=rate,
            block_size=block_size,
            source=source,
            loop=loop,
            microphone=voice,
            microphone_channel=microphone_channel,
            score=regions,
            record=record,
            force=force,
        ) as stream,
        hands.on(stream, song, singer=voice is not None) as held,
        keys() as pressed,
    ):
        tell(f"{stream.description}. The microphone has no delay of ours. q ends.")
        if regions is not None and stream.player and stream.player.length:
            misfit = scores.fits(regions, stream.player.length)
            if misfit:
                tell(misfit)
        evening = Karaoke(stream, song, singer=voice is not None, duck=duck, loop=loop)
        stage = Stage()

        def tick(elapsed: float) -> bool:
            evening.listen()
            held.session.tick(elapsed)
            return all([held.press(key) or evening.press(key) for key in pressed()])

        watch(
            stream,
            seconds=seconds,
            tick=tick,
            view=lambda: held.view(lambda: stage.view(evening.values())),
            line=lambda: line(evening.values()),
        )
        evening.listen()
    say(summary(stream))
    if stream.player and stream.player.warning:
        tell(stream.player.warning)
    if voice is not None:
        say(evening.singing.summary())
    if picture is not None:
        try:
            evening.singing.picture(picture)
        except OSError as error:
            raise Unavailable(f"cannot write {picture}: {error.strerror}.") from error
        say(picture)
    if stream.recorder and stream.recorder.error:
        raise Unavailable(stream.recorder.error)


def _check_picture(path: Path, force: bool) -> None:
    """Refuse what could not be drawn at the end."""
    if path.suffix.lower() != ".png":
        raise BadInput(f"the picture {path} would be a PNG file: give it a name that ends in .png.")
    if os.path.lexists(path) and not force:
        raise BadInput(f"{path} exists already: choose another name, or add --force to replace it.")
    if not os.path.isdir(path.parent):
        raise BadInput(f"the picture {path} cannot be written: there is no folder {path.parent}; make it first.")
    if find_spec("matplotlib") is None:
        raise Unavailable("no picture can be drawn without matplotlib: pip install 'rtsep[plot]'.")


def _microphone(
    name: str | None, channel: int | None, listening: str | None, output: str | None, lead: Sound | None
) -> tuple[bool | Source | None, str | None]:
    """What is heard as the microphone, and the input device to open: `listening` if the song comes from that.

    `lead` is that of the bundled song if it plays.
    """
    if name == NONE:
        return None, listening
    if name == devices.VIRTUAL or (name is None and output == devices.VIRTUAL):
        who = "--mic FILE lets a sound file sing" if lead is None else "the song's own lead stands in for the singer"
        tell(f"nobody sings on the virtual device: {who}")
        return lead, listening
    if name is not None and devices.is_file(name, output):
        return name, listening
    if listening is not None:
        if name is None and channel is None:
            tell(f"no microphone: --mic {listening!r} is the next input after the song's, --mic-channel N any other")
            return None, listening
        if name is not None and devices.find(name, "input") != devices.find(listening, "input"):
            raise BadInput(
                f"the song comes from {listening!r} and the microphone from {name!r}: two sound cards have two clocks. "
                "Use one with enough inputs (its next input is the microphone, or --mic-channel), or JACK or PipeWire."
            )
        return True, listening
    if name is None:
        try:
            devices.find(None, "input")
        except Unavailable as error:
            tell(f"no microphone: {error.args[0].split(':')[0]}")
            return None, None
    return True, name


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
