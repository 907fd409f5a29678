"""What the page of `rtsep live --web` costs, and how soon its faders are heard: pages on loopback, one of which stalls.

python benchmarks/remote.py [--seconds 10]
"""

import argparse
import json
import multiprocessing
import statistics
import time

import numpy as np
from websockets.sync.client import connect

from rtsep import Engine
from rtsep.live.remote import Remote
from rtsep.live.stream import open_stream

RATE, PAGES, MOVES = 48_000, 4, 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    sound = np.random.default_rng(0).standard_normal((4 * RATE, 2)).astype(np.float32) / 10
    with open_stream(Engine(), "virtual", source=sound, loop=True) as stream:
        alone, late = used(options.seconds), int(stream.lost[0])
        with Remote(stream, "noise", port=0) as remote:
            address = "{}engine?token={}".format(*remote.address.replace("http", "ws").split("#"))
            # In processes of their own: what they take is not the server's.
            pages = [multiprocessing.Process(target=visit, args=(address, p == 0), daemon=True) for p in range(PAGES)]
            for page in pages:
                page.start()
            time.sleep(3)
            before = int(stream.lost[0])
            served = used(options.seconds)
            print(f"{'without pages':34} {100 * alone:6.1f} % of a core")
            print(f"{f'{PAGES} pages, one of them stalled':34} {100 * served:6.1f} % of a core")
            print(f"{'late blocks without, with pages':34} {late:6d}, {int(stream.lost[0]) - before}")
            with connect(address, max_queue=None) as page:
                times = [moved(stream, page, number) for number in range(1, MOVES)]
            print(f"{'fader to engine':34} {statistics.median(times):6.2f} ms, {min(times):.2f} to {max(times):.2f}")
            for process in pages:
                process.kill()


def used(seconds: float) -> float:
    """The part of a core that this process takes in a while."""
    start, wall = time.process_time(), time.monotonic()
    time.sleep(seconds)
    return (time.process_time() - start) / (time.monotonic() - wall)


def visit(address: str, stalled: bool) -> None:
    with connect(address, max_queue=1) as page:
        while True:
            time.sleep(3600) if stalled else page.recv()


def moved(stream, page, number: int) -> float:
    """Milliseconds from a move of a fader in a page to the gain that the audio thread glides to."""
    start, goal = time.monotonic(), 0.1 * (number % 2)
    page.send(json.dumps({"set": {"percussive.gain_db": -20 if goal else "-inf"}, "number": number}))
    while abs(stream.engine.state.mix.goal[0] - goal) > 1e-3:
        time.sleep(1e-4)
    return 1e3 * (time.monotonic() - start)


if __name__ == "__main__":
    main()
