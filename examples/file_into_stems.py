"""A sound file into its stems, and how loud each of them is.

python examples/file_into_stems.py SONG [FOLDER]

Writes FOLDER/percussive.wav, melody.wav, harmony.wav and residual.wav (default folder: stems).
"""

import sys
from pathlib import Path

import numpy as np
import soundfile

import rtsep


def main(song: str, folder: str = "stems") -> None:
    # Classic masks have a separation factor: above 1, what is neither clearly a hit nor clearly a tone is residual.
    stems = rtsep.separate(song, parameters={"masks": "classic", "hpss.separation": 1.5})
    sound, sample_rate = soundfile.read(song, dtype="float32", always_2d=True)

    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, stem in {"song": sound, **stems}.items():
        level = 10 * np.log10(np.mean(stem.astype(float) ** 2) + 1e-20)
        print(f"{name:10} {level:6.1f} dB RMS")
    for name, stem in stems.items():
        soundfile.write(Path(folder) / f"{name}.wav", stem, sample_rate, subtype="FLOAT")

    error = np.abs(sum(stems.values()) - sound).max()
    print(f"The stems add up to the song; the largest difference is {error:g}.")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except rtsep.BadInput as error:
        sys.exit(str(error))
