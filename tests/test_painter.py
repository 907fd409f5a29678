"""The painter: what stands on the screen is the picture, little is written for it, and the terminal is as before."""

import io
import os
import re
import signal
import subprocess
import sys

import pytest
from rich.console import Console, Group
from rich.text import Text

pytest.importorskip("pty", reason="pseudo terminals are a matter of POSIX")
pytest.importorskip("pyte")

from screen import PATIENCE_S, Terminal

from rtsep.live import painter
from rtsep.live.painter import painting, printable


@pytest.fixture
def terminal(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    made = Terminal()
    os.write(made.program, b"before\r\n")
    yield made
    made.close()


@pytest.fixture
def console(terminal):
    """What writes to the terminal, and believes that it has 80 columns and 24 lines."""
    with os.fdopen(os.dup(terminal.program), "w") as file:
        yield Console(file=file, width=80, height=24)


def picture(*lines):
    return Group(*(line if isinstance(line, Text) else Text(line) for line in lines))


def top(terminal, count):
    return terminal.lines[:count]


def test_the_picture_stands_on_a_screen_of_its_own_and_then_what_was_there_before(terminal, console):
    with painting(console) as draw:
        draw(picture("one", "", "three"), 0)
        assert top(terminal, 4) == ["one", "", "three", ""] and not terminal.cursor_shown
    assert top(terminal, 2) == ["before", ""] and terminal.cursor_shown


def test_only_lines_that_differ_are_written_at_once(terminal, console, monkeypatch):
    writes = []

    class Recording(io.FileIO):
        def write(self, data):
            writes.append(data)
            return super().write(data)

    opened = lambda file, mode, buffering, closefd: Recording(file, mode, closefd)  # noqa: E731
    monkeypatch.setattr(painter, "open", opened, raising=False)
    lines = [f"line {i}" for i in range(20)]
    with painting(console) as draw:
        draw(picture(*lines), 0.0)
        for changes in ([], [3], [0, 19], list(range(20))):
            for i in changes:
                lines[i] += "!"
            writes.clear()
            draw(picture(*lines), 0.5)
            assert len(writes) == 1
            assert [int(row) - 1 for row in re.findall(rb"\x1b\[(\d+);1H", writes[0])] == changes
            assert top(terminal, 20) == lines


def test_a_line_is_written_again_if_only_its_style_has_changed(terminal, console):
    with painting(console) as draw:
        draw(picture(Text("word")), 0)
        draw(picture(Text("word", "reverse")), 0.1)
        assert b"\x1b[7mword" in terminal.read()
        text = Text("word", "reverse")
        text.stylize("red", 0, 2)
        draw(picture(text), 0.2)
        assert b"31mwo" in terminal.read()


def test_shorter_lines_and_pictures_leave_nothing_of_the_longer_ones(terminal, console):
    with painting(console) as draw:
        draw(picture("a long line", "another", "third"), 0)
        draw(picture("short", "another", "third"), 0.1)
        assert top(terminal, 3) == ["short", "another", "third"]
        draw(picture("short"), 0.2)
        assert top(terminal, 3) == ["short", "", ""]


def test_what_somebody_else_has_torn_is_whole_again_after_a_second(terminal, console):
    with painting(console) as draw:
        draw(picture("one", "two"), 10.0)
        os.write(terminal.program, b"\x1b[HTORN\r\nTORN\r\nTORN")
        draw(picture("one", "two"), 10.9)
        assert "TORN" in terminal.lines
        draw(picture("one", "two"), 11.0)
        assert top(terminal, 3) == ["one", "two", ""]


def test_a_terminal_of_another_size_gets_the_whole_picture_cropped_to_it(terminal, console):
    lines = [f"{i:02}" + "x" * 90 for i in range(30)]
    with painting(console) as draw:
        for columns, rows in ((80, 24), (40, 10), (40, 40), (100, 40), (5, 2), (1, 1)):
            terminal.resize(columns, rows)
            console.size = columns, rows
            draw(picture(*lines), 0)
            expected = [line[: max(columns - 1, 1)] for line in lines[:rows]] + [""] * (rows - 30)
            assert terminal.lines == expected


@pytest.mark.parametrize("lines", [3, 24])
def test_what_is_told_meanwhile_stands_below_the_picture_for_a_while_and_after_it_in_full(terminal, console, lines):
    shown = [f"line {i}" for i in range(lines)]
    with painting(console) as draw:
        draw(picture(*shown), 0)
        print("the first\nthe \x1b[2Jsecond", file=sys.stderr)
        draw(picture(*shown), 1)
        row = min(lines, 23)
        assert terminal.lines[row] == "the [2Jsecond" and top(terminal, row) == shown[:row]
        draw(picture(*shown), 5.9)
        assert terminal.lines[row] == "the [2Jsecond"
        draw(picture(*shown), 6)
        assert b"\x1b[25;" not in terminal.written  # there is no such line
        assert top(terminal, lines) == shown and "second" not in "".join(terminal.lines)
        print("the first", file=sys.stderr)
        draw(picture(*shown), 20)
        assert terminal.lines[row] == "the first"
        print("not seen", end="", file=sys.stderr)
    assert b"the first\r\nthe \x1b[2Jsecond\r\nthe first\r\nnot seen" in terminal.read()


def test_what_is_printed_where_the_terminal_also_is_standard_output_is_kept_too(terminal, console, monkeypatch):
    monkeypatch.setattr(sys, "stdout", console.file)
    with painting(console) as draw:
        draw(picture("one"), 0)
        print("printed", flush=True)
        draw(picture("one"), 1)
        assert top(terminal, 2) == ["one", "printed"]
    assert top(terminal, 3) == ["before", "printed", ""]
    assert sys.stdout is console.file


def test_a_line_in_place_stays_one_line_with_what_is_told_above_it(terminal, console):
    with painting(console, screen=False) as draw:
        draw(picture("a status line that is long", "never shown"), 0)
        assert top(terminal, 3) == ["before", "a status line that is long", ""]
        draw(picture("a status line"), 0.1)
        assert top(terminal, 3) == ["before", "a status line", ""] and terminal.cursor_shown
        print("a message\nanother", file=sys.stderr)
        draw(picture("a status line"), 0.2)
        assert top(terminal, 5) == ["before", "a message", "another", "a status line", ""]
        print("half", end="", file=sys.stderr)
        draw(picture("b" * 200), 0.3)
        assert top(terminal, 5) == ["before", "a message", "another", "b" * 79, ""]
        print(" a line", file=sys.stderr)
        draw(picture("b" * 200), 0.4)
        print("the last", file=sys.stderr)
    assert top(terminal, 6) == ["before", "a message", "another", "half a line", "the last", ""]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_whatever_ends_it_the_terminal_is_as_before(terminal, console, error):
    streams, stopping = (sys.stdout, sys.stderr), signal.getsignal(signal.SIGTSTP)
    with pytest.raises(error), painting(console) as draw:
        draw(picture("one"), 0)
        raise error
    assert terminal.lines[0] == "before" and terminal.cursor_shown
    assert (sys.stdout, sys.stderr) == streams and signal.getsignal(signal.SIGTSTP) == stopping


def test_a_terminal_that_has_gone_disturbs_nothing(terminal, console):
    with painting(console) as draw:
        draw(picture("one"), 0)
        os.close(terminal.person)
        draw(picture("two"), 1)
        print("told", file=sys.stderr)
    terminal.person = os.open(os.devnull, os.O_RDONLY)


@pytest.mark.parametrize("force", ["", "1"])
def test_where_nothing_can_be_drawn_nothing_is_written(terminal, console, monkeypatch, force, capsys):
    terminal.read()
    if force:
        monkeypatch.setenv("FORCE_COLOR", force)
    file = io.StringIO()
    with painting(Console(file=file)) as draw:
        assert draw is None
        print("told", file=sys.stderr)
    assert file.getvalue() == "" and capsys.readouterr().err == "told\n"
    monkeypatch.setenv("TERM", "dumb")
    with painting(Console(file=console.file)) as draw:
        assert draw is None
    assert terminal.read() == b""


def test_colors_are_left_out_if_the_user_wants_none(terminal, monkeypatch):
    for wanted in (True, False):
        if not wanted:
            monkeypatch.setenv("NO_COLOR", "1")
        with os.fdopen(os.dup(terminal.program), "w") as file, painting(Console(file=file)) as draw:
            draw(picture(Text("word", "bold red")), 0)
            assert (b"\x1b[1;31mword" if wanted else b"\x1b[1mword") in terminal.read()


def test_signs_that_the_terminal_has_not_are_replaced(terminal):
    with os.fdopen(os.dup(terminal.program), "w", encoding="ascii") as file, painting(Console(file=file)) as draw:
        draw(picture("Überall"), 0)
        assert terminal.lines[0] == "?berall"


def test_text_of_others_cannot_command_the_terminal():
    assert printable("a\nb\x1b[2J\tc\x7f  d é 歌") == "a b [2J c d é 歌"


CHILD = """
import os, signal, sys, time
from contextlib import nullcontext
from rich.console import Console, Group
from rich.text import Text
from rtsep.live.keyboard import keys
from rtsep.live.painter import painting
with keys() if sys.argv[1] == "keys" else nullcontext(list) as pressed, painting(Console(file=sys.stderr)) as draw:
    while "q" not in pressed():
        draw(Group(Text("the picture"), Text(str(os.get_terminal_size(2).columns))), time.monotonic())
        time.sleep(0.01)
"""


@pytest.mark.parametrize("with_keys", ["keys", "none"])
def test_a_stopped_program_gives_the_terminal_back_and_paints_again_when_it_goes_on(terminal, with_keys):
    pipes = dict(stdin=terminal.program, stdout=terminal.program, stderr=terminal.program)
    child = subprocess.Popen([sys.executable, "-c", CHILD, with_keys], **pipes)
    try:
        terminal.wait("the picture")
        child.send_signal(signal.SIGTSTP)
        assert os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1])
        assert terminal.lines[0] == "before" and terminal.cursor_shown and terminal.echoes
        terminal.resize(60, 24)
        child.send_signal(signal.SIGCONT)
        assert terminal.wait("60")[:2] == ["the picture", "60"] and not terminal.cursor_shown
        if with_keys == "keys":
            terminal.press("q")
            assert child.wait(PATIENCE_S) == 0
        else:
            child.send_signal(signal.SIGINT)
            assert child.wait(PATIENCE_S) != 0
        assert terminal.lines[0] == "before" and terminal.cursor_shown and terminal.echoes
    finally:
        child.kill()
        child.wait()
