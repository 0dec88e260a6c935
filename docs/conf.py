"""How Sphinx makes the site: ``make site`` writes it to build/site.

Sphinx, as its autodoc reads the Python API from docstrings and its search works without a server; MyST, so that pages
are the Markdown that is also read in the repository; furo, which is readable on a phone and loads nothing from
elsewhere; sphinx-copybutton, which gives every block a button that copies it.
"""

from __future__ import annotations

import re
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

project = "splitgym"
author = "splitgym contributors"
version = release = version_of("splitgym")
copyright = author

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
root_doc = "index"

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_type_aliases = {"npt.ArrayLike": "ArrayLike"}
autodoc_typehints_format = "short"

html_theme = "furo"
html_title = f"splitgym {release}"
html_favicon = "static/cut.svg"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False


def prepared(_app: Any, page: str, source: list[str]) -> None:
    """What generated pages hold as Sphinx wants it: roles of docstrings as code, named anchors, and links to those."""
    source[0] = re.sub(r":(?:mod|class|func|meth|attr):`~?\.*([\w.]+)`", r"`\1`", source[0])
    for key in re.findall(r'^<a id="([^"]+)"></a>$', source[0], re.MULTILINE):
        label = f"{page}-{key}".replace("/", "-").lower()
        source[0] = source[0].replace(f'<a id="{key}"></a>', f"({label})=").replace(f"](#{key})", f"](#{label})")
    source[0] = re.sub(r"\]\(results/(\w+)\.md#([\w-]+)\)", r"](#results-\1-\2)", source[0])
    if page == root_doc and not (Path(__file__).parent / "results").is_dir():
        source[0] = re.sub(r"^results/.*\n", "", source[0], flags=re.MULTILINE)


def setup(app: Any) -> None:
    app.connect("source-read", prepared)
