"""Trained weights and their file.

A file is a NumPy archive (.npz) of the arrays of `rtsep.dsp.learned.Network` and `header`, a text in JSON with "format"
(1), how they were trained, on what, and what they score.
"""

import io
import json
import os
from functools import cache
from pathlib import Path

import numpy as np

from . import disk
from .dsp.learned import FEATURES, Network
from .errors import BadInput

FORMAT = 1
"""Of files of weights; any other is refused."""

MASKS = Path(__file__).parent / "weights" / "masks.npz"
"""The network that comes with the package."""


@cache
def load(path: str | os.PathLike[str] = MASKS) -> Network:
    """The network in a file that `save` wrote.

    Raises
    ------
    BadInput : for what is not there, no such file, of another format, broken off, or with impossible weights.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}.") from error
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            version = json.loads(archive["header"].item())["format"]
            if version == FORMAT:
                return _checked(Network(*(archive[name] for name in Network._fields)))
    except BadInput as error:
        raise BadInput(f"{path} cannot be used: {error}") from None
    except Exception as error:  # of many kinds, some of them only in damaged files
        raise BadInput(f"{path} is damaged, breaks off, or holds no network: copy it again.") from error
    raise BadInput(f"{path} has format {version}, and this rtsep reads format {FORMAT}: train it afresh.")


def save(path: str | os.PathLike[str], network: Network, **about: object) -> None:
    """Write a file of weights, all or nothing; `about` is what its header says of them."""
    content = io.BytesIO()
    header = json.dumps({"format": FORMAT} | about)
    np.savez_compressed(content, header=header, **_checked(network)._asdict())
    disk.write(Path(path), content.getvalue())


def _checked(network: Network) -> Network:
    one, two, three = (len(network[layer]) for layer in range(3))
    wanted = (one, FEATURES), (two, one, 3), (three, two, 3), (3, three), (one,), (two,), (three,), (3,)
    shapes = tuple(array.shape for array in network)
    if shapes != wanted or one % 4 or two % 4 or three % 4:
        raise BadInput(f"the weights are of shapes {shapes}: they must be {wanted}, in multiples of four.")
    if any(array.dtype != np.float32 or not np.isfinite(array).all() for array in network):
        raise BadInput("a weight is no number: train it afresh.")
    return network
