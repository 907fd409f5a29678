"""A JACK server of one's own, and a client that plays a sound into whoever listens and records what comes back."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import numpy as np
import pytest

SERVER = f"rtsep-test-{os.environ.get('PYTEST_XDIST_WORKER', '')}"  # JACK knows eight names at most
RATE, PERIOD = 48_000, 128


@contextmanager
def server() -> Iterator[subprocess.Popen[bytes]]:
    """Run jackd with its dummy driver; skip the test, and say why, where it is missing."""
    if shutil.which("jackd") is None:
        pytest.skip("jackd is not installed (Debian: apt install jackd2)")
    os.environ.update(JACK_DEFAULT_SERVER=SERVER, JACK_NO_START_SERVER="1")
    # --sync: a busy machine makes the server wait for its clients, and no block is lost.
    command = ["jackd", "--no-realtime", "--sync", "-n", SERVER, "-d", "dummy", "-r", str(RATE), "-p", str(PERIOD)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        assert process.poll() is None, "jackd has ended at once"
        yield process
    finally:
        process.terminate()  # it gives its name back
        process.wait()


class Client:
    """The JACK client "studio": two outputs, `inputs` inputs, a MIDI output that sends `messages` at their frames."""

    def __init__(
        self, sound: np.ndarray, inputs: int, seconds: float, messages: Mapping[int, bytes] | None = None
    ) -> None:
        import jack

        self.sound, self.position, self.playing = sound, 0, False
        self.heard = np.zeros((round(seconds * RATE) // PERIOD * PERIOD, inputs), np.float32)
        self._client = jack.Client("studio", servername=SERVER, no_start_server=True)
        self._outputs = [self._client.outports.register(f"out_{number}") for number in range(sound.shape[1])]
        self._inputs = [self._client.inports.register(f"in_{number}") for number in range(inputs)]
        self._messages = sorted((messages or {}).items(), reverse=True)
        self._knobs = self._client.midi_outports.register("knobs") if messages else None
        self._client.set_process_callback(self._process)
        self._client.activate()

    def _process(self, frames: int) -> None:
        start = self.position
        live = self.playing and start < len(self.heard)
        for port, channel in zip(self._outputs, self.sound.T, strict=True):
            block = channel[start : start + frames] if live else channel[:0]
            output = port.get_array()
            output[: len(block)] = block
            output[len(block) :] = 0
        if self._knobs:
            self._knobs.clear_buffer()
            while live and self._messages and self._messages[-1][0] < start + frames:
                frame, message = self._messages.pop()
                self._knobs.write_midi_event(frame - start, message)
        if live:
            for number, port in enumerate(self._inputs):
                self.heard[start : start + frames, number] = port.get_array()
            self.position = start + frames

    def level(self) -> float:
        """The level of what came back in the last 50 ms, in dB relative to what was sent."""
        if self.position < RATE // 20:
            return 0.0
        heard, sent = (sound[: self.position][-RATE // 20 :] for sound in (self.heard, self.sound))
        return float(10 * np.log10(max(np.mean(heard**2) / np.mean(sent**2), 1e-12)))

    def play(self) -> np.ndarray:
        """Send the sound; return what came back, from the sound's first sample on."""
        self.playing = True
        while self.position < len(self.heard):
            time.sleep(0.05)
        return self.heard

    def connect(self, source: str, target: str) -> None:
        """Draw a cable between two ports; a program may have them a moment before it lets them be connected."""
        from jack import JackErrorCode

        end = time.monotonic() + 10
        while True:
            try:
                return self._client.connect(source, target)
            except JackErrorCode:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def ports(self) -> list[str]:
        """The names of all ports on the server."""
        return [port.name for port in self._client.get_ports()]

    def close(self) -> None:
        # A client that closes while it hears of another one's end may wait for ever: see rtsep/live/ports.py.
        time.sleep(0.3)
        self._client.deactivate()
        time.sleep(0.1)
        self._client.close()


@contextmanager
def rtsep(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run `rtsep live` with `arguments`, and wait until it sounds; it is ended if it has not ended by itself."""
    command = [sys.executable, "-m", "rtsep", "live", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while "Ctrl-C ends" not in (line := process.stderr.readline()):
            assert line, "rtsep has ended before it began"
        time.sleep(0.3)  # past the fade-in
        yield process
    finally:
        process.send_signal(signal.SIGINT)  # killed, it would leave the server waiting for it for many seconds
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=20)
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
