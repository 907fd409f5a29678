"""What a long computation tells of itself: what is being done, how far it is, and how long it took."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
Told = Callable[[str], object]


@contextmanager
def step(what: str, told: Told) -> Iterator[None]:
    """Around a step of it."""
    began = time.monotonic()
    told(f"{what} ...")
    yield
    told(f"{what}: {(time.monotonic() - began) / 60:.1f} min")


def tenths(things: Iterable[T], count: int, told: Told) -> Iterator[T]:
    """The `things`, of which there are `count`; tells after each tenth of them."""
    for number, thing in enumerate(things, 1):
        yield thing
        if number % max(count // 10, 1) == 0:
            told(f"  {number} of {count}")
