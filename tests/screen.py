"""A terminal of one's own: a pseudo terminal, and what a person would see on its screen."""

import copy
import fcntl
import os
import pty
import select
import struct
import termios
import time

import pyte

PATIENCE_S = 30


class Screen(pyte.Screen):
    """With the second screen of xterm, which pyte does not know."""

    def set_mode(self, *modes: int, **kind: bool) -> None:
        if 1049 in modes:
            self.first = copy.deepcopy((self.buffer, self.cursor))
            self.erase_in_display(2)
        super().set_mode(*modes, **kind)

    def reset_mode(self, *modes: int, **kind: bool) -> None:
        if 1049 in modes:
            self.buffer, self.cursor = self.first
            self.dirty.update(range(self.lines))
        super().reset_mode(*modes, **kind)


class Terminal:
    """A terminal of 80 by 24. `program` is the end that programs read and write; `written` all that they wrote."""

    def __init__(self) -> None:
        self.person, self.program = pty.openpty()
        self._screen = Screen(80, 24)
        self._stream = pyte.ByteStream(self._screen)
        self.written = b""
        self.resize(80, 24)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.program, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._screen.resize(lines, columns)

    def press(self, keys: str) -> None:
        os.write(self.person, keys.encode())

    def read(self) -> bytes:
        """What was written since the last time."""
        new = b""
        while select.select([self.person], [], [], 0.01)[0]:
            new += os.read(self.person, 65536)
        self._stream.feed(new)
        self.written += new
        return new

    @property
    def lines(self) -> list[str]:
        """What stands on the screen now."""
        self.read()
        return [line.rstrip() for line in self._screen.display]

    def wait(self, words: str, there: bool = True) -> list[str]:
        """The lines on the screen as soon as `words` stand (or no longer stand) there."""
        patience = time.monotonic() + PATIENCE_S
        while (words in "\n".join(self.lines)) != there:
            assert time.monotonic() < patience, "\n".join(self.lines)
        return self.lines

    @property
    def cursor_shown(self) -> bool:
        self.read()
        return not self._screen.cursor.hidden

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.program)[3] & termios.ECHO)

    def close(self) -> None:
        os.close(self.person)
        os.close(self.program)
