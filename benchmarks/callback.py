"""Blocks lost beside busy Python threads: the compiled callback against a Python callback, in one run.

    python benchmarks/callback.py [--seconds 60] [--block 128]

Where jackd is installed, its dummy driver is the sound card and PortAudio calls back; a block is lost when the server
went on without it. Elsewhere the built-in virtual device is the sound card for the compiled callback, and a loop in
Python that sleeps until each block is due for the other. The machine's own stalls count for both.
"""

import argparse
import os
import shutil
import subprocess
import threading
import time

import numpy as np
from table import show

from rtsep import Engine, open_stream
from rtsep.library import warm_up
from rtsep.live.stream import Stream

RATE = 48_000


def burn(stop):
    """What a program does beside the sound: Python, all the time."""
    while not stop.is_set():
        sorted(range(1000))


def by_jack(compiled, block, seconds):
    """Blocks due, lost and the longest call (ms) on the running JACK server."""
    with open_stream(Engine(), sample_rate=RATE, compiled=compiled) as stream:
        time.sleep(1)  # the server settles
        stream.state.worst[:] = 0
        before, start = stream.stats(), time.monotonic()
        time.sleep(seconds)
        after, due = stream.stats(), round((time.monotonic() - start) * RATE / block)
    called = after.blocks - before.blocks
    return due, max(due - called, 0), after.xruns - before.xruns, after.worst_block_us / 1e3


def by_virtual_device(compiled, block, seconds):
    """The same on the virtual device."""
    silence = np.zeros((block, 2), np.float32)
    stream = Stream(Engine(), "virtual", sample_rate=RATE, block_size=block)
    due = round(seconds * RATE / block)
    if compiled:
        stream.start()
        time.sleep(seconds)
        stream.close()
        return due, int(stream.lost[0]), stream.stats().xruns, stream.stats().worst_block_us / 1e3
    lost, late, output = 0, 0, silence.copy()
    deadline = time.monotonic() + block / RATE
    for _ in range(due):
        stream.callback(silence, output, block, None, 0)
        behind = time.monotonic() - deadline
        if behind > 0:
            missed = int(behind * RATE / block) + 1
            lost, late, deadline = lost + missed, late + 1, deadline + missed * block / RATE
        else:
            time.sleep(-behind)
        deadline += block / RATE
    return due, lost, late, stream.stats().worst_block_us / 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--block", type=int, default=128)
    options = parser.parse_args()
    warm_up()
    server, measure = None, by_virtual_device
    if shutil.which("jackd"):
        os.environ.update(JACK_DEFAULT_SERVER="rtsep-callback", JACK_NO_START_SERVER="1")
        command = ["jackd", "--no-realtime", "-n", "rtsep-callback", "-d", "dummy", "-r", str(RATE)]
        server = subprocess.Popen([*command, "-p", str(options.block)], stdout=-3, stderr=-3)
        time.sleep(2)
        measure = by_jack
    rows = []
    try:
        for threads in (0, 1, 2):
            stop = threading.Event()
            for _ in range(threads):
                threading.Thread(target=burn, args=(stop,), daemon=True).start()
            lost = {}
            for compiled in (True, False):
                due, lost[compiled], flagged, worst = measure(compiled, options.block, options.seconds)
                kind = "compiled" if compiled else "Python"
                share = f"{lost[compiled] / due * 100:.2f} %"
                rows.append([threads, kind, due, lost[compiled], share, flagged, f"{worst:.2f}"])
            stop.set()
    finally:
        if server is not None:
            server.terminate()
    device = "jackd's dummy driver" if server else "the virtual device"
    show(
        f"Blocks of {options.block} lost beside busy Python threads, on {device}",
        ["busy threads", "callback", "blocks due", "lost", "share", "xruns told", "longest call, ms"],
        rows,
    )


if __name__ == "__main__":
    main()
