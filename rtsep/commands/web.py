"""`rtsep web`: the page on this machine."""

import argparse
from webbrowser import open_new_tab

from .. import page
from ..library import cache_folder
from ..streams import tell
from .options import port


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--port", type=port, default=8765, help="of the page on this machine (default: 8765; 0: any)")
    parser.add_argument("--no-browser", action="store_true", help="only tell the address")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    folder = page.write(cache_folder() / "page", tell)

    def ready(address: str) -> None:
        tell(f"the page is at {address}. Ctrl-C ends.")
        if not options.no_browser:
            open_new_tab(address)

    page.serve(folder, options.port, ready)
