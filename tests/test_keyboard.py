"""Keys: each arrives under its name, at once and once, and the terminal is left as it was."""

import errno
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from rtsep.live import keyboard
from rtsep.live.keyboard import keys

pty = pytest.importorskip("pty", reason="pseudo terminals are a matter of POSIX")
termios = pytest.importorskip("termios")

PATIENCE_S = 10


@pytest.fixture
def terminal():
    """Both ends of a pseudo terminal: the person's and the program's."""
    person, program = pty.openpty()
    yield person, program
    os.close(person)
    os.close(program)


@pytest.fixture
def clock(monkeypatch):
    """The time that the keyboard sees, to be moved."""
    now = [100.0]
    monkeypatch.setattr(keyboard, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def echoes(descriptor):
    return bool(termios.tcgetattr(descriptor)[3] & termios.ECHO)


def collect(pressed, count):
    """The keys up to `count` of them."""
    got, patience = [], time.monotonic() + PATIENCE_S
    while len(got) < count and time.monotonic() < patience:
        got += pressed()
        time.sleep(0.001)
    return got


@pytest.mark.parametrize(
    "sent, names",
    [
        (b" ", ["space"]),
        (b"q+?", ["q", "+", "?"]),
        (b"\n", ["enter"]),
        (b"\r", ["enter"]),
        (b"\x1b[A\x1b[B\x1b[C\x1b[D", ["up", "down", "right", "left"]),
        (b"\x1bOA\x1bOB\x1bOC\x1bOD", ["up", "down", "right", "left"]),
        (b"\x1b[5~\x1b[6~", ["pageup", "pagedown"]),
        (b"\x1b[H\x1bOH\x1b[1~\x1b[7~", ["home"] * 4),
        (b"\x1b[F\x1bOF\x1b[4~\x1b[8~", ["end"] * 4),
        (b"\x1b\x1b[A", ["escape", "up"]),
        (b"\x1bq", ["escape", "q"]),
        (b"\x1b[1;5Ca\x1b[3~b\x1bOPc\x7f\x01d", ["a", "b", "c", "d"]),  # what has no name here
        ("é\x1b[A".encode(), ["é", "up"]),
        (b"\xff\xfeq", ["q"]),
    ],
)
def test_keys_arrive_under_their_names_in_their_order(terminal, sent, names):
    person, program = terminal
    with keys(program) as pressed:
        os.write(person, sent)
        assert collect(pressed, len(names)) == names
        assert pressed() == []


@pytest.mark.parametrize("sent, name", [(b"\x1b[A", "up"), (b"\x1bOD", "left"), (b"\x1b[5~", "pageup")])
def test_a_sequence_cut_between_reads_is_one_key(terminal, clock, sent, name):
    person, program = terminal
    with keys(program) as pressed:
        for i in range(len(sent) - 1):
            os.write(person, sent[i : i + 1])
            time.sleep(0.01)
            assert pressed() == []
            clock[0] += 0.02
            assert pressed() == []
        os.write(person, sent[-1:])
        assert collect(pressed, 1) == [name]


def test_a_character_cut_between_reads_is_one_key(terminal):
    person, program = terminal
    with keys(program) as pressed:
        for byte in "ß".encode():
            assert pressed() == []
            os.write(person, bytes([byte]))
        assert collect(pressed, 1) == ["ß"]


@pytest.mark.parametrize("sent, names", [(b"\x1b", ["escape"]), (b"\x1b[", ["escape", "["])])
def test_a_lone_escape_is_a_key_once_nothing_has_followed_for_a_while(terminal, clock, sent, names):
    person, program = terminal
    with keys(program) as pressed:
        os.write(person, sent)
        time.sleep(0.01)
        assert pressed() == []
        clock[0] += 0.1
        assert pressed() == names


def test_nothing_is_echoed_and_the_terminal_is_restored(terminal):
    _, program = terminal
    before = termios.tcgetattr(program)
    with keys(program):
        local = termios.tcgetattr(program)[3]
        assert not local & (termios.ECHO | termios.ICANON)
        assert local & termios.ISIG  # Ctrl-C and Ctrl-Z still work
    assert termios.tcgetattr(program) == before


@pytest.mark.parametrize("error", (RuntimeError, KeyboardInterrupt))
def test_an_exception_restores_the_terminal_too(terminal, error):
    _, program = terminal
    before, stopping = termios.tcgetattr(program), signal.getsignal(signal.SIGTSTP)
    with pytest.raises(error), keys(program):
        raise error
    assert termios.tcgetattr(program) == before
    assert signal.getsignal(signal.SIGTSTP) == stopping


def test_keys_that_nobody_read_are_not_left_to_the_shell(terminal):
    person, program = terminal
    with keys(program):
        os.write(person, b"rm\n")
        time.sleep(0.02)
    os.write(person, b"next\n")
    assert os.read(program, 100) == b"next\n"


def test_a_terminal_that_has_gone_has_no_keys():
    person, program = pty.openpty()
    with keys(program) as pressed:
        os.close(person)
        assert pressed() == []
    os.close(program)


def test_a_terminal_that_cannot_be_read_has_no_keys(terminal, monkeypatch):
    person, program = terminal

    def refuse(*_):
        raise OSError(errno.EIO, "as for a program in the background")

    with keys(program) as pressed, monkeypatch.context() as patch:
        patch.setattr(os, "read", refuse)
        os.write(person, b"q")
        time.sleep(0.01)
        assert pressed() == []


def test_where_there_is_no_terminal_there_are_no_keys(monkeypatch):
    reading, writing = os.pipe()
    os.write(writing, b"q")
    with keys(reading) as pressed:
        assert pressed() == []
    assert os.read(reading, 1) == b"q"
    os.close(reading)
    os.close(writing)
    with open(os.devnull) as nothing:
        pass
    for absent in (None, nothing):
        monkeypatch.setattr(sys, "stdin", absent)
        with keys() as pressed:
            assert pressed() == [] and pressed() == []


CHILD = """
import sys, time
from rtsep.live.keyboard import keys
with keys() as pressed:
    print("ready", flush=True)
    while "q" not in (got := pressed()):
        if got:
            print(*got, flush=True)
        time.sleep(0.005)
"""


@pytest.fixture
def child(terminal):
    pipes = dict(stdin=terminal[1], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    run = subprocess.Popen([sys.executable, "-c", CHILD], text=True, **pipes)
    assert run.stdout.readline() == "ready\n"
    yield run
    run.kill()
    run.communicate()


def test_a_stopped_program_gives_the_terminal_back_and_takes_it_again(terminal, child):
    person, program = terminal
    assert not echoes(program)
    child.send_signal(signal.SIGTSTP)  # what Ctrl-Z sends
    assert os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1])
    assert echoes(program)
    child.send_signal(signal.SIGCONT)
    patience = time.monotonic() + PATIENCE_S
    while echoes(program) and time.monotonic() < patience:
        time.sleep(0.005)
    assert not echoes(program)
    os.write(person, b"\x1b[A")
    assert child.stdout.readline() == "up\n"
    os.write(person, b"q")
    assert child.wait(PATIENCE_S) == 0
    assert echoes(program)


def test_an_interrupted_program_restores_the_terminal(terminal, child):
    child.send_signal(signal.SIGINT)
    assert child.wait(PATIENCE_S) != 0
    assert echoes(terminal[1])


class Console:
    """The module msvcrt as far as it is used, on the bytes that a console would hold."""

    def __init__(self, held):
        self.held = [bytes([byte]) for byte in held]

    def kbhit(self):
        return bool(self.held)

    def getch(self):
        return self.held.pop(0)


def test_a_windows_console_gives_the_same_names():
    held = b" q\r\x1b\xe0H\xe0P\0K\xe0M\xe0I\0Q\xe0G\xe0O\xe0S\0;\x03+\xe0"  # with Delete, F1, Ctrl-C and an accent
    expected = [
        "space",
        "q",
        "enter",
        "escape",
        "up",
        "down",
        "left",
        "right",
        "pageup",
        "pagedown",
        "home",
        "end",
        "+",
    ]
    assert keyboard._console_keys(Console(held)) == expected
    assert keyboard._console_keys(Console(b"")) == []
