"""Standard streams that never stop the sound: who reads them may go away, be a full disk, or not be there at all."""

import os
import sys
from contextlib import suppress
from typing import Any, TextIO, cast


def own() -> None:
    """Make the streams of this process such. Text that they cannot encode is escaped.

    Names of files go to standard output byte for byte where it is UTF-8, so that what reads them finds the files.
    """
    # A stream that was closed leaves its number to the next file, and libraries would write their messages into that.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    if sys.stdin is None:
        sys.stdin = open(0)  # noqa: SIM115  as long as the process
    if sys.stdout is None:
        sys.stdout = open(1, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w")  # noqa: SIM115
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        plain = sys.stdout.encoding.lower().replace("-", "") == "utf8"
        reconfigure(errors="surrogateescape" if plain else "backslashreplace")
    sys.stderr = cast(TextIO, _Unheard(sys.stderr))


def say(text: str) -> None:
    """Print a line for whoever reads standard output, if somebody does."""
    try:
        print(text)
    except BrokenPipeError:
        silence(sys.stdout)


def tell(*sentences: str) -> None:
    """Lines for a person, beside the data on standard output."""
    for sentence in sentences:
        print(f"rtsep: {sentence}", file=sys.stderr, flush=True)


def silence(stream: TextIO) -> None:
    """From now on nothing of `stream` is heard. What is left in its buffer would fail once more when Python ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class _Unheard:
    """A stream of messages that fails silently."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            silence(self._stream)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            silence(self._stream)
