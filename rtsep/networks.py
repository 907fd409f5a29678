"""Trained weights and their file.

A file is a NumPy archive (.npz) of the arrays of `rtsep.dsp.pitchnet.Network` ("pitch.first" and so on) and of
`rtsep.dsp.learned.Network` ("masks.first"), and `header`, a text in JSON with "format" (3), how they were trained, on
what, and what they score.
"""

import io
import json
import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import disk
from .dsp import learned, pitchnet
from .dsp.learned import AHEAD, FEATURES
from .errors import BadInput

FORMAT = 3
"""Of files of weights; any other is refused."""

OURS = Path(__file__).parent / "networks.npz"
"""The networks that come with the package; `python -m rtsep.training` made them."""


class Networks(NamedTuple):
    """What masks=learned needs."""

    pitch: pitchnet.Network
    masks: learned.Network
    ahead: learned.Network  # masks that may wait for the frames that follow


@cache
def load(path: str | os.PathLike[str] = OURS) -> Networks:
    """The networks in a file that `save` wrote.

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
                pitch = pitchnet.Network(*(archive[f"pitch.{name}"] for name in pitchnet.Network._fields))
                masks, ahead = (
                    learned.Network(*(archive[f"{one}.{name}"] for name in learned.Network._fields))
                    for one in ("masks", "ahead")
                )
                return _checked(Networks(pitch, masks, ahead))
    except BadInput as error:
        raise BadInput(f"{path} cannot be used: {error}") from None
    except Exception as error:  # of many kinds, some of them only in damaged files
        raise BadInput(f"{path} is damaged, breaks off, or holds no networks: copy it again.") from error
    raise BadInput(f"{path} has format {version}, and this rtsep reads format {FORMAT}: train it afresh.")


def untrained() -> Networks:
    """Networks that know nothing, for an engine that has none."""
    pitch = pitchnet.Network(*(np.zeros(shape, np.float32) for shape in pitchnet.shapes_of((1, 1, 1, 1), 0, 1, 1)))
    masks, ahead = (
        learned.Network(*(np.zeros(shape, np.float32) for shape in learned.shapes_of(features, 4, 4, 4)))
        for features in (FEATURES, FEATURES + AHEAD)
    )
    return Networks(pitch, masks, ahead)


def save(path: str | os.PathLike[str], networks: Networks, **about: object) -> None:
    """Write a file of weights, all or nothing; `about` is what its header says of them."""
    content = io.BytesIO()
    arrays = {
        f"{name}.{part}": array
        for name, network in _checked(networks)._asdict().items()
        for part, array in network._asdict().items()
    }
    np.savez_compressed(content, header=json.dumps({"format": FORMAT} | about), **arrays)
    disk.write(Path(path), content.getvalue())


def _checked(networks: Networks) -> Networks:
    for network, wanted in (
        (networks.pitch, pitchnet.shapes(networks.pitch)),
        (networks.masks, learned.shapes(networks.masks, FEATURES)),
        (networks.ahead, learned.shapes(networks.ahead, FEATURES + AHEAD)),
    ):
        found = tuple(array.shape for array in network)
        if found != wanted:
            raise BadInput(f"the weights are of shapes {found}: they must be {wanted}.")
        if any(array.dtype != np.float32 or not np.isfinite(array).all() for array in network):
            raise BadInput("a weight is no number: train it afresh.")
    return networks
