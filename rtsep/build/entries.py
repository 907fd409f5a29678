"""What the library offers: to Python the kernels that it calls, to C the functions that a host needs.

A host in C maps an image file (`describe.py`) into memory of its own, makes it a state by `rtsep_create`, and processes
blocks of interleaved samples. One thread at a time may process; `rtsep_set` may be called from any.
"""

from typing import Any

import numpy as np
from numba import int32, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import arrayobj

from .. import chain
from ..dsp import nmf, noise
from ..kernels import float32, float64, int64, kernel, leaves, pointer, ulong, words
from ..live import callback, player
from ..offline import score_nmf
from .lower import Entry

_F = float32


def _of_python(function: Any, *arguments: Any) -> Entry:
    return Entry(function.name.replace(".", "_"), function, arguments)


PYTHON = (
    _of_python(chain.process, chain.State, _F[:, ::1], _F[:, ::1], _F[:, ::1], _F[:, :, :]),
    _of_python(chain.reset, chain.State),
    _of_python(nmf.process, nmf.State, _F[::1], int64, int64, _F, _F, _F, _F[:, ::1]),
    _of_python(nmf._flip, int64[::1], int64),
    _of_python(noise._average, _F[::1], _F[::1], _F),
    _of_python(noise._flip, int64[::1], int64),
    _of_python(player.write, player.State, int64, int64, _F[:, :]),
    _of_python(player.switch, player.State, int64, int64),
    _of_python(callback.process, callback.State, _F[:, ::1], _F[:, ::1], int64),
    _of_python(callback.virtual_host, callback.State, _F[:, ::1], _F[:, ::1], float64, int64[::1], int64[::1]),
    _of_python(score_nmf._update, _F[:, ::1], _F[:, ::1], _F[:, ::1], _F[:, ::1], _F[::1], int64[::1]),
)


def _view(dtype: types.Type) -> Any:
    """An intrinsic that takes a pointer and a shape for an array of `dtype` without gaps, as C gives it."""

    @intrinsic
    def viewed(typing_context, place, shape):
        kind = types.Array(dtype, len(shape), "C")

        def generate(context, builder, signature, arguments):
            whole = context.make_array(kind)(context, builder)
            lengths = cgutils.unpack_tuple(builder, arguments[1])
            item = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(dtype)))
            strides = [item]
            for length in reversed(lengths[1:]):
                strides.insert(0, builder.mul(strides[0], length))
            data = builder.bitcast(arguments[0], whole.data.type)
            arrayobj.populate_array(whole, data, lengths, strides, item, None)
            return whole._getvalue()

        return kind(place, shape), generate

    return viewed


_floats, _numbers = _view(types.float32), _view(types.int64)


@intrinsic
def _address(typing_context, place):
    def generate(context, builder, signature, arguments):
        return builder.ptrtoint(arguments[0], context.get_value_type(types.int64))

    return types.int64(place), generate


def _relocations() -> np.ndarray[Any, Any]:
    """Which words of an engine's image are addresses."""
    at, places = 0, []
    for _, leaf in leaves(chain.State):
        places.append(at)
        at += words(leaf)
    return np.array(places)


_WORDS, _PLACES = words(chain.State), _relocations()


@kernel
def create(image):
    """Make a mapped image (see `describe.py`) a state: once, at the address where it stays."""
    content, base = _numbers(image, (_WORDS,)), _address(image)
    for i in range(_PLACES.shape[0]):
        content[_PLACES[i]] += base


@kernel
def process(state, sound, voice, output, stems, samples):
    """Un-mix `sound` (samples, channels) into `output`, shaped alike, and `stems` (stems, samples + 1, channels).

    `voice` (samples,) is a singer's microphone, or no address.
    """
    shape = (samples, state.dry.shape[1])
    room = _floats(stems, (state.moves.shape[1], samples + 1, shape[1]))
    sung = _floats(voice, (samples, np.int64(_address(voice) != 0)))
    chain.process(state, _floats(sound, shape), sung, _floats(output, shape), room[:, :samples])


@kernel
def set_parameter(state, number, value):
    """Set the parameter of that number to `value`, in the unit of the description."""
    if 0 <= number < state.targets.shape[0]:
        state.targets[number] = value


@kernel
def read_meters(state, levels):
    """Write input, output, F0 in Hz, confidence, and the level of each stem."""
    meters = state.meters
    into = _floats(levels, (4 + meters.stems.shape[0],))
    into[0], into[1], into[2], into[3] = meters.input[0], meters.output[0], meters.f0[0], meters.confidence[0]
    for s in range(meters.stems.shape[0]):
        into[4 + s] = meters.stems[s]


@kernel
def read_activations(state, into):
    """Write the activation of each template in the last frame, in the unit of the magnitude."""
    activations = state.nmf.activations
    written = _floats(into, (activations.shape[0],))
    for r in range(activations.shape[0]):
        written[r] = activations[r]


@kernel
def portaudio(inputs, outputs, samples, time, flags, state):
    """PortAudio's callback."""
    length = np.int64(samples)
    callback.process(
        state,
        _floats(inputs, (length, state.channels[0])),
        _floats(outputs, (length, state.channels[1])),
        np.int64(flags),
    )
    return int32(0)


HOST = (
    Entry("rtsep_create", create, (pointer,), direct=True),
    Entry("rtsep_process", process, (chain.State, pointer, pointer, pointer, pointer, int64), direct=True),
    Entry("rtsep_reset", chain.reset, (chain.State,), direct=True),
    Entry("rtsep_set", set_parameter, (chain.State, int64, float32), direct=True),
    Entry("rtsep_meters", read_meters, (chain.State, pointer), direct=True),
    Entry("rtsep_activations", read_activations, (chain.State, pointer), direct=True),
)

PORTAUDIO = Entry("rtsep_portaudio", portaudio, (pointer, pointer, ulong, pointer, ulong, callback.State), direct=True)
