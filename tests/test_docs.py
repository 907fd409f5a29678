"""The README and the documentation: what they say to type can be typed, and their links and lists miss nothing."""

import argparse
import ast
import re
import shlex
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import rtsep
from rtsep.__main__ import COMMANDS, parser
from rtsep.live.bindings import KINDS, TAKEOVERS
from rtsep.parameters import PARAMETERS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(path for path in DOCS.rglob("*.md"))]

sys.path.insert(0, str(DOCS))
from generated import commands, commands_page, latency_page, parameters_page  # noqa: E402

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

_FENCED = re.compile(r"^ *```(\S*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^ {4,}\S.*$", re.MULTILINE)


def blocks(text, language):
    """The fenced blocks of code of a language."""
    return [code for of, code in _FENCED.findall(text) if of == language]


def prose(text):
    """What is no fenced block of code."""
    return _FENCED.sub("", text)


def command_lines(text):
    """What begins with rtsep: lines of blocks of code, and code in sentences."""
    lines = [line for block in blocks(text, "") for line in block.splitlines()]
    lines += _INDENTED.findall(prose(text)) + re.findall(r"`([^`\n]+)`", prose(text))
    parts = [part for line in lines for part in re.split(r" && | [|] | > ", line.strip())]
    return [part.removeprefix(".venv/bin/") for part in parts if re.match(r"(\.venv/bin/)?rtsep ", part)]


def typed(line):
    """The command line as the parser takes it; raises SystemExit where it does not."""
    return parser().parse_args(shlex.split(line, comments=True)[1:])


NAMES = {" ".join(command.prog.split()[:depth]) for command, _ in commands(parser()) for depth in (2, 3)}
"""Commands as sentences name them, without what they need."""


@each_page
def test_every_command_line_can_be_typed(page, capsys):
    wrong = []
    for line in command_lines(page.read_text()):
        try:
            line in NAMES or typed(line)
        except SystemExit as end:
            if end.code:
                wrong.append((line, capsys.readouterr().err))
    assert wrong == []


def test_command_lines_are_found():
    text = """Type `rtsep live --room`, or else:

    rtsep separate a.wav -o x | cat
    echo rtsep

```
.venv/bin/rtsep web  # so
```
"""
    assert command_lines(text) == ["rtsep web  # so", "rtsep separate a.wav -o x", "rtsep live --room"]
    with pytest.raises(SystemExit):
        typed("rtsep live --no-such")


@each_page
def test_every_relative_link_leads_somewhere(page):
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text())) if "://" not in target]
    there = [target for target in targets if "/made/" not in target]  # what is not made by the build
    assert [target for target in there if not (page.parent / target).exists()] == []


@each_page
def test_every_file_that_is_named_is_there(page):
    named = re.findall(r"(?<![\w./])[\w/-]+\.(?:py|js)\b", page.read_text())
    places = [ROOT, *(ROOT / "rtsep" / folder for folder in ("", "dsp", "web"))]
    assert [name for name in named if not any((place / name).is_file() for place in places)] == []


@each_page
def test_python_compiles(page):
    for block in blocks(page.read_text(), "python"):
        ast.parse(dedent(block))


def test_every_page_is_in_the_table_of_contents():
    index = (DOCS / "index.md").read_text()
    listed = re.findall(r"^[\w/-]+$", "\n".join(blocks(index, "{toctree}")), re.MULTILINE)
    assert {"index", *listed} == {str(page.relative_to(DOCS).with_suffix("")) for page in DOCS.rglob("*.md")}


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_every_public_name_is_in_the_reference():
    page = (DOCS / "reference" / "api.md").read_text()
    named = re.findall(r"^\.\. (?:auto\w+|py:data):: (?:\w+\.)*(\w+)$", page, re.MULTILINE)
    assert set(rtsep.__all__) - set(named) == set()


def test_every_kind_of_control_is_in_its_how_to():
    page = (DOCS / "how-to" / "controllers.md").read_text()
    assert [name for name in (*KINDS, *TAKEOVERS) if name not in page] == []


def test_every_parameter_is_in_the_reference():
    rows = re.findall(r"^\| `([\w.]+)` \|", parameters_page(), re.MULTILINE)
    assert rows == list(PARAMETERS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_that_help_tells_of_is_in_the_reference(name, capsys):
    sections = re.split(r"^## ", commands_page(parser()), flags=re.MULTILINE)
    found = [section for section in sections if section.split()[:2] == ["rtsep", name]]
    assert found
    for section in found:
        with pytest.raises(SystemExit):
            typed(f"{section.splitlines()[0]} --help")
        told = re.findall(r"^  (?:-\w.*, )?(--[\w-]+)", capsys.readouterr().out, re.MULTILINE)
        assert [option for option in told if option != "--help" and f"{option}" not in section.split("```")[2]] == []


def test_a_list_of_commands_goes_all_the_way_down():
    top = argparse.ArgumentParser("top")
    below = top.add_subparsers()
    below.add_parser("one", help="first")
    below.add_parser("two").add_subparsers().add_parser("three", help="third")
    assert [(each.prog, said) for each, said in commands(top)] == [("top one", "first"), ("top two three", "third")]


def test_the_latency_of_the_readme_is_the_engines():
    said = re.search(r"answers in ([\d.]+ ms)", (ROOT / "README.md").read_text())
    assert f"({said[1]})" in re.search(r"^\| `balanced` .*", latency_page((48_000,)), re.MULTILINE)[0]
