"""`rtsep learn`: recordings of parts become a file of templates."""

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import BadInput
from ..offline import files
from ..offline.beside import unknown_beside
from ..offline.dictionary import BLIND, METHODS, SILENT, Example, check_method, learn, learn_blind
from ..offline.pitches import learn_pitches
from ..settings import MODES, REST, Settings
from ..streams import tell

_EXCERPT = re.compile(r"(.+)@([\d:.]+)-([\d:.]+)")


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description = (
        "Learn what parts sound like, from recordings of each alone or from a mix; --templates uses it."
    )
    parser.add_argument(
        "recordings",
        nargs="+",
        metavar="PART=FILE",
        help="a part alone, a part may have "
        "several; PART=FILE@12-14 for its seconds 12 to 14; rest=FILE for what sounds beside them in a mix",
    )
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="template file, as in kit.rtsep")
    parser.add_argument("--splits", metavar="STEM", help="percussive (default), harmony, or mix: all that is heard "
                        "(default with --score, or a single part)")  # fmt: skip
    parser.add_argument("--components", type=int, metavar="N", help="spectra of each part (default: 8, blindly 1)")
    parser.add_argument("--method", metavar="M", help=f"{', '.join(METHODS)} (default: k-means, blindly nmf)")
    parser.add_argument("--parts", type=int, metavar="N", help="take one mix apart blindly into N parts")
    parser.add_argument("--score", action="append", default=[], metavar="FILE", help="learn the pitches of one "
                        "instrument from pieces and their scores, one for each in order")  # fmt: skip
    parser.add_argument("--split-at", metavar="PITCH", help="with --score: two parts, the upper from PITCH (as in C4)")
    parser.add_argument("--mode", default="balanced", metavar="M", help=f"{', '.join(MODES)} (default: balanced)")
    parser.add_argument("--force", action="store_true", help="replace a file that exists")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    settings = Settings(options.mode)
    learn_files(
        options.recordings,
        options.output,
        settings=settings,
        components=options.components,
        method=options.method,
        parts=options.parts,
        scores=options.score,
        split_at=options.split_at,
        splits=options.splits,
        force=options.force,
    )


def learn_files(
    recordings: Sequence[str],
    output: str,
    *,
    settings: Settings,
    sample_rate: float | None = None,
    components: int | None = None,
    method: str | None = None,
    parts: int | None = None,
    scores: Sequence[str] = (),
    split_at: str | None = None,
    splits: str | None = None,
    force: bool = False,
) -> None:
    """Learn from `recordings`, written part=file (a part may have several), and write the file `output`.

    Of a part=file@12-14 only the seconds from 12 to 14 are taken (or minutes: 1:12-1:14). A single part is taken out
    of the mix; what is left is learned from the seconds of the file that are not its own.

    What sounds beside the parts is called REST; where they split the mix and no recording of it is named, it is what is
    unlike them.

    With a number of `parts` there is one recording without a name, a mix that is taken apart into "1", "2", ...
    With `scores` the recordings are pieces of one instrument, written name=file, each with its score; `split_at` makes
    two parts of it. Other parameters and errors as of `rtsep.offline.dictionary.learn` and
    `rtsep.offline.pitches.learn_pitches`; `force` replaces a file that is there. They split the mix by default if there
    is a score or a rest. The `method` is one of METHODS (by default k-means) for parts alone, of BLIND (nmf) for a mix.
    """
    if method is not None:
        check_method(method, METHODS if parts is None else BLIND)
        if scores:
            raise BadInput(f"the method is {method}, but pitches are learned by their score: leave --method out.")
    if components is not None and scores:
        raise BadInput(f"{components} components, but of each pitch there is one: leave --components out.")
    if split_at is not None and not scores:
        raise BadInput(f"split_at is {split_at!r}, but no pitches are learned: name a score too.")
    if parts is not None:
        if scores:
            raise BadInput("a mix is taken apart blindly, without a score: leave one of them out.")
        if len(recordings) != 1:
            raise BadInput(f"{len(recordings)} recordings to be taken apart: name one mix.")
        source = f"{Path(recordings[0]).name}, taken apart blindly by {method or 'nmf'}"
        templates = learn_blind(
            recordings[0],
            sample_rate=sample_rate,
            parts=parts,
            method=method or "nmf",
            components=1 if components is None else components,
            settings=settings,
            splits=splits or "percussive",
            source=source,
        )
    else:
        named: dict[str, list[str]] = {}
        for recording in recordings:
            part, equals, path = recording.partition("=")
            if not equals or not path:
                raise BadInput(f"{recording!r} names no part: write kick={recording or 'kick.wav'}, say.")
            named.setdefault(part, []).append(path)
        source = ", ".join(Path(path).name for own in named.values() for path in own)
        if scores:
            if len(named) != 1:
                raise BadInput(f"scores of {', '.join(named)}: pitches are learned of one instrument at a time.")
            ((name, pieces),) = named.items()
            templates = learn_pitches(
                pieces,
                scores,
                name=name,
                split_at=split_at,
                sample_rate=sample_rate,
                settings=settings,
                splits=splits or "mix",
                source=f"{source}, by the score",
            )
        else:
            examples, left, sample_rate = _examples(named, sample_rate)
            if REST in examples and splits not in (None, "mix"):
                raise BadInput(f"{REST} is what is left of the mix, and {splits} is to be split: leave --splits out.")
            if REST in examples or splits == "mix" or (splits is None and len(examples) == 1):
                examples[REST] = [*examples.pop(REST, []), *left]
            splits = splits or ("mix" if REST in examples else "percussive")
            templates = learn(
                examples,
                sample_rate=sample_rate,
                components=8 if components is None else components,
                method=method or "k-means",
                settings=settings,
                splits=splits,
                source=f"{source}, by {method or 'k-means'}",
            )
    templates.save(output, force=force)
    rate, window_ms = templates.sample_rate, 1e3 * templates.window_size / templates.sample_rate
    if warning := unknown_beside(replace(settings, templates=templates)):
        tell(f"{warning} In files, rtsep separate looks for it by itself.")
    tell(
        f"{output}: {len(templates.spectra)} templates of {', '.join(templates.parts)}, {rate:g} Hz, {window_ms:.0f} ms"
    )


def _examples(
    named: Mapping[str, Sequence[str]], sample_rate: float | None
) -> tuple[dict[str, list[Example]], list[Example], float | None]:
    """What is to be learned from; what sounds before and after what is cut out; the rate of these in Hz."""
    examples: dict[str, list[Example]] = {part: [] for part in named}
    left: list[Example] = []
    for part, path in ((part, path) for part, own in named.items() for path in own):
        excerpt = None if os.path.exists(path) else _EXCERPT.fullmatch(path)
        if excerpt is None:
            examples[part].append(path)
            continue
        sound, sample_rate = files.load(excerpt[1], sample_rate)
        start, end = (round(_seconds(text) * sample_rate) for text in excerpt.groups()[1:])
        if not start < end <= len(sound):
            raise BadInput(f"{path}: the recording lasts {len(sound) / sample_rate:.1f} s; name two moments in it.")
        examples[part].append(sound[start:end])
        left += [piece for piece in (sound[:start], sound[end:]) if np.abs(piece).max(initial=0) > SILENT]
    return examples, left, sample_rate


def _seconds(text: str) -> float:
    """The seconds of "14", "14.5" or "1:14.5"."""
    try:
        minutes, seconds = ([0, *map(float, text.split(":"))])[-2:]
    except ValueError:
        raise BadInput(f"{text!r} is no time: write seconds, as in 14.5, or 1:14.5.") from None
    return 60 * minutes + seconds
