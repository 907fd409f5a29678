"""One kernel compiled for itself, as a test or an experiment calls it from Python."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import disk
from ..kernels import Kernel
from .emit import TARGETS, emit
from .lower import Entry, lower


def build(kernel: Kernel, kinds: Sequence[Any], place: Path, target: str) -> None:
    """Object code for `kernel` with arguments of these `kinds`: `place` .o, and .json, which `library.py` reads."""
    module = lower([Entry("single", kernel, kinds)])
    code = emit(module.texts, ["single"], TARGETS[target])
    disk.write(place.with_suffix(".o"), code)
    told = {
        "file": f"{place.name}.o",
        "sha256": hashlib.sha256(code).hexdigest(),
        "results": module.results["single"],
    }
    disk.write(place.with_suffix(".json"), json.dumps(told).encode())
