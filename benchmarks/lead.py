"""SI-SDR of a lead and its backing on recordings with known stems: the mixture, the modes, peers and an oracle.

    python benchmarks/lead.py DATA [--seconds 8] [--out benchmarks/results]

DATA is described in items.py. Items with a lead (a stem vocals, saxophone, lead_guitar or lead) and another stem
count, the first seconds of them, resampled to 44.1 kHz. Ours are the stem melody and the group accompaniment.

"true F0" is the mode balanced with the F0 of the lead, +-30 cents, as its score: what remains is the mask's to improve.
(It is missing where there is no f0.csv, and the means leave that out.) "oracle" is the ratio mask of the true stems.

The modes, and "true F0", are as they are by default (masks=learned); "classic" is with masks=classic.

"cascade" is the known way without a pitch: HPSS with a long window takes off what is steady, HPSS with a short one
what is a hit. It is that of librosa, which sees the whole clip, and its windows, 1.5 s and 46 ms, are the best of those
tried on six of these items; 93 and 23 ms score far below the mixture. (Tachibana, Ono and Sagayama, "Singing voice
enhancement in monaural music signals based on two-stage harmonic/percussive sound separation on multiple resolution
spectrograms", IEEE/ACM Transactions on Audio, Speech, and Language Processing 22(1), 2014; Driedger and Müller,
"Extracting singing voice from audio recordings by cascading audio decomposition techniques", ICASSP 2015.)

The second table is the SDR of BSS-eval, of mono sums (mir_eval; 512 taps). The third compares clips of 7 s with what
systems of the campaign SiSEC 2016 score on the same ones (sisec2016_vocals_on_dsd100_clips.csv in DATA): classical ones
and networks, all of which may look at the whole song. The last names the items that a method leaves below the mixture.

The networks were trained on synthetic singers and songs, on none of DATA, and the search for their pitch was tuned on
such songs held out; but they were chosen among several by these very items. The parameters of the classic melody were
tuned on these very items.
"""

import argparse
import csv
import warnings
from pathlib import Path

import mir_eval
import numpy as np
from items import LEADS, RATE, STREAMING, has_lead, items, means, read, true_f0, two, worse
from quality import by_librosa, by_oracle
from table import RESULTS, publish, write_json

from rtsep.offline.evaluate import si_sdr
from rtsep.offline.render import separate
from rtsep.settings import Settings

CLASSIC = {mode: f"{mode}, classic" for mode in (*STREAMING, "true F0")}
IN_BSS_EVAL = ("mixture", "balanced", "quality")
CAMPAIGN = "sisec2016_vocals_on_dsd100_clips.csv"
NONE = (np.nan, np.nan)


def by_rtsep(mix, settings, score=None):
    parts = separate(mix, sample_rate=RATE, settings=settings, stems=("melody", "accompaniment"), score=score)
    return parts["melody"], parts["accompaniment"]


def by_cascade(mix):
    _, rest = by_librosa(mix, 65536)
    lead, _ = by_librosa(rest, 2048)
    return lead, mix - lead


def score(folder, seconds):
    """Lowest and highest F0 (rows, 2) at each 10 ms, for `separate`."""
    time_s, f0 = true_f0(folder, seconds)
    nearest = f0[np.abs(np.arange(0, seconds, 0.01)[:, np.newaxis] - time_s).argmin(1)]
    return nearest[:, np.newaxis] * 2 ** (np.array([-30, 30]) / 1200)


def bss_eval(truth, estimate):
    """The SDR of BSS-eval in dB of two sounds (samples, channels) that were separated."""
    truth, estimate = (np.array([sound.sum(1) for sound in sounds], float) for sounds in (truth, estimate))
    return tuple(mir_eval.separation.bss_eval_sources(truth, estimate, compute_permutation=False)[0])


def measured(folder, seconds):
    """SI-SDR and SDR of BSS-eval in dB, each (lead, backing) by method."""
    stems, _ = read(folder, seconds, RATE)
    truth = lead, backing = [*two(stems, LEADS)]
    mix = lead + backing
    found = {"mixture": (mix, mix)}
    for mode in STREAMING:
        found[mode] = by_rtsep(mix, Settings(mode=mode))
        found[CLASSIC[mode]] = by_rtsep(mix, Settings(mode=mode, masks="classic"))
    if (folder / "f0.csv").exists():
        regions = score(folder, len(mix) / RATE)
        found["true F0"] = by_rtsep(mix, Settings(mode="balanced"), regions)
        found[CLASSIC["true F0"]] = by_rtsep(mix, Settings(mode="balanced", masks="classic"), regions)
    found |= {"cascade": by_cascade(mix), "oracle": by_oracle(lead, backing)}
    figures = {method: tuple(map(si_sdr, truth, pair)) for method, pair in found.items()}
    methods = ("mixture", *CLASSIC, *CLASSIC.values(), "cascade", "oracle")
    return (
        {method: figures.get(method, NONE) for method in methods},
        {method: bss_eval(truth, found[method]) for method in IN_BSS_EVAL},
    )


def table(title, corner, results):
    """`results` {item: {method: (lead, backing)}} with their means, to be published."""
    rows = [
        [name, *("-" if np.isnan(pair[0]) else f"{pair[0]:.2f} / {pair[1]:.2f}" for pair in found.values())]
        for name, found in [*results.items(), *means(results)]
    ]
    return title, [corner, *next(iter(results.values()))], rows


def campaign(path, results):
    """Our SI-SDR of the voice beside what the systems listed in `path` score on the same clips."""
    systems = {}
    with path.open() as file:
        for row in csv.DictReader(file):
            if row["method"] != "MIX(input)":
                systems.setdefault(f"real_dsd100_{row['clip']}", []).append(float(row["vocals_si_sdr_db"]))
    modes = STREAMING[1:]
    rows, totals = [], {method: np.zeros(2, int) for method in (*modes, *(CLASSIC[mode] for mode in modes))}
    for clip, theirs in systems.items():
        if clip not in results:
            continue
        cells = [f"{results[clip]['mixture'][0]:.2f}"]
        for method, total in totals.items():
            ours = results[clip][method][0]
            counts = np.array([sum(ours > other for other in theirs), sum(ours <= other for other in theirs)])
            total += counts
            cells += [f"{ours:.2f}", "{} / {}".format(*counts)]
        rows.append([clip, *cells, f"{min(theirs):.2f} .. {np.median(theirs):.2f} .. {max(theirs):.2f}"])
    sums = [cell for total in totals.values() for cell in ("", "{} / {}".format(*total))]
    header = ["SI-SDR of the voice, dB", "mixture"]
    for method in totals:
        header += [method, "above / below systems"]
    return (
        "Voices against systems of SiSEC 2016",
        [*header, "systems: worst .. median .. best"],
        [*rows, ["all", "", *sums, ""]],
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--seconds", type=float, default=8, help="of each item")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the tables")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    ratios, projections = {}, {}
    for folder, roles in items(options.data):
        if has_lead(roles):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ratios[folder.name], projections[folder.name] = measured(folder, options.seconds)
    if not ratios:
        parser.error(f"{options.data} holds no item with a lead and another stem.")
    tables = [
        table("Separation of the lead from its backing", "SI-SDR lead / backing, dB", ratios),
        table("The same by BSS-eval", "SDR lead / backing, dB", projections),
    ]
    if (options.data / CAMPAIGN).exists():
        tables.append(campaign(options.data / CAMPAIGN, ratios))
    publish(options.out / "lead.md", [*tables, worse(("lead", "backing"), ratios)])
    write_json(options.json, {"si_sdr": ratios, "bss_eval": projections})


if __name__ == "__main__":
    main()
