"""What can go wrong for a user, each with a sentence that says what, the value and the remedy."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

_SHOWN = 3  # names in a sentence


class BadInput(ValueError):
    """What was asked for makes no sense or cannot be read: the command line ends with exit code 2."""


class Unavailable(OSError):
    """A device, a library or a place on the disk that is needed cannot be had: exit code 3."""


def unknown(what: str, name: object, known: Iterable[str]) -> BadInput:
    """The sentence for a name that is not one of `known`, with those three at most that are most like it."""
    names = list(known)
    for most, likeness in ((1, 0.85), (3, 0.6), (1, 0.4)):
        near = get_close_matches(str(name).lower(), names, most, likeness)
        if near:
            return BadInput(f"unknown {what} {name!r}: did you mean {either(near)}?")
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return BadInput(f"unknown {what} {name!r}: there are {', '.join(names[:_SHOWN])}{more}.")


def either(names: Sequence[str]) -> str:
    """'a', 'b' or 'c'."""
    quoted = [repr(name) for name in names]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)
