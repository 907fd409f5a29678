"""Learn the bundled drum kit: templates of kick, snare, hi-hat, toms and cymbals from hits of six General MIDI kits.

    python examples/learn_kit.py [OUT] [--soundfont FILE]

Each drum is struck alone, softly, well and hard, and rendered dry; the templates are those of the mode `balanced` at
48 kHz (default: the package's kits folder). The file is the same on every run.

Needs the FluidSynth program and the FluidR3 GM sound font (MIT license; Debian packages `fluidsynth` and
`fluid-soundfont-gm`).
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import mido
import numpy as np
import soundfile

from rtsep.offline.dictionary import learn

RATE = 48_000
KITS = {0: "Standard", 8: "Room", 16: "Power", 32: "Jazz", 40: "Brush", 48: "Orchestra"}  # the electronic ones mislead
# General MIDI keys.
DRUMS = {
    "kick": (35, 36),
    "snare": (38, 40),
    "hihat": (42, 44, 46),
    "toms": (41, 43, 45, 47, 48, 50),
    "cymbals": (49, 51, 53, 55, 57, 59),
}
FORCES = (50, 90, 120)  # MIDI velocities
HIT_S = 1.5
COMPONENTS = 1  # more fit these kits better, and any other worse


def hits(program: int, keys: tuple[int, ...], soundfont: Path) -> list[np.ndarray]:
    """The hits of `keys` of one kit, each (samples, 2) and of one loudness."""
    tempo = mido.bpm2tempo(120)
    length = mido.second2tick(HIT_S, 960, tempo)
    track = mido.MidiTrack([mido.Message("program_change", channel=9, program=program)])
    struck = [(key, force) for key in keys for force in FORCES]
    for key, force in struck:
        track.append(mido.Message("note_on", channel=9, note=key, velocity=force))
        track.append(mido.Message("note_off", channel=9, note=key, time=length // 2))
        # Nothing may ring into the next hit.
        track.append(mido.Message("control_change", channel=9, control=120, value=0, time=length - length // 2))
    with tempfile.TemporaryDirectory() as folder:
        score, wave = Path(folder, "hits.mid"), Path(folder, "hits.wav")
        mido.MidiFile(ticks_per_beat=960, tracks=[track]).save(score)
        command = f"fluidsynth -niq -R 0 -C 0 -r {RATE} -g 0.4 -O float -T wav -F".split()
        subprocess.run([*command, wave, soundfont, score], check=True, capture_output=True)
        sound = soundfile.read(wave, dtype="float32")[0]
    size = round(HIT_S * RATE)
    found = [sound[i * size : (i + 1) * size] for i in range(len(struck))]
    found = [hit - hit.mean(0) for hit in found]  # some samples carry an offset
    return [hit / (10 * hit.std()) for hit in found if hit.std() > 1e-5]


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn the bundled drum kit.")
    kits = Path(__file__).parents[1] / "rtsep" / "kits"
    parser.add_argument("out", nargs="?", type=Path, default=kits / "drums.rtsep")
    parser.add_argument("--soundfont", type=Path, default=Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"))
    args = parser.parse_args()
    examples = {
        drum: [hit for program in KITS for hit in hits(program, keys, args.soundfont)] for drum, keys in DRUMS.items()
    }
    kit = learn(
        examples,
        sample_rate=RATE,
        components=COMPONENTS,
        splits="percussive",
        source=f"single hits of the drum kits {', '.join(KITS.values())} of FluidR3 GM (Frank Wen, MIT licence), "
        "rendered by FluidSynth; see examples/learn_kit.py",
    )
    kit.save(args.out, force=True)
    counts = ", ".join(f"{drum} {len(own)}" for drum, own in examples.items())
    print(f"hits: {counts}; wrote {args.out}, {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
