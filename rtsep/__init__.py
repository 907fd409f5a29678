"""rtsep: live un-mixing. Drums, lead and harmonies apart while the music sounds, with no Python on the audio thread.

The whole public surface; each name is imported when it is first used, so that `import rtsep` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.6.0"

if TYPE_CHECKING:
    from .engine import Engine as Engine
    from .errors import BadInput as BadInput
    from .errors import Unavailable as Unavailable
    from .factorization import factorize as factorize
    from .kernels import kernel as kernel
    from .live.stream import open_stream as open_stream
    from .offline.analysis import analyze as analyze
    from .offline.evaluate import evaluate as evaluate
    from .offline.evaluate import si_sdr as si_sdr
    from .offline.phase import reconstruct as reconstruct
    from .offline.render import follow as follow
    from .offline.render import separate as separate
    from .parameters import PARAMETERS as PARAMETERS
    from .settings import GROUPS as GROUPS
    from .settings import MODES as MODES
    from .settings import STEMS as STEMS
    from .settings import Settings as Settings
    from .templates import Templates as Templates

_HOMES = {
    "Engine": ".engine",
    "Settings": ".settings",
    "MODES": ".settings",
    "STEMS": ".settings",
    "GROUPS": ".settings",
    "PARAMETERS": ".parameters",
    "BadInput": ".errors",
    "Unavailable": ".errors",
    "open_stream": ".live.stream",
    "separate": ".offline.render",
    "follow": ".offline.render",
    "analyze": ".offline.analysis",
    "kernel": ".kernels",
    "Templates": ".templates",
    "evaluate": ".offline.evaluate",
    "si_sdr": ".offline.evaluate",
    "factorize": ".factorization",
    "reconstruct": ".offline.phase",
}
__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name], __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
