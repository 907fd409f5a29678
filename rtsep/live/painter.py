"""Pictures in a terminal, each drawn over the one before: only the lines that differ are written.

The control sequences are those of ECMA-48 ("Control Functions for Coded Character Sets", 1991) and, for the screen of
its own that a picture gets, of xterm. What a line needs to be colored, cropped and encoded rich knows.
"""

import io
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import IO, Any

from rich.console import Console, ConsoleRenderable, RenderableType
from rich.text import Text

_WHOLE_S = 1.0  # from one picture of which every line is written to the next: it heals what somebody else has torn
_TOLD_S = 5.0  # how long a message stands below the picture

_SCREEN_ON, _SCREEN_OFF = "\x1b[?1049h\x1b[?25l", "\x1b[?1049l\x1b[?25h"  # with the cursor hidden
_ERASE_LINE, _ERASE_BELOW = "\x1b[K", "\x1b[J"

Draw = Callable[[RenderableType, float], None]
"""Shows a picture, of which rich must get one `Text` for each line, at a time on the monotonic clock."""


@contextmanager
def painting(console: Console, *, screen: bool = True) -> Iterator[Draw | None]:
    """While the context lasts, the function it gives draws pictures where `console` writes; None if it cannot.

        with painting(Console(file=sys.stderr)) as draw:
            draw(Group(Text("one line"), Text("another")), time.monotonic())

    They get the whole `screen`, or else their first line is drawn in place. What the program prints meanwhile tears
    nothing: it comes above that one line, or else its last line stands below the picture for some seconds, and all
    of it where the terminal goes on after the picture. The terminal is as before whenever the context ends and while
    Ctrl-Z stops the program. Main thread only.
    """
    if not (console.file.isatty() and console.is_terminal) or console.is_dumb_terminal or console.legacy_windows:
        yield None
        return
    # Unbuffered, so that Ctrl-Z may come amid a write; and unlike os.write this speaks Unicode to Windows' console.
    with open(console.file.fileno(), "wb", buffering=0, closefd=False) as terminal, ExitStack() as stack:
        told = io.StringIO()
        painter = _Painter(console, terminal, told, screen)
        stack.callback(painter.write_told)
        stack.enter_context(redirect_stderr(told))
        if sys.stdout.isatty():
            stack.enter_context(redirect_stdout(told))
        stack.callback(painter.end)
        if sys.platform != "win32":
            before = signal.getsignal(signal.SIGTSTP)
            stack.callback(signal.signal, signal.SIGTSTP, before)
            signal.signal(signal.SIGTSTP, painter.stopping(before))
        painter.begin()
        yield painter.draw


class _Painter:
    """What stands in the terminal, and what has been `told` meanwhile."""

    def __init__(self, console: Console, terminal: IO[bytes], told: io.StringIO, screen: bool) -> None:
        self._console, self._terminal, self._told, self._screen = console, terminal, told, screen
        self._heard = 0  # characters of what was told
        self._message, self._message_s = "", -math.inf
        self._size = (0, 0)
        self._lines: list[tuple[Any, ...]] = []
        self._whole_s = 0.0

    def begin(self) -> None:
        """Take the screen."""
        self._lines = []
        self._write(_SCREEN_ON if self._screen else "")

    def end(self) -> None:
        """Leave the terminal as it was."""
        self._write(_SCREEN_OFF if self._screen else "\r" + _ERASE_LINE)

    def stopping(self, before: Any) -> Callable[..., None]:
        """What Ctrl-Z does: `before`, if that is a function, or stop; and the terminal is left meanwhile."""

        def stop(*arguments: object) -> None:
            self.end()
            if callable(before):
                before(*arguments)
            else:
                os.kill(os.getpid(), signal.SIGSTOP)  # returns in the foreground again
            self.begin()

        return stop

    def draw(self, picture: RenderableType, now: float) -> None:
        """Show `picture` at the time `now` (s)."""
        assert isinstance(picture, ConsoleRenderable)
        console, size = self._console, self._console.size
        above = self._hear(now)
        texts = [text for text in picture.__rich_console__(console, console.options) if isinstance(text, Text)]
        texts = texts[: size.height if self._screen else 1]
        if self._screen and now < self._message_s + _TOLD_S:
            texts[size.height - 1 :] = [Text(self._message, "bold")]
        lines = [(text.plain, text.style, *text.spans) for text in texts]
        whole = above or size != self._size or len(lines) != len(self._lines) or now >= self._whole_s
        rows = [row for row, line in enumerate(lines) if whole or line != self._lines[row]]
        with console.capture() as captured:
            for row in rows:
                # One column less: erasing behind a full line would take its last sign in some terminals.
                console.print(texts[row], width=max(size.width - 1, 1), no_wrap=True, overflow="crop")
        parts = [above]
        for row, text in zip(rows, captured.get().split("\n"), strict=False):
            parts.append((f"\x1b[{row + 1};1H" if self._screen else "\r") + text + _ERASE_LINE)
        if whole:
            self._size, self._whole_s = size, now + _WHOLE_S
            if self._screen and len(lines) < size.height:
                parts.append(f"\x1b[{len(lines) + 1};1H{_ERASE_BELOW}")
        self._lines = lines
        self._write("".join(parts))

    def _hear(self, now: float) -> str:
        """Note the lines that have been told since the last time; what of them is to be written above the picture."""
        new = self._told.getvalue()[self._heard :]
        new = new[: new.rfind("\n") + 1]
        if not new:
            return ""
        self._heard += len(new)
        self._message, self._message_s = printable(new.splitlines()[-1]), now
        return "" if self._screen else "\r" + _ERASE_LINE + new

    def write_told(self) -> None:
        """Write what has been told and not written yet."""
        self._write(self._told.getvalue()[0 if self._screen else self._heard :])

    def _write(self, text: str) -> None:
        with suppress(OSError):  # the terminal has gone
            self._terminal.write(text.encode(self._console.encoding, "replace"))


def printable(text: str) -> str:
    """`text` in one line that cannot command the terminal."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
