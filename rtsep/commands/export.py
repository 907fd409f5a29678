"""`rtsep export`: the engine for other programs."""

import argparse

from .. import page, plugin
from ..streams import tell
from .options import engine_options, settings_of, values_of


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    web = kinds.add_parser("web", help="write the page of rtsep web into a folder, for any web server")
    web.add_argument("folder", metavar="OUT", help="a new folder, or one that holds a page")
    web.set_defaults(run=_export_web)
    host = kinds.add_parser("plugin", help="write a plugin for other programs: CLAP, LV2 and LADSPA")
    host.add_argument("folder", metavar="OUT", help="the folder to write it into")
    host.add_argument("--format", default="all", metavar="F", help=f"{', '.join(plugin.FORMATS)} or all (default)")
    host.add_argument("--name", metavar="NAME", help="of the plugin (default: that of the preset, or the mode)")
    host.add_argument("-c", "--channels", type=int, default=2, metavar="N", help="1 or 2 (default)")
    host.add_argument("--stems-out", action="store_true", help="an output for each stem beside that of the mix")
    host.add_argument("--render", metavar="MODE", help="the mode where a host of CLAP renders (default: as --mode)")
    host.add_argument("--target", default=plugin.NATIVE, metavar="T", help="the machine it is for (default: native, "
                      "this one); others take pip install 'rtsep[export]'")  # fmt: skip
    host.add_argument("--force", action="store_true", help="replace what exists")
    engine_options(host, "balanced")
    host.set_defaults(run=_export_plugin)


def _export_web(options: argparse.Namespace) -> None:
    folder = page.write(options.folder, tell)
    print(f"{folder}: any web server can offer it. To hear a microphone it must come over https.")


def _export_plugin(options: argparse.Namespace) -> None:
    settings = settings_of(options)
    rendering = argparse.Namespace(**{**vars(options), "mode": options.render})
    written = plugin.write(
        options.folder,
        options.name or options.preset or settings.mode,
        settings,
        values_of(options, settings),
        formats=plugin.FORMATS if options.format == "all" else [options.format],
        channels=options.channels,
        stems_out=options.stems_out,
        rendering=settings_of(rendering) if options.render else None,
        machine=options.target,
        force=options.force,
        told=tell,
    )
    for path in written:
        print(path)
