"""The command that trains the networks from nothing: `python -m rtsep.training FOLDER`."""

import argparse
import sys
from functools import partial

from ..errors import BadInput, Unavailable


def main() -> int:
    """Do what the arguments say; returns the exit code."""
    parser = argparse.ArgumentParser(
        "python -m rtsep.training", description="Render training material and train the networks on it."
    )
    parser.add_argument("folder", help="for all of it, and networks.npz in the end; what was broken off goes on")
    parser.add_argument("--minutes", type=float, default=180, help="of material (default: 180)")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes other networks (default: 1)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--songs", action="append", default=[], help="folder of your songs, each a folder of its stems")
    parser.add_argument("--effort", type=float, default=1, help="part of the mixes and steps (default: 1)")
    arguments = parser.parse_args()
    try:
        from .course import run

        print(run(**vars(arguments), told=partial(print, flush=True)))
    except (BadInput, Unavailable) as error:
        print(f"rtsep: {error}", file=sys.stderr)
        return 2 if isinstance(error, BadInput) else 3
    except ImportError as error:
        print(f"rtsep: there is no {error.name}: pip install 'rtsep[train]'.", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
