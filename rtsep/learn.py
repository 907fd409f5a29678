"""`rtsep learn`: recordings of parts become a file of templates."""

from collections.abc import Sequence
from pathlib import Path

from .errors import BadInput
from .live.terminal import tell
from .offline.learn import learn, learn_blind
from .offline.pitches import learn_pitches
from .settings import Settings


def learn_files(
    recordings: Sequence[str],
    output: str,
    *,
    settings: Settings,
    sample_rate: float | None = None,
    components: int = 4,
    method: str = "k-means",
    parts: int | None = None,
    scores: Sequence[str] = (),
    split_at: str | None = None,
    splits: str = "percussive",
    force: bool = False,
) -> None:
    """Learn from `recordings`, written part=file (a part may have several), and write the file `output`.

    With a number of `parts` there is one recording without a name, a mix that is taken apart into "1", "2", ...
    With `scores` the recordings are pieces of one instrument, written name=file, each with its score; `split_at` makes
    two parts of it. Other parameters and errors as of `rtsep.offline.learn.learn` and
    `rtsep.offline.pitches.learn_pitches`; `force` replaces a file that is there.
    """
    if split_at is not None and not scores:
        raise BadInput(f"split_at is {split_at!r}, but no pitches are learned: name a score too.")
    if parts is not None:
        if scores:
            raise BadInput("a mix is taken apart blindly, without a score: leave one of them out.")
        if len(recordings) != 1:
            raise BadInput(f"{len(recordings)} recordings to be taken apart: name one mix.")
        source = f"{Path(recordings[0]).name}, taken apart blindly"
        templates = learn_blind(
            recordings[0],
            sample_rate=sample_rate,
            parts=parts,
            components=components,
            settings=settings,
            splits=splits,
            source=source,
        )
    else:
        examples: dict[str, list[str]] = {}
        for recording in recordings:
            part, equals, path = recording.partition("=")
            if not equals or not path:
                raise BadInput(f"{recording!r} names no part: write kick={recording or 'kick.wav'}, say.")
            examples.setdefault(part, []).append(path)
        source = ", ".join(Path(path).name for own in examples.values() for path in own)
        if scores:
            if len(examples) != 1:
                raise BadInput(f"scores of {', '.join(examples)}: pitches are learned of one instrument at a time.")
            ((name, pieces),) = examples.items()
            templates = learn_pitches(
                pieces,
                scores,
                name=name,
                split_at=split_at,
                sample_rate=sample_rate,
                settings=settings,
                splits=splits,
                source=f"{source}, by the score",
            )
        else:
            templates = learn(
                examples,
                sample_rate=sample_rate,
                components=components,
                method=method,
                settings=settings,
                splits=splits,
                source=f"{source}, by {method}",
            )
    templates.save(output, force=force)
    rate, window_ms = templates.sample_rate, 1e3 * templates.window_size / templates.sample_rate
    tell(
        f"{output}: {len(templates.spectra)} templates of {', '.join(templates.parts)}, {rate:g} Hz, {window_ms:.0f} ms"
    )
