"""What the arrays of an open device take of it."""

from __future__ import annotations

from typing import Protocol

from drivers.crossbar import Crossbar
from firmware_specs.datasheet import Datasheet


class Opened(Protocol):
    """An open device.

    Attributes:
        crossbar: Its verbs.
        datasheet: What it is.
    """

    crossbar: Crossbar
    datasheet: Datasheet

    def arm(self) -> None:
        """Outputs on, where they are not."""
