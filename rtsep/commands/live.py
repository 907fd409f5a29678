"""`rtsep live`: what a sound card hears is un-mixed under the hands of a player."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..engine import Engine
from ..errors import BadInput, Unavailable
from ..library import warm_up
from ..live.desk import Desk
from ..live.devices import VIRTUAL, find, is_file
from ..live.hands import Hands
from ..live.history import History
from ..live.keyboard import keys
from ..live.record import check_folder
from ..live.sampler import Sampler
from ..live.stream import Source, open_stream
from ..live.terminal import status, summary, watch
from ..offline import score as scores
from ..offline.beside import completed_by_file, unknown_beside
from ..offline.files import song, sum_of
from ..parameters import PARAMETERS
from ..settings import Settings
from ..streams import say, tell
from .options import (
    SCORE_HELP,
    engine_options,
    hand_options,
    hands_of,
    positive,
    resume,
    settings_of,
    there,
    values_of,
)


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("song", nargs="?", metavar="SONG", help="sound file to play, as -i")
    parser.add_argument("-i", "--input", metavar="DEV", help="device (name, unique part of it, or number), a sound "
                        "file, or 'virtual' (the bundled song)")  # fmt: skip
    parser.add_argument("-o", "--output", metavar="DEV", help="device, or 'virtual'")
    parser.add_argument("-r", "--rate", type=positive, metavar="RATE", help="sample rate in Hz (default: the device's)")
    parser.add_argument("-b", "--block", type=int, metavar="BLOCK", help="block size in samples")
    parser.add_argument("-c", "--channels", type=int, metavar="N", help="channels (default: at most 2)")
    parser.add_argument("--seconds", type=positive, metavar="N", help="stop after N seconds")
    parser.add_argument("--score", metavar="FILE", help=SCORE_HELP)
    parser.add_argument("--record", metavar="DIR", help="write input, output and stems to DIR")
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    parser.add_argument("--stems-out", action="store_true", help="play each stem, before its fader, on channels of its "
                        "own behind the mix; the start tells which")  # fmt: skip
    parser.add_argument("--learn", action="append", default=[], metavar="NAME", help="a stem to be learned while it "
                        "sounds: choose its row, press n, let it sound, press n")  # fmt: skip
    parser.add_argument("--room", action="store_true", help="take the room's noise away: n on its row learns it")
    parser.add_argument("--plain", action="store_true", help="one status line in place of the view")
    hand_options(parser)
    engine_options(parser, "balanced")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    remembered = ("mode", "templates", "splits", "networks", "input", "output", "rate", "block", "channels", "score")
    if options.song is not None:
        if options.input is not None:
            raise BadInput(f"both {options.song} and {options.input} are to be heard: name one of them.")
        options.input = options.song
    # Templates of the last time step back before what is to be learned now.
    resumed = resume(options, tuple({*remembered} - {"templates", "splits"}) if options.learn else remembered)
    settings = settings_of(options, learn=tuple(options.learn), room=options.room)
    assignments = there(resumed, settings) | values_of(options, settings)
    perform(
        settings,
        assignments,
        hands_of(options, remembered),
        input=options.input,
        output=options.output,
        sample_rate=options.rate,
        block_size=options.block or 0,
        channels=options.channels,
        score=options.score,
        stems_out=options.stems_out,
        limiter=PARAMETERS["limiter"].check(assignments.get("limiter", "on")) == 1,
        record=options.record,
        force=options.force,
        seconds=options.seconds,
        plain=options.plain,
    )


def perform(
    settings: Settings,
    parameters: Mapping[str, float | str],
    hands: Hands,
    *,
    input: str | None = None,
    output: str | None = None,
    sample_rate: float | None = None,
    block_size: int = 0,
    channels: int | None = None,
    score: str | None = None,
    stems_out: bool = False,
    limiter: bool = True,
    record: str | None = None,
    force: bool = False,
    seconds: float | None = None,
    plain: bool = False,
) -> None:
    """Run a stream under keys and controllers until it ends, `seconds` are over or `q` is pressed; print its summary.

    Parameters
    ----------
    parameters : what they start with, by id
    input : a device, a sound file, or "virtual" for the bundled song
    stems_out : play the mix on the first output channels, and behind it each stem, before its fader, on its own
    plain : one status line in place of the view
    """
    beside = unknown_beside(settings)
    if input is not None and is_file(input, output):
        settings, beside = completed_by_file(settings, input)
    if beside:
        tell(beside)
    engine = Engine(settings)
    engine.parameters.update(parameters)
    if record is not None:
        check_folder(record, engine.stems, force)
    regions = scores.load(score) if score else None
    source: Source | None = None
    if input is None and output == VIRTUAL:
        input = VIRTUAL  # no microphone: the bundled song
    name = input or "the input"
    if input == VIRTUAL:
        name = "the bundled song"
        if sample_rate is None:
            sample_rate = 48_000 if output == VIRTUAL else find(output, "output").sample_rate
        source = sum_of(song(sample_rate))
    elif input is not None and is_file(input, output):
        source, name = input, Path(input).name
    warm_up(tell)
    with (
        open_stream(
            engine,
            (input, output) if source is None else output,
            sample_rate=sample_rate,
            block_size=block_size,
            channels=channels if source is None else None,
            source=source,
            loop=input == VIRTUAL,
            score=regions,
            stems_out=stems_out,
            limiter=limiter,
            record=record,
            force=force,
        ) as stream,
        hands.on(stream, name, plain=plain) as held,
        keys() as pressed,
    ):
        sampler = Sampler(stream, tell) if settings.learn or settings.room else None
        desk = Desk(stream, history=History(engine.parameters), midi=held.midi)
        tell(f"{stream.description}. Ctrl-C ends.")
        if stems_out:
            tell(outputs(engine.stems, engine.channels))

        def tick(elapsed: float) -> bool:
            held.session.tick(elapsed)
            return all([held.press(key) or desk.press(key) for key in pressed()])

        watch(
            stream,
            seconds=seconds,
            tick=tick,
            view=None if plain else lambda: held.view(desk.view),
            line=lambda: status(stream),
        )
    if sampler:
        sampler.wait()
        if sampler.path:
            tell(f'what was learned is kept: rtsep live --templates "{sampler.path}"')
    if stream.player and stream.player.warning:
        tell(stream.player.warning)
    say(summary(stream))
    if stream.recorder and stream.recorder.error:
        raise Unavailable(stream.recorder.error)


def outputs(stems: Sequence[str], channels: int) -> str:
    """Which output channels, counted from 1, hold the mix and which each of the `stems`."""
    firsts = range(1, 1 + channels * (1 + len(stems)), channels)
    places = [f"{first}" if channels == 1 else f"{first}-{first + channels - 1}" for first in firsts]
    named = ", ".join(f"{place} {name}" for place, name in zip(places, ("mix", *stems), strict=True))
    return f"outputs {named}; the stems are those before their faders, mutes and solos."
