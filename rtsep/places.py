"""Where each parameter lies in the engine's array of targets, by name: `targets[places.output_gain_db]` in a kernel."""

from .parameters import INDEX

globals().update({id.replace(".", "_"): index for id, index in INDEX.items()})


def __getattr__(name: str) -> int:  # for mypy, which cannot see the names above
    raise AttributeError(f"there is no parameter {name}")
