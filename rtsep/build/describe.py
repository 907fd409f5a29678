"""What a host must know of a library: its functions, the state's arrays, the parameters, and images of states.

An image is a prepared state in one piece: for each array its place, counted from the image's start, and its shape, as
`rtsep_create` takes them, and behind them the arrays themselves. Everything is little-endian.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import chain
from ..kernels import leaves, words
from ..parameters import PARAMETERS

if TYPE_CHECKING:  # an image needs no numba
    from .lower import Entry, Module

_ALIGNMENT = 64


def describe(entries: Sequence["Entry"], module: "Module") -> dict[str, Any]:
    """The description of a library with these `entries`, for JSON."""
    arrays, at = [], 0
    for name, kind in leaves(chain.State):
        arrays.append({"name": name, "type": kind.dtype, "dimensions": kind.dimensions, "word": at})
        at += words(kind)
    return {
        "functions": {
            entry.kernel.name: {
                "symbol": entry.symbol,
                "arguments": _words(entry.arguments),
                "results": module.results[entry.symbol],
            }
            for entry in entries
            if not entry.direct  # those are for C, see the header
        },
        "state": {"words": at, "arrays": arrays},
        "parameters": [
            {
                "number": number,
                "id": each.id,
                "name": each.name,
                "low": each.low,
                "high": each.high,
                "default": each.default,
                "unit": each.unit,
                "step": each.step,
                "choices": each.choices,
            }
            for number, each in enumerate(PARAMETERS.values())
        ],
    }


def _words(kinds: Sequence[Any]) -> list[str]:
    return [f"{kind.__module__}.{kind.__qualname__}" if isinstance(kind, type) else str(kind) for kind in kinds]


def image(state: chain.State) -> bytes:
    """A prepared state as a host maps it: at an address that is a multiple of 64, for one `rtsep_create`."""
    head: list[int] = []
    body = bytearray()
    start = -(-8 * words(chain.State) // _ALIGNMENT) * _ALIGNMENT
    for array in _arrays(state):
        head += (start + len(body), *array.shape)
        body += array.tobytes()
        body += bytes(-len(body) % _ALIGNMENT)
    return np.array(head, "<i8").tobytes().ljust(start, b"\0") + bytes(body)


def _arrays(state: Any) -> Any:
    for value in state:
        if isinstance(value, np.ndarray):
            yield value
        else:
            yield from _arrays(value)


def header() -> str:
    """The C header of what a host calls."""
    return _HEADER


_HEADER = """\
/* rtsep as a library. A state is made from an image, at an address that is a multiple of 64, and lives there.
   One thread at a time may process; rtsep_set may be called from any. Sound is interleaved. */
#ifndef RTSEP_H
#define RTSEP_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct rtsep rtsep;
void rtsep_create(void *image);
/* `voice` is the microphone of a singer, of one channel, or NULL. `stems` is (stems, samples + 1, channels). */
void rtsep_process(rtsep *state, const float *sound, const float *voice, float *output, float *stems, int64_t samples);
void rtsep_reset(rtsep *state);
/* Of the parameters in the description, in the unit of the kernels: a gain is linear. */
void rtsep_set(rtsep *state, int64_t parameter, float value);
/* Input, output, F0 in Hz, its confidence, and the level of each stem. */
void rtsep_meters(rtsep *state, float *levels);
/* How much of each template, if there are any, sounds in the last frame. */
void rtsep_activations(rtsep *state, float *activations);
#ifdef __cplusplus
}
#endif
#endif
"""
