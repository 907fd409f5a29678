"""A sound file into its stems, and what each of them holds.

python examples/file_into_stems.py SONG [FOLDER]

Writes FOLDER/percussive.wav, harmonic.wav and residual.wav (default folder: stems).
"""

import sys
from pathlib import Path

import numpy as np
import soundfile

import rtsep


def main(song: str, folder: str = "stems") -> None:
    sound, sample_rate = soundfile.read(song, dtype="float32", always_2d=True)
    # With a separation factor above 1, what is neither clearly a hit nor clearly a tone goes to the residual.
    stems = rtsep.separate(sound, sample_rate=sample_rate, parameters={"hpss.separation": 1.5})

    Path(folder).mkdir(parents=True, exist_ok=True)
    energy = np.sum(sound.astype(float) ** 2)
    for name, stem in stems.items():
        soundfile.write(Path(folder) / f"{name}.wav", stem, sample_rate, subtype="FLOAT")
        share = np.sum(stem.astype(float) ** 2) / energy if energy else 0
        print(f"{name:10} {share:6.1%} of the energy")

    error = np.abs(sum(stems.values()) - sound).max()
    print(f"The stems add up to the song; the largest difference is {error:g}.")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except (rtsep.BadInput, soundfile.LibsndfileError) as error:
        sys.exit(str(error))
