"""Hands on it: `rtsep live` on a real sound server, moved by MIDI messages of another client while a song plays."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from signals import music, noise
from studio import PERIOD, RATE, Client, rtsep, server

from rtsep import Engine, Settings, separate
from rtsep.library import warm_up

PORT = "studio:knobs"
RTSEP = (sys.executable, "-m", "rtsep")


@pytest.fixture(scope="module")
def _jackd():
    warm_up()
    with server():
        yield


@pytest.fixture
def config(_jackd, tmp_path, monkeypatch) -> Path:
    """The folder of presets, sessions and controllers."""
    monkeypatch.setenv("RTSEP_CONFIG", str(tmp_path))
    return tmp_path


def bound(config: Path, *bindings: str, port: str = PORT) -> None:
    """Bind a controller as a person would, with an editor."""
    (config / "controllers").mkdir(exist_ok=True)
    entries = "".join(f"[[binding]]\n{binding}\n" for binding in bindings)
    (config / "controllers" / "mine.toml").write_text(f'format = 1\nports = ["{port}"]\n{entries}')


def played(sound: np.ndarray, messages: dict[int, bytes], *arguments: str) -> tuple[np.ndarray, int, str]:
    """What comes back of `sound` while `messages` are sent at their frames, how late it is, and the summary."""
    client = Client(sound, 2, len(sound) / RATE + 0.2, messages)
    try:
        with rtsep("-i", "studio", "-o", "studio", *arguments) as process:
            time.sleep(0.5)  # ports are looked for each quarter of a second
            heard = client.play()
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=20)
            assert process.returncode == 0, errors
    finally:
        client.close()
    return heard, int(re.search(r"\((\d+) samples\)", output)[1]) + PERIOD, output


def stems_of(sound: np.ndarray, mode: str) -> Iterator[dict[str, np.ndarray]]:
    """The stems for each place between two looks at the melody, where the sound may begin: the stream runs on."""
    engine = Engine(Settings(mode))
    engine.prepare(sample_rate=RATE, channels=1)
    for early in range(0, engine.sizes.hop_size * int(engine.state.melody.salience.peaks.stride[0]), PERIOD):
        padded = np.concatenate([np.zeros((early, sound.shape[1]), np.float32), sound])
        yield {stem: part[early:] for stem, part in separate(padded, sample_rate=RATE, mode=mode).items()}


def levels(heard: np.ndarray, sent: np.ndarray, frames: list[int]) -> list[float]:
    """The gain in dB in the 50 ms before each of `frames`."""
    parts = [slice(frame - RATE // 20, frame) for frame in frames]
    return [10 * np.log10(max((heard[part] ** 2).mean() / (sent[part] ** 2).mean(), 1e-12)) for part in parts]


def test_a_knob_moves_its_stem_alone_to_its_value_without_a_click(config):
    sound = music(5 * RATE, RATE, 2) * np.float32(0.5)
    knob = [100, 50, 100, 0, 75]  # of the default map, first where the value is: unity, -30 dB, unity, -inf, -15 dB
    gains = [1, 10 ** (-30 / 20), 1, 0, 10 ** (-15 / 20)]
    frames = [int((0.5 + 0.9 * number) * RATE) + 37 for number in range(len(knob))]
    messages = {frame: bytes((0xB0, 1, value)) for frame, value in zip(frames, knob, strict=True)}
    heard, late, _ = played(sound, messages, "--mode", "live")
    heard = heard[late : late + len(sound)]

    def off(stems: dict[str, np.ndarray]) -> float:
        """How far what is heard is from the other stems and the drums at a gain: at any where it may be moving."""
        drums = stems["percussive"][: len(heard)]
        played = heard - (sum(stems.values()) - stems["percussive"])[: len(heard)]
        low, high = np.minimum(drums, 0), np.maximum(drums, 0)
        for gain, (start, end) in zip(gains, pairwise([*frames, len(heard)]), strict=True):
            calm = slice(start - late + RATE // 5, end - late)
            low[calm] = high[calm] = gain * drums[calm]
        return float(np.maximum(low - played, played - high).max())

    assert min(map(off, stems_of(sound, "live"))) < 1e-5  # and no sample is lost or doubled
    assert np.abs(np.diff(heard, axis=0)).max() <= np.abs(np.diff(sound, axis=0)).max()
    assert 'percussive.gain_db" = -15.0' in (config / "sessions" / "live.toml").read_text()


def test_a_message_is_heard_within_a_block_and_five_milliseconds(config):
    bound(config, 'control = "cc 20"\nparameter = "output.gain_db"\ntakeover = "jump"')
    sound = noise(6 * RATE, 2, level=0.1)
    frames = [RATE // 2 + number * RATE // 5 + 29 * number for number in range(25)]
    messages = {frame: bytes((0xB0, 20, 100 - 50 * (number % 2))) for number, frame in enumerate(frames)}
    heard, late, _ = played(sound, messages, "--mode", "live")
    waits = []
    for number, frame in enumerate(frames[1:], 1):
        before = 10 ** (-30 / 20) if number % 2 == 0 else 1
        off = np.abs(heard[frame : frame + RATE // 5] - before * sound[frame - late :][: RATE // 5]).max(1) > 2e-3
        waits.append(int(np.argmax(off)))
        assert waits[-1] > 0, f"message {number} changed nothing, or before it was sent"
    # The machine may be busy with something else now and then; never always.
    assert min(waits) <= PERIOD + 0.005 * RATE, waits


def change(number: int, value: int) -> bytes:
    return bytes((0xB0, number, value))


def nrpn(number: int, value: int) -> bytes:
    return change(99, number >> 7) + change(98, number & 127) + change(6, value >> 7) + change(38, value & 127)


UNITY = round(100 / 127 * 16383)  # of 14 bits


def db(position: float) -> float:
    """The fader's law, below 0 dB."""
    return -60 * (1 - position * 127 / 100)


GAIN, MUTE = 'parameter = "output.gain_db"\n', 'parameter = "output.mute"\n'
JUMP = GAIN + 'takeover = "jump"\n'
KINDS = {
    "14 bits, the lower half first": (
        JUMP + 'control = "cc 19"\nbits = 14\nlow = -40.0\nhigh = 0.0',
        [(change(51, end) + change(19, end), level) for end, level in ((0, -40.0), (127, 0.0), (0, -40.0))],
    ),
    "14 bits, of which the upper half alone works": (
        JUMP + 'control = "cc 20"\nbits = 14',
        [
            (change(20, 50), -30.0),
            (change(20, 80) + change(52, 64), db((80 << 7 | 64) / 16383)),
            (change(52, 100), db((80 << 7 | 100) / 16383)),
        ],
    ),
    "a relative encoder": (
        JUMP + 'control = "cc 21"\nkind = "twos-complement"',
        [(change(21, 127), -0.6), (change(21, 118), -6.6), (change(21, 1), -6.0), (change(21, 20), 0.0)],
    ),
    "an offset encoder": (
        JUMP + 'control = "cc 22"\nkind = "offset"',
        [(change(22, 63), -0.6), (change(22, 54), -6.6), (change(22, 65), -6.0)],
    ),
    "an NRPN": (
        JUMP + 'control = "nrpn 1000"',
        [(nrpn(1000, 8192), db(8192 / 16383)), (nrpn(1001, 0), db(8192 / 16383)), (nrpn(1000, UNITY), 0.0)],
    ),
    "an RPN, by steps": (
        JUMP + 'control = "rpn 5"',
        [(change(101, 0) + change(100, 5) + change(97, 0) * 10, -6.0), (change(96, 0), -5.4)],
    ),
    "pitch bend": (
        JUMP + 'control = "bend"',
        [(bytes((0xE0, 0, 64)), db(8192 / 16383)), (bytes((0xE0, 0, 0)), -120.0)],
    ),
    "a toggle": (
        MUTE + 'control = "note 36"\nkind = "toggle"',
        [(bytes((0x90, 36, 9)), -120.0), (bytes((0x80, 36, 0)), -120.0), (bytes((0x90, 36, 9)), 0.0)],
    ),
    "a momentary button": (
        MUTE + 'control = "note 37"\nkind = "momentary"',
        [(bytes((0x90, 37, 9)), -120.0), (bytes((0x90, 37, 0)), 0.0)],
    ),
    "pick-up: nothing until the fader is where the value is": (
        GAIN + 'control = "cc 23"',
        [(change(23, 50), 0.0), (change(23, 90), 0.0), (change(23, 101), 12 / 27), (change(23, 50), -30.0)],
    ),
    "scaling: in proportion to the way that is left": (
        GAIN + 'control = "cc 24"\ntakeover = "scale"',
        [(change(24, 50), 0.0), (change(24, 25), -30.0), (change(24, 0), -120.0)],
    ),
    "a channel and ends of its own, turned round": (
        JUMP + 'control = "cc 25"\nchannel = 3\nlow = -12.0\nhigh = 0.0\ninvert = true',
        [(change(25, 127), 0.0), (bytes((0xB2, 25, 127)), -12.0), (bytes((0xB2, 25, 0)), 0.0)],
    ),
    "a program change, of a bank": (
        JUMP + 'control = "cc 26"',
        [(bytes((0xC0, 100)), 0.0), (change(0, 1) + change(32, 2) + bytes((0xC0, 5)), -20.0)],
    ),
    "all sound off, and what keyboards send by themselves": (
        JUMP + 'control = "cc 27"\nlow = -12.0',
        [(change(27, 0), -12.0), (change(123, 0) + change(121, 0), -12.0), (change(120, 0), -120.0)],
    ),
}


def test_every_kind_of_message_moves_the_sound_to_the_value_it_means(config):
    subprocess.run(
        [*RTSEP, "preset", "save", "quiet", "--program", "6", "--bank", "130", "--set", "output.gain_db=-20"],
        check=True,
    )
    plain = ["--set", "output.gain_db=0", "--set", "output.mute=off"]
    subprocess.run([*RTSEP, "preset", "save", "plain", "--program", "7", *plain], check=True)
    bound(config, *(binding for binding, _ in KINDS.values()))
    steps = [("at first", b"", 0.0)]
    for kind, (_, moves) in KINDS.items():
        steps += [(kind, message, level) for message, level in moves]
        steps.append(("as at first", change(0, 0) + change(32, 0) + bytes((0xC0, 6)), 0.0))
    frames = [round(0.3 * RATE) * (1 + number) for number in range(len(steps) + 1)]
    sound = noise(frames[-1] + RATE, 2, level=0.1)
    messages = {
        frame + at: message[at : at + 3]
        for frame, (_, message, _) in zip(frames, steps, strict=False)
        for at in range(0, len(message), 3)
    }
    heard, late, _ = played(sound, messages, "--mode", "live")
    seen = levels(heard[late:], sound, [frame - late for frame in frames[1:]])
    assert list(zip([kind for kind, _, _ in steps], np.round(seen, 1), strict=True)) == [
        (kind, pytest.approx(level, abs=0.06)) for kind, _, level in steps
    ]


@contextmanager
def running(seconds: float, *arguments: str) -> Iterator[Client]:
    """`rtsep live` while noise plays; the client that plays it hears what comes back."""
    client = Client(noise(round(seconds * RATE), 2, level=0.1), 2, seconds)
    try:
        with rtsep("-i", "studio", "-o", "studio", "--mode", "live", *arguments):
            client.playing = True
            yield client
    finally:
        client.close()


CONTROLLER = """
import sys, rtmidi
port = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name=sys.argv[1])
port.open_virtual_port("knobs")
for line in sys.stdin:
    port.send_message(bytes.fromhex(line))
port.delete()
"""


@contextmanager
def controller(name: str) -> Iterator[Callable[[bytes], None]]:
    """Plug a controller in; what it gives sends a message.

    In a process of its own: RtMidi holds Python's lock while it waits for the server, and the server waits for the
    client of the test, which is Python.
    """
    pytest.importorskip("rtmidi")
    process = subprocess.Popen([sys.executable, "-c", CONTROLLER, name], stdin=subprocess.PIPE, text=True, bufsize=1)
    assert process.stdin
    try:
        yield lambda message: print(message.hex(), file=process.stdin)
    finally:
        process.stdin.close()
        process.wait()


def until(true: Callable[[], bool], what: str, seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)


@contextmanager
def view(*arguments: str) -> Iterator[Any]:
    """`rtsep live` in a terminal of its own, until `q` is pressed."""
    pytest.importorskip("pyte")
    from screen import Terminal

    terminal = Terminal()
    ends = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.program)
    command = [*RTSEP, "live", "-i", "studio", "-o", "studio", *arguments]
    process = subprocess.Popen(command, env={**os.environ, "TERM": "xterm"}, **ends)
    try:
        terminal.wait("q quit")
        yield terminal
        terminal.press("q")
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        terminal.close()


def test_a_knob_that_was_learned_in_the_terminal_works_the_next_day(config):
    client = Client(noise(90 * RATE, 2, level=0.1), 2, 90)
    try:
        with controller("Knob Box") as send:
            with view("--mode", "live") as terminal:
                client.playing = True
                assert "Knob Box" in "".join(terminal.wait("MIDI    Knob Box"))
                terminal.press("8")
                terminal.wait(">8 output")
                terminal.press("l")
                terminal.wait("Move a fader")
                for value in range(127, 59, -4):
                    send(change(70, value))
                terminal.wait("cc 70 moves output.gain_db")
                terminal.wait("MIDI    Knob Box")  # at rest
                turned(send, client, 70, 100, 0)  # picked up
                turned(send, client, 70, 75, -15)
                assert any("output" in line and "-15.0 dB" in line for line in terminal.wait("-15.0 dB"))
                turned(send, client, 70, 50, -30)
                terminal.press("\x1b[H")  # from the keyboard to 0 dB: the knob stays behind, and is shown where it is
                assert any(">8 output" in line and "○" in line and " 0.0 dB" in line for line in terminal.wait("○"))
                until(lambda: client.level() == pytest.approx(0, abs=0.5), "0 dB")
                turned(send, client, 70, 49, 0)
                turned(send, client, 70, 100, 0)
                turned(send, client, 70, 80, -12)
                terminal.press("u")  # the whole move
                terminal.wait("undone: output.gain_db")
                until(lambda: client.level() == pytest.approx(0, abs=0.5), "0 dB")
                turned(send, client, 70, 100, 0)
                turned(send, client, 70, 80, -12)
            with view("--resume") as terminal:
                assert terminal.lines[0].startswith("mode live on 'studio'")
                until(lambda: client.level() == pytest.approx(-12, abs=0.5), "-12 dB are back")
                turned(send, client, 70, 80, -12)
                turned(send, client, 70, 75, -15)
    finally:
        client.close()


def turned(send: Callable[[bytes], None], client: Client, number: int, value: int, level: float) -> None:
    """Send a control change again and again, until it is heard."""

    def heard() -> bool:
        send(change(number, value))
        return client.level() == pytest.approx(level, abs=0.5)

    until(heard, f"cc {number} = {value} is heard as {level} dB")


def pressed(send: Callable[[bytes], None], client: Client, number: int, level: float) -> None:
    """Press a button and let it go, and again only where nobody can have heard it: each time it does the contrary."""

    def heard() -> bool:
        send(change(number, 127))
        send(change(number, 0))
        end = time.monotonic() + 3
        while client.level() != pytest.approx(level, abs=0.5) and time.monotonic() < end:
            time.sleep(0.05)
        return client.level() == pytest.approx(level, abs=0.5)

    until(heard, f"a press of cc {number} is heard as {level} dB")


def test_a_controller_that_is_unplugged_leaves_its_values_and_works_when_it_is_back(config):
    bound(config, 'control = "cc 20"\nparameter = "output.gain_db"\ntakeover = "jump"', port="Fader Box")
    with running(60) as client:
        with controller("Fader Box") as send:
            turned(send, client, 20, 50, -30)
        time.sleep(1)
        assert client.level() == pytest.approx(-30, abs=0.5)
        with controller("Fader Box") as send:
            turned(send, client, 20, 75, -15)
            with controller("Another Box") as other:  # knows nothing but the map of any controller
                pressed(other, client, 23, -120)
                pressed(other, client, 23, -15)
        time.sleep(0.5)
        with controller("Fader Box") as send:
            turned(send, client, 20, 0, -120)


def test_a_control_is_learned_kept_and_forgotten_by_the_command_line(config):
    def learn(*messages: bytes) -> str:
        command = [*RTSEP, "midi", "learn", "output.gain_db", "--jack", "--takeover", "jump", "--low=-40"]
        with (
            controller("Knob Box") as send,
            subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process,
        ):
            assert process.stderr
            heard = iter(process.stderr.readline, "")
            assert any("listening to Knob Box" in line for line in heard)
            for message in messages:
                time.sleep(0.02)
                send(message)
            assert process.wait(20) == 0
            return "".join(heard)

    assert "cc 33" in learn(*(change(33, value) for value in range(60, 20, -2)))
    assert "cc 34" in learn(*(change(34, value) for value in (127, 127, 127, 126, 127, 1, 1, 1, 1)))
    shown = subprocess.run([*RTSEP, "midi", "map", "--port", "Knob Box:knobs"], capture_output=True, text=True).stdout
    assert "cc 33" in shown and "twos-complement" in shown
    with running(60) as client, controller("Knob Box") as send:
        turned(send, client, 33, 0, -40)
        turned(send, client, 33, 90, 0)
    subprocess.run([*RTSEP, "midi", "forget", "output.gain_db", "--port", "Knob Box:knobs"], check=True)
    shown = subprocess.run([*RTSEP, "midi", "map", "--port", "Knob Box:knobs"], capture_output=True, text=True).stdout
    assert "output.gain_db" not in shown and "output.mute" in shown


def test_what_another_command_binds_by_a_part_of_the_name_works_at_once_in_the_run(config):
    def midi(*arguments: str) -> str:
        command = [*RTSEP, "midi", *arguments, "--port", "fader", "--jack"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    with running(60) as client, controller("Fader Box") as send, controller("Another Box"):
        midi("bind", "output", "cc 44", "--takeover", "jump")
        turned(send, client, 44, 50, -30)
        midi("bind", "output.mute", "cc 45", "--kind", "toggle")
        turned(send, client, 44, 75, -15)
        time.sleep(1)  # what is bound is taken up within a quarter of it
        send(change(45, 127))
        until(lambda: client.level() < -80, "silence")
        assert "cc 44: output.gain_db" in midi("map") and "cc 45: output.mute" in midi("map")
        midi("forget", "output.mute")
        send(change(123, 0))
    assert [path.name for path in config.glob("controllers/*")] == ["Fader Box_knobs.toml"]


def test_a_flood_of_messages_loses_no_sound_and_not_the_last_value(config):
    bound(config, 'control = "cc 20"\nparameter = "residual.gain_db"\ntakeover = "jump"')
    sound = noise(6 * RATE, 2, level=0.1)
    flood = {frame: change(20, frame % 101) for frame in range(RATE // 2, 5 * RATE, RATE // 1000)}
    flood[5 * RATE] = change(20, 90)
    heard, _, _ = played(sound, flood, "--mode", "live")
    assert np.abs(heard[RATE // 2 : -RATE // 2]).max(1).reshape(-1, PERIOD).max(1).all()
    assert '"residual.gain_db" = -6.0' in (config / "sessions" / "live.toml").read_text()
