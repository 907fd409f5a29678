"""Turn the drums down live, while the sound card plays: type a level in decibels, or q to end.

python examples/drums_down_live.py [DEVICE]        # "virtual" needs no sound card
"""

import sys

from rtsep import BadInput, Engine, Settings, Unavailable, open_stream

engine = Engine(Settings(mode="balanced"))
drums = engine.parameters["percussive.gain_db"]
try:
    with open_stream(engine, sys.argv[1] if len(sys.argv) > 1 else None) as stream:
        print(stream.description)
        for line in iter(lambda: input(f"drums are at {drums.text}; new level: "), "q"):
            try:
                drums.value = line
            except BadInput as error:
                print(error)
        stats = stream.stats()
except (EOFError, KeyboardInterrupt):
    stats = stream.stats()
except Unavailable as error:
    sys.exit(f"{error}")
print(f"{stats.blocks} blocks, {stats.xruns} xruns, load {stats.load_median:.1%}, worst {stats.worst_block_us:.0f} us")
