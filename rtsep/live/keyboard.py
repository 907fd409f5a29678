"""Keys as they are pressed in a terminal, one by one, without waiting for Enter.

The terminal is put into cbreak mode, in which it hands over each key at once and echoes nothing, while Ctrl-C and
Ctrl-Z still work. Keys without a character arrive as escape sequences (ECMA-48, "Control Functions for Coded
Character Sets", 1991), which a read may cut in two: an escape with nothing behind it is the key Escape only after
some time.
"""

import codecs
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

_ESCAPE_S = 0.05  # the rest of a sequence comes sooner, even over a network; a person is slower

_SEQUENCE = re.compile(r"\x1b(?:O.|\[[0-?]*[ -/]*[@-~])")
_BEGUN = re.compile(r"\x1b(?:O|\[[0-?]*[ -/]*)?")
_ENDS = {
    "up": ("[A", "OA"),
    "down": ("[B", "OB"),
    "right": ("[C", "OC"),
    "left": ("[D", "OD"),
    "home": ("[H", "OH", "[1~", "[7~"),
    "end": ("[F", "OF", "[4~", "[8~"),
    "pageup": ("[5~",),
    "pagedown": ("[6~",),
}
_NAMES = {"\x1b" + end: name for name, ends in _ENDS.items() for end in ends}
_NAMES |= {" ": "space", "\r": "enter", "\n": "enter", "\x1b": "escape"}
_CONSOLE = {b"H": "up", b"P": "down", b"M": "right", b"K": "left", b"G": "home", b"O": "end"}
_CONSOLE |= {b"I": "pageup", b"Q": "pagedown"}


@contextmanager
def keys(descriptor: int | None = None) -> Iterator[Callable[[], list[str]]]:
    """While the context lasts, the function it gives returns the keys pressed since its last call, and never waits.

        with keys() as pressed:
            while "q" not in pressed():
                ...

    A key is "space", "enter", "escape", "left", "right", "up", "down", "pageup", "pagedown", "home", "end" or its
    character; others are left out. `descriptor` is the terminal, standard input if None; where that is no terminal
    there are no keys. The terminal is as before whenever the context ends and while Ctrl-Z stops the program. Main
    thread only.
    """
    if descriptor is None:
        descriptor = _standard_input()
    if descriptor is None or not os.isatty(descriptor):
        yield list
    elif sys.platform == "win32":
        import msvcrt

        yield lambda: _console_keys(msvcrt)
    else:
        with _cbreak(descriptor):
            yield _Reader(descriptor).pressed


def _standard_input() -> int | None:
    with suppress(AttributeError, OSError, ValueError):  # none, without a descriptor, closed
        return sys.stdin.fileno()
    return None


@contextmanager
def _cbreak(descriptor: int) -> Iterator[None]:
    """Take keys one by one, and leave the terminal as it was."""
    import signal
    import termios
    import tty

    before = termios.tcgetattr(descriptor)

    def enter() -> None:
        tty.setcbreak(descriptor, termios.TCSANOW)

    def stop(*_: object) -> None:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)
        os.kill(os.getpid(), signal.SIGSTOP)  # returns in the foreground again
        enter()

    stopping = signal.signal(signal.SIGTSTP, stop)
    try:
        enter()
        yield
    finally:
        signal.signal(signal.SIGTSTP, stopping)
        with suppress(termios.error):  # the terminal has gone
            # Flushed: keys nobody read are not for the shell.
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)


class _Reader:
    """What has been read from a terminal but is no key yet."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._text, self._since = "", 0.0

    def pressed(self) -> list[str]:
        """The keys since the last call."""
        import select

        with suppress(OSError):  # the terminal has gone
            while select.select([self._descriptor], [], [], 0)[0] and (read := os.read(self._descriptor, 1024)):
                self._text += self._decoder.decode(read)
                self._since = time.monotonic()
        names, self._text = _parse(self._text, complete=time.monotonic() > self._since + _ESCAPE_S)
        return names


def _parse(text: str, complete: bool) -> tuple[list[str], str]:
    """The keys in `text`, and what of it may be the beginning of a sequence unless it is `complete`."""
    names = []
    while text and (complete or not _BEGUN.fullmatch(text)):
        sequence = _SEQUENCE.match(text)
        key = sequence[0] if sequence else text[0]
        names += [_NAMES[key]] if key in _NAMES else [key] if key.isprintable() else []
        text = text[len(key) :]
    return names, text


def _console_keys(console: Any) -> list[str]:
    """The keys that wait in a Windows console; `console` is the module msvcrt."""
    names = []
    while console.kbhit():
        key = console.getch()
        if key in (b"\0", b"\xe0") and console.kbhit():
            names += [_CONSOLE[code]] if (code := console.getch()) in _CONSOLE else []
        else:
            names += _parse(key.decode("ascii", "ignore"), complete=True)[0]
    return names
