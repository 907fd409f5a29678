"""`rtsep export`: the engine for other programs."""

import argparse

from .. import page
from ..streams import tell


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    web = kinds.add_parser("web", help="write the page of rtsep web into a folder, for any web server")
    web.add_argument("folder", metavar="OUT", help="a new folder, or one that holds a page")
    web.set_defaults(run=_export_web)


def _export_web(options: argparse.Namespace) -> None:
    folder = page.write(options.folder, tell)
    print(f"{folder}: any web server can offer it. To hear a microphone it must come over https.")
