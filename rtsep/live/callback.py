"""The engine behind a sound card's callback: the part of a stream that runs on the audio thread.

PortAudio calls the library on its own thread; that is machine code with the whole engine in it, which knows no Python
and waits for nobody. `virtual_host` is a sound card without hardware: a loop, compiled too, that does the very same at
a sound card's pace.
"""

import ctypes
from typing import NamedTuple

import numpy as np

from .. import chain
from ..kernels import clock, float32, float64, int64, kernel, publish, thread_id, wait
from . import player

PIECE = 1024  # samples that the engine takes at once: a device's block may be longer, and may change
FADE_S = 0.05
MICROPHONE_S = 1.0  # that can be taken at once
LOAD_STEPS = 1000  # of the histogram: tenths of a percent of the deadline, the last for all above

# Places in `State.counts` and `State.worst`
CALLS, SAMPLES, XRUNS, COUNTS = 0, 1, 2, 3
WORST_SECONDS, WORST_LOAD, WORST = 0, 1, 2


class State(NamedTuple):
    # written by the control thread
    fade_goal: float32[::1]  # (1,) 1 while the stream is to be heard, 0 before it stops
    engine: chain.State
    song: player.State  # what is played in place of the device's input; empty if that is un-mixed
    singer: player.State  # the same in place of a microphone
    # tables: read only
    period: float64[::1]  # (1,) seconds between samples
    channels: int64[::1]  # (2,) of the device: input, output
    microphone_input: int64[::1]  # (1,) of the device's inputs, from 0
    # memory
    fade: float32[::1]  # (1,) gain on the way to `fade_goal`
    written: int64[::1]  # (1,) rows of the ring so far, its wraps counted in
    ring: float32[:, ::1]  # (rows, columns) input, output, stems, microphone, for whoever records; none if empty
    microphone_written: int64[::1]  # (1,) rows of the next so far
    heard_microphone: float32[::1]  # (rows,) a ring for whoever listens to the singer; none if empty
    # measurements
    thread: int64[::1]  # (1,) the audio thread, 0 before its first call
    counts: int64[::1]  # (3,) calls, samples, calls in which the device told of lost sound
    load: int64[::1]  # (steps,) calls by the part of their deadline that they took
    worst: float64[::1]  # (2,) longest call in seconds, largest part of a deadline
    # scratch: meaningless between calls
    block: float32[:, ::1]  # (piece, channels)
    output: float32[:, ::1]  # (piece, channels)
    stems: float32[:, :, ::1]  # (stems, piece, channels)
    microphone: float32[:, ::1]  # (piece, 1), or (piece, 0) without one


def prepare(
    inner: chain.State,
    sample_rate: float,
    channels: tuple[int, int],
    song: player.State,
    singer: player.State,
    *,
    microphone: int | None,
    ring: int,
) -> State:
    """A state around that of an engine, for a device with (input, output) `channels`, and a `ring` of so many rows.

    `microphone` is its number among the inputs, from 0; None: there is none, nor a `singer`.
    """
    mixed, stems, microphones = song.ring.shape[2], inner.moves.shape[1], int(microphone is not None)
    return State(
        fade_goal=np.ones(1, np.float32),
        engine=inner,
        song=song,
        singer=singer,
        period=np.array([1 / sample_rate]),
        channels=np.array(channels),
        microphone_input=np.array([microphone or 0]),
        fade=np.zeros(1, np.float32),
        written=np.zeros(1, np.int64),
        ring=np.zeros((ring, mixed * (2 + stems) + microphones), np.float32),
        microphone_written=np.zeros(1, np.int64),
        heard_microphone=np.zeros(microphones * round(MICROPHONE_S * sample_rate), np.float32),
        thread=np.zeros(1, np.int64),
        counts=np.zeros(COUNTS, np.int64),
        load=np.zeros(LOAD_STEPS + 1, np.int64),
        worst=np.zeros(WORST, np.float64),
        block=np.zeros((PIECE, mixed), np.float32),
        output=np.zeros((PIECE, mixed), np.float32),
        stems=chain.room(stems, PIECE, mixed),
        microphone=np.zeros((PIECE, microphones), np.float32),
    )


@kernel
def _play(state, output, stems, outputs):
    """Write the mix and the stems (stems, samples, channels), fading, to what the device hears."""
    channels = output.shape[1]
    step = np.float32(state.period[0] / FADE_S)
    for i in range(outputs.shape[0]):
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


@kernel
def _hear(state, inputs, block, microphone):
    """Write what is to be un-mixed to `block` and the singer to `microphone`, from files or from the device."""
    if state.song.ring.shape[1] > 0:
        state.engine.position[0] = state.song.position[0]
        player.read(state.song, block)
    else:
        for i in range(block.shape[0]):
            for c in range(block.shape[1]):
                block[i, c] = inputs[i, c] if c < inputs.shape[1] else np.float32(0)
    at = state.microphone_input[0]
    if state.singer.ring.shape[1] > 0:
        player.read(state.singer, microphone)
    else:
        for i in range(microphone.shape[0]):
            for c in range(microphone.shape[1]):
                microphone[i, c] = inputs[i, at] if at < inputs.shape[1] else np.float32(0)


@kernel
def _keep(state, microphone):
    """Append a piece to the ring of the microphone."""
    rows = state.heard_microphone.shape[0]
    if rows == 0:
        return
    for i in range(microphone.shape[0]):
        state.heard_microphone[(state.microphone_written[0] + i) % rows] = microphone[i, 0]
    publish(state.microphone_written, 0, state.microphone_written[0] + microphone.shape[0])


@kernel
def _record(state, block, output, stems, microphone):
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
        for c in range(microphone.shape[1]):
            row[(2 + stems.shape[0]) * channels + c] = microphone[i, c]
    publish(state.written, 0, state.written[0] + block.shape[0])


@kernel
def process(state, inputs, outputs, flags):
    """One call of the device: from `inputs` (samples, input channels) to `outputs` (samples, output channels).

    `flags` are PortAudio's: whether sound was lost before.
    """
    length, done = outputs.shape[0], 0
    if length == 0:
        return
    start = clock()
    if state.thread[0] == 0:
        state.thread[0] = thread_id()
    while done < length:
        piece = min(state.block.shape[0], length - done)
        block, output, stems = state.block[:piece], state.output[:piece], state.stems[:, :piece]
        voice = state.microphone[:piece]
        _hear(state, inputs[done : done + piece], block, voice)
        chain.process(state.engine, block, voice, output, stems)
        _play(state, output, stems, outputs[done : done + piece])
        _keep(state, voice)
        _record(state, block, output, stems, voice)
        done += piece
    state.counts[CALLS] += 1
    state.counts[SAMPLES] += length
    if flags & 15:  # input or output, underflow or overflow
        state.counts[XRUNS] += 1
    seconds = clock() - start
    part = seconds / (length * state.period[0])
    state.load[min(int(part * LOAD_STEPS), state.load.shape[0] - 1)] += 1
    state.worst[WORST_SECONDS] = max(state.worst[WORST_SECONDS], seconds)
    state.worst[WORST_LOAD] = max(state.worst[WORST_LOAD], part)


FUNCTION = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_ulong,
    ctypes.c_void_p,
    ctypes.c_ulong,
    ctypes.c_void_p,
)
"""What PortAudio calls: `rtsep_portaudio` of the library, which can be called from Python too."""


@kernel
def virtual_host(state, inputs, outputs, seconds, running, lost):
    """A sound card without hardware: process `inputs` into `outputs` every `seconds` until `running[0]` is 0.

    A call that ends after its time counts in `lost[0]` with the blocks that should have come meanwhile.
    """
    due = clock() + seconds
    flags = 0
    while running[0] != 0:
        process(state, inputs, outputs, flags)
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
