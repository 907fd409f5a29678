"""Make a karaoke file of a song: its lead turned down, its key changed.

python examples/karaoke_file.py SONG OUTPUT.wav [SEMITONES] [GUIDE_DB]
"""

import sys

import soundfile

import rtsep


def main(song: str, output: str, semitones: str = "0", guide_db: str = "-18") -> None:
    settings = rtsep.Settings(mode="quality", transpose=True)
    parameters = {"melody.gain_db": guide_db, "key.semitones": semitones, "limiter": "on"}
    mix = rtsep.separate(song, settings=settings, parameters=parameters, stems=[], mix=True)["mix"]
    soundfile.write(output, mix, soundfile.info(song).samplerate, subtype="PCM_24")
    print(f"{output}: the lead at {guide_db} dB, {semitones} semitones")


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 5:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except rtsep.BadInput as error:
        sys.exit(str(error))
