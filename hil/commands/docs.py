"""`hil docs`."""

from __future__ import annotations

from pathlib import Path


def command() -> None:
    """Prints where the documentation is: the built site of a checkout, or how to have it built."""
    import hil
    from hil.commands import say

    root = Path(hil.__file__).parents[1]
    site = root / "build" / "docs" / "html" / "index.html"
    if site.is_file():
        say(site.as_uri())
    elif (root / "docs" / "conf.py").is_file():
        say(f"not built yet: `make docs` in {root} makes {site}; the pages as text are in {root / 'docs'}")
    else:
        say(
            f"the installation carries no pages. The source of crossbar-hil {hil.__version__} has them in docs/ and "
            "builds the site with `make docs`; `hil COMMAND --help` and `hil schema KIND` are here"
        )
