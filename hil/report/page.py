"""A report page: sections of parts, rendered by one template into one self-contained HTML file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import ClassVar, Literal

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from firmware_specs.printable import printable
from hil.training.run.atomic import write_text

Status = Literal["good", "warning", "bad", "neutral"]


@dataclass(frozen=True)
class Badge:
    """A verdict or a headline figure: `Badge("test accuracy", "97.8 %", "good")`."""

    label: str
    value: str
    status: Status = "neutral"


@dataclass(frozen=True)
class Figure:
    """A drawing from `hil.report.figures`, with what to look for in it."""

    svg: Markup
    caption: str = ""
    kind: ClassVar[str] = "figure"


@dataclass(frozen=True)
class Table:
    """A table of texts; cells may be `Badge`s."""

    head: Sequence[str]
    rows: Sequence[Sequence[str | Badge]]
    caption: str = ""
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Facts:
    """Names and values, one pair a line."""

    pairs: Sequence[tuple[str, str]]
    kind: ClassVar[str] = "facts"


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Fold:
    """Preformatted text that opens on demand."""

    title: str
    text: str
    kind: ClassVar[str] = "fold"


Part = Figure | Table | Facts | Text | Fold


@dataclass(frozen=True)
class Section:
    """A titled part of the page."""

    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes:
        title: Headline.
        subtitle: One line under it.
        badges: Verdicts and headline figures.
        sections: The rest; one without parts is left out.
        lead: What has to be known first, one sentence; empty where there is none.
    """

    title: str
    subtitle: str
    badges: Sequence[Badge]
    sections: Sequence[Section]
    lead: str = ""


def render(page: Page) -> str:
    """The page as one HTML document; every text is spelled out and escaped, nothing is loaded from anywhere.

    One script, which reads the drawings (`page.js`), is allowed by its hash; no other can run.
    """
    script = (resources.files("hil.report") / "page.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _template().render(
        page=page,
        script=Markup(script),  # noqa: S704 - our own, and the only one that the page lets run
        script_hash=f"sha256-{digest}",
    )


@cache
def _template() -> Template:
    source = (resources.files("hil.report") / "page.html.j2").read_text("utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    return environment.from_string(source)


def _shown(value: object) -> object:
    """Text as it may be shown: files that a report is made of may be anybody's. Drawings are our own markup."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return printable(value, len(value), lines=True)


def write(path: Path, page: Page) -> None:
    """Replaces a report file."""
    write_text(path, render(page))
