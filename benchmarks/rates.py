"""What the sample rate of a recording costs: SI-SDR and pitch at each rate, less those of the same sound at 44.1 kHz.

    python benchmarks/rates.py DATA [--mode balanced] [--rates 8000 16000 ...] [--items NAME ...] [--seconds 8]
        [--out benchmarks/results]

DATA is described in items.py. Items with drums and items with a lead count, the first seconds of them. Each is
resampled (soxr) from 44.1 kHz to the rate, separated there, and its stems resampled back. What it is compared with is
the recording that went to the rate and back, separated at 44.1 kHz, and the truth is the stems that did: what a low
rate cannot hold is missing from all of them, and counts for nothing.

Lead is the stem melody of items with a lead, drums the stem percussive of items with drums, in dB (SI-SDR); pitch is
the raw pitch accuracy of `follow` (mir_eval, 50 cents) in percent where there is an `f0.csv`: `follow` tells no pitch
where it hears no voice, which counts as wrong. The second and third tables name the items, the last what there is at
44.1 kHz of a recording that only went to the rate and back.
"""

import argparse
import warnings
from pathlib import Path

import mir_eval
import numpy as np
import soxr
from items import DRUMS, LEADS, RATE, STREAMING, has_drums, has_lead, items, read, true_f0, two
from table import RESULTS, publish, write_json

from rtsep.offline.evaluate import si_sdr
from rtsep.offline.render import follow, separate

RATES = (8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000, 192000)
FIGURES = {"lead": "lead, dB", "drums": "drums, dB", "pitch": "pitch, %"}


def there_and_back(sound, rate):
    """`sound` (samples, channels) with what `rate` can hold of it."""
    return to_length(soxr.resample(soxr.resample(sound, RATE, rate), rate, RATE), len(sound)) if rate < RATE else sound


def to_length(sound, samples):
    """`sound` (samples, channels) cut, or with silence at its end: resampling rounds its length."""
    return np.pad(sound[:samples], ((0, max(samples - len(sound), 0)), (0, 0)))


def scores(folder, stems, mix, rate, mode):
    """FIGURES that are known of `stems` {role: sound} at 44.1 kHz, whose `mix` (samples, channels) is at `rate`."""
    found, wanted = {}, {}
    if has_lead(stems.keys()):
        wanted["lead"] = "melody", next(two(stems, LEADS))
    if has_drums(stems.keys()):
        wanted["drums"] = "percussive", next(two(stems, DRUMS))
    parts = separate(mix, sample_rate=rate, mode=mode, stems=[stem for stem, _ in wanted.values()])
    for figure, (stem, truth) in wanted.items():
        part = parts[stem] if rate == RATE else soxr.resample(parts[stem], rate, RATE)
        found[figure] = si_sdr(truth, to_length(part, len(truth)))
    if "lead" in found and (folder / "f0.csv").exists():
        heard = follow(mix, sample_rate=rate, mode=mode)
        time_s, f0 = true_f0(folder, len(mix) / rate)
        found["pitch"] = 100 * mir_eval.melody.evaluate(time_s, f0, heard.time_s, heard.f0_hz)["Raw Pitch Accuracy"]
    return found


def measured(folder, seconds, rates, mode):
    """FIGURES by rate: at that rate, and at 44.1 kHz of what went there and back."""
    whole, _ = read(folder, seconds, RATE)
    there, back = {}, {}
    for rate in rates:
        stems = {role: there_and_back(sound, rate) for role, sound in whole.items()}
        mix = sum(stems.values())
        # At 44.1 kHz, and of all that keeps the whole band, there is one truth.
        known = RATE if rate >= RATE else rate
        if known not in back:
            back[known] = scores(folder, stems, mix, RATE, mode)
        there[rate] = back[known] if rate == RATE else scores(folder, stems, soxr.resample(mix, RATE, rate), rate, mode)
    return there, {rate: back[min(rate, RATE)] for rate in rates}


def rows(results, value):
    """A row for each rate: the mean and the least of `value` (there, back) over all items that have the figure."""
    for rate in next(iter(results.values()))[0]:
        cells = []
        for figure in FIGURES:
            found = [
                value(there[rate][figure], back[rate][figure])
                for there, back in results.values()
                if figure in there[rate]
            ]
            cells.append(f"{np.mean(found):+.2f} ({min(found):+.2f})" if found else "-")
        yield [f"{rate / 1000:g}", *cells]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--mode", choices=STREAMING, default="balanced")
    parser.add_argument("--rates", type=int, nargs="+", default=RATES, metavar="HZ")
    parser.add_argument("--items", nargs="+", default=[""], metavar="NAME", help="parts of the names that count")
    parser.add_argument("--seconds", type=float, default=8, help="of each item")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the tables")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    results = {}
    for folder, roles in items(options.data):
        if (has_lead(roles) or has_drums(roles)) and any(name in folder.name for name in options.items):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                results[folder.name] = measured(folder, options.seconds, options.rates, options.mode)
    if not results:
        parser.error(f"{options.data} holds no such item with a lead or drums and another stem.")
    counts = {figure: sum(figure in next(iter(there.values())) for there, _ in results.values()) for figure in FIGURES}
    header = ["kHz", *(f"{title}, {counts[figure]} items" for figure, title in FIGURES.items())]
    tables = [
        (f"What a rate costs in {options.mode}: mean (worst item)", header, [*rows(results, lambda a, b: a - b)]),
        ("The same sounds at 44.1 kHz: mean (worst item)", header, [*rows(results, lambda _, b: b)]),
    ]
    for figure, title in FIGURES.items():
        by_item = [
            [name, *(f"{there[rate][figure] - back[rate][figure]:+.2f}" for rate in options.rates)]
            for name, (there, back) in results.items()
            if figure in there[options.rates[0]]
        ]
        if by_item:
            tables.append((f"By item: {title}", ["kHz", *(f"{rate / 1000:g}" for rate in options.rates)], by_item))
    publish(options.out / "rates.md", tables)
    write_json(options.json, {name: {"there": there, "back": back} for name, (there, back) in results.items()})


if __name__ == "__main__":
    main()
