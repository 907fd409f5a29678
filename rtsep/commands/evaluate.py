"""`rtsep evaluate`: how well stems were separated, in figures and as a picture."""

import argparse
import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .. import disk
from ..live.painter import printable
from ..offline.evaluate import MATCHINGS, Evaluation, Measures, evaluate
from ..streams import say
from .options import check_picture, json_too

_NAMES = {
    "snr": "SNR",
    "snr_amplitude": "SNR/2",
    "si_sdr": "SI-SDR",
    "sdr": "SDR",
    "sir": "SIR",
    "sar": "SAR",
}
_DRAWN_DB = 40  # as far as a picture's bars reach, up and down


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description = (
        "Compare stems with the true ones. Figures are in dB, and higher is better. SNR/2 is 10 log10 of the ratio of "
        "amplitudes, as some publications have it."
    )
    parser.add_argument("truth", metavar="TRUTH", help="a folder of the true stems, or one of them")
    parser.add_argument("estimates", metavar="ESTIMATES", help="a folder of the stems to be judged, or one of them")
    parser.add_argument("--mixture", metavar="FILE", help="what was separated: also judge it, and oracle masks of it")
    parser.add_argument("--matching", default="names", metavar="M", help="; ".join(
        f"{name}: {how}{' (default)' if name == 'names' else ''}" for name, how in MATCHINGS.items()))  # fmt: skip
    parser.add_argument("--bss-eval", action="store_true", help="also SDR, SIR and SAR of BSS Eval, which take longer")
    parser.add_argument("--picture", metavar="FILE", help="draw SI-SDR as bars into this PNG file")
    parser.add_argument("--force", action="store_true", help="replace a picture that exists")
    json_too(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print what was found, and draw it if asked to."""
    if options.picture is not None:
        check_picture(Path(options.picture), options.force)
    found = evaluate(
        options.truth,
        options.estimates,
        mixture=options.mixture,
        matching=options.matching,
        bss_eval=options.bss_eval,
    )
    if options.json:
        print(json.dumps(_plain(found), indent=2))
    else:
        for line in _lines(found):
            say(line)
    if options.picture is not None:
        disk.write(Path(options.picture), picture(found))


def _lines(found: Evaluation) -> Iterator[str]:
    """Two tables: all measures of the stems, and their SI-SDR beside what the mixture and oracle masks have."""
    rows = [(score.truth, score.estimate or "none", score.measures) for score in found.scores]
    rows.append(("mean", "", found.mean))
    names = [name for name in _NAMES if any(getattr(measures, name) is not None for *_, measures in rows)]
    head = ["stem", "estimate", *(_NAMES[name] for name in names)]
    yield from _table(head, [[stem, own, *(_number(getattr(m, name)) for name in names)] for stem, own, m in rows])
    if found.unused:
        yield f"matched with nothing: {', '.join(map(printable, found.unused))}"
    means = found.others_mean
    if means:
        yield ""
        beside = [(score.truth, [score.measures, *score.others.values()]) for score in found.scores]
        beside.append(("mean", [found.mean, *means.values()]))
        head = ["SI-SDR", "estimate", *means]
        yield from _table(head, [[stem, *(_number(each.si_sdr) for each in all)] for stem, all in beside], 1)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], names: int = 2) -> Iterator[str]:
    """Columns side by side, the first of them `names`, the others numbers."""
    cells = [[printable(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        aligned = [cell.ljust(width) for cell, width in zip(row[:names], widths, strict=False)]
        aligned += [cell.rjust(max(width, 6)) for cell, width in zip(row[names:], widths[names:], strict=True)]
        yield "  ".join(aligned).rstrip()


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.1f}"


def _plain(found: Evaluation) -> dict[str, Any]:
    """What JSON can hold: no figure is null, and infinity is a word."""
    scores = [
        {
            "truth": score.truth,
            "estimate": score.estimate,
            **_measures(score.measures),
            "others": {kind: _measures(each) for kind, each in score.others.items()},
        }
        for score in found.scores
    ]
    return {"unit": "dB", "scores": scores, "mean": _measures(found.mean), "unused": list(found.unused)}


def _measures(measures: Measures) -> dict[str, float | str | None]:
    def plain(value: float) -> float | str | None:
        return None if math.isnan(value) else value if math.isfinite(value) else str(value)

    return {name: plain(value) for name, value in measures._asdict().items() if value is not None}


def picture(found: Evaluation) -> bytes:
    """The SI-SDR of every stem as bars, beside those of the mixture and of oracle masks, as PNG; needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    kinds = {"estimate": [score.measures.si_sdr for score in found.scores]}
    for kind in found.others_mean:
        kinds[kind] = [score.others[kind].si_sdr for score in found.scores]
    figure, axis = pyplot.subplots(figsize=(max(6, 1.6 * len(found.scores)), 4.5), layout="constrained")
    colors = ("#0072b2", "#999999", "#009e73", "#e69f00", "#cc79a7")  # of Okabe and Ito
    width = 0.8 / len(kinds)
    for number, (kind, values) in enumerate(kinds.items()):
        places = [stem + (number - (len(kinds) - 1) / 2) * width for stem in range(len(values))]
        heights = [max(min(value, _DRAWN_DB), -_DRAWN_DB) for value in values]
        axis.bar(places, heights, width, label=kind, color=colors[number])
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set_xticks(range(len(found.scores)), [_called(s.truth, s.estimate) for s in found.scores])
    axis.set_ylabel(f"SI-SDR in dB, cut at ±{_DRAWN_DB}")
    axis.grid(axis="y", linewidth=0.4)
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False)
    image = io.BytesIO()
    figure.savefig(image, dpi=90)
    pyplot.close(figure)
    return image.getvalue()


def _called(truth: str, estimate: str | None) -> str:
    return truth if estimate == truth else f"{truth}\n({estimate or 'none'})"
