"""What can go wrong for a user, each with a sentence that says what, the value and the remedy."""

from collections.abc import Iterable
from difflib import get_close_matches


class BadInput(ValueError):
    """What was asked for makes no sense or cannot be read: the command line ends with exit code 2."""


class Unavailable(OSError):
    """A device, a library or a place on the disk that is needed cannot be had: exit code 3."""


def unknown(what: str, name: object, known: Iterable[str]) -> BadInput:
    """The sentence for a name that is not one of `known`, with the nearest of them."""
    names = list(known)
    near = get_close_matches(str(name).lower(), names, 1, 0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return BadInput(f"unknown {what} {name!r}: {hint}The {what}s are {', '.join(names)}.")
