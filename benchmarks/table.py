"""Tables in Markdown, as the benchmarks print them, and the song that they work on."""

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

SONG = Path(__file__).parent.parent / "rtsep" / "song"
RESULTS = Path(__file__).parent / "results"


def markdown(header: list[str], rows: list[list[Any]]) -> str:
    """A table; its first column is text, the others are numbers or short texts."""
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = []
    for row in cells:
        numbers = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        lines.append("| " + " | ".join([row[0].ljust(widths[0]), *numbers]) + " |")
    rule = "|" + "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def show(title: str, header: list[str], rows: list[list[Any]]) -> None:
    """Print a table."""
    print(f"\n{title}\n", markdown(header, rows), sep="\n", flush=True)


def publish(path: Path, tables: list[tuple[str, list[str], list[list[Any]]]]) -> None:
    """Print `tables` (title, header, rows) and write them to `path`, a file in Markdown."""
    for table in tables:
        show(*table)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(f"## {title}\n\n{markdown(header, rows)}\n" for title, header, rows in tables))
    print(f"\nWritten: {path}")


def spread(values: Any, form: str = ".1f") -> str:
    """Median and range of some runs: "12.0 [11.8 .. 13.1]"; a dash where nothing was measured."""
    if len(values) == 0:
        return "-"
    return f"{statistics.median(values):{form}} [{min(values):{form}} .. {max(values):{form}}]"


def write_json(path: str | None, data: Any) -> None:
    """Write `data` to `path` if one was given."""
    if path:
        Path(path).write_text(json.dumps(data, indent=1, default=float) + "\n")


def song(channels: int = 2, seconds: float = 10) -> np.ndarray:
    """The bundled song, or hits of noise over chords where it is missing: float32 (samples, channels) for 44.1 kHz.

    At another rate the same samples are played: for measuring time it is music all the same.
    """
    stems = [soundfile.read(path, dtype="float32", always_2d=True)[0] for path in sorted(SONG.glob("*.ogg"))]
    if stems:
        mix = sum(stem[: min(map(len, stems))] for stem in stems)
    else:
        t = np.arange(20 * 44100) / 44100
        chord = sum(np.sin(2 * np.pi * pitch * k * t) / k for pitch in (110, 139, 165) for k in range(1, 8))
        hits = np.random.default_rng(1).standard_normal(len(t)) * np.exp(-40 * (t % 0.25))
        mix = (0.05 * chord + 0.1 * hits)[:, None].astype(np.float32)
    samples = int(seconds * 44100)
    mix = np.tile(mix, (-(-samples // len(mix)), 1))[:samples]
    return np.ascontiguousarray(mix[:, np.arange(channels) % mix.shape[1]], np.float32)
