"""The documentation: Sphinx, MyST and Furo. `sphinx-build docs build/docs` makes it."""

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import generated  # noqa: E402
import made  # noqa: E402
from docutils import nodes  # noqa: E402
from numpy.typing import ArrayLike  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402
from sphinx.util.docutils import SphinxDirective  # noqa: E402
from sphinx.util.typing import stringify_annotation  # noqa: E402

import rtsep  # noqa: E402
from rtsep.__main__ import parser  # noqa: E402

project = "rtsep"
author = "the authors of rtsep"
version = release = rtsep.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "rtsep"
html_show_copyright = False
highlight_language = "text"
html_static_path = ["made/clips"]
man_pages = [("reference/commands", "rtsep", "live un-mixing", author, 1)]
exclude_patterns = ["made"]
smartquotes = False
default_role = "code"  # of `names` in docstrings
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
nitpick_ignore_regex = [  # types of other packages, and of the engine's inside
    ("py:.*", r"(?!rtsep\.).*"),
    ("py:class", r"rtsep\.(chain\.State|dsp\..*|settings\.Sizes|live\.player\.Player)"),
]


class Generated(SphinxDirective):
    """A directive without arguments that stands for Markdown which the program itself tells."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(GENERATED[self.name](), allow_section_headings=True)


GENERATED = {
    "commands": lambda: generated.commands_page(parser()),
    "parameters": generated.parameters_page,
    "latency": generated.latency_page,
    "clips": made.clips_page,
}


def fields(app: Sphinx, what: str, name: str, object: object, options: object, lines: list[str]) -> None:
    """Turn the sections of a docstring (Parameters, Returns, Raises) into Sphinx's fields, and examples into code."""
    text = "\n".join(lines)
    text = re.sub(r"\n\n((?:    .*\n)+)", r"\n\n.. code-block:: python\n\n\1", text)
    for section, field in (("Parameters", "param"), ("Attributes", "ivar"), ("Raises", "raises")):
        if found := re.search(rf"^{section}\n-+\n((?:.+\n)+)", text, re.MULTILINE):
            entries = re.findall(r"^(\S[^:]*?) : (.+\n(?: +.+\n)*)", found[1], re.MULTILINE)
            each = [f":{field} {name}: {meaning}" for names, meaning in entries for name in names.split(", ")]
            text = text.replace(found[0], "".join(each))
    if found := re.search(r"^Returns\n-+\n((?:.+\n)+)", text, re.MULTILINE):
        text = text.replace(found[0], ":returns: " + found[1].replace("\n", "\n    ").rstrip(" "))
    lines[:] = text.split("\n")


SHORT = {stringify_annotation(ArrayLike, "smart"): "ArrayLike", "~numpy.ndarray[tuple[~typing.Any, ...], ": "NDArray["}


def signature(
    app: Sphinx, what: str, name: str, object: object, options: object, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Write NumPy's types as the program does, not all that they stand for."""
    for long, short in SHORT.items():
        signature, returned = (text and text.replace(long, short) for text in (signature, returned))
    return signature, returned


def setup(app: Sphinx) -> None:
    made.make()
    for name in GENERATED:
        app.add_directive(name, Generated)
    app.connect("autodoc-process-docstring", fields)
    app.connect("autodoc-process-signature", signature)
