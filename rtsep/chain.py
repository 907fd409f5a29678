"""The signal path on one page.

    samples -> STFT -> noise -> medians, melody -> masks -> templates -> stages of one's own
            -> inverse STFT -> stems -> faders -> key -> + microphone -> limiter

`process` is that order. The sound card's callback, a file being rendered and `Engine.process` all call it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import own
from . import places as at
from .dsp import hpss, key, learned, limiter, masks, melody, meters, microphone, mix, nmf, noise, panning, stft
from .kernels import complex64, float32, int64, kernel

FADER = ("gain_db", "mute", "solo")
"""What of a fader the columns of `State.faders` are."""

NOTHING, MIX, AHEAD = -1, -2, -3
"""What templates split, where it is no stem: the mix into parts alone, or into parts and what is left."""

_GAIN, _MUTE, _SOLO = range(3)


class State(NamedTuple):
    # written by the control thread
    targets: float32[::1]  # (parameters,) in the order of the engine's parameters
    # tables: read only
    faders: int64[:, ::1]  # (faders, 3) where the gain, mute and solo of each stem and group are among the targets
    moves: int64[:, ::1]  # (faders, stems) whether it moves the stem
    ducked: int64[::1]  # (stems,) whether it rests with the melody
    trained: int64[::1]  # (1,) whether there are networks
    split: int64[::1]  # (1,) the row of `whole` that templates split, or NOTHING, MIX, AHEAD
    transposing: int64[::1]  # (1,) whether the key may be changed
    # memory: cleared by reset
    position: int64[::1]  # (1,) of the next sample in the song, for its score; a player sets it
    phase: int64[::1]  # (1,) samples since the last frame
    stft: stft.State
    noise: noise.State
    hpss: hpss.State
    melody: melody.State
    learned: learned.State
    nmf: nmf.State
    mix: mix.State
    key: key.State
    microphone: microphone.State
    limiter: limiter.State
    meters: meters.State
    own: float32[::1]  # the states of stages of one's own, one behind the other
    own_starts: int64[::1]  # (stages + 1,) where each begins, and the last ends
    # scratch: meaningless between calls
    dry: float32[:, ::1]  # (hop, channels) the delayed input
    magnitude: float32[::1]  # (bins,) of all channels together
    harmonic: float32[::1]  # (bins,) its median along time
    percussive: float32[::1]  # (bins,) its median along frequency
    placed: complex64[:, ::1]  # (channels, bins) what of a frame sounds where the melody is looked for
    place: float32[::1]  # (bins,) part of a frame that does
    share: float32[::1]  # (bins,) that the melody has in it
    whole: float32[:, ::1]  # (percussive, melody and harmony, bins) masks
    portion: float32[::1]  # (bins,) magnitude of what templates split
    shares: float32[:, ::1]  # (parts, bins) that the parts have in it
    masks: float32[:, ::1]  # (stems - 1, bins)


@kernel
def process(state, block, voice, output, stems):
    """Take `block` (samples, channels) and `voice` (samples, 1), or (samples, 0) if there is no microphone.

    Write `output`, shaped like `block`, and `stems` (stems, samples, channels).
    """
    samples, hop = block.shape[0], state.dry.shape[0]
    _read_faders(state)
    done = 0
    while done < samples:
        phase = state.phase[0]
        end = min(done + hop - phase, samples)
        dry = state.dry[: end - done]
        stft.write(state.stft, phase, block[done:end], dry)
        mix.process(state.mix, phase, dry, state.stft.ready, stems[:, done:end], output[done:end])
        state.position[0] += end - done
        state.phase[0] = phase + end - done
        if state.phase[0] == hop:
            state.phase[0] = 0
            _frame(state)
        done = end
    _finish(state, voice, output)
    meters.process(state.meters, block, output, stems)


@kernel
def _frame(state):
    """A hop is full: one frame through the spectral domain."""
    targets, by_network = state.targets, state.targets[at.masks] != 0 and state.trained[0] != 0
    pan, width = targets[at.melody_pan], targets[at.melody_pan_width]
    stft.analyze(state.stft, state.magnitude)
    newest, due = state.stft.newest[0], stft.due(state.stft)
    noise.process(state.noise, newest, state.magnitude)
    hpss.process(state.hpss, state.magnitude, state.harmonic, state.percussive)
    panning.process(state.stft.spectra[newest], pan, width, state.placed, state.place)
    noise.take_out(state.noise, newest, state.placed)
    melody.process(
        state.melody,
        state.placed,
        state.hpss.history[hpss.due(state.hpss)],
        targets[at.melody_low_hz],
        targets[at.melody_high_hz],
        state.position[0],
        int(targets[at.melody_lead]) if by_network else -1,
        state.share,
    )
    panning.process(state.stft.spectra[due], pan, width, state.placed, state.place)
    meters.note(state.meters, state.melody.f0[0], state.melody.likeliest[0], state.melody.confidence[0])
    if state.split[0] != MIX:  # else templates explain all of it
        _tell_apart(state, by_network)
    _split(state, state.hpss.history[hpss.due(state.hpss)])
    noise.weigh(state.noise, due, state.masks)
    meters.hear(state.meters, state.nmf.activations)
    own.process(state.own, state.own_starts, state.hpss.history[hpss.due(state.hpss)], state.masks)
    stft.synthesize(state.stft, state.masks)


@kernel
def _tell_apart(state, by_network):
    """Write the masks of percussive, melody and harmony."""
    targets = state.targets
    if by_network:
        learned.process(
            state.learned,
            state.magnitude,
            state.melody.place,
            state.melody.weight,
            state.melody.gate[0],
            state.share,
            state.whole,
        )
        for k in range(state.place.shape[0]):  # the network may hear one even so
            state.place[k] *= state.melody.open[0]
        masks.place(state.place, state.whole)
    else:
        learned.hear(state.learned, state.magnitude)  # so that it knows the past when it is chosen
        for k in range(state.share.shape[0]):
            state.share[k] *= state.place[k]
        masks.process(
            state.harmonic,
            state.percussive,
            state.share,
            targets[at.hpss_bias],
            targets[at.hpss_separation],
            targets[at.hpss_exponent],
            targets[at.hpss_mask],
            state.whole,
        )


@kernel
def _split(state, magnitude):
    """From the masks of percussive, melody and harmony to those of the stems, for a frame of `magnitude` (bins,)."""
    row, split = 0, state.split[0]
    if split == MIX:
        _explain(state, magnitude, state.masks[: state.shares.shape[0]])
        return
    if split == AHEAD:
        row = _take_out(state, magnitude)
    for m in range(state.whole.shape[0]):
        mask = state.whole[m]
        if m != split:
            whole = state.masks[row]
            for k in range(whole.shape[0]):
                whole[k] = mask[k]
            row += 1
            continue
        for k in range(mask.shape[0]):
            state.portion[k] = mask[k] * magnitude[k]
        _explain(state, state.portion, state.shares)
        for p in range(state.shares.shape[0]):
            share, part = state.shares[p], state.masks[row]
            for k in range(part.shape[0]):
                part[k] = share[k] * mask[k]
            row += 1


@kernel
def _explain(state, magnitude, shares):
    """Write the `shares` (parts, bins) that templates give their parts in `magnitude` (bins,)."""
    targets = state.targets
    nmf.process(
        state.nmf,
        magnitude,
        int(targets[at.templates_solver]),
        int(targets[at.templates_sweeps]),
        targets[at.templates_sparsity],
        targets[at.templates_smoothness],
        targets[at.templates_exponent],
        shares,
    )


@kernel
def _take_out(state, magnitude):
    """Write the masks of the parts and weigh the others by what they leave; how many parts there are."""
    _explain(state, magnitude, state.shares)
    if nmf.empty(state.nmf):
        state.shares[-1] = 1
    parts, left = state.shares.shape[0] - 1, state.shares[-1]
    for p in range(parts):
        share, part = state.shares[p], state.masks[p]
        for k in range(part.shape[0]):
            part[k] = share[k]
    for m in range(state.whole.shape[0]):
        mask = state.whole[m]
        for k in range(mask.shape[0]):
            mask[k] *= left[k]
    return parts


@kernel
def _finish(state, voice, output):
    """What comes after the faders, on the `output` (samples, channels) in place."""
    targets = state.targets
    if state.transposing[0] != 0:
        key.process(state.key, targets[at.key_semitones] if targets[at.bypass] == 0 else np.float32(0), output)
    if voice.shape[1] != 0:
        heard = targets[at.output_mute] == 0
        gain = targets[at.microphone_gain_db] if heard and targets[at.microphone_mute] == 0 else np.float32(0)
        reverb = targets[at.microphone_reverb_db] if heard else np.float32(0)
        microphone.process(
            state.microphone,
            gain,
            targets[at.microphone_high_pass_hz],
            targets[at.microphone_gate_db],
            reverb,
            voice,
            output,
        )
    limiter.process(
        state.limiter, targets[at.limiter_ceiling_db] if targets[at.limiter] != 0 else np.float32(np.inf), output
    )


@kernel
def _read_faders(state):
    """Set the goals of the mix: a stem's own fader, mute and solo, and those of the groups that it is in."""
    targets, goal = state.targets, state.mix.goal
    faders, moves, stems = state.faders, state.moves, state.moves.shape[1]
    soloed = np.float32(0)
    for f in range(faders.shape[0]):
        soloed += targets[faders[f, _SOLO]]
    for s in range(stems):
        gain, heard = np.float32(1), soloed == 0
        for f in range(faders.shape[0]):
            if moves[f, s] != 0:
                gain *= targets[faders[f, _GAIN]] if targets[faders[f, _MUTE]] == 0 else np.float32(0)
                heard = heard or targets[faders[f, _SOLO]] != 0
        resting = state.ducked[s] != 0 and targets[at.melody_duck] != 0
        goal[s] = gain if heard and not resting else np.float32(0)
    goal[stems] = targets[at.output_gain_db]
    goal[stems + 1] = targets[at.bypass]
    goal[stems + 2] = np.float32(1) - targets[at.output_mute]


@kernel
def reset(state):
    """Forget the sound; parameters stay."""
    state.position[0] = 0
    state.phase[0] = 0
    stft.reset(state.stft)
    noise.reset(state.noise)
    hpss.reset(state.hpss)
    melody.reset(state.melody)
    learned.reset(state.learned)
    nmf.reset(state.nmf)
    mix.reset(state.mix)
    key.reset(state.key)
    microphone.reset(state.microphone)
    limiter.reset(state.limiter)
    meters.reset(state.meters)
    own.reset(state.own, state.own_starts)


def room(stems: int, samples: int, channels: int) -> NDArray[np.float32]:
    """Room for the `stems` of blocks of at most `samples`, to be given to `process` as room[:, :samples].

    One sample longer, so that this is never contiguous: for that type too all would have to be compiled.
    """
    return np.zeros((stems, samples + 1, channels), np.float32)
