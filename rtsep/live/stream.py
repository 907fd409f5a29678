"""A stream: the compiled callback handed to PortAudio, or called by the built-in virtual device.

PortAudio takes a C function and a pointer through sounddevice's `_StreamBase`; here they are the callback of
`callback.py` and the state of a whole engine. Where that interface cannot be had, an ordinary Python callback calls
that very function.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..engine import Engine, Sound
from ..errors import BadInput, Unavailable
from ..kernels import Image
from ..library import address, warm_up
from . import callback, devices, player
from .player import Player
from .record import Recorder

_PRIORITY = 10  # of 1 to 99: above every ordinary thread, below sound servers
_RING_S = 8  # how long a disk may stall before a recording has a gap

Source = str | Path | Sound | Player


class Stats(NamedTuple):
    """What a stream has measured since it started."""

    blocks: int  # calls of the callback
    samples: int
    xruns: int  # calls in which the device told that sound was lost
    load_median: float  # part of the time between two blocks that the callback took: 0.02 is 2 %
    load_p999: float  # 99.9 % of the blocks took less
    load_worst: float
    worst_block_us: float
    latency_ms: float  # engine and device together, as far as the device tells
    engine_latency_ms: float


class Stream:
    """A running stream; made by `open_stream`. `engine.parameters` may be moved while it runs.

    Attributes: `player` plays the song (None if the device's input is un-mixed), `recorder`, `state`, `sample_rate`.
    """

    def __init__(
        self,
        engine: Engine,
        device: Any = None,
        *,
        sample_rate: float | None = None,
        block_size: int = 0,
        channels: int | None = None,
        source: Source | None = None,
        loop: bool = False,
        microphone: bool | Source | None = None,
        microphone_channel: int | None = None,
        score: ArrayLike | None = None,
        stems_out: bool = False,
        record: bool = False,
        compiled: bool = True,
    ) -> None:
        if not 0 <= block_size <= 8192:
            raise BadInput(f"the block size is {block_size}: it must lie between 1 and 8192 samples, or be 0 (free).")
        self.engine, self.block_size, self._compiled = engine, block_size, compiled
        self._running, self._microphone_taken = np.zeros(1, np.int64), 0
        self.player: Player | None = None
        self._own: list[Player] = []  # that nobody else will close
        self._listening = source is None or microphone is True
        names = device if isinstance(device, tuple) else (device, device)
        self._names: tuple[Any, ...] = names if self._listening else (names[1], names[1])
        self._stream: Any = None
        self._thread: threading.Thread | None = None
        self._device_latency_ms = 0.0
        self.recorder: Recorder | None = None
        self.lost = np.zeros(1, np.int64)
        self.virtual = devices.VIRTUAL in self._names
        try:
            self._prepare(sample_rate, channels, source, loop, microphone, microphone_channel, score, stems_out, record)
        except BaseException:
            self._close_players()
            raise

    def _prepare(
        self,
        sample_rate: float | None,
        channels: int | None,
        source: Source | None,
        loop: bool,
        microphone: bool | Source | None,
        microphone_channel: int | None,
        score: ArrayLike | None,
        stems_out: bool,
        record: bool,
    ) -> None:
        """Find the devices, open the files, and make the state of the callback."""
        if isinstance(source, Player):
            sample_rate = sample_rate or source.sample_rate
        if self.virtual:
            if not set(self._names) <= {devices.VIRTUAL, None}:
                raise BadInput("the virtual device is both input and output: use -i virtual -o virtual.")
            self.sample_rate = float(sample_rate or 48_000)
            self.block_size = self.block_size or 128
            most_inputs = most_outputs = 64
        else:
            self._find()
            self.sample_rate = float(sample_rate or self._output.sample_rate)
            most_inputs, most_outputs = self._input.inputs, self._output.outputs
        if source is not None:
            self.player = self._played(source, loop=loop)
            channels = self.player.channels if channels is None else channels
            if self.player.channels != channels:
                raise BadInput(f"the source has {self.player.channels} channels, the stream {channels}.")
        elif channels is None:
            last = int(microphone is True and microphone_channel is None)
            channels = max(min(2, most_inputs - last, most_outputs), 1)
        singer, place = self._microphone(microphone, microphone_channel, 0 if self.player else channels)
        inputs = max(0 if self.player else channels, place + 1 if microphone is True and place is not None else 0)
        columns = channels * (1 + len(self.engine.stems)) if stems_out else max(channels, min(2, most_outputs))
        if not self.virtual:
            if self._listening:
                devices.check(self._input, "input", inputs, self.sample_rate)
            devices.check(self._output, "output", columns, self.sample_rate)
        self.engine.prepare(sample_rate=self.sample_rate, channels=channels, max_block=callback.PIECE, score=score)
        settings = self.engine.settings
        self.state = callback.prepare(
            self.engine.state,
            self.sample_rate,
            (inputs, columns),
            self.player.state if self.player else player.empty(channels),
            singer.state if singer else player.empty(1),
            microphone=place,
            ring=int(_RING_S * self.sample_rate) if record or settings.learn or settings.room else 0,
        )
        self._image = Image(self.state, settings.stages)

    def _microphone(
        self, microphone: bool | Source | None, channel: int | None, free: int
    ) -> tuple[Player | None, int | None]:
        """Who plays the singer, and the number of the microphone among the inputs, of which `free` is unused."""
        if channel is not None and channel < 1:
            raise BadInput(f"the microphone's channel is {channel}: inputs count from 1.")
        if microphone is None or microphone is False:
            return None, None
        if microphone is True:
            return None, free if channel is None else channel - 1
        singer = self._played(microphone, mono=True)
        if singer.channels != 1:
            raise BadInput(f"the singer has {singer.channels} channels: make the player with mono=True.")
        return singer, 0

    def _played(self, source: Source, *, loop: bool = False, mono: bool = False) -> Player:
        """A player at the rate of this stream."""
        if not isinstance(source, Player):
            self._own.append(Player(source, self.sample_rate, loop=loop, mono=mono))
            return self._own[-1]
        if source.sample_rate != self.sample_rate:
            raise BadInput(f"the player is made for {source.sample_rate:g} Hz, the stream for {self.sample_rate:g}.")
        return source

    def _find(self) -> None:
        """The devices by their names, as they are now."""
        self._output = devices.find(self._names[1], "output")
        self._input = devices.find(self._names[0], "input") if self._listening else self._output
        # From now on by these very names: numbers and the system's default change as cards come and go.
        self._names = tuple(f"{device.name}, {device.host}" for device in (self._input, self._output))

    def start(self) -> None:
        """Open the device and let sound through, fading in."""
        self.state.fade[0] = 0
        self.state.fade_goal[0] = 1
        self.state.thread[0] = 0
        if self.virtual:
            self._start_virtual()
        else:
            self._start_device()
        self._hurry()

    def _start_device(self) -> None:
        sounddevice = devices.portaudio()
        inputs, outputs = (int(count) for count in self.state.channels)
        kind: str
        device: Any
        channels: Any
        kind, device, channels = "duplex", (self._input.number, self._output.number), (inputs, outputs)
        if not self._listening:
            kind, device, channels = "output", self._output.number, outputs
        common = dict(
            samplerate=self.sample_rate,
            blocksize=self.block_size,
            device=device,
            channels=channels,
            dtype="float32",
            latency="low",
            # The callback never returns more than full scale with the limiter on; without it, the device decides.
            clip_off=False,
            dither_off=True,
        )
        try:
            if self._compiled and hasattr(sounddevice, "_StreamBase"):
                ffi = sounddevice._ffi
                self._stream = sounddevice._StreamBase(
                    kind,
                    callback=ffi.cast("PaStreamCallback*", address("rtsep_portaudio", self._image.stages)),
                    userdata=ffi.cast("void*", self._image.address),
                    **common,
                )
            elif self._listening:
                self._stream = sounddevice.Stream(callback=self.callback, **common)
            else:
                self._stream = sounddevice.OutputStream(callback=self._output_callback, **common)
            self._stream.start()
            self._device_latency_ms = self._told_latency_ms()
        except sounddevice.PortAudioError as error:
            self._stop()
            raise Unavailable(f"the device {self._output.name!r} cannot be opened: {error.args[0]}.") from None

    def _hurry(self) -> None:
        """Give the audio thread real-time priority where the system allows it and the sound server has not."""
        if sys.platform != "linux":
            return
        patience = time.monotonic() + 1
        while self.state.thread[0] == 0 and time.monotonic() < patience:
            time.sleep(0.005)
        with suppress(OSError):
            thread = int(self.state.thread[0])
            if thread and os.sched_getscheduler(thread) == os.SCHED_OTHER:
                os.sched_setscheduler(thread, os.SCHED_RR, os.sched_param(_PRIORITY))

    def _start_virtual(self) -> None:
        samples = self.block_size
        inputs, outputs = (np.zeros((samples, int(count)), np.float32) for count in self.state.channels)
        self._running[0] = 1
        seconds = samples / self.sample_rate
        self._thread = threading.Thread(
            target=callback.virtual_host,
            args=(self._image, inputs, outputs, seconds, self._running, self.lost),
            daemon=True,
        )
        self._thread.start()

    def callback(self, inputs: Sound, outputs: Sound, samples: int, time_info: Any, status: Any) -> None:
        """What the compiled callback does, as a callback in Python for `sounddevice.Stream`."""
        places = inputs.ctypes.data, outputs.ctypes.data, samples, None, int(status._flags) if status else 0
        callback.FUNCTION(address("rtsep_portaudio", self._image.stages))(*places, self._image.address)

    def _output_callback(self, outputs: Sound, samples: int, time_info: Any, status: Any) -> None:
        self.callback(np.zeros((samples, 0), np.float32), outputs, samples, time_info, status)

    @property
    def description(self) -> str:
        """What runs where, in a line."""
        block = f"blocks of {self.block_size}" if self.block_size else "blocks as the device likes"
        place = repr(self.device_name)
        if not self.virtual and self._input.name != self._output.name:
            place = f"{self._input.name!r} to {place}"
        return (
            f"mode {self.engine.settings.mode} on {place}, {self.engine.channels} channels at "
            f"{self.sample_rate:g} Hz, {block}, latency {self.stats().latency_ms:.1f} ms"
        )

    @property
    def device_name(self) -> str:
        """What the device is called."""
        return devices.VIRTUAL if self.virtual else self._output.name

    @property
    def on_jack(self) -> bool:
        """Whether the device is a JACK server."""
        return not self.virtual and self._output.host.startswith("JACK")

    @property
    def active(self) -> bool:
        """Whether the device still calls. False after it has vanished."""
        if self.virtual:
            return bool(self._running[0])
        return self._stream is not None and bool(self._stream.active)

    @property
    def finished(self) -> bool:
        """Whether the song has been heard to its end."""
        if self.player is None or not self.player.finished:
            return False
        return bool(self.state.song.over[0] >= self.engine.latency)

    def take_microphone(self) -> Sound:
        """What the microphone has heard since the last call (samples,); what came over a second ago is silence."""
        ring, written = self.state.heard_microphone, int(self.state.microphone_written[0])
        first, self._microphone_taken = self._microphone_taken, written
        if len(ring) == 0:
            return np.zeros(0, np.float32)
        sound: Sound = ring[np.arange(first, written) % len(ring)]
        # Meanwhile a piece or more may have been written over the oldest.
        lapped = int(self.state.microphone_written[0]) + callback.PIECE - len(ring) - first
        sound[: max(lapped, 0)] = 0
        return sound

    def heard(self) -> int:
        """How many samples have come in; counted only while something is recorded or learned."""
        return int(self.state.written[0])

    def last_heard(self) -> Sound:
        """What has come in within the last seconds (samples, channels), as far as it is kept; see `heard`."""
        ring, written = self.state.ring, self.heard()
        # Meanwhile a piece may be written over the oldest.
        count = min(written, len(ring) - 2 * callback.PIECE)
        sound: Sound = ring[np.arange(written - count, written) % len(ring), : self.engine.channels]
        return sound

    def revive(self) -> bool:
        """After the device has vanished: look for it by name and go on; False if it is not back yet.

        Raises `Unavailable` if it can never come back to this process.
        """
        if self.on_jack:
            raise Unavailable("the JACK server has gone: start it, and then this program, again.")
        self._stop()
        try:
            devices.rescan()
            self._find()
            self.start()
        except (Unavailable, BadInput):
            return False
        return True

    def fade_out(self) -> None:
        """Let the sound fade to nothing; returns when it has, or the device has stopped calling."""
        self.state.fade_goal[0] = 0
        patience = time.monotonic() + 10 * callback.FADE_S
        while self.active and self.state.fade[0] > 0 and time.monotonic() < patience:
            time.sleep(0.005)
        # What the device has not played yet is lost when it closes: that had better be silence.
        time.sleep(self._device_latency_ms / 1e3 if self.active else 0)

    def close(self) -> None:
        """Stop at once, let the device go, and close the files."""
        self._stop()
        self._close_players()

    def _close_players(self) -> None:
        for each in self._own:
            each.close()

    def _stop(self) -> None:
        self._running[0] = 0
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._stream is not None:
            # PortAudio would wait ten minutes for a JACK server that has died.
            if self._stream.active or not self.on_jack:
                self._stream.close()
            self._stream = None

    def stats(self) -> Stats:
        """What has been measured so far; may be called while the stream runs and after it."""
        blocks = int(self.state.counts[callback.CALLS])
        above = np.cumsum(self.state.load) if blocks else np.zeros(1)
        median, p999 = (
            (int(np.searchsorted(above, part * blocks)) + 0.5) / callback.LOAD_STEPS for part in (0.5, 0.999)
        )
        own = self.engine.latency / self.sample_rate * 1e3
        worst = float(self.state.worst[callback.WORST_LOAD])
        return Stats(
            blocks=blocks,
            samples=int(self.state.counts[callback.SAMPLES]),
            xruns=int(self.state.counts[callback.XRUNS]),
            load_median=min(median, worst),
            load_p999=min(p999, worst),
            load_worst=worst,
            worst_block_us=float(self.state.worst[callback.WORST_SECONDS]) * 1e6,
            latency_ms=own + self._device_latency_ms,
            engine_latency_ms=own,
        )

    def _told_latency_ms(self) -> float:
        told = self._stream.latency
        seconds = sum(told) if isinstance(told, tuple) else told
        # Some servers tell nonsense; nobody plays through seconds.
        return seconds * 1e3 if 0 <= seconds < 2 else 0.0


@contextmanager
def open_stream(
    engine: Engine,
    device: str | int | tuple[str | int | None, str | int | None] | None = None,
    *,
    sample_rate: float | None = None,
    block_size: int = 0,
    channels: int | None = None,
    source: Source | None = None,
    loop: bool = False,
    microphone: bool | Source | None = None,
    microphone_channel: int | None = None,
    score: ArrayLike | None = None,
    stems_out: bool = False,
    limiter: bool = True,
    record: str | Path | None = None,
    force: bool = False,
    compiled: bool = True,
) -> Iterator[Stream]:
    """Run `engine` from the sound card's callback for as long as the context lasts.

        with open_stream(engine) as stream:
            engine.parameters["percussive.gain_db"] = -12
            ...
            print(stream.stats().xruns)

    Parameters
    ----------
    engine : is prepared for the device
    device : name, unique part of a name, or number; a pair of them for input and output; "virtual" for the built-in
        device; None for the system's default
    sample_rate : Hz; the output device's own if None
    block_size : samples in a block, 0 to leave it to the device
    channels : 1 to 8; at most 2 if None
    source : a sound file, (samples, channels) at the stream's rate, or a `Player`, to be un-mixed in place of the input
    loop : start the source again at its end
    microphone : True for one at the device, or what plays in its place, as `source`, mixed down to one channel
    microphone_channel : which of the device's inputs it is, from 1; None: the first that the song leaves free
    score : where alone a melody is looked for, as for `Engine.prepare`; times are those of the song that plays
    stems_out : give each stem its own output channels after those of the mix, as it is before the faders
    limiter : turn the parameter `limiter` on, so that nothing beyond -1 dBFS comes out
    record : a folder to write input, output and stems to: see `Recorder`
    force : let a recording replace an earlier one
    compiled : False for a Python callback in place of the compiled one

    Raises
    ------
    BadInput, Unavailable : with a sentence, before any sound.
    """
    engine.parameters.defaults["limiter"] = float(limiter)
    engine.parameters["limiter"] = float(limiter)
    stream = Stream(
        engine,
        device,
        sample_rate=sample_rate,
        block_size=block_size,
        channels=channels,
        source=source,
        loop=loop,
        microphone=microphone,
        microphone_channel=microphone_channel,
        score=score,
        stems_out=stems_out,
        record=bool(record),
        compiled=compiled,
    )
    try:
        warm_up(stages=engine.settings.stages)
        if record:
            stream.recorder = Recorder(
                stream.state,
                record,
                stems=engine.stems,
                sample_rate=stream.sample_rate,
                latency=engine.latency,
                force=force,
            )
        stream.start()
        try:
            yield stream
        finally:
            stream.fade_out()
    finally:
        stream.close()
        if stream.recorder is not None:
            stream.recorder.close()
