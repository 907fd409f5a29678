"""`rtsep preset`: levels that are kept, and passed on."""

import argparse
import json
import sys
from collections.abc import Mapping

from ..live.presets import delete_preset, export_preset, import_preset, preset, preset_text, presets, save_preset
from ..live.sessions import load_session
from ..parameters import checked, plain
from ..streams import tell
from .options import json_too, pairs


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    commands = parser.add_subparsers(dest="what", required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="list all presets")
    show = commands.add_parser("show", help="print a preset")
    save = commands.add_parser("save", help="keep the levels of the last 'rtsep live' (or of the one that runs)")
    delete = commands.add_parser("delete", help="delete a preset")
    export = commands.add_parser("export", help="write a preset to a file")
    importing = commands.add_parser("import", help="take a preset from a file")
    for command in (listing, show):
        json_too(command)
    for command in (show, save, delete, export):
        command.add_argument("name", metavar="NAME", help="of the preset")
    for command in (export, importing):
        help = "- is standard output" if command is export else "that export wrote"
        command.add_argument("file", metavar="FILE", help=help)
    save.add_argument("--set", action="append", default=[], metavar="ID=VALUE", help="these values and no others")
    save.add_argument("--program", type=int, metavar="N", help="MIDI program that recalls it, 1 to 128")
    save.add_argument("--bank", type=int, default=0, metavar="N", help="bank of that program (default: 0)")
    importing.add_argument("--name", metavar="NAME", help="its name here (default: the file's)")
    for command in (save, export, importing):
        command.add_argument("--force", action="store_true", help="replace what exists")
    for command, run in (
        (listing, _list),
        (show, _show),
        (save, _save),
        (delete, _delete),
        (export, _export),
        (importing, _import),
    ):
        command.set_defaults(run=run)


def _list(options: argparse.Namespace) -> None:
    found = presets(tell)
    if options.json:
        seen = ("name", "program", "bank", "shipped")
        print(json.dumps([{name: getattr(each, name) for name in seen} for each in found], indent=2))
        return
    for each in found:
        number = "" if each.program is None else f"{each.program}" + (f" of bank {each.bank}" if each.bank else "")
        print(f"{each.name:24} {number:16} {'shipped' if each.shipped else 'yours'}")


def _show(options: argparse.Namespace) -> None:
    shown = preset(options.name)
    tell(*shown.warnings)
    if options.json:
        print(json.dumps(plain(shown.values), indent=2))
        return
    for id, value in shown.values.items():
        print(f"{id} = {checked(id).format(value)}")


def _save(options: argparse.Namespace) -> None:
    values: Mapping[str, float | str] = pairs(options.set)
    if not values:
        values, _, warnings = load_session("live")
        tell(*warnings)
    save_preset(options.name, values, program=options.program, bank=options.bank, force=options.force)


def _delete(options: argparse.Namespace) -> None:
    delete_preset(options.name)


def _export(options: argparse.Namespace) -> None:
    if options.file == "-":
        sys.stdout.write(preset_text(options.name))
        return
    export_preset(options.name, options.file, force=options.force)


def _import(options: argparse.Namespace) -> None:
    tell(*import_preset(options.file, options.name, force=options.force).warnings)
