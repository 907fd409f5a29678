"""Make the bundled kit `piano`: a template for each pitch from A0 to C8, by rule, in two parts that meet at C4.

    python examples/make_piano.py [OUT]

The templates are those of the mode `balanced` at 48 kHz (default: the package's kits folder). The file is the same on
every run. A kit of one's own piano comes from `rtsep learn piano=piece.wav --score piece.mid -o piano.rtsep`.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from rtsep.offline.pitches import pitches_by_rule


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the bundled piano kit.")
    kits = Path(__file__).parents[1] / "rtsep" / "kits"
    parser.add_argument("out", nargs="?", type=Path, default=kits / "piano.rtsep")
    args = parser.parse_args()
    kit = pitches_by_rule(48_000, split_at="C4", source="a rule for stiff strings; see examples/make_piano.py")
    kit = replace(kit, parts=("lower", "upper"))
    kit.save(args.out, force=True)
    print(f"{', '.join(kit.parts)}: {len(kit.spectra)} pitches; wrote {args.out}, {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
