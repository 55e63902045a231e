"""The site: `make docs` builds it into build/docs/html. The reference is made of the code before pages are read."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

project = "crossbar-hil"
author = "the crossbar-hil maintainers"
copyright = "2026, the crossbar-hil maintainers"
version = release = installed("crossbar-hil")

extensions = ["myst_nb"]
exclude_patterns = ["_build", "examples"]
source_suffix = {".md": "myst-nb"}
myst_enable_extensions = ["attrs_inline", "deflist"]
myst_heading_anchors = 4
highlight_language = "text"
# a short name in a signature that several modules have: it leads to one of them, the page of each is beside it
suppress_warnings = ["ref.python"]

# executed once and kept below build/, again only where a notebook has changed
nb_execution_mode = "cache"
nb_execution_cache_path = str(ROOT / "build" / "docs" / "notebooks")
nb_execution_timeout = 240
nb_execution_raise_on_error = True
nb_merge_streams = True

html_theme = "furo"
html_title = f"crossbar-hil {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False


def setup(app: Any) -> None:
    """Makes the reference pages, and has links to what is no page of the site shown as text."""
    from tools.site.pages import fitting, write_all

    def read(app: Any, name: str, source: list[str]) -> None:
        place = Path(app.env.doc2path(name))
        if "generated" not in place.parts:
            source[0] = fitting(source[0], place, place, Path(app.srcdir))

    app.connect("builder-inited", lambda app: write_all(Path(app.srcdir)))
    app.connect("source-read", read)
