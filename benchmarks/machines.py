"""The plugin on machines that are not this one: how far its sound is from the engine's here.

    python benchmarks/machines.py

Each is linked by ziglang (pip install 'rtsep[export]') and run by an emulator: ARM by QEMU, Windows by Wine (Debian:
apt install qemu-user-static libc6-arm64-cross wine64). The host is tests/host.c.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from table import show

from rtsep import Engine, Settings, plugin
from rtsep.build.emit import TARGETS
from rtsep.build.link import SUFFIX
from rtsep.offline.files import song, sum_of

RATE, SECONDS, BLOCK = 48_000, 4, 480
VALUES = {"percussive.gain_db": -12, "melody.mute": 1}  # at rest all machines would give the input back
EMULATORS = {
    "linux-x86_64-v2": [],
    "linux-aarch64": ["qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"],
    "windows-x86_64-v2": ["/usr/lib/wine/wine64"],
    "windows-x86_64-v3": ["/usr/lib/wine/wine64"],
}
HOST = Path(__file__).parent.parent / "tests" / "host.c"


def heard(folder: Path, machine: str, sound: np.ndarray) -> np.ndarray:
    """What comes back of `sound` (samples, channels) from the plugin for `machine`."""
    target = TARGETS[machine]
    (built,) = plugin.write(folder, "machines", Settings(), VALUES, formats=["ladspa"], machine=machine, told=print)
    host = folder / f"host{'.exe' if target.system == 'windows' else ''}"
    libraries = [] if target.system == "windows" else ["-ldl"]
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", target.zig, "-O1"]
    subprocess.run([*compiler, HOST, "-o", host, *libraries], check=True)
    assert built.suffix == SUFFIX[target.system]
    line = [*EMULATORS[machine], host, built, str(RATE), str(sound.shape[1]), str(BLOCK)]
    done = subprocess.run(
        line, input=sound.tobytes(), stdout=subprocess.PIPE, check=True, env=os.environ | {"WINEDEBUG": "-all"}
    )
    return np.frombuffer(done.stdout, np.float32).reshape(sound.shape)


def main() -> None:
    sound = sum_of(song(RATE))[: SECONDS * RATE]
    engine = Engine(Settings())
    engine.parameters.update(VALUES)
    engine.prepare(sample_rate=RATE, channels=2)
    truth = np.concatenate([engine.process(sound[i : i + BLOCK]) for i in range(0, len(sound), BLOCK)])
    rows = []
    for machine in EMULATORS:
        with tempfile.TemporaryDirectory() as folder:
            try:
                off = f"{np.abs(heard(Path(folder), machine, sound) - truth).max():.1e}"
            except (OSError, subprocess.CalledProcessError) as error:
                off = f"not run: {error}"
        rows.append([machine, off])
    show("The plugin on other machines", ["machine", "largest difference from the engine here"], rows)


if __name__ == "__main__":
    main()
