"""The documentation: Sphinx, MyST and Furo. `sphinx-build docs build/docs` makes it."""

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import made  # noqa: E402
import reference  # noqa: E402
from docutils import nodes  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402
from sphinx.util.docutils import SphinxDirective  # noqa: E402

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
html_extra_path = ["made/clips"]
man_pages = [("reference/commands", "rtsep", "live un-mixing", author, 1)]
exclude_patterns = ["made"]
default_role = "code"  # of `names` in docstrings
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
nitpick_ignore_regex = [("py:.*", r"(?!rtsep\.).*")]  # of other packages, and of names that a docstring need not link
