"""`rtsep devices`: the sound devices."""

import argparse
import json

from ..live.devices import devices
from .options import json_too


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    json_too(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """List the sound devices."""
    found = devices()
    if options.json:
        print(json.dumps([device._asdict() for device in found], indent=2))
        return
    for device in found:
        print(
            f"{device.number:3}  {device.name}  ({device.host}; {device.inputs} in, {device.outputs} out, "
            f"{device.sample_rate:g} Hz)"
        )
    print("     virtual  (built in: the bundled song at the pace of a sound card; needs no hardware)")
