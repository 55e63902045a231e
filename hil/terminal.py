"""What `hil` says on a terminal: text that may quote a stranger is made printable, and no markup is read in it."""

from __future__ import annotations

from typing import IO, Any

from rich.console import Console

from firmware_specs.printable import printable

MOST = 200_000
"""Characters of one piece of text: a table of a study has many."""


class Terminal(Console):
    """A console whose texts are only read: `[bold]` and `:smile:` stay as they are, escapes are spelled out."""

    def __init__(self, *, file: IO[str] | None = None, quiet: bool = False) -> None:
        super().__init__(file=file, quiet=quiet, markup=False, emoji=False, highlight=False)

    def print(self, *objects: Any, **options: Any) -> None:
        """As `rich` prints, texts made printable."""
        super().print(*(shown(one) for one in objects), **options)


def shown(one: Any) -> Any:
    """Text made printable, newlines kept; anything else as it is."""
    return printable(one, MOST, lines=True) if isinstance(one, str) else one
