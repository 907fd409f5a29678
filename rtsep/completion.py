"""Completion by the tab key: a script for a shell, made of the parser by shtab."""

import argparse
from collections.abc import Iterator
from typing import Any

from . import streams

SHELLS = ("bash", "zsh")
_FILES = {"FILE", "SONG", "PNG", "PART=FILE", "INDEX", "HUM", "TRUTH", "ESTIMATES"}
_FOLDERS = {"DIR", "FOLDER", "OUT"}


class PrintCompletion(argparse.Action):
    """Prints the script for a shell, and ends the program."""

    def __call__(self, parser: argparse.ArgumentParser, _: Any, shell: Any, __: Any = None) -> None:
        import shtab

        from .__main__ import parser as whole

        parser = whole()  # with the options of all commands
        for action in _actions(parser):
            if action.metavar in _FILES | _FOLDERS:
                action.complete = shtab.FILE if action.metavar in _FILES else shtab.DIRECTORY  # type: ignore[attr-defined]
        streams.say(shtab.complete(parser, shell))
        parser.exit()


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The arguments of `parser` and of all its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
