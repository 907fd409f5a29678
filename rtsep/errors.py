"""What can go wrong for a user, each with a sentence that says what, the value and the remedy."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

_FEW, _MANY = 3, 8  # names that a sentence can bear, and how many make a list too long to be told whole
_LISTS = {"parameter": "rtsep --help-parameters", "preset": "rtsep preset list"}
"""What shows the names of which there are many."""


class BadInput(ValueError):
    """What was asked for makes no sense or cannot be read: the command line ends with exit code 2."""


class Unavailable(OSError):
    """A device, a library or a place on the disk that is needed cannot be had: exit code 3."""


def unknown(what: str, name: object, known: Iterable[str]) -> BadInput:
    """The sentence for a name that is not one of `known`, with the nearest of them."""
    names, word = list(known), str(name).lower()
    near = [each for each in names if word and each.lower().startswith(f"{word}.")]  # all of a stem
    near = (near or get_close_matches(word, names, 1, 0.4))[:_FEW]
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    if len(names) > _MANY and what in _LISTS:
        return BadInput(f"unknown {what} {name!r}: {hint}{_LISTS[what]} shows all of them.")
    more = len(names) - _FEW if len(names) > _MANY else 0
    listed = ", ".join(names[:_FEW] if more else names) + (f" and {more} more" if more else "")
    return BadInput(f"unknown {what} {name!r}: {hint}The {what}s are {listed}.")


def some(names: Sequence[str]) -> str:
    """At most three of `names`, behind the word "there": "is 'A'", "are 'A', 'B', 'C' and 4 more"."""
    words = [repr(name) for name in names[:_FEW]] or ["none"]
    if len(names) > _FEW:
        words.append(f"{len(names) - _FEW} more")
    *first, last = words
    return f"{'are' if first else 'is'} {' and '.join([', '.join(first), last] if first else [last])}"


def either(names: Sequence[str]) -> str:
    """'a', 'b' or 'c'."""
    quoted = [repr(name) for name in names]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)
