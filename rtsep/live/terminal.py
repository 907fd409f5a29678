"""A running stream as a person sees it in a terminal: the status line, the meters, the summary."""

import math
import sys
import time
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.text import Text

from ..errors import Unavailable
from ..streams import tell
from . import devices
from .painter import painting
from .singing import note_name
from .stream import Stream

_PICTURE_S = 0.05
_REVIVE_S = 1.0
_SILENT_S = 3.0
_TOLD_S = 3.0  # between lines where nothing can be redrawn
_BAR_DB, _BAR_WIDTH = 60, 30


def output_device(name: str | None) -> tuple[str | None, float]:
    """The device called `name` to play on, and its rate; the built-in one where there is no other.

    Raises `Unavailable` if there is no device of that name.
    """
    if name != devices.VIRTUAL:
        try:
            return name, devices.find(name, "output").sample_rate
        except Unavailable as error:
            if name is not None:
                raise
            tell(f"no sound card here ({error.args[0].split(':')[0]}): playing on the built-in virtual device")
    return devices.VIRTUAL, 48_000.0


def watch(
    stream: Stream,
    *,
    seconds: float | None = None,
    tick: Callable[[float], object] = lambda elapsed: None,
    view: Callable[[], RenderableType] | None = None,
    line: Callable[[], str] | None = None,
) -> None:
    """Show the stream until its source ends, `seconds` are over, or Ctrl-C; call `tick` with the time in seconds.

    `tick` may return False to end. A terminal shows `view`, 20 times a second; without one the `line` (the status line
    if None), always in the same place. Where nothing can be drawn a `line`, if there is one, is told from time to
    time. A device that vanishes is looked for by its name until it is back.
    """
    start = time.monotonic()
    told = retry = 0.0
    gone = failed = False
    warned = stream.virtual or stream.player is not None
    with painting(Console(file=sys.stderr), screen=view is not None) as draw:
        try:
            while not stream.finished and (seconds is None or time.monotonic() - start < seconds):
                elapsed = time.monotonic() - start
                if not stream.active and elapsed >= retry:
                    if not gone:
                        tell(f"the device {stream.device_name!r} has gone; looking for it until it is back")
                    gone = not stream.revive()
                    if not gone:
                        tell(f"the device {stream.device_name!r} is back")
                    retry = elapsed + _REVIVE_S
                if tick(elapsed) is False:
                    break
                if draw:
                    draw(view() if view else Group(Text(line() if line else status(stream))), time.monotonic())
                elif line and elapsed > told + _TOLD_S:
                    told = elapsed
                    tell(line())
                if stream.recorder and stream.recorder.error and not failed:
                    failed = True
                    tell(stream.recorder.error)
                if not warned and elapsed > _SILENT_S:
                    warned = True
                    if stream.engine.meters.input[0] == 0:
                        tell("the input is perfectly silent: is it muted or unplugged, or may this program not listen?")
                time.sleep(_PICTURE_S)
        except KeyboardInterrupt:
            pass


def bar(level_db: float, width: int, hold_db: float = -math.inf) -> str:
    """A meter of `width` signs from -60 dB to full scale, with a mark where its peak is held."""
    filled, held = (round(min(1.0, max(0.0, 1 + db / _BAR_DB)) * width) for db in (level_db, hold_db))
    signs = f"{'#' * filled:{width}}"
    return signs[: held - 1] + "|" + signs[held:] if held > filled else signs


def decibels(level: float) -> str:
    """A linear level as text: " -12.3", "  -inf"."""
    return f"{20 * math.log10(level):6.1f}" if level > 1e-6 else "  -inf"


def status(stream: Stream) -> str:
    """One line: levels, melody, load, xruns and latency."""
    meters, stats = stream.engine.meters, stream.stats()
    levels = zip(stream.engine.stems, meters.stems, strict=True)
    stems = "  ".join(f"{stem} {decibels(level)}" for stem, level in levels)
    return (
        f"in {decibels(meters.input[0])}  out {decibels(meters.output[0])} dB | {stems} {_note(stream):8} | "
        f"load {stats.load_median * 100:.1f} %  xruns {stats.xruns}  {stats.latency_ms:.1f} ms"
    )


def _note(stream: Stream) -> str:
    """The note of the melody and how many cents it is off."""
    name, cents = note_name(float(stream.engine.meters.f0[0]))
    return f"{name} {cents:+.0f} c" if name else ""


def faders(stream: Stream) -> Group:
    """The levels as bars, with the faders beside them."""
    meters, parameters, stats = stream.engine.meters, stream.engine.parameters, stream.stats()
    rows = [("input", meters.input[0], "")]
    rows += [
        (stem, level, f"fader {parameters[f'{stem}.gain_db'].text}")
        for stem, level in zip(stream.engine.stems, meters.stems, strict=True)
    ]
    rows += [("output", meters.output[0], "")]
    lines = [
        f"{name:10}  {bar(20 * math.log10(max(level, 1e-6)), _BAR_WIDTH)}  {decibels(level)} dB  {fader}"
        for name, level, fader in rows
    ]
    lines += [
        f"{'melody':10}  {_note(stream)}",
        f"{'':10}  load {stats.load_median * 100:.1f} %  xruns {stats.xruns}  {stats.latency_ms:.1f} ms",
    ]
    return Group(*map(Text, lines))


def summary(stream: Stream) -> str:
    """What the stream has measured, in a few lines."""
    stats = stream.stats()
    lost = f", {int(stream.lost[0])} blocks late" if stream.virtual else ""
    if stream.recorder and stream.recorder.lost:
        lost += f"; the disk was too slow for {stream.recorder.lost / stream.sample_rate:.1f} s of the recording"
    return "\n".join(
        [
            f"blocks   {stats.blocks} ({stats.samples / stream.sample_rate:.1f} s), xruns {stats.xruns}{lost}",
            f"load     median {stats.load_median * 100:.1f} %, 99.9 % {stats.load_p999 * 100:.1f} %, "
            f"worst {stats.load_worst * 100:.1f} % of a block's time; worst block {stats.worst_block_us:.0f} us",
            f"latency  {stats.latency_ms:.1f} ms, of which the engine {stats.engine_latency_ms:.1f} ms "
            f"({stream.engine.latency} samples)",
        ]
    )
