"""From a knob to the sound: how late a control change is heard, and what a flood of them costs.

    python benchmarks/midi.py [--seconds 60] [--messages 50] [--block 128]

On a JACK server of its own (jackd's dummy driver) a client sends control changes to `rtsep live` and records what it
plays, a tone whose samples all have the same magnitude. A change is heard at the first sample that is 0.1 dB off; it
counts from the first sample of the block in which JACK delivers the message. The busy threads are threads of Python in
rtsep's own process. For comparison a callback of python-rtmidi is timed that does nothing but keep the value. An xrun
is told to every client of the server, whoever was late: this client, which is Python too, is among them.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import jack
import numpy as np
import soundfile
from table import show, spread

from rtsep.library import warm_up
from rtsep.parameters import PARAMETERS

RATE, LEVEL = 48_000, 0.25
CHANGE = 10 ** (0.1 / 20) - 1
GAP_S = 0.25  # from message to message, longer than a fader glides
NUMBER, REST, LOW, LAST = 7, 100, 80, 90  # the control, and values of it; at REST the fader is at 0 dB
SERVER = "rtsep-knob"

CONTROLLER = f"""
format = 1
ports = ["studio"]
feedback = false

[[binding]]
control = "cc {NUMBER}"
parameter = "output.gain_db"
takeover = "jump"
"""

BUSY = """
import sys, threading

def burn():
    while True:
        sorted(range(1000))

for _ in range(int(sys.argv.pop(1))):
    threading.Thread(target=burn, daemon=True).start()
"""
PROGRAM = f"""
{BUSY}
from rtsep.__main__ import main
sys.exit(main())
"""
PEER = f"""
{BUSY}
import time
import rtmidi

value, heard = 0, []

def keep(event, data):
    global value
    value = event[0][2]
    heard.append(time.monotonic())

port = rtmidi.MidiIn(rtmidi.API_UNIX_JACK, "peer")
port.open_virtual_port("in")
port.set_callback(keep)
print("ready", flush=True)
sys.stdin.read()
print(*heard)
"""


class Studio:
    """The JACK client "studio": a knob, and an input that is recorded."""

    def __init__(self):
        self.client = jack.Client("studio", servername=SERVER, no_start_server=True)
        self.knob = self.client.midi_outports.register("knob")
        self.input = self.client.inports.register("in")
        self.playing = False
        self.client.set_process_callback(self.process)
        self.client.activate()

    def process(self, samples):
        self.knob.clear_buffer()
        if not self.playing:
            return
        now = self.client.last_frame_time
        if self.start is None:
            self.start = now
        position = now - self.start
        while len(self.sent) < len(self.messages) and self.messages[len(self.sent)][0] < position + samples:
            due, value = self.messages[len(self.sent)]
            self.knob.write_midi_event(max(due - position, 0), (0xB0, NUMBER, value))
            self.sent.append((now, time.monotonic()))
        if position + samples > len(self.heard):
            self.playing = False
            return
        self.heard[position : position + samples] = self.input.get_array()

    def play(self, messages, seconds):
        """Send `messages` (due sample, value) and record `seconds`; blocks that this client lost are not numbers."""
        self.messages, self.sent, self.start = messages, [], None
        self.heard = np.full(round(seconds * RATE), np.nan, np.float32)
        self.playing = True
        while self.playing:
            time.sleep(0.05)

    def close(self):
        self.client.deactivate()
        self.client.close()


@contextmanager
def server(block):
    """A JACK server, and the client on it."""
    os.environ.update(JACK_DEFAULT_SERVER=SERVER, JACK_NO_START_SERVER="1")
    command = ["jackd", "--no-realtime", "-n", SERVER, "-d", "dummy", "-r", str(RATE), "-p", str(block)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(2)
        studio = Studio()
        try:
            yield studio
        finally:
            studio.close()
    finally:
        process.terminate()
        process.wait()


@contextmanager
def program(code, busy, arguments, ready, **pipes):
    """Run `code` beside `busy` threads, from the line with `ready` on."""
    command = [sys.executable, "-c", code, str(busy), *arguments]
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, **pipes)
    try:
        said = ""
        while ready not in said:
            said += (line := (process.stderr or process.stdout).readline())
            assert line, f"{arguments} has ended before it began:\n{said}"
        yield process
    finally:
        process.kill()
        process.wait()


def through_rtsep(studio, folder, busy, messages, seconds):
    """Play `messages` to `rtsep live`; its share of a core (%) meanwhile, and its summary."""
    arguments = ["live", "-i", str(folder / "tone.wav"), "-o", "studio"]
    with program(PROGRAM, busy, arguments, "Ctrl-C ends", stderr=subprocess.PIPE) as process:
        patience = time.monotonic() + 10
        while not studio.client.get_all_connections(studio.knob):
            assert time.monotonic() < patience, "rtsep has not opened the port of the knob"
            time.sleep(0.1)
        time.sleep(1)  # past the fade-in
        used, start = cpu_s(process.pid), time.monotonic()
        studio.play(messages, seconds)
        share = (cpu_s(process.pid) - used) / (time.monotonic() - start) * 100
        process.send_signal(signal.SIGINT)
        return share, process.communicate(timeout=20)[0]


def cpu_s(pid):
    """The time that a process has spent on processors."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def alternating(count):
    """Messages that move the fader to and fro at uneven times, and how long (s) they take."""
    gaps = np.random.default_rng(1).uniform(GAP_S, 2 * GAP_S, count)
    due = np.round(np.cumsum(gaps) * RATE).astype(int)
    return [(int(at), (LOW, REST)[i % 2]) for i, at in enumerate(due)], due[-1] / RATE + GAP_S


def delays(studio):
    """Milliseconds from each message to the sound, infinite for one that was not heard.

    Those are left out whose block or the ones after it the studio has lost.
    """
    envelope = np.abs(studio.heard)
    for sent, _ in studio.sent:
        at = sent - studio.start
        around = envelope[at - 1 : at + round(GAP_S * RATE)]
        changed = np.abs(around / around[0] - 1) > CHANGE
        first = int(np.argmax(changed)) if changed.any() else len(around)
        if not np.isnan(around[: first + 1]).any():
            yield (first - 1) / RATE * 1e3 if changed.any() else np.inf


def peer_delays(studio, busy, messages, seconds):
    """Milliseconds from each message to the callback of python-rtmidi."""
    with program(PEER, busy, [], "ready", stdin=subprocess.PIPE) as process:
        studio.client.connect(studio.knob, "peer:in")
        studio.play(messages, seconds)
        heard = process.communicate(timeout=20)[0].split()
    return [(float(at) - sent_s) * 1e3 for at, (_, sent_s) in zip(heard, studio.sent, strict=True)]


def flood(studio, folder, seconds, rate):
    """A row of the second table: `rate` messages a second."""
    count = round(rate * seconds)
    messages = [(round((i + 1) * RATE / rate), LAST if i + 1 == count else i % 128) for i in range(count)]
    share, summary = through_rtsep(studio, folder, 0, messages, seconds + 1)
    expected = LEVEL * PARAMETERS["output.gain_db"].to_target(-60 * (1 - LAST / 100)) if count else LEVEL
    last = np.abs(studio.heard[~np.isnan(studio.heard)][-RATE // 10 :])
    right = np.abs(last / expected - 1).max() < CHANGE
    blocks, xruns = re.search(r"blocks +(\d+) .*xruns (\d+)", summary).groups()
    return [f"{rate}", count, blocks, xruns, f"{share:.1f}", "right" if right else "wrong"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="of the flood")
    parser.add_argument("--messages", type=int, default=50)
    parser.add_argument("--block", type=int, default=128)
    options = parser.parse_args()
    warm_up()
    with tempfile.TemporaryDirectory() as name, server(options.block) as studio:
        folder = Path(name)
        os.environ["RTSEP_CONFIG"] = name
        (folder / "controllers").mkdir()
        (folder / "controllers" / "studio.toml").write_text(CONTROLLER)
        messages, seconds = alternating(options.messages)
        tone = np.tile(np.float32([LEVEL, LEVEL, -LEVEL, -LEVEL]), RATE // 4)  # a quarter of the rate
        soundfile.write(folder / "tone.wav", np.tile(tone, round(max(options.seconds, seconds)) + 30), RATE)
        rows = []
        for busy in (0, 1):
            through_rtsep(studio, folder, busy, messages, seconds)
            ours = list(delays(studio))
            peer = peer_delays(studio, busy, messages, seconds)
            rows.append([busy, f"{len(ours)} of {len(messages)}", spread(ours), spread(peer)])
        block_ms = options.block / RATE * 1e3
        show(
            f"From message to effect, ms: median [least .. most]; a block of {options.block} is {block_ms:.1f} ms",
            ["busy threads", "measured", "rtsep: sound", "python-rtmidi: number"],
            rows,
        )
        show(
            f"{options.seconds} s of control changes",
            ["messages a second", "sent", "blocks", "xruns", "CPU, % of a core", "last value"],
            [flood(studio, folder, options.seconds, rate) for rate in (0, 1000)],
        )


if __name__ == "__main__":
    main()
