"""Print the notes of the melody while they sound.

python examples/follow_melody.py [DEVICE | SONG]        # "virtual" plays the bundled song without a sound card
"""

import sys
import time
from pathlib import Path

import rtsep
from rtsep.live.singing import note_name
from rtsep.offline.files import song, sum_of

place = sys.argv[1] if len(sys.argv) > 1 else None
source = sum_of(song(48_000)) if place == "virtual" else place if place and Path(place).is_file() else None
engine = rtsep.Engine(rtsep.Settings(mode="live"))
try:
    with rtsep.open_stream(engine, None if source is place else place, source=source) as stream:
        print(f"{stream.description}. Ctrl-C ends.")
        last = ""
        while not stream.finished:
            note, cents = note_name(float(engine.meters.f0[0]))
            if note and note != last:
                print(f"{stream.stats().samples / stream.sample_rate:7.2f} s  {note:4} {cents:+3.0f} cents", flush=True)
            last = note
            time.sleep(0.02)
except KeyboardInterrupt:
    pass
except (rtsep.BadInput, rtsep.Unavailable) as error:
    sys.exit(str(error))
