"""Stages of one's own: modules whose kernels see each frame before it becomes sound, and may change its masks.

A module has three names. `prepare(sample_rate, hop_size, bins)` returns its state, a one-dimensional float32 array:
tables, memory, and numbers that may be changed while it sounds. `reset(state)`, a kernel, forgets the sound.
`process(state, magnitude, masks)`, a kernel, changes the masks (stems - 1, bins) of all stems but the last, which gets
what they leave; the magnitude (bins,) is of all channels together. Masks are kept within 0 and 1, and so is their sum.

Kernels are made by `rtsep.kernel`. They may call other kernels and NumPy's plain mathematics, and are refused if they
allocate, raise or need Python. An engine with such stages is compiled when it is first used.
"""

import importlib.util
import os
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BadInput
from .kernels import Kernel, kernel

_NAMES = ("prepare", "reset", "process")


@kernel
def process(states, starts, magnitude, masks):
    """Let each stage change the `masks` (stems - 1, bins) of a frame of `magnitude` (bins,), in their order.

    The `states` of all lie one behind the other, and `starts` tells where each begins, and where the last ends. Here
    there are none: `compose` puts another function in this one's place.
    """


@kernel
def reset(states, starts):
    """Let each stage forget the sound."""


@kernel
def bound(masks):
    """Keep `masks` (stems - 1, bins) within 0 and 1, and their sum too: no stage makes a stem louder than the input."""
    for k in range(masks.shape[1]):
        total = np.float32(0)
        for s in range(masks.shape[0]):
            mask = masks[s, k]
            masks[s, k] = min(mask, np.float32(1)) if mask > 0 else np.float32(0)  # what is no number too
            total += masks[s, k]
        if total > 1:
            for s in range(masks.shape[0]):
                masks[s, k] /= total


def path_of(stage: ModuleType | str | os.PathLike[str]) -> str:
    """The file of a stage, given as a module or its path; raises `BadInput` for what is none."""
    file = stage.__file__ if isinstance(stage, ModuleType) else stage
    if file is None or not Path(file).is_file():
        raise BadInput(f"the stage {stage} is no file of Python: give a module, or the path of one.")
    return os.path.realpath(file)


@cache
def load(path: str) -> ModuleType:
    """The module of a stage.

    Raises
    ------
    BadInput : if it lacks one of its three names, or what must be a kernel is none.
    """
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) and os.path.realpath(str(module.__file__)) == path:
            break
    else:
        spec = importlib.util.spec_from_file_location(Path(path).stem, path)
        if spec is None or spec.loader is None:
            raise BadInput(f"the stage {path} is no file of Python.")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    for name in _NAMES:
        if not hasattr(module, name):
            raise BadInput(f"the stage {path} has no {name}: it needs {', '.join(_NAMES)}.")
        if name != "prepare" and not isinstance(getattr(module, name), Kernel):
            raise BadInput(f"{name} of the stage {path} is no kernel: write @rtsep.kernel above it.")
    return module


def prepare(paths: Sequence[str], sample_rate: float, hop_size: int, bins: int) -> list[NDArray[np.float32]]:
    """The states of the stages; raises `BadInput` where one is no one-dimensional float32 array."""
    states = []
    for path in paths:
        state: Any = load(path).prepare(sample_rate, hop_size, bins)
        if not isinstance(state, np.ndarray) or state.dtype != np.float32 or state.ndim != 1:
            raise BadInput(f"prepare of the stage {path} must return a float32 array of one dimension.")
        states.append(state)
    return states


def compose(paths: Iterable[str]) -> None:
    """From now on the kernels of this module are those of the stages at these `paths`: for a build of its own."""
    stages = [load(path) for path in paths]
    for name, more, last in (("process", ", magnitude, masks", "bound(masks)"), ("reset", "", "pass")):
        lines = [f"def {name}(states, starts{more}):"]
        lines += [f"    stage_{i}.{name}(states[starts[{i}] : starts[{i + 1}]]{more})" for i in range(len(stages))]
        lines += [f"    {last if stages else 'pass'}"]
        space: dict[str, Any] = {"__name__": __name__, "bound": bound}
        space |= {f"stage_{i}": stage for i, stage in enumerate(stages)}
        exec("\n".join(lines), space)
        globals()[name] = kernel(space[name])
