"""One command on its way to what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from firmware_specs.instruments import Command
from firmware_specs.scpi import Parameters

Reply = str | bytes | None
Key = tuple[str, tuple[int, ...], str]
"""A setting: its name, suffixes and channel."""


@dataclass(frozen=True)
class Call:
    """One command as a handler sees it.

    Attributes:
        command: What the table says of it.
        suffixes: Numeric suffixes, 1 where left out.
        p: Parameters that are left.
        query: True with a question mark.
    """

    command: Command
    suffixes: tuple[int, ...]
    p: Parameters
    query: bool


Action = Callable[[Call], Reply]
