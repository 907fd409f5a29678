"""The singer's microphone: high-pass, noise gate, level and a small room, added to the output without delay.

The high-pass is a Butterworth filter as a state-variable one with trapezoidal integrators, which stays calm while
its cutoff moves: Zavalishin, "The Art of VA Filter Design", 2012, ch. 4. The gate opens at once, so that a sung
onset is not cut off, and closes slowly; it listens behind the high-pass, so that rumble does not open it.

The room is a feedback delay network: Jot and Chaigne, "Digital delay networks for designing artificial
reverberators", AES 90th Convention, 1991. Each line loses what its length asks for, so that all modes of one
frequency decay alike. All-passes before it (Schroeder, "Natural sounding artificial reverberation", Journal of
the Audio Engineering Society 10(3), 1962) thicken the first echoes. Left hears the even lines and right the odd.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernels import float32, int64, kernel

_GLIDE_S = 0.01
_ATTACK_S, _HOLD_S, _RELEASE_S = 0.001, 0.05, 0.15  # of the gate; the first and last are time constants
_FALL_S = 0.3  # of the meter

_PREDELAY_S = 0.01
_DIFFUSERS_S = (0.0013, 0.0023, 0.0041, 0.0067)
_DIFFUSION = np.float32(0.6)
_LINES_S = (0.0234, 0.027, 0.0408, 0.0354, 0.0457, 0.0509, 0.06, 0.0552)  # for left and right in turn
# Of 5,000 at random those whose tail repeats itself least: an autocorrelation of 0.19, the plain matrix 0.6.
_SHIFT, _SIGNS, _TAPS = 5, (-1, -1, -1, 1, -1, 1, 1, 1), (-1, -1, 1, 1, -1, 1, -1, 1)
_DECAY_S, _HIGH_DECAY_S, _HIGH_HZ = 1.3, 0.6, 4000.0  # to -60 dB: of the lows, and at one frequency of the highs

_LINES, _DIFFUSERS = len(_LINES_S), len(_DIFFUSERS_S)
_LEAST = np.float32(2**-23)


class State(NamedTuple):
    # tables: read only
    turn: float32[::1]  # (1,) half a turn per sample and hertz, radians
    glide: float32[::1]  # (1,) part of the way to its goal that a control goes with each sample
    attack: float32[::1]  # (1,) the same for a gate that opens
    release: float32[::1]  # (1,) the same for a gate that closes
    hold: int64[::1]  # (1,) samples that the gate stays open after the last loud one
    fall: float32[::1]  # (1,) part of the level that is lost with each sample
    predelay: int64[::1]  # (1,) samples before the room
    diffusers: int64[::1]  # (diffusers,) length of the all-passes, samples
    delays: int64[::1]  # (lines,) length of the lines, samples
    loss: float32[::1]  # (lines,) gain of each line at low frequencies
    bright: float32[::1]  # (lines,) part of the way to its input that each damping filter goes with a sample
    feedback: float32[:, ::1]  # (lines, lines) from line to line: a Hadamard matrix, orthogonal
    taps: float32[:, ::1]  # (2, lines) what left and right hear of each line
    pan: float32[:, ::1]  # (channels, 2) what each channel hears of left and right
    # memory: cleared by reset
    controls: float32[::1]  # (3,) gain and reverb, linear, and cutoff in hertz, gliding
    started: int64[::1]  # (1,) 0 before the first block: controls then start at their goals
    integrators: float32[::1]  # (2,) of the high-pass
    held: int64[::1]  # (1,) samples until the gate begins to close
    now: int64[::1]  # (1,) place in all the rings below
    waiting: float32[::1]  # (span,) the voice on its way to the room
    diffused: float32[:, ::1]  # (diffusers, span) in the all-passes
    lines: float32[:, ::1]  # (lines, span)
    damped: float32[::1]  # (lines,) behind the damping filters
    # scratch: meaningless between calls
    fed: float32[::1]  # (lines,) what goes back into the lines
    # measurements: cleared by reset
    level: float32[::1]  # (1,) peak of the microphone, linear, falling back
    open: float32[::1]  # (1,) gain of the gate, 0 to 1


def prepare(sample_rate: float, channels: int) -> State:
    """A state for an output of `channels`: one hears the mean of left and right, more hear them in turn."""
    delays = _coprime(_LINES_S, sample_rate)
    loss = 10 ** (-3 * delays / (_DECAY_S * sample_rate))
    high_loss = 10 ** (-3 * delays / (_HIGH_DECAY_S * sample_rate))
    # Of a voice of one unit of energy each line carries this much in all its rounds together.
    carried = np.mean(loss**2) / _LINES / (1 - np.mean(loss**2))
    span = 1 << int(delays.max()).bit_length()
    return State(
        turn=np.array([math.pi / sample_rate], np.float32),
        glide=_rate(_GLIDE_S, sample_rate),
        attack=_rate(_ATTACK_S, sample_rate),
        release=_rate(_RELEASE_S, sample_rate),
        hold=np.array([round(_HOLD_S * sample_rate)]),
        fall=np.array([1 / (_FALL_S * sample_rate)], np.float32),
        predelay=np.array([round(_PREDELAY_S * sample_rate)]),
        diffusers=_coprime(_DIFFUSERS_S, sample_rate),
        delays=delays,
        loss=loss.astype(np.float32),
        bright=_bright(high_loss / loss, 2 * math.pi * _HIGH_HZ / sample_rate),
        feedback=_feedback(),
        taps=(_taps() / np.sqrt(_LINES / 2 * carried)).astype(np.float32),
        pan=np.full((1, 2), 0.5, np.float32) if channels == 1 else np.eye(2, dtype=np.float32)[np.arange(channels) % 2],
        controls=np.zeros(3, np.float32),
        started=np.zeros(1, np.int64),
        integrators=np.zeros(2, np.float32),
        held=np.zeros(1, np.int64),
        now=np.zeros(1, np.int64),
        waiting=np.zeros(span, np.float32),
        diffused=np.zeros((_DIFFUSERS, span), np.float32),
        lines=np.zeros((_LINES, span), np.float32),
        damped=np.zeros(_LINES, np.float32),
        fed=np.zeros(_LINES, np.float32),
        level=np.zeros(1, np.float32),
        open=np.zeros(1, np.float32),
    )


def _rate(seconds: float, sample_rate: float) -> NDArray[np.float32]:
    return np.array([-math.expm1(-1 / (seconds * sample_rate))], np.float32)


def _coprime(seconds: Sequence[float], sample_rate: float) -> NDArray[np.int64]:
    """Lengths in samples, near `seconds`, without a common factor: no two echoes fall together for long."""
    lengths: list[int] = []
    for length in seconds:
        samples = round(length * sample_rate)
        while any(math.gcd(samples, other) > 1 for other in lengths):
            samples += 1
        lengths.append(samples)
    return np.array(lengths)


def _bright(ratio: NDArray[np.float64], angle: float) -> NDArray[np.float32]:
    """1 - b of the one-poles (1 - b) / (1 - b / z) whose gain is `ratio` (lines,) at the frequency `angle`."""
    # (1 - b)^2 = ratio^2 (1 - 2 b cos + b^2), solved for the root inside the unit circle
    p, q = 1 - ratio**2 * math.cos(angle), 1 - ratio**2
    return (1 - (p - np.sqrt(p**2 - q**2)) / q).astype(np.float32)


def _feedback() -> NDArray[np.float32]:
    matrix = np.ones((1, 1))
    while len(matrix) < _LINES:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return (np.roll(matrix, _SHIFT, 0) * _SIGNS / math.sqrt(_LINES)).astype(np.float32)


def _taps() -> NDArray[np.float64]:
    taps = np.zeros((2, _LINES))
    taps[0, 0::2], taps[1, 1::2] = _TAPS[0::2], _TAPS[1::2]
    return taps


@kernel
def reset(state):
    """Forget the sound; controls start at their goals again."""
    state.started[0] = 0
    state.integrators[:] = 0
    state.held[0] = 0
    state.now[0] = 0
    state.waiting[:] = 0
    state.diffused[:] = 0
    state.lines[:] = 0
    state.damped[:] = 0
    state.level[0] = 0
    state.open[0] = 0


@kernel
def process(state, gain, high_pass_hz, gate, reverb, microphone, output):
    """Add `microphone` (samples, 1) with its room to `output` (samples, channels).

    `gain` is linear, `high_pass_hz` 20 to 400, `gate` the linear level at which the gate opens (0: always open),
    `reverb` the level of the room relative to the voice: at 1 it is as loud, below the damped high frequencies.
    """
    samples, channels = output.shape
    if state.started[0] == 0:
        state.controls[0], state.controls[1], state.controls[2] = gain, reverb, high_pass_hz
        state.open[0] = 1 if gate == 0 else 0
        state.started[0] = 1
    level, wet, cutoff = state.controls[0], state.controls[1], state.controls[2]
    glide, pan, peak = state.glide[0], state.pan, np.float32(0)
    for i in range(samples):
        x = microphone[i, 0]
        # As where the input enters the STFT: NaN fails both comparisons.
        x = x if np.float32(1e-18) < abs(x) < np.float32(1e6) else np.float32(0)
        peak = max(peak, abs(x))
        level = _toward(level, gain, glide)
        wet = _toward(wet, reverb, glide)
        cutoff = _toward(cutoff, high_pass_hz, glide)
        x = _high_pass(state.integrators, x, cutoff * state.turn[0])
        voice = x * _open(state, abs(x), gate) * level
        left, right = _room(state, voice)
        for c in range(channels):
            output[i, c] += voice + wet * (pan[c, 0] * left + pan[c, 1] * right)
    state.controls[0], state.controls[1], state.controls[2] = level, wet, cutoff
    kept = max(np.float32(1) - samples * state.fall[0], np.float32(0))
    state.level[0] = max(peak, state.level[0] * kept)


@kernel
def _toward(value, goal, rate):
    """One step from `value` to `goal`: a part `rate` of the way; arrives before steps are lost in rounding."""
    value += (goal - value) * rate
    return value if abs(goal - value) > max(_LEAST * goal / rate, np.float32(1e-6)) else goal


@kernel
def _audible(x):
    """`x`, or silence before it decays into denormals, which are slow."""
    return x if abs(x) > np.float32(1e-18) else np.float32(0)


@kernel
def _high_pass(integrators, x, angle):
    """One sample through the high-pass whose cutoff is at `angle` (half of its radians per sample, below 0.16)."""
    one, two, damping = np.float32(1), np.float32(2), np.float32(math.sqrt(2))
    # The tangent by its Padé approximant: in this range exact to a part in 1e8, and without libm.
    square = angle * angle
    g = angle * (np.float32(15) - square) / (np.float32(15) - np.float32(6) * square)
    band, low = integrators[0], integrators[1]
    high = (x - (damping + g) * band - low) / (one + g * (damping + g))
    integrators[0] = _audible(band + two * g * high)
    integrators[1] = _audible(low + two * g * (band + g * high))
    return high


@kernel
def _open(state, level, threshold):
    """Gain of the gate for a sample of this `level`. An open gate listens for half the `threshold`."""
    if level > (threshold if state.held[0] == 0 else threshold * np.float32(0.5)):
        state.held[0] = state.hold[0]
    elif state.held[0] > 0:
        state.held[0] -= 1
    if state.held[0] > 0 or threshold == 0:
        state.open[0] = _toward(state.open[0], np.float32(1), state.attack[0])
    else:
        state.open[0] = _toward(state.open[0], np.float32(0), state.release[0])
    return state.open[0]


@kernel
def _room(state, voice):
    """Take one sample of the `voice`; what left and right hear of the room."""
    now, mask = state.now[0], state.waiting.shape[0] - 1
    lines, damped, fed = state.lines, state.damped, state.fed
    state.waiting[now] = voice
    x = state.waiting[(now - state.predelay[0]) & mask]
    for a in range(_DIFFUSERS):
        late = state.diffused[a, (now - state.diffusers[a]) & mask]
        early = _audible(x - _DIFFUSION * late)
        state.diffused[a, now] = early
        x = late + _DIFFUSION * early
    left, right = np.float32(0), np.float32(0)
    for j in range(_LINES):
        late = lines[j, (now - state.delays[j]) & mask] * state.loss[j]
        damped[j] = _audible(damped[j] + (late - damped[j]) * state.bright[j])
        left += state.taps[0, j] * damped[j]
        right += state.taps[1, j] * damped[j]
        fed[j] = x * np.float32(1 / math.sqrt(_LINES))
    for i in range(_LINES):
        for j in range(_LINES):
            fed[j] += state.feedback[i, j] * damped[i]
    for j in range(_LINES):
        lines[j, now] = fed[j]
    state.now[0] = (now + 1) & mask
    return left, right
