"""`rtsep karaoke`: a song loses its lead, and a singer takes its place."""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..engine import Engine, Sound
from ..errors import BadInput, Unavailable
from ..library import warm_up
from ..live import devices
from ..live.evening import Karaoke
from ..live.hands import Hands
from ..live.karaoke_view import KaraokeView, line
from ..live.keyboard import keys
from ..live.record import check_folder
from ..live.stream import Source, open_stream
from ..live.terminal import output_device, summary, watch
from ..offline import score as scores
from ..offline.files import song as bundled_song
from ..offline.files import sum_of
from ..settings import Settings
from ..streams import say, tell
from .options import (
    SCORE_HELP,
    check_picture,
    chosen,
    engine_options,
    hand_options,
    hands_of,
    positive,
    recalled,
    resume,
    settings_of,
    there,
)

NONE = "none"
"""The name of no microphone at all."""


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description = "A song loses its lead; the microphone takes its place, and is judged by it."
    parser.add_argument("song", nargs="?", default="virtual", metavar="SONG", help="sound file, input device, or "
                        "'virtual' (the bundled song, default)")  # fmt: skip
    parser.add_argument("-o", "--output", metavar="DEV", help="device, or 'virtual'")
    parser.add_argument("--mic", metavar="DEV", help="device, sound file, or 'none' (default: the default input)")
    parser.add_argument("--mic-channel", type=int, metavar="N", help="which input of the device the microphone is")
    parser.add_argument("--guide", metavar="DB", help="the lead's level (default: -18; =-inf is none)")
    parser.add_argument("--key", metavar="N", help="semitones up or down, -12 to 12")
    parser.add_argument("--no-duck", action="store_true", help="leave the guide on while the singer is on pitch")
    parser.add_argument("--score", metavar="FILE", help=SCORE_HELP)
    parser.add_argument("--loop", action="store_true", help="start the song again at its end")
    parser.add_argument("-b", "--block", type=int, metavar="BLOCK", help="block size in samples")
    parser.add_argument("--seconds", type=positive, metavar="N", help="stop after N seconds")
    parser.add_argument("--picture", metavar="PNG", help="draw the pitches of song and singer at the end")
    parser.add_argument("--record", metavar="DIR", help="write input, output, stems and microphone to DIR")
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    hand_options(parser)
    engine_options(parser, "balanced")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    remembered = ("mode", "templates", "splits", "networks", "output", "mic", "mic_channel", "block")
    resumed = resume(options, remembered)
    settings = settings_of(options, transpose=True)
    assignments: dict[str, float | str] = {"melody.gain_db": -18.0}
    assignments |= there(resumed | recalled(options), settings)
    for id, value in (("melody.gain_db", options.guide), ("key.semitones", options.key)):
        if value is not None:
            assignments[id] = value
    assignments |= chosen(options, settings)
    karaoke(
        options.song,
        settings,
        assignments,
        hands_of(options, remembered),
        microphone=options.mic,
        microphone_channel=options.mic_channel,
        output=options.output,
        score=options.score,
        duck=not options.no_duck,
        loop=options.loop,
        block_size=options.block or 0,
        picture=options.picture,
        record=options.record,
        force=options.force,
        seconds=options.seconds,
    )


def karaoke(
    song: str,
    settings: Settings,
    parameters: Mapping[str, float | str],
    hands: Hands,
    *,
    microphone: str | None = None,
    microphone_channel: int | None = None,
    output: str | None = None,
    score: str | None = None,
    duck: bool = True,
    loop: bool = False,
    block_size: int = 0,
    picture: str | None = None,
    record: str | None = None,
    force: bool = False,
    seconds: float | None = None,
) -> None:
    """Run karaoke until the song ends, `seconds` are over or a key says so; then print the score.

    Parameters
    ----------
    song : a sound file, an input device, or "virtual" for the bundled song
    parameters : melody.gain_db is the level of the guide, key.semitones the key
    microphone : an input device, a sound file, "none"; if None, the default input, or on the virtual device the
        bundled song's lead
    microphone_channel : its number among the inputs
    score : where the song's melody lies: a file of those that `rtsep.offline.score.load` reads
    duck : whether the guide rests while the singer is on pitch
    picture : a PNG of both pitches to write at the end
    """
    if picture is not None:
        check_picture(Path(picture), force)
    engine = Engine(settings)
    engine.parameters.update(parameters)
    if record is not None:
        check_folder(record, engine.stems, force)
    regions = None if score is None else scores.load(score)
    output, rate = output_device(output)
    source: Source | None
    listening, lead = None, None
    if song == devices.VIRTUAL:
        song, parts = "the bundled song", bundled_song(rate)
        engine.prepare(sample_rate=rate, channels=2)  # for its latency: the lead is to be in time with what is heard
        source, lead = sum_of(parts), np.pad(parts["lead"], ((engine.latency, 0), (0, 0)))
    elif devices.is_file(song, output):
        source, song = song, Path(song).name
    else:
        source, listening = None, song
    voice, listening = _microphone(microphone, microphone_channel, listening, output, lead)
    warm_up(tell)
    with (
        open_stream(
            engine,
            (listening, output),
            sample_rate=rate,
            block_size=block_size,
            source=source,
            loop=loop,
            microphone=voice,
            microphone_channel=microphone_channel,
            score=regions,
            record=record,
            force=force,
        ) as stream,
        hands.on(stream, song, singer=voice is not None) as held,
        keys() as pressed,
    ):
        tell(f"{stream.description}. The microphone has no delay of ours. q ends.")
        if regions is not None and stream.player and stream.player.length:
            misfit = scores.fits(regions, stream.player.length)
            if misfit:
                tell(misfit)
        evening = Karaoke(stream, song, singer=voice is not None, duck=duck, loop=loop)
        drawing = KaraokeView()

        def tick(elapsed: float) -> bool:
            evening.listen()
            held.session.tick(elapsed)
            return all([held.press(key) or evening.press(key) for key in pressed()])

        watch(
            stream,
            seconds=seconds,
            tick=tick,
            view=lambda: held.view(lambda: drawing.draw(evening.values())),
            line=lambda: line(evening.values()),
        )
        evening.listen()
    say(summary(stream))
    if stream.player and stream.player.warning:
        tell(stream.player.warning)
    if voice is not None:
        say(evening.singing.summary())
    if picture is not None:
        try:
            evening.singing.picture(picture)
        except OSError as error:
            raise Unavailable(f"cannot write {picture}: {error.strerror}.") from error
        say(picture)
    if stream.recorder and stream.recorder.error:
        raise Unavailable(stream.recorder.error)


def _microphone(
    name: str | None, channel: int | None, listening: str | None, output: str | None, lead: Sound | None
) -> tuple[bool | Source | None, str | None]:
    """What is heard as the microphone, and the input device to open: `listening` if the song comes from that.

    `lead` is that of the bundled song if it plays.
    """
    if name == NONE:
        return None, listening
    if name == devices.VIRTUAL or (name is None and output == devices.VIRTUAL):
        who = "--mic FILE lets a sound file sing" if lead is None else "the song's own lead stands in for the singer"
        tell(f"nobody sings on the virtual device: {who}")
        return lead, listening
    if name is not None and devices.is_file(name, output):
        return name, listening
    if listening is not None:
        if name is None and channel is None:
            tell(f"no microphone: --mic {listening!r} is the next input after the song's, --mic-channel N any other")
            return None, listening
        if name is not None and devices.find(name, "input") != devices.find(listening, "input"):
            raise BadInput(
                f"the song comes from {listening!r} and the microphone from {name!r}: two sound cards have two clocks. "
                "Use one with enough inputs (its next input is the microphone, or --mic-channel), or JACK or PipeWire."
            )
        return True, listening
    if name is None:
        try:
            devices.find(None, "input")
        except Unavailable as error:
            tell(f"no microphone: {error.args[0].split(':')[0]}")
            return None, None
    return True, name
