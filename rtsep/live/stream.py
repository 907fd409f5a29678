"""The compiled callback, and the stream around it: a sound card through PortAudio, or the built-in virtual device.

PortAudio calls `_portaudio` on its own thread; that is machine code with the whole engine in it, which knows no
Python and waits for nobody. The virtual device is a loop, compiled too, that calls the very same function at the
pace of a sound card. Where PortAudio's C interface cannot be had, an ordinary Python callback calls the same kernel.
"""

import ctypes
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import carray, float32, float64, from_dtype, int64, types

from .. import engine as core
from ..engine import Engine, Sound
from ..errors import BadInput, Unavailable
from ..kernel import (
    call_portaudio,
    callback,
    clock,
    compiling,
    kernel,
    load,
    native,
    numba_type,
    publish,
    wait,
)
from ..settings import STEMS
from . import devices
from .record import Recorder

_PIECE = 1024  # samples that the engine takes at once: a device's block may be longer, and may change
_FADE_S = 0.05
_RING_S = 8  # how long a disk may stall before a recording has a gap
_LOAD_STEPS = 1000  # of the histogram: tenths of a percent of the deadline, the last for all above

# Places in `State.counts` and `State.worst`
_CALLS, _SAMPLES, _XRUNS, _COUNTS = 0, 1, 2, 3
_WORST_SECONDS, _WORST_LOAD, _WORST = 0, 1, 2


class State(NamedTuple):
    # written by the control thread
    fade_goal: float32[::1]  # (1,) 1 while the stream is to be heard, 0 before it stops
    engine: core.State
    # tables: read only
    period: float64[::1]  # (1,) seconds between samples
    channels: int64[::1]  # (2,) of the device: input, output
    source: float32[:, ::1]  # (samples, channels) what is played in place of the input; none if empty
    loop: int64[::1]  # (1,) whether the source starts again at its end
    # memory
    played: int64[::1]  # (1,) samples of the source so far
    fade: float32[::1]  # (1,) gain on the way to `fade_goal`
    written: int64[::1]  # (1,) rows of the ring so far, its wraps counted in
    ring: float32[:, ::1]  # (rows, channels * (2 + stems)) input, output, stems, for whoever records; none if empty
    # measurements
    counts: int64[::1]  # (3,) calls, samples, calls in which the device told of lost sound
    load: int64[::1]  # (steps,) calls by the part of their deadline that they took
    worst: float64[::1]  # (2,) longest call in seconds, largest part of a deadline
    # scratch: meaningless between calls
    block: float32[:, ::1]  # (piece, channels)
    output: float32[:, ::1]  # (piece, channels)
    stems: float32[:, :, ::1]  # (stems, piece, channels)


@kernel
def process(state, inputs, outputs, flags):
    """One call of the device: `inputs` (samples, input channels) to `outputs` (samples, output channels)."""
    start = clock()
    samples = outputs.shape[0]
    done = 0
    while done < samples:
        end = min(done + state.block.shape[0], samples)
        _piece(state, inputs[done:end], outputs[done:end])
        done = end
    state.counts[_CALLS] += 1
    state.counts[_SAMPLES] += samples
    if flags & 15:  # input or output, underflow or overflow
        state.counts[_XRUNS] += 1
    seconds = clock() - start
    load = seconds / (samples * state.period[0])
    state.load[min(int(load * _LOAD_STEPS), state.load.shape[0] - 1)] += 1
    state.worst[_WORST_SECONDS] = max(state.worst[_WORST_SECONDS], seconds)
    state.worst[_WORST_LOAD] = max(state.worst[_WORST_LOAD], load)


@kernel
def _piece(state, inputs, outputs):
    samples, channels = outputs.shape[0], state.block.shape[1]
    block, output, stems = state.block[:samples], state.output[:samples], state.stems[:, :samples]
    for i in range(samples):
        for c in range(channels):
            block[i, c] = _input(state, inputs, i, c)
    core.process(state.engine, block, output, stems)
    step = np.float32(state.period[0] / _FADE_S)
    for i in range(samples):
        goal = state.fade_goal[0]
        state.fade[0] += min(max(goal - state.fade[0], -step), step)
        for c in range(channels):
            output[i, c] *= state.fade[0]
        for c in range(outputs.shape[1]):
            # The mix, then each stem; a mono mix plays on every channel.
            stem, channel = c // channels - 1, c % channels
            if channels == 1 and outputs.shape[1] == 2:
                stem, channel = -1, 0
            outputs[i, c] = output[i, channel] if stem < 0 else stems[stem, i, channel] * state.fade[0]
    _record(state, block, output, stems)


@kernel
def _input(state, inputs, i, c):
    """Sample `i` of channel `c`: the source's where there is one, else the device's."""
    length = state.source.shape[0]
    if length == 0:
        return inputs[i, c] if c < inputs.shape[1] else np.float32(0)
    at = state.played[0]
    if c == state.block.shape[1] - 1:
        state.played[0] = at + 1
    if state.loop[0] != 0:
        at %= length
    return state.source[at, c] if at < length else np.float32(0)


@kernel
def _record(state, block, output, stems):
    """Append a piece to the ring. It never waits: a reader who comes too late finds that it was lapped."""
    rows = state.ring.shape[0]
    if rows == 0:
        return
    channels = block.shape[1]
    for i in range(block.shape[0]):
        row = state.ring[(state.written[0] + i) % rows]
        for c in range(channels):
            row[c] = block[i, c]
            row[channels + c] = output[i, c]
            for s in range(stems.shape[0]):
                row[(2 + s) * channels + c] = stems[s, i, c]
    publish(state.written, 0, state.written[0] + block.shape[0])


_KIND = numba_type(State)
_ULONG = from_dtype(np.dtype(ctypes.c_ulong))  # 32 bits on Windows


@callback(types.int32(types.voidptr, types.voidptr, _ULONG, types.voidptr, _ULONG, types.voidptr))
def _portaudio(inputs, outputs, samples, time_info, flags, user):
    state = load(user, _KIND)
    given = carray(inputs, (samples, state.channels[0]), np.float32)
    process(state, given, carray(outputs, (samples, state.channels[1]), np.float32), flags)
    return 0


@kernel
def _process_at(address, inputs, outputs, flags):
    """`process` for a callback in Python."""
    process(load(address, _KIND), inputs, outputs, flags)


@kernel
def _virtual_host(function, user, inputs, outputs, samples, seconds, running, lost):
    """Call the callback at address `function` for `samples` every `seconds` until `running[0]` is 0.

    A call that ends after its time counts in `lost[0]` with the blocks that should have come meanwhile.
    """
    due = clock() + seconds
    flags = 0
    while running[0] != 0:
        call_portaudio(function, inputs, outputs, samples, flags, user)
        late = clock() - due
        flags = 0
        if late > 0:
            missed = int(late / seconds) + 1
            lost[0] += missed
            due += missed * seconds
            flags = 4
        if due > clock():
            wait(due - clock())
        due += seconds


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
    """A running stream; made by `open_stream`. `engine.parameters` may be moved while it runs."""

    def __init__(
        self,
        engine: Engine,
        device: Any = None,
        *,
        sample_rate: float | None = None,
        block_size: int = 0,
        channels: int | None = None,
        source: Sound | None = None,
        loop: bool = False,
        stems_out: bool = False,
        record: bool = False,
        compiled: bool = True,
    ) -> None:
        if not 0 <= block_size <= 8192:
            raise BadInput(f"the block size is {block_size}: it must lie between 1 and 8192 samples, or be 0 (free).")
        self.engine, self.block_size, self._compiled = engine, block_size, compiled
        self._playing, self._running = source is not None, np.zeros(1, np.int64)
        names = device if isinstance(device, tuple) else (device, device)
        self._names: tuple[Any, ...] = (names[1], names[1]) if self._playing else names
        self._stream: Any = None
        self._thread: threading.Thread | None = None
        self._device_latency_ms = 0.0
        self.lost = np.zeros(1, np.int64)
        self.virtual = devices.VIRTUAL in self._names
        if self.virtual:
            if not set(self._names) <= {devices.VIRTUAL, None}:
                raise BadInput("the virtual device is both input and output: use -i virtual -o virtual.")
            self.sample_rate = float(sample_rate or 48_000)
            most = (source.shape[1] if source is not None else 2, 64)
        else:
            self._find()
            self.sample_rate = float(sample_rate or self._output.sample_rate)
            most = (source.shape[1] if source is not None else self._input.inputs, self._output.outputs)
        if channels is None:
            channels = min(2, most[0], most[1])
        columns = channels * (1 + len(STEMS)) if stems_out else max(channels, min(2, most[1]))
        if source is not None and source.shape[1] != channels:
            raise BadInput(f"the source has {source.shape[1]} channels, the stream {channels}.")
        if not self.virtual:
            if not self._playing:
                devices.check(self._input, "input", channels, self.sample_rate)
            devices.check(self._output, "output", columns, self.sample_rate)
        engine.prepare(sample_rate=self.sample_rate, channels=channels, max_block=_PIECE)
        self.recorder: Recorder | None = None
        rows = int(_RING_S * self.sample_rate) if record else 0
        self.state = State(
            fade_goal=np.ones(1, np.float32),
            engine=engine.state,
            period=np.array([1 / self.sample_rate]),
            channels=np.array([channels, columns]),
            source=np.zeros((0, channels), np.float32) if source is None else np.array(source, np.float32, order="C"),
            loop=np.array([int(loop)]),
            played=np.zeros(1, np.int64),
            fade=np.zeros(1, np.float32),
            written=np.zeros(1, np.int64),
            ring=np.zeros((rows, channels * (2 + len(STEMS))), np.float32),
            counts=np.zeros(_COUNTS, np.int64),
            load=np.zeros(_LOAD_STEPS + 1, np.int64),
            worst=np.zeros(_WORST, np.float64),
            block=np.zeros((_PIECE, channels), np.float32),
            output=np.zeros((_PIECE, channels), np.float32),
            stems=np.zeros((len(STEMS), _PIECE, channels), np.float32),
        )
        self._native = native(self.state)

    def _find(self) -> None:
        """The devices by their names, as they are now."""
        self._output = devices.find(self._names[1], "output")
        self._input = self._output if self._playing else devices.find(self._names[0], "input")
        # From now on by these very names: numbers and the system's default change as cards come and go.
        self._names = tuple(f"{device.name}, {device.host}" for device in (self._input, self._output))

    def start(self) -> None:
        """Open the device and let sound through, fading in."""
        self.state.fade[0] = 0
        self.state.fade_goal[0] = 1
        if self.virtual:
            self._start_virtual()
            return
        sounddevice = devices.portaudio()
        inputs, outputs = (int(count) for count in self.state.channels)
        kind: str
        device: Any
        channels: Any
        kind, device, channels = "duplex", (self._input.number, self._output.number), (inputs, outputs)
        if self._playing:
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
                    callback=ffi.cast("PaStreamCallback*", _portaudio.address),
                    userdata=ffi.cast("void*", self._native.ctypes.data),
                    **common,
                )
            elif self._playing:
                self._stream = sounddevice.OutputStream(callback=self._output_callback, **common)
            else:
                self._stream = sounddevice.Stream(callback=self.callback, **common)
            self._stream.start()
            self._device_latency_ms = self._told_latency_ms()
        except sounddevice.PortAudioError as error:
            self.close()
            raise Unavailable(f"the device {self._output.name!r} cannot be opened: {error.args[0]}.") from None

    def _start_virtual(self) -> None:
        samples = self.block_size or 128
        inputs, outputs = (np.zeros((samples, int(count)), np.float32) for count in self.state.channels)
        self._running[0] = 1
        self._thread = threading.Thread(
            target=_virtual_host,
            args=(
                _portaudio.address,
                self._native.ctypes.data,
                inputs.ctypes.data,
                outputs.ctypes.data,
                samples,
                samples / self.sample_rate,
                self._running,
                self.lost,
            ),
            daemon=True,
        )
        self._buffers = inputs, outputs  # as long as the host may run
        self._thread.start()

    def callback(self, inputs: Sound, outputs: Sound, samples: int, time_info: Any, status: Any) -> None:
        """What the compiled callback does, as a callback in Python for `sounddevice.Stream`."""
        _process_at(self._native.ctypes.data, inputs, outputs, int(status._flags) if status else 0)

    def _output_callback(self, outputs: Sound, samples: int, time_info: Any, status: Any) -> None:
        self.callback(np.zeros((samples, 0), np.float32), outputs, samples, time_info, status)

    @property
    def description(self) -> str:
        """What runs where, in a line."""
        block = f"blocks of {self.block_size}" if self.block_size else "blocks as the device likes"
        return (
            f"mode {self.engine.settings.mode} on {self.device_name!r}, {self.engine.channels} channels at "
            f"{self.sample_rate:g} Hz, {block}, latency {self.stats().latency_ms:.1f} ms"
        )

    @property
    def device_name(self) -> str:
        """What the device is called."""
        return devices.VIRTUAL if self.virtual else self._output.name

    @property
    def active(self) -> bool:
        """Whether the device still calls. False after it has vanished."""
        if self.virtual:
            return bool(self._running[0])
        return self._stream is not None and bool(self._stream.active)

    @property
    def finished(self) -> bool:
        """Whether the source has been heard to its end."""
        length = len(self.state.source)
        return self._playing and not self.state.loop[0] and self.state.played[0] >= length + self.engine.latency

    def revive(self) -> bool:
        """After the device has vanished: look for it by name and go on; False if it is not back yet.

        Raises `Unavailable` if it can never come back to this process.
        """
        if self._output.host.startswith("JACK"):
            raise Unavailable("the JACK server has gone: start it, and then this program, again.")
        self.close()
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
        patience = time.monotonic() + 10 * _FADE_S
        while self.active and self.state.fade[0] > 0 and time.monotonic() < patience:
            time.sleep(0.005)

    def close(self) -> None:
        """Stop at once and let the device go."""
        self._running[0] = 0
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._stream is not None:
            # PortAudio would wait ten minutes for a JACK server that has died.
            if self._stream.active or not self._output.host.startswith("JACK"):
                self._stream.close()
            self._stream = None

    def stats(self) -> Stats:
        """What has been measured so far; may be called while the stream runs and after it."""
        blocks = int(self.state.counts[_CALLS])
        above = np.cumsum(self.state.load) if blocks else np.zeros(1)
        median, p999 = ((int(np.searchsorted(above, part * blocks)) + 0.5) / _LOAD_STEPS for part in (0.5, 0.999))
        own = self.engine.latency / self.sample_rate * 1e3
        worst = float(self.state.worst[_WORST_LOAD])
        return Stats(
            blocks=blocks,
            samples=int(self.state.counts[_SAMPLES]),
            xruns=int(self.state.counts[_XRUNS]),
            load_median=min(median, worst),
            load_p999=min(p999, worst),
            load_worst=worst,
            worst_block_us=float(self.state.worst[_WORST_SECONDS]) * 1e6,
            latency_ms=own + self._device_latency_ms,
            engine_latency_ms=own,
        )

    def _told_latency_ms(self) -> float:
        told = self._stream.latency
        seconds = sum(told) if isinstance(told, tuple) else told
        # Some servers tell nonsense; nobody plays through seconds.
        return seconds * 1e3 if 0 <= seconds < 2 else 0.0


def warm_up(told: Callable[[str], object] = lambda message: None) -> None:
    """Compile (or load from the cache) everything that a stream needs; `told` hears of it if it takes long."""
    with compiling("stream", told):
        stream = Stream(Engine(), devices.VIRTUAL)
        silence = np.zeros((1, 2), np.float32)
        _process_at(stream._native.ctypes.data, silence, silence.copy(), 0)
        # Not running, this returns at once.
        _virtual_host(_portaudio.address, 0, 0, 0, 0, 1.0, stream._running, stream.lost)


@contextmanager
def open_stream(
    engine: Engine,
    device: str | int | tuple[str | int | None, str | int | None] | None = None,
    *,
    sample_rate: float | None = None,
    block_size: int = 0,
    channels: int | None = None,
    source: Sound | None = None,
    loop: bool = False,
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
    source : (samples, channels) played in place of the input; then only an output is opened
    loop : start the source again at its end
    stems_out : give each stem its own output channels after those of the mix, as it is before the faders
    limiter : turn the parameter `limiter` on, so that nothing beyond -1 dBFS comes out
    record : a folder to write input, output and stems to: see `Recorder`
    force : let a recording replace an earlier one
    compiled : False for a Python callback in place of the compiled one

    Raises
    ------
    BadInput, Unavailable : with a sentence, before any sound.
    """
    engine.parameters["limiter"] = float(limiter)
    stream = Stream(
        engine,
        device,
        sample_rate=sample_rate,
        block_size=block_size,
        channels=channels,
        source=source,
        loop=loop,
        stems_out=stems_out,
        record=record is not None,
        compiled=compiled,
    )
    warm_up()
    if record is not None:
        stream.recorder = Recorder(stream, record, force)
    try:
        stream.start()
        yield stream
        stream.fade_out()
    finally:
        stream.close()
        if stream.recorder is not None:
            stream.recorder.close()
