"""The parts of the reference that are made of the program itself, as Markdown: commands, parameters, latencies."""

import argparse
from collections.abc import Iterator
from textwrap import wrap

from rtsep import MODES, PARAMETERS, Engine, Settings


def commands(parser: argparse.ArgumentParser) -> Iterator[tuple[argparse.ArgumentParser, str]]:
    """Every command of `parser` that can be typed, and what its parent says of it in a line."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            said = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, command in action.choices.items():
                below = list(commands(command))
                yield from below or [(command, said[name])]


def options(command: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """How each argument of `command` is written, and what it means."""
    for action in command._actions:
        if isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
            continue
        value = action.metavar or "|".join(map(str, action.choices or ())) or action.dest.upper()
        takes = "" if action.nargs == 0 else f" {value}"
        yield ", ".join(f"{name}{takes}" for name in action.option_strings) or str(value), action.help or ""


def commands_page(parser: argparse.ArgumentParser) -> str:
    """A section for each command: what it does, how it is typed, and a definition for each argument."""
    page = []
    for command, said in [(parser, ""), *commands(parser)]:
        usage = " ".join(command.format_usage().split()).removeprefix("usage: ")
        does = command.description or f"{said[0].upper()}{said[1:]}."
        page += [
            f"## {command.prog}",
            "",
            does,
            "",
            "```text",
            *wrap(usage, 78, subsequent_indent="    ", break_on_hyphens=False),
            "```",
            "",
        ]
        for written, meaning in options(command):
            page += [f"`{written}`", f": {_escaped(meaning) or '-'}", ""]
    return "\n".join(page)


def parameters_page() -> str:
    """A table of all parameters."""
    rows = ["| id | what one hears when it is turned up or on | range | default |", "|---|---|---|---|"]
    for parameter in PARAMETERS.values():
        default = parameter.format(parameter.default)
        rows.append(f"| `{parameter.id}` | {parameter.effect} | {parameter.range_text()} | {default} |")
    return "\n".join(rows)


def latency_page(rates: tuple[int, ...] = (44_100, 48_000, 96_000)) -> str:
    """A table of the latency of each mode, in samples and milliseconds, as the engine says it."""
    rows = ["| mode | " + " | ".join(f"{rate / 1000:g} kHz" for rate in rates) + " |", "|---|" + "---|" * len(rates)]
    for mode in MODES:
        cells = []
        for rate in rates:
            engine = Engine(Settings(mode=mode))
            engine.prepare(sample_rate=rate, channels=1)
            cells.append(f"{engine.latency} ({engine.latency / rate * 1000:.1f} ms)")
        rows.append(f"| `{mode}` | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _escaped(text: str) -> str:
    """`text` in which no character means anything to Markdown."""
    return "".join(f"\\{sign}" if sign in r"\`*_{}[]<>#|" else sign for sign in text)
