"""The command line: which command is meant, and how it ends. The commands are in `rtsep/commands/`, a file for each.

Exit codes: 0 well, 2 asked for what cannot be, 3 a device, a library or the disk cannot be had, 130 Ctrl-C.
"""

import argparse
import os
import re
import shlex
import signal
import sys
import warnings
from collections.abc import Collection
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from . import __version__, streams
from .commands import COMMANDS
from .commands.options import parameters_help
from .completion import SHELLS, PrintCompletion
from .errors import BadInput, Unavailable, unknown
from .streams import tell


def main(arguments: list[str] | None = None) -> int:
    """Run the command line `arguments` (those of the process if None); the exit code."""
    if arguments is None:
        streams.own()
    code = _ended(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.stdout.flush()
    except OSError as error:
        streams.silence(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            tell(f"cannot write standard output: {error.strerror}.")
            return code or 3
    return code


def _ended(arguments: list[str]) -> int:
    """Run the command line; how it ended."""
    for name in ("SIGTERM", "SIGHUP"):  # a polite request to end, and a terminal that closes, do what Ctrl-C does
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    warnings.showwarning = lambda message, *_: tell(str(message))
    try:
        _understood(arguments)
        options = parser({*arguments}).parse_args(_joined(arguments))
        options.run(options)
    except (BadInput, Unavailable) as error:
        tell(str(error))
        return 2 if isinstance(error, BadInput) else 3
    except SystemExit as end:  # of argparse
        return int(end.code or 0)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        streams.silence(sys.stdout)
    except OSError as error:
        tell(_said(error))
        return 3
    return 0


def _understood(arguments: list[str]) -> None:
    """Answer with the line to type what begins with no command."""
    if not arguments or arguments[0].startswith("-") or arguments[0] in COMMANDS:
        return
    first, *rest = arguments
    if os.path.exists(first) or os.path.splitext(first)[1]:
        name = shlex.quote(first)
        raise BadInput(f"{first} is no command: rtsep live {name} plays it, rtsep separate {name} writes its stems.")
    near = get_close_matches(first.lower(), COMMANDS, 1)
    if near:
        line = shlex.join(["rtsep", near[0], *rest])
        raise BadInput(f"unknown command {first!r}: did you mean {line}?")
    raise BadInput(f"unknown command {first!r}: rtsep --help lists what there is.")


def _said(error: OSError) -> str:
    """The sentence for what nobody expected of the system."""
    try:
        os.getcwd()
    except OSError:
        return "the folder that this was started in is gone: change to another."
    return f"{error.filename or 'cannot write standard output'}: {error.strerror or error}."


def _joined(arguments: list[str]) -> list[str]:
    """`--guide -inf` as `--guide=-inf`: argparse would take the value for an option."""
    joined: list[str] = []
    for argument in arguments:
        if re.fullmatch(r"-inf(inity)?", argument, re.IGNORECASE) and joined and re.match(r"--\w[\w-]*$", joined[-1]):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


class _Parser(argparse.ArgumentParser):
    """Names the nearest choices, not all of them."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, str(unknown("choice", value, map(str, action.choices))))


def parser(names: Collection[str] = COMMANDS) -> argparse.ArgumentParser:
    """The command line, with the options of the commands that have these `names`: only their modules are loaded."""
    whole = _Parser(
        prog="rtsep",
        description="Live un-mixing: drums, lead and harmonies apart while the music sounds.",
        epilog="Start with: rtsep demo",
    )
    whole.add_argument("--version", action="version", version=f"rtsep {__version__}")
    parameters_help(whole)
    whole.add_argument("--print-completion", action=PrintCompletion, choices=SHELLS, help="print what a shell needs to "
                       "complete commands by the tab key")  # fmt: skip
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, help in COMMANDS.items():
        command = commands.add_parser(name, help=help)
        if name in names:
            import_module(f"{__package__}.commands.{name}").add(command)
    return whole


if __name__ == "__main__":
    sys.exit(main())
