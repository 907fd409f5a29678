"""The command that renders training material: `python -m rtsep.training FOLDER`."""

import argparse
import sys

from ..errors import BadInput, Unavailable


def main() -> int:
    """Render what the arguments say; returns the exit code."""
    parser = argparse.ArgumentParser("python -m rtsep.training", description="Render training material.")
    parser.add_argument("folder", help="where the items go; a render that was broken off goes on")
    parser.add_argument("--minutes", type=float, default=180, help="of material (default: 180)")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes other material (default: 1)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    arguments = parser.parse_args()
    try:
        from .material import SECONDS, render

        for number, folder in enumerate(render(**vars(arguments)), 1):
            if number % 20 == 0:
                print(f"{number * SECONDS / 60:g} minutes, up to {folder}", flush=True)
    except (BadInput, Unavailable) as error:
        print(f"rtsep: {error}", file=sys.stderr)
        return 2 if isinstance(error, BadInput) else 3
    except ImportError as error:
        print(f"rtsep: there is no {error.name}: pip install 'rtsep[train]'.", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
